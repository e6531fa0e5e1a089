"""Is the predicted standard deviation honest (coverage), and does it know where the errors are (rank correlation)?"""

from __future__ import annotations

from collections.abc import Sequence

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
    return _coverages(error, stddev, [sigmas])[0]


def coverage_curve(
    error: Float[np.ndarray, "*points 3"], stddev: Float[np.ndarray, "*points"], levels: Sequence[float]
) -> Float[np.ndarray, "L"]:
    """Per level in (0, 1) the share of single coordinates inside the central interval of that probability of a normal
    distribution. Honest: the level itself. Units and errors as `stddev_coverage`; ValueError for a level outside (0, 1).
    """
    if not all(0 < level < 1 for level in levels):
        raise ValueError(f"levels are probabilities between 0 and 1, got {list(levels)}")
    return np.array(_coverages(error, stddev, [float(ndtri((1 + level) / 2)) for level in levels]))


def _coverages(error: np.ndarray, stddev: np.ndarray, sigmas: Sequence[float]) -> list[float]:
    """`stddev_coverage` at several multiples of the deviation."""
    require_finite(error=error, stddev=stddev)
    require_some(error.size, "coordinates")
    require_same_shape(error=error, stddev_of_each_axis=np.broadcast_to(stddev[..., None], (*stddev.shape, 3)))
    _require_positive(stddev)
    by_axis = np.ascontiguousarray(np.abs(np.moveaxis(error, -1, 0)))  # all points of an axis side by side: faster
    return [float((by_axis < many * stddev).mean()) for many in sigmas]


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
    _require_positive(stddev)
    if not (np.diff(edges) > 0).all():
        raise ValueError(f"the edges of bins must rise, got {edges.tolist()}")
    squared_error, squared_stddev = (error.astype(np.float64) ** 2).mean(-1).ravel(), stddev.astype(np.float64) ** 2
    bins = np.digitize(stddev.ravel(), edges)

    def total(values: np.ndarray | None) -> np.ndarray:
        return np.bincount(bins, values, minlength=len(edges) + 1)

    count = total(None)
    some = np.where(count > 0, count, np.nan)
    return count, np.sqrt(total(squared_stddev.ravel()) / some), np.sqrt(total(squared_error) / some)


def _require_positive(stddev: np.ndarray) -> None:
    if not (stddev > 0).all():
        raise ValueError(f"a standard deviation is positive, got {float(stddev.min()):g}")


class RankedDeviations:
    """True errors and predicted deviations of the points that the truth sees, sorted once for three rank correlations.

    Within a frame and label, its group, neither the passing of time nor the kind of object helps a ranker: it must know which points are hard.
    """

    def __init__(
        self,
        distance: Float[np.ndarray, "V T K"],
        stddev: Float[np.ndarray, "V T K"],
        visible: Bool[np.ndarray, "V T K"],
        label: UInt8[np.ndarray, "V K"],
    ) -> None:
        """ValueError for shapes that differ and visible values that are not finite."""
        require_same_shape(distance=distance, stddev=stddev, visible=visible)
        require_same_shape(label=label, visible_in_a_frame=visible[:, 0])
        self.distance, self.stddev = distance[visible], stddev[visible]
        require_finite(distance=self.distance, stddev=self.stddev)
        frames, labels = visible.shape[1], 1 + int(np.iinfo(np.uint8).max)
        if label.dtype != np.uint8:
            raise ValueError(f"label must be uint8, got {label.dtype}")
        group = labels * np.arange(frames)[:, None] + label[:, None]
        self.group = group.astype(np.min_scalar_type(frames * labels))[visible]  # small numbers are sorted faster
        self.distance_order, self.stddev_order = np.argsort(self.distance), np.argsort(self.stddev)

    def within_groups(self) -> float:
        """Correlation within each group, averaged over the groups. Those of fewer than 8 points, or where all errors or all deviations
        are equal, have no ranks and are left out; ValueError when none is left.
        """
        centred = []
        count = np.bincount(self.group)
        for values, order in ((self.distance, self.distance_order), (self.stddev, self.stddev_order)):
            by_group = order[np.argsort(self.group[order], kind="stable")]
            ranks = _ranks(values, by_group, self.group)
            centred.append(ranks - (np.bincount(self.group, ranks) / np.maximum(count, 1))[self.group])
        squares = [np.bincount(self.group, part**2) for part in centred]
        ranked = (count >= SMALLEST_GROUP) & (squares[0] > 0) & (squares[1] > 0)
        require_some(int(ranked.sum()), "groups of one frame and label with ranks")
        products = np.bincount(self.group, centred[0] * centred[1])
        return float((products[ranked] / np.sqrt(squares[0][ranked] * squares[1][ranked])).mean())

    def pooled(self) -> float:
        """Over all points and frames together; ValueError for fewer than 2 points, and where all values are equal."""
        return _correlation(self._distance_ranks(), _ranks(self.stddev, self.stddev_order))

    def trivial(self) -> float:
        """The pooled correlation of a ranker that knows frame index and label only: each group's median stddev."""
        by_group = self.stddev_order[np.argsort(self.group[self.stddev_order], kind="stable")]
        groups, count = np.unique(self.group, return_counts=True)
        first, ordered = np.cumsum(count) - count, self.stddev[by_group]
        medians = ((ordered[first + (count - 1) // 2] + ordered[first + count // 2]) / 2).astype(np.float64)
        flat = np.zeros(1 + int(groups[-1]) if len(groups) else 0)
        flat[groups] = medians
        values = flat[self.group]
        return _correlation(self._distance_ranks(), _ranks(values, np.argsort(values, kind="stable")))

    def _distance_ranks(self) -> np.ndarray:
        require_some(len(self.distance), "values", at_least=2)
        return _ranks(self.distance, self.distance_order)


def stddev_spearman(
    distance: Float[np.ndarray, "V T K"],
    stddev: Float[np.ndarray, "V T K"],
    visible: Bool[np.ndarray, "V T K"],
    label: UInt8[np.ndarray, "V K"],
) -> float:
    """Spearman correlation of true error and stddev within each frame and label: RankedDeviations.within_groups, and its errors."""
    return RankedDeviations(distance, stddev, visible, label).within_groups()


def stddev_spearman_pooled(
    distance: Float[np.ndarray, "V T K"], stddev: Float[np.ndarray, "V T K"], visible: Bool[np.ndarray, "V T K"]
) -> float:
    """Spearman correlation of true error and stddev over all visible points and frames: RankedDeviations.pooled, and its errors."""
    return RankedDeviations(distance, stddev, visible, np.zeros(visible[:, 0].shape, np.uint8)).pooled()


def stddev_spearman_trivial(
    distance: Float[np.ndarray, "V T K"],
    stddev: Float[np.ndarray, "V T K"],
    visible: Bool[np.ndarray, "V T K"],
    label: UInt8[np.ndarray, "V K"],
) -> float:
    """What a ranker reaches that knows frame and label only: RankedDeviations.trivial, and its errors."""
    return RankedDeviations(distance, stddev, visible, label).trivial()


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        raise ValueError("all values are equal: there are no ranks to correlate")
    return float(np.corrcoef(a, b)[0, 1])


def _ranks(values: np.ndarray, order: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
    """Places of the values in `order`, 1 for the first; equal values, of one group where there are groups, share the mean of
    their places.
    """
    ordered = values[order]
    new = np.ones(len(order), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    if group is not None:
        new[1:] |= group[order][1:] != group[order][:-1]
    start = np.flatnonzero(new)
    count = np.diff(start, append=len(order))
    ranks = np.empty(len(order))
    ranks[order] = np.repeat(start + (count + 1) / 2, count)
    return ranks
