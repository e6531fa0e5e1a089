"""Paired comparisons of two methods on the same sequences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_model.evaluation.paired import averaged, compared


def report(scores, *, names=None, metric="error"):
    names = names or [f"{index:06d}" for index in range(len(scores))]
    return {"rows": [{"sequence": name, metric: score} for name, score in zip(names, scores, strict=True)]}


def width(estimate) -> float:
    return estimate.interval[1] - estimate.interval[0]


HARD_AND_EASY = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def test_the_same_share_everywhere_is_certain_however_much_the_sequences_differ():
    estimate = compared([report(0.9 * HARD_AND_EASY)], [report(HARD_AND_EASY)], "error")
    assert estimate.value == pytest.approx(0.9) and estimate.interval == pytest.approx((0.9, 0.9))
    assert (estimate.sequences, estimate.trainings, estimate.by) == (6, 1, "ratio")
    single = averaged([report(HARD_AND_EASY)], "error")
    assert single.value == pytest.approx(HARD_AND_EASY.mean()) and width(single) > 5


@given(st.permutations(range(6)))
def test_rows_are_paired_by_sequence_and_not_by_place(order):
    names = [f"{index:06d}" for index in order]
    ours = report(0.5 * HARD_AND_EASY[list(order)], names=names)
    estimate = compared([ours], [report(HARD_AND_EASY)], "error")
    assert estimate.value == pytest.approx(0.5) and estimate.interval == pytest.approx((0.5, 0.5))


def test_trainings_that_disagree_widen_the_interval():
    agreeing = [report(0.9 * HARD_AND_EASY)] * 3
    disagreeing = [report(share * HARD_AND_EASY) for share in (0.7, 0.9, 1.1)]
    others = [report(HARD_AND_EASY)] * 3
    certain, unsure = (compared(ours, others, "error") for ours in (agreeing, disagreeing))
    assert certain.value == pytest.approx(unsure.value)
    assert width(certain) < 1e-9
    logarithms = np.log([0.7, 0.9, 1.1])  # Student's t of two degrees of freedom: 4.303
    half = 4.303 * logarithms.std(ddof=1) / 3**0.5
    assert np.log(unsure.interval) == pytest.approx([logarithms.mean() - half, logarithms.mean() + half], abs=1e-3)


def test_two_methods_that_only_differ_by_chance_from_training_to_training_are_seldom_told_apart():
    rng, told = np.random.default_rng(1), 0
    scenes = rng.uniform(1, 10, size=64)
    for _ in range(200):
        ours, others = (
            [report((scenes * rng.normal(1, 0.02) * rng.normal(1, 0.05, 64)).tolist()) for _ in range(3)] for _ in "ab"
        )
        low, high = compared(ours, others, "error").interval
        told += low > 1 or high < 1
    assert told <= 16  # 5 % of 200, and three deviations more


def test_trainings_are_paired_in_the_order_that_they_are_given_in():
    first, second = (
        [report(share * HARD_AND_EASY) for share in (1, 3)],
        [report(share * HARD_AND_EASY) for share in (2, 6)],
    )
    assert compared(first, second, "error").interval == pytest.approx((0.5, 0.5))
    assert width(compared(first, second[::-1], "error")) > 1


def test_of_psnr_and_rank_correlations_the_difference_of_the_means_is_compared():
    for metric in ("psnr", "codec_psnr", "stddev_spearman"):
        reports = [report(scores, metric=metric) for scores in (HARD_AND_EASY + 1.5, HARD_AND_EASY)]
        estimate = compared(reports[:1], reports[1:], metric)
        assert estimate.value == pytest.approx(1.5) and estimate.interval == pytest.approx((1.5, 1.5))
        assert estimate.by == "difference"


def test_a_difference_is_of_the_sequences_that_both_have():
    ours, others = report([1.0, None, 3.0, None], metric="psnr"), report([0.5, 9.0, 2.5, None], metric="psnr")
    estimate = compared([ours], [others], "psnr")
    assert estimate.value == pytest.approx(0.5) and estimate.interval == pytest.approx((0.5, 0.5))
    estimate = compared([others], [ours], "psnr")
    assert estimate.value == pytest.approx(-0.5) and estimate.sequences == 2


def test_a_mean_leaves_out_what_was_not_computed_in_every_resample():
    estimate = averaged([report([4.0, None, 4.0, None, 4.0])], "error")
    assert estimate.value == 4 and estimate.interval == pytest.approx((4, 4)) and estimate.sequences == 3


def test_one_sequence_alone_has_no_interval():
    estimate = compared([report([1.0, None])], [report([2.0, 3.0])], "error")
    assert (estimate.value, estimate.interval, estimate.sequences) == (0.5, None, 1)


def test_of_sequences_that_only_one_method_has_or_has_a_score_of_nothing_is_counted():
    ours = report([1.0, None, 3.0, 100.0], names=["a", "b", "c", "d"])
    others = report([2.0, 5.0, 6.0], names=["a", "b", "c"])
    estimate = compared([ours], [others], "error")
    assert estimate.value == pytest.approx(0.5) and estimate.sequences == 2


def test_the_interval_of_a_mean_agrees_with_the_normal_approximation():
    scores = np.random.default_rng(0).normal(10, 2, size=400)
    estimate = averaged([report(scores.tolist())], "error")
    half = 1.96 * scores.std() / 20
    assert estimate.interval == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.03)


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
