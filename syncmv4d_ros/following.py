"""A body's fitted poses -> a motion that an arm can follow from frame 0 on. Messages are duck-typed; no ROS at import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.spatial.transform import Rotation, Slerp

from syncmv4d_model.geometry import inverse
from syncmv4d_ros.planning import MAX_RESIDUAL_M, MIN_INLIER_SHARE, MIN_INLIERS

QUATERNION_TOLERANCE = 1e-3


def followable_motion(
    poses: Float[np.ndarray, "T 4 4"], valid: Bool[np.ndarray, "T"], rotation_valid: Bool[np.ndarray, "T"]
) -> Float64[np.ndarray, "T 4 4"]:
    """The body's motion since frame 0 in the world, pose_n * inverse(pose_0), without gaps; metres.

    Frames that are not valid are interpolated between those that are, and held after the last. A rotation that is valid in no
    frame is taken as fitted: of a body of revolution, such as a cup, it tells which way it leans, and a turn about its own
    axis does no harm. ValueError unless frame 0 and at least one other are valid.
    """
    if not valid[:1].all() or valid.sum() < 2:
        raise ValueError(_too_few(valid))
    turned = rotation_valid & valid
    turned = turned if turned[1:].any() else valid
    frames, known, sure = np.arange(len(poses)), np.flatnonzero(valid), np.flatnonzero(turned)
    whole = np.tile(np.eye(4), (len(poses), 1, 1))
    for axis in range(3):
        whole[:, axis, 3] = np.interp(frames, known, poses[known, axis, 3])
    if len(sure) > 1:
        turns = Slerp(sure, Rotation.from_matrix(poses[sure, :3, :3]))
        whole[:, :3, :3] = turns(np.clip(frames, sure[0], sure[-1])).as_matrix()
    return whole @ inverse(whole[0])


def _too_few(valid: Bool[np.ndarray, "T"]) -> str:
    """How many poses are valid, how many are needed, what makes one so, and what to try."""
    count, least = int(valid.sum()), f"at least {MIN_INLIERS} and {MIN_INLIER_SHARE:.0%} of the body's points"
    start = "" if not count else ", frame 0 alone" if valid[0] else ", and frame 0 is not among them"
    return (
        f"{count} of {len(valid)} poses are valid{start}; needed are frame 0 and one more, 2 of {len(valid)}. A pose is valid where"
        f" {least} move as one body to within {1000 * MAX_RESIDUAL_M:.0f} mm: ask again with another seed or more steps"
    )


def received_motion(message: Any, name: str) -> Float64[np.ndarray, "T 4 4"]:
    """followable_motion of one body of a RigidTrajectory. ValueError, with the numbers, for a message that is no plan."""
    paths = [path for path in message.bodies if path.name == name]
    if len(paths) != 1:
        there = ", ".join(str(path.name) for path in message.bodies) or "none"
        raise ValueError(f"the plan has {len(paths)} paths of {name!r}; its bodies: {there}")
    path, frames = paths[0], int(message.num_frames)
    lengths = {"poses": len(path.poses), "valid": len(path.valid), "rotation_valid": len(path.rotation_valid)}
    if not all(length == frames for length in lengths.values()):
        raise ValueError(f"the plan claims {frames} frames, its {name} has {lengths}")
    valid = np.array([bool(flag) for flag in path.valid], bool)
    poses = pose_matrices([pose for pose, flag in zip(path.poses, valid, strict=True) if flag])
    whole = np.tile(np.eye(4), (frames, 1, 1))
    whole[valid] = poses
    return followable_motion(whole, valid, np.array([bool(flag) for flag in path.rotation_valid], bool))


def pose_matrices(poses: Sequence[Any]) -> Float64[np.ndarray, "N 4 4"]:
    """geometry_msgs/Pose as matrices. ValueError for numbers that are no pose."""
    positions = np.array([[p.position.x, p.position.y, p.position.z] for p in poses]).reshape(-1, 3)
    fields = [(p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w) for p in poses]
    quaternions = np.array(fields, np.float64).reshape(-1, 4)
    norms = np.linalg.norm(quaternions, axis=-1)
    for n, (position, norm) in enumerate(zip(positions, norms, strict=True)):
        if not (np.isfinite(position).all() and abs(norm - 1) < QUATERNION_TOLERANCE):
            raise ValueError(f"pose {n} is at {position.tolist()} with a quaternion of norm {norm:.3g}")
    matrices = np.tile(np.eye(4), (len(poses), 1, 1))
    if len(poses):
        matrices[:, :3, :3], matrices[:, :3, 3] = Rotation.from_quat(quaternions).as_matrix(), positions
    return matrices
