"""CameraInfo <-> calibration, by REP-104: a scene point falls on the same thing in the image before and after."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.lens import distorted
from syncmv4d_model.data.observation import cut_windows, observe
from syncmv4d_model.data.rig import Distortion
from syncmv4d_model.geometry import look_at, project, transform
from syncmv4d_ros.camera_info import read_camera_info, read_distortion, require_own_frame, rig_of
from syncmv4d_ros.sent_messages import camera_info_message, header_message

K = np.array([[520.0, 0, 318.5], [0, 515.0, 242.25], [0, 0, 1]])
TURN = Rotation.from_rotvec([0.02, -0.03, 0.01]).as_matrix()
P = np.hstack([[[480.0, 0, 330.0], [0, 480.0, 250.0], [0, 0, 1]], [[-57.6], [0], [0]]])
PLUMB = (-0.21, 0.05, 0.002, -0.001, 0.01)


def camera_info(*, roi=(0, 0, 0, 0), **changes):
    """A calibrated 640 x 480 camera; roi is (x, y, width, height)."""
    fields = {"width": 640, "height": 480, "distortion_model": "plumb_bob", "d": [0.0] * 5}
    fields |= {"k": K.ravel(), "r": TURN.ravel(), "p": P.ravel(), "binning_x": 0, "binning_y": 0}
    x, y, width, height = roi
    region = SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height, do_rectify=False)
    return SimpleNamespace(**(fields | changes), roi=region)


def test_without_roi_and_binning_k_is_k():
    calibration = read_camera_info(camera_info())
    assert calibration.size == (640, 480) and calibration.distortion is None
    assert np.array_equal(calibration.intrinsics, K)
    assert np.array_equal(calibration.rectification, np.eye(3))


def test_a_roi_moves_the_principal_point():
    calibration = read_camera_info(camera_info(roi=(100, 40, 320, 240)))
    assert calibration.size == (320, 240)
    assert np.allclose(calibration.intrinsics, K - [[0, 0, 100], [0, 0, 40], [0, 0, 0]])


def pixels_of_block(x, y, binning):
    """Mean place of the full image's pixels that were binned into pixel (x, y)."""
    return (np.array([x, y]) + 0.5) * binning - 0.5


@given(
    st.integers(0, 99),
    st.integers(0, 79),
    st.sampled_from([(1, 1), (2, 2), (4, 2), (3, 3)]),
    st.integers(0, 100),
    st.integers(0, 50),
)
def test_a_pixel_sees_along_the_ray_of_the_pixels_that_it_was_made_of(column, row, binning, x, y):
    calibration = read_camera_info(camera_info(roi=(x, y, 480, 360), binning_x=binning[0], binning_y=binning[1]))
    assert calibration.size == (480 // binning[0], 360 // binning[1])
    ray = np.linalg.inv(calibration.intrinsics) @ [column, row, 1]
    full = pixels_of_block(column, row, np.array(binning)) + [x, y]
    assert np.allclose((K @ ray)[:2], full)


def test_our_own_window_comes_after_roi_and_binning():
    calibration = read_camera_info(camera_info(roi=(20, 10, 600, 400), binning_x=2, binning_y=2))
    pose = look_at(np.array([0.3, -0.6, 0.5]), np.zeros(3), np.array([0.0, 0, 1]))
    rig = rig_of(("left",), [calibration], pose[None])
    observation, _ = observe(rig, [np.zeros((200, 300, 3), np.uint8)], "push")
    seen = cut_windows(observation, np.array([[50.0, 0, 200, 200]]), height=96, width=96)
    point = np.array([[0.02, 0.01, 0.03]])
    full = project(K, transform(pose, point))[0]
    arrived = (full - [20, 10] + 0.5) / 2 - 0.5
    ours = (arrived - [50, 0] + 0.5) * (96 / 200) - 0.5
    assert np.allclose(project(seen.intrinsics[0], transform(seen.camera_from_world[0], point))[0], ours)


def test_a_rectified_topic_uses_p_without_distortion_and_turns_the_camera_by_r():
    calibration = read_camera_info(camera_info(d=PLUMB), rectified=True)
    assert calibration.distortion is None
    assert np.array_equal(calibration.intrinsics, P[:, :3])
    pose = look_at(np.array([0.3, -0.6, 0.5]), np.zeros(3), np.array([0.0, 0, 1]))
    rig = rig_of(("left",), [calibration], pose[None])
    point = np.array([[0.05, 0.02, 0.1]])
    by_ros = P[:, :3] @ TURN @ transform(pose, point)[0]
    assert np.allclose(
        project(rig.intrinsics[0], transform(rig.camera_from_world[0], point))[0], by_ros[:2] / by_ros[2]
    )


def test_a_planner_projects_into_a_rectified_cameras_video_by_k_and_r_and_the_pose_of_its_frame():
    pose = look_at(np.array([0.3, -0.6, 0.5]), np.zeros(3), np.array([0.0, 0, 1]))
    rig = rig_of(("left",), [read_camera_info(camera_info(d=PLUMB), rectified=True)], pose[None])
    observation, _ = observe(rig, [np.zeros((480, 640, 3), np.uint8)], "push")
    seen = cut_windows(observation, np.array([[80.0, 0, 480, 480]]), height=96, width=96)
    video_k, in_frame = seen.intrinsics[0], transform(pose, np.array([[0.02, 0.01, 0.03]]))
    in_video = project(video_k, transform(seen.camera_from_world[0], np.array([[0.02, 0.01, 0.03]])))
    assert np.allclose(project(video_k, in_frame @ TURN.T), in_video)
    assert np.linalg.norm(project(video_k, in_frame) - in_video) > 1, "K alone is off by pixels"


def test_raw_and_rectified_topics_of_a_camera_agree_about_the_world():
    """The same scene point, found in both images as ROS defines them, lies on the same ray of our two rigs."""
    pose = look_at(np.array([0.3, -0.6, 0.5]), np.zeros(3), np.array([0.0, 0, 1]))[None]
    point = np.array([[0.05, 0.02, 0.1]])
    info = camera_info(d=PLUMB)
    pixels = {}
    for rectified in (False, True):
        rig = rig_of(("left",), [read_camera_info(info, rectified=rectified)], pose)
        straight = project(rig.intrinsics, transform(rig.camera_from_world, point[None]))[0]
        lens = rig.distortion[0]
        pixels[rectified] = straight if lens is None else distorted(straight, rig.intrinsics[0], lens)
        assert (lens is None) == rectified
    in_camera = transform(pose[0], point)
    raw = distorted(project(K, in_camera), K, Distortion("plumb_bob", PLUMB))
    assert np.allclose(pixels[False], raw)
    assert np.allclose(pixels[True], project(P[:, :3], in_camera @ TURN.T))


@pytest.mark.parametrize(
    ("model", "coefficients", "expected"),
    [
        ("plumb_bob", PLUMB, Distortion("plumb_bob", PLUMB)),
        ("plumb_bob", (), None),
        ("plumb_bob", (0.0,) * 5, None),
        ("", (), None),
        ("", (0.0,) * 5, None),
        ("equidistant", (0.0,) * 4, Distortion("equidistant", (0.0,) * 4)),
        ("equidistant", (), None),
        ("rational_polynomial", (*PLUMB, 0.1, 0.2, 0.3), Distortion("rational_polynomial", (*PLUMB, 0.1, 0.2, 0.3))),
        (
            "rational_polynomial",
            (*PLUMB, 0.1, 0.2, 0.3, 0, 0, 0, 0),
            Distortion("rational_polynomial", (*PLUMB, 0.1, 0.2, 0.3)),
        ),
    ],
)
def test_distortion_models_are_known_by_their_ros_names(model, coefficients, expected):
    assert read_distortion(model, coefficients) == expected


REFUSED = {
    "nothing set": ({"k": np.zeros(9), "p": np.zeros(12), "width": 0, "height": 0}, "of a 0 x 0 image"),
    "K of zeros": ({"k": np.zeros(9)}, "K is all zeros: the camera is not calibrated"),
    "NaN in K": ({"k": np.full(9, np.nan)}, "K holds a number that is not finite"),
    "short K": ({"k": [1.0] * 8}, "K has 8 numbers, needs 9"),
    "mirrored K": ({"k": [-520.0, 0, 318, 0, 515, 242, 0, 0, 1]}, "positive fx, fy: .*-520"),
    "transposed K": ({"k": K.T.ravel()}, "K must be"),
    "absurd size": ({"width": 2**31}, "of a 2147483648 x 480 image"),
    "roi outside": ({"roi": (600, 0, 100, 100)}, r"roi 100 x 100 at \(600, 0\) does not lie in the 640 x 480"),
    "roi without size": ({"roi": (5, 0, 0, 0)}, r"roi 0 x 0 at \(5, 0\)"),
    "binning all away": ({"binning_x": 1000}, "binning 1000 x 1 leaves nothing of 640 x 480"),
    "unknown lens": ({"distortion_model": "thin_prism", "d": [0.1]}, "'thin_prism' is not supported"),
    "unnamed lens": ({"distortion_model": "", "d": [0.1] * 5}, "'' is not supported"),
    "too few coefficients": ({"d": [0.1] * 3}, "plumb_bob has 4 or 5 coefficients, D has 3"),
    "thin prism terms": (
        {"distortion_model": "rational_polynomial", "d": [0.1] * 12},
        "rational_polynomial has 8 coefficients, D has 12",
    ),
    "NaN in D": ({"d": [float("nan")] * 5}, "D holds a number that is not finite"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        read_camera_info(camera_info(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": np.zeros(12)}, "P is all zeros: the camera is not calibrated"),
        ({"r": np.zeros(9)}, "R is all zeros"),
        ({"r": 2 * np.eye(3).ravel()}, "R is not a rotation: R R\\^T is 3 off"),
        ({"r": np.diag([1.0, 1, -1]).ravel()}, "R is not a rotation"),
        ({"r": [1e200, 1e200, 0, 1e200, -1e200, 0, 0, 0, 1]}, "R is not a rotation: R R\\^T is (nan|inf) off"),
    ],
)
def test_refused_when_rectified(changes, message):
    with pytest.raises(ValueError, match=message):
        read_camera_info(camera_info(**changes), rectified=True)


numbers = st.one_of(st.sampled_from([0.0, 1.0, 500.0, -1.0]), st.floats())
sizes = st.one_of(st.integers(0, 700), st.integers(0, 2**32 - 1))


def matrices(good, count):
    """A good matrix with some of its numbers replaced, or any numbers."""
    changes = st.dictionaries(st.integers(0, count - 1), numbers, max_size=2)
    changed = changes.map(lambda at: np.array([at.get(i, float(value)) for i, value in enumerate(good)]))
    return st.one_of(changed, st.lists(numbers, min_size=count, max_size=count).map(np.array))


@given(
    matrices(K.ravel(), 9),
    matrices(TURN.ravel(), 9),
    matrices(P.ravel(), 12),
    st.lists(numbers, max_size=14),
    st.one_of(st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "fov"]), st.text(max_size=9)),
    st.tuples(sizes, sizes),
    st.one_of(st.just((0, 0, 0, 0)), st.tuples(*[sizes] * 4)),
    st.tuples(sizes, sizes),
    st.booleans(),
)
@settings(max_examples=300)
def test_any_camera_info_gives_a_calibration_or_a_value_error(k, r, p, d, model, size, roi, binning, rectified):
    info = camera_info(
        k=k, r=r, p=p, d=d, distortion_model=model, width=size[0], height=size[1], roi=roi, binning_x=binning[0],
        binning_y=binning[1],
    )  # fmt: skip
    try:
        calibration = read_camera_info(info, rectified=rectified)
    except ValueError as error:
        assert len(str(error)) < 800
        return
    assert np.isfinite(calibration.intrinsics).all() and min(calibration.size) >= 1
    assert calibration.intrinsics[0, 0] > 0 and calibration.intrinsics[1, 1] > 0
    assert np.allclose(calibration.rectification @ calibration.rectification.T, np.eye(3), atol=1e-2)
    assert calibration.distortion is None or np.isfinite(calibration.distortion.coefficients).all()


def test_the_frame_of_a_stereo_pairs_second_camera_is_not_believed():
    with pytest.raises(ValueError, match=r"\[-57.6, 0.0, 0.0\], that of a stereo pair's second camera"):
        require_own_frame(camera_info())
    require_own_frame(camera_info(p=np.hstack([K, np.zeros((3, 1))]).ravel()))


def test_what_we_send_is_read_back_as_what_it_is():
    pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed: the ros extra")
    message = camera_info_message(K, header_message("left_optical_frame"), width=96, height=80, rectification=TURN)
    assert (message.width, message.height, message.binning_x, message.roi.width) == (96, 80, 0, 0)
    assert not any(message.d) and message.header.frame_id == "left_optical_frame"
    for rectified in (False, True):
        calibration = read_camera_info(message, rectified=rectified)
        assert np.array_equal(calibration.intrinsics, K) and calibration.size == (96, 80)
    assert np.allclose(calibration.rectification, TURN)
