"""Rectified flow: the straight line, its inverse, its schedule."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_model.diffusion.flow_matching import (
    clean_estimate,
    diffuse,
    euler_step,
    sample_training_times,
    sampling_times,
)


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 99), st.floats(0, 1))
def test_the_true_velocity_leads_back_to_the_clean_sample_from_any_time(seed, now):
    clean, noise, t = draw(seed, 2, 3, 4), draw(seed + 100, 2, 3, 4), torch.full((2,), now)
    torch.testing.assert_close(clean_estimate(diffuse(clean, noise, t), noise - clean, t), clean, atol=1e-5, rtol=0)


def test_euler_steps_along_a_constant_velocity_land_on_the_clean_sample():
    clean, noise = draw(0, 2, 5), draw(1, 2, 5)
    state = noise
    times = sampling_times(7, shift=3.0)
    for now, following in zip(times[:-1], times[1:], strict=True):
        state = euler_step(state, noise - clean, now.expand(2), following.expand(2))
    torch.testing.assert_close(state, clean, atol=1e-5, rtol=0)


def test_each_batch_element_is_diffused_by_its_own_time():
    clean, noise = torch.zeros(2, 3), torch.ones(2, 3)
    assert diffuse(clean, noise, torch.tensor([0.25, 1.0]))[:, 0].tolist() == [0.25, 1.0]


@given(st.integers(1, 60), st.floats(0.5, 8))
def test_sampling_times_descend_from_noise_to_clean(steps, shift):
    times = sampling_times(steps, shift=shift)
    assert times[0] == 1 and times[-1] == 0 and len(times) == steps + 1
    assert (times.diff() < 0).all()


def test_shift_moves_the_schedule_as_in_wan():
    assert sampling_times(2, shift=5.0)[1].item() == pytest.approx(5 * 0.5 / (1 + 4 * 0.5))


@pytest.mark.parametrize(("steps", "shift", "message"), [(0, 3.0, "at least 1, got 0"), (4, 0.0, "positive, got 0")])
def test_impossible_schedules_are_refused(steps, shift, message):
    with pytest.raises(ValueError, match=message):
        sampling_times(steps, shift=shift)


def test_training_times_favour_noise_by_the_share_asked_for():
    times = sample_training_times(40_000, generator=torch.Generator().manual_seed(0), high_noise_share=0.55)
    expected = 0.55 + 0.45 * 0.12
    assert (times >= 0.88).float().mean().item() == pytest.approx(expected, abs=0.02)
    shifted = sample_training_times(40_000, generator=torch.Generator().manual_seed(0), high_noise_share=0.0, shift=3.0)
    assert (shifted < 0.25).float().mean().item() == pytest.approx(0.1, abs=0.01)  # u < 0.1
    uniform = sample_training_times(40_000, generator=torch.Generator().manual_seed(0), high_noise_share=0.0)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
