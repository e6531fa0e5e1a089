"""Scores of windows, on boxes and points whose answers can be read off."""

import numpy as np
import pytest

from syncmv4d_model.evaluation.metrics.windows import holds_boxes, millimetres_per_pixel, share_inside, side_ratios

NONE = [np.nan] * 4
POSE = np.eye(4)[None]
K = np.array([[[100.0, 0, 49.5], [0, 100.0, 49.5], [0, 0, 1]]])


def test_a_window_holds_boxes_up_to_half_a_pixel_and_asks_nothing_of_missing_ones():
    windows = np.array([[10.0, 10, 20, 20]] * 4)
    boxes = np.array(
        [
            [[10, 10, 30, 30], NONE, [12, 12, 13, 13]],
            [[9.5, 10, 30.5, 30], NONE, NONE],
            [[12, 12, 13, 13], [9.4, 12, 20, 20], NONE],
            [NONE, NONE, NONE],
        ]
    )
    assert holds_boxes(windows, boxes).tolist() == [True, True, False, True]
    assert holds_boxes(windows, boxes, tolerance_px=0.0).tolist() == [True, False, False, True]


def test_a_side_is_measured_in_sides_of_the_tightest_square():
    windows = np.array([[0.0, 0, 40, 40], [0, 0, 40, 30], [0, 0, 5, 5]])
    boxes = np.array([[[5, 5, 10, 10], [10, 10, 25, 15], NONE], [[0, 0, 4, 16], NONE, NONE], [NONE, NONE, NONE]])
    np.testing.assert_allclose(side_ratios(windows, boxes), [2.0, 2.5, np.nan])


def test_millimetres_of_a_pixel_follow_depth_focal_length_and_window():
    points = np.array([[[0.0, 0, 1.0], [0, 0, 2.0], [0, 0, 9.0]]])
    windows = np.array([[0.0, 0, 48, 48]])
    assert millimetres_per_pixel(windows, K, POSE, points) == pytest.approx([2000 / 100 / 2])


def test_points_are_counted_in_the_picture_and_in_the_window():
    edges = np.array(
        [[1.0, 50], [50, 50], [99, 50], [120, 50], [50, 50]]
    )  # px from the picture's border; the last is still
    positions = np.stack([(edges[:, 0] - 50) / 100, (edges[:, 1] - 50) / 100, np.ones(5)], -1)[None, None]
    positions = np.concatenate([positions, positions * [1, 1, -1]], 1)  # behind the camera at the second frame
    moving = np.array([[True, True, True, True, False]])
    sizes = np.array([[100.0, 100.0]])
    assert share_inside(np.array([[40.0, 40, 20, 20]]), sizes, K, POSE, positions, moving) == (1, 3)
    assert share_inside(np.array([[0.0, 0, 100, 100]]), sizes, K, POSE, positions, moving) == (3, 3)
    assert share_inside(np.array([[0.0, 0, 200, 200]]), sizes, K, POSE, positions, moving) == (3, 3)
