"""Poses from static transforms: a chain is multiplied in order, and what is no pose is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.geometry import inverse
from syncmv4d_ros.recorder import Recorder
from syncmv4d_ros.static_transforms import camera_from_world, static_tree
from tests.ros.recorded_scenes import transform_message


@given(seed=st.integers(0, 999))
def test_a_cameras_pose_is_the_chain_of_static_transforms_from_the_world(seed):
    rng = np.random.default_rng(seed)
    parents = {"base": "world", "arm": "base", "camera": "arm", "table": "world"}
    poses = {}
    for child in parents:
        poses[child] = np.eye(4)
        poses[child][:3, :3] = Rotation.random(rng=rng).as_matrix()
        poses[child][:3, 3] = rng.uniform(-1, 1, 3)
    tree = {child: (parent, poses[child]) for child, parent in parents.items()}
    world_from_camera = poses["base"] @ poses["arm"] @ poses["camera"]
    assert np.allclose(camera_from_world(tree, "/camera", "world"), inverse(world_from_camera))
    assert np.allclose(camera_from_world(tree, "camera", "table"), inverse(world_from_camera) @ poses["table"])


def test_transforms_that_circle_or_do_not_meet_are_refused_with_the_frames_there_are():
    tree = {"a": ("b", np.eye(4)), "b": ("a", np.eye(4)), "left": ("rig", np.eye(4))}
    with pytest.raises(ValueError, match="do not connect 'left' with 'world'; they know a, b, left, rig"):
        camera_from_world(tree, "left", "world")
    with pytest.raises(ValueError, match="do not connect 'a' with 'world'"):
        camera_from_world(tree, "a", "world")
    with pytest.raises(ValueError, match="do not connect 'a' with 'world'; they know no frame"):
        camera_from_world({}, "a", "world")


@pytest.mark.parametrize(("rotation", "length"), [((0, 0, 0, 0), "0"), ((0, 0, 0, 2), "2"), ((np.nan, 0, 0, 1), "nan")])
def test_a_quaternion_that_is_no_rotation_is_refused(tmp_path, rotation, length):
    with Recorder(tmp_path / "bag") as recorder:
        message = transform_message(recorder, "world", "left", translation=(0, 0, 0), rotation=rotation)
    with pytest.raises(ValueError, match=f"'left' is not rigid: .* length {length}"):
        static_tree([message])
