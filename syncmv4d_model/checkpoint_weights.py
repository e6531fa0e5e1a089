"""The weight files of a checkpoint's part: safetensors, whole or in shards; what is wrong is named before it is used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn


def save_part(part: nn.Module, folder: Path, *, dtype: torch.dtype, shown: Path) -> None:
    """Write a part's weights to a new folder, floats as `dtype`.

    ValueError, naming the folder `shown`, if a weight is not finite or does not fit `dtype`.
    """
    folder.mkdir()
    stored: dict[str, Any] = {
        key: value.to(dtype) if value.is_floating_point() else value for key, value in part.state_dict().items()
    }
    check_finite(stored, shown)
    save_torch_state_dict(stored, folder, filename_pattern="model{suffix}.safetensors", max_shard_size="15MB")


def check_layers(folder: Path, layers: int) -> None:
    """ValueError for more blocks than stored tensors, before anything is built from that number."""
    stored = len(_stored_shapes(folder))
    if layers > stored:
        raise ValueError(f"{folder}: the configuration has {layers} blocks, the weights only {stored} tensors")


def check_shapes(part: nn.Module, folder: Path) -> None:
    """ValueError naming the first weight that is missing or of another shape; a tied one is stored under one name only."""
    expected, stored = part.state_dict(keep_vars=True), _stored_shapes(folder)
    tied = {id(expected[key]) for key in stored if key in expected}
    for key, value in expected.items():
        found = stored.get(key, tuple(value.shape) if id(value) in tied else "nothing")
        if found != tuple(value.shape):
            raise ValueError(f"{folder}: {key} should have shape {tuple(value.shape)}, found {found}")


def _stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for path in _weight_files(folder):
        with _opened(path) as shard:
            shapes.update({key: tuple(shard.get_slice(key).get_shape()) for key in shard.keys()})  # noqa: SIM118
    return shapes


def _weight_files(folder: Path) -> list[Path]:
    """model.safetensors, or the shards that its index names; ValueError for a file there that belongs to neither."""
    index, names = folder / "model.safetensors.index.json", {"model.safetensors"}
    if index.is_file():
        try:
            names = set(json.loads(index.read_text())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{index} is not an index of weights: {error!r}") from error
    found = {path.name for path in folder.glob("*.safetensors") if path.is_file()}
    if missing := sorted(map(str, names - found)):
        raise FileNotFoundError(f"checkpoint lacks weights in {folder}: no {missing[0]}")
    if found - names:
        raise ValueError(f"{folder} holds weights of two checkpoints: {min(found - names)} beside {min(names)}")
    return [folder / name for name in sorted(names)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as shard:
            yield shard
    except SafetensorError as error:
        raise ValueError(f"{path} is truncated or not safetensors: {error}") from error


def load_part(part: nn.Module, folder: Path) -> None:
    """Fill a part from files whose shapes `check_shapes` has found right. ValueError for a weight that is not finite."""
    expected = part.state_dict()
    found: dict[str, Tensor] = {}
    for path in _weight_files(folder):
        with _opened(path) as shard:
            found.update({key: shard.get_tensor(key) for key in shard.keys() if key in expected})  # noqa: SIM118
    stored_once = {expected[key].data_ptr(): key for key in found if expected[key].numel()}
    for key, value in expected.items():  # tied parameters are stored under one of their names
        if key not in found:
            found[key] = found[stored_once[value.data_ptr()]]
    check_finite(found, folder)
    part.load_state_dict({key: found[key].to(value.dtype) for key, value in expected.items()})


def check_finite(state: dict[str, Tensor], where: Path) -> None:
    """ValueError naming the first weight that holds a number that is not finite."""
    for key, value in state.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            raise ValueError(f"{where}: {key} holds {count} numbers that are not finite")
