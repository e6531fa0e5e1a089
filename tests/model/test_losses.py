"""What the losses weigh, and where they are least."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_model.diffusion.losses import (
    aligner_loss,
    aligner_loss_from,
    attribute_loss,
    error_likelihood,
    joint_loss,
)
from syncmv4d_model.types import AlignedTracks, JointVelocity, State


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


def test_the_reference_frame_of_the_video_counts_nothing():
    clean = torch.zeros(1, 2, 5, 3, 2, 2)
    video = clean.clone()
    video[:, :, :, 0] = 100
    loss = joint_loss(
        JointVelocity(video, clean, torch.zeros(1, 2, 2)), State(clean, clean, None), State(clean, clean, None),
        torch.full((1, 2, 2), 2.0),
    )  # fmt: skip
    assert (loss.video.item(), loss.motion.item(), loss.depth_scale.item()) == (0, 0, 4)


def test_the_chamfer_term_fades_towards_noise():
    truth, zeros = torch.zeros(1, 2, 3, 4, 3), torch.zeros(1, 2, 3, 4)
    estimate = AlignedTracks(truth + torch.tensor([0.0, 0, 0.5]), truth, zeros, torch.zeros(1, 2, 4, 4), zeros)
    for t in (0.0, 0.25, 1.0):
        loss = aligner_loss(estimate, truth, truth, torch.full((1,), t))
        assert loss.chamfer.item() == pytest.approx((1 - t) * 2 * 0.25)


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_on_the_line_from_truth_to_noise_both_forms_of_the_aligners_loss_are_one(t):
    generator = torch.Generator().manual_seed(0)
    truth, noise, guess = (torch.randn(1, 2, 3, 4, 3, generator=generator) for _ in range(3))
    tracks, time = (1 - t) * truth + t * noise, torch.full((1,), t)
    zeros = torch.zeros(1, 2, 3, 4)
    answer = AlignedTracks(guess, (tracks - guess) / t, zeros, torch.zeros(1, 2, 4, 4), zeros)
    on_line, from_there = aligner_loss(answer, truth, noise, time), aligner_loss_from(answer, truth, time)
    assert from_there.velocity.item() == pytest.approx(on_line.velocity.item(), rel=1e-4)
    assert from_there.chamfer.item() == on_line.chamfer.item()


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
def test_the_likelihood_is_best_at_the_mean_squared_error_of_an_axis_and_leaves_the_points_alone(error):
    clean = torch.tensor([error, 0.0, 0.0]).expand(1, 2, 5, 20, 3)
    best = math.log(error**2 / 3)
    at = {
        shift: error_likelihood(aligned(log_variance=torch.full((1, 2, 5, 20), best + shift)), clean)
        for shift in (-0.5, 0.0, 0.5)
    }
    assert at[0.0] < at[-0.5] and at[0.0] < at[0.5]
    given_tracks = aligned()
    points = given_tracks.clean.requires_grad_()
    variance = torch.zeros(1, 2, 5, 20, requires_grad=True)
    loss = error_likelihood(AlignedTracks(points, points, variance, given_tracks.label_logits, variance), clean)
    loss.backward()
    assert points.grad is None and variance.grad.abs().sum() > 0
