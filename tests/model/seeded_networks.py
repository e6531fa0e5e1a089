"""Weights that every program can make again, so that the answers of the authors' own code to them can be kept as oracles."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


def seeded(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """In the order of their names: norms' variances near 1, biases small, the rest as a network starts."""
    rng, state = np.random.default_rng(0), {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith("running_var"):
            values = 0.5 + rng.random(shape)
        else:
            scale = 0.1 if len(shape) < 2 else (2 / np.prod(shape[1:])) ** 0.5
            values = scale * rng.standard_normal(shape)
        state[name] = torch.from_numpy(values).float()
    return state


def fill(network: nn.Module) -> nn.Module:
    """Give a network the seeded weights."""
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items() if value.is_floating_point()}
    network.load_state_dict(network.state_dict() | seeded(shapes))
    return network.eval()


def moved_noise() -> Tensor:
    """[2 3 128 136] in [-1, 1]: noise, and the same moved by 3 rows and 5 columns."""
    first = np.random.default_rng(1).random((3, 128, 136)) * 2 - 1
    return torch.from_numpy(np.stack([first, np.roll(first, (3, 5), (1, 2))])).float()


def gim_checkpoint() -> dict[str, Tensor]:
    """GIM's LightGlue in the names and shapes of its file, sure of what it sees."""
    convolutions = {"1a": (1, 64), "1b": (64, 64), "2a": (64, 64), "2b": (64, 64), "3a": (64, 128), "3b": (128, 128)}
    convolutions |= {"4a": (128, 128), "4b": (128, 128), "Pa": (128, 256), "Da": (128, 256)}
    sizes = {f"superpoint.conv{name}": (outside, inside, 3, 3) for name, (inside, outside) in convolutions.items()}
    sizes |= {"superpoint.convPb": (65, 256, 1, 1), "superpoint.convDb": (256, 256, 1, 1)}
    for layer in range(9):
        block = f"model.transformers.{layer}"
        sizes[f"{block}.self_attn.Wqkv"] = (768, 256)
        for name in ("self_attn.out_proj", "cross_attn.to_qk", "cross_attn.to_v", "cross_attn.to_out"):
            sizes[f"{block}.{name}"] = (256, 256)
        for kind in ("self", "cross"):
            sizes |= {f"{block}.{kind}_attn.ffn.0": (512, 512), f"{block}.{kind}_attn.ffn.3": (256, 512)}
        sizes[f"model.log_assignment.{layer}.final_proj"] = (256, 256)
        sizes[f"model.log_assignment.{layer}.matchability"] = (1, 256)
        if layer < 8:
            sizes[f"model.token_confidence.{layer}.token.0"] = (1, 256)
    shapes = {f"{name}.weight": size for name, size in sizes.items()}
    shapes |= {f"{name}.bias": size[:1] for name, size in sizes.items()}
    shapes["model.posenc.Wr.weight"] = (32, 2)
    for layer in range(9):
        for kind in ("self", "cross"):
            norm = f"model.transformers.{layer}.{kind}_attn.ffn.1"
            shapes |= {f"{norm}.weight": (512,), f"{norm}.bias": (512,)}
    state = seeded(shapes)
    for layer in range(9):
        for kind in ("self", "cross"):
            state[f"model.transformers.{layer}.{kind}_attn.ffn.3.weight"] *= 0.01
        state[f"model.log_assignment.{layer}.final_proj.weight"] *= 30
        state[f"model.log_assignment.{layer}.matchability.bias"] += 3
    return state


def two_views() -> Tensor:
    """[2 3 64 72] in [0, 1], grey: noise, and the same a little noisier."""
    rng = np.random.default_rng(2)
    first = rng.random((64, 72))
    second = np.clip(first + 0.005 * rng.standard_normal(first.shape), 0, 1)
    return torch.from_numpy(np.stack([first, second])).float()[:, None].expand(-1, 3, -1, -1)
