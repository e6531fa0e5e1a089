"""Paired comparisons of two methods on the same sequences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_model.evaluation.paired import averaged, compared


def report(scores, *, names=None, metric="error"):
    names = names or [f"{index:06d}" for index in range(len(scores))]
    return {"rows": [{"sequence": name, metric: score} for name, score in zip(names, scores, strict=True)]}


HARD_AND_EASY = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def test_the_same_share_everywhere_is_certain_however_much_the_sequences_differ():
    estimate = compared([report(0.9 * HARD_AND_EASY)], [report(HARD_AND_EASY)], "error")
    assert estimate.value == pytest.approx(0.9) and estimate.low == pytest.approx(estimate.high)
    assert (estimate.sequences, estimate.trainings) == (6, 1)
    single = averaged([report(HARD_AND_EASY)], "error")
    assert single.value == pytest.approx(HARD_AND_EASY.mean()) and single.high - single.low > 5


@given(st.permutations(range(6)))
def test_rows_are_paired_by_sequence_and_not_by_place(order):
    names = [f"{index:06d}" for index in order]
    ours = report(0.5 * HARD_AND_EASY[list(order)], names=names)
    estimate = compared([ours], [report(HARD_AND_EASY)], "error")
    assert estimate.value == pytest.approx(0.5) and estimate.low == pytest.approx(0.5)


def test_trainings_that_disagree_widen_the_interval():
    agreeing = [report(0.9 * HARD_AND_EASY)] * 3
    disagreeing = [report(share * HARD_AND_EASY) for share in (0.7, 0.9, 1.1)]
    others = [report(HARD_AND_EASY)] * 3
    certain, unsure = (compared(ours, others, "error") for ours in (agreeing, disagreeing))
    assert certain.value == pytest.approx(unsure.value)
    assert certain.high - certain.low < 1e-9 and unsure.low < 0.8 and unsure.high > 1


def test_a_difference_is_that_of_the_means():
    estimate = compared([report(HARD_AND_EASY + 1.5)], [report(HARD_AND_EASY)], "error", by="difference")
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((1.5, 1.5, 1.5))


def test_of_sequences_that_only_one_method_has_or_has_a_score_of_nothing_is_counted():
    ours = report([1.0, None, 3.0, 100.0], names=["a", "b", "c", "d"])
    others = report([2.0, 5.0, 6.0], names=["a", "b", "c"])
    estimate = compared([ours], [others], "error")
    assert estimate.value == pytest.approx(0.5) and estimate.sequences == 2


def test_the_interval_of_a_mean_agrees_with_the_normal_approximation():
    scores = np.random.default_rng(0).normal(10, 2, size=400)
    estimate = averaged([report(scores.tolist())], "error")
    half = 1.96 * scores.std() / 20
    assert (estimate.low, estimate.high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.03)


WRONG = {
    "none": (([], []), "no report"),
    "one to one": (([report([1.0])], [report([1.0])] * 2), "one to one, got 1 and 2"),
    "apart": (([report([1.0], names=["a"])], [report([1.0], names=["b"])]), "no sequence in common"),
    "metric": (([report([1.0], metric="other")], [report([1.0])]), "has a score 'error'"),
    "null": (([report([None])], [report([1.0])]), "no sequence has a error of both"),
    "zero": (([report([1.0])], [report([0.0])]), "mean error is 0"),
}


@pytest.mark.parametrize("reports, said", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_compared_is_refused(reports, said):
    with pytest.raises(ValueError, match=said):
        compared(*reports, "error")
