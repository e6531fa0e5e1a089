"""Pictures of a prediction: what is known to be there is seen."""

from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_cli.contact_sheet import fit_tile
from syncmv4d_cli.preview import Overlay, draw_preview, draw_tracks, match_truth, prediction_overlays
from syncmv4d_model.evaluation.baselines import static_tracks
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.evaluation.metrics import end_point_error
from syncmv4d_model.geometry import project, transform
from syncmv4d_model.results import LABEL_COLOURS
from tests.model.scene_folders import perfect_prediction, small_sequence

BLACK = np.zeros((32, 32, 3), np.uint8)


def drawn(label: int, *, seen: bool, at=(10.0, 20.0)) -> np.ndarray:
    overlay = Overlay(np.array([[at]]), np.array([[seen]]), np.array([label], np.uint8))
    return np.asarray(draw_tracks(BLACK, overlay, 0, long_side_px=320))


@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_a_point_is_drawn_at_its_pixel_in_its_labels_colour(label):
    picture = drawn(label, seen=True)
    v, u = np.nonzero(picture.sum(-1))
    assert np.abs(np.array([u.mean(), v.mean()]) + 0.5 - [105, 205]).max() < 1.0
    assert tuple(picture[205, 105]) == LABEL_COLOURS[label]


def test_an_unseen_point_is_dimmer_and_smaller():
    seen, unseen = drawn(1, seen=True), drawn(1, seen=False)
    assert 0 < unseen.max() < seen.max()
    assert (unseen > 0).sum() < (seen > 0).sum()


def test_points_behind_the_camera_or_far_outside_draw_nothing():
    for at in ((np.nan, np.nan), (1e9, 5.0), (-500.0, 4.0)):
        assert not drawn(1, seen=True, at=at).any()


def test_a_moving_point_leaves_a_trail():
    path = np.stack([np.linspace(4, 28, 5), np.full(5, 16.0)], axis=-1)[:, None]
    overlay = Overlay(path, np.ones((5, 1), bool), np.array([2], np.uint8))
    picture = np.asarray(draw_tracks(BLACK, overlay, 4, long_side_px=320))
    assert picture[165, 245, 1] > picture[165, 115, 1] > 0


def test_tracks_are_projected_into_their_own_view():
    sequence = small_sequence()
    overlays = prediction_overlays(perfect_prediction(sequence), sequence.camera_from_world)
    for view, overlay in enumerate(overlays):
        in_camera = transform(sequence.camera_from_world[view], sequence.positions[view, 3].astype(float))
        assert np.allclose(overlay.pixels[3], project(sequence.intrinsics[view], in_camera), atol=1e-3)


def test_a_perfect_prediction_has_no_error_and_the_static_one_is_known():
    sequence = small_sequence()
    truth = match_truth(perfect_prediction(sequence), sequence)
    assert truth.same.all()
    assert truth.error_cm == pytest.approx(0, abs=1e-4)
    assert 4.5 < truth.static_error_cm < 5.5  # 2 cm a frame, 2 to 8 cm
    scored = end_point_error(static_tracks(sequence), sequence.positions, sequence.visible)
    assert truth.static_error_cm == pytest.approx(100 * scored)


def test_points_that_stay_still_do_not_make_the_error_of_moving_points_smaller():
    sequence = small_sequence()
    positions = sequence.positions.copy()
    positions[:, :, ::2] = positions[:, :1, ::2]
    halted = replace(sequence, positions=positions)
    off = replace(perfect_prediction(halted), tracks=positions + np.float32([0, 0, 0.03]))
    truth = match_truth(off, halted)
    assert truth.error_cm == pytest.approx(3, rel=1e-4)
    assert 4.5 < truth.static_error_cm < 5.5


def test_without_a_moving_point_there_is_no_error_to_show():
    still = replace(small_sequence(), positions=np.repeat(small_sequence().positions[:, :1], 5, axis=1))
    assert np.isnan(match_truth(perfect_prediction(still), still).error_cm)


def test_points_far_from_every_true_point_are_not_compared():
    sequence = small_sequence()
    prediction = perfect_prediction(sequence)
    away = replace(prediction, anchors_px=prediction.anchors_px + 100)
    truth = match_truth(away, sequence)
    assert not truth.same.any() and np.isnan(truth.error_cm)


@pytest.mark.parametrize("with_truth", [False, True])
@pytest.mark.parametrize("points", [30, 0])
def test_still_and_animation_have_even_sizes_and_every_frame(with_truth, points):
    sequence = small_sequence(points=30)
    prediction = perfect_prediction(sequence)
    kept = {name: getattr(prediction, name)[:, :, :points] for name in ("tracks", "coarse_tracks", "visible", "stddev")}
    kept |= {"label": prediction.label[:, :points], "anchors_px": prediction.anchors_px[:, :points]}
    prediction = replace(prediction, **kept)
    truth = match_truth(prediction, sequence) if with_truth else None
    preview = draw_preview(prediction, observation_of(sequence), note="nano", truth=truth)
    assert preview.still.shape[0] % 2 == preview.still.shape[1] % 2 == 0
    assert len(preview.frames) >= 5
    assert (preview.frames[0] != preview.frames[2]).any()
    assert (preview.frames[-1] == preview.frames[-2]).all()


def test_a_preview_of_one_view_one_frame_and_an_enormous_task_is_drawn():
    sequence = small_sequence(frames=1)
    prediction, observation = perfect_prediction(sequence), observation_of(sequence)
    observation = replace(observation, task="push\n" * 50_000)
    assert draw_preview(prediction, observation).still.shape[1] < 1500


def test_a_tile_keeps_the_shape_of_its_image():
    assert fit_tile(np.zeros((480, 704, 3), np.uint8), 240).size == (240, 164)
    assert fit_tile(np.zeros((96, 96, 3), np.uint8), 240).size == (240, 240)
