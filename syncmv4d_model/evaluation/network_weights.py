"""Where the weights of the appearance scores' networks lie on this machine. Nothing here downloads: what is missing is named,
with the command that fetches it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""Either of them is a model's, in the order in which transformers looks."""


class MissingWeights(ValueError):
    """Weights that are not on this machine; says which, and how to get them."""


@dataclass(frozen=True)
class Weights:
    """Weights that were found."""

    path: Path
    identity: str  # what a report calls them: name@commit of the hub, or name@digest


@dataclass(frozen=True)
class PublishedFile:
    """One file of weights that its authors offer for download."""

    name: str
    url: str
    digest: str = ""  # its sha256 begins with it

    @property
    def path(self) -> Path:
        """Where torch.hub keeps it."""
        import torch

        return Path(torch.hub.get_dir()) / "checkpoints" / self.name

    @property
    def command(self) -> str:
        """Fetches it."""
        return f"curl -fL --create-dirs -o {self.path} {self.url}"


def find_folder(source: str, *, model_type: tuple[str, ...]) -> Weights:
    """A transformers model: a folder, or an id in the local hub cache. MissingWeights; ValueError for another type of model."""
    folder, commit = Path(source).expanduser(), ""
    if not folder.is_dir():
        folder = _cached_snapshot(source)
        commit = folder.name
    config = folder / "config.json"
    weights = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    for name, found in (("config.json", config.is_file()), (" or ".join(WEIGHT_FILES), bool(weights))):
        if not found:
            fetch = f"; fetch it with: hf download {source}" if commit else ""
            raise MissingWeights(f"{folder} has no {name}{fetch}")
    found_type = _model_type(config)
    if found_type not in model_type:
        raise ValueError(f"{source} is a model of type {found_type}, this score takes {' or '.join(model_type)}")
    return Weights(
        folder, f"{source}@{commit[:16]}" if commit else f"{folder.resolve().name}@{digest(weights[0])[:16]}"
    )


def find_file(source: str | None, published: PublishedFile) -> Weights:
    """One file of weights: a local path, or (None) the published file where torch.hub keeps it.

    MissingWeights; ValueError where the published file is not what its authors published.
    """
    path = published.path if source is None else Path(source).expanduser()
    if not path.is_file():
        raise MissingWeights(f"{path} is not there; fetch it with: {published.command}")
    found = digest(path)
    if source is None and not found.startswith(published.digest):
        raise ValueError(
            f"{path} is broken: its sha256 is {found[:16]}..., not {published.digest}...; again: {published.command}"
        )
    return Weights(path, f"{path.name}@{found[:16]}")


def read_tensors(path: Path) -> dict[str, Any]:
    """The named tensors of a .safetensors, or of a file of torch.save (read with weights_only=True: nothing in it is run).

    ValueError naming a file that is neither, or holds more than tensors.
    """
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path} holds no weights that can be read safely: {str(error).splitlines()[0]}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path} holds something else than named tensors")
    return state


def digest(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    running = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            running.update(block)
    return running.hexdigest()


def _cached_snapshot(source: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise MissingWeights(f"there is no folder {source}")
    try:
        return Path(snapshot_download(source, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        raise MissingWeights(
            f"{source} is neither a folder nor in the local hub cache; fetch it with: hf download {source}"
        ) from error


def _model_type(config: Path) -> str:
    import json

    try:
        return str(json.loads(config.read_text(encoding="utf-8")).get("model_type"))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{config} is no model's configuration: {error}") from error
