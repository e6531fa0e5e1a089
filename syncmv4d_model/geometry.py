"""Pinhole geometry in numpy. Pixel centres are integers (OpenCV, ROS): a centred camera has cx = (W-1)/2.

`a_from_b` is a 4x4 that takes b-coordinates to a-coordinates; lengths are metres.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def transform(
    a_from_b: Float[np.ndarray, "*#n 4 4"], points_b: Float[np.ndarray, "*#n P 3"]
) -> Float[np.ndarray, "*m P 3"]:
    """Take points from frame b to frame a."""
    return points_b @ np.swapaxes(a_from_b[..., :3, :3], -1, -2) + a_from_b[..., None, :3, 3]


def inverse(a_from_b: Float[np.ndarray, "*n 4 4"]) -> Float[np.ndarray, "*n 4 4"]:
    """b_from_a of a rigid transform."""
    rotation = np.swapaxes(a_from_b[..., :3, :3], -1, -2)
    b_from_a = np.zeros_like(a_from_b)
    b_from_a[..., :3, :3] = rotation
    b_from_a[..., :3, 3] = -(rotation @ a_from_b[..., :3, 3:])[..., 0]
    b_from_a[..., 3, 3] = 1
    return b_from_a


def project(
    intrinsics: Float[np.ndarray, "*#n 3 3"], points_camera: Float[np.ndarray, "*#n P 3"]
) -> Float[np.ndarray, "*m P 2"]:
    """Pixel (u, v) of camera-frame points. Points at or behind the camera give non-finite or mirrored pixels; mask by depth."""
    uvw = points_camera @ np.swapaxes(intrinsics, -1, -2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return uvw[..., :2] / uvw[..., 2:]


def unproject(
    intrinsics: Float[np.ndarray, "*#n 3 3"], pixels: Float[np.ndarray, "*#n P 2"], depth_m: Float[np.ndarray, "*#n P"]
) -> Float[np.ndarray, "*m P 3"]:
    """Camera-frame points at the given depth along z: z K^-1 (u, v, 1)."""
    homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
    return homogeneous @ np.swapaxes(np.linalg.inv(intrinsics), -1, -2) * depth_m[..., None]


def resized_intrinsics(
    intrinsics: Float[np.ndarray, "*n 3 3"],
    scale_x: float,
    scale_y: float,
    *,
    crop_x_px: float = 0.0,
    crop_y_px: float = 0.0,
) -> Float[np.ndarray, "*n 3 3"]:
    """K after cropping at (crop_x, crop_y) and then resizing: c' = s (c - crop + 0.5) - 0.5, f' = s f."""
    result = np.array(intrinsics, dtype=np.float64)
    result[..., 0, :] *= scale_x
    result[..., 1, :] *= scale_y
    result[..., 0, 2] = scale_x * (intrinsics[..., 0, 2] - crop_x_px + 0.5) - 0.5
    result[..., 1, 2] = scale_y * (intrinsics[..., 1, 2] - crop_y_px + 0.5) - 0.5
    return result


def camera_centre(camera_from_world: Float[np.ndarray, "*n 4 4"]) -> Float[np.ndarray, "*n 3"]:
    """World position of the camera's optical centre."""
    rotation = camera_from_world[..., :3, :3]
    return -(np.swapaxes(rotation, -1, -2) @ camera_from_world[..., :3, 3:])[..., 0]


def look_at(
    eye: Float[np.ndarray, "3"], target: Float[np.ndarray, "3"], up: Float[np.ndarray, "3"]
) -> Float[np.ndarray, "4 4"]:
    """camera_from_world of a camera at `eye` looking at `target`, image up along `up`."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    camera_from_world = np.eye(4)
    camera_from_world[:3, :3] = rotation
    camera_from_world[:3, 3] = -rotation @ eye
    return camera_from_world
