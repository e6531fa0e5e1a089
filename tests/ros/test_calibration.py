"""CameraInfo by REP-104, and poses from static transforms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.rig import Distortion
from syncmv4d_model.geometry import inverse, project
from syncmv4d_ros.calibration import camera_from_world, camera_model, static_tree
from syncmv4d_ros.definitions import typestore
from syncmv4d_ros.recorder import Recorder
from tests.ros.recorded_scenes import transform_message

TYPES = typestore().types


def camera_info(**changes):
    roi = TYPES["sensor_msgs/msg/RegionOfInterest"](*changes.pop("roi", (0, 0, 0, 0)), False)
    stamp = TYPES["builtin_interfaces/msg/Time"](0, 0)
    fields = {
        "header": TYPES["std_msgs/msg/Header"](stamp, ""), "height": 48, "width": 64, "distortion_model": "plumb_bob",
        "d": np.zeros(5), "k": np.array([70.0, 0, 31, 0, 71, 23, 0, 0, 1]), "r": np.eye(3).ravel(),
        "p": np.array([65.0, 0, 30, 0, 0, 65, 22, 0, 0, 0, 1, 0]), "binning_x": 0, "binning_y": 0, "roi": roi,
    }  # fmt: skip
    return TYPES["sensor_msgs/msg/CameraInfo"](**(fields | changes))


@given(
    corner=st.tuples(st.integers(0, 30), st.integers(0, 20)),
    binning=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    ray=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
)
def test_a_point_projects_where_roi_and_then_binning_put_its_pixel(corner, binning, ray):
    (left, top), (x, y) = corner, binning
    model = camera_model(camera_info(roi=(left, top, 24, 32), binning_x=x, binning_y=y), "left")
    point = np.array([[*ray, 1.0]])
    full = project(np.array([[70.0, 0, 31], [0, 71, 23], [0, 0, 1]]), point)[0]
    expected = (full - corner + 0.5) / np.maximum(binning, 1) - 0.5
    assert np.allclose(project(model.intrinsics, point)[0], expected)
    assert model.size == (32 // max(x, 1), 24 // max(y, 1))


def test_rectified_images_have_p_no_lens_and_a_turned_camera():
    turn = Rotation.from_rotvec([0, 0.1, 0]).as_matrix()
    info = camera_info(r=turn.ravel(), d=np.array([0.1, 0, 0, 0, 0]))
    model = camera_model(info, "left", rectified=True)
    assert (model.intrinsics == [[65, 0, 30], [0, 65, 22], [0, 0, 1]]).all()
    assert model.distortion is None
    assert np.allclose(model.published_from_camera[:3, :3], turn)
    raw = camera_model(info, "left")
    assert raw.distortion == Distortion("plumb_bob", (0.1, 0, 0, 0, 0))
    assert (raw.published_from_camera == np.eye(4)).all()


@pytest.mark.parametrize(
    ("changes", "rectified", "said"),
    [
        ({"k": np.zeros(9)}, False, r"camera 'left' is not calibrated: .* K = \[0.0"),
        ({"p": np.zeros(12)}, True, r"camera 'left' is not calibrated: .* P = \[0.0"),
        ({"width": 0, "height": 0}, False, "not calibrated: .* 0 x 0 px"),
        ({"p": np.array([65.0, 0, 30, -7.5, 0, 65, 22, 0, 0, 0, 1, 0])}, True, "-7.5.* stereo"),
        ({"roi": (40, 0, 48, 32)}, False, r"roi of 32 x 48 px at \(40, 0\) is not inside the 64 x 48"),
        ({"distortion_model": "rational_polynomial", "d": np.full(8, 0.1)}, False, "'left'.*rational_polynomial"),
    ],
)
def test_a_calibration_that_cannot_be_used_names_the_camera_and_the_number(changes, rectified, said):
    with pytest.raises(ValueError, match=said):
        camera_model(camera_info(**changes), "left", rectified=rectified)


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
