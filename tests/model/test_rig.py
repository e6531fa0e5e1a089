"""Rig files: what is written is read again, and what cannot be a rig is refused with the number that was wrong."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from syncmv4d_model.data.rig import Distortion, read_rig, write_rig
from tests.model.scene_folders import small_rig


def edited(tmp_path, edit):
    """A rig file whose list of views went through `edit`."""
    path = tmp_path / "rig.yaml"
    write_rig(path, small_rig())
    content = yaml.safe_load(path.read_text())
    edit(content["views"])
    path.write_text(yaml.safe_dump(content))
    return path


def set_in_view(key, value, view=1):
    return lambda views: views[view].__setitem__(key, value)


def matrix_entry(key, row, column, value, view=1):
    return lambda views: views[view][key][row].__setitem__(column, value)


def test_a_written_rig_is_read_again_to_the_bit(tmp_path):
    rig = small_rig(distortion=(None, Distortion("plumb_bob", (0.1, -0.2, 1e-5, 0.0, 0.3)), None))
    write_rig(tmp_path / "rig.yaml", rig)
    again = read_rig(tmp_path / "rig.yaml")
    assert np.array_equal(again.intrinsics, rig.intrinsics)
    assert np.array_equal(again.camera_from_world, rig.camera_from_world)
    assert (again.view_names, again.image_files, again.sizes, again.distortion) == (
        rig.view_names,
        rig.image_files,
        rig.sizes,
        rig.distortion,
    )


def test_a_serial_number_is_a_name(tmp_path):
    assert read_rig(edited(tmp_path, set_in_view("name", 22139905))).view_names[1] == "22139905"


@pytest.mark.parametrize("name", ["0221", "1e3", "022139905"])
def test_a_serial_number_keeps_its_digits(tmp_path, name):
    write_rig(tmp_path / "rig.yaml", small_rig())
    text = (tmp_path / "rig.yaml").read_text().replace("name: centre", f"name: {name}")
    (tmp_path / "rig.yaml").write_text(text)
    assert read_rig(tmp_path / "rig.yaml").view_names[1] == name


NO_ROTATION = [[2.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]]
MIRROR = [[-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1]]
NORMALISED_K = [[1.1, 0, 0.5], [0, 1.1, 0.5], [0, 0, 1]]

REFUSED = {
    "no view": (lambda views: views.clear(), "no view"),
    "duplicate name": (set_in_view("name", "left"), "'left' is used twice"),
    "names that differ in case only": (set_in_view("name", "LEFT"), "'LEFT' is used twice"),
    "name that leaves the folder": (set_in_view("name", "../left"), "'../left' cannot be a file name"),
    "hidden name": (set_in_view("name", ".left"), "cannot be a file name"),
    "name with a slash": (set_in_view("name", "cameras/left"), "cannot be a file name"),
    "enormous name": (set_in_view("name", "x" * 65), "1 to 64"),
    "reserved name": (set_in_view("name", "preview"), "reserved"),
    "no name": (lambda views: views[1].pop("name"), "view 1 must have a name"),
    "missing key": (lambda views: views[1].pop("intrinsics"), "'centre' lacks intrinsics"),
    "misspelt key": (set_in_view("distorsion", {}), "unknown key 'distorsion'"),
    "fractional width": (set_in_view("width", 64.5), "whole number of pixels, got 64.5"),
    "no pixels": (set_in_view("height", 0), "positive, got 64 x 0"),
    "image outside the folder": (set_in_view("image", "../../etc/x.png"), "beside the rig file"),
    "one image twice": (set_in_view("image", "left.png"), "the same image 'left.png'"),
    "normalised intrinsics": (set_in_view("intrinsics", NORMALISED_K), "focal length of 1.1 is not in pixels"),
    "singular intrinsics": (matrix_entry("intrinsics", 0, 0, 0.0), "must be positive, got 0"),
    "negative focal length": (matrix_entry("intrinsics", 1, 1, -70.0), "must be positive, got -70"),
    "enormous focal length": (
        matrix_entry("intrinsics", 0, 0, 1e30),
        "hold 1e.30, more than 1000 times the image's 64 x 48",
    ),
    "principal point out of this world": (matrix_entry("intrinsics", 0, 2, -1e7), "hold 1e.07, more than 1000 times"),
    "intrinsics with another last row": (matrix_entry("intrinsics", 2, 2, 2.0), "intrinsics must be"),
    "NaN in intrinsics": (
        matrix_entry("intrinsics", 0, 2, float("nan")),
        "intrinsics hold a number that is not finite",
    ),
    "intrinsics of words": (set_in_view("intrinsics", "wide"), "3 x 3"),
    "intrinsics of another shape": (set_in_view("intrinsics", NO_ROTATION), r"must be 3 x 3, got shape \[4, 4\]"),
    "scaled rotation": (set_in_view("camera_from_world", NO_ROTATION), "not a rotation: R R.T is 3 off"),
    "mirrored rotation": (set_in_view("camera_from_world", MIRROR), "mirror: det R = -1.000"),
    "infinite pose": (matrix_entry("camera_from_world", 0, 3, float("inf")), "not finite"),
    "pose with another last row": (matrix_entry("camera_from_world", 3, 3, 2.0), "last row must be 0 0 0 1"),
    "millimetres": (matrix_entry("camera_from_world", 0, 3, 900.0), "in millimetres"),
    "identical cameras": (
        lambda views: views[1].__setitem__("camera_from_world", views[0]["camera_from_world"]),
        "'left' and 'centre' are the same camera",
    ),
    "unknown lens": (
        set_in_view("distortion", {"model": "fisheye62", "coefficients": [0.0]}),
        "'fisheye62' is not one",
    ),
    "short lens": (
        set_in_view("distortion", {"model": "plumb_bob", "coefficients": [0.0]}),
        "4 or 5 coefficients, got 1",
    ),
    "NaN in lens": (
        set_in_view("distortion", {"model": "plumb_bob", "coefficients": [float("nan"), 0, 0, 0]}),
        "distortion holds a number that is not finite",
    ),
}


@pytest.mark.parametrize(("edit", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_a_rig_is_refused(tmp_path, edit, message):
    path = edited(tmp_path, edit)
    with pytest.raises(ValueError, match=message) as error:
        read_rig(path)
    assert str(path) in str(error.value)


def test_a_missing_rig_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no rig file .*rig.yaml"):
        read_rig(tmp_path / "rig.yaml")


@pytest.mark.parametrize(
    "text", ["views: [", "just words", "", "views: {}", "- 1", "\x00", "views: 2026-13-45", "views: " + "[" * 3000]
)
def test_a_file_that_is_no_rig_is_refused(tmp_path, text):
    (tmp_path / "rig.yaml").write_text(text)
    with pytest.raises(ValueError, match="rig.yaml (is not YAML|has no view)"):
        read_rig(tmp_path / "rig.yaml")


def test_a_bad_rig_is_not_written(tmp_path):
    rig = small_rig()
    with pytest.raises(ValueError, match="used twice"):
        write_rig(tmp_path / "rig.yaml", replace(rig, view_names=("left", "left", "right")))
    assert list(tmp_path.iterdir()) == []
