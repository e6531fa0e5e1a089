"""An exact re-parametrisation of the pseudo video that a linear code loses little of.

An absolute identity jumps at every edge; relative to the pixel that carries it, it is the displacement since the first
frame, which is small and smooth. A pixel holds alpha * (u_0 - u, v_0 - v, depth) and alpha, its share of foreground.
Inside a block the background then takes the block's mean foreground, so that silhouettes cost the code only alpha.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64

from syncmv4d_model.config import MotionConfig
from syncmv4d_model.motion.places import placed, places, taken
from syncmv4d_model.motion.pseudo_video import without_floor

OFFSET_PX = 8.0
"""Pixels of displacement per unit of a channel."""

DEPTH_WEIGHT = 3.0
"""A principal component pays for an error in depth, and in displacement, more than for one in the silhouette."""

ALPHA_FOREGROUND = 0.5
"""A decoded pixel is foreground above this share."""


def to_motion_channels(
    pseudo_video: Float[torch.Tensor, "N T H W 3"], motion: MotionConfig
) -> Float[torch.Tensor, "N T H W 4"]:
    """(alpha du, alpha dv, alpha depth, alpha) of a pseudo video in [0, 1]; what is not a number in a drawn pixel stays so."""
    # pseudo_video.foreground would take what is not a number for background
    background = pseudo_video <= motion.foreground_floor / 2
    drawn = ~(background[..., 0] | background[..., 1] | background[..., 2])
    place = places(drawn)
    scale, origin = _affine(pseudo_video, place)
    values = without_floor(taken(pseudo_video, place), motion)
    pixels = torch.cat([torch.addcmul(origin, values, scale), torch.ones_like(values[:, :1])], dim=-1)
    return placed(pixels, place, drawn.shape)


def with_background_filled(blocks: Float[torch.Tensor, "*n P"]) -> Float[torch.Tensor, "*n P"]:
    """Blocks of flattened motion channels whose background holds the block's mean (du, dv, depth); empty ones stay 0."""
    pixels = blocks.unflatten(-1, (-1, 4))
    total = pixels.sum(-2, keepdim=True)
    mean = total / total[..., 3:].clamp(min=1)
    mean[..., 3] = 0
    return (pixels + (1 - pixels[..., 3:]) * mean).flatten(-2)


def from_motion_channels(
    channels: Float[torch.Tensor, "N T H W 4"], motion: MotionConfig
) -> Float[torch.Tensor, "N T H W 3"]:
    """The pseudo video in [0, 1]; background, where alpha is at most a half, is exactly 0."""
    drawn = ~(channels[..., 3] <= ALPHA_FOREGROUND)
    place = places(drawn)
    scale, origin = _affine(channels, place)
    values = ((taken(channels, place)[:, :3] - origin) / scale).clamp(0, 1)
    pixels = motion.foreground_floor + (1 - motion.foreground_floor) * values
    return placed(pixels, place, drawn.shape)


def _affine(
    frames: Float[torch.Tensor, "N T H W C"], place: Int64[torch.Tensor, "M"]
) -> tuple[Float[torch.Tensor, "3"], Float[torch.Tensor, "M 3"]]:
    """(scale, origin) with channels = values * scale + origin, for values (u_0, v_0, depth) in [0, 1] of the pixels at
    these places of the flattened frames.
    """
    height, width = frames.shape[2:4]
    column = torch.arange(width, device=frames.device, dtype=frames.dtype).expand(height, width)
    row = torch.arange(height, device=frames.device, dtype=frames.dtype)[:, None].expand(height, width)
    origin = torch.stack([-(column + 0.5) / OFFSET_PX, -(row + 0.5) / OFFSET_PX, torch.zeros_like(column)], dim=-1)
    scale = frames.new_tensor([width / OFFSET_PX, height / OFFSET_PX, DEPTH_WEIGHT])
    return scale, origin.flatten(0, 1).index_select(0, place % (height * width))
