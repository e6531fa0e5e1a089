"""Honest, proud and shy standard deviations, and what of them stands in a report's rows."""

import json

import numpy as np
import pytest

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.harness import evaluate
from syncmv4d_model.evaluation.reliability import EDGES_CM, LEVELS, pooled
from tests.model.known_error import KnownError, shifted

RNG = np.random.default_rng(0)
STDDEV = np.exp(RNG.uniform(np.log(0.2), np.log(10), 50_000))
ERROR = RNG.normal(size=(50_000, 3)) * STDDEV[:, None]
EDGES = np.array([0.5, 1.0, 2.0, 5.0])


def test_an_honest_deviation_lies_on_the_diagonal_in_every_bin():
    count, stddev, error = metrics.reliability_curve(ERROR, STDDEV, EDGES)
    assert count.tolist() == np.histogram(STDDEV, [0, *EDGES, np.inf])[0].tolist()
    assert error == pytest.approx(stddev, rel=0.02)
    assert (np.diff(stddev) > 0).all()


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_errors_of_another_size_lie_that_far_off_the_diagonal(factor):
    _, stddev, error = metrics.reliability_curve(factor * ERROR, STDDEV, EDGES)
    assert error / stddev == pytest.approx(factor, rel=0.02)


def test_a_constant_error_is_its_own_root_mean_square_and_an_empty_bin_has_none():
    count, stddev, error = metrics.reliability_curve(np.full((4, 3), 3.0), np.array([1.0, 1, 2, 2]), np.array([1.5, 9]))
    assert count.tolist() == [2, 2, 0]
    assert stddev[:2].tolist() == [1, 2] and error[:2].tolist() == pytest.approx([3, 3])
    assert np.isnan([stddev[2], error[2]]).all()
    assert metrics.reliability_curve(np.zeros((1, 3)), np.ones(1), np.array([1.0]))[0].tolist() == [0, 1]  # edge: above


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_coverage_of_a_normal_error_is_that_of_the_normal_distribution(factor):
    from scipy.stats import norm

    expected = [2 * norm.cdf(norm.ppf((1 + level) / 2) / factor) - 1 for level in LEVELS]
    assert metrics.coverage_curve(factor * ERROR, STDDEV, LEVELS) == pytest.approx(np.array(expected), abs=0.01)


REFUSED = {
    "nothing": ((np.zeros((0, 3)), np.zeros(0), EDGES), "at least 1 points, got 0"),
    "a stddev of 0": ((np.zeros((2, 3)), np.array([1.0, 0.0]), EDGES), "positive, got 0"),
    "no number": ((np.zeros((1, 3)), np.array([np.nan]), EDGES), "stddev has 1 values that are not finite"),
    "falling edges": ((np.zeros((1, 3)), np.ones(1), np.array([2.0, 1.0])), "must rise"),
}


@pytest.mark.parametrize(("arguments", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_no_curve_is_invented(arguments, why):
    with pytest.raises(ValueError, match=why):
        metrics.reliability_curve(*arguments)


@pytest.mark.parametrize("level", [0.0, 1.0, 1.5])
def test_an_interval_holds_more_than_nothing_and_less_than_all(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.coverage_curve(ERROR[:5], STDDEV[:5], [level])


def test_rows_hold_the_counts_of_their_points_and_pool_to_those_of_all(data):
    directory, sequences = data
    report = evaluate(KnownError(sequences, shifted), directory, "test_1")  # stddev 1 cm, off by 2 cm along one axis
    rows = json.loads(json.dumps([row["reliability"] for row in report.rows]))
    in_bin = int(np.digitize(1.0, EDGES_CM))
    assert [sum(row["count"]) == row["count"][in_bin] for row in rows] == [True] * 3
    assert rows[0]["error_cm"][0] is None
    together = pooled(report.rows)
    assert together["count"].sum() == sum(sum(row["count"]) for row in rows)
    assert together["stddev_cm"][in_bin] == pytest.approx(1, rel=1e-4)
    assert together["error_cm"][in_bin] == pytest.approx(2 / np.sqrt(3), rel=1e-3)
    assert together["coverage"] == pytest.approx([2 / 3] * (len(LEVELS) - 2) + [2 / 3, 1], abs=1e-3)


def test_without_a_prediction_there_is_no_reliability(data):
    report = evaluate(None, data[0], "test_1", limit=1)
    assert report.rows[0]["reliability"] is None and pooled(report.rows) is None
