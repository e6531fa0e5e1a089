"""Poses from TF, with tf2_ros itself over real DDS: they are the cameras', a camera without one says so, and nothing is left behind."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.ros.dds import require_ros, spin_until

require_ros()
pytest.importorskip("tf2_ros", reason="tf2_ros is not installed here: it comes with a ROS 2 distribution, not from pip")

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import Transform, TransformStamped, Vector3  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

from syncmv4d_model.geometry import inverse  # noqa: E402
from syncmv4d_ros.extrinsics import TfExtrinsics  # noqa: E402
from syncmv4d_ros.qos import LATCHED  # noqa: E402
from syncmv4d_ros.result_messages import pose_messages  # noqa: E402
from syncmv4d_ros.rig import read_rig_files  # noqa: E402
from syncmv4d_ros.sent_messages import header_message  # noqa: E402
from tests.ros.camera_rig import NAMES, write_rig  # noqa: E402
from tests.ros.planner_client import generator  # noqa: E402
from tests.ros.test_node_states import change, level  # noqa: E402


def transform(parent, child, parent_from_child, stamp=None):
    (pose,) = pose_messages(parent_from_child[None])
    at = Vector3(x=pose.position.x, y=pose.position.y, z=pose.position.z)
    placed = Transform(translation=at, rotation=pose.orientation)
    return TransformStamped(header=header_message(parent, stamp), child_frame_id=child, transform=placed)


def somewhere(seed):
    pose, rng = np.eye(4), np.random.default_rng(seed)
    pose[:3, :3], pose[:3, 3] = Rotation.random(random_state=rng).as_matrix(), rng.uniform(-1, 1, 3)
    return pose


@pytest.fixture
def static(ros_node):
    """Publishes on /tf_static."""
    node, _ = ros_node
    publisher = node.create_publisher(TFMessage, "/tf_static", LATCHED)
    return lambda *transforms: publisher.publish(TFMessage(transforms=list(transforms)))


@pytest.fixture
def tf(ros_node):
    extrinsics = TfExtrinsics(ros_node[0], "world")
    yield extrinsics
    extrinsics.close()


def test_a_chain_of_transforms_gives_the_camera_from_the_world(ros_node, static, tf):
    node, executor = ros_node
    world_from_base, base_from_camera = somewhere(1), somewhere(2)
    static(transform("world", "base", world_from_base), transform("base", "left_optical", base_from_camera))
    now = node.get_clock().now()
    spin_until(executor, lambda: tf.buffer.can_transform("left_optical", "world", now), what="transforms")
    for frame in ("left_optical", "/left_optical"):
        found = tf.camera_from_world("left", frame, now.to_msg())
        np.testing.assert_allclose(found, inverse(world_from_base @ base_from_camera), atol=1e-9)


def test_a_moving_camera_is_where_it_was_when_the_image_was_taken(ros_node, tf):
    node, executor = ros_node
    publisher = node.create_publisher(TFMessage, "/tf", 10)
    second = node.get_clock().now().to_msg().sec
    times = [Time(sec=second - 3 + n) for n in range(3)]
    poses = [np.eye(4) for _ in times]
    for n, pose in enumerate(poses):
        pose[0, 3] = float(n)
    spin_until(executor, lambda: publisher.get_subscription_count() > 0, what="listener")

    def heard():
        publisher.publish(
            TFMessage(transforms=[transform("world", "left_optical", *p) for p in zip(poses, times, strict=True)])
        )
        executor.spin_once(timeout_sec=0.05)
        return tf.buffer.can_transform("left_optical", "world", times[-1])

    spin_until(executor, heard, what="transforms")
    halfway = Time(sec=second - 3, nanosec=500_000_000)
    np.testing.assert_allclose(inverse(tf.camera_from_world("left", "left_optical", halfway))[0, 3], 0.5, atol=1e-6)
    with pytest.raises(
        ValueError, match="no TF from world to left_optical of camera left: .*extrapolation into the future"
    ):
        tf.camera_from_world("left", "left_optical", Time(sec=second + 100))


def test_what_is_no_frame_is_refused_by_name(ros_node, tf):
    stamp = ros_node[0].get_clock().now().to_msg()
    for frame in ("nowhere", "", "/"):
        with pytest.raises(ValueError, match=f"no TF from world to {frame} of camera left"):
            tf.camera_from_world("left", frame, stamp)


def test_nobody_listens_any_more_once_it_is_closed(ros_node):
    node, executor = ros_node
    for _ in range(3):
        extrinsics = TfExtrinsics(node, "world")
        spin_until(executor, lambda: node.count_subscribers("/tf_static") == 1, what="one listener")
        extrinsics.close()
    spin_until(
        executor, lambda: not node.count_subscribers("/tf") + node.count_subscribers("/tf_static"), what="silence"
    )


def test_a_node_without_rig_files_waits_for_tf_names_the_camera_and_works(ros_node, parameters, static, tmp_path):
    rig = read_rig_files([write_rig(tmp_path / "rig.yaml")])
    left, right = (
        transform("world", f"{name}_optical", inverse(rig.camera_from_world[view])) for view, name in enumerate(NAMES)
    )
    static(left)
    with generator(ros_node, parameters | {"rig_files": "['']"}) as client:
        client.ready()
        _, _, future = client.ask()
        client.until(lambda: level(client, "camera right") == DiagnosticStatus.WARN, "warning about the camera")
        client.says("no TF from world to right_optical")
        assert level(client, "camera left") == DiagnosticStatus.OK
        static(left, right)
        client.until(future.done, "result")
        assert future.result().result.success
        for transition in ("DEACTIVATE", "CLEANUP", "CONFIGURE", "ACTIVATE"):
            assert change(client, getattr(Transition, f"TRANSITION_{transition}"))
        client.ready()
        client.recovers()
        client.until(lambda: client.node.count_subscribers("/tf_static") == 1, "one listener, as before")
