"""One sequence to be scored: the truth at the chosen anchors, and what a method made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from syncmv4d_model import geometry
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.data.window import from_window
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.baselines import (
    floor_mean_tracks,
    floor_sample_tracks,
    label_motion,
    static_tracks,
    static_video,
)
from syncmv4d_model.evaluation.image_networks import ImageNetworks
from syncmv4d_model.evaluation.metrics.lengths import lengths
from syncmv4d_model.evaluation.metrics.multi_view import MINIMUM_PAIRS
from syncmv4d_model.types import LABELS, Observation, Prediction

IDENTITIES = "identities"
"""The name, in Case.absent, of knowing which point is which from frame to frame."""


@dataclass(frozen=True)
class Case:
    """Input of every entry in `scores.SCORES`; what is None was not made, and the scores that need it are null.

    What several scores ask for is computed once and kept.
    """

    truth: Sequence  # at the chosen anchors only
    text_mean_tracks: Float[np.ndarray, "V T K 3"] | None = None
    samples: tuple[Prediction, ...] = ()  # the first one is scored; more tell about the distribution
    tracks: tuple[Float[np.ndarray, "V T K 3"], ...] = ()  # of each sample, filled in time
    decoded: Bool[np.ndarray, "V T K"] | None = None  # where the first sample had a position of its own
    answered: Bool[np.ndarray, "V K"] | None = None  # which points the method says anything of; None: all
    codec_tracks: Float[np.ndarray, "V T K 3"] | None = None  # the truth after encode and decode, filled in time
    codec_video: UInt8[np.ndarray, "V T H W 3"] | None = None  # the true video after encode and decode
    other_scene: Mapping[int, Float[np.ndarray, "T 3"]] | None = (
        None  # label motion predicted for another scene of the triplet
    )
    absent: Mapping[str, str] = field(default_factory=dict)  # fields of a sample that were not made, and why
    true_foreground: Bool[np.ndarray, "V T H W"] | None = None
    foreground: Bool[np.ndarray, "V T H W"] | None = None
    seconds: float | None = None  # wall time of one sample
    networks: ImageNetworks = field(default_factory=lambda: ImageNetworks({}))  # none is asked unless it says so

    @property
    def prediction(self) -> Prediction:
        """The first sample; ValueError when nothing was predicted."""
        if not self.samples:
            raise ValueError("nothing was predicted")
        return self.samples[0]

    def given(self, name: str) -> np.ndarray:
        """A field of the first sample; ValueError, saying why, where the method does not make it."""
        if name in self.absent:
            raise ValueError(self.absent[name])
        return getattr(self.prediction, name)

    @property
    def predicted(self) -> Float[np.ndarray, "V T K 3"]:
        """Tracks of the first sample; ValueError when the method makes none."""
        if not self.tracks:
            raise ValueError("the method predicts no tracks")
        return self.tracks[0]

    @cached_property
    def motion_by_label(self) -> dict[int, Float[np.ndarray, "T 3"]]:
        """baselines.label_motion of `predicted`, and its errors; the next scene of the triplet asks for it too."""
        return label_motion(self.predicted, self.truth.label)

    @cached_property
    def predicted_in_cameras(self) -> Float[np.ndarray, "V T K 3"]:
        """`predicted` in each view's own camera frame, and its errors."""
        return in_cameras(self.truth, self.predicted)

    @cached_property
    def true_in_cameras(self) -> Float[np.ndarray, "V T K 3"]:
        """The truth in each view's own camera frame."""
        return in_cameras(self.truth, self.truth.positions.astype(np.float64))

    @cached_property
    def true_pixels(self) -> Float[np.ndarray, "V T K 2"]:
        """Where each view's own camera sees the true points."""
        return geometry.project(self.truth.intrinsics[:, None], self.true_in_cameras)

    @cached_property
    def true_trees(self) -> tuple[metrics.SearchTree, ...]:
        """metrics.search_trees of the truth, all views' points of a frame together."""
        return metrics.search_trees(by_frame(self.truth.positions))

    @cached_property
    def tool_motion_error(self) -> tuple[float, float]:
        """metrics.rigid_motion_error of the points that truly are the tool's, and its errors."""
        return self._motion_error("tool", self.predicted)

    @cached_property
    def target_motion_error(self) -> tuple[float, float]:
        """The target's."""
        return self._motion_error("target", self.predicted)

    @cached_property
    def static_tool_motion_error(self) -> tuple[float, float]:
        """The tool's where nothing moves."""
        return self._motion_error("tool", static_tracks(self.truth))

    @cached_property
    def floor_mean(self) -> Float[np.ndarray, "V T K 3"]:
        """baselines.floor_mean_tracks of the truth, and its errors."""
        return floor_mean_tracks(self.truth)

    @cached_property
    def floor_sample(self) -> Float[np.ndarray, "V T K 3"]:
        """baselines.floor_sample_tracks of the truth, and its errors."""
        return floor_sample_tracks(self.truth)

    @cached_property
    def floor_mean_tool_motion_error(self) -> tuple[float, float]:
        """As `tool_motion_error`, of `floor_mean`."""
        return self._motion_error("tool", self.floor_mean)

    @cached_property
    def floor_sample_tool_motion_error(self) -> tuple[float, float]:
        """As `tool_motion_error`, of `floor_sample`."""
        return self._motion_error("tool", self.floor_sample)

    def _motion_error(self, label: str, tracks: Float[np.ndarray, "V T K 3"]) -> tuple[float, float]:
        own = self.truth.label == LABELS.index(label)
        bodies = (np.swapaxes(np.moveaxis(points, 1, 2)[own], 0, 1) for points in (tracks, self.truth.positions))
        return metrics.rigid_motion_error(*bodies)

    @cached_property
    def video_mse(self) -> float:
        """metrics.video_mean_squared_error of the first sample, and its errors."""
        return metrics.video_mean_squared_error(self.given("video"), self.truth.video)

    @cached_property
    def static_video_mse(self) -> float:
        """The same where nothing moves."""
        return metrics.video_mean_squared_error(static_video(self.truth), self.truth.video)

    @cached_property
    def ssims(self) -> tuple[float, ...]:
        """metrics.ssim where nothing moves, and of the first sample where it has a video of the truth's shape; and the metric's errors."""
        made = [] if not self.samples or "video" in self.absent else [self.prediction.video]
        made = [video for video in made if video.shape == self.truth.video.shape]
        return metrics.ssim_of_each([static_video(self.truth), *made], self.truth.video)

    @property
    def seen_with_stddev(self) -> Bool[np.ndarray, "V T K"]:
        """Where the truth sees a point; without the places where the method has written no position and no stddev either."""
        stddev, seen = self.given("stddev"), self.truth.visible
        return seen if self.decoded is None else seen & (self.decoded | ~np.isnan(stddev))

    @property
    def visible_after_first_frame(self) -> tuple[Bool[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
        """(predicted, true), frames n >= 1, of the points that the method says anything of; and the errors of `given`."""
        predicted, true = (visible[:, 1:] for visible in (self.given("visible"), self.truth.visible))
        answered = (
            np.ones(true.shape, bool) if self.answered is None else np.broadcast_to(self.answered[:, None], true.shape)
        )
        return predicted[answered], true[answered]

    @cached_property
    def seen_errors_and_stddev(self) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N"]]:
        """Of the points that the truth sees, all frames, metres: error of `predicted`, and its stddev; and the errors of both."""
        seen = self.seen_with_stddev
        return (self.predicted.astype(np.float64) - self.truth.positions)[seen], self.given("stddev")[seen]

    @cached_property
    def ranked_deviations(self) -> metrics.RankedDeviations:
        """Of `predicted` and its stddev, and its errors."""
        truth = self.truth
        distance = lengths(self.predicted.astype(np.float64) - truth.positions)
        return metrics.RankedDeviations(distance, self.given("stddev"), self.seen_with_stddev, truth.label)

    @cached_property
    def paired_views(self) -> list[tuple[int, int, Int[np.ndarray, "N"], Int[np.ndarray, "N"]]]:
        """(view i, view j, indices of i's points, of j's) of views that share at least MINIMUM_PAIRS pieces of surface."""
        first_frame, label, pairs = self.truth.positions[:, 0], self.truth.label, []
        for i, j in combinations(range(len(label)), 2):
            first, second = metrics.corresponding_points(
                first_frame[i], first_frame[j], first_label=label[i], second_label=label[j]
            )
            if len(first) >= MINIMUM_PAIRS:
                pairs.append((i, j, first, second))
        return pairs

    @cached_property
    def shared_points(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """(predicted [2 T N 3], true [2 T N 3], visible [2 T N], camera_from_world [2 4 4]) of each of `paired_views`, in the two views'
        own camera frames, without the frames where they see no common point; and `predicted`'s errors.
        """
        shared, arrays = [], (self.predicted_in_cameras, self.true_in_cameras, self.truth.visible)
        for i, j, first, second in self.paired_views:
            predicted, true, visible = (np.stack([array[i][:, first], array[j][:, second]]) for array in arrays)
            seen = (visible[0] & visible[1]).any(1)
            if seen.any():
                cameras = self.truth.camera_from_world[[i, j]]
                shared.append((predicted[:, seen], true[:, seen], visible[:, seen], cameras))
        return shared

    @cached_property
    def shared_places(self) -> list[tuple[int, int, metrics.SharedPlaces]]:
        """(view i, view j, where both see the same true point) of each of `paired_views` that have such a place; and its errors."""
        shared, pixels, visible, size = [], self.true_pixels, self.truth.visible, self.truth.video.shape[2:4]
        for i, j, first, second in self.paired_views:
            seen = visible[i][:, first] & visible[j][:, second]
            if seen[1:].any():
                where = pixels[i][:, first], pixels[j][:, second]
                shared.append((i, j, metrics.SharedPlaces.of(*where, seen, size=size)))
        return shared

    @cached_property
    def own_view_errors(self) -> tuple[float, float]:
        """(RPE, PI), mean over views; frames where a view sees no point of its own are left out."""
        values = []
        for p, g, visible in zip(self.predicted_in_cameras, self.true_in_cameras, self.truth.visible, strict=True):
            seen = visible.any(1)
            values.append(metrics.point_error_and_inliers(p[seen], g[seen], visible[seen]))
        return _mean_pair(values)

    @cached_property
    def shared_view_errors_a(self) -> tuple[float, float]:
        """Multi-view (RPE, PI) against the truth in the other view, mean over pairs of views on the points that could be paired.

        Frames where the two views share no visible point are left out, and pairs of views with fewer than `MINIMUM_PAIRS`
        points; ValueError when no pair of views is left.
        """
        return self._shared_view_errors("a")

    @cached_property
    def shared_view_errors_b(self) -> tuple[float, float]:
        """The same against the other view's own prediction."""
        return self._shared_view_errors("b")

    def _shared_view_errors(self, reading: metrics.Reading) -> tuple[float, float]:
        if not self.shared_points:
            raise ValueError(f"no two views share {MINIMUM_PAIRS} points within 5 mm")
        return _mean_pair([metrics.multi_view_error_and_inliers(*points, reading) for points in self.shared_points])


def _mean_pair(values: list[tuple[float, float]]) -> tuple[float, float]:
    first, second = np.mean(values, axis=0)
    return float(first), float(second)


def at_anchors(sequence: Sequence, chosen: Int[np.ndarray, "V K"]) -> Sequence:
    """The same sequence with the chosen points of each view only."""
    rows, futures = np.arange(len(chosen))[:, None], sequence.futures_m
    return dataclasses.replace(
        sequence,
        positions=np.ascontiguousarray(np.moveaxis(sequence.positions[rows, :, chosen], 1, 2)),
        visible=np.ascontiguousarray(np.moveaxis(sequence.visible[rows, :, chosen], 1, 2)),
        label=sequence.label[rows, chosen],
        anchors_px=sequence.anchors_px[rows, chosen],
        futures_m=None if futures is None else np.moveaxis(futures[:, rows, :, chosen], (2, 3), (0, 2)),
    )


def observation_of(sequence: Sequence) -> Observation:
    """What the cameras saw at frame 0, all that a method is given besides the anchors: whole images."""
    return Observation(
        images=tuple(np.ascontiguousarray(image) for image in sequence.whole_images),
        intrinsics=sequence.whole_intrinsics,
        camera_from_world=sequence.camera_from_world,
        task=sequence.task,
        view_names=sequence.view_names,
    )


def whole_anchors(sequence: Sequence) -> Float32[np.ndarray, "V K 2"]:
    """The anchors as pixels of the whole first images."""
    height, width = sequence.video.shape[2:4]
    return from_window(sequence.anchors_px, sequence.windows, height=height, width=width)


def by_frame(tracks: Float[np.ndarray, "V T K 3"]) -> Float[np.ndarray, "T N 3"]:
    """All views' points of a frame together."""
    return np.swapaxes(tracks, 0, 1).reshape(tracks.shape[1], -1, 3)


def in_cameras(sequence: Sequence, tracks: Float[np.ndarray, "V T K 3"]) -> Float[np.ndarray, "V T K 3"]:
    """World tracks in their own view's camera frame."""
    return geometry.transform(sequence.camera_from_world[:, None], tracks)
