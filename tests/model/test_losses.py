"""What the losses weigh."""

import math

import pytest
import torch

from syncmv4d_model.diffusion.losses import aligner_loss, heads_loss, joint_loss
from syncmv4d_model.types import AlignedTracks, JointVelocity, State

B, V, T, K = 1, 2, 3, 4


def aligned(clean, *, visible_logit=0.0, log_variance=0.0):
    flat = torch.zeros(B, V, T, K)
    logits = torch.zeros(B, V, K, 4)
    return AlignedTracks(clean, torch.zeros_like(clean), flat + visible_logit, logits, flat + log_variance)


def test_the_reference_frame_of_the_video_counts_nothing():
    clean = torch.zeros(B, V, 5, 3, 2, 2)
    video = clean.clone()
    video[:, :, :, 0] = 100
    loss = joint_loss(
        JointVelocity(video, clean, torch.zeros(B, V, 2)), State(clean, clean, None), State(clean, clean, None),
        torch.full((B, V, 2), 2.0),
    )  # fmt: skip
    assert (loss.video.item(), loss.motion.item(), loss.depth_scale.item()) == (0, 0, 4)


def test_the_chamfer_term_fades_towards_noise():
    truth = torch.zeros(B, V, T, K, 3)
    estimate = aligned(truth + torch.tensor([0.0, 0, 0.5]))
    for t in (0.0, 0.25, 1.0):
        loss = aligner_loss(estimate, truth, truth, torch.full((B,), t))
        assert loss.chamfer.item() == pytest.approx((1 - t) * 2 * 0.25)


def test_occluded_points_weigh_as_much_as_visible_ones():
    truth, label = torch.zeros(B, V, T, K, 3), torch.zeros(B, V, K, dtype=torch.long)
    visible = torch.ones(B, V, T, K, dtype=torch.bool)
    visible[..., 0] = False  # a quarter

    def visibility(logit):
        loss = heads_loss(aligned(truth, visible_logit=logit), truth, visible=visible, label=label)
        return loss.item() - math.log(4)

    always_visible, always_occluded = visibility(3.0), visibility(-3.0)
    assert always_visible == pytest.approx(always_occluded, rel=1e-5)
    assert always_visible == pytest.approx(0.5 * (math.log1p(math.exp(-3)) + math.log1p(math.exp(3))), rel=1e-5)


def test_the_likelihood_is_best_at_the_mean_squared_error_of_an_axis():
    truth, label = torch.zeros(B, V, T, K, 3), torch.zeros(B, V, K, dtype=torch.long)
    visible = torch.ones(B, V, T, K, dtype=torch.bool)
    estimate = truth + torch.tensor([0.3, 0.0, 0.0])

    def loss(log_variance):
        return heads_loss(aligned(estimate, log_variance=log_variance), truth, visible=visible, label=label).item()

    best = math.log(0.03)
    assert loss(best) < min(loss(best - 0.2), loss(best + 0.2))
