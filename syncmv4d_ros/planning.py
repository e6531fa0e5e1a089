"""Tracks -> what a planner takes: a pose per frame of every rigid body. numpy and scipy only; no ROS."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, UInt8

from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.types import LABELS
from syncmv4d_ros.procrustes import distances, robust_motion
from syncmv4d_ros.symmetry import is_body_of_revolution

RIGID_LABELS = ("tool", "target")
HIDDEN_FACTOR = 3.0  # a point that its view does not see counts as a third as precise
SIGMA_FLOOR_M = 0.002  # a model that claims more precision than this is not believed
UNKNOWN_SIGMA_M = 0.01  # of every point, where the model gives no stddev; only ratios matter

MIN_INLIERS = 3
MIN_INLIER_SHARE = 0.3
MAX_RESIDUAL_M = 0.02  # more is not one rigid body
MIN_THICKNESS_M = 0.002  # standard deviation of the points across their line
MAX_ROTATION_STDDEV_RAD = 0.25


@dataclass(frozen=True)
class TrackedPoints:
    """Tracks of all views as one list of points: point = v * K + k. ValueError unless all that must be finite is."""

    positions: Float[np.ndarray, "T P 3"]  # metres
    visible: Bool[np.ndarray, "T P"]  # by the point's own view
    stddev: Float[np.ndarray, "T P"]  # metres per axis; NaN everywhere where the model gives none
    label: UInt8[np.ndarray, "P"]  # index into types.LABELS
    frame_period_s: float

    def __post_init__(self) -> None:
        frames, points = self.positions.shape[:2]
        if not frames:
            raise ValueError("tracks need at least one frame, got 0")
        shapes = {"visible": (frames, points), "stddev": (frames, points), "label": (points,)}
        for name, shape in shapes.items():
            if (got := getattr(self, name).shape) != shape:
                raise ValueError(
                    f"{name} must be {list(shape)} beside {frames} frames of {points} points, got {list(got)}"
                )
        if wrong := int((~np.isfinite(self.positions)).any(-1).sum()):
            raise ValueError(f"{wrong} of {frames * points} positions are not finite")
        bad = ~(np.isfinite(self.stddev) & (self.stddev >= 0))
        if bad.any() and not np.isnan(self.stddev).all():
            raise ValueError(f"{int(bad.sum())} of {frames * points} stddev are negative or not finite")
        if points and self.label.max() >= len(LABELS):
            raise ValueError(f"label {int(self.label.max())} is unknown; labels are 0 to {len(LABELS) - 1}")
        if not (np.isfinite(self.frame_period_s) and self.frame_period_s > 0):
            raise ValueError(f"frame_period_s must be positive, got {self.frame_period_s}")

    def labelled(self, label: str) -> Bool[np.ndarray, "P"]:
        """Which points have a label, by its name in types.LABELS."""
        return self.label == LABELS.index(label)

    def sigma_m(self, chosen: Bool[np.ndarray, "P"]) -> Float64[np.ndarray, "T n"]:
        """The uncertainty of the chosen points' positions: their stddev, but no less than SIGMA_FLOOR_M, more where hidden."""
        stddev, visible = self.stddev[:, chosen], self.visible[:, chosen]
        known = np.where(np.isnan(stddev), UNKNOWN_SIGMA_M, stddev).astype(np.float64)
        return np.maximum(known, SIGMA_FLOOR_M) * np.where(visible, 1.0, HIDDEN_FACTOR)


@dataclass(frozen=True)
class BodyTrajectory:
    """One rigid body over time, in the tracks' frame.

    The body frame is defined: at frame 0 its origin is the centroid of the body's points and its axes are the world's, so that
    `poses[n] @ inverse(poses[0])` moves any grasp that is attached to the body.
    """

    label: str
    poses: Float64[np.ndarray, "T 4 4"]  # world_from_body, metres; always finite, to be used where valid
    residual_m: Float64[np.ndarray, "T"]  # weighted root mean square distance of the inliers from the rigid motion
    inliers: Int64[np.ndarray, "T"]
    num_points: int
    valid: Bool[np.ndarray, "T"]  # the position
    rotation_valid: Bool[np.ndarray, "T"]  # the turn; never without `valid`
    frame_period_s: float


def flattened(
    tracks: Float[np.ndarray, "V T K 3"],
    visible: Bool[np.ndarray, "V T K"],
    stddev: Float[np.ndarray, "V T K"],
    label: UInt8[np.ndarray, "V K"],
    *,
    frame_period_s: float,
) -> TrackedPoints:
    """A prediction's (or tracks.npz's) arrays as one list of points, view after view. ValueError as TrackedPoints."""
    views, frames, points = visible.shape
    return TrackedPoints(
        positions=np.moveaxis(tracks, 0, 1).reshape(frames, views * points, 3),
        visible=np.moveaxis(visible, 0, 1).reshape(frames, views * points),
        stddev=np.moveaxis(stddev, 0, 1).reshape(frames, views * points),
        label=label.reshape(-1),
        frame_period_s=frame_period_s,
    )


def exact_points(sequence: Sequence, positions: Float[np.ndarray, "V T K 3"]) -> TrackedPoints:
    """A sequence's points at `positions` (world, m) without any doubt about them: the truth's own, or what is made of it."""
    exact = np.zeros(sequence.visible.shape, np.float32)
    return flattened(positions, sequence.visible, exact, sequence.label, frame_period_s=sequence.frame_period_s)


def body_trajectories(points: TrackedPoints, symmetric: Collection[str] = ()) -> list[BodyTrajectory]:
    """A trajectory of each of RIGID_LABELS that has a point. `symmetric` names bodies that the caller knows to be so."""
    for name in symmetric:
        if name not in RIGID_LABELS:
            raise ValueError(f"symmetric names {name!r}, which is not one of {', '.join(RIGID_LABELS)}")
    present = [label for label in RIGID_LABELS if points.labelled(label).any()]
    return [fit_body(points, label, symmetric=True if label in symmetric else None) for label in present]


def fit_body(points: TrackedPoints, label: str, *, symmetric: bool | None = None) -> BodyTrajectory:
    """Fit one rigid body to the points of a label: weighted Procrustes from frame 0 to each frame, robust to outliers.

    A frame is valid if at least MIN_INLIERS points and MIN_INLIER_SHARE of them follow the motion within MAX_RESIDUAL_M.
    Its rotation is valid if they also fix all three axes, and the body is not one of revolution, whose turn about its axis
    cannot be seen (`symmetric` overrules what its points look like). ValueError for a label without points.
    """
    chosen = points.labelled(label)
    if not chosen.any():
        raise ValueError(f"no point is labelled {label!r}")
    return fit_points(points, chosen, label=label, symmetric=symmetric)


def fit_points(
    points: TrackedPoints, chosen: Bool[np.ndarray, "P"], *, label: str, symmetric: bool | None = None
) -> BodyTrajectory:
    """fit_body for a free choice of at least one point."""
    positions = points.positions[:, chosen].astype(np.float64)
    reference, sigma_m = positions[0], points.sigma_m(chosen)
    motion, follows = robust_motion(reference, positions, np.hypot(sigma_m, sigma_m[0]))
    motion[0] = np.eye(4)
    if len(motion) > 1:  # at frame 0 every residual is zero; a point counts there if it does later on
        follows[0] = 2 * np.count_nonzero(follows[1:], axis=0) >= len(motion) - 1
    inliers = np.count_nonzero(follows, axis=1)
    weights = follows / np.square(sigma_m)
    squared = np.square(distances(motion, reference, positions))
    residual = np.sqrt((squared * weights).sum(1) / np.maximum(weights.sum(1), 1e-12))
    valid = (inliers >= MIN_INLIERS) & (inliers >= MIN_INLIER_SHARE * len(reference)) & (residual <= MAX_RESIDUAL_M)
    noise = np.maximum(residual, np.median(residual))  # frame 0 has none of its own
    fixed = _axes_are_fixed(reference, follows, noise_m=noise)
    if symmetric is None:
        per_axis = float(np.median(residual)) / np.sqrt(6)  # a residual has the noise of three axes, at both ends
        symmetric = is_body_of_revolution(reference[follows[0]], noise_m=per_axis)
    return BodyTrajectory(
        label=label,
        poses=motion @ _translation(reference.mean(0)),
        residual_m=residual,
        inliers=inliers.astype(np.int64),
        num_points=len(reference),
        valid=valid,
        rotation_valid=valid & fixed & (not symmetric),
        frame_period_s=points.frame_period_s,
    )


def _axes_are_fixed(
    points: Float64[np.ndarray, "P 3"], follows: Bool[np.ndarray, "T P"], *, noise_m: Float64[np.ndarray, "T"]
) -> Bool[np.ndarray, "T"]:
    """Per frame, whether the points that follow, known to `noise_m` (length of the error), fix a rotation: not on a line, and
    far enough apart.
    """
    count = np.count_nonzero(follows, axis=1)
    centred = points - points.mean(0)
    share = follows / np.maximum(count, 1)[:, None]
    squares = (centred[:, :, None] * centred[:, None, :]).reshape(-1, 9)
    mean = share @ centred
    covariance = (share @ squares).reshape(-1, 3, 3) - mean[:, :, None] * mean[:, None, :]
    moments = np.maximum(np.linalg.eigvalsh(covariance), 0.0)  # ascending, m^2
    per_axis = np.maximum(noise_m / np.sqrt(3), 1e-4)
    thick = np.sqrt(moments[:, 1]) >= np.maximum(MIN_THICKNESS_M, 2 * per_axis)
    loosest = count * (moments[:, 0] + moments[:, 1])  # moment of inertia about the longest axis
    return (count >= MIN_INLIERS) & thick & (per_axis < MAX_ROTATION_STDDEV_RAD * np.sqrt(loosest))


def _translation(offset: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix
