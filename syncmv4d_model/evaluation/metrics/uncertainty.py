"""Is the predicted standard deviation honest (coverage), and does it know where the errors are (rank correlation)?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.stats import rankdata

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some

SMALLEST_GROUP = 8
"""Points of one frame and label below which a rank correlation is noise."""


def stddev_coverage(
    error: Float[np.ndarray, "*points 3"], stddev: Float[np.ndarray, "*points"], sigmas: float = 1.0
) -> float:
    """Share of single coordinates whose |error| is below `sigmas` standard deviations.

    An honest normal distribution gives 0.68 at 1 and 0.95 at 2. `stddev` is per axis; both in metres.
    """
    require_finite(error=error, stddev=stddev)
    require_some(error.size, "coordinates")
    return float((np.abs(error) < sigmas * stddev[..., None]).mean())


def stddev_spearman(
    distance: Float[np.ndarray, "V T K"],
    stddev: Float[np.ndarray, "V T K"],
    visible: Bool[np.ndarray, "V T K"],
    label: UInt8[np.ndarray, "V K"],
) -> float:
    """Spearman correlation of true error and stddev within each frame and label, averaged over these groups.

    Within a group neither the passing of time nor the kind of object helps: it must know which points are hard. Groups
    of fewer than 8 points, or where all errors or all deviations are equal, have no ranks and are left out; ValueError
    when none is left.
    """
    require_same_shape(distance=distance, stddev=stddev, visible=visible)
    values = [spearman(distance[g], stddev[g]) for g in _groups(visible, label) if _has_ranks(distance[g], stddev[g])]
    require_some(len(values), "groups of one frame and label with ranks")
    return float(np.mean(values))


def stddev_spearman_pooled(
    distance: Float[np.ndarray, "V T K"], stddev: Float[np.ndarray, "V T K"], visible: Bool[np.ndarray, "V T K"]
) -> float:
    """Spearman correlation of true error and stddev over all visible points and frames together."""
    return spearman(distance[visible], stddev[visible])


def stddev_spearman_trivial(
    distance: Float[np.ndarray, "V T K"],
    stddev: Float[np.ndarray, "V T K"],
    visible: Bool[np.ndarray, "V T K"],
    label: UInt8[np.ndarray, "V K"],
) -> float:
    """The pooled correlation of a ranker that knows frame index and label only: each group's median stddev."""
    flat = np.array(stddev, dtype=np.float64)
    for group in _groups(visible, label):
        flat[group] = np.median(stddev[group])
    return spearman(distance[visible], flat[visible])


def spearman(a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"]) -> float:
    """Rank correlation with ties averaged; ValueError where either has no ranks (fewer than 2 values, or all equal)."""
    require_some(len(a), "values", at_least=2)
    require_finite(a=a, b=b)
    rank_a, rank_b = rankdata(a), rankdata(b)
    if np.ptp(rank_a) == 0 or np.ptp(rank_b) == 0:
        raise ValueError("all values are equal: there are no ranks to correlate")
    return float(np.corrcoef(rank_a, rank_b)[0, 1])


def _has_ranks(distance: np.ndarray, stddev: np.ndarray) -> bool:
    return bool(len(distance) >= SMALLEST_GROUP and np.ptp(distance) > 0 and np.ptp(stddev) > 0)


def _groups(visible: np.ndarray, label: np.ndarray) -> Iterator[np.ndarray]:
    """Boolean masks [V T K], one per frame and label with at least one visible point."""
    for value in np.unique(label):
        of_label = visible & (label == value)[:, None]
        for n in np.flatnonzero(of_label.any((0, 2))):
            mask = np.zeros_like(visible)
            mask[:, n] = of_label[:, n]
            yield mask
