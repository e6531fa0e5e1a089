"""A Point Transformer V3 block for tracks: several views' points per frame, several frames per point (paper, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import nn

from syncmv4d_model.networks.submanifold_conv import SubmanifoldConv, VoxelGrid

MLP_RATIO = 2


@dataclass(frozen=True)
class PatchOrder:
    """How the N points of each of G frames are cut into patches of equal size along a curve."""

    gather: Int64[
        torch.Tensor, "S"
    ]  # row of [G * N] for every place in a patch; the last patch of a frame may be padded
    scatter: Int64[torch.Tensor, "P"]  # place of every row of [G * N]
    padding: Float[torch.Tensor, "R 1 1 L"] | None  # attention bias: -inf at padded places
    patch_points: int


def patch_order(order: Int64[torch.Tensor, "G N"], *, patch_points: int) -> PatchOrder:
    """Cut sorted frames into the fewest patches of at most `patch_points`, all of one size up to the padding."""
    groups, count = order.shape
    patches = math.ceil(count / patch_points)
    size = math.ceil(count / patches)
    rows = order + torch.arange(groups, device=order.device)[:, None] * count
    places = torch.arange(groups, device=order.device)[:, None] * (patches * size)
    places = places + torch.arange(count, device=order.device)
    scatter = torch.empty_like(rows.flatten()).scatter_(0, rows.flatten(), places.flatten())
    spare = patches * size - count
    if spare == 0:
        return PatchOrder(rows.flatten(), scatter, None, size)
    bias = torch.zeros(groups, patches * size, device=order.device)
    bias[:, count:] = -math.inf
    gather = torch.cat([rows, rows[:, -1:].expand(-1, spare)], dim=1)
    return PatchOrder(gather.flatten(), scatter, bias.view(groups * patches, 1, 1, size), size)


@dataclass(frozen=True)
class Surroundings:
    """What a block needs to know about where the points are; the same features may be shared by several blocks."""

    grid: VoxelGrid
    patches: PatchOrder
    coarse: Float[torch.Tensor, "B T S D"]  # embedded coarse points of all views of a frame, pooled along a curve


class Attention(nn.Module):
    """Multi-head attention; `inner` is the width of queries, keys and values together over the heads."""

    def __init__(self, width: int, heads: int, *, inner: int | None = None) -> None:
        super().__init__()
        inner = inner or width
        if inner % heads:
            raise ValueError(f"width must be a multiple of heads, got {inner} and {heads}")
        self.heads = heads
        self.query = nn.Linear(width, inner)
        self.key_value = nn.Linear(width, 2 * inner)
        self.out = nn.Linear(inner, width)

    def forward(
        self,
        queries: Float[torch.Tensor, "R L D"],
        keys: Float[torch.Tensor, "R S D"],
        *,
        bias: Float[torch.Tensor, "R 1 1 S"] | None = None,
    ) -> Float[torch.Tensor, "R L D"]:
        """Rows R attend apart from each other."""
        query = self._split(self.query(queries))
        key, value = (self._split(half) for half in self.key_value(keys).chunk(2, dim=-1))
        bias = None if bias is None else bias.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, features: torch.Tensor) -> torch.Tensor:
        return features.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Modulation(nn.Module):
    """Adaptive layer norm: shift, scale and gate of several layers from the timestep; zero at initialisation."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.linear = nn.Linear(width, 3 * layers * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, timestep: Float[torch.Tensor, "B D"]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """For every layer (1 + scale, shift, gate), each [B, 1, 1, D]."""
        parts = self.linear(F.silu(timestep))[:, None, None].chunk(3 * self.layers, dim=-1)
        return [(1 + parts[i], parts[i + 1], parts[i + 2]) for i in range(0, len(parts), 3)]


def modulated(features: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Layer norm without parameters of its own, then the timestep's scale and shift."""
    return torch.addcmul(shift, F.layer_norm(features, features.shape[-1:]), scale)


class PositionalConv(nn.Module):
    """Tells a point what lies around it: a submanifold convolution at half the width between two linear layers.

    The full width would be half of a block's time on a CPU.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = nn.Linear(width, width // 2)
        self.conv = SubmanifoldConv(width // 2, width // 2)
        self.widen = nn.Linear(width // 2, width)

    def forward(self, points: Float[torch.Tensor, "P D"], grid: VoxelGrid) -> Float[torch.Tensor, "P D"]:
        """Points in the order of the grid's."""
        return self.widen(self.conv(self.narrow(F.layer_norm(points, points.shape[-1:])), grid))


class PointTransformerBlock(nn.Module):
    """Positional convolution, patch attention over the points of all views of a frame, attention to the coarse points of
    that frame, attention over time per track, MLP. Pre-norm; each residual is gated by the timestep."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.position = PositionalConv(width)
        self.modulation = Modulation(width, 4)
        self.geometry = Attention(width, heads)
        self.coarse = Attention(width, heads)
        # Time attention is light: half the width.
        self.time = Attention(width, max(1, heads // 2), inner=width // 2)
        self.mlp = nn.Sequential(nn.Linear(width, MLP_RATIO * width), nn.SiLU(), nn.Linear(MLP_RATIO * width, width))

    def forward(
        self, points: Float[torch.Tensor, "B T N D"], timestep: Float[torch.Tensor, "B D"], *, around: Surroundings
    ) -> Float[torch.Tensor, "B T N D"]:
        """N = points of all views of a frame."""
        geometry, coarse, time, mlp = self.modulation(timestep)
        points = points + self.position(points.flatten(0, 2), around.grid).view(points.shape)
        points = torch.addcmul(points, geometry[2], self._within_patches(modulated(points, *geometry[:2]), around))
        mixed = self.coarse(modulated(points, *coarse[:2]).flatten(0, 1), around.coarse.flatten(0, 1))
        points = torch.addcmul(points, coarse[2], mixed.view(points.shape))
        points = torch.addcmul(points, time[2], self._over_time(modulated(points, *time[:2])))
        return torch.addcmul(points, mlp[2], self.mlp(modulated(points, *mlp[:2])))

    def _within_patches(self, points: torch.Tensor, around: Surroundings) -> torch.Tensor:
        order = around.patches
        rows = points.flatten(0, 2).index_select(0, order.gather).unflatten(0, (-1, order.patch_points))
        mixed = self.geometry(rows, rows, bias=order.padding).flatten(0, 1)
        return mixed.index_select(0, order.scatter).view(points.shape)

    def _over_time(self, points: torch.Tensor) -> torch.Tensor:
        tracks = points.transpose(1, 2).flatten(0, 1)
        return self.time(tracks, tracks).unflatten(0, (points.shape[0], -1)).transpose(1, 2)
