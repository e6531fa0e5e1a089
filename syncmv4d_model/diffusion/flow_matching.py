"""Rectified flow (paper, section 1): z_t = (1-t) z_0 + t z_1, z_1 ~ N(0, I), velocity v = z_1 - z_0; t = 1 is noise."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from syncmv4d_model.types import State


def expand(t: Float[Tensor, "B"], like: Tensor) -> Tensor:
    """t with singleton dimensions appended, ready to multiply `like`."""
    return t.reshape(-1, *[1] * (like.ndim - 1))


def diffuse(clean: Float[Tensor, "B *d"], noise: Float[Tensor, "B *d"], t: Float[Tensor, "B"]) -> Float[Tensor, "B *d"]:
    """z_t on the straight line from clean (t = 0) to noise (t = 1)."""
    return clean + expand(t, clean) * (noise - clean)


def clean_estimate(
    noisy: Float[Tensor, "B *d"], velocity: Float[Tensor, "B *d"], t: Float[Tensor, "B"]
) -> Float[Tensor, "B *d"]:
    """z_0 = z_t - t v."""
    return noisy - expand(t, noisy) * velocity


def euler_step(
    noisy: Float[Tensor, "B *d"], velocity: Float[Tensor, "B *d"], t: Float[Tensor, "B"], t_next: Float[Tensor, "B"]
) -> Float[Tensor, "B *d"]:
    """z <- z + (t_next - t) v."""
    return noisy + expand(t_next - t, noisy) * velocity


def cooled(noise: State, temperature: float) -> State:
    """Noise whose video and motion are `temperature` times as strong: futures nearer to the mean one. Tracks keep theirs,
    which the point aligner takes away again. Raises ValueError for a temperature outside [0, 1].
    """
    if not 0 <= temperature <= 1:
        raise ValueError(f"temperature must lie in [0, 1], got {temperature}")
    motion = None if noise.motion is None else temperature * noise.motion
    return replace(noise, video=temperature * noise.video, motion=motion)


def sampling_times(steps: int, *, shift: float) -> Float[Tensor, "steps_plus_one"]:
    """Descending times from 1 to 0, moved towards noise by `shift` as Wan's scheduler does: s u / (1 + (s-1) u).

    Raises ValueError for fewer than one step or a shift that is not positive.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if not shift > 0:
        raise ValueError(f"shift must be positive, got {shift}")
    u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * u / (1 + (shift - 1) * u)).float()


def sample_training_times(
    batch: int,
    *,
    generator: torch.Generator,
    high_noise_share: float = 0.55,
    high_noise_from: float = 0.88,
    shift: float = 1.0,
) -> Float[Tensor, "B"]:
    """Training times: on [0, 1], moved towards noise by `shift` as sampling_times are, but a share of them uniform on
    [high_noise_from, 1], where image and text must explain the motion because the noisy latents cannot
    (docs/decisions.md). A share of 0 and a shift of 1 are the paper's uniform.
    """
    u = torch.rand(batch, generator=generator)
    high = torch.rand(batch, generator=generator) < high_noise_share
    return torch.where(high, high_noise_from + (1 - high_noise_from) * u, shift * u / (1 + (shift - 1) * u))
