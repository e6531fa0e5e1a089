"""`syncmv4d evaluate --predictions | --method`: what a method has written, reference rows as methods, and what is kept of a report
that is not finished.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from syncmv4d_cli.least import check_least

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.baselines import TextMean
    from syncmv4d_model.evaluation.cluster import RayExecutor
    from syncmv4d_model.evaluation.image_networks import ImageNetworks
    from syncmv4d_model.evaluation.kept_rows import KeptRows
    from syncmv4d_model.evaluation.methods import Written

MethodName = Literal[
    "tracks",
    "wan2.2",
    "das",
    "sv4d2",
    "svimo",
    "geo4d",
    "geometrycrafter",
    "static",
    "text_mean",
    "floor_mean",
    "floor_sample",
]
REFERENCE_NAMES = ("static", "text_mean", "floor_mean", "floor_sample")


@dataclass(frozen=True)
class WrittenOptions:
    """Whose predictions, and how they are read."""

    predictions: Path | None = None
    """Instead of a model: a folder DIR that any method has written, DIR/<sequence>/{<view>.mp4, tracks.npz}; see docs/guides/evaluation.md."""
    method: MethodName = "tracks"
    """How --predictions are read and aligned: tracks takes metric tracks as they are; a baseline's name brings its own rule. static,
    text_mean, floor_mean and floor_sample need no --predictions: the reference rows, which are given the true frame 0, with every
    score that a method has."""
    points: int | None = None
    """Score them at the N anchors a view that a model of so many points is asked for; at all of the truth's when not given."""

    @property
    def given(self) -> bool:
        """Whether they are to be scored, instead of a model."""
        return self.predictions is not None or self.method in REFERENCE_NAMES


def check_written(options: WrittenOptions, *, others: Mapping[str, object]) -> None:
    """ValueError for what goes with no predictions, or not with them; FileNotFoundError without their folder."""
    check_least(options, {"points": 1})
    if not options.given:
        given = [name for name in ("method", "points") if getattr(options, name) != getattr(WrittenOptions(), name)]
        if given:
            raise ValueError(f"--{given[0]} is of --predictions, which are not given")
        return
    refused = [name for name, value in others.items() if value]
    if refused:
        ours = f"--method {options.method}" if options.predictions is None else "--predictions"
        raise ValueError(f"--{refused[0].replace('_', '-')} is of a model, and {ours} runs none")
    if options.predictions is None:
        return
    if options.method in REFERENCE_NAMES:
        raise ValueError(f"--method {options.method} is computed from the data set: leave --predictions out")
    if not options.predictions.is_dir():
        raise FileNotFoundError(f"no folder {options.predictions}: --predictions holds one folder per sequence")


def written(
    options: WrittenOptions, *, seed: int, text_mean: TextMean | None, networks: ImageNetworks | None
) -> Written:
    """What scores the predictions, or the reference."""
    from syncmv4d_model.evaluation.methods import Written
    from syncmv4d_model.evaluation.reference import REFERENCES
    from syncmv4d_model.evaluation.written import METHODS, WrittenPredictions

    if options.predictions is None:
        return Written(REFERENCES[options.method], seed, options.points, text_mean, networks)
    predictions = WrittenPredictions(options.predictions, METHODS[options.method])
    return Written(predictions, seed, options.points, text_mean, networks)


def settings_of(options: WrittenOptions) -> dict[str, Any]:
    """For the report: whose numbers they are."""
    from syncmv4d_model.evaluation.written import METHODS

    if not options.given:
        return {}
    if options.predictions is None:
        return {"method": options.method, "alignment": "none", "points": options.points}
    method = METHODS[options.method]
    return {
        "predictions": str(options.predictions),
        "method": options.method,
        "alignment": method.alignment,
        "points": options.points,
    }


def kept_rows(
    report: Path | None, asked: Mapping[str, Any], folders: list[Path], options: WrittenOptions
) -> KeptRows | None:
    """What an earlier call scored towards the same report; None for a report that is not written. Files of the sequences' `folders`,
    or of their predictions, that have changed since make it another one.
    """
    from syncmv4d_model.evaluation.kept_rows import KeptRows

    if report is None:
        return None
    states = [
        (str(file), state.st_size, state.st_mtime_ns)
        for folder in (*folders, *(options.predictions / name.name for name in folders if options.predictions))
        for file in sorted(folder.glob("*"))
        for state in (file.stat(),)
    ]
    report.parent.mkdir(parents=True, exist_ok=True)
    return KeptRows(rows_beside(report), {**asked, "files": states})


def rows_beside(report: Path) -> Path:
    """Where the scored sequences of an unfinished report are kept."""
    return report.with_name(f".{report.name}.rows")


def default_workers(*, model: bool) -> int:
    """All cores where nothing but reading and scoring is to be done; a model on the CPU has them all already."""
    return 1 if model else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def executor_of(cluster: str | None, *, model: bool) -> Iterator[RayExecutor | None]:
    """A cluster's executor while the block runs; a model takes as many cores a task as torch has here."""
    if cluster is None:
        yield None
        return
    from syncmv4d_model.evaluation.cluster import RayExecutor

    cores = 1
    if model:
        import torch

        cores = torch.get_num_threads()
    with RayExecutor(cluster, cores=cores) as executor:
        yield executor
