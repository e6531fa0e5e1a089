"""From per-sequence rows to data-set means with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95

Row = Mapping[str, float | None]


def summarise(
    rows: Seq[Row], ratios: Mapping[str, tuple[str, str]], *, seed: int
) -> tuple[dict[str, float | None], dict[str, list[float] | None]]:
    """Means over sequences and their 95 % intervals (percentile bootstrap over sequences, seeded).

    A mean leaves out the rows where the score is null; a ratio is the ratio of the two means over the rows that have
    both. What no row has is None, and so is the interval of what a single row has. Raises ValueError without a row.
    """
    if not rows:
        raise ValueError("there is no sequence to summarise")
    draws = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    means: dict[str, float | None] = {}
    intervals: dict[str, list[float] | None] = {}
    for name in rows[0]:
        means[name], intervals[name] = _summary(_column(rows, name), None, draws)
    for name, (above, below) in ratios.items():
        means[name], intervals[name] = _summary(_column(rows, above), _column(rows, below), draws)
    return means, intervals


def _column(rows: Seq[Row], name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=np.float64)


def _summary(
    values: np.ndarray, below: np.ndarray | None, draws: np.ndarray
) -> tuple[float | None, list[float] | None]:
    below = np.ones_like(values) if below is None else below
    known = np.isfinite(values) & np.isfinite(below)
    values, below = np.where(known, values, 0), np.where(known, below, 0)
    if below.sum() == 0:
        return None, None
    mean = float(values.sum() / below.sum())
    if known.sum() < 2:
        return mean, None
    drawn = below[draws].sum(1)
    resampled = values[draws].sum(1)[drawn != 0] / drawn[drawn != 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return mean, [float(low), float(high)]
