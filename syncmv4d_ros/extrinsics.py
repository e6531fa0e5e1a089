"""Where the cameras stand: from calibration files, or from TF where tf2_ros is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from syncmv4d_ros.rig import read_rig_files, select_views
from syncmv4d_ros.static_transforms import pose_matrix

LOOKUP_TIMEOUT_S = 0.2
UPWARDS, LEVEL = 0.55, 0.35
"""A body frame's z is above 0.55 until its camera looks 56 degrees down; an optical frame's only when it looks 33 up."""


@runtime_checkable
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

    def close(self) -> None:
        """Listen no more."""
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

    def close(self) -> None:
        pass  # the files were read once


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
        self.node, self.world_frame = node, world_frame
        self.buffer = Buffer(node=node)  # its clock: the buffer is emptied when simulated time jumps back
        self.listener = TransformListener(self.buffer, node)

    def close(self) -> None:
        """The node's subscriptions hold the listener, so that letting go of it would not end them."""
        self.listener.unregister()
        self.node.destroy_service(self.buffer.srv)
        self.buffer.jump_handle.unregister()

    def camera_from_world(self, camera: str, frame_id: str, stamp: Any) -> Float64[np.ndarray, "4 4"]:
        from rclpy.duration import Duration
        from rclpy.time import Time
        from tf2_ros import TransformException

        target, source = frame_id.lstrip("/"), self.world_frame.lstrip("/")  # tf2 knows no leading slash
        try:
            found = self.buffer.lookup_transform(
                target, source, Time.from_msg(stamp), timeout=Duration(seconds=LOOKUP_TIMEOUT_S)
            )
        except TransformException as error:
            raise ValueError(f"no TF from {self.world_frame} to {frame_id} of camera {camera}: {error}") from error
        return pose_matrix(found.transform, f"TF from {self.world_frame} to {frame_id}")

    def doubt(self, frame_id: str, camera_from_world: Float64[np.ndarray, "4 4"]) -> str | None:
        return body_frame_doubt(frame_id, camera_from_world)


def body_frame_doubt(frame_id: str, camera_from_world: Float64[np.ndarray, "4 4"]) -> str | None:
    """A body frame (x forward, y left, z up) keeps z upwards while its camera looks level or down, and its y level; the z of
    an optical frame points where the camera looks. Taken for granted: the world's z is up. None where there is no doubt.
    """
    _, y_up, z_up = camera_from_world[:3, 2]  # how far each axis of the frame points up in the world
    if z_up > UPWARDS and abs(y_up) < LEVEL:
        return f"frame {frame_id!r} looks upwards: is it a body frame instead of the optical one (z forward)?"
    return None
