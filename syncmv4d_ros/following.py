"""A body's fitted poses -> a motion that an arm can follow from frame 0 on. numpy and scipy only; no ROS."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.spatial.transform import Rotation, Slerp


def followable_motion(
    poses: Float[np.ndarray, "T 4 4"], valid: Bool[np.ndarray, "T"], rotation_valid: Bool[np.ndarray, "T"]
) -> Float64[np.ndarray, "T 4 4"]:
    """The body's motion since frame 0 in the world, pose_n * inverse(pose_0), without gaps; metres.

    Frames that are not valid are interpolated between those that are, and held after the last. A rotation that is valid in no
    frame is taken as fitted: of a body of revolution, such as a cup, it tells which way it leans, and a turn about its own
    axis does no harm. ValueError unless frame 0 and at least one other are valid.
    """
    if not len(poses) == len(valid) == len(rotation_valid):
        raise ValueError(f"{len(poses)} poses with {len(valid)} and {len(rotation_valid)} valid flags")
    if not valid.any() or not valid[0] or valid.sum() < 2:
        raise ValueError(
            f"{int(valid.sum())} of {len(valid)} poses are valid; frame 0 and at least one more are needed"
        )
    turned = rotation_valid & valid
    turned = turned if turned[1:].any() else valid
    frames, known, sure = np.arange(len(poses)), np.flatnonzero(valid), np.flatnonzero(turned)
    whole = np.tile(np.eye(4), (len(poses), 1, 1))
    for axis in range(3):
        whole[:, axis, 3] = np.interp(frames, known, poses[known, axis, 3])
    if len(sure) > 1:
        turns = Slerp(sure, Rotation.from_matrix(poses[sure, :3, :3]))
        whole[:, :3, :3] = turns(np.clip(frames, sure[0], sure[-1])).as_matrix()
    first = whole[0]
    back = np.eye(4)
    back[:3, :3], back[:3, 3] = first[:3, :3].T, -first[:3, :3].T @ first[:3, 3]
    return whole @ back
