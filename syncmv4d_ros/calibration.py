"""CameraInfo and static transforms -> a Rig. Messages of any class: rclpy's, or those that a bag reader made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from syncmv4d_model.data.lens import is_straight
from syncmv4d_model.data.rig import Distortion
from syncmv4d_model.geometry import inverse, resized_intrinsics

QUATERNION_TOLERANCE = 1e-2

Tree = Mapping[str, tuple[str, np.ndarray]]
"""child frame -> (parent frame, parent_from_child)."""


@dataclass(frozen=True)
class CameraModel:
    """The calibration of the images as they are published."""

    intrinsics: Float64[np.ndarray, "3 3"]  # px of the published image; integer pixel centres
    size: tuple[int, int]  # (width, height) px of the published image
    distortion: Distortion | None
    published_from_camera: Float64[np.ndarray, "4 4"]  # the rectifying rotation; the identity for raw images


def camera_model(info: Any, name: str, *, rectified: bool = False) -> CameraModel:
    """A CameraInfo's calibration. Its K is that of the full image (REP-104): roi first, then binning, rewrite it.

    `rectified` images have P[:3,:3], no distortion, and a camera frame turned by R. ValueError, naming the camera, for an
    uncalibrated camera (zeros), a roi outside the image, the right half of a stereo pair, a lens that we cannot take out.
    """
    where = f"camera {name!r}"
    projection = np.asarray(info.p, dtype=np.float64).reshape(3, 4)
    matrix = projection[:, :3] if rectified else np.asarray(info.k, dtype=np.float64).reshape(3, 3)
    if not matrix.any() or not info.width or not info.height:
        kind = "P" if rectified else "K"
        raise ValueError(
            f"{where} is not calibrated: its camera_info has {kind} = {matrix.ravel().tolist()} for"
            f" {info.width} x {info.height} px"
        )
    turned = np.eye(4)
    if rectified:
        if projection[:, 3].any():
            raise ValueError(
                f"{where}: P's last column is {projection[:, 3].tolist()}, that of a stereo pair's second camera: its images"
                " were not taken from the frame that they name; give a rig file"
            )
        turned[:3, :3] = np.asarray(info.r, dtype=np.float64).reshape(3, 3)
    lens = None if rectified else _lens(info, where)
    left, top, width, height = _roi(info, where)
    columns, rows = max(info.binning_x, 1), max(info.binning_y, 1)
    return CameraModel(
        intrinsics=resized_intrinsics(matrix, 1 / columns, 1 / rows, crop_x_px=left, crop_y_px=top),
        size=(width // columns, height // rows),
        distortion=lens,
        published_from_camera=turned,
    )


def same_calibration(a: Any, b: Any) -> bool:
    """Whether two CameraInfo messages say the same but for their header."""
    scalars = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
    return all(getattr(a, key) == getattr(b, key) for key in scalars) and all(
        np.array_equal(getattr(a, key), getattr(b, key), equal_nan=True) for key in ("d", "k", "r", "p")
    )


def static_tree(messages: Iterable[Any]) -> dict[str, tuple[str, np.ndarray]]:
    """The transforms of TFMessages, a later one of a frame replacing an earlier one.

    ValueError for one that is not finite or whose quaternion is no rotation.
    """
    tree = {}
    for message in messages:
        for stamped in message.transforms:
            child = stamped.child_frame_id.lstrip("/")
            parent_from_child = _rigid(stamped.transform, f"the transform to {child!r}")
            tree[child] = (stamped.header.frame_id.lstrip("/"), parent_from_child)
    return tree


def camera_from_world(tree: Tree, camera_frame: str, world_frame: str) -> Float64[np.ndarray, "4 4"]:
    """The chain of transforms from the world to a camera's frame. ValueError, with the frames there are, if it is broken."""
    camera, world = camera_frame.lstrip("/"), world_frame.lstrip("/")
    above_camera, above_world = _ancestors(tree, camera), _ancestors(tree, world)
    common = next((frame for frame in above_camera if frame in above_world), None)
    if common is None:
        known = sorted(set(tree) | {parent for parent, _ in tree.values()})
        raise ValueError(
            f"the static transforms do not connect {camera!r} with {world!r}; they know {', '.join(known) or 'no frame'}"
        )
    return inverse(above_camera[common]) @ above_world[common]


def _ancestors(tree: Tree, frame: str) -> dict[str, np.ndarray]:
    """ancestor -> ancestor_from_frame, nearest first, the frame itself included."""
    found = {frame: np.eye(4)}
    while frame in tree and tree[frame][0] not in found:
        parent, parent_from_child = tree[frame]
        found[parent] = parent_from_child @ found[frame]
        frame = parent
    return found


def _rigid(transform: Any, where: str) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    q, t = transform.rotation, transform.translation
    quaternion, translation = np.array([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z])
    length = float(np.linalg.norm(quaternion))
    if not np.isfinite(translation).all() or not abs(length - 1) < QUATERNION_TOLERANCE:
        raise ValueError(f"{where} is not rigid: translation {translation.tolist()}, quaternion of length {length:.4g}")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    matrix[:3, 3] = translation
    return matrix


def _lens(info: Any, where: str) -> Distortion | None:
    coefficients = tuple(float(number) for number in info.d)
    if not any(coefficients):
        return None
    lens = Distortion(info.distortion_model, coefficients)
    try:
        is_straight(lens)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return lens


def _roi(info: Any, where: str) -> tuple[int, int, int, int]:
    """(left, top, width, height) in the full image; a roi of zeros means all of it."""
    roi = info.roi
    if not roi.width and not roi.height:
        return 0, 0, info.width, info.height
    if roi.x_offset + roi.width > info.width or roi.y_offset + roi.height > info.height or not roi.width * roi.height:
        raise ValueError(
            f"{where}: the roi of {roi.width} x {roi.height} px at ({roi.x_offset}, {roi.y_offset}) is not inside the"
            f" {info.width} x {info.height} px image"
        )
    return roi.x_offset, roi.y_offset, roi.width, roi.height
