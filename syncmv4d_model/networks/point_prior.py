"""What each tracked point is, and when it will be seen, from the first images and the task alone; an addition to the paper.

The joint denoiser sees cells of many pixels, the point aligner a colour per point. Whether a pixel is the tool's or the hand's is plain in the image
around it, and the motion prior has learned to see it: here its features are read at every anchor. It learns from every training sequence, where
the aligner's heads see only those that the sampler was run on.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.types import LABELS, ExpectedMotion, ExpectedPoints


class PointPrior(nn.Module):
    """Expected label and visibility of every anchor.

    Points may come in any order. Untrained it expects nothing: every label and either visibility alike.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        prior, halvings = config.motion_prior, config.codec.spatial_stride.bit_length() - 1
        levels = sum(prior.conv_width << level for level in range(halvings))
        cell = prior.conv_width << (halvings - 1)
        width = prior.point_width
        self.norm = nn.LayerNorm(levels + cell)
        self.read = nn.Sequential(nn.Linear(levels + cell + 3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.per_point = nn.Linear(width, len(LABELS))
        self.per_frame = nn.Linear(width, config.num_frames)
        for last in (self.per_point, self.per_frame):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        expected: ExpectedMotion,
        anchor_pixels: Float[Tensor, "B V K 2"],
        anchor_colours: Float[Tensor, "B V K 3"],
    ) -> ExpectedPoints:
        """Pixels are scaled to [0, 1], colours to [-1, 1]."""
        rows, columns = self.config.latent_size
        cells = expected.features.movedim(-1, 2).unflatten(3, (rows, columns))
        seen = torch.cat([_read_at(level, anchor_pixels) for level in (*expected.maps, cells)], dim=-1)
        hidden = self.read(torch.cat([self.norm(seen), anchor_colours], dim=-1))
        return ExpectedPoints(
            visible_logit=self.per_frame(hidden).float().transpose(2, 3), label_logits=self.per_point(hidden).float()
        )


def _read_at(level: Float[Tensor, "B V C h w"], places: Float[Tensor, "B V K 2"]) -> Float[Tensor, "B V K C"]:
    """Features at places in [0, 1] of the image, bilinear, held at the border."""
    grid = (2 * places - 1).flatten(0, 1)[:, None]
    read = functional.grid_sample(
        level.flatten(0, 1), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return read[:, :, 0].transpose(1, 2).unflatten(0, level.shape[:2])
