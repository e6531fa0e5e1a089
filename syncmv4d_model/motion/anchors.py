"""Choosing the tracked points of a view: pixels of its first frame (paper, section 4, inference)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float


def stratified_anchors(
    mask: Bool[torch.Tensor, "B V H W"], count: int, *, seed: int
) -> tuple[Float[torch.Tensor, "B V K 2"], Bool[torch.Tensor, "B V K"]]:
    """`count` pixels (u, v) of each view's mask, spread evenly, and which of them repeat an earlier one.

    The mask's pixels are ordered along a Z curve and cut into `count` equal runs; one pixel is drawn from each. A
    mask with fewer than `count` pixels repeats some, flagged; an empty one falls back to the whole image, all flagged.
    The same mask and seed give the same anchors. Raises ValueError for a non-positive count.
    """
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    batch, views, height, width = mask.shape
    flat = mask.reshape(batch * views, height * width)
    empty = ~flat.any(-1, keepdim=True)
    flat = flat | empty
    order = _z_order(height, width).to(mask.device)
    member = flat[:, order].long()
    total = member.sum(-1, keepdim=True)
    jitter = torch.rand(batch * views, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    run = torch.arange(count + 1, device=mask.device) * total // count
    wanted = run[:, :-1] + (jitter.to(mask.device) * (run[:, 1:] - run[:, :-1])).long()
    place = torch.searchsorted(member.cumsum(-1), wanted + 1)
    pixel = order[place]
    duplicate = empty.expand(-1, count).clone()
    duplicate[:, 1:] |= wanted[:, 1:] == wanted[:, :-1]
    pixels = torch.stack([pixel % width, pixel // width], dim=-1).float()
    return pixels.unflatten(0, (batch, views)), duplicate.unflatten(0, (batch, views))


def point_colours(
    images: Float[torch.Tensor, "B V H W 3"], pixels: Float[torch.Tensor, "B V K 2"]
) -> Float[torch.Tensor, "B V K 3"]:
    """The images' values at the nearest pixel of each anchor (clamped to the image)."""
    height, width = images.shape[2:4]
    column = torch.floor(pixels[..., 0] + 0.5).long().clamp(0, width - 1)
    row = torch.floor(pixels[..., 1] + 0.5).long().clamp(0, height - 1)
    place = (row * width + column)[..., None].expand(*pixels.shape[:-1], 3)
    return torch.gather(images.flatten(2, 3), 2, place)


def _z_order(height: int, width: int) -> torch.Tensor:
    """Raster indices of an image's pixels, ordered along a Z (Morton) curve."""
    row = torch.arange(height).repeat_interleave(width)
    column = torch.arange(width).repeat(height)
    code = torch.zeros(height * width, dtype=torch.int64)
    for bit in range(max(height, width).bit_length()):
        code |= (column >> bit & 1) << 2 * bit | (row >> bit & 1) << 2 * bit + 1
    return torch.argsort(code)
