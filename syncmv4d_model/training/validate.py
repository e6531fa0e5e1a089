"""Figures on the validation split while training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import LatentCache
from syncmv4d_model.diffusion.closed_loop import denoise
from syncmv4d_model.diffusion.flow_matching import sampling_times
from syncmv4d_model.training.stages import clean_estimate_errors, draw_for_sampling

TIMES = (1.0, 0.8, 0.4)
MOVING_M = 0.02


def latent_errors(components: Components, cache: LatentCache, *, sequences: int, seed: int) -> dict[str, float]:
    """Relative squared error of the one-shot clean estimate at TIMES; 1.0 = predicting the mean."""
    batches = cache.batches(
        batch_size=sequences, num_points=components.config.num_points, seed=seed, first_step=0, augment=False
    )
    batch = next(batches)
    figures: dict[str, float] = {}
    with torch.no_grad():
        for t in TIMES:
            errors = clean_estimate_errors(components, batch, t=t, seed=seed)
            figures |= {f"validation_{name}_t{t:g}": value for name, value in errors.items()}
    return figures


@torch.no_grad()
def track_errors(
    components: Components,
    cache: LatentCache,
    *,
    sequences: int,
    steps: int,
    seed: int,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, float]:
    """End-point and displacement error (cm) of sampled tracks on moving points, beside a static prediction's."""
    config = components.config
    batches = cache.batches(batch_size=1, num_points=config.num_points, seed=seed, first_step=0, augment=False)
    sums = torch.zeros(4, dtype=torch.float64)
    for index, batch in zip(range(sequences), batches, strict=False):
        drawn = draw_for_sampling(components, batch, seed=seed + index)
        result = denoise(
            drawn.binding.loop(), drawn.noise, times=sampling_times(steps, shift=config.loop.shift),
            anchors=drawn.anchors, cycle=config.switches.cycle, cancelled=cancelled,
        )  # fmt: skip
        assert result.coarse is not None
        tracks = result.coarse.points_world
        if result.aligned is not None:
            tracks = drawn.world(result.state.tracks)
        sums += _sums(tracks, batch.points_world, batch.visible)
    count, error, displacement, static = sums.tolist()
    if count == 0:
        raise ValueError(f"no point moves more than {MOVING_M} m in {sequences} validation sequences")
    names = ("end_point_error_cm", "displacement_error_cm", "static_cm")
    figures = {name: 100 * total / count for name, total in zip(names, (error, displacement, static), strict=True)}
    return figures | {"displacement_ratio": displacement / static, "end_point_ratio": error / static}


def _sums(tracks: Tensor, truth: Tensor, visible: Tensor) -> Tensor:
    """Count, and sums of error, displacement error and static error over moving points at later visible frames."""
    moving = (truth - truth[:, :, :1]).norm(dim=-1).amax(dim=2, keepdim=True) > MOVING_M
    counted = (visible & moving)[:, :, 1:]
    moved = (truth - truth[:, :, :1])[:, :, 1:]
    error = (tracks - truth)[:, :, 1:].norm(dim=-1)[counted].sum()
    displacement = ((tracks - tracks[:, :, :1])[:, :, 1:] - moved).norm(dim=-1)[counted].sum()
    return torch.stack([counted.sum(), error, displacement, moved.norm(dim=-1)[counted].sum()]).double()
