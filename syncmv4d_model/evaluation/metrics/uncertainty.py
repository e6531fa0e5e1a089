"""Is the predicted standard deviation honest (coverage), and does it know where the errors are (rank correlation)?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.special import ndtri

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


def coverage_curve(
    error: Float[np.ndarray, "*points 3"], stddev: Float[np.ndarray, "*points"], levels: Sequence[float]
) -> Float[np.ndarray, "L"]:
    """Per level in (0, 1) the share of single coordinates inside the central interval of that probability of a normal
    distribution. Honest: the level itself. Units and errors as `stddev_coverage`; ValueError for a level outside (0, 1).
    """
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels are probabilities between 0 and 1, got {list(levels)}")
    return np.array([stddev_coverage(error, stddev, float(ndtri((1 + level) / 2))) for level in levels])


def reliability_curve(
    error: Float[np.ndarray, "*points 3"], stddev: Float[np.ndarray, "*points"], edges: Float[np.ndarray, "E"]
) -> tuple[Int[np.ndarray, "B"], Float[np.ndarray, "B"], Float[np.ndarray, "B"]]:
    """Of the points whose stddev lies in each of B = E + 1 bins: how many, root mean square stddev, root mean square error.

    Bin b holds edges[b - 1] <= stddev < edges[b]; the first and the last are open, so every point is in one. The error is
    per axis, as stddev is, all in one unit: where stddev is honest, the two means are equal. NaN for an empty bin.
    ValueError without a point, for values that are not finite, a stddev that is not positive and edges that do not rise.
    """
    require_finite(error=error, stddev=stddev, edges=edges)
    require_some(stddev.size, "points")
    if not (stddev > 0).all():
        raise ValueError(f"a standard deviation is positive, got {float(stddev.min()):g}")
    if not (np.diff(edges) > 0).all():
        raise ValueError(f"the edges of bins must rise, got {edges.tolist()}")
    squared_error, squared_stddev = (error.astype(np.float64) ** 2).mean(-1).ravel(), stddev.astype(np.float64) ** 2
    bins = np.digitize(stddev.ravel(), edges)

    def total(values: np.ndarray | None) -> np.ndarray:
        return np.bincount(bins, values, minlength=len(edges) + 1)

    count = total(None)
    some = np.where(count > 0, count, np.nan)
    return count, np.sqrt(total(squared_stddev.ravel()) / some), np.sqrt(total(squared_error) / some)


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
    pairs = ((distance[:, n][own], stddev[:, n][own]) for n, own in _groups(visible, label))
    values = [spearman(*pair) for pair in pairs if _has_ranks(*pair)]
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
    for n, own in _groups(visible, label):
        flat[:, n][own] = np.median(stddev[:, n][own])
    return spearman(distance[visible], flat[visible])


def spearman(a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"]) -> float:
    """Rank correlation with ties averaged; ValueError where either has no ranks (fewer than 2 values, or all equal)."""
    require_some(len(a), "values", at_least=2)
    require_finite(a=a, b=b)
    rank_a, rank_b = _ranks(a), _ranks(b)
    if np.ptp(rank_a) == 0 or np.ptp(rank_b) == 0:
        raise ValueError("all values are equal: there are no ranks to correlate")
    return float(np.corrcoef(rank_a, rank_b)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """1 for the smallest; equal values share the mean of their places."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def _has_ranks(distance: np.ndarray, stddev: np.ndarray) -> bool:
    return bool(len(distance) >= SMALLEST_GROUP and np.ptp(distance) > 0 and np.ptp(stddev) > 0)


def _groups(visible: np.ndarray, label: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(frame, which of its points [V K]), one per frame and label with at least one visible point."""
    for value in np.unique(label):
        of_label = visible & (label == value)[:, None]
        for n in np.flatnonzero(of_label.any((0, 2))):
            yield int(n), of_label[:, n]
