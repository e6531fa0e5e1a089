"""`syncmv4d train nano`: the bundled checkpoint from nothing, in slices that go on where the last one stopped."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from syncmv4d_cli.device import CPU
from syncmv4d_cli.least import check_least
from syncmv4d_cli.train_run import TEXT_MEAN, Init, Run, check_machine, init, run
from syncmv4d_model.training.time_limit import TimeLimit

VALIDATION_SEQUENCES = 64
TEST_SPLITS = ("test_1", "test_3")


@dataclass(frozen=True)
class Nano:
    """Reproduce the bundled nano checkpoint from nothing, without network: simulate, init, run, evaluate. Resumes by itself."""

    work: Path = Path("out/train-nano")
    """Folder for data, run, checkpoint and evaluation."""
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
    check_least(options, {"sequences": 1, "evaluate": 0, "minutes": 0, "seed": 0})
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
    for split, count in {"train": options.sequences, "val": min(VALIDATION_SEQUENCES, options.sequences)}.items():
        _simulate(data, split, count, options, limit)
    if not (start / TEXT_MEAN).exists():  # written last
        init(Init(data, start, seed=options.seed), limit.for_the_whole())
    run(settings, limit)
    for split in TEST_SPLITS if options.evaluate else ():
        _evaluate(split, options, limit)


def _simulate(data: Path, split: str, count: int, options: Nano, limit: TimeLimit) -> None:
    from syncmv4d_sim.dataset import BuildOptions, build, number_built

    scenes = BuildOptions(split=split, seed=options.seed)
    build(data, scenes, count=count, out_of_time=limit.over)
    limit.check(f"{number_built(data, scenes, count=count):,} of {count:,} scenes of {split} simulated")


def _evaluate(split: str, options: Nano, limit: TimeLimit) -> None:
    """Score the finished checkpoint, unless the report of just that is there; the report is written last."""
    from syncmv4d_cli import evaluate
    from syncmv4d_cli.provenance import is_report_of

    pages = options.work / "evaluation"
    report, checkpoint = pages / f"{split}.json", options.work / "run" / "checkpoint"
    if is_report_of(report, checkpoint, sequences=options.evaluate):
        Console().print(f"report: {report}, which was there already")
        return
    _simulate(options.work / "data", split, options.evaluate, options, limit)
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
