"""A method whose errors are known: the truth, changed."""

import dataclasses
from pathlib import Path

import numpy as np

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.observation import image_sizes
from syncmv4d_model.data.sequence import Sequence, list_sequences, read_sequence, write_sequence
from syncmv4d_model.data.window import largest_windows
from syncmv4d_model.evaluation.baselines import static_tracks, static_video
from syncmv4d_model.evaluation.case import at_anchors
from syncmv4d_model.evaluation.harness import Report, evaluate_method
from syncmv4d_model.evaluation.methods import Method, Predicted
from syncmv4d_model.types import Prediction
from tests.model.sliding_points import SIZE, T, V, sliding_sequence

CONFIG = dataclasses.replace(ModelConfig(), num_frames=T, height=SIZE, width=SIZE, num_points=24)


class KnownError:
    """Answers with the truth of the sequence whose first frame it is shown, changed by `change`."""

    def __init__(self, sequences: list[Sequence], change, *, config: ModelConfig = CONFIG) -> None:
        self.sequences, self.change, self.config = sequences, change, config
        self.seeds: list[int] = []

    def predict(self, observation, *, steps, seed, anchors_px) -> Prediction:
        self.seeds.append(seed)
        sequence = next(s for s in self.sequences if np.array_equal(s.whole_images, observation.images))
        where = [
            [np.flatnonzero((row == px).all(1))[0] for px in wanted]
            for row, wanted in zip(sequence.anchors_px, anchors_px, strict=True)
        ]
        truth = at_anchors(sequence, np.array(where))
        prediction = Prediction(
            video=truth.video,
            pseudo_video=np.zeros((V, T, SIZE, SIZE, 3), np.float32),
            tracks=truth.positions,
            coarse_tracks=truth.positions,
            visible=truth.visible,
            stddev=np.full(truth.visible.shape, 0.01, np.float32),
            label=truth.label,
            anchors_px=anchors_px,
            windows_px=truth.windows,
            intrinsics=truth.intrinsics,
            depth_scale=truth.depth_scale,
            frame_period_s=truth.frame_period_s,
            seed=seed,
        )
        return dataclasses.replace(prediction, **self.change(truth, seed))

    def find_windows(self, observation):
        return largest_windows(image_sizes(observation)), []

    def codec_round_trip(self, cameras, points_world, anchors_px, chosen):
        rows = np.arange(len(chosen))[:, None]
        positions = np.moveaxis(points_world[rows, :, chosen], 1, 2) + np.float32([0, 0, 0.01])
        return positions, np.ones(positions.shape[:-1], dtype=bool)

    def codec_video(self, video):
        return video // 2


def same(truth: Sequence, seed: int) -> dict:
    return {}


def frozen(truth: Sequence, seed: int) -> dict:
    return {"tracks": static_tracks(truth).copy(), "video": static_video(truth).copy()}


def shifted(truth: Sequence, seed: int) -> dict:
    return {"tracks": truth.positions + np.float32([0, 0.02 if seed % 2 else -0.02, 0])}


def scored_split(folder: Path, *, seed: int) -> tuple[Report, KnownError, Method, list[Path], list[int]]:
    """Four scenes, a method with two samples of each that is off, its report, and the seed of each scene's first sample."""
    for name in "abcd":
        write_sequence(folder / "test_1" / name, sliding_sequence(name))
    folders = list_sequences(folder, "test_1")
    predictor = KnownError([read_sequence(scene) for scene in folders], shifted)
    method = Predicted(predictor, seed, samples=2)
    report = evaluate_method(method, folder, "test_1")
    seeds, predictor.seeds = predictor.seeds[::2], []
    return report, predictor, method, folders, seeds
