"""TACO's files one by one, as its code writes them; whole recordings in tests/sim/test_taco_import.py."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from syncmv4d_model.data import taco
from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.data.taco_check import action_window
from syncmv4d_model.data.taco_import import ClipOptions
from syncmv4d_model.data.taco_surface import read_surface
from tests.model.test_mano import made_up

RECORDING = "(stir, spatula, pan)", "20231013_002"
TRIANGLE = "v 0 0 0\nv 100 0 0\nv 0 50 0\nf 1 2 3\n"


@pytest.fixture
def recording(tmp_path) -> taco.Recording:
    """A triangle as tool, one as target, and both hands, 70 frames."""
    found = taco.Recording(tmp_path, *RECORDING)
    for part in (taco.VIDEOS, taco.OBJECT_POSES, taco.HAND_POSES, taco.CAMERAS):
        found.folder(part).mkdir(parents=True)
    (tmp_path / taco.OBJECT_MODELS).mkdir()
    poses = np.tile(np.eye(4), (70, 1, 1))
    poses[:, 0, 3] = np.arange(70)
    for body, identity in (("tool", "017"), ("target", "094")):
        np.save(found.folder(taco.OBJECT_POSES) / f"{body}_{identity}.npy", poses)
        (tmp_path / taco.OBJECT_MODELS / f"{identity}_cm.obj").write_text(TRIANGLE)
    for side in ("left", "right"):
        write_hand(found, side, np.arange(70.0))
    return found


def write_hand(recording: taco.Recording, side: str, wrist_x: np.ndarray) -> None:
    """As TACO: frame keys of text, tensors."""
    frames = {
        f"{number:05d}": {"hand_pose": torch.zeros(48), "hand_trans": torch.tensor([x, 0.0, 0.0])}
        for number, x in reversed(list(enumerate(wrist_x.tolist(), start=1)))
    }
    folder = recording.folder(taco.HAND_POSES)
    (folder / f"{side}_hand.pkl").write_bytes(pickle.dumps(frames))
    (folder / f"{side}_hand_shape.pkl").write_bytes(pickle.dumps({"hand_shape": torch.zeros(10)}))


def test_hands_and_objects_are_one_surface_at_the_frames_of_the_clip(recording):
    models = {"left": made_up(1), "right": made_up(2)}
    frames = ClipOptions().source_frames
    assert frames.tolist() == [0, 4, 8, 11, 15, 19, 22, 26, 30, 34, 38, 41, 45, 49, 52, 56, 60]
    surface = read_surface(recording, frames, models)
    assert surface.vertices.shape == (17, 46, 3) and np.bincount(surface.label).tolist() == [0, 60, 1, 1]
    left = surface.vertices[:, :20]
    np.testing.assert_allclose(left - left[:1], np.tile(frames[:, None, None] * np.eye(3)[0], (1, 20, 1)), atol=1e-5)
    np.testing.assert_allclose(surface.vertices[3, 40:43], [[11, 0, 0], [12, 0, 0], [11, 0.5, 0]])
    assert surface.faces[-1].tolist() == [43, 44, 45]


def test_a_recording_may_have_one_hand(recording):
    (recording.folder(taco.HAND_POSES) / "left_hand.pkl").unlink()
    surface = read_surface(recording, np.arange(3), {"right": made_up()})
    assert np.bincount(surface.label).tolist() == [0, 30, 1, 1]
    with pytest.raises(ValueError, match="holds poses of MANO's right hand, and its model was not given"):
        read_surface(recording, np.arange(3), {"left": made_up()})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda r: write_hand(r, "right", np.arange(5.0)), "right_hand.pkl has 5 frames, the clip needs 61"),
        (lambda r: write_hand(r, "right", np.arange(69.0)), "left_hand.pkl has 70 frames, right_hand.pkl has 69: which belong together"),
        (lambda r: write_hand(r, "right", np.full(70, np.nan)), "right_hand.pkl holds something that is not a finite number"),
        (lambda r: np.save(r.folder(taco.OBJECT_POSES) / "tool_017.npy", np.tile(1.3 * np.eye(4), (70, 1, 1))), "must be a rotation"),
        (lambda r: (r.folder(taco.HAND_POSES) / "left_hand.pkl").write_bytes(pickle.dumps([1] * 70)), "holds no poses of MANO"),
        (lambda r: (r.folder(taco.HAND_POSES) / "left_hand_shape.pkl").write_bytes(b""), "cannot read"),
        (lambda r: np.save(r.folder(taco.OBJECT_POSES) / "tool_017.npy", np.zeros((70, 3))), "must be .N 4 4. numbers"),
        (lambda r: (r.folder(taco.OBJECT_POSES) / "tool_017.npy").write_bytes(b"\x93NUMPY"), "cannot read"),
        (lambda r: np.save(r.folder(taco.OBJECT_POSES) / "tool_018.npy", np.zeros((70, 4, 4))), "one tool_<model>.npy, it holds 2"),
        (lambda r: (r.root / taco.OBJECT_MODELS / "017_cm.obj").unlink(), "no file"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(spoil, message, recording):
    spoil(recording)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_surface(recording, ClipOptions().source_frames, {"left": made_up(1), "right": made_up(2)})


def test_meshes_with_texture_polygons_and_counts_from_the_end_are_read(tmp_path):
    path = tmp_path / "a.obj"
    path.write_text(
        "# made up\nmtllib a.mtl\nv 0 0 0 1 1 1\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\nusemtl m\n"
        "f 1/1/1 2/1/1 3/1/1 4/1/1\nf -4//1 -2//1 -1//1\n"
    )
    vertices, faces = taco.read_model(path)
    np.testing.assert_allclose(vertices[2], [0.01, 0.01, 0])
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 3]]


@pytest.mark.parametrize(
    "text", ["", "v 0 0 0\n", "v 0 0\nf 1 1 1\n", "v 0 0 0\nf 1 2 3\n", "v a 0 0\nf 1 1 1\n", "v 0 0 nan\nf 1 1 1\n"]
)
def test_what_is_no_mesh_is_refused(text, tmp_path):
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(ValueError, match="is no Wavefront mesh"):
        taco.read_model(tmp_path / "a.obj")


CAMERA = {"K": [100, 0, 50, 0, 100, 40, 0, 0, 1], "R": np.eye(3).ravel().tolist(), "T": [0, 0, 2], "imgSize": [100, 80]}


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", '{"1": {}}', '{"1": 3}', json.dumps({"1": CAMERA | {"K": [1, 2]}}), json.dumps({"1": CAMERA | {"R": [0] * 9}}),
        json.dumps({"1": CAMERA | {"R": (-np.eye(3)).ravel().tolist()}}), json.dumps({"1": CAMERA | {"imgSize": [0, 80]}}),
        json.dumps({"1": CAMERA | {"T": [0, 0, float("nan")]}}),
    ],
)  # fmt: skip
def test_what_is_no_calibration_is_refused(text, recording):
    path = recording.folder(taco.CAMERAS) / taco.CALIBRATION
    path.write_text(json.dumps({"1": CAMERA}))
    assert taco.read_cameras(recording)["1"].size == (100, 80)
    path.write_text(text)
    with pytest.raises(ValueError, match="is no calibration of TACO"):
        taco.read_cameras(recording)


def test_recordings_are_found_by_name_and_what_is_not_taco_is_said(recording, tmp_path):
    second = taco.Recording(tmp_path, "(cut, knife, box)", "20230101_001")
    second.folder(taco.VIDEOS).mkdir(parents=True)
    assert taco.list_recordings(tmp_path) == [second, recording]
    with pytest.raises(FileNotFoundError, match="no such folder"):
        taco.list_recordings(tmp_path / "none")
    with pytest.raises(ValueError, match="it has no folder Allocentric_RGB_Videos"):
        taco.list_recordings(tmp_path / taco.VIDEOS)
    with pytest.raises(ValueError, match="named .action, tool, object."):
        _ = taco.Recording(tmp_path, "stir", "a").task


def test_a_split_names_each_recording_once(tmp_path):
    path = Path(tmp_path / "split.txt")
    path.write_text("a,train\n\nb , test_1\na,train\n")
    assert taco.read_split(path) == {"a": "train", "b": "test_1"}
    for text, message in (("a\n", "line 1: expected"), ("a,train\na,val\n", "a is in train and in val")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            taco.read_split(path)


def surface_of(*points: tuple[float, float, float]) -> Surface:
    vertices = np.array(points, np.float64)[None]
    return Surface(vertices, np.zeros((1, 3), np.int64), np.zeros(1, np.uint8), np.arange(len(points)))


def test_the_crop_holds_the_action_and_stays_in_the_picture():
    """A camera at the origin: x 0.1 at 1 m is 50 px."""
    intrinsics = np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]])

    def crop(*points):
        return action_window(surface_of(*points), intrinsics, np.eye(4), (480, 640), aspect=1.0).tolist()

    assert crop((-0.1, -0.05, 1), (0.1, 0.05, 1)) == pytest.approx([320 - 56, 240 - 56, 112, 112])
    assert crop((-0.64, 0, 1), (-0.5, 0.1, 1)) == pytest.approx([0, 265 - 39.2, 78.4, 78.4])
    assert crop((-9, -9, 1), (9, 9, 1)) == pytest.approx([80, 0, 480, 480])
    with pytest.raises(ValueError, match="px of the action"):
        crop((3, 3, 1), (4, 4, 1))
    with pytest.raises(ValueError, match="not all in front of the camera"):
        crop((0, 0, -1), (0, 0, 1))
