"""Is the predicted standard deviation honest: the counts of one sequence, small enough for its row, and of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.case import Case

EDGES_CM = tuple(float(f"{edge:.2g}") for edge in np.geomspace(0.1, 20, 12))
"""Bins of the predicted stddev, the same for every sequence; the first and the last are open."""
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Probabilities of the central intervals whose coverage is counted."""
RULE = (
    f"points that the truth sees, all frames, per axis: how many have a predicted stddev in each bin (edges {', '.join(map(str, EDGES_CM))} cm, "
    "the outer bins open), root mean squares of stddev and error there (cm), and the share of coordinates inside the central "
    f"intervals of probability {', '.join(map(str, LEVELS))}"
)


def reliability_of(case: Case) -> dict[str, list[Any]] | None:
    """Of one sequence: `count`, `stddev_cm` and `error_cm` per bin (null where it is empty), `coverage` per level; None where
    the method predicts no tracks or no standard deviation.
    """
    try:
        error, stddev = case.seen_errors_and_stddev
        error_cm, stddev_cm = 100 * error, 100 * stddev.astype(np.float64)
        count, deviation, error = metrics.reliability_curve(error_cm, stddev_cm, np.array(EDGES_CM))
        coverage = metrics.coverage_curve(error_cm, stddev_cm, LEVELS)
    except ValueError:
        return None
    return {
        "count": count.tolist(),
        "stddev_cm": _short(deviation),
        "error_cm": _short(error),
        "coverage": _short(coverage),
    }


def pooled(rows: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray] | None:
    """The same over all points of a report's rows, arrays; None where no row has it."""
    known = [row["reliability"] for row in rows if row.get("reliability") is not None]
    if not known:
        return None
    count = np.array([one["count"] for one in known], dtype=np.float64)
    pooled: dict[str, np.ndarray] = {"count": count.sum(0)}
    for name in ("stddev_cm", "error_cm"):
        squares = np.array([one[name] for one in known], dtype=np.float64) ** 2
        total = (np.where(count > 0, squares, 0) * count).sum(0)
        pooled[name] = np.sqrt(total / np.where(pooled["count"] > 0, pooled["count"], np.nan))
    coverage = np.array([one["coverage"] for one in known], dtype=np.float64)
    pooled["coverage"] = np.average(coverage, axis=0, weights=count.sum(1))
    return pooled


def _short(values: np.ndarray) -> list[float | None]:
    """Five digits are enough to draw."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
