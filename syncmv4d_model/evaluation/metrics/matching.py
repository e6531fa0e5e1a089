"""Matching pixels between views of the same moment: the arithmetic, given a matcher's confidences."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import numpy as np
from jaxtyping import Float, Int

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some


def matching_pixels(confidences: Seq[Float[np.ndarray, "_"]], threshold: float = 0.5) -> float:
    """Mean number of matches with confidence strictly above `threshold` per image pair (SynCamMaster).

    One array per unordered pair of views and frame; an empty one is a pair without a match. The paper's unit is not
    published: `matching_pixels_total` is the other reading.
    """
    return float(np.mean(_counts(confidences, threshold)))


def matching_pixels_total(confidences: Seq[Float[np.ndarray, "_"]], threshold: float = 0.5) -> float:
    """Thousands of matches over all image pairs together."""
    return float(np.sum(_counts(confidences, threshold))) / 1000


def mutual_matches(
    log_assignment: Float[np.ndarray, "M1 N1"], threshold: float
) -> tuple[Int[np.ndarray, "M"], Float[np.ndarray, "M"]]:
    """LightGlue's filter: for each of M = M1 - 1 points its match among N = N1 - 1 (or -1), and its score.

    A match is mutual (each is the other's best) and scores above `threshold`; the last row and column of the log
    assignment are the dustbins. The score of a point without a mutual partner is 0.
    """
    inner = log_assignment[:-1, :-1]
    require_some(inner.size, "candidate matches")
    forward, backward = inner.argmax(1), inner.argmax(0)
    mutual = backward[forward] == np.arange(len(inner))
    scores = np.where(mutual, np.exp(inner.max(1)), 0)
    return np.where(scores > threshold, forward, -1), scores


def _counts(confidences: Seq[np.ndarray], threshold: float) -> list[int]:
    require_some(len(confidences), "image pairs")
    require_finite(threshold=np.asarray(threshold))
    for confidence in confidences:
        require_finite(confidence=confidence)
    return [int((confidence > threshold).sum()) for confidence in confidences]
