"""Do the points of one body move as one, and as the true body does? A plan made of tracks that do not is no motion for a hand."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some

THINNEST = 0.02
"""Of a body's spread across over along: thinner ones turn about their length unseen."""


def rigid_residual(tracks: Float[np.ndarray, "T K 3"]) -> float:
    """What the best rigid motions from frame 0 leave of a body's tracks: root mean square over points, mean over frames
    n >= 1, metres.

    Rotations by singular value decomposition, without reflection (Kabsch 1976). Raises ValueError for fewer than 3 points.
    """
    start, later, turns = _fitted(tracks)
    residual = later - start @ turns
    return float(np.sqrt((residual**2).sum(-1).mean(-1)).mean())


def rigid_motion_error(
    predicted: Float[np.ndarray, "T K 3"], target: Float[np.ndarray, "T K 3"]
) -> tuple[float, float]:
    """(degrees, metres): how far the rigid motion from frame 0 that fits the predicted points best is from the one that fits
    the true ones best, mean over frames n >= 1: the angle between the rotations, and the distance between the displacements of
    the points' centre.

    Raises ValueError for fewer than 3 points, and for points of the truth on one line, whose rotation is not defined.
    """
    require_same_shape(predicted=predicted, target=target)
    _, _, predicted_turns = _fitted(predicted)
    start, _, true_turns = _fitted(target)
    spread = np.linalg.svd(start, compute_uv=False)
    if spread[1] <= THINNEST * spread[0]:
        raise ValueError("the points of the truth lie on one line: how it turns about it is not defined")
    cosine = (np.einsum("tij,tij->t", predicted_turns, true_turns) - 1) / 2
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    centres = [tracks.mean(1, dtype=np.float64) for tracks in (predicted, target)]
    moved = [centre[1:] - centre[0] for centre in centres]
    return float(angle.mean()), float(np.linalg.norm(moved[0] - moved[1], axis=-1).mean())


def _fitted(tracks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points about their centre in frame 0 [K 3] and later [N K 3], and the rotations [N 3 3] so that later = start @ rotation."""
    require_some(len(tracks), "frames", at_least=2)
    require_some(tracks.shape[1], "points", at_least=3)
    require_finite(tracks=tracks)
    centred = tracks.astype(np.float64) - tracks.mean(1, keepdims=True, dtype=np.float64)
    start, later = centred[0], centred[1:]
    left, _, right = np.linalg.svd(np.einsum("ki,tkj->tij", start, later))
    sign = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    left[:, :, 2] *= sign[:, None]
    return start, later, left @ right
