"""Means and intervals over sequences."""

import numpy as np
import pytest

from syncmv4d_model.evaluation.statistics import summarise


def test_the_interval_of_a_mean_is_nearly_two_standard_errors_wide_on_each_side():
    values = np.random.default_rng(0).normal(5, 1, 400)
    means, intervals = summarise([{"error": float(value)} for value in values], {}, seed=0)
    error = values.std() / 20
    assert means["error"] == pytest.approx(values.mean())
    assert intervals["error"] == pytest.approx([values.mean() - 1.96 * error, values.mean() + 1.96 * error], abs=0.01)


def test_a_ratio_is_of_the_two_means_over_the_rows_that_have_both():
    rows = [{"a": 1.0, "b": 2.0}, {"a": 5.0, "b": 4.0}, {"a": 90.0, "b": None}, {"a": None, "b": 70.0}]
    means, intervals = summarise(rows, {"ratio": ("a", "b")}, seed=0)
    assert means == {"a": 32.0, "b": pytest.approx(76 / 3), "ratio": 1.0}
    assert intervals["ratio"] == pytest.approx([0.5, 1.25])


def test_one_row_has_a_mean_but_no_interval_and_none_has_neither():
    rows = [{"a": 1.0, "b": None, "c": 3.0}, {"a": None, "b": None, "c": 4.0}]
    means, intervals = summarise(rows, {"ratio": ("a", "c")}, seed=0)
    assert means == {"a": 1.0, "b": None, "c": 3.5, "ratio": pytest.approx(1 / 3)}
    assert {name for name, interval in intervals.items() if interval is not None} == {"c"}
    with pytest.raises(ValueError, match="no sequence"):
        summarise([], {}, seed=0)
