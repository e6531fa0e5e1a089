"""The expectation that the network's output is added to."""

import itertools

import pytest
import torch

from syncmv4d_model.data.loader import build_cache
from syncmv4d_model.data.sequence import list_sequences, read_sequence
from syncmv4d_model.diffusion.flow_matching import clean_estimate, cooled, diffuse, euler_step, sampling_times
from syncmv4d_model.diffusion.losses import joint_loss
from syncmv4d_model.networks.preconditioning import Preconditioner, velocity_about
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.training.stages import make_stage
from syncmv4d_model.types import ExpectedMotion, JointVelocity, State
from tests.model.tiny_model import tiny_checkpoint

B, V, C, F, H, W = 1, 2, 3, 4, 60, 60


def gaussian_latents(moment, mean, *, t, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (B, V, C, F, H, W)
    clean = mean + moment.sqrt().view(1, 1, C, 1, 1, 1) * torch.randn(shape, generator=generator)
    noise = torch.randn(shape, generator=generator)
    return noise - clean, diffuse(clean, noise, torch.full((B,), t)), clean


@pytest.mark.parametrize("t", [0.05, 0.3, 0.7, 1.0])
def test_what_is_left_for_the_network_is_uncorrelated_with_the_input_and_of_unit_spread(t):
    moment, mean = torch.tensor([0.04, 1.0, 3.0]), torch.randn(B, V, C, F, H, W)
    velocity, noisy, _ = gaussian_latents(moment, mean, t=t)
    both = torch.stack([moment, moment], dim=1)
    time = torch.full((B,), t)
    expected = velocity_about(torch.zeros_like(noisy), noisy, mean=mean, moment=both, t=time)
    spread = velocity_about(torch.ones_like(noisy), noisy, mean=mean, moment=both, t=time) - expected
    left = (velocity - expected) / spread
    centred = noisy - (1 - t) * mean
    for channel in range(C):
        assert left[:, :, channel].std().item() == pytest.approx(1, abs=0.02)
        pair = torch.stack([left[:, :, channel].flatten(), centred[:, :, channel].flatten()])
        assert abs(torch.corrcoef(pair)[0, 1].item()) < 0.02


def test_an_untrained_network_answers_with_the_still_reference_at_pure_noise():
    generator = torch.Generator().manual_seed(1)
    still, noise = (torch.randn(B, V, C, F, 2, 2, generator=generator) for _ in range(2))
    preconditioner, nothing = Preconditioner(C, C), torch.zeros(B, V, C, F, 2, 2)
    t = torch.ones(B)
    output = JointVelocity(nothing, nothing, torch.zeros(B, V, 2))
    velocity = preconditioner(output, State(noise, noise, None), t=t, still=still)
    torch.testing.assert_close(clean_estimate(noise, velocity.video, t), still)
    torch.testing.assert_close(clean_estimate(noise, velocity.motion, t), nothing)


def test_an_untrained_network_answers_with_what_the_motion_prior_expects_at_pure_noise():
    generator = torch.Generator().manual_seed(1)
    motion, noise = (torch.randn(B, V, C, F, 2, 2, generator=generator) for _ in range(2))
    expected = ExpectedMotion(motion, torch.randn(B, V, 2, generator=generator), torch.zeros(B, V, 4, 8), ())
    nothing, t = torch.zeros(B, V, C, F, 2, 2), torch.ones(B)
    output = JointVelocity(nothing, nothing, torch.full((B, V, 2), 0.5))
    state = State(noise, noise, None)
    velocity = Preconditioner(C, C)(output, state, t=t, still=nothing, expected=expected)
    torch.testing.assert_close(clean_estimate(noise, velocity.motion, t), motion)
    torch.testing.assert_close(velocity.depth_scale, expected.depth_scale + 0.5)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_cooled_noise_becomes_latents_whose_spread_about_the_expectation_is_as_much_smaller(temperature):
    moment, mean = torch.tensor([0.04, 1.0, 3.0]), torch.randn(B, V, C, F, H, W)
    both = torch.stack([moment, moment], dim=1)
    noise = torch.randn(B, V, C, F, H, W, generator=torch.Generator().manual_seed(0))
    latents = cooled(State(noise, noise, None), temperature).video
    for now, following in itertools.pairwise(sampling_times(200, shift=1.0).tolist()):
        t, t_next = torch.full((B,), now), torch.full((B,), following)
        velocity = velocity_about(torch.zeros_like(latents), latents, mean=mean, moment=both, t=t)
        latents = euler_step(latents, velocity, t, t_next)
    spread = (latents - mean).transpose(2, 0).flatten(1).std(1)
    torch.testing.assert_close(spread, temperature * moment.sqrt(), rtol=0.03, atol=1e-4)


@pytest.mark.parametrize("t", [0.05, 0.5, 0.9, 1.0])
def test_knowing_nothing_has_a_loss_of_one_at_every_time(t):
    moment, mean = torch.tensor([0.04, 1.0, 3.0]), torch.zeros(B, V, C, F, H, W)
    velocity, noisy, clean = gaussian_latents(moment, mean, t=t)
    preconditioner, time = Preconditioner(C, C), torch.full((B,), t)
    for both in (preconditioner.video_moment, preconditioner.motion_moment):
        both.copy_(torch.stack([moment, moment], dim=1))
    nothing = torch.zeros_like(noisy)
    answer = preconditioner(JointVelocity(nothing, nothing, None), State(noisy, noisy, None), t=time, still=mean)
    noise = State(velocity + clean, velocity + clean, None)
    expected = preconditioner.expected_error(time, frames=F)
    loss = joint_loss(answer, State(clean, clean, None), noise, torch.zeros(B, V, 2), expected=expected)
    assert loss.video.item() == pytest.approx(1, abs=0.03) and loss.motion.item() == pytest.approx(1, abs=0.03)
    plain = joint_loss(answer, State(clean, clean, None), noise, torch.zeros(B, V, 2))
    assert plain.video.item() == pytest.approx(expected.video.item(), rel=0.03)


def test_moments_are_measured_apart_for_the_first_latent_frame():
    preconditioner = Preconditioner(1, 1)
    latents = torch.ones(5, 1, 3, 2, 2)
    latents[:, :, 0] = 0.5
    preconditioner.fit(torch.zeros_like(latents), latents)
    assert preconditioner.motion_moment.tolist() == [[0.25, 1.0]]
    assert preconditioner.video_moment.tolist() == [[pytest.approx(1e-3), pytest.approx(1e-3)]]


def test_the_videos_first_latent_frame_is_given_and_counts_nothing():
    preconditioner, t = Preconditioner(1, 1), torch.tensor([0.5])
    for moment in (preconditioner.video_moment, preconditioner.motion_moment):
        moment.copy_(torch.tensor([[3.0, 1.0]]))
    expected = preconditioner.expected_error(t, frames=3)
    assert expected.video.item() == pytest.approx(2)  # s / (t^2 + (1 - t)^2 s) of the later frames alone
    assert expected.motion.item() == pytest.approx((3 + 2 + 2) / 3)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    data, _, components = tiny_checkpoint(folder)
    cache = build_cache(list_sequences(data, "train"), read_sequence, components, folder / "latents")
    return components, cache


def test_moments_are_those_of_the_data_about_a_still_video(prepared):
    components, cache = prepared
    tensors = [cache.read(index)[0] for index in range(len(cache))]
    video = torch.cat([each["video"].float() for each in tensors])
    images = torch.cat([each["image"] for each in tensors])
    frames = components.config.num_frames
    still = components.codec.encode_video((images.float() / 127.5 - 1)[:, None].expand(-1, frames, -1, -1, -1))
    apart = (video - still).square().mean(dim=(0, 3, 4))
    assert (apart[:, 0] < 1e-3).all()
    later = apart[:, 1:].mean(1).clamp(min=1e-3)
    torch.testing.assert_close(components.preconditioner.video_moment[:, 1], later, rtol=0.02, atol=1e-4)
    assert components.preconditioner.video_moment[:, 0].max() == pytest.approx(1e-3)


def test_training_starts_at_a_loss_of_one(prepared):
    components, cache = prepared
    stage = make_stage(components, cache, StagePlan("joint_denoiser", steps=1, batch_size=6), seed=0)
    terms = [
        stage.losses(batch, torch.Generator().manual_seed(i))
        for i, batch in zip(range(6), stage.batches(0), strict=False)
    ]
    for name in ("video", "motion"):
        assert torch.stack([each[name] for each in terms]).mean().item() == pytest.approx(1, abs=0.15), name
