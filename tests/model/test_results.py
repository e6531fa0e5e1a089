"""Prediction files: exactly the contract, whole or not at all, and pictures that show what they should."""

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_model.data.observation import load_anchors, observe
from syncmv4d_model.data.rig import Distortion
from syncmv4d_model.data.video import read_video
from syncmv4d_model.data.window import from_window
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.results import OLDER_RECORD_FILE, Preview, read_tracks, write_prediction
from tests.model.scene_folders import perfect_prediction, small_rig, small_sequence

ROOT = Path(__file__).parents[2]
WINDOW_PX = np.array([12.0, 0, 48, 48])

OVERWRITE_IN_LITTLE_SPACE = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tests.model.test_results import small_answer
from syncmv4d_model.results import write_prediction
prediction, observation, lenses = small_answer()
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
try:
    write_prediction(Path(sys.argv[1]), replace(prediction, seed=99), observation, lenses, checkpoint="new")
except OSError as error:
    print(error)
    sys.exit(error.errno)
"""

KILLED_EVERYWHERE = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.model.killed_writers import survives
from tests.model.test_results import small_answer, state_of
from syncmv4d_model.results import write_prediction
out, (prediction, observation, lenses) = Path(sys.argv[1]), small_answer()
new = replace(prediction, seed=99)
for touches in range(200):
    write_prediction(out, prediction, observation, lenses, checkpoint="old")
    done = survives(lambda: write_prediction(out, new, observation, lenses, checkpoint="new"), touches)
    print(state_of(out))
    if done:
        break
"""


def small_answer():
    """A prediction for cameras of 60 x 48 px, whose right 48 x 48 px a model of 32 x 32 saw."""
    sequence = small_sequence()
    rig = small_rig(width=60, height=48)
    observation, lenses = observe(rig, [np.zeros((48, 60, 3), np.uint8)] * 3, sequence.task)
    windows_px = np.tile(WINDOW_PX, (3, 1))
    anchors_px = from_window(sequence.anchors_px, windows_px, height=32, width=32)
    return replace(perfect_prediction(sequence), windows_px=windows_px, anchors_px=anchors_px), observation, lenses


def state_of(out: Path) -> str:
    """What a reader who goes by prediction.json finds."""
    if not (out / "prediction.json").exists():
        return "none"
    record, tracks = json.loads((out / "prediction.json").read_text()), read_tracks(out / "tracks.npz")
    assert record["checkpoint"] == tracks.checkpoint and record["seed"] == tracks.seed
    assert all((out / name).is_file() for name in record["files"])
    return tracks.checkpoint


def test_tracks_have_exactly_the_keys_shapes_and_kinds_of_the_contract(tmp_path):
    prediction, observation, lenses = small_answer()
    write_prediction(tmp_path / "out", prediction, observation, lenses, checkpoint="nano")
    with np.load(tmp_path / "out" / "tracks.npz", allow_pickle=False) as file:
        found = {key: (file[key].shape, file[key].dtype.kind + str(file[key].dtype.itemsize)) for key in file}
        assert float(file["frame_period_s"]) == 0.125
        assert (str(file["task"]), str(file["checkpoint"]), int(file["seed"])) == (observation.task, "nano", 3)
        assert file["video_size"].tolist() == [[32, 32]] * 3
    kinds = {key: kind for key, kind in found.items() if key not in ("task", "checkpoint")}
    assert kinds == {
        "positions": ((3, 5, 30, 3), "f4"),
        "visible": ((3, 5, 30), "b1"),
        "stddev": ((3, 5, 30), "f4"),
        "label": ((3, 30), "u1"),
        "intrinsics": ((3, 3, 3), "f8"),
        "camera_from_world": ((3, 4, 4), "f8"),
        "anchors_px": ((3, 30, 2), "f4"),
        "video_size": ((3, 2), "i8"),
        "frame_period_s": ((), "f8"),
        "seed": ((), "i8"),
    }
    assert set(found) - set(kinds) == {"task", "checkpoint"}


def test_written_intrinsics_are_those_of_the_written_videos(tmp_path):
    prediction, observation, lenses = small_answer()
    write_prediction(tmp_path, prediction, observation, lenses, checkpoint="nano")
    assert np.allclose(read_tracks(tmp_path / "tracks.npz").intrinsics, observation_of(small_sequence()).intrinsics)
    for name in observation.view_names:
        assert read_video(tmp_path / f"{name}.mp4").shape == (5, 32, 32, 3)


def test_written_anchors_are_input_pixels_and_come_back_as_they_were(tmp_path):
    prediction, observation, lenses = small_answer()
    write_prediction(tmp_path, prediction, observation, lenses, checkpoint="nano")
    written = read_tracks(tmp_path / "tracks.npz").anchors_px
    in_video = (written - WINDOW_PX[:2] + 0.5) * 32 / 48 - 0.5
    assert np.allclose(in_video, small_sequence().anchors_px, atol=1e-3)
    assert np.allclose(load_anchors(tmp_path / "tracks.npz", lenses), prediction.anchors_px, atol=1e-3)


def test_written_anchors_of_a_camera_with_a_lens_are_pixels_of_the_image_that_was_taken(tmp_path):
    prediction, observation, lenses = small_answer()
    bent = replace(lenses, distortion=(Distortion("plumb_bob", (-0.6, 0.05, 0.002, -0.001)),) * 3)
    write_prediction(tmp_path, prediction, observation, bent, checkpoint="nano")
    written = read_tracks(tmp_path / "tracks.npz").anchors_px
    assert np.abs(written - prediction.anchors_px).max() > 0.2
    assert np.allclose(bent.take_out(written), prediction.anchors_px, atol=0.02)


def test_the_record_says_what_made_the_files(tmp_path):
    prediction, observation, lenses = small_answer()
    preview = Preview(np.zeros((20, 30, 3), np.uint8), np.zeros((6, 20, 30, 3), np.uint8))
    files = write_prediction(
        tmp_path, prediction, observation, lenses, checkpoint="nano", preview=preview, record={"steps": 4}
    )
    record = json.loads((tmp_path / "prediction.json").read_text())
    assert record["files"] == sorted(path.name for path in tmp_path.iterdir() if path.name != "prediction.json")
    assert {path.name for path in files} == {path.name for path in tmp_path.iterdir()}
    assert record["input_used_px"] == {name: [12, 0, 48, 48] for name in observation.view_names}
    assert (record["seed"], record["checkpoint"], record["steps"]) == (3, "nano", 4)
    assert (record["warnings"], record["timings_s"]) == (["a warning"], {"total": 1.25})
    assert {"python", "numpy", "torch"} <= set(record["versions"])
    assert sum(record["points_by_label"].values()) == 3 * 30


def test_other_files_of_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    write_prediction(tmp_path, *small_answer(), checkpoint="nano")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def other_views(answer):
    """The same prediction of cameras with other names."""
    prediction, observation, lenses = answer
    return prediction, replace(observation, view_names=("a", "b", "right")), lenses


def test_files_of_an_older_prediction_go_and_only_those(tmp_path):
    write_prediction(tmp_path, *small_answer(), checkpoint="old")
    (tmp_path / "left.mp4.txt").write_text("mine")
    write_prediction(tmp_path, *other_views(small_answer()), checkpoint="new")
    names = {"a.mp4", "b.mp4", "right.mp4", "tracks.npz", "prediction.json", "left.mp4.txt"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_files_that_a_killed_writer_had_no_time_to_remove_go_with_the_next(tmp_path):
    write_prediction(tmp_path, *small_answer(), checkpoint="old")
    (tmp_path / "prediction.json").rename(tmp_path / OLDER_RECORD_FILE)
    write_prediction(tmp_path, *other_views(small_answer()), checkpoint="new")
    names = {"a.mp4", "b.mp4", "right.mp4", "tracks.npz", "prediction.json"}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    "record", ['{"files": ["../mine", "folder", 3]}', '{"files": 5}', "[]", "{}", "no JSON"], ids=range(5)
)
def test_a_record_that_is_not_ours_removes_nothing(tmp_path, record):
    out = tmp_path / "out"
    (out / "folder").mkdir(parents=True)
    (tmp_path / "mine").write_text("mine")
    (out / "prediction.json").write_text(record)
    write_prediction(out, *small_answer(), checkpoint="new")
    assert (tmp_path / "mine").read_text() == "mine" and (out / "folder").is_dir()
    assert not (out / OLDER_RECORD_FILE).exists()


def test_the_same_prediction_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_prediction(tmp_path / name, *small_answer(), checkpoint="nano")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_prediction_without_tracks_is_written_too(tmp_path):
    prediction, observation, lenses = small_answer()
    empty = {name: getattr(prediction, name)[:, :, :0] for name in ("tracks", "coarse_tracks", "visible", "stddev")}
    empty |= {"label": prediction.label[:, :0], "anchors_px": prediction.anchors_px[:, :0]}
    write_prediction(tmp_path, replace(prediction, **empty), observation, lenses, checkpoint="nano")
    assert read_tracks(tmp_path / "tracks.npz").positions.shape == (3, 5, 0, 3)


def test_a_full_disk_leaves_the_older_prediction_untouched(tmp_path):
    write_prediction(tmp_path, *small_answer(), checkpoint="old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    command = [sys.executable, "-c", OVERWRITE_IN_LITTLE_SPACE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == errno.EFBIG, done.stderr
    assert f"could not write the prediction to {tmp_path}" in done.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_writer_killed_at_any_step_never_leaves_a_mixture_with_a_record(tmp_path):
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert set(found) == {"old", "none", "new"}
    assert found == sorted(found, key=["old", "none", "new"].index)
    assert not list((tmp_path / "out").glob(".*")), "the next writer clears what killed ones left"


@pytest.mark.parametrize(("key", "value"), [("visible", np.zeros((3, 4, 30), bool)), ("positions", np.zeros((3, 4)))])
def test_tracks_of_contradicting_shapes_are_refused(tmp_path, key, value):
    write_prediction(tmp_path, *small_answer(), checkpoint="nano")
    with np.load(tmp_path / "tracks.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "tracks.npz", **(arrays | {key: value}))
    with pytest.raises(ValueError, match=rf"tracks.npz: {key} must be"):
        read_tracks(tmp_path / "tracks.npz")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "positions",
            np.full((3, 5, 30, 3), np.nan, np.float32),
            "positions holds something that is not a finite number",
        ),
        ("camera_from_world", np.full((3, 4, 4), "a"), "camera_from_world holds something"),
        (
            "intrinsics",
            np.zeros((2, 3, 3)),
            "intrinsics must be .3, 3, 3. beside positions .3, 5, 30, 3., got .2, 3, 3.",
        ),
        ("seed", np.arange(2), "seed must be .. beside positions"),
    ],
)
def test_tracks_that_no_camera_can_have_seen_are_refused(tmp_path, key, value, message):
    write_prediction(tmp_path, *small_answer(), checkpoint="nano")
    with np.load(tmp_path / "tracks.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "tracks.npz", **(arrays | {key: value}))
    with pytest.raises(ValueError, match=f"tracks.npz: {message}"):
        read_tracks(tmp_path / "tracks.npz")


def test_a_recording_for_rerun_holds_every_view(tmp_path):
    pytest.importorskip("rerun", reason="the viewer extra is not installed")
    prediction, observation, lenses = small_answer()
    write_prediction(tmp_path, prediction, observation, lenses, checkpoint="nano", rerun=True)
    content = (tmp_path / "prediction.rrd").read_bytes()
    assert content[:3] == b"RRF"
    for name in observation.view_names:
        assert f"/world/tracks/{name}".encode() in content
