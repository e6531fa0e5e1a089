"""A process that publishes one PointTracks and serves one action: what a planner would talk to, without the generator."""

from __future__ import annotations

import sys

from rclpy.action import ActionServer
from rclpy.node import Node

from syncmv4d.action import Generate
from syncmv4d.msg import MultiViewVideo, PointTracks, RigidBodyPath, RigidTrajectory, ViewVideo
from syncmv4d_ros.qos import LATCHED
from syncmv4d_ros.spinning import run_node

STAGES = ("condition", "denoise", "decode", "publish")


def tracks(task: str) -> PointTracks:
    """A message with something in every field."""
    message = PointTracks(task=task, plan_id="plan-1", views=["left", "right"], frame_period_s=0.125)
    message.header.frame_id = "world"
    message.header.stamp.sec, message.header.stamp.nanosec = 12, 34
    message.num_frames, message.num_points = 3, 4
    message.positions = [0.25 * i for i in range(3 * 4 * 3)]
    message.visible = [i % 2 for i in range(3 * 4)]
    message.stddev = [0.5 * i for i in range(3 * 4)]
    message.label = [
        PointTracks.LABEL_HAND,
        PointTracks.LABEL_TOOL,
        PointTracks.LABEL_TARGET,
        PointTracks.LABEL_UNKNOWN,
    ]
    message.source_view = [0, 0, 1, 1]
    return message


def trajectories() -> RigidTrajectory:
    body = RigidBodyPath(label=PointTracks.LABEL_TOOL, name="tool", residual=[0.001, 0.002], inliers=[4, 3])
    body.valid, body.rotation_valid = [True, True], [True, False]
    return RigidTrajectory(plan_id="plan-1", num_frames=2, frame_period_s=0.125, bodies=[body])


def videos() -> MultiViewVideo:
    video = ViewVideo(camera="left", frame_id="left_optical", width=64, height=48, num_frames=3, data=b"\x00\x01mp4")
    video.k = [50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0]
    return MultiViewVideo(plan_id="plan-1", videos=[video])


def answer(handle) -> Generate.Result:
    """One feedback per stage, then a result that repeats the goal's task."""
    steps = len(STAGES)
    for step, stage in enumerate(STAGES, start=1):
        handle.publish_feedback(Generate.Feedback(step=step, steps=steps, seconds_elapsed=0.5 * step, stage=stage))
    handle.succeed()
    return Generate.Result(
        plan_id="plan-1",
        success=True,
        message=f"seed {handle.request.seed}, deadline {handle.request.deadline.sec} s, queue {handle.request.queue}",
        tracks=tracks(handle.request.task),
        trajectories=trajectories(),
        videos=videos(),
    )


class MessageServer(Node):
    """Serves until `stop`."""

    def __init__(self) -> None:
        super().__init__("message_server")
        publisher = self.create_publisher(PointTracks, "tracks", LATCHED)
        self.server = ActionServer(self, Generate, "generate", answer)
        publisher.publish(tracks("latched"))

    def stop(self) -> None:
        self.server.destroy()


if __name__ == "__main__":
    sys.exit(run_node("message_server", MessageServer))
