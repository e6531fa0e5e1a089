"""Calibration files of other makers describe the same cameras, and say what they lack."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from syncmv4d_model.data.rig import Distortion, write_rig
from syncmv4d_model.geometry import inverse, project, transform
from syncmv4d_ros.rig import read_rig_files, select_views
from tests.model.scene_folders import small_rig

LENSES = (None, Distortion("plumb_bob", (0.1, -0.2, 0.001, 0.002)), Distortion("equidistant", (0.1, 0.01, 0.0, 0.0)))
RIG = small_rig(distortion=LENSES)
KALIBR_NAMES = {"plumb_bob": "radtan", "equidistant": "equidistant"}


def test_the_example_rig_can_be_read():
    rig = read_rig_files([Path(__file__).parents[2] / "config" / "rig.example.yaml"])
    assert rig.view_names == ("left", "centre", "right")


def camchain(*, world=True):
    """RIG as kalibr writes it; with `world`, cam0 has camera_from_world too."""
    cameras = {}
    for view, (width, height) in enumerate(RIG.sizes):
        k, lens = RIG.intrinsics[view], RIG.distortion[view]
        cameras[f"cam{view}"] = {
            "cam_overlaps": [],
            "camera_model": "pinhole",
            "distortion_coeffs": [float(c) for c in lens.coefficients] if lens else [0.0] * 4,
            "distortion_model": KALIBR_NAMES[lens.model] if lens else "radtan",
            "intrinsics": [float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])],
            "resolution": [width, height],
            "rostopic": f"/{RIG.view_names[view]}/image_raw",
        }
        if view:
            step = RIG.camera_from_world[view] @ inverse(RIG.camera_from_world[view - 1])
            cameras[f"cam{view}"]["T_cn_cnm1"] = step.tolist()
    if world:
        cameras["cam0"]["camera_from_world"] = RIG.camera_from_world[0].tolist()
    return cameras


def camera_info(view):
    """One camera of RIG as camera_calibration writes it, with its pose."""
    (width, height), lens = RIG.sizes[view], RIG.distortion[view]
    coefficients = list(lens.coefficients) if lens else [0.0] * 5
    return {
        "image_width": width,
        "image_height": height,
        "camera_name": RIG.view_names[view],
        "camera_matrix": {"rows": 3, "cols": 3, "data": RIG.intrinsics[view].ravel().tolist()},
        "distortion_model": lens.model if lens else "plumb_bob",
        "distortion_coefficients": {"rows": 1, "cols": len(coefficients), "data": coefficients},
        "rectification_matrix": {"rows": 3, "cols": 3, "data": np.eye(3).ravel().tolist()},
        "projection_matrix": {"rows": 3, "cols": 4, "data": [0.0] * 12},
        "camera_from_world": RIG.camera_from_world[view].tolist(),
    }


def written(tmp_path, *contents):
    paths = [tmp_path / f"file_{index}.yaml" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return paths


def assert_same_cameras(rig):
    assert rig.view_names == RIG.view_names and rig.sizes == RIG.sizes and rig.distortion == RIG.distortion
    assert np.allclose(rig.intrinsics, RIG.intrinsics)
    assert np.allclose(rig.camera_from_world, RIG.camera_from_world)
    assert rig.image_files == (None,) * 3


def test_our_own_rig_file_is_read(tmp_path):
    write_rig(tmp_path / "rig.yaml", RIG)
    assert_same_cameras(read_rig_files([tmp_path / "rig.yaml"]))


def test_camera_info_files_describe_the_same_cameras(tmp_path):
    assert_same_cameras(read_rig_files(written(tmp_path, *(camera_info(view) for view in range(3)))))


def test_a_camchain_describes_the_same_cameras(tmp_path):
    assert_same_cameras(read_rig_files(written(tmp_path, camchain())))


def test_a_camchain_without_a_world_is_seen_from_cam0(tmp_path):
    rig = read_rig_files(written(tmp_path, camchain(world=False)))
    assert np.array_equal(rig.camera_from_world[0], np.eye(4))
    point = np.array([[0.03, -0.02, 0.01]])
    in_cam0 = transform(RIG.camera_from_world[0], point)
    for view in range(3):
        expected = project(RIG.intrinsics[view], transform(RIG.camera_from_world[view], point))
        assert np.allclose(project(rig.intrinsics[view], transform(rig.camera_from_world[view], in_cam0)), expected)


def test_a_matrix_rounded_to_four_digits_is_still_a_rotation(tmp_path):
    content = camera_info(0)
    content["camera_from_world"] = np.round(RIG.camera_from_world[0], 4).tolist()
    assert np.allclose(
        read_rig_files(written(tmp_path, content)).camera_from_world[0], RIG.camera_from_world[0], atol=2e-4
    )


def test_a_camera_without_topic_or_name_is_called_by_its_place(tmp_path):
    chain, info = camchain(), camera_info(0)
    for camera in chain.values():
        del camera["rostopic"]
    del info["camera_name"]
    assert read_rig_files(written(tmp_path, chain)).view_names == ("cam0", "cam1", "cam2")
    assert read_rig_files(written(tmp_path, info)).view_names == ("file_0",)


def test_cameras_are_chosen_by_name_in_any_order():
    chosen = select_views(RIG, ["right", "left"])
    assert chosen.view_names == ("right", "left")
    assert np.array_equal(chosen.camera_from_world, RIG.camera_from_world[[2, 0]])
    assert chosen.distortion == (LENSES[2], LENSES[0])
    with pytest.raises(ValueError, match="no camera 'top'; it has left, centre, right"):
        select_views(RIG, ["left", "top"])


def without(key):
    return lambda camera: camera.pop(key)


def changed(key, value):
    return lambda camera: camera.__setitem__(key, value)


CHAIN_REFUSED = {
    "no pose": (without("T_cn_cnm1"), "cam1 lacks T_cn_cnm1"),
    "no intrinsics": (without("intrinsics"), "cam1 lacks intrinsics"),
    "omni": (changed("camera_model", "omni"), "cam1: camera_model 'omni' is not supported"),
    "fov lens": (changed("distortion_model", "fov"), "cam1: distortion_model 'fov' is not one of none, radtan"),
    "five numbers": (changed("intrinsics", [1.0] * 5), "cam1: intrinsics must be fx fy cx cy"),
    "no numbers": (changed("intrinsics", ["a"] * 4), "cam1: intrinsics must be numbers"),
    "half a pixel": (changed("resolution", [64.5, 48]), r"cam1: resolution must be \[width, height\]"),
    "short matrix": (changed("T_cn_cnm1", [[1.0] * 4] * 3), "cam1: T_cn_cnm1 must be 4 x 4, got 12 numbers"),
    "no rotation": (changed("T_cn_cnm1", (2 * np.eye(4)).tolist()), "'centre': camera_from_world"),
    "NaN": (changed("T_cn_cnm1", np.full((4, 4), np.nan).tolist()), "'centre': its pose .* not finite"),
    "same name": (changed("rostopic", "/left/image_raw"), "'left' is used twice"),
    "NaN in the lens": (changed("distortion_coeffs", [float("nan")] * 4), "D holds a number that is not finite"),
}


@pytest.mark.parametrize(("edit", "message"), CHAIN_REFUSED.values(), ids=CHAIN_REFUSED)
def test_a_camchain_is_refused(tmp_path, edit, message):
    chain = camchain()
    edit(chain["cam1"])
    with pytest.raises(ValueError, match=message) as raised:
        read_rig_files(written(tmp_path, chain))
    assert "file_0.yaml" in str(raised.value)


def test_a_chain_with_a_gap_is_refused(tmp_path):
    chain = camchain()
    del chain["cam1"]
    with pytest.raises(ValueError, match="the chain has cam0, cam2, but no cam1"):
        read_rig_files(written(tmp_path, chain))


INFO_REFUSED = {
    "no pose": (without("camera_from_world"), "'left' lacks camera_from_world: add its 4 x 4 matrix"),
    "no size": (without("image_width"), "'left' lacks image_width"),
    "K of zeros": (changed("camera_matrix", {"data": [0.0] * 9}), "'left': intrinsics must be"),
    "short K": (changed("camera_matrix", {"data": [1.0] * 8}), "'left': camera_matrix must be 3 x 3, got 8 numbers"),
    "unknown lens": (
        lambda c: c.update(distortion_model="omni", distortion_coefficients=[0.1]),
        "'omni' is not supported",
    ),
    "a number for a name": (
        changed("camera_name", 221),
        "camera_name must be text, in quotes if it is a number, got 221",
    ),
    "millimetres": (changed("camera_from_world", (1000 * np.eye(4)).tolist()), "last row must be 0 0 0 1"),
}


@pytest.mark.parametrize(("edit", "message"), INFO_REFUSED.values(), ids=INFO_REFUSED)
def test_a_camera_info_file_is_refused(tmp_path, edit, message):
    content = camera_info(0)
    edit(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_rig_files(written(tmp_path, content))
    assert "file_0.yaml" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not YAML"),
        ("a: 1", "no calibration that is known: .* but a"),
        ("", "but NoneType"),
        ("- 1", "but list"),
        ("cam0: 3", "cam0 must be a mapping, got 3"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_rig_files(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        read_rig_files([tmp_path / "nowhere.yaml"])
    with pytest.raises(ValueError, match="no calibration file was given"):
        read_rig_files([])


def test_the_same_camera_in_two_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'left' is used twice"):
        read_rig_files(written(tmp_path, camera_info(0), camera_info(0)))
