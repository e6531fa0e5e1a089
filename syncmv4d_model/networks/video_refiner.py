"""Mends decoded video frames with the first image; an addition to the paper, for the light codec alone.

The light codec cuts pictures into blocks, whose edges show, and spends most of its latent on a background that the first image
shows already. This network sees the decoded frames and the first image, and may copy from it.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from syncmv4d_model.config import CodecConfig

CELL = 4
"""Pixels a side that make one place of the network."""

GROUPS = 8

CONTRAST = 4.0
"""Of differences to the first image, which are small beside colours."""

BLOCKS = 3


class ResidualBlock(nn.Module):
    """x + conv(silu(conv(silu(norm(x))))), the last convolution zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, width)
        self.first, self.last = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Float[Tensor, "N D h w"]) -> Float[Tensor, "N D h w"]:
        return features + self.last(functional.silu(self.first(functional.silu(self.norm(features)))))


class VideoRefiner(nn.Module):
    """Adds to every pixel of a decoded video, after it has been mixed with the first image's by a share of its own. Untrained it
    changes nothing.

    Frames are worked on in the codec's groups, each with the frames next to it.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        width, group = config.refiner_width, config.temporal_stride
        self.group = group
        self.enter = nn.Conv2d((2 * group + 3) * 3 * CELL**2, width, 1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(BLOCKS)))
        self.norm = nn.GroupNorm(GROUPS, width)
        self.leave = nn.Conv2d(width, group * 4 * CELL**2, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, video: Float[Tensor, "N T H W 3"], first: Float[Tensor, "N H W 3"]) -> Float[Tensor, "N T H W 3"]:
        """Videos and first images in [-1, 1]; frame 0 becomes the first image."""
        groups = video[:, 1:].unflatten(1, (-1, self.group))
        before = torch.cat([first[:, None], groups[:, :-1, -1]], dim=1)
        after = torch.cat([groups[:, 1:, 0], groups[:, -1:, -1]], dim=1)
        still = first[:, None].expand_as(before)
        change = CONTRAST * (torch.cat([groups, torch.stack([before, after], dim=2)], dim=2) - still[:, :, None])
        seen = torch.cat([change, change[:, :, : self.group].abs(), still[:, :, None]], dim=2)
        hidden = self.blocks(self.enter(rearrange(seen, "n g t (h p) (w q) c -> (n g) (t p q c) h w", p=CELL, q=CELL)))
        answer = rearrange(
            self.leave(functional.silu(self.norm(hidden))).float(),
            "(n g) (t p q c) h w -> n g t (h p) (w q) c",
            n=len(video),
            p=CELL,
            q=CELL,
            c=4,
        )
        mended = groups + answer[..., :3] + answer[..., 3:] * (still[:, :, None] - groups)
        return torch.cat([first[:, None], mended.flatten(1, 2)], dim=1).clamp(-1, 1)
