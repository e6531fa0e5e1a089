"""How well windows about a view's objects are chosen. Windows and boxes as in data/window.py, pixels of the whole images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

from syncmv4d_model.geometry import project, transform

TOLERANCE_PX = 0.5


def holds_boxes(
    windows_px: Float64[np.ndarray, "V 4"], boxes_px: Float[np.ndarray, "V O 4"], *, tolerance_px: float = TOLERANCE_PX
) -> Bool[np.ndarray, "V"]:
    """Whether each view's window holds all of its boxes wholly; NaN boxes ask for nothing."""
    low, high = windows_px[:, None, :2], windows_px[:, None, :2] + windows_px[:, None, 2:]
    held = (boxes_px[..., :2] >= low - tolerance_px) & (boxes_px[..., 2:] <= high + tolerance_px)
    return np.asarray((held | np.isnan(boxes_px[..., :2])).all((1, 2)))


def side_ratios(
    windows_px: Float64[np.ndarray, "V 4"], boxes_px: Float[np.ndarray, "V O 4"]
) -> Float64[np.ndarray, "V"]:
    """Each window's longer side over that of the tightest square about the view's boxes; NaN in a view without boxes."""
    low = np.where(np.isnan(boxes_px[..., :2]), np.inf, boxes_px[..., :2]).min(1)
    high = np.where(np.isnan(boxes_px[..., 2:]), -np.inf, boxes_px[..., 2:]).max(1)
    tightest = (high - low).max(1)
    known = np.isfinite(tightest) & (tightest > 0)
    return np.where(known, windows_px[:, 2:].max(1) / np.where(known, tightest, 1), np.nan)


def millimetres_per_pixel(
    windows_px: Float64[np.ndarray, "V 4"],
    intrinsics: Float[np.ndarray, "V 3 3"],
    camera_from_world: Float[np.ndarray, "V 4 4"],
    points_world: Float[np.ndarray, "V K 3"],
    *,
    size_px: int = 96,
) -> Float64[np.ndarray, "V"]:
    """What one pixel of the resized window is worth across the line of sight, at the median depth of the view's points."""
    depth_m = np.array(
        [np.median(transform(pose, points)[:, 2]) for pose, points in zip(camera_from_world, points_world, strict=True)]
    )
    return 1000 * depth_m / intrinsics[:, 0, 0] * windows_px[:, 2] / size_px


def share_inside(
    windows_px: Float64[np.ndarray, "V 4"],
    sizes: Float[np.ndarray, "V 2"],
    intrinsics: Float[np.ndarray, "V 3 3"],
    camera_from_world: Float[np.ndarray, "V 4 4"],
    positions: Float[np.ndarray, "V T K 3"],
    moving: Bool[np.ndarray, "V K"],
) -> tuple[int, int]:
    """Of the moving points at all frames: (those inside the window, those in the picture), both counted in the picture.

    `sizes` are (width, height) of the pictures. Whether something hides a point does not matter.
    """
    inside = in_picture = 0
    pictures = np.concatenate([np.zeros_like(sizes), sizes], 1)
    for view, pose in enumerate(camera_from_world):
        points = transform(pose, positions[view][:, moving[view]].reshape(-1, 3))
        points = points[points[:, 2] > 0]
        edges = project(intrinsics[view], points) + 0.5
        shown = _lies_in(edges, pictures[view])
        in_picture += int(shown.sum())
        inside += int((shown & _lies_in(edges, windows_px[view])).sum())
    return inside, in_picture


def _lies_in(points: Float[np.ndarray, "N 2"], window_px: Float[np.ndarray, "4"]) -> Bool[np.ndarray, "N"]:
    return np.asarray(((points >= window_px[:2]) & (points <= window_px[:2] + window_px[2:])).all(-1))
