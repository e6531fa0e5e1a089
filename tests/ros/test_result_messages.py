"""A prediction as messages: nothing is lost on the way to a planner, and a message that contradicts itself is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.video import encode_video, read_video
from syncmv4d_model.types import LABELS, Prediction
from syncmv4d_ros.hand_planning import HandTrajectory
from syncmv4d_ros.planning import body_trajectories
from syncmv4d_ros.result_messages import (
    parts_of,
    path_message,
    point_tracks_message,
    pose_array_message,
    pose_messages,
    trajectory_message,
    view_video_messages,
)
from syncmv4d_ros.sent_messages import header_message
from syncmv4d_ros.stamps import nanoseconds
from syncmv4d_ros.track_messages import read_point_tracks
from syncmv4d_ros.viewer_messages import (
    CLOUD,
    TRACKS_PER_LABEL,
    cloud_array,
    drawn_points,
    marker_array_message,
    point_cloud_message,
    replay_messages,
)
from tests.ros.moving_bodies import box_cloud, joined, moved, random_path, tracked
from tests.ros.test_track_messages import assert_same, random_points

VIEWS = ("left", "right")


def need(module):
    return pytest.importorskip(module, reason=f"{module} is not installed: the ros extra")


def small_prediction():
    rng = np.random.default_rng(0)
    shape = (2, 5, 16)
    tracks = rng.normal(size=(*shape, 3)).astype(np.float32)
    video = np.repeat(rng.integers(0, 256, (2, 5, 4, 4, 3), dtype=np.uint8).repeat(8, 2), 8, 3)
    k = np.array([[30.0, 0, 15.5], [0, 30.0, 15.5], [0, 0, 1]])
    return Prediction(
        video=video,
        pseudo_video=np.zeros(video.shape, np.float32),
        tracks=tracks,
        coarse_tracks=tracks,
        visible=rng.random(shape) < 0.8,
        stddev=rng.uniform(0, 0.01, shape).astype(np.float32),
        label=rng.integers(0, 4, (2, 16)).astype(np.uint8),
        anchors_px=np.zeros((2, 16, 2), np.float32),
        windows_px=np.tile([8.0, 0, 16, 16], (2, 1)),
        intrinsics=np.stack([k, k + 1e-3]),
        depth_scale=np.ones((2, 2), np.float32),
        frame_period_s=0.1,
        seed=0,
    )


def test_tracks_come_back_from_a_real_message():
    need("syncmv4d.msg")
    points = random_points()
    message = point_tracks_message(points, header_message("table"), view_names=VIEWS, task="stir", plan_id="plan-7")
    assert_same(read_point_tracks(message).points, points)
    start = (2 * message.num_points + 7) * 3  # as PointTracks.msg says it
    assert np.array_equal(message.positions[start : start + 3], points.positions[2, 7])
    assert message.source_view[7] == 1 and message.header.frame_id == "table"
    assert [message.LABEL_UNKNOWN, message.LABEL_HAND, message.LABEL_TOOL, message.LABEL_TARGET] == [0, 1, 2, 3]


def test_videos_are_playable_files_with_their_new_intrinsics(tmp_path):
    need("syncmv4d.msg")
    prediction = small_prediction()
    messages = view_video_messages(
        prediction,
        view_names=VIEWS,
        videos=[encode_video(video, frame_period_s=prediction.frame_period_s) for video in prediction.video],
        frame_ids=["left_optical_frame", "right_optical_frame"],
    )
    assert [video.camera for video in messages] == list(VIEWS)
    for view, video in enumerate(messages):
        path = tmp_path / f"{video.camera}.mp4"
        path.write_bytes(bytes(video.data))
        frames = read_video(path)
        assert frames.shape == (video.num_frames, video.height, video.width, 3) == prediction.video[view].shape
        assert np.abs(frames.astype(float) - prediction.video[view]).mean() < 20  # chroma of 8 px blocks is halved
        assert np.array_equal(video.k.reshape(3, 3), prediction.intrinsics[view])
        assert video.frame_id == f"{video.camera}_optical_frame" and np.isclose(video.frame_period_s, 0.1)


def two_bodies():
    rng = np.random.default_rng(1)
    parts = [tracked(moved(random_path(rng, 6), box_cloud(rng, 60)), label) for label in ("tool", "target", "hand")]
    return joined(*parts)


def test_poses_are_what_the_matrices_say():
    need("geometry_msgs.msg")
    body = body_trajectories(two_bodies())[0]
    for pose, matrix in zip(pose_messages(body.poses), body.poses, strict=True):
        q = pose.orientation
        assert np.allclose(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), matrix[:3, :3])
        assert np.allclose([pose.position.x, pose.position.y, pose.position.z], matrix[:3, 3])


def test_trajectories_name_their_bodies_and_flag_their_frames():
    need("syncmv4d.msg")
    points = two_bodies()
    bodies = body_trajectories(points)
    wrist = bodies[0].__class__(**vars(bodies[0]) | {"label": "wrist"})
    parts = parts_of(HandTrajectory(wrist, (), "5 of 5 fingertips are not told apart"))
    message = trajectory_message(
        [*bodies, *parts], header_message("table"), points=points, task="stir", plan_id="plan-7"
    )
    assert [(path.name, LABELS[path.label]) for path in message.bodies] == [
        ("tool", "tool"),
        ("target", "target"),
        ("wrist", "hand"),
    ]
    for path, body in zip(message.bodies, [*bodies, wrist], strict=True):
        assert len(path.poses) == len(path.residual) == message.num_frames == 6
        assert list(path.inliers) == body.inliers.tolist()
        assert list(path.valid) == body.valid.tolist() and list(path.rotation_valid) == body.rotation_valid.tolist()


def test_a_pose_array_has_a_pose_per_frame():
    need("geometry_msgs.msg")
    body = body_trajectories(two_bodies())[0]
    message = pose_array_message(body, header_message("table"))
    assert len(message.poses) == 6 and message.header.frame_id == "table"


def test_a_path_has_the_valid_poses_at_their_own_moments():
    need("nav_msgs.msg")
    body = body_trajectories(two_bodies())[0]
    valid = np.array([True, True, False, True, False, True])
    header = header_message("table", need("builtin_interfaces.msg").Time(sec=7, nanosec=900_000_000))
    path = path_message(replace(body, valid=valid), header, frame_period_s=0.125)
    assert path.header == header and {pose.header.frame_id for pose in path.poses} == {"table"}
    moments = [nanoseconds(pose.header.stamp) - nanoseconds(header.stamp) for pose in path.poses]
    assert moments == [0, 125_000_000, 375_000_000, 625_000_000]
    assert [pose.pose for pose in path.poses] == pose_messages(body.poses[valid])


def test_no_hand_has_no_parts():
    assert parts_of(None) == [] == parts_of(HandTrajectory(None, (), "no point is labelled tool"))


def test_the_cloud_holds_every_point_of_every_frame():
    points = random_points()
    cloud = cloud_array(points).reshape(4, 10)
    assert np.array_equal(np.stack([cloud["x"], cloud["y"], cloud["z"]], -1), points.positions)
    assert np.allclose(cloud["time_s"][:, 0], [0, 0.125, 0.25, 0.375])
    assert np.array_equal(cloud_array(points, 2), cloud[2])


def test_a_cloud_message_is_read_by_its_own_fields():
    need("sensor_msgs.msg")
    points = random_points()
    message = point_cloud_message(points, header_message("table"), frame=1)
    raw = np.frombuffer(message.data, np.uint8).reshape(message.width, message.point_step)
    kinds = {7: np.float32, 2: np.uint8}
    read = {f.name: raw[:, f.offset : f.offset + np.dtype(kinds[f.datatype]).itemsize] for f in message.fields}
    assert np.array_equal(read["y"].copy().view(np.float32)[:, 0], points.positions[1, :, 1])
    assert np.array_equal(read["label"][:, 0], points.label)
    assert message.row_step == len(message.data) == CLOUD.itemsize * 10
    colour = read["rgb"].copy().view(np.uint32)[points.label == LABELS.index("hand")]
    assert (colour == 0xFF4A4A).all()


def test_markers_draw_some_tracks_of_each_label_and_the_paths_of_bodies():
    need("visualization_msgs.msg")
    points = two_bodies()
    message = marker_array_message(points, body_trajectories(points), header_message("table"))
    assert [marker.ns for marker in message.markers] == [
        "",
        "tracks/hand",
        "tracks/tool",
        "tracks/target",
        "paths/tool",
        "paths/target",
    ]
    assert message.markers[0].action == message.markers[0].DELETEALL
    assert len(message.markers[1].points) == TRACKS_PER_LABEL * 5 * 2  # segments of 6 frames, two ends
    assert len(message.markers[4].points) == 6


def test_one_frame_has_no_lines_to_draw():
    need("visualization_msgs.msg")
    points = random_points(frames=1)
    assert len(marker_array_message(points, [], header_message("table")).markers) == 1


@given(st.integers(0, 99), st.integers(0, 200))
def test_drawn_points_have_the_label_and_are_few(seed, per_view):
    points = random_points(seed, per_view=per_view)
    chosen = drawn_points(points, 1)
    assert len(chosen) == min(np.count_nonzero(points.label == 1), TRACKS_PER_LABEL) == len(set(chosen.tolist()))
    assert (points.label[chosen] == 1).all()


def test_generated_frames_are_images_with_their_camera():
    need("sensor_msgs.msg")
    prediction = small_prediction()
    image, info = replay_messages(prediction, view=1, frame=3, frame_id="right_optical_frame", stamp=None)
    assert bytes(image.data) == prediction.video[1, 3].tobytes()
    assert np.array_equal(info.k.reshape(3, 3), prediction.intrinsics[1])
    assert (info.width, info.height) == (image.width, image.height) == (32, 32)
    assert image.header == info.header and image.header.frame_id == "right_optical_frame"


def test_every_message_survives_the_wire():
    need("syncmv4d.msg")
    serialization = need("rclpy.serialization")
    prediction = small_prediction()
    points, header = two_bodies(), header_message("table")
    bodies = body_trajectories(points)
    told = {"task": "stir", "plan_id": "plan-7"}
    messages = [
        point_tracks_message(points, header, view_names=("left",), **told),
        trajectory_message(bodies, header, points=points, **told),
        *view_video_messages(prediction, view_names=VIEWS, videos=[b"1", b"22"], frame_ids=["l", "r"]),
        point_cloud_message(points, header),
        marker_array_message(points, bodies, header),
        pose_array_message(bodies[0], header),
        path_message(bodies[0], header, frame_period_s=points.frame_period_s),
        *replay_messages(prediction, view=0, frame=0, frame_id="left", stamp=None),
    ]
    for message in messages:
        arrived = serialization.deserialize_message(serialization.serialize_message(message), type(message))
        again = serialization.deserialize_message(serialization.serialize_message(arrived), type(message))
        assert again == arrived  # not to the message itself: its float32 fields still hold Python's doubles
        if hasattr(message, "positions"):
            assert np.array_equal(read_point_tracks(arrived).points.positions, points.positions)
