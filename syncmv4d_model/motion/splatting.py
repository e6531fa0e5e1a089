"""Drawing points as z-buffered squares (paper, section 2: "z-buffered square splats, nearest wins").

Where squares of one surface overlap, plain depth order would let the point nearest to the camera paint all of its
square, which shifts every identity by up to the square's radius. So a square recedes away from its centre, like a flat
cone: between neighbours on a surface the closer centre wins, between surfaces the nearer one.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float

from syncmv4d_model.motion.places import placed, places, taken
from syncmv4d_model.motion.projection import MIN_DEPTH_M

PIXELS_PER_PASS = 1 << 23
"""Frames are drawn in groups of about this many pixels, which bounds the memory of the depth buffer (8 bytes a pixel)."""


def splat(
    pixels: Float[torch.Tensor, "N K 2"],
    depth_m: Float[torch.Tensor, "N K"],
    values: Float[torch.Tensor, "N K C"],
    drawn: Bool[torch.Tensor, "N K"],
    *,
    height: int,
    width: int,
    splat_px: int,
    recede_m: Float[torch.Tensor, "N K"],
) -> Float[torch.Tensor, "N H W C"]:
    """Draw each drawn point as a `splat_px` square around its nearest pixel; the nearest point wins, background is 0.

    `recede_m` is the depth (m) that a square gains per pixel of distance from the projected point.
    Points behind the camera are not drawn; squares are cut at the image's edge. The result is differentiable with
    respect to `values`, not to the pixels. Equal depth: the lower index wins, so drawing is deterministic.
    Raises ValueError for an even or non-positive splat size, which has no centre pixel.
    """
    if splat_px < 1 or splat_px % 2 == 0:
        raise ValueError(f"splat_px must be odd and positive, got {splat_px}")
    group = max(1, PIXELS_PER_PASS // (height * width))
    drawn = drawn & (depth_m > MIN_DEPTH_M) & torch.isfinite(pixels).all(-1)
    passes = [values.new_zeros(0, height * width, values.shape[-1])]
    for start in range(0, len(pixels), group):
        part = slice(start, start + group)
        winner = _winners(
            pixels[part].detach(), depth_m[part].detach(), recede_m[part].detach(), drawn[part],
            height=height, width=width, radius=splat_px // 2,
        )  # fmt: skip
        passes.append(_paint(values[part], winner))
    return torch.cat(passes).unflatten(1, (height, width))


def _winners(
    pixels: torch.Tensor,
    depth_m: torch.Tensor,
    recede_m: torch.Tensor,
    drawn: torch.Tensor,
    *,
    height: int,
    width: int,
    radius: int,
) -> torch.Tensor:
    """Index of the nearest point at each pixel, -1 for background: [N, H*W]."""
    place = places(drawn)
    frame, point = place // drawn.shape[1], place % drawn.shape[1]
    exact = taken(pixels, place).clamp(-radius - 1, max(height, width) + radius)
    offset = torch.arange(-radius, radius + 1, device=pixels.device)
    column = torch.floor(exact[:, None, 0] + 0.5).long() + offset
    row = torch.floor(exact[:, None, 1] + 0.5).long() + offset
    away = torch.hypot((column - exact[:, :1])[:, None, :], (row - exact[:, 1:])[:, :, None])
    start, slope = (taken(metres[..., None], place)[..., None] for metres in (depth_m, recede_m))
    receded = start + slope * away
    # Positive floats order as their bits do, so one integer minimum finds the nearest depth and its point together.
    key = receded.float().contiguous().view(torch.int32).long() << 32 | point[:, None, None]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    beyond = len(pixels) * height * width  # one more pixel takes what falls outside
    target = torch.where(inside, (frame[:, None] * height + row)[:, :, None] * width + column[:, None, :], beyond)
    nothing = torch.iinfo(torch.int64).max
    buffer = torch.full((beyond + 1,), nothing, dtype=torch.int64, device=pixels.device)
    buffer = buffer.scatter_reduce_(0, target.flatten(), key.flatten(), "amin")[:beyond]
    winner = torch.where(buffer == nothing, -1, buffer & 0xFFFFFFFF)
    return winner.view(len(pixels), height * width)


def _paint(values: torch.Tensor, winner: torch.Tensor) -> torch.Tensor:
    painted = places(winner >= 0)
    frame = painted // winner.shape[1]
    rows = taken(values, frame * values.shape[1] + winner.flatten().index_select(0, painted))
    return placed(rows, painted, winner.shape)
