"""The TACO layout: every part where TACO's readers look for it, and the same motion as in our own layout."""

import json
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_model.data.video import read_video
from syncmv4d_model.geometry import project, transform
from syncmv4d_sim.cameras import taco_from_world
from syncmv4d_sim.physics import Rollout, body_poses, simulate
from syncmv4d_sim.scene import sample_scene
from syncmv4d_sim.sequences import BuildOptions, make_taco_rollout
from syncmv4d_sim.taco_layout import is_written, write_taco

PLACE = Path("(hit, hammer, box)") / "20000101_000"


@pytest.fixture
def root(taco_root: Path) -> Path:
    return taco_root


def calibration(root: Path) -> dict:
    return json.loads((root / "Allocentric_Camera_Parameters" / PLACE / "calibration.json").read_text())


def test_twelve_videos_of_61_frames_carry_tacos_serials(root):
    cameras = calibration(root)
    assert len(cameras) == 12
    for serial, camera in cameras.items():
        video = read_video(root / "Allocentric_RGB_Videos" / PLACE / f"{serial}.mp4")
        assert video.shape == (61, camera["imgSize"][1], camera["imgSize"][0], 3)


def test_the_moving_tool_is_projected_onto_the_pixels_that_change(root):
    (path,) = (root / "Object_Poses" / PLACE).glob("tool_*.npy")
    model = root / "Object_Models" / f"{path.stem.split('_')[1]}_cm.obj"
    vertices = np.array([line.split()[1:] for line in model.read_text().splitlines() if line[0] == "v"], float) / 100
    world_from_tool = np.load(path)
    assert world_from_tool.shape == (61, 4, 4)
    for serial in ("22139916", "22139913", "22139905"):
        camera = calibration(root)[serial]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = np.reshape(camera["R"], (3, 3)), camera["T"]
        pixels = np.rint(
            project(np.reshape(camera["K"], (3, 3)), transform(pose @ world_from_tool[0], vertices))
        ).astype(int)
        video = read_video(root / "Allocentric_RGB_Videos" / PLACE / f"{serial}.mp4").astype(int)
        height, width = video.shape[1:3]
        inside = ((pixels >= 0) & (pixels < [width, height])).all(-1)
        changed = np.abs(video[0] - video[40]).max(-1) > 8
        assert inside.mean() > 0.5
        assert changed[pixels[inside, 1], pixels[inside, 0]].mean() > 0.7


def test_the_skin_moves_in_tacos_world(root):
    with np.load(root / "Hand_Meshes" / PLACE / "right_hand.npz") as hand:
        assert hand["vertices"].shape[0] == 61
        assert hand["faces"].max() == hand["vertices"].shape[1] - 1
        centre = transform(np.linalg.inv(taco_from_world()), hand["vertices"][0].astype(float)).mean(0)
    assert np.abs(centre[:2]).max() < 0.6
    assert 0.03 < centre[2] < 0.6


def test_it_is_the_motion_of_our_own_layout_at_30_hz():
    rollout, _ = make_taco_rollout(0, BuildOptions(split="test_1", seed=4))
    slow = simulate(rollout.scene)
    assert isinstance(slow, Rollout)
    fast = body_poses(rollout, "tool")[np.round(3.75 * np.arange(17)).astype(int)]
    np.testing.assert_allclose(fast[..., :3, 3], body_poses(slow, "tool")[..., :3, 3], atol=0.02)
    np.testing.assert_array_equal(fast[0], body_poses(slow, "tool")[0])


def test_a_written_sequence_is_recognised(root):
    assert is_written(root, PLACE.parent.name, 0)
    assert not is_written(root, PLACE.parent.name, 28)


def test_a_rollout_at_another_rate_is_refused(tmp_path):
    runs = (simulate(sample_scene("test_1", 0, 4, attempt=attempt)) for attempt in range(20))
    rollout = next(run for run in runs if isinstance(run, Rollout))
    with pytest.raises(ValueError, match=r"every 0\.0333 s, got frames every 0\.1250 s"):
        write_taco(tmp_path, 0, rollout, width=64)
