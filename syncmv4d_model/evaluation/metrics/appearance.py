"""Consistency of image features over time and over views: the arithmetic, given the networks' features."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from itertools import combinations

import numpy as np
from jaxtyping import Float

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some


def subject_consistency(features: Seq[Float[np.ndarray, "_ D"]]) -> float:
    """VBench's subject consistency of a data set, from one array of per-frame DINO features [T D] per video.

    Each frame t >= 1 scores the mean of its cosines with frame t-1 and with frame 0, negative cosines counting as 0;
    the result is the total over all such frames / their count. Raises ValueError for a video of fewer than 2 frames.
    """
    require_some(len(features), "videos")
    scores = [_frame_consistency(video) for video in features]
    return float(np.concatenate(scores).mean())


def clip_views(embeddings: Float[np.ndarray, "V T D"]) -> float:
    """CLIP-V: 100 x mean over frames and unordered pairs of views of the cosine of image embeddings."""
    require_some(len(embeddings), "views", at_least=2)
    require_some(embeddings.shape[1], "frames")
    unit = _unit(embeddings)
    pairs = [(unit[i] * unit[j]).sum(-1).mean() for i, j in combinations(range(len(unit)), 2)]
    return float(100 * np.mean(pairs))


def _frame_consistency(video: np.ndarray) -> np.ndarray:
    require_some(len(video), "frames", at_least=2)
    unit = _unit(video)
    before = np.maximum((unit[:-1] * unit[1:]).sum(-1), 0)
    first = np.maximum((unit[:1] * unit[1:]).sum(-1), 0)
    return (before + first) / 2


def _unit(features: np.ndarray) -> np.ndarray:
    require_finite(features=features)
    norm = np.linalg.norm(features.astype(np.float64), axis=-1, keepdims=True)
    if not norm.all():
        raise ValueError(f"{int((norm == 0).sum())} feature vectors are zero and have no direction")
    return features / norm
