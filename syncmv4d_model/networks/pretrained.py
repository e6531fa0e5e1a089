"""Wan 2.2's published transformer as the start of a joint denoiser."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.networks.initialisation import init_from_wan, is_added
from syncmv4d_model.networks.joint_denoiser import JointDenoiser

WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
INDEX_FILE = WEIGHTS_FILE + ".index.json"
KEPT_IN_FLOAT32 = ("time_embedder", "scale_shift_table", "norm1", "norm2", "norm3")
"""Parts that diffusers keeps in float32 when the rest is cast down."""


def load_wan_transformer(
    directory: Path, config: ModelConfig, *, dtype: torch.dtype = torch.bfloat16, device: str = "cpu"
) -> JointDenoiser:
    """A joint denoiser whose base is the transformer in a diffusers folder (config.json and safetensors shards), and
    whose added parameters have their initial values (init_from_wan).

    One shard is in memory twice at a time. Raises ValueError naming the file that is missing, unreadable, foreign, or
    contradicts the config.
    """
    _check_config(directory / "config.json", config)
    with init_empty_weights(include_buffers=False):
        model = JointDenoiser(config)
    for file in _shards(directory):
        _load_shard(model, file, dtype=dtype, device=device)
    _materialise_added(model, directory, dtype=dtype, device=device)
    init_from_wan(model)
    return model.to(device)


def _check_config(file: Path, config: ModelConfig) -> None:
    """Compare every field that the two configurations share."""
    found = _read_json(file)
    options = config.joint_denoiser
    expected = {
        "num_layers": options.layers,
        "num_attention_heads": options.heads,
        "attention_head_dim": options.head_dim,
        "ffn_dim": options.ffn_dim,
        "freq_dim": options.freq_dim,
        "patch_size": list(options.patch_size),
        "in_channels": config.codec.video_channels,
        "out_channels": config.codec.video_channels,
        "text_dim": config.text.width,
        "qk_norm": options.qk_norm,
        "cross_attn_norm": options.cross_attn_norm,
        "eps": options.eps,
    }
    for name, value in expected.items():
        if found.get(name) != value:
            raise ValueError(f"{file}: {name} is {found.get(name)}, the model's config says {value}")


def _shards(directory: Path) -> list[Path]:
    index = directory / INDEX_FILE
    if not index.is_file():
        return [directory / WEIGHTS_FILE]
    weight_map = _read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise ValueError(f"{index} has no weight_map")
    return [directory / name for name in sorted(set(weight_map.values()))]


def _read_json(file: Path) -> dict:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} is not readable: {error}") from error


def _load_shard(model: JointDenoiser, file: Path, *, dtype: torch.dtype, device: str) -> None:
    parameters = dict(model.named_parameters())
    tensors: dict[str, Tensor] = {}
    try:
        with safe_open(file, framework="pt", device=device) as shard:
            for name in shard.keys():  # noqa: SIM118 - not a mapping
                _check_tensor(file, name, shard.get_slice(name).get_shape(), parameters)
                tensors[name] = shard.get_tensor(name).to(_dtype_of(name, dtype))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file} is missing or not a readable safetensors file: {error}") from error
    model.load_state_dict(tensors, strict=False, assign=True)


def _check_tensor(file: Path, name: str, shape: list[int], parameters: dict[str, nn.Parameter]) -> None:
    if name not in parameters or is_added(name):
        raise ValueError(f"{file}: {name} is not a tensor of Wan's transformer")
    if list(shape) != list(parameters[name].shape):
        raise ValueError(f"{file}: {name} has shape {list(shape)}, the model's is {list(parameters[name].shape)}")


def _materialise_added(model: JointDenoiser, directory: Path, *, dtype: torch.dtype, device: str) -> None:
    """Give storage to what the shards could not fill, which must be exactly the added parameters."""
    empty = {name: parameter for name, parameter in model.named_parameters() if parameter.is_meta}
    missing = sorted(name for name in empty if not is_added(name))
    if missing:
        raise ValueError(f"{directory}: its files lack {len(missing)} tensors, the first is {missing[0]}")
    # NaN, so that a parameter which initialisation forgets cannot pass for a value.
    storage = {
        name: torch.full(parameter.shape, torch.nan, dtype=_dtype_of(name, dtype), device=device)
        for name, parameter in empty.items()
    }
    model.load_state_dict(storage, strict=False, assign=True)


def _dtype_of(name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if any(part in KEPT_IN_FLOAT32 for part in _family(name)) else dtype


def _family(name: str) -> list[str]:
    """Parts of a parameter's name, with motion's own tables under the name of what they copy."""
    return [part.removeprefix("motion_") for part in name.split(".")]
