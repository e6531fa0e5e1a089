"""Relative point error, inlier share and least-squares scale of point maps or tracks (GeometryCrafter's evaluation)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from syncmv4d_model.evaluation.metrics.lengths import lengths
from syncmv4d_model.evaluation.metrics.refusal import as_mask, require_finite, require_same_shape, require_some

NEAREST_M = 0.01
"""Distances below this are not divided by: the error is relative to max(|target|, 1 cm)."""


NOTHING = 1e-24
"""Of the target's squared size: points as small as this are what rounding leaves of none."""


def relative_errors(
    predicted: Float[np.ndarray, "*points 3"], target: Float[np.ndarray, "*points 3"]
) -> Float[np.ndarray, "*points"]:
    """|predicted - target| / max(|target|, 0.01 m) of each camera-frame point."""
    difference = predicted.astype(np.float64) - target
    return lengths(difference) / np.maximum(lengths(target.astype(np.float64)), NEAREST_M)


def relative_point_error(
    predicted: Float[np.ndarray, "T *points 3"],
    target: Float[np.ndarray, "T *points 3"],
    mask: Bool[np.ndarray, "T *points"],
) -> float:
    """RPE: mean over frames of the masked mean of the relative error; a fraction. Points are in the camera frame, metres.

    Raises ValueError for values that are not finite under the mask, for a frame without a point under the mask, and for a mask
    of another shape than the points.
    """
    return point_error_and_inliers(predicted, target, mask)[0]


def percentage_of_inliers(
    predicted: Float[np.ndarray, "T *points 3"],
    target: Float[np.ndarray, "T *points 3"],
    mask: Bool[np.ndarray, "T *points"],
    threshold: float = 0.25,
) -> float:
    """PI: mean over frames of the masked share of points whose relative error is below `threshold`; a fraction.

    Raises ValueError as `relative_point_error` does.
    """
    return point_error_and_inliers(predicted, target, mask, threshold)[1]


def point_error_and_inliers(
    predicted: Float[np.ndarray, "T *points 3"],
    target: Float[np.ndarray, "T *points 3"],
    mask: Bool[np.ndarray, "T *points"],
    threshold: float = 0.25,
) -> tuple[float, float]:
    """(RPE, PI) of the same points: `relative_point_error` and `percentage_of_inliers` at once, and their errors."""
    require_finite(threshold=np.asarray(threshold))
    require_same_shape(predicted=predicted, target=target)
    mask = as_mask(mask, predicted.shape[:-1])
    errors = _checked_errors(predicted, target, mask)
    return _mean_over_frames(errors, mask), _mean_over_frames((errors < threshold).astype(np.float64), mask)


def least_squares_scale(
    predicted: Float[np.ndarray, "*points 3"],
    target: Float[np.ndarray, "*points 3"],
    mask: Bool[np.ndarray, "*points"],
    weight: Float[np.ndarray, "*points"] | None = None,
) -> float:
    """The one factor s that minimises the sum of |weight * (s * predicted - target)|^2 over the masked points.

    Baselines without metric scale are multiplied by it, once per video, before they are scored (paper, section 7). The
    weight multiplies residuals, so it enters squared; GeometryCrafter's weighted form passes 1 / depth.
    """
    require_same_shape(predicted=predicted, target=target)
    mask = as_mask(mask, predicted.shape[:-1])
    require_some(int(mask.sum()), "points under the mask")
    p, g = predicted[mask].astype(np.float64), target[mask].astype(np.float64)
    w = np.ones(len(p)) if weight is None else weight[mask].astype(np.float64)
    require_finite(predicted=p, target=g, weight=w)
    energy = float((w[:, None] ** 2 * p * p).sum())
    if energy <= NOTHING * float((w[:, None] ** 2 * g * g).sum()):
        raise ValueError(f"the scale is undefined: all {len(p)} weighted predicted points are the origin")
    return float((w[:, None] ** 2 * p * g).sum()) / energy


def _checked_errors(predicted: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    predicted, target = (np.where(mask[..., None], points, 0) for points in (predicted, target))
    require_finite(predicted=predicted, target=target)
    return relative_errors(predicted, target)


def _mean_over_frames(values: np.ndarray, mask: np.ndarray) -> float:
    counts = mask.reshape(len(mask), -1).sum(1)
    require_some(len(counts), "frames")
    if not counts.all():
        raise ValueError(f"frame {int(np.argmin(counts))} has no point under the mask")
    return float(((values * mask).reshape(len(mask), -1).sum(1) / counts).mean())
