"""A finished prediction as every message that the node promises."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from geometry_msgs.msg import PoseArray
from nav_msgs.msg import Path
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from syncmv4d.msg import MultiViewVideo, PointTracks, RigidTrajectory
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.types import Prediction
from syncmv4d_ros.camera_streams import Reference
from syncmv4d_ros.hand_planning import hand_trajectory
from syncmv4d_ros.parameters import GeneratorParameters
from syncmv4d_ros.planning import BodyTrajectory, TrackedPoints, body_trajectories
from syncmv4d_ros.qos import LATCHED
from syncmv4d_ros.result_messages import (
    parts_of,
    path_message,
    point_tracks_message,
    points_of,
    pose_array_message,
    trajectory_message,
    view_video_messages,
)
from syncmv4d_ros.sent_messages import header_message
from syncmv4d_ros.viewer_messages import marker_array_message, point_cloud_message, replay_messages

REPLAY_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
DONE = object()


@dataclass(frozen=True)
class ResultMessages:
    """The messages of one result, as published and as the action returns them."""

    tracks: PointTracks
    trajectories: RigidTrajectory
    videos: MultiViewVideo


class Laps:
    """Seconds of each stage of something that is done in one go."""

    def __init__(self) -> None:
        self.started = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What was done since the last lap belongs to a stage; stages add up."""
        now = time.monotonic()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def since_start(self) -> float:
        return time.monotonic() - self.started


class ResultPublisher:
    """The node's outgoing topics. `publish` may be called by any thread, one at a time."""

    def __init__(self, node: Any, parameters: GeneratorParameters, callback_group: Any) -> None:
        self.node, self.parameters = node, parameters
        self.callback_group = callback_group
        self.tracks = node.create_publisher(PointTracks, "tracks", LATCHED)
        self.trajectories = node.create_publisher(RigidTrajectory, "trajectories", LATCHED)
        self.videos = node.create_publisher(MultiViewVideo, "videos", LATCHED)
        self.points = node.create_publisher(PointCloud2, "points", LATCHED)
        self.markers = node.create_publisher(MarkerArray, "markers", LATCHED)
        self.paths: dict[str, tuple[Any, Any]] = {}  # publishers of PoseArray and Path, per body that was seen
        self.replays = {
            name: (
                node.create_publisher(Image, f"{name}/generated/image", REPLAY_QOS),
                node.create_publisher(CameraInfo, f"{name}/generated/camera_info", REPLAY_QOS),
            )
            for name in parameters.camera_names
        }
        self._encoders = ThreadPoolExecutor(len(parameters.camera_names), thread_name_prefix="syncmv4d-encoder")
        self._replaying: tuple[Any, Iterator[None]] | None = None  # timer, frames
        self._lock = threading.RLock()

    def publish(
        self, prediction: Prediction, reference: Reference, *, plan_id: str
    ) -> tuple[ResultMessages, dict[str, float]]:
        """Every message of a prediction, each as soon as it is made, tracks first: planners wait for them. For the worker's thread.

        Also returns the seconds of its stages: `fit` poses, wait to `encode` videos, `publish` (fill messages and hand them to
        DDS), and from the start until `tracks_out` and until `all_out`.
        """
        laps, observation, told = Laps(), reference.observation, self.parameters
        named: dict[str, Any] = {"task": observation.task, "plan_id": plan_id}
        header = header_message(told.world_frame, reference.stamp)
        points = points_of(prediction)
        tracks = point_tracks_message(points, header, view_names=observation.view_names, **named)
        self.tracks.publish(tracks)
        tracks_out = laps.since_start()
        laps.lap("publish")
        bodies = [*body_trajectories(points), *parts_of(hand_trajectory(points))]
        laps.lap("fit")
        trajectories = trajectory_message(bodies, header, points=points, **named)
        self.trajectories.publish(trajectories)
        if told.publish_viewer:
            self._publish_viewer(points, bodies, header)
        laps.lap("publish")
        encoded = [
            self._encoders.submit(encode_video, video, frame_period_s=prediction.frame_period_s)
            for video in prediction.video[: len(prediction.video) * told.publish_videos]
        ]
        wait(encoded)
        laps.lap("encode")
        videos = MultiViewVideo(header=header, **named)
        if told.publish_videos:
            files = [video.result() for video in encoded]
            videos.videos = view_video_messages(
                prediction, view_names=observation.view_names, videos=files, frame_ids=reference.frame_ids
            )
            self.videos.publish(videos)
        if told.replay:
            self._replay(prediction, reference)
        laps.lap("publish")
        stages = laps.seconds | {"tracks_out": tracks_out, "all_out": laps.since_start()}
        return ResultMessages(tracks, trajectories, videos), stages

    def close(self) -> None:
        """Stop a replay and destroy the publishers."""
        self._stop_replay()
        self._encoders.shutdown(cancel_futures=True)
        for publisher in (self.tracks, self.trajectories, self.videos, self.points, self.markers):
            self.node.destroy_publisher(publisher)
        for pair in (*self.replays.values(), *self.paths.values()):
            for publisher in pair:
                self.node.destroy_publisher(publisher)

    def _publish_viewer(self, points: TrackedPoints, bodies: Sequence[BodyTrajectory], header: Any) -> None:
        self.points.publish(point_cloud_message(points, header))
        self.markers.publish(marker_array_message(points, bodies, header))
        for body in bodies:
            if body.label not in self.paths:
                self.paths[body.label] = (
                    self.node.create_publisher(PoseArray, f"paths/{body.label}", LATCHED),
                    self.node.create_publisher(Path, f"paths/{body.label}/path", LATCHED),
                )
            every, valid = self.paths[body.label]
            every.publish(pose_array_message(body, header))
            valid.publish(path_message(body, header, frame_period_s=points.frame_period_s))

    def _replay(self, prediction: Prediction, reference: Reference) -> None:
        """Show the generated frames at their own rate, once, by a timer; a newer result takes its place."""
        self._stop_replay()
        frames = self._shown(prediction, reference)
        with (
            self._lock
        ):  # the timer knows the frames, not they the timer: a result goes with its replay, not with the next sweep
            timer = self.node.create_timer(
                prediction.frame_period_s, partial(self._tick, frames), callback_group=self.callback_group
            )
            self._replaying = timer, frames

    def _shown(self, prediction: Prediction, reference: Reference) -> Iterator[None]:
        """Publish one frame of every view with each step."""
        for frame in range(prediction.video.shape[1]):
            stamp = self.node.get_clock().now().to_msg()
            for view, name in enumerate(reference.observation.view_names):
                sent = replay_messages(
                    prediction, view=view, frame=frame, frame_id=reference.frame_ids[view], stamp=stamp,
                    rectification=reference.rectifications[view],
                )  # fmt: skip
                for publisher, message in zip(self.replays[name], sent, strict=True):
                    publisher.publish(message)
            yield

    def _tick(self, frames: Iterator[None]) -> None:
        with self._lock:  # of what close() destroys, and of the frames of one result
            if self._replaying is not None and self._replaying[1] is frames and next(frames, DONE) is DONE:
                self._stop_replay()

    def _stop_replay(self) -> None:
        with self._lock:
            replaying, self._replaying = self._replaying, None
            if replaying is not None:
                self.node.destroy_timer(replaying[0])
