"""sensor_msgs/CameraInfo -> calibration of the pixels that really arrive.

Messages may be of any class: rclpy's, or those that a bag reader made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from syncmv4d_model.data.rig import COEFFICIENTS, ROTATION_TOLERANCE, Distortion, Rig, check_rig
from syncmv4d_model.geometry import resized_intrinsics
from syncmv4d_ros.conversions import MAX_SIDE_PX


@dataclass(frozen=True)
class Calibration:
    """One camera's images as they arrive: after the driver's crop (roi) and binning, before our own crop and resize."""

    size: tuple[int, int]  # (width, height) px
    intrinsics: Float64[np.ndarray, "3 3"]  # px of those images; integer pixel centres
    distortion: Distortion | None  # None: straight, or already rectified
    rectification: Float64[
        np.ndarray, "3 3"
    ]  # turns optical-frame coordinates to those of the images; identity unless rectified


def read_camera_info(info: Any, *, rectified: bool = False) -> Calibration:
    """The calibration of the images that go with a CameraInfo.

    As REP-104 has it, K, D, R and P are of the full calibrated image, roi is a part of that in unbinned pixels, and binning
    comes last. `rectified` says that the topic carries rectified images: then P[:3, :3] with no distortion, and R turns
    the extrinsics. P's fourth column, a stereo baseline, is not used: extrinsics must be of the camera itself (`require_own_frame`).
    ValueError, with the number, for an empty or impossible calibration, and by name for a distortion model that is unknown.
    """
    full = (int(info.width), int(info.height))
    if min(full) < 1 or max(full) > MAX_SIDE_PX:
        raise ValueError(f"CameraInfo is of a {full[0]} x {full[1]} image; sides must be 1 to {MAX_SIDE_PX} px")
    name = "P" if rectified else "K"
    matrix = _matrix(info.p, (3, 4), name)[:, :3] if rectified else _matrix(info.k, (3, 3), name)
    _check_camera_matrix(matrix, name)
    if rectified:
        rectification, lens = _rotation(info.r), None
    else:
        rectification, lens = np.eye(3), read_distortion(str(info.distortion_model), list(info.d))
    (x, y), (width, height) = _region(info.roi, full)
    binning = [max(int(value), 1) for value in (info.binning_x, info.binning_y)]
    size = (width // binning[0], height // binning[1])
    if min(size) < 1:
        raise ValueError(f"binning {binning[0]} x {binning[1]} leaves nothing of {width} x {height} pixels")
    scale_x, scale_y = 1 / binning[0], 1 / binning[1]
    intrinsics = resized_intrinsics(matrix, scale_x, scale_y, crop_x_px=float(x), crop_y_px=float(y))
    return Calibration(size, intrinsics, lens, rectification)


def read_distortion(model: str, coefficients: Sequence[float]) -> Distortion | None:
    """A lens by its ROS model name; None where there is none: no coefficients, or all zero in a model where zero is straight."""
    values = tuple(float(value) for value in coefficients)
    if not np.isfinite(values).all():
        raise ValueError(f"distortion D holds a number that is not finite: {list(values)}")
    if not any(values) and (model != "equidistant" or not values):
        return None
    if model not in COEFFICIENTS:
        known = ", ".join(COEFFICIENTS)
        raise ValueError(
            f"distortion model {model[:64]!r} is not supported; known are {known}: publish rectified images"
        )
    while len(values) > max(COEFFICIENTS[model]) and values[-1] == 0:  # OpenCV pads with zeros
        values = values[:-1]
    if len(values) not in COEFFICIENTS[model]:
        wanted = " or ".join(map(str, COEFFICIENTS[model]))
        raise ValueError(f"distortion model {model} has {wanted} coefficients, D has {len(values)}")
    return Distortion(model, values)


def rig_of(
    view_names: tuple[str, ...], calibrations: Sequence[Calibration], camera_from_world: Float[np.ndarray, "V 4 4"]
) -> Rig:
    """A rig for data.observation.observe, which takes the lens out; the engine chooses a window of each image, and K follows.

    camera_from_world is of the optical frames; views that arrive rectified are turned by R. ValueError as rig.check_rig.
    """
    poses = np.array(camera_from_world, dtype=np.float64)
    for view, calibration in enumerate(calibrations):
        poses[view, :3] = calibration.rectification @ poses[view, :3]
    rig = Rig(
        view_names=view_names,
        image_files=(None,) * len(view_names),
        sizes=tuple(calibration.size for calibration in calibrations),
        intrinsics=np.stack([calibration.intrinsics for calibration in calibrations]),
        camera_from_world=poses,
        distortion=tuple(calibration.distortion for calibration in calibrations),
    )
    check_rig(rig)
    return rig


def same_calibration(a: Any, b: Any) -> bool:
    """Whether two CameraInfo messages say the same but for their header."""
    scalars = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
    return all(getattr(a, key) == getattr(b, key) for key in scalars) and all(
        np.array_equal(getattr(a, key), getattr(b, key), equal_nan=True) for key in ("d", "k", "r", "p")
    )


def require_own_frame(info: Any) -> None:
    """ValueError for the rectified images of a stereo pair's second camera, whose frame_id may be the first camera's: a pose
    that was looked up by frame may be one baseline off.
    """
    column = np.asarray(info.p, dtype=np.float64).reshape(-1)[3::4].tolist()
    if any(column):
        raise ValueError(
            f"P's last column is {column}, that of a stereo pair's second camera: the frame that its images name may be the"
            " first one's; give a rig file"
        )


def _matrix(values: Any, shape: tuple[int, int], name: str) -> Float64[np.ndarray, "_ _"]:
    matrix = np.array(values, dtype=np.float64)
    if matrix.size != shape[0] * shape[1]:
        raise ValueError(f"CameraInfo's {name} has {matrix.size} numbers, needs {shape[0] * shape[1]}")
    matrix = matrix.reshape(shape)
    if not np.isfinite(matrix).all():
        raise ValueError(f"CameraInfo's {name} holds a number that is not finite: {matrix.tolist()}")
    if not matrix.any():
        raise ValueError(f"CameraInfo's {name} is all zeros: the camera is not calibrated")
    return matrix


def _check_camera_matrix(matrix: np.ndarray, name: str) -> None:
    if not np.array_equal(matrix[2], [0, 0, 1]) or matrix[1, 0] != 0 or min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise ValueError(
            f"CameraInfo's {name} must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]] with positive fx, fy: {matrix.tolist()}"
        )


def _rotation(values: Any) -> Float64[np.ndarray, "3 3"]:
    rotation = _matrix(values, (3, 3), "R")
    with np.errstate(over="ignore", invalid="ignore"):
        off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())  # NaN where huge numbers cancel
    if not off <= ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(f"CameraInfo's R is not a rotation: R R^T is {off:.3g} off the identity: {rotation.tolist()}")
    return rotation


def _region(roi: Any, full: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The roi's corner and size in full-resolution pixels; all of the image where its sides are zero."""
    x, y, width, height = (int(value) for value in (roi.x_offset, roi.y_offset, roi.width, roi.height))
    if not (x or y or width or height):
        return (0, 0), full
    if width < 1 or height < 1 or x < 0 or y < 0 or x + width > full[0] or y + height > full[1]:
        raise ValueError(f"roi {width} x {height} at ({x}, {y}) does not lie in the {full[0]} x {full[1]} image")
    return (x, y), (width, height)
