"""Rigid motions, pictures and occlusion: metrics against closed forms and a reference implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.evaluation import metrics

SEEDS = st.integers(0, 2**32 - 1)
SCIKIT_IMAGE_SSIM = 0.9509535232717724
"""What scikit-image 0.26.0 answers on `noisy_pair`."""


def moved(points: np.ndarray, turns: Rotation, shifts: np.ndarray) -> np.ndarray:
    """[K 3] turned about its centre and shifted, one frame per turn after frame 0."""
    centre = points.mean(0)
    return np.stack(
        [points, *(turn.apply(points - centre) + centre + shift for turn, shift in zip(turns, shifts, strict=True))]
    )


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_a_rigid_motions_error_is_the_angle_and_the_distance_between_the_two(seed):
    rng = np.random.default_rng(seed)
    points, shifts = rng.normal(size=(20, 3)), rng.normal(size=(2, 4, 3))
    true, other = (Rotation.random(4, random_state=rng.integers(2**31)) for _ in range(2))
    degrees, metres = metrics.rigid_motion_error(moved(points, other, shifts[0]), moved(points, true, shifts[1]))
    assert degrees == pytest.approx(np.degrees((other * true.inv()).magnitude()).mean(), abs=1e-4)
    assert metres == pytest.approx(np.linalg.norm(shifts[0] - shifts[1], axis=-1).mean())


def test_jitter_of_points_is_no_error_of_the_motion_but_of_its_size():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 3))
    true = moved(points, Rotation.from_rotvec([[0, 0, 1.0]]), np.array([[0.1, 0, 0]]))
    degrees, metres = metrics.rigid_motion_error(true + rng.normal(scale=0.05, size=true.shape), true)
    assert degrees < 0.2 and metres < 0.005


def test_a_frozen_prediction_is_off_by_the_whole_motion():
    points = np.random.default_rng(0).normal(size=(9, 3))
    true = moved(
        points, Rotation.from_rotvec([[0, 0, np.radians(30)], [0, np.radians(50), 0]]), np.array([[3, 4, 0], [0, 0, 1]])
    )
    assert metrics.rigid_motion_error(np.repeat(true[:1], 3, 0), true) == pytest.approx((40, 3))


@pytest.mark.parametrize(("points", "message"), [(np.zeros((3, 2, 3)), "at least 3 points"), (None, "lie on one line")])
def test_what_has_no_rotation_is_refused(points, message):
    if points is None:
        points = np.repeat(np.linspace(0, 1, 8)[:, None] * np.array([1.0, 2, 3]), 1, 0)[None].repeat(3, 0)
    with pytest.raises(ValueError, match=message):
        metrics.rigid_motion_error(points, points)


def noisy_pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (2, 3, 20, 24, 3), dtype=np.uint8)
    return video, np.clip(video.astype(int) + rng.integers(-40, 41, video.shape), 0, 255).astype(np.uint8)


def test_ssim_is_scikit_images():
    """structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255) on frames n >= 1."""
    assert metrics.ssim(*noisy_pair()) == pytest.approx(SCIKIT_IMAGE_SSIM, rel=1e-9)


def test_ssim_of_identical_videos_is_one_and_frame_0_does_not_count():
    video, other = noisy_pair()
    assert metrics.ssim(video, video) == pytest.approx(1)
    same = video.copy()
    same[:, 0] = other[:, 0]
    assert metrics.ssim(same, video) == pytest.approx(1)


def test_ssim_of_two_flat_pictures_is_their_luminance_term():
    dark, light = (np.full((1, 2, 16, 16, 3), value, np.uint8) for value in (50, 200))
    c1 = (0.01 * 255) ** 2
    assert metrics.ssim(dark, light) == pytest.approx((2 * 50 * 200 + c1) / (50**2 + 200**2 + c1))


def test_ssim_needs_room_for_a_window():
    small = np.zeros((1, 2, 10, 30, 3), np.uint8)
    with pytest.raises(ValueError, match="at least 11 pixels a side"):
        metrics.ssim(small, small)


def test_two_views_that_show_a_point_in_the_same_colour_agree():
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (3, 5, 3))  # T K
    videos = np.zeros((2, 3, 30, 30, 3), np.uint8)
    pixels = np.stack(
        [[rng.choice(np.mgrid[0:30:3, 0:30:3].reshape(2, -1).T, 5, replace=False) for _ in range(3)] for _ in range(2)]
    )
    for view, frame, point in np.ndindex(2, 3, 5):
        u, v = pixels[view, frame, point]
        videos[view, frame, v, u] = colours[frame, point]
    visible = np.ones((3, 5), bool)
    asked = (videos[0], videos[1], pixels[0].astype(float), pixels[1].astype(float))
    assert metrics.cross_view_colour_error(*asked, visible) == 0
    u, v = pixels[1, 2, 4]
    videos[1, 2, v, u] = 255 - videos[1, 2, v, u]
    off = np.abs(255 - 2 * colours[2, 4]).mean() / 10
    assert metrics.cross_view_colour_error(*asked, visible) == pytest.approx(off)
    visible[2, 4] = False
    assert metrics.cross_view_colour_error(*asked, visible) == 0


def test_what_no_two_views_see_after_the_first_frame_has_no_colour_error():
    video, pixels, visible = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 3, 2)), np.ones((2, 3), bool)
    outside = pixels - 5
    for seen, where in ((visible & [[True], [False]], pixels), (visible, outside)):
        with pytest.raises(ValueError, match="places that two views see"):
            metrics.cross_view_colour_error(video, video, where, pixels, seen)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_precision_and_recall_of_occluded_points_make_their_f1(seed):
    predicted, target = np.random.default_rng(seed).random((2, 40)) < 0.6
    predicted[0], target[0] = False, False
    precision = metrics.visibility_precision_occluded(predicted, target)
    recall = metrics.visibility_recall_occluded(predicted, target)
    expected = 2 * precision * recall / (precision + recall)
    assert metrics.visibility_f1_occluded(predicted, target) == pytest.approx(expected)


def test_no_occluded_point_has_no_precision_and_no_recall():
    seen, hidden = np.ones(4, bool), np.zeros(4, bool)
    assert metrics.visibility_precision_occluded(hidden, seen) == 0
    with pytest.raises(ValueError, match="predicted occluded"):
        metrics.visibility_precision_occluded(seen, hidden)
    with pytest.raises(ValueError, match="occluded points in the truth"):
        metrics.visibility_recall_occluded(hidden, seen)
