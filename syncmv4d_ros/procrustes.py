"""Rigid motion of tracked points: weighted Procrustes per frame, started from samples and reweighted, so that outliers do not count."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

SAMPLES = 128
"""Triples tried as a start. With half of the points wrong, all of 128 hold a wrong one with a chance of 4e-8."""
SCORING_POINTS = 128
FITTED_POINTS = 600  # that the first rounds look at; more do not change what they find
START_QUANTILE = 0.3  # of the residuals, that a start is judged by: less than QUANTILE, as few points are looked at
ROUNDS, LAST_ROUNDS = 10, 2  # of reweighting: on those, then on all points
SETTLED = 1e-4  # m, and of rotation matrices: the rounds end when no frame changes by more
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
    share = (weights / weights.sum(-1, keepdims=True))[..., None, :]
    source_mean, target_mean = share @ source, share @ target
    covariance = (np.swapaxes(source, -1, -2) * share) @ (target - target_mean)  # the source's mean drops out
    left, _, right = np.linalg.svd(covariance)
    right = np.swapaxes(right, -1, -2)
    right[..., :, 2] *= np.sign(np.linalg.det(right @ left))[..., None]
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
    order = np.random.default_rng(0).permutation(len(reference))
    few, some = order[:SCORING_POINTS], order[:FITTED_POINTS]
    motion = _best_start(reference[few], positions[:, few], sigma_m[:, few])
    motion = _reweighted(motion, reference[some], _xyz_apart(positions[:, some]), sigma_m[:, some], rounds=ROUNDS)
    positions = _xyz_apart(positions)
    motion = _reweighted(motion, reference, positions, sigma_m, rounds=LAST_ROUNDS)
    residual = distances(motion, reference, positions)
    return motion, residual <= _threshold(residual, sigma_m)


def _xyz_apart(positions: Float[np.ndarray, "T P 3"]) -> Float[np.ndarray, "T P 3"]:
    """The same array with each frame's x, y and z in rows of their own in memory: what follows is then twice as fast."""
    return np.swapaxes(np.ascontiguousarray(np.swapaxes(positions, 1, 2)), 1, 2)


def distances(
    motion: Float[np.ndarray, "*n 4 4"], reference: Float[np.ndarray, "P 3"], positions: Float[np.ndarray, "*#n P 3"]
) -> Float[np.ndarray, "*n P"]:
    """How far (m) each position is from where the motion takes its reference point."""
    off = motion[..., :3, :3] @ reference.T  # [... xyz P], as the positions lie in memory
    off += motion[..., :3, 3:]
    off -= np.swapaxes(positions, -1, -2)
    np.square(off, out=off)
    squared = off[..., 0, :] + off[..., 1, :]
    squared += off[..., 2, :]
    return np.sqrt(squared, out=squared)


def _best_start(reference: np.ndarray, positions: np.ndarray, sigma_m: np.ndarray) -> Float64[np.ndarray, "T 4 4"]:
    """Of the motions that random triples propose, the one with the least START_QUANTILE of normalised residuals, per frame.

    All frames at once and in single precision: the start only has to be the nearest of the proposals.
    """
    triples = np.random.default_rng(1).random((SAMPLES, len(reference))).argpartition(2, axis=1)[:, :3]
    reference, positions = reference.astype(np.float32), positions.astype(np.float32)
    source, target = reference[triples], positions[:, triples]
    rotation = _triangle_axes(target) @ np.swapaxes(_triangle_axes(source), -1, -2)  # [T S 3 3]
    shift = target.mean(-2) - np.einsum("tsij,sj->tsi", rotation, source.mean(-2))
    off = (rotation.reshape(-1, 3) @ reference.T).reshape(*rotation.shape[:3], -1)  # [T S xyz P]
    off += shift[..., None]
    off -= np.swapaxes(positions, 1, 2)[:, None]
    np.square(off, out=off)
    squared = (off[:, :, 0] + off[:, :, 1] + off[:, :, 2]) / np.square(sigma_m, dtype=np.float32)[:, None]
    rank = round(START_QUANTILE * (len(reference) - 1))
    best = np.partition(squared, rank, axis=-1)[..., rank].argmin(axis=1)
    every = np.arange(len(positions))
    motion = np.tile(np.eye(4), (len(positions), 1, 1))
    motion[:, :3, :3], motion[:, :3, 3] = rotation[every, best], shift[every, best]
    return motion


def _triangle_axes(corners: Float[np.ndarray, "*n 3 3"]) -> Float[np.ndarray, "*n 3 3"]:
    """Orthonormal columns that turn with a triangle, whose corners are the rows; of three points on a line, not a rotation."""
    along = corners[..., 1, :] - corners[..., 0, :]
    first = along / _at_least(np.linalg.norm(along, axis=-1, keepdims=True))
    upright = np.cross(first, corners[..., 2, :] - corners[..., 0, :])
    third = upright / _at_least(np.linalg.norm(upright, axis=-1, keepdims=True))
    return np.stack([first, np.cross(third, first), third], axis=-1)


def _at_least(length: np.ndarray) -> np.ndarray:
    """Lengths to divide by."""
    return np.maximum(length, 1e-12)


def _reweighted(
    motion: np.ndarray, reference: np.ndarray, positions: np.ndarray, sigma_m: np.ndarray, *, rounds: int
) -> Float64[np.ndarray, "T 4 4"]:
    """The motion after rounds of weighted Procrustes in which a point counts less, the farther it is off (Tukey's biweight)."""
    motion = motion.copy()
    for _ in range(rounds):
        residual = distances(motion, reference, positions)
        kept = np.square(np.maximum(1 - np.square(residual / _threshold(residual, sigma_m)), 0))
        weights = kept / np.square(sigma_m)
        supported = np.count_nonzero(weights, axis=1) >= 3
        before = motion.copy()
        motion[supported] = procrustes(reference, positions[supported], weights[supported])
        if np.abs(motion - before).max() < SETTLED:
            break
    return motion


def _threshold(residual: np.ndarray, sigma_m: np.ndarray) -> Float[np.ndarray, "T P"]:
    """Distance (m) up to which a point counts."""
    rank = round(QUANTILE * (residual.shape[1] - 1))
    scale = np.partition(residual / sigma_m, rank, axis=1)[:, rank, None] / QUANTILE_OF_NORMAL
    return np.clip(THRESHOLD_SIGMAS * scale * sigma_m, MIN_THRESHOLD_M, MAX_THRESHOLD_M)
