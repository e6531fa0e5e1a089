"""What the motion will be on average, from the reference images, the cameras and the task alone; an addition to the paper.

The joint denoiser predicts around an expectation (preconditioning.py). Without this network that of motion is "nothing": no
foreground, no depth. Here a convolutional pyramid finds what each image shows, and attention among the cells of all views and the task's words
tells what it will do. It has a twentieth of the joint denoiser's tokens, so it learns the same from many more sequences in the same time.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.networks.camera_rays import RAY_FEATURES, ray_features, view_centres
from syncmv4d_model.types import Cameras, ExpectedMotion

GROUPS = 8
"""Of channels that are normalised together."""


class ResidualBlock(nn.Module):
    """Two normalised 3 x 3 convolutions beside the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(GROUPS, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C H W"]:
        hidden = self.conv1(functional.silu(self.norm1(features)))
        return features + self.conv2(functional.silu(self.norm2(hidden)))


class ImagePyramid(nn.Sequential):
    """RGB in [-1, 1] -> features of cells `stride` pixels wide; channels double at every halving of the resolution."""

    def __init__(self, stride: int, width: int):
        channels = [3, *(width << level for level in range(stride.bit_length() - 1))]
        super().__init__(
            *(
                nn.Sequential(nn.Conv2d(above, below, 4, stride=2, padding=1), ResidualBlock(below))
                for above, below in zip(channels, channels[1:], strict=False)
            ),
            ResidualBlock(channels[-1]),
            ResidualBlock(channels[-1]),
            nn.GroupNorm(GROUPS, channels[-1]),
        )
        self.channels = channels[-1]
        self.halvings = len(channels) - 1

    def forward(self, input: Float[Tensor, "N C H W"]) -> tuple[list[Tensor], Float[Tensor, "N D h w"]]:
        """Features after every halving, and those of the cells."""
        levels, features = [], input
        for index, layer in enumerate(self):
            features = layer(features)
            if index < self.halvings:
                levels.append(features)
        return levels, features


class MotionPrior(nn.Module):
    """E[motion latents, depth scale | reference images, cameras, task], and the features that it was read from.

    Views are not numbered and may come in any order; with `switches.multi_view` False none knows of another. Untrained it expects nothing.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config, options = config, config.motion_prior
        rows, columns = config.latent_size
        self.pyramid = ImagePyramid(config.codec.spatial_stride, options.conv_width)
        width = self.width = self.pyramid.channels
        self.rays = nn.Linear(RAY_FEATURES, width)
        self.cell = nn.Parameter(torch.randn(rows * columns, width) * 0.02)
        self.word = nn.Embedding(config.text.vocabulary, width)
        self.place = nn.Parameter(torch.randn(config.text.max_tokens, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, options.heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.motion = nn.Linear(width, config.codec.motion_channels * config.latent_frames)
        self.depth_scale = nn.Linear(width, 2)
        nn.init.normal_(self.word.weight, std=0.5)
        for last in (self.motion, self.depth_scale):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        images: Float[Tensor, "B V H W 3"],
        cameras: Cameras,
        ids: Int[Tensor, "B L"],
        mask: Bool[Tensor, "B L"],
    ) -> ExpectedMotion:
        """Images in [-1, 1]; `ids` and `mask` are the task's tokens."""
        views = images.shape[1]
        cells, maps = self._cells(images, cameras)
        if not self.config.switches.multi_view:
            cells = cells.flatten(0, 1)[:, None]
            ids, mask = ids.repeat_interleave(views, 0), mask.repeat_interleave(views, 0)
        words = self.word(ids) + self.place
        tokens = torch.cat([cells.flatten(1, 2), words], dim=1)
        seen = functional.pad(mask, (tokens.shape[1] - mask.shape[1], 0), value=True)
        attended = self.attention(tokens, src_key_padding_mask=~seen)[:, : -mask.shape[1]]
        features = (
            self.norm(attended.float()).unflatten(1, (cells.shape[1], -1)).view(len(images), views, -1, self.width)
        )
        rows, columns = self.config.latent_size
        motion = rearrange(
            self.motion(features),
            "b v (h w) (c f) -> b v c f h w",
            h=rows,
            w=columns,
            c=self.config.codec.motion_channels,
        )
        return ExpectedMotion(motion.float(), self.depth_scale(features.mean(2)).float(), features.float(), maps)

    def _cells(self, images: Tensor, cameras: Cameras) -> tuple[Float[Tensor, "B V cells D"], tuple[Tensor, ...]]:
        """Tokens of the cells, and the pyramid's features from fine to coarse."""
        pixels = images.flatten(0, 1).movedim(-1, 1).contiguous(memory_format=torch.channels_last)
        levels, shown = self.pyramid(pixels)
        shown = functional.silu(shown).flatten(2).transpose(1, 2).unflatten(0, images.shape[:2])
        centres = view_centres(cameras, multi_view=self.config.switches.multi_view)
        rows, columns = self.config.latent_size
        cells = shown + self.rays(ray_features(cameras, centres, rows=rows, columns=columns)) + self.cell
        return cells, tuple(level.float().unflatten(0, images.shape[:2]) for level in levels)
