"""Where the cameras stand: from calibration files, or from TF where tf2_ros is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from syncmv4d_ros.rig import read_rig_files, select_views
from syncmv4d_ros.static_transforms import pose_matrix

LOOKUP_TIMEOUT_S = 0.2


class Extrinsics(Protocol):
    """camera_from_world of a camera's optical frame at a time."""

    by_frame: bool
    """Whether poses are looked up by the images' frame_id."""

    def camera_from_world(self, camera: str, frame_id: str, stamp: Any) -> Float64[np.ndarray, "4 4"]:
        """4 x 4, metres; ValueError says what is missing."""
        ...

    def doubt(self, frame_id: str, camera_from_world: Float64[np.ndarray, "4 4"]) -> str | None:
        """What is suspicious about a pose."""
        ...


class RigExtrinsics:
    """Poses that calibration files give, the same at all times."""

    by_frame = False

    def __init__(self, paths: Sequence[str], cameras: Sequence[str]) -> None:
        """FileNotFoundError, ValueError as rig.read_rig_files; ValueError for a camera that the files lack."""
        rig = select_views(read_rig_files([Path(path) for path in paths]), cameras)
        self.poses = dict(zip(rig.view_names, rig.camera_from_world, strict=True))

    def camera_from_world(self, camera: str, frame_id: str, stamp: Any) -> Float64[np.ndarray, "4 4"]:
        return self.poses[camera]

    def doubt(self, frame_id: str, camera_from_world: Float64[np.ndarray, "4 4"]) -> str | None:
        return None  # calibration files hold optical frames by definition


class TfExtrinsics:
    """Poses that TF gives for the frame_id and stamp of each image."""

    by_frame = True

    def __init__(self, node: Any, world_frame: str) -> None:
        """ValueError where tf2_ros is not installed."""
        try:
            from tf2_ros import Buffer, TransformListener
        except ModuleNotFoundError as error:
            raise ValueError(
                "no rig_files are given, and TF needs tf2_ros, which is not installed: name the cameras' calibration files"
            ) from error
        self.world_frame = world_frame
        self.buffer = Buffer()
        self.listener = TransformListener(self.buffer, node)

    def camera_from_world(self, camera: str, frame_id: str, stamp: Any) -> Float64[np.ndarray, "4 4"]:
        from rclpy.duration import Duration
        from rclpy.time import Time

        try:
            found = self.buffer.lookup_transform(
                frame_id, self.world_frame, Time.from_msg(stamp), timeout=Duration(seconds=LOOKUP_TIMEOUT_S)
            )
        except Exception as error:  # tf2 raises classes of its own extension
            raise ValueError(f"no TF from {self.world_frame} to {frame_id} of camera {camera}: {error}") from error
        return pose_matrix(found.transform, f"TF from {self.world_frame} to {frame_id}")

    def doubt(self, frame_id: str, camera_from_world: Float64[np.ndarray, "4 4"]) -> str | None:
        """A frame whose z looks up, as a body frame's does, while its x looks level, is hardly an optical one."""
        right, _, forward = camera_from_world[:3, :3]  # the camera's axes in the world
        if forward[2] > 0.9 and abs(right[2]) < 0.5:
            return f"frame {frame_id!r} looks straight up: is it a body frame instead of the optical one (z forward)?"
        return None
