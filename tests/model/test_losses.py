"""Losses of what is learned beside the motion: where they are least, and what weighs how much."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_model.diffusion.losses import attribute_loss, error_likelihood
from syncmv4d_model.types import AlignedTracks


def aligned(*, visible_logit=None, label_logits=None, log_variance=None, shape=(1, 2, 5, 20)) -> AlignedTracks:
    nothing = torch.zeros(shape)
    points = torch.zeros(*shape, 3)
    labels = torch.zeros(shape[0], shape[1], shape[3], 4)
    return AlignedTracks(
        points,
        points,
        nothing if visible_logit is None else visible_logit,
        labels if label_logits is None else label_logits,
        nothing if log_variance is None else log_variance,
    )


@given(occluded=st.integers(2, 10))
def test_however_rare_occluded_points_are_a_constant_guess_is_best_at_one_half(occluded):
    visible = torch.ones(1, 1, 1, 20, dtype=torch.bool)
    visible[..., :occluded] = False
    label = torch.zeros(1, 1, 20, dtype=torch.long)
    logit = torch.zeros(1, 1, 1, 20, requires_grad=True)
    loss = attribute_loss(aligned(visible_logit=logit, shape=(1, 1, 1, 20)), visible=visible, label=label).visibility
    (gradient,) = torch.autograd.grad(loss, logit)
    assert abs(gradient.sum().item()) < 1e-6 and (gradient[visible] < 0).all() and (gradient[~visible] > 0).all()


def test_a_rare_label_pulls_as_hard_as_a_frequent_one():
    label = torch.tensor([1] * 17 + [2] * 3)[None, None]
    logits = torch.zeros(1, 1, 20, 4, requires_grad=True)
    visible = torch.ones(1, 1, 1, 20, dtype=torch.bool)
    attribute_loss(aligned(label_logits=logits, shape=(1, 1, 1, 20)), visible=visible, label=label).label.backward()
    pull = logits.grad.sum((0, 1, 2))
    assert pull[1].item() == pytest.approx(pull[2].item()) and pull[1] < 0 < pull[3]


def test_labels_that_are_known_cost_nothing_and_those_mistaken_much():
    label = torch.arange(20).expand(1, 2, 20) % 4
    logits = 20 * torch.nn.functional.one_hot(label, 4).float()
    visible = torch.ones(1, 2, 5, 20, dtype=torch.bool)
    right = attribute_loss(aligned(label_logits=logits), visible=visible, label=label).label
    wrong = attribute_loss(aligned(label_logits=logits.roll(1, -1)), visible=visible, label=label).label
    assert right < 1e-6 and wrong > 10


@pytest.mark.parametrize("error", [0.01, 0.3])
def test_the_likelihood_is_best_at_the_error_s_own_variance_and_leaves_the_points_alone(error):
    clean = torch.full((1, 2, 5, 20, 3), error, requires_grad=True)
    best = 2 * torch.log(torch.tensor(error)).item()
    at = {
        shift: error_likelihood(aligned(log_variance=torch.full((1, 2, 5, 20), best + shift)), clean.detach())
        for shift in (-0.5, 0.0, 0.5)
    }
    assert at[0.0] < at[-0.5] and at[0.0] < at[0.5]
    given_tracks = aligned()
    points = given_tracks.clean.requires_grad_()
    variance = torch.zeros(1, 2, 5, 20, requires_grad=True)
    loss = error_likelihood(
        AlignedTracks(points, points, variance, given_tracks.label_logits, variance), clean.detach()
    )
    loss.backward()
    assert points.grad is None and variance.grad.abs().sum() > 0
