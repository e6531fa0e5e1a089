"""Cases that a predictor makes: it is asked for the truth's anchors, from seeds that can be used again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt8

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.sequence import Sequence, read_sequence
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.anchors import choose_anchors
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.evaluation.case import Case, at_anchors, observation_of, whole_anchors
from syncmv4d_model.types import Cameras, Observation, Prediction

NO_LABELS = "the method labels no point: it has no aligner"


@runtime_checkable
class SupportsPrediction(Protocol):
    """What the harness needs of a method: predictor.Predictor, or anything like it."""

    @property
    def config(self) -> ModelConfig: ...

    def predict(
        self, observation: Observation, *, steps: int | None, seed: int, anchors_px: Float[np.ndarray, "V K 2"] | None
    ) -> Prediction: ...

    def find_windows(self, observation: Observation) -> tuple[Float64[np.ndarray, "V 4"], list[str]]: ...


@runtime_checkable
class SupportsCodec(Protocol):
    """A method that can also encode and decode true tracks, which gives the codec's own error."""

    def codec_round_trip(
        self,
        cameras: Cameras,
        points_world: Float[np.ndarray, "V T P 3"],
        anchors_px: Float[np.ndarray, "V P 2"],
        chosen: Int[np.ndarray, "V K"],
    ) -> tuple[Float[np.ndarray, "V T K 3"], Bool[np.ndarray, "V T K"]]: ...

    def codec_video(self, video: UInt8[np.ndarray, "V T H W 3"]) -> UInt8[np.ndarray, "V T H W 3"]: ...


def read_as_seen(predictor: SupportsPrediction, directory: Path) -> Sequence:
    """Read a sequence in the windows that the predictor finds in its whole first images. Errors as read_sequence."""
    sequence = read_sequence(directory)
    windows_px, _ = predictor.find_windows(observation_of(sequence))
    if np.array_equal(windows_px, sequence.windows):
        return sequence
    return read_sequence(directory, windows_px=windows_px)


def make_case(
    predictor: SupportsPrediction | None,
    sequence: Sequence,
    *,
    seeds: list[int],
    steps: int | None = None,
    text_mean: TextMean | None = None,
) -> Case:
    """Run `predictor` on one sequence, which must be in its windows (`read_as_seen`), as its answer is compared there.

    seeds[0] chooses the anchors, each further one makes a sample. ValueError for other windows and sizes than the predictor's.
    """
    if predictor is None:
        return Case(sequence, text_mean_tracks=text_mean.tracks(sequence) if text_mean is not None else None)
    _check_size(sequence, predictor.config)
    chosen = choose_anchors(sequence, predictor.config.num_points, seed=seeds[0])
    truth, observation = at_anchors(sequence, chosen), observation_of(sequence)
    anchors_px = whole_anchors(truth)
    started = time.perf_counter()
    predictions = []
    for sample_seed in seeds[1:]:
        predictions.append(predictor.predict(observation, steps=steps, seed=int(sample_seed), anchors_px=anchors_px))
    seconds = (time.perf_counter() - started) / len(predictions)
    _check_windows(sequence, predictions[0])
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
        absent={} if predictor.config.switches.aligner else {"label": NO_LABELS},
        true_foreground=_true_foreground(sequence, predictor.config) if with_tracks else None,
        foreground=_foreground(predictions[0], predictor.config) if with_tracks else None,
        seconds=seconds,
    )


def cameras_of(sequence: Sequence) -> Cameras:
    """The cameras of a sequence's windows, as a batch of one."""
    import torch

    return Cameras(
        torch.from_numpy(sequence.intrinsics)[None].float(),
        torch.from_numpy(sequence.camera_from_world)[None].float(),
        *sequence.video.shape[2:4],
    )


def _check_size(sequence: Sequence, config: ModelConfig) -> None:
    """The videos must be what the model makes, or no frame and no pixel corresponds."""
    frames, height, width = sequence.video.shape[1:4]
    wanted = (config.num_frames, config.height, config.width)
    if (frames, height, width) != wanted:
        raise ValueError(
            f"{sequence.name} is {frames} x {height} x {width}, the model makes {' x '.join(map(str, wanted))}"
        )


def _check_windows(sequence: Sequence, prediction: Prediction) -> None:
    if not np.allclose(prediction.windows_px, sequence.windows, atol=1e-3):
        raise ValueError(
            f"{sequence.name} was read in the windows {sequence.windows.round(1).tolist()},"
            f" the model saw {prediction.windows_px.round(1).tolist()}"
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
    positions, valid = predictor.codec_round_trip(cameras_of(sequence), sequence.positions, sequence.anchors_px, chosen)
    return metrics.filled_in_time(positions, valid, first_frame=at_anchors(sequence, chosen).positions[:, 0])


def _foreground(prediction: Prediction, config: ModelConfig) -> Bool[np.ndarray, "V T H W"]:
    import torch

    from syncmv4d_model.motion.pseudo_video import foreground

    return foreground(torch.from_numpy(prediction.pseudo_video), config.motion).numpy()


def _true_foreground(sequence: Sequence, config: ModelConfig) -> Bool[np.ndarray, "V T H W"]:
    """Foreground of the pseudo video that the true tracks make: what the model learned to draw."""
    import torch

    from syncmv4d_model.motion.pseudo_video import foreground, project_normalise

    points = torch.from_numpy(sequence.positions)[None].float()
    pseudo_video = project_normalise(
        points, torch.from_numpy(sequence.anchors_px)[None].float(), cameras_of(sequence), torch.from_numpy(sequence.depth_scale)[None],
        motion=config.motion, splat_px=config.motion.dense_splat_px,
    )  # fmt: skip
    return foreground(pseudo_video[0], config.motion).numpy()
