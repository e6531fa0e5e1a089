"""The finder on disk, alone or in a checkpoint: read without the other parts, put in without touching them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from syncmv4d_model.checkpoint_index import FINDER, read_index
from syncmv4d_model.config import NANO, FinderConfig, from_dict, to_dict
from syncmv4d_model.config_json import build
from syncmv4d_model.data.atomic import atomic_directory, restore
from syncmv4d_model.data.window import FoundObjects

if TYPE_CHECKING:
    from syncmv4d_model.networks.finder import Finder

CONFIG_FILE = "config.json"
"""Of a finder that stands alone; in a checkpoint model_index.json holds its configuration."""


def save_finder(folder: Path, finder: Finder) -> None:
    """Write a finder that stands alone, whole or not at all; floats as float16.

    ValueError, and nothing is written, if a weight is not finite or does not fit float16.
    """
    with atomic_directory(folder) as partial:
        _write_parts(partial / FINDER, finder, shown=folder)
        for file in (partial / FINDER).iterdir():
            file.rename(partial / file.name)
        (partial / FINDER).rmdir()
        (partial / CONFIG_FILE).write_text(json.dumps(asdict(finder.config), indent=1) + "\n")


def add_finder(checkpoint: Path, finder: Finder) -> None:
    """Put a finder into a checkpoint folder, in an older one's place; the other parts keep their bytes.

    FileNotFoundError or ValueError for a folder that is no checkpoint; ValueError as `save_finder`.
    """
    index = read_index(checkpoint)
    config = replace(from_dict(index["config"]), finder=finder.config)
    with atomic_directory(checkpoint) as partial:
        shutil.copytree(checkpoint, partial, dirs_exist_ok=True, ignore=_leave_out_of(checkpoint))
        _write_parts(partial / FINDER, finder, shown=checkpoint / FINDER)
        (partial / "model_index.json").write_text(json.dumps(index | {"config": to_dict(config)}, indent=1) + "\n")


def load_finder(path: Path) -> Finder:
    """The finder of a checkpoint, or one that stands alone, without any other part.

    FileNotFoundError where neither is; ValueError for a checkpoint without a finder, and for files that are
    truncated, of other shapes or not finite.
    """
    import torch

    from syncmv4d_model.checkpoint_weights import check_shapes, load_part
    from syncmv4d_model.networks.finder import Finder
    from syncmv4d_model.networks.text import TaskTokenizer

    folder, config = _locate(path)
    tokenizer = TaskTokenizer.load(folder)
    with torch.device("meta"):  # shapes alone: a foreign configuration may ask for more memory than there is
        check_shapes(Finder(config, tokenizer), folder)
    finder = Finder(config, tokenizer)
    load_part(finder, folder)
    return finder.eval()


@dataclass
class CheckpointFinder:
    """An ObjectFinder (data/window.py) that can be sent to other processes: each loads the weights at its first call.

    `path` as for `load_finder`. It computes on one thread, for a data set is built by one process per core.
    """

    path: Path
    _finder: Finder | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def identity(self) -> str:
        """Digest of weights, words and configuration, for a record of what chose a data set's windows; errors as `load_finder`."""
        folder, config = _locate(self.path)
        digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
        for file in sorted(file for file in folder.iterdir() if file.name != CONFIG_FILE):
            digest.update(file.name.encode() + file.read_bytes())
        return f"finder@{digest.hexdigest()[:16]}"

    def __call__(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], task: str) -> FoundObjects:
        """Where the task's objects are; errors as `load_finder`."""
        import torch

        if self._finder is None:
            torch.set_num_threads(1)
            self._finder = load_finder(self.path)
        return self._finder.find_task(images, task)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_finder": None}


def _locate(path: Path) -> tuple[Path, FinderConfig]:
    """(folder of the weights, configuration)."""
    restore(path)
    alone = path / CONFIG_FILE
    if not alone.is_file():
        config = from_dict(read_index(path)["config"])
        if not config.has_finder:
            raise ValueError(f"{path} has no finder: train one with `syncmv4d train finder`")
        return path / FINDER, config.finder
    try:
        config = build(FinderConfig, json.loads(alone.read_text()), "finder")
        from_dict(to_dict(replace(NANO, finder=config)))  # which checks the ranges
        return path, config
    except RecursionError as error:
        raise ValueError(f"{alone} is not JSON: {error}") from error
    except ValueError as error:
        raise ValueError(f"{alone} is no finder's configuration: {error}") from error


def _write_parts(folder: Path, finder: Finder, *, shown: Path) -> None:
    import torch

    from syncmv4d_model.checkpoint_weights import save_part

    save_part(finder, folder, dtype=torch.float16, shown=shown)
    finder.tokenizer.save(folder)


def _leave_out_of(checkpoint: Path):
    """For shutil.copytree: the older finder stays behind."""
    return lambda folder, names: [FINDER] if Path(folder) == checkpoint and FINDER in names else []
