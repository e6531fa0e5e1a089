"""Errors of metric tracks: what a planner feels. World frame, no alignment, metres.

Every error is averaged over the points whose truth moves more than 2 cm from frame 0, at every frame n >= 1 where the
TRUTH is visible; those named `still_point` over the other points, which should not have been moved. Predicted visibility
never filters: what a method did not decode is filled in and scored.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from syncmv4d_model.evaluation.metrics.lengths import lengths
from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some

MOVING_M = 0.02


def moving_points(target: Float[np.ndarray, "V T K 3"], threshold_m: float = MOVING_M) -> Bool[np.ndarray, "V K"]:
    """Points whose largest distance from their own frame 0 exceeds `threshold_m`."""
    require_finite(target=target)
    return lengths(target - target[:, :1]).max(1) > threshold_m


def scored_points(
    target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]
) -> Bool[np.ndarray, "V T K"]:
    """Where track errors are averaged: moving points at frames n >= 1 where the truth is visible.

    Raises ValueError when there is no such place.
    """
    scored = visible & moving_points(target)[:, None]
    scored[:, 0] = False
    require_some(int(scored.sum()), "visible points that move more than 2 cm")
    return scored


def still_points(target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]) -> Bool[np.ndarray, "V T K"]:
    """Where errors of still points are averaged: points whose truth moves at most 2 cm, at frames n >= 1 where the truth is
    visible. Raises ValueError when there is no such place.
    """
    still = visible & ~moving_points(target)[:, None]
    still[:, 0] = False
    require_some(int(still.sum()), "visible points that move at most 2 cm")
    return still


def still_point_error(
    predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]
) -> float:
    """Mean |predicted - target| over points that stay still, metres."""
    return _mean_distance(predicted, target, still_points(target, visible))


def still_point_drift(
    predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]
) -> float:
    """Mean |(p_n - p_0) - (g_n - g_0)| over points that stay still, metres: how far they are moved, whatever the start."""
    still = still_points(target, visible)
    return _mean_distance(predicted - predicted[:, :1], target - target[:, :1], still)


def still_point_path(predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"]) -> float:
    """Mean length, metres, of the predicted paths of points that stay still: drift and trembling together."""
    still = ~moving_points(target)
    require_same_shape(predicted=predicted, target=target)
    require_some(int(still.sum()), "points that move at most 2 cm")
    paths = np.moveaxis(predicted, 2, 1)[still].astype(np.float64)
    require_finite(predicted=paths)
    return float(lengths(np.diff(paths, axis=1)).sum(1).mean())


def end_point_error(
    predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]
) -> float:
    """Mean |predicted - target| over the scored points, metres. `visible` is the truth's."""
    return _mean_distance(predicted, target, scored_points(target, visible))


def displacement_error(
    predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]
) -> float:
    """Mean |(p_n - p_0) - (g_n - g_0)| over the scored points, metres: the motion, whatever the start."""
    scored = scored_points(target, visible)
    return _mean_distance(predicted - predicted[:, :1], target - target[:, :1], scored)


def first_frame_error(predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"]) -> float:
    """Mean |p_0 - g_0| over moving points, metres: the start, whatever the motion."""
    moving = moving_points(target)
    require_some(int(moving.sum()), "points that move more than 2 cm")
    return _mean_distance(predicted[:, 0], target[:, 0], moving)


def error_over_time(
    predicted: Float[np.ndarray, "V T K 3"], target: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"]
) -> list[float | None]:
    """The end-point error (metres) of each frame n >= 1; None at a frame without a scored point."""
    scored = scored_points(target, visible)
    require_same_shape(predicted=predicted, target=target)
    distance = lengths(predicted.astype(np.float64) - target)
    require_finite(predicted=distance[scored])
    frames = range(1, target.shape[1])
    return [float(distance[:, n][scored[:, n]].mean()) if scored[:, n].any() else None for n in frames]


def filled_in_time(
    tracks: Float[np.ndarray, "V T K 3"],
    decoded: Bool[np.ndarray, "V T K"],
    *,
    first_frame: Float[np.ndarray, "V K 3"],
) -> Float[np.ndarray, "V T K 3"]:
    """Give every point a position at every frame, so that nothing escapes scoring.

    Between decoded frames positions are interpolated linearly; before the first and after the last they are held; a
    point that was never decoded stands at `first_frame`, its true frame-0 position.
    """
    filled = np.array(tracks, dtype=np.float64)
    never = ~decoded.any(1)
    v, k = np.nonzero(never)
    filled[v, :, k] = first_frame[v, k][:, None]
    v, k = np.nonzero(~decoded.all(1) & ~never)
    known, frames = decoded[v, :, k], np.arange(tracks.shape[1])  # one row a point with gaps
    before = np.maximum.accumulate(np.where(known, frames, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, frames, len(frames))[:, ::-1], axis=1)[:, ::-1]
    before, after = np.where(before < 0, after, before), np.where(after == len(frames), before, after)
    share = ((frames - before) / np.maximum(after - before, 1))[..., None]
    one, other = filled[v[:, None], before, k[:, None]], filled[v[:, None], after, k[:, None]]
    filled[v, :, k] = one + share * (other - one)
    return filled


def _mean_distance(predicted: np.ndarray, target: np.ndarray, where: np.ndarray) -> float:
    require_same_shape(predicted=predicted, target=target)
    require_same_shape(points=target[..., 0], visible=where)
    places = np.flatnonzero(where)  # one index a place is faster than three
    predicted, target = (points.reshape(-1, 3).take(places, axis=0) for points in (predicted, target))
    require_finite(predicted=predicted, target=target)
    return float(lengths(predicted.astype(np.float64) - target).mean())
