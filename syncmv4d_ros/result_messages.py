"""A Prediction as messages: PointTracks, MultiViewVideo, RigidTrajectory; and PointTracks as arrays again, for planners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.video import encode_video
from syncmv4d_model.types import LABELS, Observation, Prediction
from syncmv4d_ros.conversions import byte_field, float_field
from syncmv4d_ros.hand_planning import HandTrajectory
from syncmv4d_ros.planning import BodyTrajectory, TrackedPoints, flattened

MAX_FRAMES = 10_000
MAX_POINTS = 1_000_000


@dataclass(frozen=True)
class ReceivedTracks:
    """A PointTracks message, checked."""

    points: TrackedPoints
    view_names: tuple[str, ...]
    source_view: UInt8[np.ndarray, "P"]
    task: str
    plan_id: str
    frame_id: str  # the world frame of the positions

    def by_view(self) -> ViewArrays:
        """The arrays as a Prediction has them. ValueError unless points come view after view, K of each."""
        views = len(self.view_names)
        per_view, rest = divmod(len(self.source_view), max(views, 1))
        if rest or not np.array_equal(self.source_view, np.repeat(np.arange(views), per_view)):
            counts = np.bincount(self.source_view, minlength=views).tolist()
            raise ValueError(f"points do not come view after view with as many of each: {counts} of {views} views")
        points = self.points
        frames = len(points.positions)
        return ViewArrays(
            tracks=np.moveaxis(points.positions.reshape(frames, views, per_view, 3), 0, 1),
            visible=np.moveaxis(points.visible.reshape(frames, views, per_view), 0, 1),
            stddev=np.moveaxis(points.stddev.reshape(frames, views, per_view), 0, 1),
            label=points.label.reshape(views, per_view),
        )


@dataclass(frozen=True)
class ViewArrays:
    """Tracks in the layout of a Prediction."""

    tracks: Float32[np.ndarray, "V T K 3"]  # metres
    visible: Bool[np.ndarray, "V T K"]
    stddev: Float32[np.ndarray, "V T K"]  # metres, per axis; NaN where the model gives none
    label: UInt8[np.ndarray, "V K"]


def points_of(prediction: Prediction) -> TrackedPoints:
    """A prediction's tracks for planning. ValueError if they are not finite."""
    p = prediction
    return flattened(p.tracks, p.visible, p.stddev, p.label, frame_period_s=p.frame_period_s)


def point_tracks_message(
    points: TrackedPoints, header: Any, *, view_names: Sequence[str], task: str, plan_id: str
) -> Any:
    """PointTracks; point = v * K + k. `header` is a std_msgs/Header: stamp of the reference images, frame_id of the world."""
    from syncmv4d.msg import PointTracks

    message = PointTracks(header=header)
    fill_point_tracks(message, points, view_names=view_names, task=task, plan_id=plan_id)
    return message


def fill_point_tracks(
    message: Any, points: TrackedPoints, *, view_names: Sequence[str], task: str, plan_id: str
) -> None:
    """Set all of a PointTracks but its header. ValueError unless every view has as many points."""
    frames, count = points.visible.shape
    if not view_names or count % len(view_names):
        raise ValueError(f"{count} points cannot come from {len(view_names)} views with as many of each")
    message.task, message.plan_id, message.views = task, plan_id, list(view_names)
    message.frame_period_s = float(points.frame_period_s)
    message.num_frames, message.num_points = frames, count
    message.positions = float_field(points.positions)
    message.visible = byte_field(points.visible)
    message.stddev = float_field(points.stddev)
    message.label = byte_field(points.label)
    message.source_view = byte_field(np.repeat(np.arange(len(view_names)), count // len(view_names)))


def read_point_tracks(message: Any) -> ReceivedTracks:
    """Arrays of a PointTracks. ValueError, with the numbers, if its arrays do not fit its sizes or its numbers make no sense."""
    frames, count = int(message.num_frames), int(message.num_points)
    if not (1 <= frames <= MAX_FRAMES and 0 <= count <= MAX_POINTS):
        raise ValueError(f"PointTracks claims {frames} frames of {count} points; 1 to {MAX_FRAMES}, up to {MAX_POINTS}")
    visible = _array(message, "visible", np.uint8, (frames, count))
    source_view = _array(message, "source_view", np.uint8, (count,))
    views = tuple(str(name) for name in message.views)
    if count and source_view.max() >= len(views):
        raise ValueError(f"PointTracks has source_view {int(source_view.max())}, but {len(views)} views")
    points = TrackedPoints(
        positions=_array(message, "positions", np.float32, (frames, count, 3)),
        visible=visible != 0,
        stddev=_array(message, "stddev", np.float32, (frames, count)),
        label=_array(message, "label", np.uint8, (count,)),
        frame_period_s=float(message.frame_period_s),
    )
    header = message.header
    return ReceivedTracks(points, views, source_view, str(message.task), str(message.plan_id), str(header.frame_id))


def view_videos(prediction: Prediction) -> list[bytes]:
    """An H.264 MP4 of each view, in memory. The slow part of publishing: for the worker, not a callback."""
    return [encode_video(video, frame_period_s=prediction.frame_period_s) for video in prediction.video]


def multi_view_video_message(
    prediction: Prediction,
    observation: Observation,
    header: Any,
    *,
    videos: Sequence[bytes],
    frame_ids: Sequence[str],
    plan_id: str,
) -> Any:
    """MultiViewVideo of `view_videos`; `frame_ids` are the cameras' optical frames."""
    from syncmv4d.msg import MultiViewVideo, ViewVideo

    frames, height, width = prediction.video.shape[1:4]
    message = MultiViewVideo(header=header, task=observation.task, plan_id=plan_id)
    for view, (name, data) in enumerate(zip(observation.view_names, videos, strict=True)):
        video = ViewVideo(camera=name, frame_id=frame_ids[view], width=width, height=height, num_frames=frames)
        video.frame_period_s = float(prediction.frame_period_s)
        video.k = observation.intrinsics[view].astype(np.float64).ravel()
        video.data = byte_field(data)
        message.videos.append(video)
    return message


def trajectory_message(
    bodies: Sequence[BodyTrajectory], header: Any, *, points: TrackedPoints, task: str, plan_id: str
) -> Any:
    """RigidTrajectory of bodies, wrist and fingertips (`parts_of`)."""
    from syncmv4d.msg import RigidBodyPath, RigidTrajectory

    message = RigidTrajectory(header=header, task=task, plan_id=plan_id)
    message.frame_period_s, message.num_frames = float(points.frame_period_s), len(points.positions)
    for body in bodies:
        path = RigidBodyPath(name=body.label, poses=pose_messages(body.poses))
        path.label = LABELS.index(body.label if body.label in LABELS else "hand")
        path.residual = float_field(body.residual_m)
        path.inliers = [int(count) for count in body.inliers]
        path.valid = [bool(flag) for flag in body.valid]
        path.rotation_valid = [bool(flag) for flag in body.rotation_valid]
        message.bodies.append(path)
    return message


def parts_of(hand: HandTrajectory | None) -> list[BodyTrajectory]:
    """What is known of a hand: its wrist, then its fingertips."""
    return [] if hand is None or hand.wrist is None else [hand.wrist, *hand.fingertips]


def pose_messages(world_from_body: Float[np.ndarray, "T 4 4"]) -> list[Any]:
    """geometry_msgs/Pose of each matrix."""
    from geometry_msgs.msg import Point, Pose, Quaternion

    quaternions = Rotation.from_matrix(world_from_body[:, :3, :3]).as_quat()
    return [
        Pose(
            position=Point(x=float(p[0]), y=float(p[1]), z=float(p[2])),
            orientation=Quaternion(x=float(q[0]), y=float(q[1]), z=float(q[2]), w=float(q[3])),
        )
        for p, q in zip(world_from_body[:, :3, 3], quaternions, strict=True)
    ]


def pose_array_message(body: BodyTrajectory, header: Any) -> Any:
    """A standard mirror of one body: geometry_msgs/PoseArray of all its frames, valid or not, so that index = frame."""
    from geometry_msgs.msg import PoseArray

    return PoseArray(header=header, poses=pose_messages(body.poses))


def _array(message: Any, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """A message's flat field as an array of our own."""
    field = getattr(message, name)
    field = np.frombuffer(field, dtype) if isinstance(field, bytes) else np.asarray(field, dtype=dtype)
    if field.shape != (int(np.prod(shape)),):
        raise ValueError(f"PointTracks' {name} has {field.size} numbers, {list(shape)} needs {int(np.prod(shape))}")
    return field.reshape(shape).copy()
