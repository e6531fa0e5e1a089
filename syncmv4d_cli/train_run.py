"""`syncmv4d train init | run`: from a data set to a checkpoint."""

from __future__ import annotations

import importlib.util
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from syncmv4d_cli.device import CPU, check_device
from syncmv4d_cli.folder_claim import differing_claim
from syncmv4d_cli.least import check_least
from syncmv4d_cli.train_curves import CURVES, LOG, write_curves
from syncmv4d_model.config import ModelConfig, SwitchConfig
from syncmv4d_model.training.plan import GuidanceSource, TrainingPlan
from syncmv4d_model.training.time_limit import TimeLimit

if TYPE_CHECKING:
    from syncmv4d_model.checkpoint import Components
    from syncmv4d_model.data.loader import LatentCache
    from syncmv4d_model.training.train import RunOptions

TEXT_MEAN = "text_mean.safetensors"


@dataclass(frozen=True)
class Init:
    """Fit codec, tokenizer and statistics to DATA's training split and write an untrained checkpoint."""

    data: Path
    """Data set folder (see `syncmv4d build-dataset`)."""
    out: Path
    """Checkpoint folder to write."""
    preset: str = "nano"
    """Configuration to start from: nano (96 x 96 px, as the bundled checkpoint) or wan5b (the paper's size)."""
    codec_sequences: int = 400
    """How many sequences the codec is fitted to."""
    switches: SwitchConfig = SwitchConfig()
    """The method's parts, for ablations; off is e.g. --switches.no-aligner."""
    seed: int = 0
    """Of the untrained weights, and of the sequences that the codec is fitted to."""


@dataclass(frozen=True)
class Run:
    """Train every stage of a checkpoint's plan. Resumes by itself.

    The stages: motion prior, point prior, joint denoiser, point aligner, closed loop, rollouts, heads, video refiner.
    """

    data: Path
    """Data set folder with the splits train and val."""
    checkpoint: Path
    """Checkpoint to start from, as `train init` writes it."""
    out: Path
    """Run folder: state, log, its curves as a picture, latent cache, validation pictures, and at the end `checkpoint/`."""
    scale: float = 1.0
    """Multiplies the plan's steps."""
    guidance_source: GuidanceSource = "clean"
    """Tracks fed back in training: from the model's clean estimate, or from noisy latents as Algorithm 1 is printed."""
    minutes: float = math.inf
    """Stop after this long; the same command continues."""
    seed: int = 0
    """Of the order of sequences, noise and times: the same seed on the same machine gives the same bits."""
    device: str = CPU
    """Where it is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    bf16: bool = False
    """Autocast to bfloat16."""
    compile: bool = False
    """torch.compile the joint denoiser (about a minute at each start, faster steps)."""
    gradient_checkpointing: bool = False
    """Compute the joint denoiser's blocks again in the backward pass: less memory, slower."""
    save_every: int = 250
    """Steps between saved states, each with a validation; what a killed run loses at most."""


def init(options: Init, limit: TimeLimit | None = None) -> None:
    """Write an untrained checkpoint. ValueError for an unknown preset, no sequence, or a folder that holds a checkpoint;
    OutOfTime, and nothing is written, when the limit is over.
    """
    from syncmv4d_model.config import PRESETS
    from syncmv4d_model.training.prepare import prepare

    if options.preset not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {options.preset!r}")
    check_least(options, {"codec_sequences": 1})
    if (options.out / TEXT_MEAN).exists():
        raise ValueError(f"{options.out} holds a checkpoint already: choose another folder, or remove it first")
    with _bars() as bars:
        show = _tracker(bars)

        def progress(what: str, done: int, total: int) -> None:
            show(what, done, total)
            (limit or TimeLimit()).check(f"untrained checkpoint: {what} {done} of {total}, begins anew")

        prepare(
            replace(PRESETS[options.preset], switches=options.switches),
            options.data,
            options.out,
            seed=options.seed,
            codec_sequences=options.codec_sequences,
            progress=progress,
        )
    Console().print(f"untrained checkpoint: {options.out}")


def run(options: Run, limit: TimeLimit, *, plan: TrainingPlan | None = None, latents: Path | None = None) -> None:
    """Train, validate, and write the finished checkpoint; nothing is done again where it is there already.

    A `plan` replaces that of the configuration's preset. Encoded sequences lie in `latents`, which runs whose codec and data
    are the same may share; OUT/latents when not given.
    ValueError as check_run, and for a folder of another run; OutOfTime when the limit is over, and then the same options go on.
    """
    from syncmv4d_model.checkpoint import load_components
    from syncmv4d_model.data.sequence import list_sequences
    from syncmv4d_model.training.train import RunOptions, train

    console = Console()
    check_run(options)
    components = load_components(options.checkpoint)
    plan = (plan or _plan_of(components.config)).for_config(components.config)
    plan = plan.with_guidance(options.guidance_source).scaled(options.scale)
    sequences = {split: list_sequences(options.data, split) for split in ("train", "val")}
    options.out.mkdir(parents=True, exist_ok=True)
    claim_folder(options, components.config, plan, sequences)
    finished = options.out / "checkpoint"
    if (finished / TEXT_MEAN).is_file():
        console.print(f"trained checkpoint: {finished}, which was there already")
        return
    latents = latents or options.out / "latents"
    caches = {split: _encoded(split, paths, components, latents, limit) for split, paths in sequences.items()}
    machine = RunOptions(
        bf16=options.bf16,
        compile=options.compile,
        gradient_checkpointing=options.gradient_checkpointing,
        device=options.device,
        limit=limit,
        save_every=options.save_every,
    )
    try:
        train(
            components, caches["train"], plan,
            run_dir=options.out, seed=options.seed, options=machine,
            report=lambda stage, step, figures: console.print(_line(stage, step, figures), highlight=False),
            validate=lambda stage, step: _validate(components, caches["val"], options, stage, step),
        )  # fmt: skip
    finally:
        _draw_curves(options.out, console)
    _write_finished(components, caches["val"], options, machine, plan)
    console.print(f"trained checkpoint: {finished}")


def _plan_of(config: ModelConfig) -> TrainingPlan:
    from syncmv4d_model.training.plan import PLANS

    if config.name not in PLANS:
        raise ValueError(f"no training plan for {config.name!r}, only for {', '.join(PLANS)}")
    return PLANS[config.name]


def _encoded(split: str, paths: list[Path], components: Components, latents: Path, limit: TimeLimit) -> LatentCache:
    from syncmv4d_model.data.loader import build_cache
    from syncmv4d_model.data.sequence import read_sequence

    with _bars() as bars:
        show = _tracker(bars)

        def progress(done: int, total: int) -> None:
            show(f"encode {split}", done, total)
            limit.check(f"{done:,} of {total:,} sequences of {split} encoded")

        return build_cache(paths, read_sequence, components, latents / split, progress=progress)


def _write_finished(
    components: Components, cache: LatentCache, options: Run, machine: RunOptions, plan: TrainingPlan
) -> None:
    """Calibrate the deviations where the plan has trained any, and write the checkpoint without what only training needs."""
    from syncmv4d_model.checkpoint import save_components
    from syncmv4d_model.training.kept_samples import KeptSamples
    from syncmv4d_model.training.plan import NEED_ALIGNER
    from syncmv4d_model.training.rollouts import stddev_temperature

    if any(stage.stage in NEED_ALIGNER for stage in plan.stages):
        kept = KeptSamples(options.out / "sampled" / "calibration", machine.limit, machine.device)
        count = min(64, len(cache))
        temperature = stddev_temperature(components, cache, count=count, seed=options.seed, kept=kept)
        components = replace(components, statistics=replace(components.statistics, stddev_temperature=temperature))
    save_components(options.out / "checkpoint", components, beside=[options.checkpoint / TEXT_MEAN])
    shutil.rmtree(options.out / "sampled", ignore_errors=True)


def check_run(options: Run) -> None:
    """What would otherwise be found out hours later. ValueError, and FileNotFoundError for a start that is missing or half-written."""
    from syncmv4d_model.checkpoint_index import read_index

    check_machine(options)
    read_index(options.checkpoint)
    if not (options.checkpoint / TEXT_MEAN).is_file():
        raise FileNotFoundError(f"{options.checkpoint} lacks {TEXT_MEAN}: write it again with `syncmv4d train init`")


def check_machine(options: Run) -> None:
    """What can be found out before there is any data: numbers that make no sense, a device that is not there. ValueError."""
    if not 0 < options.scale < math.inf:
        raise ValueError(f"--scale must be positive and finite, got {options.scale:g}")
    check_least(options, {"minutes": 0, "seed": 0, "save_every": 1})
    check_device(options.device)


def claim_folder(
    options: Run, config: ModelConfig, plan: TrainingPlan, sequences: Mapping[str, Sequence[Path]]
) -> None:
    """Note in a new run folder what its latents, samples and state belong to: which sequences a step draws depends on their number; ValueError if an older one belongs to something else."""
    from syncmv4d_model.checkpoint_index import checkpoint_hash
    from syncmv4d_model.config import to_dict

    path = options.out / "run.json"
    if not path.exists():
        left = [name for name in ("state.pt", "start.pt", "latents", "sampled") if (options.out / name).exists()]
        if left:
            raise ValueError(f"{options.out} holds {left[0]} of a run but no run.json: choose another --out")
    differing = differing_claim(
        path,
        {
            "data": str(options.data.resolve()),
            "checkpoint": checkpoint_hash(options.checkpoint),
            "sequences": ", ".join(f"{len(paths)} of {split}" for split, paths in sequences.items()),
            "seed": options.seed,
            "config": to_dict(config),
            "plan": asdict(plan),
        },
    )
    for name, (theirs, ours) in differing.items():
        what = f"another {name} (see {path})" if isinstance(ours, dict) else f"{name} {theirs}, asked for {ours}"
        raise ValueError(f"{options.out} holds a run with {what}: choose another --out")


def _validate(components, cache, options: Run, stage: str, step: int) -> dict[str, float]:
    """Latent errors at every save; sampled tracks too once a stage has both networks; a picture of one sequence."""
    from syncmv4d_cli.preview import write_validation_picture
    from syncmv4d_model.training.plan import NEED_ALIGNER
    from syncmv4d_model.training.validate import latent_errors, track_errors

    figures = latent_errors(components, cache, sequences=min(16, len(cache)), seed=options.seed)
    if stage in NEED_ALIGNER:
        figures |= track_errors(components, cache, sequences=min(8, len(cache)), seed=options.seed)
    write_validation_picture(options.out / "pictures" / f"{stage}-{step:06d}.png", components, options.data)
    return figures


def _draw_curves(out: Path, console: Console) -> None:
    """A picture of the log, where there is one to draw and something to draw it with."""
    if not (out / LOG).is_file():
        return
    if importlib.util.find_spec("matplotlib") is None:
        console.print(f"no {CURVES}: matplotlib is not installed (pip install '.[eval]' in SyncMV4D's folder)")
        return
    try:
        write_curves(out, out / CURVES)
    except ValueError as error:  # a log that cannot be drawn hides neither how far a run came nor why it ended
        console.print(f"no {CURVES}: {error}")


def _line(stage: str, step: int, figures: dict[str, float]) -> str:
    return f"{stage} {step}: " + "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def _bars() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def _tracker(bars: Progress) -> Callable[[str, int, int], None]:
    """progress(what, done, total) as one bar for each `what`."""
    tasks: dict[str, TaskID] = {}

    def progress(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done)

    return progress
