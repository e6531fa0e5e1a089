"""Tools and targets are rigid: the motion that fits all of a body's points, of all views, in place of each point's own.

An addition to the paper. A hundred points of a body that jitter by centimetres know its motion far better than each of them.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

MIN_POINTS = 6
"""Of a body; fewer are left as they are."""

ROUNDS = 3
SOFTNESS = 0.04
"""Normalised units (1 cm): points further than that from the body's motion count less in the next round."""


def moved_rigidly(
    tracks: Float[Tensor, "B V T K 3"], member: Bool[Tensor, "B L V K"], *, share: float
) -> Float[Tensor, "B V T K 3"]:
    """Tracks whose points of each of L bodies lie nearer by `share` to where one rigid motion from frame 0 takes them.

    Rotations by singular value decomposition, without reflection (Kabsch 1976), reweighted by each point's mean distance. Points
    of no body, those of a body with fewer than MIN_POINTS, and those of a scene that is not finite stay as they are.
    """
    points = rearrange(tracks, "b v t k c -> b t (v k) c").float()
    finite = (
        torch.isfinite(points).flatten(1).all(1)[:, None, None, None]
    )  # the others are refused where a result is made
    points = points.where(finite, 0.0)
    members = rearrange(member, "b l v k -> b l (v k)")
    members = (members & (members.sum(-1, keepdim=True) >= MIN_POINTS)).float()
    weight = members
    for _ in range(ROUNDS):
        rigid = _fitted(points, weight)
        distance = (rigid - points[:, None]).norm(dim=-1).mean(2)
        weight = members / (distance.square() + SOFTNESS**2)
    moved = points + share * (members[:, :, None, :, None] * (rigid - points[:, None])).sum(1)
    moved = rearrange(moved.to(tracks.dtype), "b t (v k) c -> b v t k c", v=tracks.shape[1])
    return moved.where(finite[..., None], tracks)


def _fitted(points: Float[Tensor, "B T P 3"], weight: Float[Tensor, "B L P"]) -> Float[Tensor, "B L T P 3"]:
    """Every point of frame 0, moved as each body's weighted points moved."""
    weight = weight / weight.sum(-1, keepdim=True).clamp_min(1e-9)
    centre = torch.einsum("blp,btpc->bltc", weight, points)
    offset = points[:, None] - centre[:, :, :, None]  # [B L T P 3]
    spread = torch.einsum("blp,blpi,bltpj->bltij", weight, offset[:, :, 0], offset)
    left, _, right = torch.linalg.svd(spread)
    sign = torch.det(left @ right)[..., None]
    left = torch.cat([left[..., :2], left[..., 2:] * sign[..., None]], dim=-1)
    return offset[:, :, :1] @ (left @ right) + centre[:, :, :, None]
