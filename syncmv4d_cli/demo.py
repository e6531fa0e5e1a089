"""`syncmv4d demo`: one scene that the model has never seen, generated, compared with the truth, and shown; or carried out by a robot arm."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from syncmv4d_cli.least import check_least


@dataclass(frozen=True)
class Options:
    """Simulate one unseen scene, generate its videos and tracks, score them, and say where to look.

    With --cell, the whole line over ROS 2: simulated cameras, the generator node and an arm that carries out what was generated run as
    processes of their own, in a DDS domain of their own. The arm holds the tool by friction only, and tells what came of it; a second
    one is given the true motion. Everything is recorded as a bag. Needs the extras ros, sim and eval (and model, for the engines here).
    """

    cell: bool = False
    """Over ROS 2, with an arm in a simulated robot cell."""
    attach: bool = False
    """With --cell: join nodes that run already in this ROS_DOMAIN_ID (launch/demo.launch.py starts them), whose cameras have written OUT/rig.yaml."""
    out: Path | None = None
    """Folder for everything that is made (default: out/demo, with --cell out/demo/cell)."""
    engine: str = "eager"
    """How the network runs; with --cell an engine of the generator node."""
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
    options = tyro.cli(Options, args=args, prog="syncmv4d demo")
    check_least(options, {"scene": 0, "seed": 0, "sample_seed": 0, "steps": 1})
    if options.cell:
        return over_ros(options)
    if options.attach:
        raise ValueError("--attach is of --cell")
    return offline(options, options.out or Path("out/demo"))


def over_ros(options: Options) -> int:
    """The run with nodes; errors as demo_cell."""
    from syncmv4d_cli.demo_cell import demo_cell
    from syncmv4d_ros.cell_run import CellNodes

    scene = {"split": options.split, "scene": options.scene, "seed": options.seed}
    checkpoint = str(options.checkpoint.resolve()) if options.checkpoint is not None else ""
    nodes = CellNodes(scene, engine=options.engine, checkpoint=checkpoint)
    out = options.out or Path("out/demo/cell")
    return demo_cell(
        None if options.attach else nodes,
        out,
        seed=options.sample_seed,
        steps=options.steps or 0,
        checkpoint=options.checkpoint,
    )


def offline(options: Options, out: Path) -> int:
    """The run in this process. ValueError for an engine or split that is not known, OSError for an OUT that cannot be written."""
    from syncmv4d_cli.generate import generate_for_sequence
    from syncmv4d_cli.provenance import load_text_mean, provenance
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO, checkpoint_hash
    from syncmv4d_model.data.atomic import check_writable
    from syncmv4d_model.data.sequence import write_sequence
    from syncmv4d_model.evaluation.harness import evaluate
    from syncmv4d_model.evaluation.pages.report import terminal_table, write_html
    from syncmv4d_model.predictor import Predictor
    from syncmv4d_sim.cell import cell_options
    from syncmv4d_sim.sequences import make_sequence

    check_writable(out, directory=True)
    console, started = Console(), time.perf_counter()
    data = out / "data" / f"seed_{options.seed}_scene_{options.scene}"  # another scene is not scored with this one
    made = make_sequence(options.scene, cell_options(split=options.split, seed=options.seed))
    truth = made.sequence
    sequence = data / options.split / truth.name
    write_sequence(sequence, truth, made.truths)
    built = time.perf_counter()
    checkpoint = options.checkpoint or BUNDLED_NANO
    predictor = Predictor.load(checkpoint, engine=options.engine)
    loaded = time.perf_counter()
    console.print(f"[bold]{truth.task}[/]")
    record = {"engine": options.engine, "checkpoint_sha256": checkpoint_hash(checkpoint)}
    generate_for_sequence(predictor, sequence, out, seed=options.sample_seed, steps=options.steps, record=record)
    generated = time.perf_counter()
    report = evaluate(
        predictor,
        data,
        options.split,
        seed=options.sample_seed,
        steps=options.steps,
        text_mean=load_text_mean(checkpoint, data)[0],
    )
    report.settings.update(provenance(checkpoint))
    report.write_json(out / "metrics.json")
    write_html(report, out / "report.html")
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
    console.print(f"Look at [bold]{out}/preview.png[/], preview.mp4, report.html; tracks are in tracks.npz.")
    return 0
