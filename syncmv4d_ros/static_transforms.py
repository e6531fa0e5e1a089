"""Transforms of tf as matrices, and a chain of them. Messages of any class: rclpy's, or those that a bag reader made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from syncmv4d_model.geometry import inverse

QUATERNION_TOLERANCE = 1e-2
"""How far a quaternion's length may be from 1: as tf2 has it."""

Tree = Mapping[str, tuple[str, np.ndarray]]
"""child frame -> (parent frame, parent_from_child)."""


def static_tree(messages: Iterable[Any]) -> dict[str, tuple[str, np.ndarray]]:
    """The transforms of TFMessages, a later one of a frame replacing an earlier one.

    ValueError for one that is not finite or whose quaternion is no rotation.
    """
    tree = {}
    for message in messages:
        for stamped in message.transforms:
            child = stamped.child_frame_id.lstrip("/")
            parent_from_child = pose_matrix(stamped.transform, f"the transform to {child!r}")
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


def pose_matrix(transform: Any, where: str) -> Float64[np.ndarray, "4 4"]:
    """A geometry_msgs/Transform as a matrix, metres. ValueError, beginning with `where`, for numbers that are no pose."""
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


def _ancestors(tree: Tree, frame: str) -> dict[str, np.ndarray]:
    """ancestor -> ancestor_from_frame, nearest first, the frame itself included."""
    found = {frame: np.eye(4)}
    while frame in tree and tree[frame][0] not in found:
        parent, parent_from_child = tree[frame]
        found[parent] = parent_from_child @ found[frame]
        frame = parent
    return found
