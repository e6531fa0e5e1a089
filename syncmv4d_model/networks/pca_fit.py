"""Fitting the block-wise linear codec in one pass over a data set, with memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float

from syncmv4d_model.config import CodecConfig, MotionConfig
from syncmv4d_model.motion.pseudo_video import LEVELS, IdentityNoise, foreground
from syncmv4d_model.networks.latents import BlockBasis, BlockCode, PcaCodec

BLOCKS_PER_SEQUENCE = 96
"""Blocks drawn from each sequence and basis; neighbours tell little new, and their covariance is what costs time."""

NOISE_SEQUENCES = 8
"""Sequences kept to measure what the finished code does to an identity."""

USUAL_SHARE = 0.8
"""Share of identities that are within IdentityNoise.usual_levels."""

POWER_ITERATIONS = 12
OVERSAMPLING = 32


class _Covariance:
    """Running sums of a kind of block."""

    def __init__(self, size: int) -> None:
        self.count = 0
        self.total = torch.zeros(size)
        self.products = torch.zeros(size, size)

    def add(self, blocks: Float[torch.Tensor, "n P"]) -> None:
        self.count += len(blocks)
        self.total += blocks.sum(0)
        self.products.addmm_(blocks.T, blocks)


def fit_pca_codec(
    sequences: Iterable[tuple[Float[torch.Tensor, "V T H W 3"], Float[torch.Tensor, "V T H W 3"]]],
    config: CodecConfig,
    *,
    motion: MotionConfig,
    seed: int = 0,
) -> PcaCodec:
    """A codec fitted to (video in [-1, 1], pseudo video in [0, 1]) pairs, drawn once from any iterable.

    Blocks of a pseudo video without foreground are left out, and its mean is 0, so that nothing drawn is the zero code.
    Raises ValueError when there are fewer blocks than latent channels.
    """
    codec = PcaCodec(config, motion)
    generator = torch.Generator().manual_seed(seed)
    codes = {"video": codec.video_code, "motion": codec.motion_code}
    sums = {
        (kind, part): _Covariance(getattr(code, part).mean.numel())
        for kind, code in codes.items()
        for part in ("first", "later")
    }
    kept = []
    for video, pseudo_video in sequences:
        channels = {"video": video.float(), "motion": codec.to_channels(pseudo_video.float())}
        for (kind, part), covariance in sums.items():
            covariance.add(_drawn_blocks(codes[kind], channels[kind], part, generator))
        if len(kept) < NOISE_SEQUENCES:
            kept.append(pseudo_video.float())
    for (kind, part), covariance in sums.items():
        # An empty block of a pseudo video must be the zero code, so its mean stays 0.
        _fit_basis(getattr(codes[kind], part), covariance, whitening=config.whitening, centred=kind == "video")
    noise = identity_noise(codec, kept)
    codec.noise_levels.copy_(torch.tensor([noise.rms_levels, noise.usual_levels]))
    return codec


@torch.no_grad()
def identity_noise(codec: PcaCodec, pseudo_videos: list[Float[torch.Tensor, "V T H W 3"]]) -> IdentityNoise:
    """How far an identity channel is off after encode-decode, where both sides are foreground."""
    errors = []
    for pseudo_video in pseudo_videos:
        decoded = codec.decode_motion(codec.encode_motion(pseudo_video))
        both = foreground(pseudo_video, codec.motion) & foreground(decoded, codec.motion)
        errors.append((decoded - pseudo_video)[both][:, :2].flatten().abs() * LEVELS)
    if not errors:
        return IdentityNoise()
    levels = torch.cat(errors)
    usual = float(np.quantile(levels.numpy(), USUAL_SHARE))  # torch's own refuses as many values
    return IdentityNoise(float(levels.square().mean().sqrt()), usual)


def _drawn_blocks(code: BlockCode, video: torch.Tensor, part: str, generator: torch.Generator) -> torch.Tensor:
    blocks = code.blocks(video)[0 if part == "first" else 1].flatten(0, 3)
    blocks = blocks[(blocks != 0).any(-1)]
    chosen = torch.randperm(len(blocks), generator=generator)[:BLOCKS_PER_SEQUENCE]
    return blocks[chosen]


def _fit_basis(into: BlockBasis, covariance: _Covariance, *, whitening: float, centred: bool) -> None:
    """Leading eigenvectors by subspace iteration, and the scale that brings the mean square of a latent to 1."""
    channels, size = into.basis.shape
    if covariance.count < channels:
        raise ValueError(f"{channels} latent channels need at least as many blocks, got {covariance.count}")
    mean = covariance.total / covariance.count if centred else torch.zeros(size)
    second = covariance.products / covariance.count - torch.outer(mean, mean)
    generator = torch.Generator().manual_seed(0)
    space = torch.randn(size, min(channels + OVERSAMPLING, size), generator=generator)
    for _ in range(POWER_ITERATIONS):
        space = torch.linalg.qr(second @ space).Q
    values, rotation = torch.linalg.eigh(space.T @ second @ space)
    values = values.flip(0)[:channels].clamp(min=values.max() * 1e-8)
    deviation = values.sqrt()
    scale = deviation**whitening
    into.mean.copy_(mean)
    into.basis.copy_((space @ rotation).flip(1)[:, :channels].T)
    into.scale.copy_(scale * (deviation / scale).square().mean().sqrt())
