"""`syncmv4d generate` from end to end, with a tiny untrained checkpoint."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from syncmv4d_cli.generate import MAX_WARNINGS, generate_for_sequence, shortened
from syncmv4d_cli.main import main
from syncmv4d_model.checkpoint import build_components, save_components
from syncmv4d_model.config import CodecConfig, JointDenoiserConfig, ModelConfig, PointAlignerConfig, TextConfig
from syncmv4d_model.data.loader import truth_videos
from syncmv4d_model.data.rig import read_rig
from syncmv4d_model.data.sequence import write_sequence
from syncmv4d_model.data.video import read_video
from syncmv4d_model.networks.pca_fit import fit_pca_codec
from syncmv4d_model.networks.text import train_tokenizer
from syncmv4d_model.predictor import Predictor
from syncmv4d_model.results import read_tracks
from tests.model.scene_folders import small_rig, small_sequence, write_scene

TINY = ModelConfig(
    name="tiny",
    num_frames=5,
    height=32,
    width=32,
    num_points=16,
    codec=CodecConfig(video_channels=8, motion_channels=8),
    text=TextConfig(width=16, layers=1, heads=2, max_tokens=12, vocabulary=64),
    joint_denoiser=JointDenoiserConfig(layers=1, heads=2, head_dim=12, ffn_dim=32, freq_dim=16),
    point_aligner=PointAlignerConfig(width=16, blocks=1, heads=2, patch_points=16),
)
ROOT = Path(__file__).parents[2]
TASK = "push the box with the brush"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    tokenizer = train_tokenizer([TASK, "hit the pan with the hammer"], TINY.text.vocabulary)
    codec = fit_pca_codec([truth_videos(small_sequence(), TINY)], TINY.codec, motion=TINY.motion)
    directory = tmp_path_factory.mktemp("checkpoints") / "tiny"
    components = build_components(TINY, seed=0, tokenizer=tokenizer, codec=codec)
    save_components(directory, components, dtype=torch.float32)
    return directory


@pytest.fixture
def scene(tmp_path):
    write_scene(tmp_path / "scene", small_rig())
    return tmp_path / "scene"


def generate(scene, out, checkpoint, *more, task=TASK) -> int:
    asked = ["generate", "--input", scene, "--task", task, "--out", out, "--checkpoint", checkpoint, "--steps", 2]
    return main([str(word) for word in (*asked, *more)])


def test_images_and_a_task_become_videos_tracks_and_pictures(scene, tmp_path, checkpoint, capsys):
    assert generate(scene, tmp_path / "out", checkpoint) == 0
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "left.mp4", "centre.mp4", "right.mp4", "tracks.npz", "preview.mp4", "preview.png", "prediction.json",
    }  # fmt: skip
    tracks = read_tracks(tmp_path / "out" / "tracks.npz")
    assert tracks.positions.shape == (3, 5, 16, 3)
    assert (tracks.task, tracks.seed, tracks.checkpoint) == (TASK, 0, "tiny")
    assert read_video(tmp_path / "out" / "left.mp4").shape == (5, 32, 32, 3)
    record = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert (record["steps"], record["engine"]) == (2, "eager")
    assert all("no point was labelled" in warning for warning in record["warnings"])  # by a network that knows nothing
    assert len(record["checkpoint_sha256"]) == 16
    shown = " ".join(capsys.readouterr().out.split())
    assert "preview.png" in shown
    assert "left, centre, right: the model saw 48 x 48 px of the 64 x 48 px image, from (8, 0) on" in shown
    assert record["input_used_px"] == {name: [8, 0, 48, 48] for name in ("left", "centre", "right")}


def test_images_that_are_used_whole_are_not_spoken_of(tmp_path, checkpoint, capsys):
    write_scene(tmp_path / "scene", small_rig(width=48, height=48))
    assert generate(tmp_path / "scene", tmp_path / "out", checkpoint) == 0
    assert "the model saw" not in capsys.readouterr().out


@pytest.mark.parametrize("views", [1, 4])
def test_any_number_of_views_up_to_the_checkpoints_works(tmp_path, checkpoint, views):
    write_scene(tmp_path / "scene", small_rig(views, width=50, height=70))
    assert generate(tmp_path / "scene", tmp_path / "out", checkpoint) == 0
    assert len(read_tracks(tmp_path / "out" / "tracks.npz").positions) == views


def test_the_same_seed_gives_the_same_files_and_another_seed_others(scene, tmp_path, checkpoint):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert generate(scene, tmp_path / name, checkpoint, "--seed", seed) == 0
    for file in ("tracks.npz", "left.mp4", "preview.png", "preview.mp4"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    assert (tmp_path / "a" / "left.mp4").read_bytes() != (tmp_path / "c" / "left.mp4").read_bytes()


def test_anchors_from_outside_are_the_points_that_are_tracked(scene, tmp_path, checkpoint):
    pixels = np.random.default_rng(0).uniform([9, 1], [54, 46], (3, 7, 2)).astype(np.float32)
    np.savez(tmp_path / "anchors.npz", anchors_px=pixels)
    assert generate(scene, tmp_path / "out", checkpoint, "--anchors", tmp_path / "anchors.npz") == 0
    tracks = read_tracks(tmp_path / "out" / "tracks.npz")
    assert tracks.positions.shape == (3, 5, 7, 3)
    assert np.allclose(tracks.anchors_px, pixels, atol=1e-3)


def test_a_sequence_folder_is_drawn_beside_its_truth(scene, tmp_path, checkpoint):
    write_sequence(tmp_path / "000000", small_sequence())
    assert generate(scene, tmp_path / "plain", checkpoint) == 0
    assert generate(tmp_path / "000000", tmp_path / "beside", checkpoint) == 0
    widths = [read_video(tmp_path / name / "preview.mp4", max_frames=1).shape[2] for name in ("plain", "beside")]
    assert widths[1] > widths[0]


def test_a_loaded_predictor_answers_a_sequence_with_its_own_task(tmp_path, checkpoint):
    write_sequence(tmp_path / "000000", small_sequence())
    generate_for_sequence(Predictor.load(checkpoint), tmp_path / "000000", tmp_path / "out", seed=5, steps=1)
    tracks = read_tracks(tmp_path / "out" / "tracks.npz")
    assert (tracks.task, tracks.seed) == (small_sequence().task, 5)


WARNED = {
    "unknown word": ("zap the box with the brush", "'zap'"),
    "enormous": ("push the box " * 20_000, "its end was dropped"),
    "other script": ("把锤子敲在盒子上", "never seen"),
}


@pytest.mark.parametrize(("task", "message"), WARNED.values(), ids=WARNED.keys())
def test_a_strange_task_is_generated_with_a_warning(scene, tmp_path, checkpoint, capsys, task, message):
    assert generate(scene, tmp_path / "out", checkpoint, task=task) == 0
    warnings = json.loads((tmp_path / "out" / "prediction.json").read_text())["warnings"]
    assert any(message in warning for warning in warnings), warnings
    assert message in capsys.readouterr().out
    assert read_tracks(tmp_path / "out" / "tracks.npz").task == task


def test_inverted_poses_are_generated_with_a_warning(tmp_path, checkpoint, capsys):
    rig = small_rig()
    write_scene(tmp_path / "scene", replace(rig, camera_from_world=np.linalg.inv(rig.camera_from_world)))
    assert generate(tmp_path / "scene", tmp_path / "out", checkpoint) == 0
    assert (
        "is camera_from_world inverted" in json.loads((tmp_path / "out" / "prediction.json").read_text())["warnings"][0]
    )
    assert "is camera_from_world inverted" in capsys.readouterr().out


def test_warnings_are_kept_readable():
    kept = shortened([f"word {n}" for n in range(MAX_WARNINGS)] + ["x" * 5000, "y"])
    assert kept[-1] == "and 2 more warnings"
    assert len(kept) == MAX_WARNINGS + 1
    assert len(shortened(["x" * 5000])[0]) == 200


def no_rig(scene):
    (scene / "rig.yaml").unlink()


def broken_image(scene):
    (scene / "left.png").write_bytes(b"no image")


def missing_image(scene):
    (scene / "right.png").unlink()


def no_folder(scene):
    shutil.rmtree(scene)


def five_views(scene):
    rig = small_rig(4)
    pose = rig.camera_from_world[:1].copy()
    pose[0, 2, 3] += 0.3
    five = replace(
        rig,
        view_names=(*rig.view_names, "fifth"),
        image_files=(*rig.image_files, "fifth.png"),
        sizes=rig.sizes + rig.sizes[:1],
        intrinsics=np.concatenate([rig.intrinsics, rig.intrinsics[:1]]),
        camera_from_world=np.concatenate([rig.camera_from_world, pose]),
        distortion=(None,) * 5,
    )
    write_scene(scene, five)
    assert len(read_rig(scene / "rig.yaml").view_names) == 5


SPOILED = {
    "no folder": (no_folder, "no input folder"),
    "no rig": (no_rig, "no rig file"),
    "unreadable image": (broken_image, "cannot read image"),
    "missing image": (missing_image, "1 of the 3 images"),
    "too many views": (five_views, "the rig has 5 views, the checkpoint takes at most 4"),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_bad_input_ends_with_one_line_and_no_output(scene, tmp_path, checkpoint, capsys, spoil, message):
    spoil(scene)
    assert generate(scene, tmp_path / "out", checkpoint) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


MISASKED = {
    "no steps": (("--steps", "0"), "--steps must be 1 to 1000, got 0"),
    "task in no encoding": (("--task", "hit \udcff"), "--task is not UTF-8 text: 'hit"),
    "empty task": (("--task", ""), "--task is empty: say what is to happen"),
    "blank task": (("--task", " \n "), "--task is empty"),
    "negative seed": (("--seed", "-1"), "--seed must be 0 to"),
    "missing anchors": (("--anchors", "nowhere.npz"), "no file nowhere.npz"),
    "missing checkpoint": (("--checkpoint", "nowhere"), "no checkpoint at nowhere"),
}


@pytest.mark.parametrize(("words", "message"), MISASKED.values(), ids=MISASKED.keys())
def test_a_request_that_makes_no_sense_is_refused_before_any_work(scene, tmp_path, checkpoint, capsys, words, message):
    assert generate(scene, tmp_path / "out", checkpoint, *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def no_checkpoint(scene):
    (scene.parent / "tiny" / "model_index.json").unlink()


def taken_output(scene):
    (scene.parent / "out").write_text("mine")


PATHS = {no_folder: "no input folder", no_rig: "no rig file", missing_image: "1 of the 3 images"}
PATHS |= {no_checkpoint: "no checkpoint at", taken_output: "out: it is a file"}


@pytest.mark.parametrize(("spoil", "message"), PATHS.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_path_that_leads_nowhere_is_said_before_torch_is_loaded(scene, tmp_path, checkpoint, spoil, message):
    shutil.copytree(checkpoint, tmp_path / "tiny")
    spoil(scene)
    asked = ["generate", "--input", scene, "--task", TASK, "--out", tmp_path / "out", "--checkpoint", tmp_path / "tiny"]
    program = "import sys; from syncmv4d_cli.main import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", program, *map(str, asked)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stdout == "2 False\n"
    assert message in run.stderr


def test_an_output_that_is_a_file_is_refused(scene, tmp_path, checkpoint, capsys):
    (tmp_path / "out").write_text("mine")
    assert generate(scene, tmp_path / "out", checkpoint) == 2
    assert "out: it is a file" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_an_output_that_cannot_be_written_is_said_before_any_work(scene, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert generate(scene, tmp_path / "file" / "out", tmp_path / "no checkpoint") == 2
    assert f"cannot write to {tmp_path / 'file' / 'out'}" in capsys.readouterr().err
