"""Poses by frame: a body frame that passes for an optical one is noticed, an optical one is not accused, whichever way it looks."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.geometry import inverse
from syncmv4d_ros.extrinsics import RigExtrinsics, TfExtrinsics, body_frame_doubt
from tests.ros.camera_rig import write_rig

BODY_FROM_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Columns: the optical x (right), y (down), z (forward) in a body's axes x forward, y left, z up."""
degrees = st.floats(-180, 180)
places = st.tuples(*[st.floats(-10, 10)] * 3)


def frames_from_world(place, *, turned, down, rolled):
    """(body frame, optical frame) from the world, z up, of a camera that is turned, looks down and is rolled, in degrees."""
    world_from_body = np.eye(4)
    world_from_body[:3, :3] = Rotation.from_euler("ZYX", [turned, down, rolled], degrees=True).as_matrix()
    world_from_body[:3, 3] = place
    world_from_optical = world_from_body.copy()
    world_from_optical[:3, :3] = world_from_body[:3, :3] @ BODY_FROM_OPTICAL
    return inverse(world_from_body), inverse(world_from_optical)


@given(places, degrees, st.floats(-55, 55), st.floats(-15, 15))
def test_the_body_frame_of_a_camera_that_looks_level_or_down_is_noticed(place, turned, down, rolled):
    body, _ = frames_from_world(place, turned=turned, down=down, rolled=rolled)
    doubt = body_frame_doubt("camera_link", body)
    assert doubt is not None and "camera_link" in doubt


@given(places, degrees, st.floats(-30, 90), degrees)
def test_an_optical_frame_is_believed_unless_it_looks_far_up(place, turned, down, rolled):
    _, optical = frames_from_world(place, turned=turned, down=down, rolled=rolled)
    assert body_frame_doubt("camera_optical", optical) is None


def test_a_rig_files_poses_are_by_camera_and_need_no_frame(tmp_path):
    extrinsics = RigExtrinsics([str(write_rig(tmp_path / "rig.yaml"))], ["right"])
    pose = extrinsics.camera_from_world("right", "any frame", None)
    np.testing.assert_allclose(inverse(pose)[:3, 3], [0.1, 0, 0], atol=1e-12)
    assert extrinsics.doubt("any frame", pose) is None and not extrinsics.by_frame
    extrinsics.close()


def test_without_files_and_without_tf2_ros_it_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(ValueError, match="no rig_files are given, and TF needs tf2_ros, which is not installed"):
        TfExtrinsics(None, "world")
