"""`syncmv4d train ablation`: the paper's Tab. 3 and 4 at nano scale, as a queue that goes on where it was stopped."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from syncmv4d_cli.device import CPU
from syncmv4d_cli.folder_claim import differing_claim
from syncmv4d_cli.least import check_least
from syncmv4d_cli.train_run import TEXT_MEAN, Init, Run, check_machine, init, run
from syncmv4d_model.training.ablation import VARIANTS, Job, Variant, queue
from syncmv4d_model.training.time_limit import TimeLimit

CLAIM = "ablation.json"
LEFT_OF_A_RUN = ("state.pt", "start.pt", "untrained")
"""Of a finished training, what only going on with it needs."""


@dataclass(frozen=True)
class Ablation:
    """Train every variant of the paper's Tab. 3 and 4 and score it. Resumes by itself.

    What variants have in common is trained once: the networks that expect motion and points, then the joint denoiser, then what
    comes with aligner and cycle; in each of these rounds every variant takes as many steps. `syncmv4d tables` makes tables of the
    reports in OUT/reports. OUT grows by the encoded sequences, 1.2 MB each, and once more for tracking_video.
    """

    data: Path
    """Data set folder with the splits train, val and those that are scored."""
    out: Path = Path("out/ablation")
    """Folder for trainings, checkpoints and reports."""
    start: Path | None = None
    """Untrained checkpoint, as `train init` writes it, whose codec, tokenizer and statistics all variants take (default: one is
    fitted to DATA)."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Which of full, no_cycle, no_aligner, one_by_one, no_prior, video_only, tracking_video."""
    seeds: int = 3
    """Trainings of full, no_cycle and no_aligner, each from the joint denoiser on."""
    other_seeds: int = 1
    """Trainings of the other variants."""
    splits: tuple[str, ...] = ("test_1", "test_3")
    """Splits that every variant is scored on."""
    limit: int = 64
    """Sequences of each split."""
    scale: float = 1.0
    """Multiplies all steps."""
    minutes: float = math.inf
    """Stop after this long; the same command continues."""
    seed: int = 0
    """Of the untrained checkpoint and of the evaluations."""
    device: str = CPU
    """Where it is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    bf16: bool = True
    """Autocast to bfloat16."""
    compile: bool = True
    """torch.compile the joint denoiser (about a minute at each training's start, faster steps)."""


def ablation(options: Ablation, limit: TimeLimit) -> None:
    """Train and score what is not there yet, in the queue's order.

    ValueError for a variant or a split that there is not, numbers that make no sense, and a folder of another ablation;
    OutOfTime when the limit is over, and then the same options go on.
    """
    jobs = checked_queue(options)
    console = Console()
    options.out.mkdir(parents=True, exist_ok=True)
    start = options.start or options.out / "untrained"
    claim(options)
    if not (start / TEXT_MEAN).is_file():
        init(Init(options.data, start, seed=options.seed), limit.for_the_whole())
    for number, job in enumerate(jobs, start=1):
        console.print(f"{number} of {len(jobs)}: {job.name}", style="bold")
        train_job(job, options, start, limit)
        if job.variant is not None:
            for split in options.splits:
                score_job(job, job.variant, split, options, limit)
    console.print(f"reports: {options.out / 'reports'}")


def checked_queue(options: Ablation) -> list[Job]:
    """The trainings in their order; ValueError for whatever would stop them hours later."""
    from syncmv4d_model.data.sequence import list_sequences

    if unknown := [name for name in options.variants if name not in VARIANTS]:
        raise ValueError(f"--variants are of {', '.join(VARIANTS)}, got {unknown[0]!r}")
    check_least(options, {"seeds": 1, "other_seeds": 1, "limit": 1, "minutes": 0, "seed": 0})
    check_machine(Run(options.data, options.out, options.out, scale=options.scale, device=options.device))
    for split in ("train", "val", *options.splits):
        list_sequences(options.data, split)
    if options.start is not None and not (options.start / TEXT_MEAN).is_file():
        raise FileNotFoundError(f"{options.start} is no checkpoint of `syncmv4d train init`: it lacks {TEXT_MEAN}")
    chosen = [VARIANTS[name] for name in dict.fromkeys(options.variants)]
    return queue(chosen, seeds=options.seeds, other_seeds=options.other_seeds, scale=options.scale)


def plan_of(scale: float) -> dict[str, Any]:
    """Every stage that any variant trains, whichever are asked for now."""
    jobs = queue(list(VARIANTS.values()), seeds=1, scale=scale)
    return {f"{job.name}: {stage.stage}": asdict(stage) for job in jobs for stage in job.stages}


def claim(options: Ablation) -> None:
    """Note in a new folder what every training in it has in common; ValueError if an older one holds something else. Variants,
    seeds and splits may be added later.
    """
    from syncmv4d_model.checkpoint_index import checkpoint_hash
    from syncmv4d_model.data.sequence import list_sequences

    differing = differing_claim(
        options.out / CLAIM,
        {
            "data": str(options.data.resolve()),
            "sequences": {split: len(list_sequences(options.data, split)) for split in ("train", "val")},
            "plan": plan_of(options.scale),
            "bf16": options.bf16,
            "start": None if options.start is None else checkpoint_hash(options.start),
            "scale": options.scale,
            "seed": options.seed,
        },
    )
    for name, (theirs, ours) in differing.items():
        what = "another plan" if name == "plan" else f"{name} {theirs}, asked for {ours}"
        raise ValueError(f"{options.out} holds an ablation with {what}: choose another --out")


def train_job(job: Job, options: Ablation, start: Path, limit: TimeLimit) -> None:
    """Train one job of the queue, unless its checkpoint is there."""
    folder = folder_of(job.name, options)
    if not (folder / "checkpoint" / TEXT_MEAN).is_file():
        _train(job, options, start, folder, limit)
    for name in LEFT_OF_A_RUN:
        left = folder / name
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _train(job: Job, options: Ablation, start: Path, folder: Path, limit: TimeLimit) -> None:
    begun = folder / "untrained"
    if not (begun / TEXT_MEAN).is_file():
        write_start(job, start if job.start is None else folder_of(job.start, options) / "checkpoint", begun)
    settings = Run(
        options.data,
        begun,
        folder,
        seed=job.seed,
        device=options.device,
        bf16=options.bf16,
        compile=options.compile,
    )
    latents = options.out / ("latents-tracking_video" if job.switches.tracking_video else "latents")
    run(settings, limit, plan=job.plan, latents=latents)


def write_start(job: Job, source: Path, folder: Path) -> None:
    """The job's own untrained checkpoint: what it keeps of the source, and new networks for the rest."""
    import torch

    from syncmv4d_model.checkpoint import load_components, save_components

    components = load_components(source, change=job.config, keep=job.keeps, seed=job.seed)
    save_components(folder, components, dtype=torch.float32, beside=[source / TEXT_MEAN])


def score_job(job: Job, variant: Variant, split: str, options: Ablation, limit: TimeLimit) -> None:
    """Write a variant's report of a split, unless it is there."""
    from syncmv4d_cli import evaluate
    from syncmv4d_cli.provenance import is_report_of
    from syncmv4d_model.data.sequence import list_sequences

    checkpoint = folder_of(job.name, options) / "checkpoint"
    report = options.out / "reports" / split / f"{job.name}.json"
    count = len(list_sequences(options.data, split, limit=options.limit))
    if is_report_of(report, checkpoint, sequences=count):
        return
    report.parent.mkdir(parents=True, exist_ok=True)
    chosen = evaluate.Options(
        data=options.data,
        split=split,
        limit=options.limit,
        checkpoint=checkpoint,
        seed=options.seed,
        device=options.device,
        json=report,
    )
    evaluate.score_split(chosen, limit, show=False)


def folder_of(job: str, options: Ablation) -> Path:
    """Where a training lies."""
    return options.out / "trainings" / job
