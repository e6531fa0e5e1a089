"""An exact re-parametrisation of the pseudo video that a linear code loses little of.

An absolute identity jumps at every edge; relative to the pixel that carries it, it is the displacement since the first
frame, which is small and smooth. A pixel holds alpha * (u_0 - u, v_0 - v, depth) and alpha, where alpha is its share of
foreground, so that edges blend with nothing instead of with black.
"""

from __future__ import annotations

import torch
from jaxtyping import Float

from syncmv4d_model.config import MotionConfig
from syncmv4d_model.motion.pseudo_video import foreground, without_floor

OFFSET_PX = 16.0
"""Pixels of displacement per unit of a channel."""

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
    return torch.cat([offset * alpha, values[..., 2:] * alpha, alpha], dim=-1)


def from_motion_channels(
    channels: Float[torch.Tensor, "N T H W 4"], motion: MotionConfig
) -> Float[torch.Tensor, "N T H W 3"]:
    """The pseudo video in [0, 1]; background, where alpha is at most a half, is exactly 0."""
    alpha = channels[..., 3:]
    pixel, size = _pixel_grid(channels)
    values = channels[..., :3] / alpha.clamp(min=ALPHA_FOREGROUND)
    identity = (values[..., :2] * OFFSET_PX + pixel + 0.5) / size
    plain = torch.cat([identity, values[..., 2:]], dim=-1).clamp(0, 1)
    drawn = motion.foreground_floor + (1 - motion.foreground_floor) * plain
    return torch.where(alpha > ALPHA_FOREGROUND, drawn, 0)


def _pixel_grid(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Every pixel's (u, v) [H W 2] and the image size (W, H)."""
    height, width = frames.shape[2:4]
    column = torch.arange(width, device=frames.device, dtype=frames.dtype)
    row = torch.arange(height, device=frames.device, dtype=frames.dtype)
    pixel = torch.stack([column.expand(height, width), row[:, None].expand(height, width)], dim=-1)
    return pixel, torch.stack([frames.new_tensor(width), frames.new_tensor(height)])
