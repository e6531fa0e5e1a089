"""An exact re-parametrisation of the pseudo video that a linear code loses little of.

An absolute identity jumps at every edge; relative to the pixel that carries it, it is the displacement since the first
frame, which is small and smooth. A pixel holds alpha * (u_0 - u, v_0 - v, depth) and alpha, its share of foreground.
Inside a block the background then takes the block's mean foreground, so that silhouettes cost the code only alpha.
"""

from __future__ import annotations

import torch
from jaxtyping import Float

from syncmv4d_model.config import MotionConfig
from syncmv4d_model.motion.pseudo_video import foreground, without_floor

OFFSET_PX = 8.0
"""Pixels of displacement per unit of a channel."""

DEPTH_WEIGHT = 3.0
"""A principal component pays for an error in depth, and in displacement, more than for one in the silhouette."""

ALPHA_FOREGROUND = 0.5
"""A decoded pixel is foreground above this share."""


def to_motion_channels(
    pseudo_video: Float[torch.Tensor, "N T H W 3"], motion: MotionConfig
) -> Float[torch.Tensor, "N T H W 4"]:
    """(alpha du, alpha dv, alpha depth, alpha) of a pseudo video in [0, 1]."""
    alpha = foreground(pseudo_video, motion)[..., None].to(pseudo_video)
    values = without_floor(pseudo_video, motion)
    pixel, size = _pixel_grid(pseudo_video)
    offset = (values[..., :2] * size - 0.5 - pixel) / OFFSET_PX
    return torch.cat([offset * alpha, DEPTH_WEIGHT * values[..., 2:] * alpha, alpha], dim=-1)


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
    pixel, size = _pixel_grid(channels)
    identity = (channels[..., :2] * OFFSET_PX + pixel + 0.5) / size
    plain = torch.cat([identity, channels[..., 2:3] / DEPTH_WEIGHT], dim=-1).clamp(0, 1)
    drawn = motion.foreground_floor + (1 - motion.foreground_floor) * plain
    return torch.where(channels[..., 3:] > ALPHA_FOREGROUND, drawn, 0)


def _pixel_grid(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every pixel's (u, v) [H W 2] and the image size (W, H)."""
    height, width = frames.shape[2:4]
    column = torch.arange(width, device=frames.device, dtype=frames.dtype)
    row = torch.arange(height, device=frames.device, dtype=frames.dtype)
    pixel = torch.stack([column.expand(height, width), row[:, None].expand(height, width)], dim=-1)
    return pixel, torch.stack([frames.new_tensor(width), frames.new_tensor(height)])
