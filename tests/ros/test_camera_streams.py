"""Cameras as the generator node holds them, over real DDS in one process: a camera's fault is on that camera's status."""

import pytest

from tests.ros.dds import require_ros, spin_until

require_ros()

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402

from syncmv4d_model.geometry import inverse  # noqa: E402
from syncmv4d_ros.camera_streams import CameraStreams  # noqa: E402
from syncmv4d_ros.diagnostics import camera_statuses  # noqa: E402
from syncmv4d_ros.parameters import GeneratorParameters  # noqa: E402
from syncmv4d_ros.rig import read_rig_files  # noqa: E402
from syncmv4d_ros.static_transforms import camera_from_world  # noqa: E402
from tests.ros.camera_rig import NAMES, Cameras, write_rig  # noqa: E402


class Tree:
    """Poses by frame, as TF has them."""

    by_frame = True

    def __init__(self, tree):
        self.tree = tree

    def camera_from_world(self, camera, frame_id, stamp):
        return camera_from_world(self.tree, frame_id, "world")

    def doubt(self, frame_id, camera_from_world):
        return None

    def close(self):
        pass


@pytest.fixture
def observed(ros_node):
    """observe(extrinsics) -> what the first real images come to, a reference or an error; and the cameras' statuses."""
    node, executor = ros_node
    cameras = Cameras(node)
    timer = node.create_timer(0.05, cameras.shoot)
    streams = CameraStreams(node, GeneratorParameters(cameras=list(NAMES), image_wait_s=0.0), Tree({}), None)

    def observe(extrinsics):
        streams.extrinsics, outcomes = extrinsics, []

        def came_to_something():
            try:
                outcomes.append(streams.observe("push"))
            except ValueError as error:
                if "images arrive, but no set" not in str(error):  # else there are none yet that belong together
                    outcomes.append(error)
            return bool(outcomes)

        spin_until(
            executor,
            lambda: all(state.info and state.arrivals for state in streams.states.values()),
            what="calibrations",
        )
        spin_until(executor, came_to_something, what="images")
        return outcomes[0]

    def statuses():
        return {status.name.rpartition(" ")[2]: status for status in camera_statuses(node, streams)}

    yield observe, statuses
    node.destroy_timer(timer)
    streams.close()


def test_a_camera_whose_pose_is_unknown_says_so_until_it_is_known(observed, tmp_path):
    observe, statuses = observed
    rig = read_rig_files([write_rig(tmp_path / "rig.yaml")])
    frames = {f"{name}_optical": ("world", inverse(rig.camera_from_world[view])) for view, name in enumerate(NAMES)}
    refusal = observe(Tree({"left_optical": frames["left_optical"]}))
    assert str(refusal) == (
        "camera right: the static transforms do not connect 'right_optical' with 'world'; they know left_optical, world"
    )
    said = statuses()
    assert said["left"].values and not said["left"].message.startswith("the static transforms")
    assert said["right"].level == DiagnosticStatus.WARN and "do not connect 'right_optical'" in said["right"].message
    reference = observe(Tree(frames))
    assert reference.frame_ids == ("left_optical", "right_optical")
    assert "connect" not in statuses()["right"].message
