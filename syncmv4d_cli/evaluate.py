"""`syncmv4d evaluate`: score a checkpoint, or the baselines alone, on a split of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.baselines import TextMean
    from syncmv4d_model.evaluation.harness import Report


@dataclass(frozen=True)
class Options:
    """Score a checkpoint on a split of a data set; prints a table and writes one JSON."""

    data: Path
    """Data set: DIR/<split>/<sequence>/."""
    split: str
    """Which split, for example test_1."""
    json: Path | None = None
    """Where to write the report."""
    limit: int | None = None
    """Score only the first N sequences."""
    checkpoint: Path | None = None
    """Checkpoint folder; the bundled one when not given."""
    steps: int | None = None
    """Denoising steps; the checkpoint's default when not given."""
    samples: int = 1
    """Predictions per sequence: the first is scored, mean and best of all are reported beside it."""
    seed: int = 0
    """Seed of noise, anchors and intervals."""
    html: Path | None = None
    """Also write a self-contained HTML page here."""
    markdown: Path | None = None
    """Also write the metrics as a Markdown table here."""
    baselines_only: bool = False
    """Score the static and text-mean rows only; needs no model."""


def main(args: Sequence[str]) -> int:
    """Run the command; returns the exit code. Errors as `harness.evaluate`."""
    options = tyro.cli(Options, args=list(args), prog="syncmv4d evaluate")
    check_options(options)
    from syncmv4d_model.evaluation.harness import evaluate

    predictor, folder = None, None
    if not options.baselines_only:
        from syncmv4d_model.checkpoint import BUNDLED_NANO
        from syncmv4d_model.predictor import Predictor

        folder = options.checkpoint or BUNDLED_NANO
        predictor = Predictor.load(folder)
    console = Console()
    text_mean = load_text_mean(folder, options.data)
    if text_mean is None:
        console.print("no text mean: neither the checkpoint nor the data set's train split has one")
    with _progress(console) as bar:
        task = bar.add_task(options.split, total=None)
        report = evaluate(
            predictor,
            options.data,
            options.split,
            limit=options.limit,
            seed=options.seed,
            steps=options.steps,
            samples=options.samples,
            text_mean=text_mean,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    report.settings["checkpoint"] = identity(folder) if folder is not None else None
    write(report, options, console)
    return 0


def check_options(options: Options) -> None:
    """ValueError for numbers that make no sense and for a split that is not there, before any work."""
    from syncmv4d_model.data.sequence import list_sequences

    for name, least in {"limit": 1, "steps": 1, "samples": 1, "seed": 0}.items():
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    list_sequences(options.data, options.split)


def identity(checkpoint: Path) -> str:
    """Name and digest of a checkpoint folder: which weights a number belongs to."""
    from syncmv4d_model.checkpoint import checkpoint_hash

    return f"{checkpoint.name}@{checkpoint_hash(checkpoint)}"


def load_text_mean(checkpoint: Path | None, data: Path) -> TextMean | None:
    """The checkpoint's text mean, else one fitted on DIR/train, else None."""
    from syncmv4d_model.data.sequence import list_sequences, read_sequence
    from syncmv4d_model.evaluation.baselines import TextMean

    if checkpoint is not None and (checkpoint / "text_mean.safetensors").is_file():
        return TextMean.load(checkpoint / "text_mean.safetensors")
    if not (data / "train").is_dir():
        return None
    return TextMean.fit(read_sequence(directory, with_video=False) for directory in list_sequences(data, "train"))


def write(report: Report, options: Options, console: Console) -> None:
    """Print the table and write what was asked for."""
    from syncmv4d_model.data.atomic import write_bytes
    from syncmv4d_model.evaluation.report import markdown_table, terminal_table, write_html

    console.print(terminal_table(report))
    if options.json is not None:
        report.write_json(options.json)
        console.print(f"report: {options.json}")
    if options.html is not None:
        write_html(report, options.html)
        console.print(f"page: {options.html}")
    if options.markdown is not None:
        write_bytes(options.markdown, markdown_table(report).encode())


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
