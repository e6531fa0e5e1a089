"""The truth is read and scored in the windows that a method sees, whatever they are."""

from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.sequence import read_sequence, write_sequence
from syncmv4d_model.data.window import from_window, window_intrinsics
from syncmv4d_model.evaluation.case import observation_of, whole_anchors
from syncmv4d_model.evaluation.methods import Predicted, Written
from syncmv4d_model.evaluation.scenes import row_of
from syncmv4d_model.evaluation.scores import score
from syncmv4d_model.evaluation.written import METHODS, WrittenPredictions
from tests.model.scene_folders import perfect_prediction
from tests.model.test_sequence import windowed_sequence

SIZE = {"height": 32, "width": 32}
OTHER = np.array([[8.0, 4, 36, 36], [36, 16, 40, 40], [0, 12, 30, 30]])
"""Other windows than the data set's."""


class Sees:
    """A predictor without error that looks at given windows; it keeps what it was asked."""

    def __init__(self, directory, windows_px):
        self.directory, self.windows_px, self.asked = directory, windows_px, []
        self.config = replace(ModelConfig(), num_frames=5, **SIZE, num_points=30)

    def find_windows(self, observation):
        return self.windows_px, []

    def predict(self, observation, *, steps, seed, anchors_px):
        self.asked.append((observation, anchors_px))
        return perfect_prediction(read_sequence(self.directory, windows_px=self.windows_px))


@pytest.fixture
def directory(tmp_path):
    sequence, truths, _ = windowed_sequence()
    write_sequence(tmp_path / "data" / "000000", sequence, truths)
    return tmp_path / "data" / "000000"


def test_a_predictor_is_given_whole_images_and_scored_in_its_own_windows(directory):
    predictor = Sees(directory, OTHER)
    method = Predicted(predictor)
    truth = method.read(directory)
    case = method.case(truth, 0)
    ((observation, anchors_px),) = predictor.asked
    assert [image.shape for image in observation.images] == [(60, 80, 3)] * 3
    assert np.array_equal(observation.intrinsics, observation_of(truth).intrinsics)
    assert np.array_equal(truth.windows, OTHER)
    assert np.allclose(anchors_px, whole_anchors(read_sequence(directory)), atol=1e-4)
    values, _ = score(case)
    assert values["end_point_error_cm"] == pytest.approx(0, abs=1e-5) and values["video_mse"] == 0


def test_the_anchors_of_a_row_are_the_same_in_any_window(directory):
    rows = []
    for windows_px in (OTHER, read_sequence(directory).windows):
        method = Predicted(Sees(directory, windows_px))
        case = method.case(method.read(directory), 0)
        rows.append(row_of(case, score(case)[0]))
    assert rows[0]["anchors"] == rows[1]["anchors"]


def test_a_prediction_of_other_windows_than_the_truths_is_refused(directory):
    method = Predicted(Sees(directory, OTHER))
    with pytest.raises(ValueError, match="000000 was read in the windows .* the model saw"):
        method.case(read_sequence(directory), 0)


def written(folder, sequence, **more) -> Written:
    (folder / "000000").mkdir(parents=True)
    anchors_px = from_window(sequence.anchors_px, sequence.windows, **SIZE)
    np.savez(folder / "000000" / "tracks.npz", positions=sequence.positions, anchors_px=anchors_px, **more)
    return Written(WrittenPredictions(folder, METHODS["tracks"]), seed=0)


def test_written_tracks_say_by_their_intrinsics_what_part_of_the_images_their_videos_show(directory, tmp_path):
    stored = read_sequence(directory)
    k = window_intrinsics(stored.whole_intrinsics, OTHER, **SIZE)
    method = written(tmp_path / "out", stored, intrinsics=k, video_size=np.array([[32, 32]] * 3))
    truth = method.read(directory)
    assert np.allclose(truth.windows, OTHER, atol=1e-6)
    case = method.case(truth, 0)
    assert case.decoded.all()
    assert score(case)[0]["end_point_error_cm"] == pytest.approx(0, abs=1e-5)


def test_written_tracks_that_do_not_say_it_are_scored_in_the_data_sets_windows(directory, tmp_path):
    stored = read_sequence(directory)
    method = written(tmp_path / "out", stored)
    assert np.array_equal(method.read(directory).windows, stored.windows)
    assert method.case(stored, 0).decoded.all()


@pytest.mark.parametrize(
    ("intrinsics", "message"),
    [(-np.eye(3), "positive focal lengths"), (np.full((3, 3), np.nan), "must be finite")],
)
def test_intrinsics_of_no_window_are_refused(directory, tmp_path, intrinsics, message):
    stored = read_sequence(directory)
    method = written(
        tmp_path / "out", stored, intrinsics=np.stack([intrinsics] * 3), video_size=np.array([[32, 32]] * 3)
    )
    with pytest.raises(ValueError, match=message):
        method.read(directory)
