"""`syncmv4d demo`: one scene that the model has never seen, generated, compared with the truth, and shown."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console


@dataclass(frozen=True)
class Options:
    """Simulate one unseen scene, generate its videos and tracks, score them, and say where to look."""

    out: Path = Path("out/demo")
    """Folder for the scene, the prediction and the report."""
    checkpoint: Path | None = None
    """Checkpoint folder (default: the bundled nano)."""
    split: str = "test_1"
    """Which held-out split the scene comes from (see `syncmv4d build-dataset sim --help`)."""
    scene: int = 0
    """Which scene of the split."""
    seed: int = 1
    """Seed of the scenes."""
    sample_seed: int = 0
    """Seed of the generation."""
    steps: int | None = None
    """Denoising steps (default: the checkpoint's)."""


def main(args: list[str]) -> int:
    """Entry of `syncmv4d demo`."""
    options = tyro.cli(Options, args=args, prog="syncmv4d demo", description=__doc__)
    from syncmv4d_cli.evaluate import load_text_mean
    from syncmv4d_cli.generate import generate_for_sequence
    from syncmv4d_model.checkpoint import BUNDLED_NANO
    from syncmv4d_model.data.sequence import write_sequence
    from syncmv4d_model.evaluation.harness import evaluate
    from syncmv4d_model.evaluation.report import terminal_table, write_html
    from syncmv4d_model.predictor import Predictor
    from syncmv4d_sim.dataset import BuildOptions, make_sequence

    console, started = Console(), time.perf_counter()
    for name in ("scene", "seed"):
        if getattr(options, name) < 0:
            raise ValueError(f"--{name} must be at least 0, got {getattr(options, name)}")
    data = (
        options.out / "data" / f"seed_{options.seed}_scene_{options.scene}"
    )  # another scene is not scored with this one
    truth, _ = make_sequence(options.scene, BuildOptions(split=options.split, seed=options.seed))
    sequence = data / options.split / truth.name
    write_sequence(sequence, truth)
    built = time.perf_counter()
    checkpoint = options.checkpoint or BUNDLED_NANO
    predictor = Predictor.load(checkpoint)
    loaded = time.perf_counter()
    console.print(f"[bold]{truth.task}[/]")
    generate_for_sequence(predictor, sequence, options.out, seed=options.sample_seed, steps=options.steps)
    generated = time.perf_counter()
    report = evaluate(
        predictor,
        data,
        options.split,
        seed=options.sample_seed,
        steps=options.steps,
        text_mean=load_text_mean(checkpoint, data),
    )
    report.write_json(options.out / "metrics.json")
    write_html(report, options.out / "report.html")
    console.print(terminal_table(report))
    stages = {
        "simulate": built - started,
        "load": loaded - built,
        "generate and draw": generated - loaded,
        "evaluate": time.perf_counter() - generated,
    }
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    console.print(
        "  ".join(f"{name} {seconds:.1f} s" for name, seconds in stages.items()) + f"  memory {peak_gib:.2f} GiB"
    )
    console.print(f"Look at [bold]{options.out}/preview.png[/], preview.mp4, report.html; tracks are in tracks.npz.")
    return 0
