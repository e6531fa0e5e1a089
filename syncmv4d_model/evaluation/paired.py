"""Two methods on the same sequences: how much better one is, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from syncmv4d_model.evaluation.statistics import CONFIDENCE, RESAMPLES

Report = Mapping[str, Any]
"""JSON of `syncmv4d evaluate`: its `rows` have `sequence` and the scores."""


DIFFERENCES = ("psnr", "spearman")
"""Scores whose names hold one of these words have no meaningful ratio: they are compared by their difference."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, none where one sequence alone has the score."""

    value: float
    interval: tuple[float, float] | None
    sequences: int
    trainings: int
    by: Literal["mean", "ratio", "difference"]


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


def compared(ours: Sequence[Report], others: Sequence[Report], metric: str, *, seed: int = 0) -> Estimate:
    """Mean score of `ours` over that of `others` (minus it, for DIFFERENCES), on the sequences that all have.

    The i-th reports of both belong together (trainings from the same seed). The interval is that of bootstrap resamples which draw
    trainings and sequences, each with its partner; and of several trainings at least Student's t of their own ratios' logarithms
    (or differences), for three trainings resampled say little of a fourth. Of one training it says nothing of what another would have
    given. ValueError as scores_of, for numbers of trainings that differ, and where no sequence has both scores or the others'
    mean is 0.
    """
    if len(ours) != len(others):
        raise ValueError(f"trainings are compared one to one, got {len(ours)} and {len(others)}")
    (first_names, first), (second_names, second) = scores_of(ours, metric), scores_of(others, metric)
    names = [name for name in first_names if name in second_names]
    if not names:
        raise ValueError("the reports have no sequence in common")
    check_anchors([*ours, *others])
    first = first[:, [first_names.index(name) for name in names]]
    second = second[:, [second_names.index(name) for name in names]]
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        raise ValueError(f"no sequence has a {metric} of both")
    parts = [np.where(known, scores, 0.0) for scores in (first, second)]
    weights = resampled(*known.shape, seed=seed)
    above, below, count = (_weighted(part, weights) for part in (*parts, known.astype(np.float64)))
    if any(word in metric for word in DIFFERENCES):
        value, drawn = (parts[0] - parts[1]).sum() / known.sum(), (above - below)[count > 0] / count[count > 0]
        each = (parts[0] - parts[1]).sum(1)[known.any(1)] / known.sum(1)[known.any(1)]
        return _estimate(value, drawn, known, by="difference", trained=_student(each))
    if parts[1].sum() == 0:
        raise ValueError(f"the others' mean {metric} is 0: there is no ratio")
    value, drawn = parts[0].sum() / parts[1].sum(), above[below != 0] / below[below != 0]
    trained, sums = None, (parts[0].sum(1), parts[1].sum(1))
    if all((part > 0).all() for part in sums):
        bounds = _student(np.log(sums[0] / sums[1]))
        trained = bounds and (float(np.exp(bounds[0])), float(np.exp(bounds[1])))
    return _estimate(value, drawn, known, by="ratio", trained=trained)


def check_anchors(reports: Iterable[Report]) -> None:
    """ValueError where reports have scored a sequence at different points; older reports do not say at which."""
    known: dict[str, str] = {}
    for report in reports:
        for row in report["rows"]:
            if (anchors := row.get("anchors")) is not None and known.setdefault(row["sequence"], anchors) != anchors:
                raise ValueError(
                    f"sequence {row['sequence']} was scored at other points ({known[row['sequence']]} and {anchors}): "
                    "evaluate both with the same --seed, and written predictions with the model's number of --points"
                )


def _student(values: np.ndarray) -> tuple[float, float] | None:
    """Student's interval of the mean of a few values; None for one."""
    if len(values) < 2:
        return None
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


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
    each = sums.sum(1)[known.any(1)] / known.sum(1)[known.any(1)]
    return _estimate(sums.sum() / known.sum(), drawn, known, by="mean", trained=_student(each))


def resampled(trainings: int, sequences: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each resample draws each training [R trainings] and each sequence [R sequences]."""
    rng = np.random.default_rng(seed)
    return tuple(  # pyright: ignore[reportReturnType]
        rng.multinomial(size, np.full(size, 1 / size), size=RESAMPLES).astype(np.float64)
        for size in (trainings, sequences)
    )


def _weighted(scores: np.ndarray, weights: tuple[np.ndarray, np.ndarray]) -> Float[np.ndarray, "R"]:
    return np.einsum("rt,ts,rs->r", weights[0], scores, weights[1])


def _estimate(
    value: float,
    drawn: np.ndarray,
    known: np.ndarray,
    *,
    by: Literal["mean", "ratio", "difference"],
    trained: tuple[float, float] | None,
) -> Estimate:
    """With the wider of both intervals on either side; with none where one sequence alone is known."""
    sequences, interval = int(known.any(0).sum()), None
    if sequences > 1:
        tail = (1 - CONFIDENCE) / 2
        low, high = (float(bound) for bound in np.quantile(drawn, [tail, 1 - tail]))
        interval = (low, high) if trained is None else (min(low, trained[0]), max(high, trained[1]))
    return Estimate(float(value), interval, sequences, trainings=len(known), by=by)
