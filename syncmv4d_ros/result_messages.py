"""A Prediction as messages: PointTracks, MultiViewVideo, RigidTrajectory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from syncmv4d_model.types import LABELS, Prediction
from syncmv4d_ros.conversions import byte_field, float_field
from syncmv4d_ros.hand_planning import HandTrajectory
from syncmv4d_ros.planning import BodyTrajectory, TrackedPoints, flattened
from syncmv4d_ros.sent_messages import header_message
from syncmv4d_ros.stamps import NS, nanoseconds
from syncmv4d_ros.track_messages import track_fields


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
    for name, value in track_fields(points, view_names=view_names, task=task, plan_id=plan_id).items():
        if isinstance(value, np.ndarray):
            value = byte_field(value) if value.dtype == np.uint8 else float_field(value)
        setattr(message, name, value)
    return message


def view_video_messages(
    prediction: Prediction, *, view_names: Sequence[str], videos: Sequence[bytes], frame_ids: Sequence[str]
) -> list[Any]:
    """A ViewVideo of each view's MP4; `frame_ids` are the cameras' optical frames."""
    from syncmv4d.msg import ViewVideo

    frames, height, width = prediction.video.shape[1:4]
    messages = []
    for view, (name, data) in enumerate(zip(view_names, videos, strict=True)):
        video = ViewVideo(camera=name, frame_id=frame_ids[view], width=width, height=height, num_frames=frames)
        video.frame_period_s = float(prediction.frame_period_s)
        video.k = prediction.intrinsics[view].astype(np.float64).ravel()
        video.data = byte_field(data)
        messages.append(video)
    return messages


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


def path_message(body: BodyTrajectory, header: Any, *, frame_period_s: float) -> Any:
    """A standard mirror of one body: nav_msgs/Path of its valid frames, each pose stamped with its own moment."""
    from builtin_interfaces.msg import Time
    from geometry_msgs.msg import PoseStamped
    from nav_msgs.msg import Path

    start_ns, path = nanoseconds(header.stamp), Path(header=header)
    for frame, pose in zip(np.flatnonzero(body.valid), pose_messages(body.poses[body.valid]), strict=True):
        sec, nanosec = divmod(start_ns + round(int(frame) * frame_period_s * NS), NS)
        stamped = header_message(header.frame_id, Time(sec=sec, nanosec=nanosec))
        path.poses.append(PoseStamped(header=stamped, pose=pose))
    return path
