"""What the reference image shows around an anchor: a small convolutional pyramid, read at the anchor's pixel.

An addition to the paper, whose point aligner sees one colour per anchor: too little to tell a hand from the tool in it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import nn
from torch.nn import functional

CHANNELS = (16, 32, 48, 64)
"""Of the pyramid's levels; each halves the image once more."""


class AnchorFeatures(nn.Module):
    """Image features of every anchor, from its own view's reference image alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inputs = (3, *CHANNELS[:-1])
        self.levels = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1)
            for before, after in zip(inputs, CHANNELS, strict=True)
        )
        self.out = nn.Linear(sum(CHANNELS), width)

    def forward(
        self, images: Float[torch.Tensor, "B V H W 3"], pixels: Float[torch.Tensor, "B V K 2"]
    ) -> Float[torch.Tensor, "B V K D"]:
        """Features at `pixels`, given as fractions (u + 0.5) / W and (v + 0.5) / H of images in [-1, 1]."""
        level = images.flatten(0, 1).permute(0, 3, 1, 2)
        places = 2 * pixels.flatten(0, 1)[:, None] - 1  # [B*V 1 K 2], as grid_sample counts
        read = []
        for convolution in self.levels:
            level = functional.silu(convolution(level))
            read.append(
                functional.grid_sample(level, places.to(level), padding_mode="border", align_corners=False)[:, :, 0]
            )
        return self.out(torch.cat(read, dim=1).transpose(1, 2)).unflatten(0, images.shape[:2])
