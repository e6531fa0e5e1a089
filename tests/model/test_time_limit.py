"""Slices: when one is over, what it says, and what is not cut because it would never end."""

import time

import pytest

from syncmv4d_model.training.time_limit import OutOfTime, TimeLimit
from tests.model.counted_time import CountedTime
from tests.model.test_training import run, same_weights, short_plan


def after(spent_s: float, *, of_minutes: float) -> TimeLimit:
    return TimeLimit(of_minutes, started=time.monotonic() - spent_s)


def test_a_slice_that_is_over_says_what_is_done():
    after(30, of_minutes=60).check("nothing")
    with pytest.raises(OutOfTime, match="3 of 4 scenes"):
        after(60, of_minutes=1).check("3 of 4 scenes")


def test_no_limit_is_never_over():
    assert not after(1e9, of_minutes=float("inf")).over()


def test_what_begins_anew_when_it_is_cut_is_not_cut_where_it_has_the_whole_slice():
    assert after(30, of_minutes=60).for_the_whole().minutes == float("inf")
    late = after(1800, of_minutes=60)
    assert late.for_the_whole() is late
    for spent in (after(0, of_minutes=0), after(7, of_minutes=0.1)):
        assert spent.for_the_whole() is spent


def test_loading_does_not_use_up_the_beginning_of_a_short_slice():
    assert after(30, of_minutes=1).for_the_whole().minutes == float("inf")
    late = after(90, of_minutes=2)
    assert late.for_the_whole() is late


def test_a_run_in_slices_equals_one_without_bit_for_bit_and_says_how_far_each_came(prepared, tmp_path):
    whole = run(prepared, tmp_path / "whole", short_plan(2))
    said, sliced = [], None
    while not sliced:
        try:
            sliced = run(prepared, tmp_path / "slices", short_plan(2), limit=CountedTime(questions=2))
        except OutOfTime as stopped:
            said.append(str(stopped))
    assert {
        "joint_denoiser: 0 of 2 steps",
        "6_rollouts: 2 of 3 sequences sampled",
        "8_video_refiner: 2 of 3 sequences sampled",
    } <= set(said)
    assert same_weights(whole, sliced)
