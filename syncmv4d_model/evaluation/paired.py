"""Two methods on the same sequences: how much better one is, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from syncmv4d_model.evaluation.statistics import CONFIDENCE, RESAMPLES

Report = Mapping[str, Any]
"""JSON of `syncmv4d evaluate`: its `rows` have `sequence` and the scores."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float
    sequences: int
    trainings: int

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def scores_of(reports: Sequence[Report], metric: str) -> tuple[list[str], Float[np.ndarray, "trainings sequences"]]:
    """A metric of several trainings of one method: names of the sequences that all reports have, and the scores; NaN for null.

    ValueError for no report, for a metric that they do not know, and for reports that share no sequence.
    """
    if not reports:
        raise ValueError("there is no report to compare")
    tables = [{row["sequence"]: row for row in report["rows"]} for report in reports]
    names = [name for name in tables[0] if all(name in table for table in tables)]
    if not names:
        raise ValueError("the reports have no sequence in common")
    if any(metric not in table[name] for table in tables for name in names):
        raise ValueError(f"not every report has a score {metric!r}")
    scores = [[table[name][metric] for name in names] for table in tables]
    return names, np.array([[np.nan if value is None else value for value in row] for row in scores], dtype=np.float64)


def compared(
    ours: Sequence[Report],
    others: Sequence[Report],
    metric: str,
    *,
    by: Literal["ratio", "difference"] = "ratio",
    seed: int = 0,
) -> Estimate:
    """Mean score of `ours` over, or minus, that of `others`, on the sequences that all have, with a 95 % bootstrap interval.

    The i-th reports of both belong together (trainings from the same seed): a resample draws trainings and sequences, each
    with its partner. With one training the interval says nothing of what another would have given. ValueError as scores_of,
    for numbers of trainings that differ, and where no sequence has both scores or the others' mean is 0.
    """
    if len(ours) != len(others):
        raise ValueError(f"trainings are compared one to one, got {len(ours)} and {len(others)}")
    (first_names, first), (second_names, second) = scores_of(ours, metric), scores_of(others, metric)
    names = [name for name in first_names if name in second_names]
    if not names:
        raise ValueError("the reports have no sequence in common")
    first = first[:, [first_names.index(name) for name in names]]
    second = second[:, [second_names.index(name) for name in names]]
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        raise ValueError(f"no sequence has a {metric} of both")
    sums = [np.where(known, scores, 0.0) for scores in (first, second)]
    weights = resampled(*known.shape, seed=seed)
    above, below, count = (_weighted(part, weights) for part in (*sums, known.astype(np.float64)))
    total = [float(part.sum()) for part in sums]
    if by == "difference":
        value, drawn = (total[0] - total[1]) / known.sum(), (above - below)[count > 0] / count[count > 0]
    else:
        if total[1] == 0:
            raise ValueError(f"the others' mean {metric} is 0: there is no ratio")
        value, drawn = total[0] / total[1], above[below != 0] / below[below != 0]
    return _estimate(value, drawn, known)


def averaged(reports: Sequence[Report], metric: str, *, seed: int = 0) -> Estimate:
    """Mean score over trainings and sequences; intervals and errors as `compared`."""
    _, scores = scores_of(reports, metric)
    known = np.isfinite(scores)
    if not known.any():
        raise ValueError(f"no sequence has a {metric}")
    weights = resampled(*scores.shape, seed=seed)
    sums = np.where(known, scores, 0.0)
    count = _weighted(known.astype(np.float64), weights)
    drawn = _weighted(sums, weights)[count > 0] / count[count > 0]
    return _estimate(float(sums.sum() / known.sum()), drawn, known)


def resampled(trainings: int, sequences: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each resample draws each training [R trainings] and each sequence [R sequences]."""
    rng = np.random.default_rng(seed)
    return tuple(  # pyright: ignore[reportReturnType]
        rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(np.float64)
        for size in (trainings, sequences)
    )


def _weighted(scores: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> Float[np.ndarray, "R"]:
    return np.einsum("rt,ts,rs->r", weights[0], scores, weights[1])


def _estimate(value: float, drawn: np.ndarray, known: np.ndarray) -> Estimate:
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(bound) for bound in np.quantile(drawn, [tail, 1 - tail]))
    return Estimate(float(value), low, high, sequences=int(known.any(0).sum()), trainings=len(known))
