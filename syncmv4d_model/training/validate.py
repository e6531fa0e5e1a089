"""Figures on the validation split while training."""

from __future__ import annotations

import numpy as np
import torch

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import LatentCache
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.training.rollouts import draw_for_sampling, sample
from syncmv4d_model.training.stages import clean_estimate_errors

TIMES = (1.0, 0.8, 0.4)


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
def track_errors(components: Components, cache: LatentCache, *, sequences: int, seed: int) -> dict[str, float]:
    """End-point and displacement error (cm) of sampled tracks on moving points, beside a static prediction's: means over
    sequences, as `syncmv4d evaluate` takes them. Sequences where nothing moves in sight are left out; empty if all are.
    """
    num_points = components.config.num_points
    batches = cache.batches(batch_size=1, num_points=num_points, seed=seed, first_step=0, augment=False)
    rows = []
    for index, batch in zip(range(sequences), batches, strict=False):
        drawn = draw_for_sampling(components, batch, seed=seed + index)
        result = sample(components, drawn)
        assert result.coarse is not None
        truth, visible = batch.points_world[0].numpy(), batch.visible[0].numpy()
        if result.aligned is not None:
            tracks = drawn.world(result.state.tracks)[0].cpu().numpy()
        else:
            coarse, valid = result.coarse.points_world[0].cpu().numpy(), result.coarse.valid[0].cpu().numpy()
            tracks = metrics.filled_in_time(coarse, valid, first_frame=truth[:, 0])
        still = np.broadcast_to(truth[:, :1], truth.shape)
        try:
            static = metrics.end_point_error(still, truth, visible)
        except ValueError:  # nothing moves in sight
            continue
        error = metrics.end_point_error(tracks, truth, visible)
        rows.append((error, metrics.displacement_error(tracks, truth, visible), static))
    if not rows:
        return {}
    error, displacement, static = (float(value) for value in np.mean(rows, axis=0))
    return {
        "end_point_error_cm": 100 * error,
        "displacement_error_cm": 100 * displacement,
        "static_cm": 100 * static,
        "end_point_ratio": error / static,
        "displacement_ratio": displacement / static,
    }
