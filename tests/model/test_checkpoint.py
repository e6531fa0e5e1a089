"""Checkpoints: what is saved is what is loaded, and a bad folder is refused by name."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from syncmv4d_model.checkpoint import build_components, load_components, save_components
from syncmv4d_model.checkpoint_index import checkpoint_hash, read_index
from syncmv4d_model.config import NANO, PRESETS, MotionPriorConfig, check_num_frames, from_dict, to_dict
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.predictor import Predictor
from tests.model.tiny_model import TINY, tiny_checkpoint, tiny_sequence


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    _, checkpoint, components = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return checkpoint, components


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved[0], tmp_path / "copy")


def test_every_weight_survives_saving_and_loading(saved):
    checkpoint, components = saved
    loaded = load_components(checkpoint)
    assert loaded.config == components.config and loaded.statistics == components.statistics
    for name, part in components.networks().items():
        for key, value in part.state_dict().items():
            assert torch.equal(value, loaded.networks()[name].state_dict()[key]), (name, key)


def test_saving_over_a_checkpoint_keeps_the_files_that_stand_beside_it(saved, copy):
    (copy / "README.md").write_text("a model card")
    save_components(copy, saved[1])
    assert (copy / "README.md").read_text() == "a model card"
    assert (copy / "text_mean.safetensors").exists()
    assert not list(copy.parent.glob(".*"))


def test_only_safetensors_json_and_text_are_written(saved):
    assert {path.suffix for path in saved[0].rglob("*") if path.is_file()} <= {".safetensors", ".json", ".md"}


def test_the_hash_follows_the_weights(saved, copy):
    assert checkpoint_hash(copy) == checkpoint_hash(saved[0])
    changed = load_components(copy)
    with torch.no_grad():
        changed.joint_denoiser.proj_out.bias.add_(1)
    save_components(copy, changed)
    assert checkpoint_hash(copy) != checkpoint_hash(saved[0])


def test_weights_that_the_configuration_leaves_unused_are_refused_unless_it_was_changed(copy):
    index = json.loads((copy / "model_index.json").read_text())
    del index["config"]["motion_prior"]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="motion_prior holds weights, but the configuration"):
        load_components(copy)
    assert load_components(copy, change=lambda config: config).motion_prior is None


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no checkpoint at {tmp_path}/none: model_index.json is missing"):
        load_components(tmp_path / "none")


def test_a_truncated_weight_file_is_named(copy):
    path = copy / "point_aligner" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="point_aligner/model.safetensors is truncated or not safetensors"):
        load_components(copy)


def test_missing_weights_are_named(copy):
    (copy / "codec" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="lacks weights in .*codec"):
        load_components(copy)


def test_weights_of_another_size_are_refused_with_both_shapes(copy):
    index = json.loads((copy / "model_index.json").read_text())
    index["config"]["joint_denoiser"]["ffn_dim"] = 80
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"should have shape \(80,.*found \(64"):
        load_components(copy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 200_000, "is not JSON"),
        ("[]", "is not a SyncMV4D checkpoint"),
        ('{"_class_name": "WanPipeline"}', "is not a SyncMV4D checkpoint"),
        ('{"format": 99, "config": {}, "statistics": {}}', "has format 99, this version reads 1"),
    ],
)
def test_a_foreign_index_is_refused(copy, text, message):
    (copy / "model_index.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_index(copy)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = PRESETS[name]
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown field 'colour'"),
        ({"num_frames": 16}, "must be 4k\\+1 for the Wan VAE, got 16"),
        ({"num_frames": 1}, "num_frames must be more than 1"),
        ({"num_frames": "17"}, "config.num_frames must be int, got '17'"),
        ({"codec": {"kind": "jpeg"}}, "config.codec.kind must be one of"),
        ({"joint_denoiser": {"patch_size": [1, 1]}}, "patch_size must be a list of 3"),
        ({"width": 100}, "multiples of 16 and 16, got 96 x 100"),
        ({"num_points": 0}, "num_points must be at least 1 and at most 1000000, got 0"),
        ({"frame_period_s": float("nan")}, "frame_period_s must be positive and finite, got nan"),
        ({"codec": {"whitening": 1.5}}, "codec.whitening must lie in \\[0, 1\\], got 1.5"),
        ({"motion": {"dense_splat_px": 4}}, "motion.dense_splat_px must be odd and positive, got 4"),
        ({"point_aligner": {"voxel_m": 0.0}}, "point_aligner.voxel_m must be positive and finite, got 0.0"),
        ({"num_points": 10**30}, "num_points must be at least 1 and at most 1000000"),
        ({"mean_depth_m": 10**400}, "mean_depth_m must be a finite number, got one of 401 digits"),
        ({"motion": {"foreground_floor": 1.0}}, "foreground_floor must lie in \\[0, 1\\), got 1.0"),
        ({"joint_denoiser": {"register_tokens": -3}}, "register_tokens must be at least 0"),
        ({"joint_denoiser": {"scale_tokens": 0}}, "scale_tokens must be at least 1 where motion is on"),
        ({"joint_denoiser": {"head_dim": 63}}, "head_dim must be even, got 63"),
        ({"joint_denoiser": {"eps": float("nan")}}, "eps must be positive and finite, got nan"),
        ({"joint_denoiser": {"patch_size": [1, 0, 1]}}, "patch_size must be at least 1 each way"),
        ({"joint_denoiser": {"qk_norm": "nonsense"}}, "qk_norm must be one of"),
        ({"loop": {"text_guidance": float("nan")}}, "text_guidance must be a finite number"),
        ({"loop": {"feedback_interval": 0}}, "loop.feedback_interval must be at least 1 and"),
        ({"motion_prior": {"conv_width": 10**6}}, "conv_width must give a cell at most 1000000 channels, got 8000000"),
        ({"finder": {"width": 12}}, "finder.width must be a multiple of 8, got 12"),
        ({"finder": {"canvas_height": 100}}, "canvas_width must be multiples of 16, got 100 x 160"),
        ({"finder": {"threshold": 2}}, "finder.threshold must lie in \\[0, 1\\], got 2"),
        ({"switches": 3}, "config.switches must be an object, got int"),
    ],
)
def test_a_wrong_configuration_names_its_field(change, message):
    with pytest.raises(ValueError, match=message):
        from_dict(to_dict(NANO) | change)


@pytest.mark.parametrize("frames", [0, 2, 16, 48])
def test_frame_counts_that_the_codec_cannot_hold_are_refused(frames):
    with pytest.raises(ValueError, match=f"4k\\+1 for the Wan VAE, got {frames}"):
        check_num_frames(frames)


def test_switches_can_be_changed_while_loading(saved):
    loaded = load_components(
        saved[0], change=lambda config: replace(config, switches=replace(config.switches, aligner=False))
    )
    assert loaded.point_aligner is None


def test_weights_that_are_not_finite_are_neither_written_nor_read(saved, copy):
    path = copy / "joint_denoiser" / "model.safetensors"
    weights = load_file(path)
    weights["proj_out.bias"][3] = float("nan")
    save_file(weights, path)
    with pytest.raises(ValueError, match="joint_denoiser: proj_out.bias holds 1 numbers that are not finite"):
        load_components(copy)
    loaded = load_components(saved[0])
    with torch.no_grad():
        loaded.joint_denoiser.proj_out.bias[3] = 1e6  # too large for float16
    before = checkpoint_hash(copy)
    with pytest.raises(ValueError, match="proj_out.bias holds 1 numbers"):
        save_components(copy, loaded)
    assert checkpoint_hash(copy) == before


def test_a_folder_whose_replacement_was_killed_halfway_is_found_again(copy):
    copy.rename(copy.with_name(".copy.previous"))
    assert load_components(copy).config.name == "nano"
    assert not copy.with_name(".copy.previous").exists()


def test_a_preset_with_pretrained_parts_is_refused_with_the_way_to_build_them(saved):
    with pytest.raises(
        ValueError, match="wan5b takes its wan codec and pretrained text encoder from Wan's own weights"
    ):
        build_components(PRESETS["wan5b"], seed=0, tokenizer=saved[1].text_encoder.tokenizer)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", '{"model": 3}'),
        ("tokenizer.json", '{"model": {"type": "Unigram"}}'),
        ("words.json", "[1, 2]"),
        ("words.json", "{"),
    ],
)
def test_a_foreign_tokenizer_is_named(copy, file, content):
    (copy / "text_encoder" / file).write_text(content)
    with pytest.raises(ValueError, match=file):
        load_components(copy)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth_scale_mean_m", [float("nan"), 1.0]),
        ("depth_scale_mean_m", [0.5, 1.0, 2.0]),
        ("depth_scale_std_m", [0.1, 0.0]),
        ("depth_scale_std_m", ["a", 0.1]),
        ("stddev_temperature", -1.0),
        ("stddev_temperature", float("inf")),
    ],
)
def test_statistics_that_would_spoil_every_depth_are_refused(copy, name, value):
    index = json.loads((copy / "model_index.json").read_text())
    index["statistics"][name] = value
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="model_index.json has unusable statistics"):
        load_components(copy)


def test_a_checkpoint_from_before_the_motion_prior_is_a_model_without_one(tmp_path):
    _, checkpoint, _ = tiny_checkpoint(tmp_path, config=replace(TINY, motion_prior=MotionPriorConfig()))
    index = json.loads((checkpoint / "model_index.json").read_text())
    del index["config"]["motion_prior"]
    (checkpoint / "model_index.json").write_text(json.dumps(index))
    loaded = load_components(checkpoint)
    assert loaded.motion_prior is None and not hasattr(loaded.joint_denoiser, "prior_embedding")
    assert Predictor(loaded).predict(observation_of(tiny_sequence(0))).tracks.any()


def test_moments_that_are_not_positive_are_refused(copy):
    path = copy / "preconditioner" / "model.safetensors"
    stored = load_file(path)
    stored["motion_moment"][2, 1] = -0.5
    save_file(stored, path)
    with pytest.raises(ValueError, match="preconditioner: motion_moment must be positive, its least is -0.5"):
        load_components(copy)


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("joint_denoiser", "ffn_dim", 10**6, r"should have shape \(1000000, 48\), found \(64, 48\)"),
        ("joint_denoiser", "layers", 10**6, "has 1000000 blocks, the weights only"),
        ("text", "layers", 10**6, "has 1000000 blocks, the weights only"),
        ("point_aligner", "blocks", 10**6, "has 1000000 blocks, the weights only"),
        ("motion_prior", "layers", 10**6, "has 1000000 blocks, the weights only"),
        ("motion_prior", "conv_width", 125_000, r"should have shape \("),
        ("codec", "motion_channels", 10**6, r"should have shape \(1000000,"),
    ],
)
def test_a_configuration_larger_than_the_weights_is_refused_before_memory_is_taken(copy, part, name, value, message):
    index = json.loads((copy / "model_index.json").read_text())
    index["config"][part][name] = value
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=message):
        load_components(copy)


def sharded(folder):
    """Split a part's single weight file in two, as large parts are stored."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    path.unlink()
    names = sorted(weights)
    shards = {"model-00001-of-00002.safetensors": names[:3], "model-00002-of-00002.safetensors": names[3:]}
    for file, keys in shards.items():
        save_file({key: weights[key] for key in keys}, folder / file)
    weight_map = {key: file for file, keys in shards.items() for key in keys}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weights


def test_of_weights_in_shards_exactly_those_that_the_index_names_are_read(copy):
    folder = copy / "joint_denoiser"
    weights = sharded(folder)
    assert torch.equal(load_components(copy).joint_denoiser.proj_out.bias, weights["proj_out.bias"])
    left = folder / "model.safetensors"
    save_file({key: value + 1 for key, value in weights.items()}, left)
    with pytest.raises(ValueError, match="joint_denoiser holds weights of two checkpoints: model.safetensors beside"):
        load_components(copy)
    left.unlink()
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="joint_denoiser: no model-00002-of-00002.safetensors"):
        load_components(copy)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"weight_map": {"proj_out.bias": "../../elsewhere.safetensors"}}', FileNotFoundError, "no ../../elsewhere"),
        ('{"weight_map": {"proj_out.bias": ["model.safetensors"]}}', ValueError, "is not an index of weights"),
        ("[]", ValueError, "is not an index of weights"),
        ("{", ValueError, "is not an index of weights"),
    ],
)
def test_an_index_of_weights_never_leads_out_of_its_folder(copy, text, error, message):
    (copy / "joint_denoiser" / "model.safetensors.index.json").write_text(text)
    with pytest.raises(error, match=message):
        load_components(copy)
