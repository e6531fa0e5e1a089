"""A left hand's scene is a right hand's seen in a mirror: the world's x, and the pictures' columns,
run the other way.

Physics and renderer know right hands only. What they make is mirrored afterwards, exactly: a
mirrored point projects through the mirrored rig to the mirrored pixel. The table stays horizontal,
the operator on the same side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from syncmv4d_model.data.surface_tracks import SceneRig

_FLIP = np.array([-1.0, 1.0, 1.0, 1.0])
Array = TypeVar("Array", bound=np.ndarray)


def mirror_points(points: Float[np.ndarray, "*B 3"]) -> Float[np.ndarray, "*B 3"]:
    """Points or directions, in the world or in a body's frame."""
    return (points * _FLIP[:3].astype(points.dtype)).astype(points.dtype)


def mirror_poses(poses: Float[np.ndarray, "*B 4 4"]) -> Float[np.ndarray, "*B 4 4"]:
    """Rigid poses, or motions, between mirrored frames: they stay rotations and place mirrored
    points.
    """
    return (poses * np.outer(_FLIP, _FLIP)).astype(poses.dtype)


def mirror_pixels(pixels: Float[np.ndarray, "*B 2"], *, width: int) -> Float[np.ndarray, "*B 2"]:
    """Pixel positions, centres at integers, of the mirrored picture."""
    return np.stack([width - 1 - pixels[..., 0], pixels[..., 1]], -1).astype(pixels.dtype)


def mirror_images(images: Array, *, columns: int) -> Array:
    """Pictures, depth or masks; `columns` names the axis that runs to the right."""
    return np.ascontiguousarray(np.flip(images, columns))  # pyright: ignore[reportReturnType]


def mirror_rig(rig: SceneRig) -> SceneRig:
    """The cameras that see the mirrored scene as the mirrored pictures. Views keep their names and
    their order.
    """
    intrinsics = rig.intrinsics.copy()
    intrinsics[:, 0, 2] = rig.width - 1 - intrinsics[:, 0, 2]
    intrinsics[:, 0, 1] *= -1
    return replace(rig, intrinsics=intrinsics, camera_from_world=mirror_poses(rig.camera_from_world))
