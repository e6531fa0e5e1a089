"""Claims about starting from Wan's published transformer, on a tiny one saved by diffusers in shards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from syncmv4d_model.config import CodecConfig, JointDenoiserConfig, ModelConfig, TextConfig
from syncmv4d_model.networks.initialisation import is_added
from syncmv4d_model.networks.pretrained import INDEX_FILE, load_wan_transformer

CONFIG = ModelConfig(
    codec=CodecConfig(video_channels=8, motion_channels=8),
    text=TextConfig(width=16),
    joint_denoiser=JointDenoiserConfig(layers=2, heads=2, head_dim=24, ffn_dim=64, freq_dim=32, patch_size=(1, 2, 2)),
)


@pytest.fixture
def wan() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=24,
        in_channels=8,
        out_channels=8,
        text_dim=16,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
    )


@pytest.fixture
def folder(wan, tmp_path) -> Path:
    wan.save_pretrained(str(tmp_path), max_shard_size="150KB")
    assert len(_shards(tmp_path)) > 2
    return tmp_path


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_loading_fills_wans_tensors_from_the_shards_and_initialises_exactly_the_rest(wan, folder):
    model = load_wan_transformer(folder, CONFIG, dtype=torch.float32)
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in wan.state_dict().items())
    assert all(is_added(name) for name in set(state) - set(wan.state_dict()))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    block = model.blocks[0]
    assert torch.equal(block.inter_view_attention.to_k.weight, block.attn1.to_k.weight)
    assert not block.inter_view_attention.to_out[0].weight.any()
    assert torch.equal(model.motion_modulator.time_proj.weight, model.condition_embedder.time_proj.weight)
    assert torch.equal(model.motion_proj_out.weight, wan.proj_out.weight)


def test_casting_down_keeps_timesteps_and_modulation_tables_in_float32(folder):
    model = load_wan_transformer(folder, CONFIG)
    assert model.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    assert model.blocks[0].inter_view_attention.to_q.weight.dtype == torch.bfloat16
    for table in (model.scale_shift_table, model.motion_scale_shift_table, model.blocks[1].motion_scale_shift_table):
        assert table.dtype == torch.float32
    assert model.motion_modulator.time_embedder.linear_1.weight.dtype == torch.float32
    assert model.rope.freqs_cos.dtype == torch.float32


def test_one_unsharded_file_loads_too(wan, tmp_path):
    wan.save_pretrained(str(tmp_path))
    assert len(_shards(tmp_path)) == 1
    model = load_wan_transformer(tmp_path, CONFIG, dtype=torch.float32)
    assert torch.equal(model.proj_out.weight, wan.proj_out.weight)


def test_a_missing_shard_is_named(folder):
    gone = _shards(folder)[1]
    gone.unlink()
    with pytest.raises(ValueError, match=gone.name):
        load_wan_transformer(folder, CONFIG)


def test_a_truncated_shard_is_named(folder):
    cut = _shards(folder)[1]
    cut.write_bytes(cut.read_bytes()[:-100])
    with pytest.raises(ValueError, match=cut.name):
        load_wan_transformer(folder, CONFIG)


def test_a_tensor_of_another_shape_is_named_with_its_file(folder):
    shard = _shards(folder)[0]
    tensors = load_file(shard)
    name = sorted(tensors)[0]
    tensors[name] = torch.zeros(3, 5)
    save_file(tensors, shard)
    with pytest.raises(ValueError, match=rf"{shard.name}: {name} has shape \[3, 5\]"):
        load_wan_transformer(folder, CONFIG)


def test_a_foreign_tensor_is_named_with_its_file(folder):
    shard = _shards(folder)[0]
    save_file(load_file(shard) | {"blocks.0.foreign": torch.zeros(1)}, shard)
    with pytest.raises(ValueError, match=rf"{shard.name}: blocks\.0\.foreign is not a tensor"):
        load_wan_transformer(folder, CONFIG)


def test_shards_that_lack_a_tensor_are_refused(folder):
    shard = _shards(folder)[0]
    tensors = load_file(shard)
    lost = sorted(tensors)[0]
    del tensors[lost]
    save_file(tensors, shard)
    with pytest.raises(ValueError, match=f"lack 1 tensors, the first is {lost}"):
        load_wan_transformer(folder, CONFIG)


def test_a_config_of_another_size_is_refused(folder):
    other = replace(CONFIG, joint_denoiser=replace(CONFIG.joint_denoiser, layers=3))
    with pytest.raises(ValueError, match=r"config\.json: num_layers is 2, the model's config says 3"):
        load_wan_transformer(folder, other)


def test_an_index_without_a_weight_map_is_refused(folder):
    (folder / INDEX_FILE).write_text(json.dumps({}))
    with pytest.raises(ValueError, match="has no weight_map"):
        load_wan_transformer(folder, CONFIG)
