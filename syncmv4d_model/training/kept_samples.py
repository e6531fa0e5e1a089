"""What the sampler made at the start of a stage, on the disk: a run that goes on reads it instead of sampling again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from syncmv4d_model.data.atomic import atomic_file
from syncmv4d_model.diffusion.closed_loop import AlignerInput
from syncmv4d_model.training.time_limit import TimeLimit
from syncmv4d_model.types import CoarseTracks

Inputs = tuple[AlignerInput, ...]


@dataclass(frozen=True)
class KeptSamples:
    """One file per sequence, to the bit; the folder belongs to the weights that its stage began with."""

    folder: Path
    limit: TimeLimit
    device: str = "cpu"

    def tensors(self, index: int, count: int, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """What is kept for sequence `index` of `count`, made now if nothing is. OutOfTime before anything is made."""
        path = self.folder / f"{index:06d}.safetensors"
        if path.exists():
            return load_file(path, device=self.device)
        self.limit.check(f"{self.folder.name}: {index} of {count} sequences sampled")
        made = make()
        with atomic_file(path) as partial:
            save_file({name: value.contiguous().cpu() for name, value in made.items()}, partial)
        return made

    def inputs(self, index: int, count: int, make: Callable[[], Inputs]) -> Inputs:
        """As `tensors`, of what the aligner was given."""
        return _inputs(self.tensors(index, count, lambda: _tensors(make())))


def _tensors(inputs: Inputs) -> dict[str, Tensor]:
    return {
        "tracks": torch.stack([step.tracks for step in inputs]),
        "points_world": torch.stack([step.coarse.points_world for step in inputs]),
        "valid": torch.stack([step.coarse.valid for step in inputs]),
        "t": torch.stack([step.t for step in inputs]),
    }


def _inputs(tensors: dict[str, Tensor]) -> Inputs:
    steps = zip(*(tensors[name] for name in ("tracks", "points_world", "valid", "t")), strict=True)
    return tuple(AlignerInput(tracks, CoarseTracks(points, valid), t) for tracks, points, valid, t in steps)
