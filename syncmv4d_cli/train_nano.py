"""`syncmv4d train nano`: a nano checkpoint from nothing, in slices that go on where the last one stopped."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from syncmv4d_cli.device import CPU
from syncmv4d_cli.least import check_least
from syncmv4d_cli.train_finder import TrainFinder, train_finder
from syncmv4d_cli.train_run import Init, Run, check_machine, init, run
from syncmv4d_model.checkpoint_index import FINDER
from syncmv4d_model.finder_files import CheckpointFinder, add_finder, load_finder
from syncmv4d_model.training.time_limit import TimeLimit

VALIDATION_SEQUENCES = 64
VIEWS = 3  # batches are of sequences with equally many
TEST_SPLITS = ("test_1", "test_3")


@dataclass(frozen=True)
class Nano:
    """Train a nano checkpoint from nothing, offline. Resumes by itself.

    Simulates first images and trains a finder on them; simulates sequences in its windows; then does init, run, evaluate.
    """

    work: Path = Path("out/train-nano")
    """Folder for data, run, checkpoint and evaluation."""
    first_images: int = 2500
    """Scenes whose first images the finder learns from."""
    finder_steps: int = 6000
    """Steps of the finder's training."""
    sequences: int = 4800
    """Training sequences to simulate."""
    evaluate: int = 64
    """Sequences each of test_1 and test_3 to simulate and score at the end; 0: none."""
    scale: float = 1.0
    """Multiplies the plan's steps."""
    minutes: float = math.inf
    """Stop after this long, whatever is being done; the same command continues."""
    device: str = CPU
    """Where it is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    bf16: bool = True
    """Autocast to bfloat16."""
    compile: bool = True
    """torch.compile the joint denoiser (about a minute at each start, faster steps)."""
    seed: int = 0
    """Of the simulated scenes, the untrained weights, the training and the evaluation."""


def nano(options: Nano, limit: TimeLimit) -> None:
    """Data, init, run and evaluation with the settings of the bundled checkpoint.

    ValueError as train_run.run; OutOfTime when the limit is over, and then the same options go on.
    """
    check_least(options, {"first_images": 1, "finder_steps": 1, "sequences": 1, "evaluate": 0, "minutes": 0, "seed": 0})
    data, start = options.work / "data", options.work / "untrained"
    settings = Run(
        data,
        start,
        options.work / "run",
        scale=options.scale,
        minutes=options.minutes,
        seed=options.seed,
        device=options.device,
        bf16=options.bf16,
        compile=options.compile,
    )
    check_machine(settings)
    if options.evaluate:
        importlib.import_module("matplotlib")  # of the reports; better missed now than hours later
    finder = _find(options, limit)
    for split, count in {"train": options.sequences, "val": min(VALIDATION_SEQUENCES, options.sequences)}.items():
        _simulate(data, split, count, options, limit, finder)
    if not (start / FINDER).exists():  # put in last
        init(Init(data, start, seed=options.seed), limit.for_the_whole())
        add_finder(start, load_finder(finder.path))
    run(settings, limit)
    for split in TEST_SPLITS if options.evaluate else ():
        _evaluate(split, options, limit, finder)


def _find(options: Nano, limit: TimeLimit) -> CheckpointFinder:
    """The finder, trained on first images of its own."""
    from syncmv4d_sim.dataset import build, number_built
    from syncmv4d_sim.sequences import BuildOptions

    data, folder, count = options.work / "first_images", options.work / "finder", options.first_images
    scenes = BuildOptions(split="train", seed=options.seed, frames=1, windows="truth")
    build(data, scenes, count=count, out_of_time=limit.over)
    limit.check(f"{number_built(data, scenes, count=count):,} of {count:,} first images simulated")
    train_finder(TrainFinder(data, folder, steps=options.finder_steps, seed=options.seed), limit)
    return CheckpointFinder(folder / FINDER)


def _simulate(data: Path, split: str, count: int, options: Nano, limit: TimeLimit, finder: CheckpointFinder) -> None:
    from syncmv4d_sim.dataset import build, number_built
    from syncmv4d_sim.sequences import BuildOptions

    scenes = BuildOptions(split=split, seed=options.seed, views=VIEWS, finder=finder.identity)
    build(data, scenes, count=count, finder=finder, out_of_time=limit.over)
    limit.check(f"{number_built(data, scenes, count=count):,} of {count:,} scenes of {split} simulated")


def _evaluate(split: str, options: Nano, limit: TimeLimit, finder: CheckpointFinder) -> None:
    """Score the finished checkpoint, unless the report of just that is there; the report is written last."""
    from syncmv4d_cli import evaluate
    from syncmv4d_cli.provenance import is_report_of

    pages = options.work / "evaluation"
    report, checkpoint = pages / f"{split}.json", options.work / "run" / "checkpoint"
    if is_report_of(report, checkpoint, sequences=options.evaluate):
        Console().print(f"report: {report}, which was there already")
        return
    _simulate(options.work / "data", split, options.evaluate, options, limit, finder)
    chosen = evaluate.Options(
        data=options.work / "data",
        split=split,
        limit=options.evaluate,
        checkpoint=checkpoint,
        seed=options.seed,
        device=options.device,
        html=report.with_suffix(".html"),
        markdown=report.with_suffix(".md"),
        sheet=report.with_suffix(".png"),
        json=report,
    )
    evaluate.score_split(chosen, limit.for_the_whole())
