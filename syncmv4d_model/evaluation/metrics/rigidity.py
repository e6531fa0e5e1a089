"""Do the points of one body move as one? A plan made of tracks that do not is no motion that a hand can carry out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some


def rigid_residual(tracks: Float[np.ndarray, "T K 3"]) -> float:
    """What the best rigid motions from frame 0 leave of a body's tracks: root mean square over points, mean over frames
    n >= 1, metres.

    Rotations by singular value decomposition, without reflection (Kabsch 1976). Raises ValueError for fewer than 3 points.
    """
    require_some(len(tracks), "frames", at_least=2)
    require_some(tracks.shape[1], "points", at_least=3)
    require_finite(tracks=tracks)
    centred = tracks.astype(np.float64) - tracks.mean(1, keepdims=True, dtype=np.float64)
    start, later = centred[0], centred[1:]
    left, _, right = np.linalg.svd(np.einsum("ki,tkj->tij", start, later))
    sign = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    left[:, :, 2] *= sign[:, None]
    residual = later - start @ (left @ right)
    return float(np.sqrt((residual**2).sum(-1).mean(-1)).mean())
