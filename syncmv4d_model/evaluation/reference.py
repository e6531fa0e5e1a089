"""The reference rows as methods of their own, with every score that a method has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from syncmv4d_model.data.sequence import FUTURES_FILE, Sequence, read_sequence
from syncmv4d_model.evaluation.baselines import (
    TextMean,
    floor_mean_tracks,
    floor_sample_tracks,
    static_tracks,
    static_video,
)
from syncmv4d_model.evaluation.case import Case, at_anchors, whole_anchors
from syncmv4d_model.types import Prediction

ReferenceName = Literal["static", "text_mean", "floor_mean", "floor_sample"]
_ABSENT = "a reference row says nothing of it"
_SAID = {"text_mean": "text mean", "floor_mean": "mean of the futures", "floor_sample": "redrawn future"}


@dataclass(frozen=True)
class Reference:
    """The true frame 0, which no model is given: held still, moved as training sequences of the same text moved on average, or as
    the scene's own redrawn futures do, on average or the first of them.
    """

    name: ReferenceName

    def read(self, directory: Path) -> Sequence:
        """The truth in the windows that it was stored for."""
        return read_sequence(directory)

    def case(self, sequence: Sequence, chosen: Int[np.ndarray, "V K"], *, text_mean: TextMean | None = None) -> Case:
        """What the reference answers for a sequence, at the chosen anchors of the truth. ValueError for text_mean without one,
        and for a floor of a sequence without futures.
        """
        truth = at_anchors(sequence, chosen)
        mean = None if text_mean is None else text_mean.tracks(truth)
        absent: dict[str, str] = dict.fromkeys(("visible", "stddev", "label", "depth_scale"), _ABSENT)
        tracks, video = self._tracks(truth, mean), np.zeros((*truth.video.shape[:2], 0, 0, 3), np.uint8)
        if self.name == "static":
            video = static_video(truth)
        else:
            absent["video"] = f"the {_SAID[self.name]} moves points and draws no video"
        tracks = np.ascontiguousarray(tracks, np.float32)
        views, frames, points = tracks.shape[:3]
        answer = Prediction(
            video=video,
            pseudo_video=np.zeros(video.shape, np.float32),
            tracks=tracks,
            coarse_tracks=tracks,
            visible=np.zeros((views, frames, points), bool),
            stddev=np.zeros((views, frames, points), np.float32),
            label=np.zeros((views, points), np.uint8),
            anchors_px=whole_anchors(truth),
            windows_px=truth.windows,
            intrinsics=truth.intrinsics,
            depth_scale=np.zeros((views, 2), np.float32),
            frame_period_s=truth.frame_period_s,
            seed=0,
        )
        return Case(
            truth,
            text_mean_tracks=mean,
            samples=(answer,),
            tracks=(tracks,),
            decoded=np.ones(tracks.shape[:3], bool),
            absent=absent,
        )

    def _tracks(self, truth: Sequence, text_mean: Float[np.ndarray, "V T K 3"] | None) -> Float[np.ndarray, "V T K 3"]:
        if self.name == "static":
            return static_tracks(truth)
        if self.name != "text_mean":
            if truth.futures_m is None:
                raise ValueError(f"the reference {self.name} needs redrawn futures: {truth.name} has no {FUTURES_FILE}")
            return floor_mean_tracks(truth) if self.name == "floor_mean" else floor_sample_tracks(truth)
        if text_mean is None:
            raise ValueError("the reference text_mean needs a text mean: neither checkpoint nor data set has one")
        return text_mean


REFERENCES: dict[str, Reference] = {name: Reference(name) for name in get_args(ReferenceName)}
