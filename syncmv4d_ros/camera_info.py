"""sensor_msgs/CameraInfo <-> calibration of the pixels that really arrive, and of the pixels that we send.

Messages are duck-typed on input; message classes are imported when one is made.
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
    the extrinsics. P's fourth column, a stereo baseline, is not used: extrinsics are of the camera itself.
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
        rectification, lens = np.eye(3), read_distortion(str(info.distortion_model), info.d)
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
    """A rig for data.observation.observe, which takes the lens out, crops and resizes, with K following each step.

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


def camera_info_message(
    intrinsics: Float[np.ndarray, "3 3"],
    header: Any,
    *,
    width: int,
    height: int,
    rectification: Float[np.ndarray, "3 3"] | None = None,
) -> Any:
    """CameraInfo of an image that we send: K and P are of its own pixels, no distortion, roi and binning zero.

    `header` is a std_msgs/Header whose frame_id is the camera's optical frame; `rectification` is a Calibration's, for a camera
    whose images arrived rectified.
    """
    from sensor_msgs.msg import CameraInfo

    info = CameraInfo(header=header, width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = np.asarray(intrinsics, np.float64).ravel()
    info.r = (np.eye(3) if rectification is None else np.asarray(rectification, np.float64)).ravel()
    info.p = np.hstack([intrinsics, np.zeros((3, 1))]).astype(np.float64).ravel()
    return info


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
    off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if off > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
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
