"""`syncmv4d train finder`: the network that finds hand, tool and target, from a data set's first images."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from syncmv4d_cli.folder_claim import differing_claim
from syncmv4d_cli.least import check_least
from syncmv4d_model.config import FinderConfig
from syncmv4d_model.training.time_limit import OutOfTime, TimeLimit

if TYPE_CHECKING:
    from syncmv4d_model.networks.finder import Finder
    from syncmv4d_model.networks.text import TaskTokenizer
    from syncmv4d_model.training.finder import FinderPlan
    from syncmv4d_model.training.finder_data import FinderViews

WIDTH = 32  # of the bundled finder: 200,000 weights


@dataclass(frozen=True)
class TrainFinder:
    """Train the network that finds hand, tool and target in whole first images. Resumes by itself.

    DATA needs first images with masks and boxes (`syncmv4d build-dataset sim --frames 1`). OUT/finder is a finder that
    every command takes; it is written when training ends and whenever --minutes are over.
    """

    data: Path
    """Data set folder."""
    out: Path
    """Run folder: state, log, and the finder."""
    split: str = "train"
    """Split to learn from; `val`, where there is one, is validated on."""
    checkpoint: Path | None = None
    """Checkpoint folder that the finished finder is put into; its other parts are not touched."""
    steps: int = 8000
    """Training steps in all, over however many slices."""
    batch: int = 32
    """Views a step."""
    limit: int | None = None
    """Learn from the first so many sequences only."""
    width: int = WIDTH
    """Channels of the network at a quarter of its canvas; a multiple of 8."""
    minutes: float = math.inf
    """Stop after this long; the same command continues, to the same result as an uninterrupted run."""
    seed: int = 0
    """Seed of the initial weights, the order of views and the augmentation."""


def train_finder(options: TrainFinder, limit: TimeLimit) -> None:
    """Train, write OUT/finder, and put it into the checkpoint. ValueError for data that have no first images or a
    folder of another run; OutOfTime when the limit is over, and then the same options go on.
    """
    from syncmv4d_model.checkpoint_index import FINDER, read_index
    from syncmv4d_model.data.sequence import list_sequences, list_splits
    from syncmv4d_model.finder_files import add_finder, load_finder, save_finder
    from syncmv4d_model.training.finder import FinderPlan

    check_least(options, {"steps": 1, "batch": 1, "limit": 1, "width": 8, "minutes": 0, "seed": 0})
    if options.checkpoint is not None:
        read_index(options.checkpoint)
    plan = FinderPlan(steps=options.steps, batch=options.batch)
    paths = {options.split: list_sequences(options.data, options.split, limit=options.limit)}
    if "val" in list_splits(options.data) and options.split != "val":
        paths["val"] = list_sequences(options.data, "val", limit=100)
    config = FinderConfig(width=options.width)
    options.out.mkdir(parents=True, exist_ok=True)
    _claim(options, config, plan, paths)
    finished, done_note = options.out / FINDER, options.out / "finished"
    if not done_note.exists():
        finder = _start(paths[options.split], config, options.seed)
        views = {split: _read(split, found, finder) for split, found in paths.items()}
        steps = _train(finder, views, options, plan, limit)
        save_finder(finished, finder)
        if steps < plan.steps:
            raise OutOfTime(f"{steps:,} of {plan.steps:,} steps; {finished} is as good as that")
        done_note.touch()
    if options.checkpoint is not None:
        add_finder(options.checkpoint, load_finder(finished))
    Console().print(f"finder: {options.checkpoint or finished}")


def _claim(options: TrainFinder, config: FinderConfig, plan: FinderPlan, paths: dict[str, list[Path]]) -> None:
    """Note in a new run folder what its state belongs to; ValueError if an older one belongs to something else."""
    ours = {
        "data": str(options.data.resolve()),
        "sequences": ", ".join(f"{len(found)} of {split}" for split, found in paths.items()),
        "seed": options.seed,
        "config": asdict(config),
        "plan": asdict(plan),
    }
    for name, (theirs, asked) in differing_claim(options.out / "run.json", ours).items():
        raise ValueError(f"{options.out} holds a run with {name} {theirs}, asked for {asked}: choose another --out")


def _start(paths: list[Path], config: FinderConfig, seed: int) -> Finder:
    """An untrained finder whose tokenizer knows the sentences."""
    import torch

    from syncmv4d_model.data.sequence import TASK_FILE
    from syncmv4d_model.networks.finder import Finder

    sentences = [(path / TASK_FILE).read_text(encoding="utf-8").strip() for path in paths]
    tokenizer = _tokenizer(sentences, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Finder(config, tokenizer)


def _tokenizer(sentences: list[str], config: FinderConfig) -> TaskTokenizer:
    from syncmv4d_model.networks.text import train_tokenizer

    return train_tokenizer(sentences, config.vocabulary)


def _read(split: str, paths: list[Path], finder: Finder) -> FinderViews:
    from syncmv4d_model.training.finder_data import read_views

    with _bars() as bars:
        task = bars.add_task(f"read {split}", total=len(paths))
        return read_views(
            paths, finder.config, finder.tokenize, progress=lambda done, _: bars.update(task, completed=done)
        )


def _train(
    finder: Finder, views: dict[str, FinderViews], options: TrainFinder, plan: FinderPlan, limit: TimeLimit
) -> int:
    from syncmv4d_model.training.finder import train_finder as train

    with _bars() as bars:
        task = bars.add_task("finder", total=plan.steps)

        def report(step: int, figures: dict[str, float]) -> None:
            bars.update(task, completed=step)
            if "contained" in figures:
                shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
                bars.console.print(f"finder {step}: {shown}", highlight=False)

        return train(
            finder,
            views[options.split],
            plan,
            run_dir=options.out,
            seed=options.seed,
            limit=limit,
            report=report,
            validation=views.get("val"),
        )


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )
