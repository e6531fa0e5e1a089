"""Track errors, liveliness, uncertainty, classification and video metrics on cases whose answer is known by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.evaluation import metrics

V, T, K = 2, 5, 12


def moving_truth() -> tuple[np.ndarray, np.ndarray]:
    """Points of which the first half slides 4 cm per frame along x and the others stand; all visible."""
    start = np.random.default_rng(0).uniform(-0.2, 0.2, (V, 1, K, 3))
    positions = np.repeat(start, T, axis=1)
    positions[:, :, : K // 2, 0] += 0.04 * np.arange(T)[:, None]
    return positions, np.ones((V, T, K), dtype=bool)


def test_only_points_that_move_more_than_two_centimetres_are_scored():
    truth, visible = moving_truth()
    assert metrics.moving_points(truth).tolist() == [[True] * 6 + [False] * 6] * V
    predicted = truth.copy()
    predicted[:, :, K // 2 :] += 1.0
    assert metrics.end_point_error(predicted, truth, visible) == 0


def test_points_that_stay_still_are_scored_apart_by_place_drift_and_path():
    truth, visible = moving_truth()
    predicted = truth + np.array([0.0, 0.03, 0.04])
    predicted[:, :, : K // 2] += 1.0
    assert metrics.still_point_error(predicted, truth, visible) == pytest.approx(0.05)
    assert metrics.still_point_drift(predicted, truth, visible) == pytest.approx(0, abs=1e-12)
    predicted[:, 1::2] += np.array([0.01, 0, 0])
    assert metrics.still_point_drift(predicted, truth, visible) == pytest.approx(0.005)
    assert metrics.still_point_path(predicted, truth) == pytest.approx(0.04)
    static = np.broadcast_to(truth[:, :1], truth.shape)
    assert metrics.still_point_drift(static, truth, visible) == metrics.still_point_path(static, truth) == 0
    with pytest.raises(ValueError, match="points that move at most 2 cm"):
        metrics.still_point_drift(truth[:, :, : K // 2], truth[:, :, : K // 2], visible[:, :, : K // 2])


def test_a_constant_offset_is_end_point_and_first_frame_error_but_no_displacement_error():
    truth, visible = moving_truth()
    predicted = truth + np.array([0.0, 0.03, 0.04])
    assert metrics.end_point_error(predicted, truth, visible) == pytest.approx(0.05)
    assert metrics.first_frame_error(predicted, truth) == pytest.approx(0.05)
    assert metrics.displacement_error(predicted, truth, visible) == pytest.approx(0, abs=1e-12)


def test_a_frozen_prediction_has_the_mean_true_displacement_as_error():
    truth, visible = moving_truth()
    frozen = np.broadcast_to(truth[:, :1], truth.shape)
    assert metrics.end_point_error(frozen, truth, visible) == pytest.approx(0.04 * np.mean([1, 2, 3, 4]))
    assert metrics.displacement_error(frozen, truth, visible) == pytest.approx(0.10)
    assert metrics.error_over_time(frozen, truth, visible) == pytest.approx([0.04, 0.08, 0.12, 0.16])


def test_frames_where_the_truth_is_occluded_are_not_scored():
    truth, visible = moving_truth()
    visible[:, 3:] = False
    predicted = truth.copy()
    predicted[:, 3:] += 1.0
    assert metrics.end_point_error(predicted, truth, visible) == 0
    assert metrics.error_over_time(predicted, truth, visible) == [0, 0, None, None]


def test_without_a_moving_visible_point_there_is_no_error():
    truth, visible = moving_truth()
    still = np.broadcast_to(truth[:, :1], truth.shape)
    with pytest.raises(ValueError, match="move more than 2 cm"):
        metrics.end_point_error(still, still, visible)
    with pytest.raises(ValueError, match="move more than 2 cm"):
        metrics.end_point_error(truth, truth, np.zeros_like(visible))


def test_a_prediction_that_is_not_finite_is_refused_where_it_is_scored():
    truth, visible = moving_truth()
    predicted = truth.copy()
    predicted[0, 2, 0] = np.nan
    with pytest.raises(ValueError, match="predicted has 3 values that are not finite"):
        metrics.end_point_error(predicted, truth, visible)


def test_gaps_are_interpolated_ends_are_held_and_lost_points_stand_at_the_true_start():
    tracks = np.zeros((1, 5, 2, 3))
    tracks[0, :, 0, 0] = [9, 1, 9, 3, 9]
    decoded = np.zeros((1, 5, 2), dtype=bool)
    decoded[0, [1, 3], 0] = True
    filled = metrics.filled_in_time(tracks, decoded, first_frame=np.full((1, 2, 3), 7.0))
    assert filled[0, :, 0, 0].tolist() == [1, 1, 2, 3, 3]
    assert (filled[0, :, 1] == 7).all()


def test_path_length_ratio_is_one_for_the_truth_and_zero_for_a_frozen_prediction():
    truth = moving_truth()[0][0, :, : K // 2]
    assert metrics.path_length_ratio(truth, truth) == 1
    assert metrics.path_length_ratio(np.broadcast_to(truth[:1], truth.shape), truth) == 0
    with pytest.raises(ValueError, match="do not move in the truth"):
        metrics.path_length_ratio(truth, np.broadcast_to(truth[:1], truth.shape))


def test_corresponding_points_are_mutual_near_and_of_one_label():
    first = np.array([[0, 0, 0], [0.1, 0, 0], [0.2, 0, 0], [0.3, 0, 0]], dtype=np.float64)
    second = first[::-1] + np.array([0.001, 0, 0])
    second[0] += 0.01
    label = np.array([1, 1, 2, 1], dtype=np.uint8)
    a, b = metrics.corresponding_points(first, second, first_label=label, second_label=np.full(4, 1, np.uint8))
    assert a.tolist() == [0, 1]
    assert b.tolist() == [3, 2]


def test_the_multi_view_readings_part_when_all_views_err_alike():
    truth, visible = moving_truth()
    truth = np.repeat(truth[:1] + np.array([0, 0, 1.0]), 2, axis=0)
    wrong = truth + np.array([0, 0, 0.1])
    eye = np.stack([np.eye(4)] * 2)
    assert metrics.multi_view_relative_point_error(wrong, truth, visible, eye, reading="b") == 0
    assert metrics.multi_view_relative_point_error(wrong, truth, visible, eye, reading="a") > 0.05


def test_an_honest_normal_deviation_covers_68_and_95_percent():
    rng = np.random.default_rng(0)
    sigma = rng.uniform(0.01, 0.05, 20000)
    error = rng.normal(size=(20000, 3)) * sigma[:, None]
    assert metrics.stddev_coverage(error, sigma) == pytest.approx(0.683, abs=0.01)
    assert metrics.stddev_coverage(error, sigma, sigmas=2.0) == pytest.approx(0.954, abs=0.01)


def test_ranking_by_frame_alone_earns_nothing_within_frames():
    rng = np.random.default_rng(0)
    frame = np.broadcast_to(np.arange(1, T + 1)[None, :, None], (V, T, 40)).astype(np.float64)
    distance = frame * rng.uniform(0.5, 1.5, frame.shape)
    visible, label = np.ones(frame.shape, dtype=bool), np.ones((V, 40), dtype=np.uint8)
    only_time = frame + 1e-6 * rng.normal(size=frame.shape)
    assert metrics.stddev_spearman(distance, distance, visible, label) == pytest.approx(1)
    assert abs(metrics.stddev_spearman(distance, only_time, visible, label)) < 0.15
    assert metrics.stddev_spearman_pooled(distance, only_time, visible) > 0.7
    assert metrics.stddev_spearman_trivial(distance, distance, visible, label) == pytest.approx(
        metrics.stddev_spearman_pooled(distance, frame, visible), abs=0.02
    )


def test_equal_deviations_have_no_rank_correlation():
    ones = np.ones((V, T, K))
    with pytest.raises(ValueError, match="groups"):
        metrics.stddev_spearman(ones, ones, ones > 0, np.ones((V, K), dtype=np.uint8))


def test_never_saying_occluded_scores_zero_on_the_occluded_class():
    truth = np.array([True, True, True, False])
    assert metrics.visibility_f1_occluded(np.ones(4, dtype=bool), truth) == 0
    assert metrics.visibility_f1_occluded(truth, truth) == 1
    assert metrics.visibility_f1_occluded(np.array([True, True, False, False]), truth) == pytest.approx(2 / 3)
    assert metrics.visibility_balanced_accuracy(np.ones(4, dtype=bool), truth) == 0.5
    with pytest.raises(ValueError, match="occluded points"):
        metrics.visibility_f1_occluded(truth, np.ones(4, dtype=bool))


def test_label_recall_averages_over_the_labels_that_exist():
    truth = np.array([1, 1, 2, 2, 0], dtype=np.uint8)
    predicted = np.array([1, 2, 2, 2, 3], dtype=np.uint8)
    assert metrics.label_recall(predicted, truth, 1) == 0.5
    assert metrics.mean_label_recall(predicted, truth) == 0.75
    with pytest.raises(ValueError, match="points of label 3"):
        metrics.label_recall(predicted, truth, 3)


def test_psnr_of_an_error_of_one_level_is_48_decibels_and_frame_0_does_not_count():
    truth = np.full((1, 3, 4, 4, 3), 100, dtype=np.uint8)
    predicted = truth + np.uint8(1)
    predicted[:, 0] = 0
    assert metrics.psnr(predicted, truth) == pytest.approx(48.13, abs=0.01)
    with pytest.raises(ValueError, match="identical"):
        metrics.psnr(truth, truth)


def test_foreground_iou_and_depth_scale_error():
    a, b = np.array([True, True, False]), np.array([False, True, True])
    assert metrics.foreground_iou(a, b) == pytest.approx(1 / 3)
    assert metrics.depth_scale_error(np.array([[0.5, 1.0]]), np.array([[0.6, 0.9]])) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="foreground pixels"):
        metrics.foreground_iou(a & False, a & False)


@pytest.mark.parametrize(
    ("metric", "arguments"),
    [
        (metrics.motion_smoothness, [np.zeros((2, 4, 3))]),
        (metrics.motion_smoothness, [np.full((4, 4, 3), np.nan)]),
        (metrics.chamfer_distance, [np.zeros((0, 3)), np.zeros((4, 3))]),
        (metrics.chamfer_distance, [np.full((4, 3), np.inf), np.zeros((4, 3))]),
        (metrics.subject_consistency, [[np.ones((1, 8))]]),
        (metrics.subject_consistency, [[np.zeros((3, 8))]]),
        (metrics.clip_views, [np.ones((1, 3, 8))]),
        (metrics.matching_pixels, [[]]),
        (metrics.least_squares_scale, [np.zeros((4, 3)), np.ones((4, 3)), np.ones(4, dtype=bool)]),
        (metrics.relative_point_error, [np.ones((2, 4, 3)), np.ones((2, 4, 3)), np.zeros((2, 4), dtype=bool)]),
    ],
)
def test_a_metric_refuses_to_invent_a_number(metric, arguments):
    with pytest.raises(ValueError, match=r"\d"):
        metric(*arguments)


@given(st.integers(0, 2**31), st.integers(3, 30), st.floats(0, 0.02))
def test_what_rigid_motions_leave_of_a_body_is_its_noise_and_nothing_of_its_motion(seed, points, noise):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(points, 3)) * 0.1
    turns = Rotation.random(5, random_state=rng).as_matrix()
    tracks = np.concatenate([start[None], start @ turns.swapaxes(1, 2) + rng.normal(size=(5, 1, 3))])
    tracks[1:] += noise * rng.normal(size=tracks[1:].shape)
    left = metrics.rigid_residual(tracks)
    assert left <= 2.5 * noise * np.sqrt(3) + 1e-9
    mirrored = np.stack([start, start * [1, 1, -1]])
    if points >= 8:
        assert left >= 0.3 * noise
        assert metrics.rigid_residual(mirrored) > 1e-3


@given(st.integers(0, 2**31), st.integers(3, 12), st.sampled_from(["body", "plane", "line", "mirrored"]))
def test_what_rigid_motions_leave_is_what_the_best_rotations_of_another_solver_leave(seed, points, shape):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(points, 3)) * {"plane": [1, 1, 0], "line": [1, 0, 0]}.get(shape, [1, 1, 1])
    later = start * ([1, 1, -1] if shape == "mirrored" else [1, 1, 1]) + 0.2 * rng.normal(size=(4, points, 3))
    centred = np.concatenate([start[None], later])
    centred -= centred.mean(1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a line may turn about itself: the rotation is not the only one
        left = [Rotation.align_vectors(frame, centred[0])[1] / np.sqrt(points) for frame in centred[1:]]
    assert metrics.rigid_residual(centred + rng.normal(size=(5, 1, 3))) == pytest.approx(np.mean(left), abs=1e-6)


@pytest.mark.parametrize(
    ("tracks", "lacking"),
    [
        (np.zeros((4, 2, 3)), "points"),
        (np.zeros((1, 3, 3)), "frames"),
        (np.full((4, 3, 3), np.nan), "not finite"),
    ],
)
def test_too_little_of_a_body_has_no_rigid_residual(tracks, lacking):
    with pytest.raises(ValueError, match=lacking):
        metrics.rigid_residual(tracks)


def test_a_blurred_video_has_less_gradient_energy_and_its_first_frame_does_not_count():
    video = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16, 3)).astype(np.uint8)
    blurred = video.copy()
    blurred[..., 1:, :] = ((video[..., 1:, :].astype(int) + video[..., :-1, :]) // 2).astype(np.uint8)
    assert metrics.gradient_energy(blurred) < 0.9 * metrics.gradient_energy(video)
    blurred[:, 1:], blurred[:, 0] = video[:, 1:], 255
    assert metrics.gradient_energy(blurred) == metrics.gradient_energy(video)


@pytest.mark.parametrize("side", [2, 3])
def test_a_ramp_across_or_down_has_the_gradient_energy_of_its_slope(side):
    ramp = np.zeros((1, 2, 12, 16, 3), np.uint8)
    steps = np.arange(ramp.shape[side], dtype=np.uint8) * 3
    ramp[:] = np.expand_dims(steps, (1, 2)) if side == 2 else steps[:, None]
    assert metrics.gradient_energy(ramp) == 9
