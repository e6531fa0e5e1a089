"""Sequences on disk: lossless, whole or not at all, and suspicious of what they read."""

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_model.data.sequence import Sequence, Truths, list_sequences, read_sequence, write_sequence
from syncmv4d_model.data.video import encode_video, read_video, write_video
from syncmv4d_model.data.window import cut_window, enlarge_windows
from tests.model.scene_folders import small_sequence

ROOT = Path(__file__).parents[2]

KILLED_EVERYWHERE = """
import sys
from dataclasses import replace
from pathlib import Path
from syncmv4d_model.data.sequence import read_sequence, write_sequence
from tests.model.killed_writers import survives
from tests.model.scene_folders import small_sequence
target, old = Path(sys.argv[1]), small_sequence(frames=1, size=16)
for touches in range(200):
    write_sequence(target, old)
    done = survives(lambda: write_sequence(target, replace(old, task="new")), touches)
    print(read_sequence(target).task if target.is_dir() else "absent")
    if done:
        break
"""

WRITE_IN_LITTLE_SPACE = """
import resource, sys
from pathlib import Path
from syncmv4d_model.data.sequence import write_sequence
from tests.model.scene_folders import small_sequence
resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))
try:
    write_sequence(Path(sys.argv[1]), small_sequence())
except OSError as error:
    print(error)
    sys.exit(error.errno)
"""


def test_a_written_sequence_is_read_again_to_the_bit(tmp_path):
    sequence = small_sequence()
    write_sequence(tmp_path / "000000", sequence)
    again = read_sequence(tmp_path / "000000")
    for name, value in vars(sequence).items():
        if value is not None and not isinstance(value, tuple):
            assert np.array_equal(getattr(again, name), value), name
    np.testing.assert_array_equal(again.reference, sequence.video[:, 0])
    np.testing.assert_array_equal(again.windows_px, [[0, 0, 32, 32]] * 3)
    files = {path.name for path in (tmp_path / "000000").iterdir()}
    names = {f"{view}.{kind}" for view in ("left", "centre", "right") for kind in ("png", "mp4")}
    assert files == names | {"rig.yaml", "task.txt", "truth.npz"}


def windowed_sequence() -> tuple[Sequence, Truths, np.ndarray]:
    """A sequence whose windows lie in larger pictures, what is stored of it, and the whole pictures [V T H W 3]."""
    plain, rng = small_sequence(), np.random.default_rng(0)
    blocks = rng.integers(0, 255, (3, plain.positions.shape[1], 6, 8, 3)).astype(np.uint8)
    whole = blocks.repeat(10, axis=2).repeat(10, axis=3)
    windows = np.array([[10.0, 6, 32, 32], [40, 20, 32, 32], [-8, 10, 32, 32]])
    large = enlarge_windows(windows, 40 / 32)
    video = np.stack(
        [[cut_window(f, w, height=32, width=32) for f in view] for view, w in zip(whole, windows, strict=True)]
    )
    margin = np.stack(
        [[cut_window(f, w, height=40, width=40) for f in view] for view, w in zip(whole, large, strict=True)]
    )
    k = plain.intrinsics.copy()
    k[:, :2, 2] += windows[:, :2]
    sequence = replace(
        plain, video=video, reference=tuple(whole[:, 0]), reference_intrinsics=k, windows_px=windows,
        tags=("closed", "left_hand"), seed=7,
    )  # fmt: skip
    return sequence, Truths(margin_video=margin, full_video=tuple(whole)), whole


def test_a_sequence_in_windows_of_larger_pictures_is_read_again_to_the_bit(tmp_path):
    sequence, truths, _ = windowed_sequence()
    write_sequence(tmp_path / "000000", sequence, truths)
    again = read_sequence(tmp_path / "000000", degraded=False)
    for name in ("video", "windows_px", "seed", "tags", "positions"):
        assert np.array_equal(getattr(again, name), getattr(sequence, name)), name
    np.testing.assert_allclose(again.intrinsics, sequence.intrinsics, atol=1e-9)
    np.testing.assert_allclose(again.anchors_px, sequence.anchors_px, atol=1e-5)
    for one, other in zip(again.reference, sequence.reference, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kept", [True, False], ids=["whole frames kept", "margin only"])
def test_other_windows_are_cut_from_what_is_stored(tmp_path, kept):
    sequence, truths, whole = windowed_sequence()
    write_sequence(tmp_path / "000000", sequence, truths if kept else replace(truths, full_video=()))
    windows = sequence.windows + [2.0, -1, 0, 0]
    moved = read_sequence(tmp_path / "000000", windows_px=windows, degraded=False)
    expected = np.stack(
        [[cut_window(f, w, height=32, width=32) for f in view] for view, w in zip(whole, windows, strict=True)]
    )
    np.testing.assert_array_equal(moved.video[:, 0], expected[:, 0])  # always from the first image
    error = np.abs(moved.video.astype(int) - expected)
    assert error.max() == 0 if not kept else error.mean() < 12  # whole frames are stored with losses
    np.testing.assert_allclose(moved.anchors_px, sequence.anchors_px - [2, -1], atol=1e-4)
    np.testing.assert_allclose(moved.intrinsics[:, :2, 2], sequence.intrinsics[:, :2, 2] - [2, -1], atol=1e-9)


def test_what_cameras_do_to_pictures_is_the_same_at_every_reading(tmp_path):
    sequence, truths, _ = windowed_sequence()
    write_sequence(tmp_path / "000000", sequence, truths)
    one, again = (read_sequence(tmp_path / "000000") for _ in range(2))
    np.testing.assert_array_equal(one.video, again.video)
    assert np.abs(one.reference[0].astype(int) - sequence.reference[0]).mean() > 1
    for view, window in enumerate(one.windows):
        np.testing.assert_array_equal(one.video[view, 0], cut_window(one.reference[view], window, height=32, width=32))


def test_truth_has_the_keys_of_the_contract(tmp_path):
    write_sequence(tmp_path / "000000", small_sequence())
    with np.load(tmp_path / "000000" / "truth.npz", allow_pickle=False) as truth:
        assert set(truth) == {
            "positions", "visible", "label", "intrinsics", "camera_from_world", "anchors_px", "video_size",
            "frame_period_s", "task", "depth_scale", "triplet", "windows_px", "margin_px", "tags", "seed",
        }  # fmt: skip
        assert truth["video_size"].tolist() == [[32, 32]] * 3


def test_the_same_sequence_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_sequence(tmp_path / name, small_sequence())
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


def test_reading_without_video_keeps_the_size(tmp_path):
    write_sequence(tmp_path / "000000", small_sequence())
    assert read_sequence(tmp_path / "000000", with_video=False).video.shape == (3, 0, 32, 32, 3)


def test_sequences_are_listed_in_order_and_leftovers_are_not(tmp_path):
    for name in ("000002", "000000", "000001"):
        write_sequence(tmp_path / "val" / name, small_sequence(name))
    (tmp_path / "val" / "000001").rename(tmp_path / "val" / ".000001.77.partial")
    (tmp_path / "val" / "empty").mkdir()
    assert [path.name for path in list_sequences(tmp_path, "val")] == ["000000", "000002"]
    assert [path.name for path in list_sequences(tmp_path, "val", limit=1)] == ["000000"]


def test_a_missing_split_is_named_beside_those_there_are(tmp_path):
    (tmp_path / "val").mkdir()
    with pytest.raises(ValueError, match="no split 'test_1'; it has val"):
        list_sequences(tmp_path, "test_1")
    with pytest.raises(ValueError, match="'val' of .* holds no sequence"):
        list_sequences(tmp_path, "val")


@pytest.mark.parametrize("file", ["truth.npz", "left.mp4"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign"])
def test_a_damaged_file_is_named(tmp_path, file, damage):
    write_sequence(tmp_path / "000000", small_sequence())
    path = tmp_path / "000000" / file
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"not at all what you expect")
    with pytest.raises((FileNotFoundError, ValueError), match=file):
        read_sequence(tmp_path / "000000")


def test_pickled_truth_is_refused(tmp_path):
    write_sequence(tmp_path / "000000", small_sequence())
    with np.load(tmp_path / "000000" / "truth.npz") as truth:
        arrays = dict(truth)
    np.savez(tmp_path / "000000" / "truth.npz", **(arrays | {"label": np.array([{}], dtype=object)}))
    with pytest.raises(ValueError, match=r"cannot read .*truth.npz"):
        read_sequence(tmp_path / "000000")


BAD_TRUTH = {
    "flat positions": ({"positions": np.zeros((3, 4))}, r"positions must be \[V T K 3\], got \[3, 4\]"),
    "short visible": ({"visible": np.zeros((3, 4, 30), bool)}, r"visible must be \[3, 5, 30\] beside"),
    "one size": ({"video_size": np.array([32, 32])}, r"video_size must be \[3, 2\]"),
    "NaN in positions": (
        {"positions": np.full((3, 5, 30, 3), np.nan)},
        "positions holds something that is not a finite",
    ),
    "words for depth": ({"depth_scale": np.full((3, 2), "x")}, "depth_scale holds something that is not a finite"),
    "another rig": ({"intrinsics": np.stack([np.diag([50.0, 50.0, 1.0])] * 3)}, "rig.yaml have different intrinsics"),
}


@pytest.mark.parametrize(("change", "message"), BAD_TRUTH.values(), ids=BAD_TRUTH.keys())
def test_truth_that_contradicts_itself_is_refused(tmp_path, change, message):
    write_sequence(tmp_path / "000000", small_sequence())
    with np.load(tmp_path / "000000" / "truth.npz") as truth:
        arrays = dict(truth)
    np.savez(tmp_path / "000000" / "truth.npz", **(arrays | change))
    with pytest.raises(ValueError, match=message):
        read_sequence(tmp_path / "000000")


def test_a_video_that_contradicts_the_truth_is_refused(tmp_path):
    sequence = small_sequence()
    write_sequence(tmp_path / "000000", sequence)
    write_video(tmp_path / "000000" / "right.mp4", sequence.video[2, :3], frame_period_s=0.125, lossless=True)
    with pytest.raises(ValueError, match=r"right.mp4 is 3 frames of 32 x 32 px, truth.npz says 5 of 32 x 32"):
        read_sequence(tmp_path / "000000")


def test_video_and_tracks_of_different_length_are_not_written(tmp_path):
    sequence = small_sequence()
    with pytest.raises(ValueError, match="4 frames of video but 5 of tracks"):
        write_sequence(tmp_path / "000000", replace(sequence, video=sequence.video[:, :4]))
    assert list(tmp_path.iterdir()) == []


def test_a_writer_killed_at_any_step_leaves_the_old_sequence_or_the_new_one(tmp_path):
    command = [sys.executable, "-c", KILLED_EVERYWHERE, str(tmp_path / "000000")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = done.stdout.split("\n")[:-1]
    assert len(found) > 10
    assert set(found) == {"push the box with the brush", "absent", "new"}
    assert found.count("absent") == 1, "only between the two renames, where both are whole under hidden names"
    assert found[-1] == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["000000"], "the next writer clears what killed ones left"


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path):
    target = tmp_path / "000000"
    command = [sys.executable, "-c", WRITE_IN_LITTLE_SPACE, str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == errno.EFBIG, done.stderr
    assert f"could not write {target}" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_lossy_video_is_close_and_a_lossless_one_exact(tmp_path):
    v, u = np.mgrid[0:48, 0:64]
    frames = np.stack([np.stack([u * 4, v * 4, (u + v + 3 * n) * 2], -1) for n in range(5)]).astype(np.uint8)
    for lossless, most in ((True, 0), (False, 4)):
        write_video(tmp_path / "video.mp4", frames, frame_period_s=0.125, lossless=lossless)
        assert np.abs(read_video(tmp_path / "video.mp4").astype(int) - frames).mean() <= most


def test_a_video_that_players_cannot_show_is_refused():
    with pytest.raises(ValueError, match="even sizes, got 33 x 32"):
        encode_video(np.zeros((1, 33, 32, 3), np.uint8), frame_period_s=0.125)
    with pytest.raises(ValueError, match="at least one frame, got 0"):
        encode_video(np.zeros((0, 32, 32, 3), np.uint8), frame_period_s=0.125)
    with pytest.raises(ValueError, match="positive, got 0"):
        encode_video(np.zeros((1, 32, 32, 3), np.uint8), frame_period_s=0.0)


@pytest.mark.parametrize("lossless", [True, False])
def test_a_video_with_a_hole_in_it_is_refused_instead_of_painted_over(tmp_path, lossless):
    path = tmp_path / "video.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), dtype=np.uint8)
    write_video(path, frames, frame_period_s=0.125, lossless=lossless)
    content = path.read_bytes()
    hole = slice(len(content) // 4, len(content) // 2)
    path.write_bytes(content[: hole.start] + bytes(hole.stop - hole.start) + content[hole.stop :])
    with pytest.raises(ValueError, match=r"video.mp4 is truncated, damaged or not a video"):
        read_video(path)
