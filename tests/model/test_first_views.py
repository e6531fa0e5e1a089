"""A method that is scored on the first views of a sequence is shown, and judged by, nothing of the others."""

import numpy as np
import pytest

from syncmv4d_model.data.sequence import Truths, first_views, write_sequence
from syncmv4d_model.evaluation.harness import evaluate_method
from syncmv4d_model.evaluation.methods import FirstViews, Written
from syncmv4d_model.evaluation.reference import REFERENCES
from tests.model.sliding_points import sliding_sequence


def test_the_first_views_are_those_of_the_sequence():
    sequence = sliding_sequence("a")
    fewer = first_views(sequence, 2)
    assert fewer.view_names == sequence.view_names[:2]
    for name in ("video", "positions", "label", "intrinsics", "anchors_px", "depth_scale"):
        np.testing.assert_array_equal(getattr(fewer, name), getattr(sequence, name)[:2])
    assert first_views(sequence, 9) is sequence


def test_scores_are_of_the_first_views_only(tmp_path):
    sequence = sliding_sequence("a")
    futures = np.zeros((2, *sequence.positions.shape), np.float16)
    write_sequence(tmp_path / "test_1" / "a", sequence, Truths(futures_m=futures))
    plain = Written(REFERENCES["static"], points=20)
    whole, one = (
        evaluate_method(method, tmp_path, "test_1") for method in (FirstViews(plain, 3), FirstViews(plain, 1))
    )
    alone = tmp_path / "alone"
    write_sequence(alone / "test_1" / "a", first_views(sequence, 1), Truths(futures_m=futures[:, :1]))
    expected = evaluate_method(plain, alone, "test_1")
    assert one.settings["views"] == 1 and whole.settings["views"] == 3
    for name, value in expected.metrics.items():
        assert one.metrics[name] == value, name
    assert one.metrics["static_end_point_error_cm"] is not None


def test_less_than_one_view_is_refused():
    with pytest.raises(ValueError, match="views must be at least 1, got 0"):
        FirstViews(Written(REFERENCES["static"]), 0)
