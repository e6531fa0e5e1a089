"""No input of a predictor that comes from TACO's recordings knows the future: poses and images of
later frames change nothing.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_model.data import taco
from syncmv4d_model.data.sequence import Sequence, read_sequence, write_sequence
from syncmv4d_model.data.taco_check import action_window
from syncmv4d_model.data.taco_import import Clip, ClipOptions, chosen_cameras, import_clip
from syncmv4d_model.data.taco_surface import read_surface
from syncmv4d_model.data.video import encode_video, read_video
from tests.model.honest_inputs import changed, find_bright, inputs_of

OPTIONS = ClipOptions(num_points=100)
LATER_M = 0.15
"""How far off everything is in the other future, in the end."""


@pytest.fixture(scope="module")
def recordings(taco_root, tmp_path_factory) -> tuple[taco.Recording, taco.Recording]:
    """A recording, and the same with other poses and other images after its first frame."""
    root = tmp_path_factory.mktemp("other") / "taco"
    shutil.copytree(taco_root, root)
    (one,), (other,) = taco.list_recordings(taco_root), taco.list_recordings(root)
    for path in other.folder(taco.OBJECT_POSES).glob("tool_*.npy"):
        poses = np.load(path)
        poses[:, 1, 3] += np.linspace(0, LATER_M, len(poses))
        np.save(path, poses)
    for path in other.folder(taco.HAND_MESHES).glob("*.npz"):
        arrays = dict(np.load(path))
        arrays["vertices"][:, :, 1] += np.linspace(0, LATER_M, len(arrays["vertices"]))[:, None].astype(np.float32)
        np.savez_compressed(path, **arrays)
    for serial in chosen_cameras(other, taco.read_cameras(other), OPTIONS):
        repaint(other.folder(taco.VIDEOS) / f"{serial}.mp4")
    return one, other


def repaint(path: Path) -> None:
    """Turn all pictures but the first one upside down."""
    frames = read_video(path)
    frames[1:] = frames[1:, ::-1]
    path.write_bytes(encode_video(frames, frame_period_s=1 / taco.FRAME_RATE_HZ, lossless=True))


def written(clip: Clip, folder: Path) -> Sequence:
    """As an evaluation reads it."""
    write_sequence(folder, clip.sequence, clip.truths)
    return read_sequence(folder)


@pytest.mark.parametrize("windows", ["finder", "truth", "largest"])
def test_later_poses_and_images_change_no_input(recordings, tmp_path, windows):
    options = replace(OPTIONS, windows=windows)
    one, other = (import_clip(recording, options, {}, find_bright) for recording in recordings)
    assert not np.array_equal(one.sequence.positions, other.sequence.positions), "the futures do differ"
    assert not np.array_equal(one.sequence.video[:, 1:], other.sequence.video[:, 1:])
    given = [inputs_of(written(clip, tmp_path / name)) for clip, name in ((one, "one"), (other, "other"))]
    assert changed(*given) == set()
    for truths in zip(one.truths.masks + one.truths.depths_m, other.truths.masks + other.truths.depths_m, strict=True):
        np.testing.assert_array_equal(*truths)


def test_the_test_finds_windows_that_hold_the_whole_action(recordings, tmp_path):
    """Pictures cut to where the action will be, as the paper cuts them: the inputs differ, and the
    test says so.
    """
    given = []
    for recording, name in zip(recordings, ("one", "other"), strict=True):
        clip = import_clip(recording, OPTIONS, {})
        surface = read_surface(recording, OPTIONS.source_frames, {})
        views = zip(
            clip.sequence.whole_intrinsics, clip.sequence.camera_from_world, clip.sequence.whole_sizes, strict=True
        )
        windows = [action_window(surface, k, pose, size[::-1], aspect=1.0) for k, pose, size in views]
        write_sequence(tmp_path / name, clip.sequence, clip.truths)
        given.append(inputs_of(read_sequence(tmp_path / name, windows_px=np.stack(windows))))
    assert changed(*given) == {"windows", "first frames", "intrinsics", "anchors"}
