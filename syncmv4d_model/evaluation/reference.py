"""The reference rows as methods of their own, with every score that a method has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from syncmv4d_model.data.sequence import Sequence, read_sequence
from syncmv4d_model.evaluation.baselines import TextMean, static_tracks, static_video
from syncmv4d_model.evaluation.case import Case, at_anchors, whole_anchors
from syncmv4d_model.types import Prediction

ReferenceName = Literal["static", "text_mean"]
_ABSENT = "a reference row says nothing of it"


@dataclass(frozen=True)
class Reference:
    """The true frame 0, which no model is given: held still, or moved as training sequences of the same text moved on average."""

    name: ReferenceName

    def read(self, directory: Path) -> Sequence:
        """The truth in the windows that it was stored for."""
        return read_sequence(directory)

    def case(self, sequence: Sequence, chosen: Int[np.ndarray, "V K"], *, text_mean: TextMean | None = None) -> Case:
        """What the reference answers for a sequence, at the chosen anchors of the truth. ValueError for text_mean without one."""
        truth = at_anchors(sequence, chosen)
        mean = None if text_mean is None else text_mean.tracks(truth)
        absent: dict[str, str] = dict.fromkeys(("visible", "stddev", "label", "depth_scale"), _ABSENT)
        if self.name == "static":
            tracks, video = static_tracks(truth), static_video(truth)
        else:
            if mean is None:
                raise ValueError("the reference text_mean needs a text mean: neither checkpoint nor data set has one")
            tracks, video = mean, np.zeros((*truth.video.shape[:2], 0, 0, 3), np.uint8)
            absent["video"] = "the text mean moves points and draws no video"
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


REFERENCES: dict[str, Reference] = {"static": Reference("static"), "text_mean": Reference("text_mean")}
