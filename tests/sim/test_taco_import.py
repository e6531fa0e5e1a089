"""TACO's recordings as sequences of ours: a recording that the simulator wrote, so that the truth is known."""

import fcntl
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from syncmv4d_cli.build_dataset import main
from syncmv4d_model.data import taco
from syncmv4d_model.data.sequence import list_sequences, read_sequence, write_sequence
from syncmv4d_model.data.taco_import import ClipOptions, chosen_cameras, import_clip
from syncmv4d_model.data.video import read_video
from syncmv4d_model.data.window import FoundObjects, choose_windows, cut_window, enlarge_windows, from_window
from syncmv4d_model.geometry import project, transform
from syncmv4d_model.types import LABELS

OPTIONS = ClipOptions(num_points=200, windows="truth")
WINDOWS = ("--windows", "truth")
ANY_OFFSET = ("--max-offset", "1")  # whether poses fit pictures is not what is asked
NAME, TRIPLET = "20000101_000", "(hit, hammer, box)"


@pytest.fixture(scope="module")
def clip(taco_root):
    (recording,) = taco.list_recordings(taco_root)
    return import_clip(recording, OPTIONS, {})


@pytest.fixture
def own_root(taco_root, tmp_path) -> Path:
    """A copy that may be written to, without the videos of cameras that nobody takes."""
    shutil.copytree(taco_root, tmp_path / "taco", symlinks=True)
    return tmp_path / "taco"


def command(root: Path, out: Path, *options: str) -> int:
    return main(
        ["taco", "--root", str(root), "--out", str(out), "--points", "32", "--workers", "1", *WINDOWS, *options]
    )


def lines(out: Path, split: str = "all") -> list[dict]:
    return [json.loads(line) for line in (out / f"recordings_{split}.jsonl").read_text().splitlines()]


def change_calibration(root: Path, change) -> None:
    path = root / taco.CAMERAS / TRIPLET / NAME / taco.CALIBRATION
    cameras = json.loads(path.read_text())
    for camera in cameras.values():
        change(camera)
    path.write_text(json.dumps(cameras))


def test_points_of_a_body_move_as_the_recordings_poses_say(clip, taco_root):
    sequence = clip.sequence
    assert (sequence.name, sequence.triplet, sequence.task) == (NAME, TRIPLET, "use a hammer to hit a box")
    assert sequence.positions.shape == (3, 17, 200, 3) and sequence.frame_period_s == 0.125
    for body in ("tool", "target"):
        (path,) = (taco_root / taco.OBJECT_POSES / TRIPLET / NAME).glob(f"{body}_*.npy")
        poses = np.load(path)[np.round(3.75 * np.arange(17)).astype(int)]
        own = np.swapaxes(np.moveaxis(sequence.positions, 1, 2)[sequence.label == LABELS.index(body)], 0, 1)
        assert own.shape[1] > 20
        moved = np.stack([transform(pose @ np.linalg.inv(poses[0]), own[0].astype(float)) for pose in poses])
        np.testing.assert_allclose(own, moved, atol=1e-6)


def test_anchors_are_where_their_points_are_seen_and_every_part_is_tracked(clip):
    sequence = clip.sequence
    pixels = project(sequence.intrinsics, transform(sequence.camera_from_world, sequence.positions[:, 0].astype(float)))
    np.testing.assert_allclose(pixels, sequence.anchors_px, atol=1e-3)
    assert sequence.visible[:, 0].all() and 0.5 < sequence.visible.mean() < 1
    assert set(np.unique(sequence.label)) == {1, 2, 3}


def test_the_pictures_are_the_recordings_cut_to_the_windows(clip, taco_root):
    sequence = clip.sequence
    assert sequence.video.shape == (3, 17, 96, 96, 3)
    (recording,) = taco.list_recordings(taco_root)
    cameras = taco.read_cameras(recording)
    serials = chosen_cameras(recording, cameras, OPTIONS)
    for view, serial in enumerate(serials):
        source = read_video(recording.folder(taco.VIDEOS) / f"{serial}.mp4")[60]
        cut, full = sequence.intrinsics[view], cameras[serial].intrinsics
        places = np.mgrid[10:86:7, 10:86:7].reshape(2, -1).T.astype(float)  # u, v
        inside = full @ np.linalg.inv(cut) @ np.concatenate([places, np.ones((len(places), 1))], axis=1).T
        u, v = np.rint(inside[:2]).astype(int)
        shown = (u >= 1) & (v >= 1) & (u < source.shape[1] - 1) & (v < source.shape[0] - 1)
        assert shown.mean() > 0.5
        u, v, places = u[shown], v[shown], places[shown].astype(int)
        expected = source[v, u].astype(int)
        found = sequence.video[view, 16, places[:, 1], places[:, 0]].astype(int)
        assert np.median(np.abs(found - expected)) <= 6 < np.median(np.abs(np.roll(found, 40, 0) - expected))


def test_the_first_images_are_whole_with_boxes_masks_and_depths_of_what_they_show(clip, taco_root):
    (recording,) = taco.list_recordings(taco_root)
    cameras, sequence, truths = taco.read_cameras(recording), clip.sequence, clip.truths
    serials = chosen_cameras(recording, cameras, OPTIONS)
    assert sequence.whole_sizes == ((160, 118),) * 3
    for view, serial in enumerate(serials):
        np.testing.assert_allclose(sequence.whole_intrinsics[view], cameras[serial].intrinsics)
        mask, depth, boxes = truths.masks[view], truths.depths_m[view], sequence.boxes_px[view]
        assert set(np.unique(mask)) == {1, 2, 3, 255} and np.isfinite(depth).tolist() == (mask != 255).tolist()
        for index, (left, top, right, bottom) in enumerate(boxes.astype(int)):
            rows, columns = np.nonzero(mask == index + 1)
            assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)
        points = transform(sequence.camera_from_world[view], sequence.positions[view, 0].astype(float))
        u, v = np.rint(project(sequence.whole_intrinsics[view], points)).astype(int).T
        np.testing.assert_allclose(depth[v, u], points[:, 2], atol=2e-3)
        np.testing.assert_array_equal(mask[v, u], sequence.label[view])


def test_bodies_are_the_recordings_poses_and_the_hand_comes_to_hold_the_tool(clip, taco_root):
    bodies = clip.truths.bodies
    assert bodies.names == ("tool", "target") and bodies.world_from_body.shape == (2, 17, 4, 4)
    (path,) = (taco_root / taco.OBJECT_POSES / TRIPLET / NAME).glob("tool_*.npy")
    expected = np.load(path)[np.round(3.75 * np.arange(17)).astype(int)]
    np.testing.assert_allclose(bodies.world_from_body[0], expected, atol=1e-9)
    held, struck = np.flatnonzero(bodies.contact_hand_tool), np.flatnonzero(bodies.contact_tool_target)
    np.testing.assert_array_equal(held, np.arange(held[0], 17))  # once held, the hammer is not let go
    assert len(struck) and held[0] <= struck[0] > 0


def test_windows_are_chosen_from_the_first_images_by_who_is_asked(clip, taco_root):
    (recording,) = taco.list_recordings(taco_root)
    sequence, asked = clip.sequence, []

    def find(images, task):
        asked.append((images, task))
        return FoundObjects(np.tile([[20.0, 30, 60, 70]], (3, 3, 1)), np.ones((3, 3)))

    found = import_clip(recording, replace(OPTIONS, windows="finder"), {}, find).sequence
    ((images, task),) = asked
    assert task == sequence.task and all(map(np.array_equal, images, sequence.reference))
    np.testing.assert_allclose(found.windows, [[13, 23, 54, 54]] * 3)
    np.testing.assert_allclose(sequence.windows, choose_windows(sequence.boxes_px, sequence.whole_sizes))
    largest = import_clip(recording, replace(OPTIONS, windows="largest"), {}).sequence
    np.testing.assert_allclose(largest.windows, [[21, 0, 118, 118]] * 3)
    with pytest.raises(ValueError, match="chosen by a finder, and none was given"):
        import_clip(recording, replace(OPTIONS, windows="finder"), {})


def test_large_pictures_are_made_smaller_with_their_cameras(clip, taco_root):
    (recording,) = taco.list_recordings(taco_root)
    small = import_clip(recording, replace(OPTIONS, image_width=81), {}).sequence
    assert small.whole_sizes == ((80, 60),) * 3  # videos need even sides
    for view, large in enumerate(clip.sequence.reference):
        expected = area_means(large, 60, 80)
        assert np.abs(small.reference[view].astype(float) - expected).max() <= 1
    pixels = project(
        small.whole_intrinsics, transform(small.camera_from_world, clip.sequence.positions[:, 0].astype(float))
    )
    full = from_window(clip.sequence.anchors_px, clip.sequence.windows, height=96, width=96)
    np.testing.assert_allclose(pixels, (full + 0.5) * [80 / 160, 60 / 118] - 0.5, atol=1e-3)


def area_means(image, height, width):
    """By repeating pixels until both sizes divide."""
    rows = np.repeat(image, height, axis=0).reshape(height, image.shape[0], image.shape[1], 3).mean(1)
    return np.repeat(rows, width, axis=1).reshape(height, width, image.shape[1], 3).mean(2)


@pytest.mark.parametrize("size", [(96, 96), (48, 64)])
def test_what_is_written_is_read_in_other_windows_too(taco_root, tmp_path, size):
    (recording,) = taco.list_recordings(taco_root)
    options = replace(OPTIONS, height=size[0], width=size[1], keeps_whole_frames=True)
    clip = import_clip(recording, options, {})
    write_sequence(tmp_path / "whole", clip.sequence, clip.truths)
    write_sequence(tmp_path / "margin", clip.sequence, replace(clip.truths, full_video=()))
    stored = read_sequence(tmp_path / "margin")
    np.testing.assert_array_equal(stored.video[:, 1:], clip.sequence.video[:, 1:])
    assert np.abs(stored.video[:, 0].astype(int) - clip.sequence.video[:, 0]).max() <= 1
    other = enlarge_windows(clip.sequence.windows, 1.1)
    cut, exact = (read_sequence(tmp_path / name, windows_px=other) for name in ("margin", "whole"))
    expected = [
        [cut_window(image, window, height=size[0], width=size[1]) for image in images]
        for images, window in zip(clip.truths.full_video, other, strict=True)
    ]
    for found, most in ((exact, 4.0), (cut, 6.0)):  # one lost by compression, one by being resized twice
        assert np.abs(found.video.astype(float) - expected).mean() < most
    moved = np.roll(cut.video, 3, axis=2).astype(float)
    assert np.abs(moved - expected).mean() > 2 * np.abs(cut.video.astype(float) - expected).mean()


def test_poses_that_fit_have_no_offset(clip):
    assert clip.worst_offset < 0.015 and clip.likeness.min() > 0.3


def test_cameras_stand_left_to_right_and_are_drawn_by_seed(taco_root):
    (recording,) = taco.list_recordings(taco_root)
    cameras = taco.read_cameras(recording)
    clusters = taco.clusters_of(cameras)
    drawn = {chosen_cameras(recording, cameras, replace(OPTIONS, seed=seed)) for seed in range(40)}
    assert len(drawn) > 8 and all(a in clusters["left"] and c in clusters["right"] for a, _, c in drawn)
    with pytest.raises(ValueError, match="has no camera 7; it has 2"):
        chosen_cameras(recording, cameras, replace(OPTIONS, cameras=("7",)))
    few = {serial: cameras[serial] for serial in (*clusters["left"], *clusters["right"])}
    with pytest.raises(ValueError, match="no telephoto camera stands centre"):
        chosen_cameras(recording, few, OPTIONS)


def test_the_command_builds_what_the_harness_reads_and_goes_on(taco_root, tmp_path, capsys):
    out = tmp_path / "data"
    for _ in range(2):
        assert command(taco_root, out, "--split", "all") == 0
        assert "1 sequences of all" in " ".join(capsys.readouterr().out.split())
    (path,) = list_sequences(out, "all")
    assert read_sequence(path).view_names == ("left", "centre", "right")
    (line,) = lines(out)
    assert line["left_out"] == "" and line["offset"].keys() == line["likeness"].keys() == {"left", "centre", "right"}
    with pytest.raises(ValueError, match="was built with num_frames 17, asked for 9: choose another folder"):
        command(taco_root, out, "--split", "all", "--frames", "9")


def test_a_calibration_that_does_not_fit_is_left_out_with_its_offset(own_root, tmp_path, capsys):
    turn = Rotation.from_rotvec([0, np.radians(2), 0]).as_matrix()

    def turned(camera: dict) -> None:
        camera["R"] = (turn @ np.reshape(camera["R"], (3, 3))).ravel().tolist()
        camera["T"] = (turn @ camera["T"]).tolist()

    change_calibration(own_root, turned)
    assert command(own_root, tmp_path / "data", "--split", "all") == 0
    assert "1 left out" in " ".join(capsys.readouterr().out.split())
    (line,) = lines(tmp_path / "data")
    assert line["left_out"] == "the projected motion does not lie where the pictures change"
    assert max(np.linalg.norm(offset) for offset in line["offset"].values()) > 0.04
    assert not (tmp_path / "data" / "all").exists()
    assert command(own_root, tmp_path / "anyway", "--split", "all", "--max-offset", "1") == 0
    assert len(list_sequences(tmp_path / "anyway", "all")) == 1


def test_recordings_are_chosen_by_the_split_file(taco_root, tmp_path, capsys):
    with pytest.raises(
        ValueError, match=r"\(1 are not in it\); it has test_1, test_2, test_3, test_4, train; --split all"
    ):
        command(taco_root, tmp_path / "data", "--split", "test_1")
    split = tmp_path / "split.txt"
    split.write_text(f"{NAME},held_out\nother,train\n")
    assert command(taco_root, tmp_path / "data", "--split", "held_out", "--split-file", str(split)) == 0
    assert len(list_sequences(tmp_path / "data", "held_out")) == 1


def test_tacos_own_split_is_the_published_one():
    sizes = np.unique(list(taco.read_split(taco.OFFICIAL_SPLIT).values()), return_counts=True)
    assert dict(zip(*map(np.ndarray.tolist, sizes), strict=True)) == {
        "test_1": 225, "test_2": 234, "test_3": 354, "test_4": 551, "train": 953,
    }  # fmt: skip


def test_hands_are_asked_for_or_left_out(own_root, tmp_path):
    shutil.rmtree(own_root / taco.HAND_MESHES)
    with pytest.raises(ValueError, match="--hand-models DIR says where MANO_LEFT.pkl"):
        command(own_root, tmp_path / "data", "--split", "all")
    assert command(own_root, tmp_path / "data", "--split", "all", "--without-hands", *ANY_OFFSET) == 0
    (path,) = list_sequences(tmp_path / "data", "all")
    assert set(np.unique(read_sequence(path).label)) == {2, 3}


def test_a_clip_longer_than_the_recording_and_missing_parts_are_left_out_with_the_reason(own_root, tmp_path):
    assert command(own_root, tmp_path / "long", "--split", "all", "--frames", "18") == 0
    assert "has 61 frames, the clip needs 65" in lines(tmp_path / "long")[0]["left_out"]
    (own_root / taco.CAMERAS / TRIPLET / NAME / taco.CALIBRATION).unlink()
    assert command(own_root, tmp_path / "none", "--split", "all") == 0
    assert "no file" in lines(tmp_path / "none")[0]["left_out"]


def test_what_was_cut_off_is_done_again_and_what_is_told_is_kept(taco_root, tmp_path):
    out = tmp_path / "data"
    assert command(taco_root, out, "--split", "all") == 0
    log = out / "recordings_all.jsonl"
    whole, other = log.read_text(), '{"recording": "0", "left_out": "an earlier one"}\n'
    log.write_text(other + whole[:40])  # a folder without its line, as a killed process leaves it
    assert command(taco_root, out, "--split", "all") == 0
    assert log.read_text() == other + whole
    assert [path.name for path in list_sequences(out, "all")] == [NAME]


def test_one_broken_recording_does_not_end_the_work_on_the_others(own_root, tmp_path):
    second = "20000101_001"
    for part in (taco.VIDEOS, taco.CAMERAS, taco.OBJECT_POSES, taco.HAND_MESHES):
        shutil.copytree(own_root / part / TRIPLET / NAME, own_root / part / TRIPLET / second)
    change_calibration(own_root, lambda camera: camera.update(imgSize=[float("inf"), 3]))
    (path,) = (own_root / taco.OBJECT_POSES / TRIPLET / NAME).glob("tool_*.npy")
    path.write_bytes(b"\x93NUMPY\x01\x00\x06\x00(((((\n")
    for workers in ("1", "2"):
        assert command(own_root, tmp_path / workers, "--split", "all", "--workers", workers, *ANY_OFFSET) == 0
        broken, sound = lines(tmp_path / workers)
        assert broken["left_out"] and not sound["left_out"] and sound["recording"] == second


def test_two_processes_do_not_build_the_same_split(taco_root, tmp_path):
    out = tmp_path / "data"
    out.mkdir()
    with (out / ".all.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process builds this split"):
            command(taco_root, out, "--split", "all")
    assert command(taco_root, out, "--split", "all") == 0


def test_a_folder_holds_the_recordings_of_one_list(taco_root, tmp_path):
    split = tmp_path / "split.txt"
    split.write_text(f"{NAME},held_out\n")
    options = ("--split", "held_out", "--split-file", str(split))
    assert command(taco_root, tmp_path / "data", *options) == 0
    split.write_text(f"{NAME},held_out\nother,held_out\n")
    with pytest.raises(ValueError, match="was built with split_file .*: choose another folder"):
        command(taco_root, tmp_path / "data", *options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--start", "inf"], "must be finite"),
        (["--rate", "inf"], "must be finite"),
        (["--size", "9999999", "96"], "--size must be at most 4096 px"),
        (["--size", "96", "16"], "--size must be at least 32 px, got 96 x 16"),
        (["--split", "../train"], "--split names a folder"),
        (["--cameras", "1", "1"], "--cameras names one twice"),
        (["--frames", "1"], "--frames must be at least 2"),
        (["--rate", "nan"], "--rate must be at least"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, taco_root, tmp_path):
    with pytest.raises(ValueError, match=message):
        command(taco_root, tmp_path / "data", *options)
    assert not (tmp_path / "data").exists()
