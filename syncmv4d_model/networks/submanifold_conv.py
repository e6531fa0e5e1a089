"""Submanifold 3x3x3 convolution on occupied voxels: one parameter, two executors (paper, section 4).

`torch` runs anywhere; `spconv` is for CUDA. Both compute out[p] = sum_k weight[:, k] in[p + k - 1] over occupied neighbours.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import nn

AXIS_BITS = 10
"""Bits of a voxel coordinate: a grid spans 1024 voxels per axis, a margin of one voxel included."""

Executor = Literal["auto", "torch", "spconv"]


@dataclass(frozen=True)
class VoxelGrid:
    """Occupied voxels of G separate clouds, sorted by (cloud, x, y, z), and the voxel of every point."""

    keys: Int64[torch.Tensor, "M"]
    voxel_of_point: Int64[torch.Tensor, "P"]
    points_per_voxel: Int64[torch.Tensor, "M"]
    num_groups: int
    spconv_pairs: dict[str, Any] = field(
        default_factory=dict
    )  # spconv's own neighbour lists, shared by all convolutions

    def pool(self, features: Float[torch.Tensor, "P C"]) -> Float[torch.Tensor, "M C"]:
        """Mean of the points that share a voxel."""
        sums = torch.zeros(len(self.keys), features.shape[1], device=features.device)
        sums.index_add_(0, self.voxel_of_point, features.float())
        return (sums / self.points_per_voxel[:, None]).to(features.dtype)

    def scatter(self, features: Float[torch.Tensor, "M C"]) -> Float[torch.Tensor, "P C"]:
        """Every point takes its voxel's value."""
        return features.index_select(0, self.voxel_of_point)

    @cached_property
    def coordinates(self) -> Int64[torch.Tensor, "M 4"]:
        """(group, x, y, z) of every voxel."""
        mask = (1 << AXIS_BITS) - 1
        x, y, z = (self.keys >> (AXIS_BITS * shift) & mask for shift in (2, 1, 0))
        return torch.stack([self.keys >> (3 * AXIS_BITS), x, y, z], dim=-1)

    @cached_property
    def pairs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each of the 13 offsets before the centre: (voxels, their neighbours at that offset)."""
        offsets = torch.arange(13, device=self.keys.device)
        x, y, z = offsets // 9 - 1, offsets // 3 % 3 - 1, offsets % 3 - 1
        wanted = self.keys + ((x << (2 * AXIS_BITS)) + (y << AXIS_BITS) + z)[:, None]
        found = torch.searchsorted(self.keys, wanted).clamp(max=len(self.keys) - 1)
        offset, voxel = (self.keys[found] == wanted).nonzero(as_tuple=True)
        sizes = offset.bincount(minlength=13).tolist()
        return list(zip(voxel.split(sizes), found[offset, voxel].split(sizes), strict=True))

    @cached_property
    def _spconv_indices(self) -> tuple[torch.Tensor, list[int]]:
        coordinates = self.coordinates.clone()
        coordinates[:, 1:] -= coordinates[:, 1:].amin(0)
        return coordinates.int().contiguous(), (coordinates[:, 1:].amax(0) + 1).tolist()


def voxelise(points: Float[torch.Tensor, "G N 3"], voxel: float) -> VoxelGrid:
    """Voxels of edge `voxel` around the origin. Clouds never touch: the group is part of the key.

    Points over 511 voxels from the origin go to the border voxel.
    """
    if voxel <= 0:
        raise ValueError(f"voxel must be positive, got {voxel}")
    half = 1 << (AXIS_BITS - 1)
    # One voxel of margin on either side, so that a neighbour's key never wraps into the next row or group.
    cells = (points.detach().float() / voxel).floor().clamp(1 - half, half - 2).long() + half
    group = torch.arange(len(points), device=points.device)[:, None]
    keys = ((group << AXIS_BITS | cells[..., 0]) << AXIS_BITS | cells[..., 1]) << AXIS_BITS | cells[..., 2]
    unique, inverse, counts = torch.unique(keys.flatten(), return_inverse=True, return_counts=True)
    return VoxelGrid(unique, inverse, counts, len(points))


class SubmanifoldConv(nn.Module):
    """3x3x3 convolution whose output lives on the input's voxels; points are pooled to voxels and scattered back.

    Weight layout is spconv's [out, 3, 3, 3, in]. `executor` "auto" takes spconv for CUDA tensors where it is installed and
    torch otherwise; "spconv" raises ImportError where it is missing.
    """

    def __init__(self, in_width: int, out_width: int, *, executor: Executor = "auto") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_width, 3, 3, 3, in_width))
        self.bias = nn.Parameter(torch.zeros(out_width))
        self.executor: Executor = executor
        # About nine of the 27 neighbours of a surface voxel are occupied.
        nn.init.normal_(self.weight, std=1 / math.sqrt(9 * in_width))

    def forward(self, points: Float[torch.Tensor, "P C"], grid: VoxelGrid) -> Float[torch.Tensor, "P D"]:
        """Point features -> point features."""
        return grid.scatter(self.convolve(grid.pool(points), grid))

    def convolve(self, voxels: Float[torch.Tensor, "M C"], grid: VoxelGrid) -> Float[torch.Tensor, "M D"]:
        """Voxel features -> voxel features."""
        if self._chosen(voxels) == "torch":
            return convolve_torch(voxels, self.weight, grid) + self.bias
        return convolve_spconv(voxels, self.weight, grid) + self.bias

    def _chosen(self, voxels: torch.Tensor) -> str:
        if self.executor != "auto":
            return self.executor
        return "spconv" if voxels.is_cuda and importlib.util.find_spec("spconv") else "torch"


def convolve_torch(
    voxels: Float[torch.Tensor, "M C"], weight: Float[torch.Tensor, "D 3 3 3 C"], grid: VoxelGrid
) -> Float[torch.Tensor, "M D"]:
    """Gather, multiply and add, offset by offset: memory stays at one offset's pairs, and sums are repeatable."""
    taps = weight.flatten(1, 3).permute(1, 2, 0)  # [27, C, D]
    out = voxels @ taps[13]
    for offset, (voxel, neighbour) in enumerate(grid.pairs):
        # An offset and its opposite share one list of pairs, read in the two directions.
        out.index_add_(0, voxel, voxels.index_select(0, neighbour) @ taps[offset])
        out.index_add_(0, neighbour, voxels.index_select(0, voxel) @ taps[26 - offset])
    return out


def convolve_spconv(
    voxels: Float[torch.Tensor, "M C"], weight: Float[torch.Tensor, "D 3 3 3 C"], grid: VoxelGrid
) -> Float[torch.Tensor, "M D"]:
    """The same by spconv, in single precision. No gradient on a CPU: spconv's backward asks for a CUDA stream.

    Raises ImportError without spconv, and ValueError for several CPU threads, where its results are wrong.
    """
    import spconv.pytorch as spconv

    if not voxels.is_cuda and torch.get_num_threads() > 1:
        raise ValueError(f"spconv is only right on one CPU thread, got {torch.get_num_threads()}")
    indices, shape = grid._spconv_indices
    with torch.autocast(voxels.device.type, enabled=False):
        sparse = spconv.SparseConvTensor(
            voxels.float().contiguous(), indices, shape, grid.num_groups, indice_dict=grid.spconv_pairs
        )
        result = _spconv_layer(spconv, weight)(sparse)
    grid.spconv_pairs.update(result.indice_dict)
    return result.features.to(voxels.dtype)


def _spconv_layer(spconv: Any, weight: torch.Tensor) -> nn.Module:
    """A bias-free layer (spconv's own bias fails in eval) that computes with our tensor."""
    with torch.device("meta"):
        layer = spconv.SubMConv3d(weight.shape[-1], weight.shape[0], 3, bias=False, indice_key="grid")
    del layer.weight
    layer.weight = weight
    return layer.train(torch.is_grad_enabled())
