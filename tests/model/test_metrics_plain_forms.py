"""Metrics that are computed in a quicker way than they are defined, against the definition written down plainly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from scipy.stats import norm, spearmanr

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.metrics.lengths import lengths
from syncmv4d_model.evaluation.metrics.self_consistency import bilinear

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=30, deadline=None)


def heaps(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points in two heaps, some of which coincide."""
    points = rng.normal(scale=0.01, size=(count, 3)) + rng.integers(0, 2, (count, 1))
    return points[rng.integers(0, count, count)]


@few
@given(seed=SEEDS, counts=st.tuples(st.integers(1, 90), st.integers(1, 90)), squared=st.booleans())
def test_chamfer_is_the_mean_least_distance_both_ways(seed, counts, squared):
    rng = np.random.default_rng(seed)
    a, b = (heaps(rng, count) for count in counts)
    apart = cdist(a, b) ** (2 if squared else 1)
    assert metrics.chamfer_distance(a, b, squared=squared) == pytest.approx(apart.min(0).mean() + apart.min(1).mean())


@few
@given(seed=SEEDS, frames=st.integers(1, 4), still=st.floats(0, 1))
def test_chamfer_of_the_trees_of_all_frames_is_that_of_each_frame(seed, frames, still):
    """Also where points of two frames lie at the same place, or all of them do."""
    rng = np.random.default_rng(seed)
    start = heaps(rng, 70)
    moved = rng.normal(scale=0.02, size=(frames, 70, 3)) * (rng.random((70, 1)) > still)
    tracks = start + np.cumsum(moved, axis=0)
    trees = metrics.search_trees(tracks)
    expected = [metrics.chamfer_distance(tracks[0], points) for points in tracks]
    assert metrics.chamfer_of_trees(trees[:1] * frames, trees) == pytest.approx(expected, rel=1e-12, abs=0)
    assert metrics.chamfer_of_trees(trees[:1], trees[:1]) == [0]


def test_trees_of_nothing_and_of_what_is_no_number_are_refused():
    for points, message in ((np.zeros((1, 0, 3)), "at least 1 points"), (np.full((1, 4, 3), np.nan), "not finite")):
        with pytest.raises(ValueError, match=message):
            metrics.search_trees(points)


@few
@given(seed=SEEDS, height=st.integers(11, 60), width=st.integers(11, 60))
def test_ssim_of_any_size_is_that_of_filtered_pictures(seed, height, width):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (1, 2, height, width, 3), dtype=np.uint8)
    y = np.clip(x + rng.normal(scale=20, size=x.shape), 0, 255).astype(np.uint8)
    similarities = []
    for a, b in zip(np.moveaxis(x[0, 1].astype(float), -1, 0), np.moveaxis(y[0, 1].astype(float), -1, 0), strict=True):
        fields = (gaussian_filter(field, 1.5, radius=5)[5:-5, 5:-5] for field in (a, b, a * a, b * b, a * b))
        mean_a, mean_b, square_a, square_b, product = fields
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        above = (2 * mean_a * mean_b + c1) * (2 * (product - mean_a * mean_b) + c2)
        below = (mean_a**2 + mean_b**2 + c1) * (square_a - mean_a**2 + square_b - mean_b**2 + c2)
        similarities.append((above / below).mean())
    assert metrics.ssim(x, y) == pytest.approx(np.mean(similarities), rel=1e-10)


@few
@given(seed=SEEDS)
def test_ssim_of_several_videos_is_that_of_each_whatever_stands_still(seed):
    rng = np.random.default_rng(seed)
    true, other = rng.integers(0, 256, (2, 2, 5, 12, 13, 3), dtype=np.uint8)
    still = np.broadcast_to(true[:, :1], true.shape)
    resting = other[:, np.sort(rng.integers(0, 5, 5))]  # for some frames
    true[:, 3] = true[:, 2]
    other[:, 4], other[:, 4, -1, -1] = other[:, 3], 255 - other[:, 3, -1, -1]  # alike but for one corner
    together = metrics.ssim_of_each([still, resting, other], true)
    assert together == pytest.approx([metrics.ssim(video.copy(), true) for video in (still, resting, other)], rel=1e-12)
    for video, found in zip((still, resting, other), together, strict=True):
        pairs = [[np.stack([one[:, 0], one[:, n]], 1) for one in (video, true)] for n in range(1, 5)]
        assert found == pytest.approx(np.mean([metrics.ssim(*pair) for pair in pairs]), rel=1e-12)


@few
@given(seed=SEEDS, shown=st.floats(0, 1))
def test_gaps_are_filled_as_numpy_interpolates(seed, shown):
    rng = np.random.default_rng(seed)
    decoded = rng.random((2, 6, 9)) < shown
    tracks = np.where(decoded[..., None], rng.normal(size=(2, 6, 9, 3)), np.nan)
    first_frame, frames = rng.normal(size=(2, 9, 3)), np.arange(6)
    filled = metrics.filled_in_time(tracks, decoded, first_frame=first_frame)
    for v, k in np.ndindex(2, 9):
        known = decoded[v, :, k]
        for axis in range(3):
            expected = np.full(6, first_frame[v, k, axis])
            if known.any():
                expected = np.interp(frames, frames[known], tracks[v, known, k, axis])
            np.testing.assert_allclose(filled[v, :, k, axis], expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(filled[decoded], tracks[decoded])


@few
@given(seed=SEEDS, values=st.integers(2, 1000))
def test_rank_correlations_are_scipys_whatever_is_equal(seed, values):
    """Few different values: many ties."""
    rng = np.random.default_rng(seed)
    distance, stddev = rng.integers(0, values, (2, 2, 3, 60)).astype(float)
    visible, label = rng.random((2, 3, 60)) < 0.7, rng.integers(0, 3, (2, 60), dtype=np.uint8)
    expected = spearmanr(distance[visible], stddev[visible]).statistic
    assert metrics.stddev_spearman_pooled(distance, stddev, visible) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    frame = np.arange(3)[:, None]
    groups = [visible & (frame == n) & (label == value)[:, None] for n in range(3) for value in range(3)]
    within = [spearmanr(distance[group], stddev[group]).statistic for group in groups]
    asked = (distance, stddev, visible, label)
    assert metrics.stddev_spearman(*asked) == pytest.approx(np.mean(within), rel=1e-9, abs=1e-12)
    medians = stddev.copy()
    for group in groups:
        medians[group] = np.median(stddev[group])
    if len(np.unique(medians[visible])) > 1:
        expected = spearmanr(distance[visible], medians[visible]).statistic
        assert metrics.stddev_spearman_trivial(*asked) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_levels_of_coverage_are_quantiles_of_a_normal_distribution():
    error, stddev = np.random.default_rng(0).normal(size=(400, 3)), np.ones(400)
    levels = (0.1, 0.5, 0.95)
    expected = [(np.abs(error) < norm.ppf((1 + level) / 2)).mean() for level in levels]
    assert metrics.coverage_curve(error, stddev, levels).tolist() == expected


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lengths_are_numpys_norms(dtype):
    vectors = np.random.default_rng(0).normal(size=(4, 500, 3)).astype(dtype)
    np.testing.assert_allclose(
        lengths(vectors), np.linalg.norm(vectors, axis=-1), rtol=1e-6 if dtype == np.float32 else 1e-15
    )
    assert lengths(vectors).dtype == dtype


@few
@given(seed=SEEDS)
def test_colours_of_two_views_are_compared_frame_by_frame(seed):
    rng = np.random.default_rng(seed)
    videos = rng.integers(0, 256, (2, 4, 9, 13, 3), dtype=np.uint8)
    pixels = rng.uniform(-1, [13, 9], (2, 4, 20, 2))
    visible = rng.random((4, 20)) < 0.8
    seen = visible & metrics.inside(pixels, height=9, width=13).all(0)
    differences = [
        np.abs(bilinear(videos[0, n], pixels[0, n][seen[n]]) - bilinear(videos[1, n], pixels[1, n][seen[n]]))
        for n in range(1, 4)
    ]
    expected = np.concatenate(differences).mean()
    assert metrics.cross_view_colour_error(*videos, *pixels, visible) == pytest.approx(expected, rel=1e-12)
    places = metrics.SharedPlaces.of(*pixels, visible, size=(9, 13))
    assert places.colour_error(*videos[:, ::-1]) != places.colour_error(*videos) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="the places are of pictures of .9, 13. pixels, got .13, 9."):
        places.colour_error(*videos.swapaxes(2, 3))
