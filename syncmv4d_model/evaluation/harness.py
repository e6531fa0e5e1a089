"""Score a predictor, or the baselines alone, on one split of a data set.

The truth's anchors are given to the predictor: both are compared on the same points. Rules that decide what a number
means are part of the report.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.atomic import write_bytes
from syncmv4d_model.data.sequence import Sequence, list_sequences, read_sequence
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.anchors import choose_anchors
from syncmv4d_model.evaluation.baselines import TextMean, static_tracks
from syncmv4d_model.evaluation.case import Case, at_anchors, observation_of
from syncmv4d_model.evaluation.image_networks import NETWORK_RULES, ImageNetworks
from syncmv4d_model.evaluation.scores import CM_PER_M, RATIOS, score
from syncmv4d_model.evaluation.statistics import CONFIDENCE, RESAMPLES, summarise
from syncmv4d_model.types import Observation, Prediction

RULES = {
    "anchors": "a seeded subset of the truth's anchors, evenly spread over each view, given to the predictor",
    "track errors": "points whose truth moves more than 2 cm, at frames n >= 1 where the truth is visible; a position "
    "that was not decoded is interpolated in time, held at the ends, or the true frame 0",
    "still_point": "the same over points whose truth moves at most 2 cm: error against the truth, drift from the point's own "
    "predicted frame 0 (of the static guess, the truth's own small motion), and the length of the predicted path",
    "rpe, pi": "camera frame, fractions; frames where a view sees none of its points are left out",
    "multi_view": "mutual nearest true frame-0 points within 5 mm, same label; view pairs with fewer than 4 are left out",
    "own_motion, other_scene_motion": "the true frame 0, every label moved by the mean displacement predicted for its points; "
    "predicted for this scene, or for the one before of the same triplet; scenes that have one before them only",
    "tool_residual": "what one rigid motion from frame 0 leaves of the points that truly are the tool's",
    "chamfer_cm": "distance, both ways summed, all views' points of a frame together",
    "video": "8-bit values, all views, frames n >= 1",
    **NETWORK_RULES,
    "mean": "over points and frames of a sequence, then over the sequences that have the score; a ratio is the ratio of "
    "the two means",
    "intervals": f"{CONFIDENCE:.0%}, {RESAMPLES} bootstrap resamples over sequences, seeded",
}

Scored = tuple[dict[str, Any], dict[str, float | None], dict[str, str]]
"""A row of the report, its scores, and why those that are null are."""


@runtime_checkable
class SupportsPrediction(Protocol):
    """What the harness needs of a method: predictor.Predictor, or anything like it."""

    @property
    def config(self) -> ModelConfig: ...

    def predict(
        self, observation: Observation, *, steps: int | None, seed: int, anchors_px: Float[np.ndarray, "V K 2"] | None
    ) -> Prediction: ...


@runtime_checkable
class SupportsCodec(Protocol):
    """A method that can also encode and decode true tracks, which gives the codec's own error."""

    def codec_round_trip(
        self,
        observation: Observation,
        points_world: Float[np.ndarray, "V T P 3"],
        anchors_px: Float[np.ndarray, "V P 2"],
        chosen: Int[np.ndarray, "V K"],
    ) -> tuple[Float[np.ndarray, "V T K 3"], Bool[np.ndarray, "V T K"]]: ...

    def codec_video(self, video: UInt8[np.ndarray, "V T H W 3"]) -> UInt8[np.ndarray, "V T H W 3"]: ...


@dataclass(frozen=True)
class Report:
    """The result of an evaluation; `to_json` is the file that `syncmv4d evaluate --json` writes."""

    split: str
    sequences: int
    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    switches: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    bag: dict[str, Any] | None = None  # of a recording: what was read as what

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None} | {"rules": RULES}

    def write_json(self, path: Path) -> None:
        """Write the file whole or not at all; errors as atomic.write_bytes."""
        write_bytes(path, (json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n").encode())


def evaluate(
    predictor: SupportsPrediction | None,
    data_dir: Path,
    split: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    samples: int = 1,
    text_mean: TextMean | None = None,
    networks: ImageNetworks | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score `predictor` on the sequences of a split, in name order; None scores the baselines alone, on all anchors.

    `progress(done, total)` is called after each sequence. The scores of `networks` are null where none are given. Raises ValueError for a split that is missing or empty, and
    for sequences whose frame count or size is not the predictor's.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1, got {samples}")
    directories = list_sequences(data_dir, split, limit=limit)
    if not directories:
        raise ValueError(f"split {split!r} of {data_dir} has no sequence")

    def cases() -> Iterator[Case]:
        motions: dict[str, dict[int, np.ndarray]] = {}
        for index, directory in enumerate(directories):
            sequence = read_sequence(directory)
            seeds = scene_seeds(seed, index, samples=samples)
            made = make_case(predictor, sequence, seeds=seeds, steps=steps, text_mean=text_mean)
            case = replace(made, other_scene=motions.get(sequence.triplet))
            yield case if networks is None else replace(case, networks=networks)
            if case.tracks:
                motions[sequence.triplet] = case.motion_by_label
            if progress is not None:
                progress(index + 1, len(directories))

    return report_cases(
        cases(),
        split=split,
        switches=dict(vars(predictor.config.switches)) if predictor is not None else {},
        settings={"data": str(data_dir), "limit": limit, "seed": seed, "steps": steps, "samples": samples}
        | ({"networks": networks.settings()} if networks is not None else {}),
    )


def scene_seeds(seed: int, index: int, *, samples: int) -> list[int]:
    """Of the anchors, and of each sample, of the sequence at `index`: with them `make_case` makes again what was scored."""
    return np.random.SeedSequence([seed, index]).generate_state(samples + 1).tolist()


def report_cases(
    cases: Iterable[Case], *, split: str, switches: dict[str, Any], settings: dict[str, Any] | None = None
) -> Report:
    """Score cases one by one and summarise; `settings["seed"]` (default 0) draws the intervals.

    Raises ValueError when there is no case.
    """

    def scored() -> Iterator[Scored]:
        for case in cases:
            values, refused = score(case)
            yield row_of(case, values), values, refused

    return report_rows(scored(), RATIOS, split=split, switches=switches, settings=settings)


def report_rows(
    scored: Iterable[Scored],
    ratios: Mapping[str, tuple[str, str]],
    *,
    split: str,
    switches: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> Report:
    """Summarise what was scored already; as `report_cases`."""
    settings = settings or {}
    rows, scores, reasons = [], [], {}
    for row, values, refused in scored:
        rows.append(row)
        scores.append(values)
        reasons = refused | reasons
    means, intervals = summarise(scores, ratios, seed=settings.get("seed", 0))
    return Report(
        split=split,
        sequences=len(rows),
        metrics=means,
        intervals=intervals,
        switches=switches,
        settings=settings,
        not_computed=_reasons(means, reasons, ratios),
        rows=rows,
    )


def _reasons(
    means: Mapping[str, float | None], refused: Mapping[str, str], ratios: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Why each mean that is null is null; a ratio for the reason of its first part that has one."""
    reasons = {name: reason for name, reason in refused.items() if means[name] is None}
    for ratio, parts in ratios.items():
        if means[ratio] is None:
            why = [f"{part}: {reasons[part]}" for part in parts if part in reasons]
            reasons[ratio] = why[0] if why else f"{parts[1]} is 0, or no row has both {parts[0]} and {parts[1]}"
    return reasons


def make_case(
    predictor: SupportsPrediction | None,
    sequence: Sequence,
    *,
    seeds: list[int],
    steps: int | None = None,
    text_mean: TextMean | None = None,
) -> Case:
    """Run `predictor` on one sequence. seeds[0] chooses the anchors, each further one makes a sample."""
    if predictor is None:
        return Case(sequence, text_mean_tracks=text_mean.tracks(sequence) if text_mean is not None else None)
    _check_size(sequence, predictor.config)
    chosen = choose_anchors(sequence, predictor.config.num_points, seed=seeds[0])
    truth, observation = at_anchors(sequence, chosen), observation_of(sequence)
    started = time.perf_counter()
    predictions = []
    for sample_seed in seeds[1:]:
        predictions.append(
            predictor.predict(observation, steps=steps, seed=int(sample_seed), anchors_px=truth.anchors_px)
        )
    seconds = (time.perf_counter() - started) / len(predictions)
    tracked = [_filled(prediction, truth, predictor.config) for prediction in predictions]
    with_tracks = predictions[0].tracks.shape[2] > 0
    return Case(
        truth,
        text_mean_tracks=text_mean.tracks(truth) if text_mean is not None else None,
        samples=tuple(predictions),
        tracks=tuple(tracks for tracks, _ in tracked) if with_tracks else (),
        decoded=tracked[0][1] if with_tracks else None,
        codec_tracks=_codec_tracks(predictor, sequence, chosen) if with_tracks else None,
        codec_video=predictor.codec_video(sequence.video) if isinstance(predictor, SupportsCodec) else None,
        labelled=predictor.config.switches.aligner,
        true_foreground=_true_foreground(sequence, predictor.config) if with_tracks else None,
        foreground=_foreground(predictions[0], predictor.config) if with_tracks else None,
        seconds=seconds,
    )


def _check_size(sequence: Sequence, config: ModelConfig) -> None:
    """The videos must be what the model makes, or no frame and no pixel corresponds."""
    frames, height, width = sequence.video.shape[1:4]
    wanted = (config.num_frames, config.height, config.width)
    if (frames, height, width) != wanted:
        raise ValueError(
            f"{sequence.name} is {frames} x {height} x {width}, the model makes {' x '.join(map(str, wanted))}"
        )


def _filled(
    prediction: Prediction, truth: Sequence, config: ModelConfig
) -> tuple[Float[np.ndarray, "V T K 3"], Bool[np.ndarray, "V T K"]]:
    """Predicted tracks without gaps, and where they had none. Coarse tracks have a position only where visible."""
    if prediction.tracks.shape[2] == 0:
        return prediction.tracks.astype(np.float64), prediction.visible
    decoded = np.asarray(np.isfinite(prediction.tracks).all(-1))
    if not config.switches.aligner:
        decoded &= prediction.visible
    return metrics.filled_in_time(prediction.tracks, decoded, first_frame=truth.positions[:, 0]), decoded


def _codec_tracks(
    predictor: SupportsPrediction, sequence: Sequence, chosen: np.ndarray
) -> Float[np.ndarray, "V T K 3"] | None:
    if not isinstance(predictor, SupportsCodec):
        return None
    positions, valid = predictor.codec_round_trip(
        observation_of(sequence), sequence.positions, sequence.anchors_px, chosen
    )
    return metrics.filled_in_time(positions, valid, first_frame=at_anchors(sequence, chosen).positions[:, 0])


def _foreground(prediction: Prediction, config: ModelConfig) -> Bool[np.ndarray, "V T H W"]:
    import torch

    from syncmv4d_model.motion.pseudo_video import foreground

    return foreground(torch.from_numpy(prediction.pseudo_video), config.motion).numpy()


def _true_foreground(sequence: Sequence, config: ModelConfig) -> Bool[np.ndarray, "V T H W"]:
    """Foreground of the pseudo video that the true tracks make: what the model learned to draw."""
    import torch

    from syncmv4d_model.motion.pseudo_video import foreground, project_normalise
    from syncmv4d_model.types import Cameras

    cameras = Cameras(
        torch.from_numpy(sequence.intrinsics)[None].float(),
        torch.from_numpy(sequence.camera_from_world)[None].float(),
        *sequence.video.shape[2:4],
    )
    points = torch.from_numpy(sequence.positions)[None].float()
    pseudo_video = project_normalise(
        points, torch.from_numpy(sequence.anchors_px)[None].float(), cameras, torch.from_numpy(sequence.depth_scale)[None],
        motion=config.motion, splat_px=config.motion.dense_splat_px,
    )  # fmt: skip
    return foreground(pseudo_video[0], config.motion).numpy()


def row_of(case: Case, values: dict[str, float | None]) -> dict[str, Any]:
    """A sequence's line of the report: who it is, its scores, and the error of each frame n >= 1 (cm)."""
    truth, lines = case.truth, {"static": static_tracks(case.truth)}
    lines |= {"predicted": case.tracks[0]} if case.tracks else {}
    lines |= {"text_mean": case.text_mean_tracks} if case.text_mean_tracks is not None else {}
    over_time = {}
    if values["static_end_point_error_cm"] is not None:
        for name, tracks in lines.items():
            errors = metrics.error_over_time(tracks, truth.positions, truth.visible)
            over_time[name] = [None if error is None else CM_PER_M * error for error in errors]
    return {
        "sequence": truth.name,
        "task": truth.task,
        "triplet": truth.triplet,
        **values,
        "error_over_time_cm": over_time,
    }
