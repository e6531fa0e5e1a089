"""Does anything move, and how smoothly? A frozen or averaged future scores well on distances; these tell it apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from syncmv4d_model.evaluation.metrics.lengths import lengths
from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some


def motion_smoothness(tracks: Float[np.ndarray, "T K 3"]) -> float:
    """Mean |x[n+1] - 2 x[n] + x[n-1]|, metres per frame squared (VIBE's compute_accel).

    Lower is smoother, and a frozen motion scores 0: read it beside the ground truth's own value.
    """
    if tracks.ndim != 3 or tracks.shape[-1] != 3:
        raise ValueError(f"tracks must be [T K 3], got {list(tracks.shape)}")
    require_some(len(tracks), "frames", at_least=3)
    require_some(tracks.shape[1], "points")
    require_finite(tracks=tracks)
    x = tracks.astype(np.float64)
    return float(lengths(x[2:] - 2 * x[1:-1] + x[:-2]).mean())


def path_length_ratio(predicted: Float[np.ndarray, "T K 3"], target: Float[np.ndarray, "T K 3"]) -> float:
    """Median over points of predicted / true path length; 1 is as lively as the truth, 0 is frozen.

    Give it moving points only: raises ValueError for a point whose true path has no length.
    """
    require_same_shape(predicted=predicted, target=target)
    require_some(len(target), "frames", at_least=2)
    require_some(target.shape[1], "points")
    require_finite(predicted=predicted, target=target)
    true_length = _path_length(target)
    if not (true_length > 0).all():
        raise ValueError(f"{int((true_length <= 0).sum())} points do not move in the truth; the ratio is undefined")
    return float(np.median(_path_length(predicted) / true_length))


def _path_length(tracks: np.ndarray) -> np.ndarray:
    return lengths(np.diff(tracks.astype(np.float64), axis=0)).sum(0)
