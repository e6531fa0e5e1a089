"""Rigid motion of tracked points: weighted Procrustes per frame, started from samples and reweighted, so that outliers do not count."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

SAMPLES = 160
"""Triples tried as a start. With half of the points wrong, all of 160 hold a wrong one with a chance of 1e-9."""
SCORING_POINTS = 160
ROUNDS = 12
QUANTILE = 0.4  # of the residuals, that must be small: up to 60 % may be wrong
QUANTILE_OF_NORMAL = 1.367  # that quantile of the length of a vector of three standard normal numbers
THRESHOLD_SIGMAS = 4.0  # 0.1 % of good points lie beyond
MIN_THRESHOLD_M = 0.001
MAX_THRESHOLD_M = 0.03


def procrustes(
    source: Float[np.ndarray, "*#n P 3"], target: Float[np.ndarray, "*#n P 3"], weights: Float[np.ndarray, "*#n P"]
) -> Float64[np.ndarray, "*n 4 4"]:
    """target_from_source: the rigid motion with the least weighted sum of squared distances (Kabsch; never a mirror).

    Weights are not negative, and not all zero. Points on a line leave the turn about it arbitrary, but the same each time.
    """
    share = (weights / weights.sum(-1, keepdims=True))[..., None]
    source_mean, target_mean = (share * source).sum(-2, keepdims=True), (share * target).sum(-2, keepdims=True)
    covariance = np.swapaxes(share * (source - source_mean), -1, -2) @ (target - target_mean)
    left, _, right = np.linalg.svd(covariance)
    right = np.swapaxes(right, -1, -2)
    right[..., :, 2] *= np.sign(np.linalg.det(right) * np.linalg.det(left))[..., None]
    rotation = right @ np.swapaxes(left, -1, -2)
    motion = np.zeros((*rotation.shape[:-2], 4, 4))
    motion[..., :3, :3] = rotation
    motion[..., :3, 3] = (target_mean - source_mean @ np.swapaxes(rotation, -1, -2))[..., 0, :]
    motion[..., 3, 3] = 1
    return motion


def robust_motion(
    reference: Float[np.ndarray, "P 3"], positions: Float[np.ndarray, "T P 3"], sigma_m: Float[np.ndarray, "T P"]
) -> tuple[Float64[np.ndarray, "T 4 4"], Bool[np.ndarray, "T P"]]:
    """Rigid motion from `reference` to each frame's positions (m), and the points that follow it.

    sigma_m weighs the points against each other; their common scale is estimated from what lies within it, so that
    over- and under-confident models give the same result. Finds the motion while at most about half of the points are
    wrong at either end. Deterministic. With fewer than three points only their mean displacement is taken.
    """
    if len(reference) < 3:
        motion = np.tile(np.eye(4), (len(positions), 1, 1))
        motion[:, :3, 3] = positions.mean(1) - reference.mean(0)
        return motion, np.ones(sigma_m.shape, bool)
    motion = _best_start(reference, positions, sigma_m)
    for _ in range(ROUNDS):
        residual = distances(motion, reference, positions)
        limit = _threshold(residual, sigma_m)
        weights = np.square(np.maximum(1 - np.square(residual / limit), 0)) / np.square(sigma_m)
        supported = np.count_nonzero(weights, axis=1) >= 3
        motion[supported] = procrustes(reference, positions[supported], weights[supported])
    residual = distances(motion, reference, positions)
    return motion, residual <= _threshold(residual, sigma_m)


def distances(
    motion: Float[np.ndarray, "*n 4 4"], reference: Float[np.ndarray, "P 3"], positions: Float[np.ndarray, "*#n P 3"]
) -> Float[np.ndarray, "*n P"]:
    """How far (m) each position is from where the motion takes its reference point."""
    moved = reference @ np.swapaxes(motion[..., :3, :3], -1, -2) + motion[..., None, :3, 3]
    return np.linalg.norm(moved - positions, axis=-1)


def _best_start(reference: np.ndarray, positions: np.ndarray, sigma_m: np.ndarray) -> Float64[np.ndarray, "T 4 4"]:
    """Of the motions that random triples propose, the one with the least QUANTILE of normalised residuals, per frame."""
    rng = np.random.default_rng(0)
    triples = rng.random((SAMPLES, len(reference))).argpartition(2, axis=1)[:, :3]
    scored = rng.permutation(len(reference))[:SCORING_POINTS]
    rank = round(QUANTILE * (len(scored) - 1))
    motion = np.empty((len(positions), 4, 4))
    for frame, (points, sigma) in enumerate(zip(positions, sigma_m, strict=True)):
        proposals = procrustes(reference[triples], points[triples], np.ones(triples.shape))
        residual = distances(proposals, reference[scored], points[scored]) / sigma[scored]
        motion[frame] = proposals[np.partition(residual, rank, axis=1)[:, rank].argmin()]
    return motion


def _threshold(residual: np.ndarray, sigma_m: np.ndarray) -> Float[np.ndarray, "T P"]:
    """Distance (m) up to which a point counts."""
    scale = np.quantile(residual / sigma_m, QUANTILE, axis=1, keepdims=True) / QUANTILE_OF_NORMAL
    return np.clip(THRESHOLD_SIGMAS * scale * sigma_m, MIN_THRESHOLD_M, MAX_THRESHOLD_M)
