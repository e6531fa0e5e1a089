"""Predictions that need no network: the reference rows that a model must beat, and the floors that it cannot undercut.

All start from the TRUE frame 0, which no model is given. The static row holds it still; the text-mean row moves it as
training sequences of the same text moved on average; the floors move it as the scene's own futures, drawn anew, do.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from syncmv4d_model.data.atomic import atomic_file
from syncmv4d_model.data.sequence import FUTURES_FILE, Sequence
from syncmv4d_model.types import LABELS


def static_tracks(sequence: Sequence) -> Float[np.ndarray, "V T K 3"]:
    """The true frame 0 held still, world metres."""
    return np.broadcast_to(sequence.positions[:, :1], sequence.positions.shape)


def static_video(sequence: Sequence) -> UInt8[np.ndarray, "V T H W 3"]:
    """The first frame of every view held still."""
    return np.broadcast_to(sequence.video[:, :1], sequence.video.shape)


def floor_mean_tracks(sequence: Sequence) -> Float[np.ndarray, "V T K 3"]:
    """The true frame 0 moved by the mean of the redrawn futures, world metres: of all answers the one with the least expected
    squared error, but for the 1 / F that F futures leave of their own variance. ValueError without futures.
    """
    return sequence.positions[:, :1] + _futures_of(sequence).mean(0, dtype=np.float64)


def floor_sample_tracks(sequence: Sequence) -> Float[np.ndarray, "V T K 3"]:
    """The true frame 0 moved by the first redrawn future: one honest sample, world metres. ValueError without futures."""
    return sequence.positions[:, :1] + _futures_of(sequence)[0].astype(np.float64)


def _futures_of(sequence: Sequence) -> Float[np.ndarray, "F V T K 3"]:
    if sequence.futures_m is None:
        raise ValueError(f"the sequence has no redrawn futures ({FUTURES_FILE})")
    return sequence.futures_m


def verb_of(triplet: str) -> str:
    """The verb of a triplet: first in TACO's folder form "(verb, tool, target)", second in "<tool, verb, target>"."""
    words = [word.strip() for word in triplet.strip().strip("()<>").split(",")]
    if len(words) != 3:
        raise ValueError(f"a triplet has three parts separated by commas, got {triplet!r}")
    return words[1] if triplet.strip().startswith("<") else words[0]


@dataclass(frozen=True)
class TextMean:
    """Mean displacement of the training sequences per triplet, label and frame (world axes, metres)."""

    triplets: tuple[str, ...]
    means: Float[np.ndarray, "N L T 3"]  # 0 where a triplet has no point of a label
    counts: Int[np.ndarray, "N L"]  # sequences that had points of the label

    @classmethod
    def fit(cls, sequences: Iterable[Sequence]) -> TextMean:
        """Average each sequence's points of a label, then the sequences of a triplet. ValueError without a sequence."""
        totals: dict[str, np.ndarray] = {}
        counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(LABELS), dtype=np.int64))
        for sequence in sequences:
            displacement = label_motion(sequence.positions, sequence.label)
            total = totals.setdefault(
                sequence.triplet, np.zeros((len(LABELS), *next(iter(displacement.values())).shape))
            )
            for label, mean in displacement.items():
                if mean.shape != total.shape[1:]:
                    raise ValueError(f"{sequence.name} has {len(mean)} frames, earlier sequences {total.shape[1]}")
                total[label] += mean
                counts[sequence.triplet][label] += 1
        if not totals:
            raise ValueError("the text mean needs at least one training sequence, got none")
        names = tuple(sorted(totals))
        count = np.stack([counts[name] for name in names])
        return cls(names, np.stack([totals[n] for n in names]) / np.maximum(count, 1)[..., None, None], count)

    def displacement(self, triplet: str, label: UInt8[np.ndarray, "K"]) -> Float[np.ndarray, "T K 3"]:
        """Expected displacement from frame 0 of points with these labels.

        An unseen triplet, or a label that it never had, takes the mean over training sequences of the same verb; an
        unseen verb the mean over all; a label that training never had does not move.
        """
        verb = verb_of(triplet)
        same_triplet = np.array([name == triplet for name in self.triplets])
        same_verb = np.array([verb_of(name) == verb for name in self.triplets])
        table = np.zeros_like(self.means[0])
        for value in range(len(LABELS)):
            for rows in (same_triplet, same_verb, np.ones_like(same_verb)):
                weight = self.counts[:, value] * rows
                if weight.any():
                    table[value] = np.tensordot(weight / weight.sum(), self.means[:, value], axes=1)
                    break
        return np.swapaxes(table[label], 0, 1)

    def tracks(self, sequence: Sequence) -> Float[np.ndarray, "V T K 3"]:
        """The true frame 0 moved by the expected displacement, world metres."""
        if self.means.shape[2] != sequence.positions.shape[1]:
            raise ValueError(f"the text mean has {self.means.shape[2]} frames, got {sequence.positions.shape[1]}")
        moved = np.stack([self.displacement(sequence.triplet, label) for label in sequence.label])
        return sequence.positions[:, :1] + moved

    def save(self, path: Path) -> None:
        """Write the table as safetensors, the triplets' names as JSON in its metadata."""
        from safetensors.numpy import save_file

        tensors = {"means": self.means.astype(np.float32), "counts": self.counts}
        with atomic_file(path) as partial:
            save_file(tensors, partial, metadata={"triplets": json.dumps(self.triplets)})

    @classmethod
    def load(cls, path: Path) -> TextMean:
        """Read what `save` wrote; ValueError for a file that is not a text mean."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata, names = file.metadata() or {}, set(file.keys())
                tensors = {name: file.get_tensor(name) for name in names}
            triplets = json.loads(metadata.get("triplets", "null"))
        except (SafetensorError, ValueError) as error:
            raise ValueError(f"{path} is truncated or not a text mean: {error}") from error
        if names != {"means", "counts"} or not isinstance(triplets, list):
            raise ValueError(f"{path} is not a text mean: it has {sorted(names)}")
        means, counts = tensors["means"].astype(np.float64), tensors["counts"]
        if means.ndim != 4 or means.shape[0] != len(triplets) or counts.shape != means.shape[:2]:
            raise ValueError(f"{path} has means {means.shape} and counts {counts.shape} for {len(triplets)} triplets")
        return cls(tuple(triplets), means, counts)


def label_motion(
    tracks: Float[np.ndarray, "V T K 3"], label: UInt8[np.ndarray, "V K"]
) -> dict[int, Float[np.ndarray, "T 3"]]:
    """Per label that there is the mean displacement from frame 0 of its points in all views."""
    moved = np.moveaxis(tracks - tracks[:, :1], 1, 2).astype(np.float64)  # V K T 3
    return {int(value): moved[label == value].mean(0) for value in np.unique(label)}
