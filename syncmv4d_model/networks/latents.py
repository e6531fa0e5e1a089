"""Videos and pseudo videos <-> latents: one protocol, a block-wise linear codec and diffusers' Wan VAE.

Both are causal like Wan's VAE: the first frame is one latent frame, every further group of frames another.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import nn

from syncmv4d_model.config import CodecConfig, MotionConfig, check_num_frames
from syncmv4d_model.motion.places import placed, places, taken
from syncmv4d_model.motion.pseudo_video import EXACT, IdentityNoise
from syncmv4d_model.networks.motion_channels import (
    ALPHA_FOREGROUND,
    from_motion_channels,
    to_motion_channels,
    with_background_filled,
)


class Codec(Protocol):
    """What the closed loop and training need from an autoencoder; N is any batch of single-view videos."""

    video_channels: int
    motion_channels: int

    @property
    def motion_noise(self) -> IdentityNoise:
        """How far a decoded identity channel is off on the foreground."""
        ...

    def encode_video(self, video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N C F h w"]:
        """Standardised latents of a colour video in [-1, 1]; T = 1 encodes an image."""
        ...

    def decode_video(self, latents: Float[torch.Tensor, "N C F h w"]) -> Float[torch.Tensor, "N T H W 3"]:
        """Colour video in [-1, 1]."""
        ...

    def encode_motion(self, pseudo_video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N Cm F h w"]:
        """Standardised latents of a pseudo video in [0, 1]."""
        ...

    def decode_motion(self, latents: Float[torch.Tensor, "N Cm F h w"]) -> Float[torch.Tensor, "N T H W 3"]:
        """Pseudo video in [0, 1]."""
        ...


class BlockBasis(nn.Module):
    """A linear code of one kind of block: latent = (block - mean) basis^T / scale."""

    mean: torch.Tensor
    basis: torch.Tensor
    scale: torch.Tensor

    def __init__(self, block_values: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(block_values))
        self.register_buffer("basis", torch.zeros(channels, block_values))
        self.register_buffer("scale", torch.ones(channels))

    def encode(self, blocks: Float[torch.Tensor, "*n P"]) -> Float[torch.Tensor, "*n C"]:
        return (blocks - self.mean) @ (self.basis / self.scale[:, None]).T

    def decode(self, latents: Float[torch.Tensor, "*n C"]) -> Float[torch.Tensor, "*n P"]:
        return latents @ (self.basis * self.scale[:, None]) + self.mean


class BlockCode(nn.Module):
    """Videos with any number of channels as blocks of `stride` x `stride` pixels, one frame or `group` frames long.

    `fill` spreads a motion block's foreground over its background before it is coded (motion_channels.py).
    """

    def __init__(
        self, image_channels: int, latent_channels: int, *, stride: int, group: int, fill: bool = False
    ) -> None:
        super().__init__()
        self.fill = fill
        self.stride, self.group, self.image_channels = stride, group, image_channels
        self.first = BlockBasis(image_channels * stride**2, latent_channels)
        self.later = BlockBasis(image_channels * stride**2 * group, latent_channels)

    def blocks(self, video: Float[torch.Tensor, "N T H W Ci"]) -> tuple[torch.Tensor, torch.Tensor]:
        """Blocks of the first frame [N 1 h w P1] and of the groups after it [N F-1 h w P]."""
        return self._filled(self._cut(video[:, :1], 1)), self._filled(self._cut(video[:, 1:], self.group))

    def encode(self, video: Float[torch.Tensor, "N T H W Ci"]) -> Float[torch.Tensor, "N C F h w"]:
        check_num_frames(video.shape[1], self.group)
        if video.shape[2] % self.stride or video.shape[3] % self.stride:
            raise ValueError(
                f"height and width must be multiples of {self.stride}, got {video.shape[2]} x {video.shape[3]}"
            )
        parts = ((video[:, :1], 1, self.first), (video[:, 1:], self.group, self.later))
        codes = [self._encoded(self._cut(part, length), basis) for part, length, basis in parts]
        return torch.cat(codes, dim=1).movedim(-1, 1)

    def decode(self, latents: Float[torch.Tensor, "N C F h w"]) -> Float[torch.Tensor, "N T H W Ci"]:
        blocks = latents.movedim(1, -1).contiguous()
        first, later = self._decoded(blocks[:, :1], self.first), self._decoded(blocks[:, 1:], self.later)
        return torch.cat([self._join(first, 1), self._join(later, self.group)], dim=1)

    def _encoded(self, blocks: torch.Tensor, basis: BlockBasis) -> torch.Tensor:
        """Codes of blocks; of motion only those with foreground, for nothing drawn is the zero code. NaN stays NaN."""
        if not self.fill:
            return basis.encode(blocks)
        drawn = (blocks != 0).any(-1)
        place = places(drawn)
        return placed(basis.encode(with_background_filled(taken(blocks, place))), place, drawn.shape)

    def _decoded(self, codes: torch.Tensor, basis: BlockBasis) -> torch.Tensor:
        """Blocks of codes; of motion only those with foreground, found by their alpha alone, for the rest is background.
        NaN stays NaN.
        """
        if not self.fill:
            return basis.decode(codes)
        alpha = slice(self.image_channels - 1, None, self.image_channels)
        shares = codes @ (basis.basis[:, alpha] * basis.scale[:, None]) + basis.mean[alpha]
        drawn = ~(shares <= ALPHA_FOREGROUND).all(-1)
        place = places(drawn)
        return placed(basis.decode(taken(codes, place)), place, drawn.shape)

    def _filled(self, blocks: torch.Tensor) -> torch.Tensor:
        return with_background_filled(blocks) if self.fill else blocks

    def _cut(self, video: torch.Tensor, length: int) -> torch.Tensor:
        stride = self.stride
        split = video.unflatten(3, (-1, stride)).unflatten(2, (-1, stride)).unflatten(1, (-1, length))
        # [N F t h s w s C] -> [N F h w t s s C]
        return split.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)

    def _join(self, blocks: torch.Tensor, length: int) -> torch.Tensor:
        split = blocks.unflatten(4, (length, self.stride, self.stride, self.image_channels))
        return split.permute(0, 1, 4, 2, 5, 3, 6, 7).flatten(5, 6).flatten(3, 4).flatten(1, 2)


class PcaCodec(nn.Module):
    """The light codec of the nano preset: principal components of blocks, whitened by `CodecConfig.whitening`.

    Motion is coded as `identity` says: "relative" is an exact re-parametrisation of the pseudo video whose channels are
    small and smooth (motion_channels.py), "absolute" codes the paper's three channels as they are. A new codec is blank;
    its buffers come from `fit_pca_codec` or a checkpoint.
    """

    noise_levels: torch.Tensor

    def __init__(self, config: CodecConfig, motion: MotionConfig) -> None:
        super().__init__()
        self.config, self.motion = config, motion
        self.video_channels, self.motion_channels = config.video_channels, config.motion_channels
        stride, group = config.spatial_stride, config.temporal_stride
        self.video_code = BlockCode(3, config.video_channels, stride=stride, group=group)
        relative = config.identity == "relative"
        self.motion_code = BlockCode(
            4 if relative else 3, config.motion_channels, stride=stride, group=group, fill=relative
        )
        self.register_buffer("noise_levels", torch.zeros(2))  # IdentityNoise

    @property
    def motion_noise(self) -> IdentityNoise:
        return IdentityNoise(*self.noise_levels.tolist())

    def encode_video(self, video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N C F h w"]:
        return self.video_code.encode(video)

    def decode_video(self, latents: Float[torch.Tensor, "N C F h w"]) -> Float[torch.Tensor, "N T H W 3"]:
        return self.video_code.decode(latents).clamp(-1, 1)

    def encode_motion(self, pseudo_video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N Cm F h w"]:
        return self.motion_code.encode(self.to_channels(pseudo_video))

    def decode_motion(self, latents: Float[torch.Tensor, "N Cm F h w"]) -> Float[torch.Tensor, "N T H W 3"]:
        channels = self.motion_code.decode(latents)
        if self.config.identity == "absolute":
            return channels.clamp(0, 1)
        return from_motion_channels(channels, self.motion)

    def to_channels(self, pseudo_video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N T H W Ci"]:
        """The channels that the motion blocks are cut from."""
        if self.config.identity == "absolute":
            return pseudo_video
        return to_motion_channels(pseudo_video, self.motion)


class WanCodec:
    """diffusers' AutoencoderKLWan, standardised by its own latents_mean and latents_std (paper, section 2).

    `vae` is an AutoencoderKLWan with `patch_size` 2 and `is_residual` as in Wan2.2, of any size. Pseudo videos enter as
    2 * value - 1. Videos are coded one at a time, which bounds memory.
    """

    def __init__(self, vae: Any, *, motion_noise: IdentityNoise = EXACT) -> None:
        self.vae = vae
        self.video_channels = self.motion_channels = int(vae.config.z_dim)
        self.motion_noise = motion_noise
        statistics = torch.tensor([vae.config.latents_mean, vae.config.latents_std], dtype=torch.float32)
        if statistics.shape[1] != self.video_channels:
            raise ValueError(f"the VAE has {self.video_channels} latent channels but {statistics.shape[1]} statistics")
        self.mean, self.std = statistics[:, None, :, None, None, None]

    def encode_video(self, video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N C F h w"]:
        check_num_frames(video.shape[1])
        latents = [self.vae.encode(one.to(self.vae.dtype)).latent_dist.mode() for one in video.movedim(-1, 1).split(1)]
        values = torch.cat(latents).to(video.dtype)
        return (values - self.mean.to(values)) / self.std.to(values)

    def decode_video(self, latents: Float[torch.Tensor, "N C F h w"]) -> Float[torch.Tensor, "N T H W 3"]:
        values = latents * self.std.to(latents) + self.mean.to(latents)
        videos = [self.vae.decode(one.to(self.vae.dtype)).sample for one in values.split(1)]
        return torch.cat(videos).to(latents.dtype).movedim(1, -1).clamp(-1, 1)

    def encode_motion(self, pseudo_video: Float[torch.Tensor, "N T H W 3"]) -> Float[torch.Tensor, "N Cm F h w"]:
        return self.encode_video(2 * pseudo_video - 1)

    def decode_motion(self, latents: Float[torch.Tensor, "N Cm F h w"]) -> Float[torch.Tensor, "N T H W 3"]:
        return (self.decode_video(latents) + 1) / 2
