"""Do the views agree? Relative error after moving one view's points into another view's camera.

The paper gives no formula. Reading "a" compares with the ground truth in the other view, reading "b" with the other
view's own prediction of the same points. Both need corresponding points; `corresponding_points` finds them in our data,
where each view tracks its own.
"""

from __future__ import annotations

from itertools import permutations
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial import KDTree

from syncmv4d_model import geometry
from syncmv4d_model.evaluation.metrics.point_maps import point_error_and_inliers
from syncmv4d_model.evaluation.metrics.refusal import as_mask, require_finite, require_same_shape, require_some

PAIRING_RADIUS_M = 0.005
MINIMUM_PAIRS = 4
"""Fewer corresponding points than this say nothing about two views."""

Reading = Literal["a", "b"]


def multi_view_relative_point_error(
    predicted_camera: Float[np.ndarray, "V T K 3"],
    target_camera: Float[np.ndarray, "V T K 3"],
    visible: Bool[np.ndarray, "V T K"],
    camera_from_world: Float[np.ndarray, "V 4 4"],
    reading: Reading = "a",
) -> float:
    """Mean over ordered pairs of views of the frame-mean relative error, over points that both views see; a fraction.

    Point k is the same surface point in every view; coordinates are each view's own camera frame, metres. Raises
    ValueError for one view, and for a frame where two views share no visible point.
    """
    return multi_view_error_and_inliers(predicted_camera, target_camera, visible, camera_from_world, reading)[0]


def multi_view_percentage_of_inliers(
    predicted_camera: Float[np.ndarray, "V T K 3"],
    target_camera: Float[np.ndarray, "V T K 3"],
    visible: Bool[np.ndarray, "V T K"],
    camera_from_world: Float[np.ndarray, "V 4 4"],
    reading: Reading = "a",
    threshold: float = 0.25,
) -> float:
    """As `multi_view_relative_point_error`, but the share of points below `threshold`; a fraction."""
    arrays = (predicted_camera, target_camera, visible, camera_from_world)
    return multi_view_error_and_inliers(*arrays, reading, threshold)[1]


def multi_view_error_and_inliers(
    predicted_camera: Float[np.ndarray, "V T K 3"],
    target_camera: Float[np.ndarray, "V T K 3"],
    visible: Bool[np.ndarray, "V T K"],
    camera_from_world: Float[np.ndarray, "V 4 4"],
    reading: Reading = "a",
    threshold: float = 0.25,
) -> tuple[float, float]:
    """Multi-view (RPE, PI) of the same points: the two functions above at once, and their errors."""
    pairs = _moved_pairs(predicted_camera, target_camera, visible, camera_from_world=camera_from_world, reading=reading)
    error, inliers = np.mean([point_error_and_inliers(*pair, threshold) for pair in pairs], axis=0)
    return float(error), float(inliers)


def corresponding_points(
    first_world: Float[np.ndarray, "P 3"],
    second_world: Float[np.ndarray, "Q 3"],
    *,
    first_label: UInt8[np.ndarray, "P"],
    second_label: UInt8[np.ndarray, "Q"],
    radius_m: float = PAIRING_RADIUS_M,
) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
    """Indices of points that are the same piece of surface: mutual nearest neighbours within `radius_m`, same label.

    Takes true frame-0 positions (world, metres). May return empty arrays; the caller decides how few are too few.
    """
    if not len(first_world) or not len(second_world):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    distance, nearest = nearest_neighbours(second_world, first_world)
    _, back = nearest_neighbours(first_world, second_world)
    first = np.arange(len(first_world))
    mutual = (back[nearest] == first) & (distance <= radius_m) & (first_label == second_label[nearest])
    return first[mutual], nearest[mutual]


def nearest_neighbours(
    points: Float[np.ndarray, "P 3"], queries: Float[np.ndarray, "Q 3"]
) -> tuple[Float[np.ndarray, "Q"], Int[np.ndarray, "Q"]]:
    """For each query the distance to the nearest of `points`, and which one it is."""
    tree = KDTree(
        points
    )  # as it is: another tree finds another one of points that coincide, and so other anchors are chosen
    distance, index = tree.query(queries)
    return np.asarray(distance), np.asarray(index, dtype=np.int64)


def _moved_pairs(
    predicted: np.ndarray, target: np.ndarray, visible: np.ndarray, *, camera_from_world: np.ndarray, reading: Reading
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    if reading not in ("a", "b"):
        raise ValueError(f"reading must be 'a' or 'b', got {reading!r}")
    require_same_shape(predicted_camera=predicted, target_camera=target)
    require_some(len(predicted), "views", at_least=2)
    visible = as_mask(visible, predicted.shape[:-1], "visible")
    require_same_shape(camera_from_world=camera_from_world, one_for_each_view=np.empty((len(predicted), 4, 4)))
    require_finite(camera_from_world=camera_from_world)
    reference = (target if reading == "a" else predicted).astype(np.float64)
    pairs = []
    for i, j in permutations(range(len(predicted)), 2):
        j_from_i = camera_from_world[j].astype(np.float64) @ geometry.inverse(camera_from_world[i].astype(np.float64))
        moved = predicted[i].astype(np.float64) @ j_from_i[:3, :3].T + j_from_i[:3, 3]
        pairs.append((moved, reference[j], visible[i] & visible[j]))
    return pairs
