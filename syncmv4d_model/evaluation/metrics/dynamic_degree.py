"""VBench's dynamic degree: is the video dynamic? The arithmetic, given optical flow between neighbouring frames."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some

FASTEST_SHARE = 0.05


def sampled_frames(num_frames: int, fps: float) -> list[int]:
    """Indices of the frames between which flow is computed: every max(1, round(fps / 8))-th."""
    require_some(num_frames, "frames", at_least=2)
    return list(range(0, num_frames, max(1, round(fps / 8))))


def dynamic_degree_thresholds(height: int, width: int, num_frames: int) -> tuple[float, int]:
    """(pixels that a score must exceed, how many scores must) for `num_frames` sampled frames of this size.

    Rounds half to even as the reference does, so 2 frames ask for 0 scores and are dynamic even when still.
    """
    return 6.0 * min(height, width) / 256, round(4 * num_frames / 16)


def flow_score(flow: Float[np.ndarray, "2 H W"]) -> float:
    """Mean of the largest int(H W 0.05) flow magnitudes, in pixels; ValueError when that is no pixel at all."""
    require_finite(flow=flow)
    magnitude = np.linalg.norm(flow.astype(np.float64), axis=0).ravel()
    count = int(magnitude.size * FASTEST_SHARE)
    require_some(count, f"pixels among the fastest 5 % of {magnitude.size}")
    return float(np.partition(magnitude, -count)[-count:].mean())


def is_dynamic(flows: Float[np.ndarray, "N 2 H W"], height: int, width: int, num_frames: int) -> bool:
    """Whether at least the required number of flows score strictly above the threshold."""
    require_some(len(flows), "flows")
    return bool(is_dynamic_from_scores(np.array([flow_score(f) for f in flows]), height, width, num_frames))


def is_dynamic_from_scores(scores: Float[np.ndarray, "N"], height: int, width: int, num_frames: int) -> bool:
    """The decision of `is_dynamic` when the scores of the flows (pixels) are known."""
    require_finite(scores=scores)
    require_some(num_frames, "frames", at_least=2)
    pixels, count = dynamic_degree_thresholds(height, width, num_frames)
    return bool((scores > pixels).sum() >= count)


def dynamic_degree(decisions: Bool[np.ndarray, "N"]) -> float:
    """Share of a data set's videos that are dynamic."""
    require_some(len(decisions), "videos")
    return float(decisions.mean())
