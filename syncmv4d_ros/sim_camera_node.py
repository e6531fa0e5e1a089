"""The cell's cameras on real topics: images and calibration at a steady rate, TF where tf2_msgs is installed, and the truth.

Publishes `<camera>/image`, `<camera>/camera_info`, `tracks_truth` (once, or every `truth_period_s`, for late subscribers too) and
`/tf_static`. The arm stands still before the first frame, so the images are those of frame 0, and any of them may be the truth's.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from syncmv4d.msg import PointTracks
from syncmv4d_model.data.rig import write_rig
from syncmv4d_model.data.sequence import Sequence, rig_of_sequence
from syncmv4d_model.geometry import inverse
from syncmv4d_ros import parameters
from syncmv4d_ros.cell import CellParameters, open_cell
from syncmv4d_ros.parameters import parameter
from syncmv4d_ros.planning import exact_points
from syncmv4d_ros.qos import LATCHED
from syncmv4d_ros.recorder import optical_frame
from syncmv4d_ros.result_messages import point_tracks_message, pose_messages
from syncmv4d_ros.sent_messages import camera_info_message, header_message, image_message
from syncmv4d_ros.spinning import run_node

CAMERA_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)  # heard by best-effort subscribers too


@dataclass(frozen=True)
class CameraParameters(CellParameters):
    """The cell, and how it is shown."""

    rate_hz: float = parameter(20.0, "Images per second and camera.", low=0.1, high=120.0)
    world_frame: str = parameter("world", "Frame of the truth, and TF's parent of the cameras.")
    truth_period_s: float = parameter(
        0.0,
        "Publish the truth again so often, stamped like images, for recorders that come late. 0: once.",
        low=0.0,
        high=3600.0,
    )
    rig_file: str = parameter(
        "", "Where to write the cameras' rig.yaml, for the generator's rig_files. Empty: nowhere."
    )


class SimCameraNode(Node):
    """Publishes from construction on. ValueError for parameters that make no cell; OSError for a rig_file that cannot be written."""

    def __init__(self, **options: Any) -> None:
        super().__init__("sim_camera", **options)
        parameters.declare(self, CameraParameters)
        told = parameters.read(self, CameraParameters)
        self.sequence = open_cell(told).sequence
        if told.rig_file:
            write_rig(Path(told.rig_file), rig_of_sequence(self.sequence))
        self._cameras = [self._camera(view, name) for view, name in enumerate(self.sequence.view_names)]
        self._truth = self.create_publisher(PointTracks, "tracks_truth", LATCHED)
        self._message = truth_message(self.sequence, header_message(told.world_frame, self._now()))
        self._truth.publish(self._message)
        self._truth_shots, self._shots = math.ceil(told.truth_period_s * told.rate_hz), 0
        self._tf = self._publish_tf(told.world_frame)
        self._timer = self.create_timer(1 / told.rate_hz, self._shoot)
        names = ", ".join(self.sequence.view_names)
        self.get_logger().info(f"{self.sequence.task!r}: cameras {names} at {told.rate_hz:g} Hz")

    def stop(self) -> None:
        """Show nothing more."""
        self._timer.cancel()

    def _camera(self, view: int, name: str) -> tuple[Any, Any, Image, CameraInfo]:
        """A camera's publishers and the messages that they send, but for their stamps."""
        image = self.sequence.video[view, 0]
        header = header_message(optical_frame(name))
        height, width = image.shape[:2]
        info = camera_info_message(self.sequence.intrinsics[view], header, width=width, height=height)
        return (
            self.create_publisher(Image, f"{name}/image", CAMERA_QOS),
            self.create_publisher(CameraInfo, f"{name}/camera_info", CAMERA_QOS),
            image_message(np.ascontiguousarray(image), header),
            info,
        )

    def _shoot(self) -> None:
        stamp = self._now()
        for image_publisher, info_publisher, image, info in self._cameras:
            image.header.stamp = info.header.stamp = stamp
            info_publisher.publish(info)
            image_publisher.publish(image)
        self._shots += 1
        if self._truth_shots and self._shots % self._truth_shots == 0:
            self._message.header.stamp = stamp
            self._truth.publish(self._message)

    def _publish_tf(self, world_frame: str) -> Any:
        if importlib.util.find_spec("tf2_msgs") is None:
            self.get_logger().info("no TF, tf2_msgs is not installed: give the generator rig_files")
            return None
        from geometry_msgs.msg import Transform, TransformStamped, Vector3
        from tf2_msgs.msg import TFMessage

        publisher, message = self.create_publisher(TFMessage, "/tf_static", LATCHED), TFMessage()
        poses = pose_messages(inverse(self.sequence.camera_from_world.astype(np.float64)))
        for name, pose in zip(self.sequence.view_names, poses, strict=True):
            at = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
            placed = Transform(translation=at, rotation=pose.orientation)
            header = header_message(world_frame, self._now())
            message.transforms.append(
                TransformStamped(header=header, child_frame_id=optical_frame(name), transform=placed)
            )
        publisher.publish(message)
        return publisher

    def _now(self) -> Any:
        return self.get_clock().now().to_msg()


def truth_message(sequence: Sequence, header: Any) -> PointTracks:
    """A sequence's exact tracks; their deviation is 0 and their plan_id is the sequence's name."""
    points = exact_points(sequence, sequence.positions)
    return point_tracks_message(
        points, header, view_names=sequence.view_names, task=sequence.task, plan_id=sequence.name
    )


def main(arguments: list[str] | None = None) -> int:
    """`ros2 run syncmv4d sim_camera_node`: until SIGINT or SIGTERM. Exit status 1, with one line, where there is no cell."""
    return run_node("sim_camera", SimCameraNode, arguments=arguments)


if __name__ == "__main__":
    sys.exit(main())
