"""Scores of a case's videos, against the plain metrics: which video, which views and which points each of them takes."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from syncmv4d_model import geometry
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.scores import score_of
from syncmv4d_model.types import Prediction
from tests.model.sliding_points import K, T, sliding_sequence

HEIGHT, WIDTH, VIEWS = 24, 40, 3
VIDEO_SCORES = ("psnr", "ssim", "video_mse", "cross_view_colour_error")
STATIC_SCORES = ("static_psnr", "static_ssim", "static_video_mse", "true_cross_view_colour_error")


def three_views() -> Sequence:
    """Pictures wider than high; each view sees other points."""
    rng, one = np.random.default_rng(0), sliding_sequence("a")
    eyes = [np.array([x, -0.5, 0.6]) for x in (-0.3, 0.0, 0.3)]
    poses = np.stack([geometry.look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0])) for eye in eyes])
    intrinsics = np.array([[60.0, 0, 19.5], [0, 60.0, 11.5], [0, 0, 1]])
    return replace(
        one,
        view_names=("left", "centre", "right"),
        video=rng.integers(0, 256, (VIEWS, T, HEIGHT, WIDTH, 3), dtype=np.uint8),
        intrinsics=np.stack([intrinsics] * VIEWS),
        camera_from_world=poses,
        positions=np.repeat(one.positions[:1], VIEWS, 0),
        visible=rng.random((VIEWS, T, K)) < 0.7,
        label=np.repeat(one.label[:1], VIEWS, 0),
        anchors_px=np.zeros((VIEWS, K, 2), np.float32),
        depth_scale=np.ones((VIEWS, 2), np.float32),
    )


def case_of(truth: Sequence, video: np.ndarray) -> Case:
    prediction = Prediction(
        video=video,
        pseudo_video=np.zeros((*video.shape[:-1], 3), np.float32),
        tracks=truth.positions,
        coarse_tracks=truth.positions,
        visible=truth.visible,
        stddev=np.full(truth.visible.shape, 0.01, np.float32),
        label=truth.label,
        anchors_px=truth.anchors_px,
        windows_px=truth.windows,
        intrinsics=truth.intrinsics,
        depth_scale=truth.depth_scale,
        frame_period_s=0.125,
        seed=0,
    )
    return Case(truth, samples=(prediction,), tracks=(truth.positions.astype(np.float64),))


def colours(truth: Sequence, video: np.ndarray) -> float:
    """All views hold the same points, so that each is its own pair."""
    points = geometry.transform(truth.camera_from_world[:, None], truth.positions.astype(np.float64))
    pixels = geometry.project(truth.intrinsics[:, None], points)
    values = [
        metrics.cross_view_colour_error(video[i], video[j], pixels[i], pixels[j], truth.visible[i] & truth.visible[j])
        for i, j in combinations(range(VIEWS), 2)
    ]
    return float(np.mean(values))


@pytest.fixture
def scene() -> tuple[Sequence, np.ndarray]:
    truth, rng = three_views(), np.random.default_rng(1)
    noise = rng.integers(-40, 41, truth.video.shape)
    return truth, np.clip(truth.video + noise, 0, 255).astype(np.uint8)


def values_of(case: Case) -> dict[str, float | None]:
    return {name: score_of(case, name)[0] for name in (*VIDEO_SCORES, *STATIC_SCORES)}


def test_every_score_takes_its_own_video(scene):
    truth, video = scene
    still = np.repeat(truth.video[:, :1], T, 1)
    expected = {
        "psnr": metrics.psnr(video, truth.video),
        "ssim": metrics.ssim(video, truth.video),
        "video_mse": metrics.video_mean_squared_error(video, truth.video),
        "cross_view_colour_error": colours(truth, video),
        "static_psnr": metrics.psnr(still, truth.video),
        "static_ssim": metrics.ssim(still, truth.video),
        "static_video_mse": metrics.video_mean_squared_error(still, truth.video),
        "true_cross_view_colour_error": colours(truth, truth.video),
    }
    assert values_of(case_of(truth, video)) == pytest.approx(expected, rel=1e-12)
    assert len({round(value, 3) for value in expected.values()}) == len(expected)


@pytest.mark.parametrize("change", ["no samples", "absent"])
def test_without_a_video_that_fits_the_others_scores_stay(scene, change):
    truth, video = scene
    whole = case_of(truth, video)
    case = {
        "no samples": replace(whole, samples=(), tracks=()),
        "absent": replace(whole, absent={"video": "the method makes none"}),
    }[change]
    found, known = values_of(case), values_of(whole)
    assert [found[name] for name in VIDEO_SCORES] == [None] * 4
    assert [found[name] for name in STATIC_SCORES] == [known[name] for name in STATIC_SCORES]


def test_a_video_of_another_size_takes_no_score_but_its_own_away(scene):
    truth, video = scene
    other, known = case_of(truth, video[:, :, :-2]), values_of(case_of(truth, video))
    for name in ("ssim", "cross_view_colour_error"):
        value, reason = score_of(other, name)
        assert value is None and reason.startswith("shapes differ: predicted (3, 5, 22, 40, 3)")
    for name in STATIC_SCORES:
        assert score_of(other, name)[0] == known[name]


def test_views_that_see_nothing_in_common_are_left_out(scene):
    truth, video = scene
    visible = truth.visible.copy()
    visible[0, 1:] = False  # of frame 0 nothing is compared
    case = case_of(replace(truth, visible=visible), video)
    assert [pair[:2] for pair in case.shared_places] == [(1, 2)]
    nothing = case_of(replace(truth, visible=np.zeros_like(visible)), video)
    assert score_of(nothing, "cross_view_colour_error") == (None, "no two views share 4 points within 5 mm")


def test_what_is_asked_stays_as_it_was(scene):
    truth, video = scene
    before = truth.visible.copy()
    values_of(case_of(truth, video))
    np.testing.assert_array_equal(truth.visible, before)


def test_points_that_move_along_one_axis_alone_count_for_chamfer():
    points = np.random.default_rng(0).random((30, 3))
    for axis in range(3):
        moved = points.copy()
        moved[7, axis] += 1e-3
        assert metrics.chamfer_distance(points, moved) == pytest.approx(2e-3 / 30)
