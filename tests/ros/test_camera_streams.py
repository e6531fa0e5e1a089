"""Cameras as the generator node holds them, over real DDS in one process: a camera's fault is on that camera's status."""

import numpy as np
import pytest

from tests.ros.dds import require_ros, spin_until

require_ros()

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402

from syncmv4d_ros.camera_streams import CameraStreams  # noqa: E402
from syncmv4d_ros.diagnostics import camera_statuses  # noqa: E402
from syncmv4d_ros.parameters import GeneratorParameters  # noqa: E402
from syncmv4d_ros.static_transforms import camera_from_world  # noqa: E402
from tests.ros.camera_rig import NAMES, Cameras  # noqa: E402


class Tree:
    """Poses by frame, as TF has them, of the frames it knows."""

    by_frame = True

    def __init__(self, *frames):
        self.tree = {frame: ("world", np.eye(4)) for frame in frames}

    def camera_from_world(self, camera, frame_id, stamp):
        return camera_from_world(self.tree, frame_id, "world")

    def doubt(self, frame_id, camera_from_world):
        return None

    def close(self):
        pass


@pytest.fixture
def observed(ros_node):
    """observe(extrinsics) -> one attempt at an observation of real images."""
    node, executor = ros_node
    cameras = Cameras(node)
    timer = node.create_timer(0.05, cameras.shoot)
    streams = CameraStreams(node, GeneratorParameters(cameras=list(NAMES), image_wait_s=0.0), Tree(), None)

    def observe(extrinsics):
        streams.extrinsics = extrinsics
        waiting = streams.synchronizer.counts()["left"].used
        spin_until(
            executor,
            lambda: (
                all(state.info and state.arrivals for state in streams.states.values())
                and streams.synchronizer.counts()["left"].waiting > 0
            ),
            what=f"images after {waiting}",
        )
        return streams.observe("push", height=48, width=64, max_views=4)

    def statuses():
        return {status.name.rpartition(" ")[2]: status for status in camera_statuses(node, streams)}

    yield observe, statuses
    node.destroy_timer(timer)
    streams.close()


def test_a_camera_whose_pose_is_unknown_says_so_until_it_is_known(observed):
    observe, statuses = observed
    with pytest.raises(
        ValueError, match="camera right: the static transforms do not connect 'right_optical' with 'world'"
    ):
        observe(Tree("left_optical"))
    said = statuses()
    assert said["left"].level == DiagnosticStatus.OK
    assert said["right"].level == DiagnosticStatus.WARN and "do not connect 'right_optical'" in said["right"].message
    reference = observe(Tree("left_optical", "right_optical"))
    assert reference.frame_ids == ("left_optical", "right_optical")
    assert statuses()["right"].level == DiagnosticStatus.OK
