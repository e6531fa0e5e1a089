"""What a data set is like: what its kinds of files weigh, which kinds of sequences it has, how fine
its pictures are, what text tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Seq
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from syncmv4d_model.data.sequence import BODIES_FILE, FUTURES_FILE, Sequence
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.baselines import TextMean, static_tracks
from syncmv4d_model.evaluation.case import at_anchors
from syncmv4d_model.geometry import transform

MM_PER_M = 1e3
_KINDS = (
    (".mask0.png", "masks"),
    (".depth0.png", "depths"),
    (".png", "first images"),
    (".full.mp4", "whole videos"),
    (".mp4", "videos"),
    (BODIES_FILE, "bodies"),
    (FUTURES_FILE, "futures"),
    ("truth.npz", "tracks"),
)
"""How a file's name ends, and what it holds; the first that fits."""


def bytes_by_kind(folders: Iterable[Path]) -> dict[str, int]:
    """Bytes of all files of sequence folders, by what they hold."""
    total: Counter[str] = Counter()
    for folder in folders:
        for path in folder.iterdir():
            total[next((kind for end, kind in _KINDS if path.name.endswith(end)), "others")] += path.stat().st_size
    return dict(total)


def millimetres_per_pixel(sequence: Sequence, intrinsics: Float[np.ndarray, "V 3 3"]) -> Float[np.ndarray, "V"]:
    """At the median depth of each view's own points in frame 0. `intrinsics` are those of the
    pictures in question.
    """
    in_camera = transform(sequence.camera_from_world, sequence.positions[:, 0].astype(np.float64))
    return MM_PER_M * np.median(in_camera[..., 2], axis=1) / intrinsics[:, 0, 0]


def thin_points(sequence: Sequence, count: int) -> Sequence:
    """The sequence with at most `count` of its points a view, evenly spread over their order."""
    points = sequence.label.shape[1]
    kept = np.arange(min(count, points)) * points // min(count, points)
    return at_anchors(sequence, np.tile(kept, (len(sequence.label), 1)))


def text_mean_ratio(sequences: Seq[Sequence], folds: Mapping[str, int]) -> tuple[float, int]:
    """(error of the text mean over that of standing still, scenes): the ratio of the two means over
    the sequences that move.

    The text mean of a sequence is fitted to those of the other folds, `folds` says by name which
    one is whose. ValueError where nothing moves, or all are in one fold.
    """
    errors = []
    for number in sorted(set(folds.values())):
        fitted = [sequence for sequence in sequences if folds[sequence.name] != number]
        text_mean = TextMean.fit(fitted)
        errors += [_errors(s, text_mean) for s in sequences if folds[s.name] == number]
    known = np.array([error for error in errors if error is not None])
    if not len(known):
        raise ValueError("in no sequence does a visible point move more than 2 cm")
    return float(known[:, 0].sum() / known[:, 1].sum()), len(known)


def _errors(sequence: Sequence, text_mean: TextMean) -> tuple[float, float] | None:
    """(of the text mean, of standing still); None where nothing moves."""
    try:
        still = metrics.end_point_error(static_tracks(sequence), sequence.positions, sequence.visible)
    except ValueError:
        return None
    return metrics.end_point_error(text_mean.tracks(sequence), sequence.positions, sequence.visible), still


def without_pictures(sequence: Sequence) -> Sequence:
    """The sequence's tracks alone, to be kept by the hundred."""
    return replace(sequence, video=sequence.video[:, :0], reference=(), futures_m=None)
