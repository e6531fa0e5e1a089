"""The closed loop on callables whose answers are known."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from syncmv4d_model.diffusion.closed_loop import Cancelled, LoopFunctions, algorithm_1, clean_guidance, denoise
from syncmv4d_model.diffusion.flow_matching import sampling_times
from syncmv4d_model.types import AlignedTracks, Anchors, CoarseTracks, JointVelocity, State

B, V, T, K = 1, 2, 5, 4
LATENT = (B, V, 3, 2, 1, 1)


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


CLEAN = State(draw(1, *LATENT), draw(2, *LATENT), draw(3, B, V, T, K, 3))
NOISE = State(draw(4, *LATENT), draw(5, *LATENT), draw(6, B, V, T, K, 3))
ANCHORS = Anchors(torch.zeros(B, V, K, 2), torch.zeros(B, V, K, 3), torch.zeros(B, V, K, dtype=torch.bool))
SCALE = torch.zeros(B, V, 2)


@dataclass
class Oracle:
    """Networks that know the answer, and remember what they were asked."""

    guidances: list = field(default_factory=list)
    times: list = field(default_factory=list)
    anchors_drawn: int = 0

    def joint_denoiser(self, state, t, guidance):
        self.guidances.append(guidance)
        self.times.append(t.item())
        motion = None if state.motion is None else NOISE.motion - CLEAN.motion
        return JointVelocity(NOISE.video - CLEAN.video, motion, SCALE)

    def choose_anchors(self, clean_motion):
        self.anchors_drawn += 1
        return ANCHORS

    def decode_denormalise(self, clean_motion, depth_scale, anchors):
        torch.testing.assert_close(clean_motion, CLEAN.motion, atol=1e-5, rtol=1e-4)
        return CoarseTracks(CLEAN.tracks + 7, torch.ones(B, V, T, K, dtype=torch.bool))

    def point_aligner(self, tracks, coarse, anchors, t):
        flat = torch.zeros(B, V, T, K)
        velocity = (tracks - CLEAN.tracks) / t
        return AlignedTracks(CLEAN.tracks, velocity, flat, torch.zeros(B, V, K, 4), flat)

    def project_encode(self, clean, anchors):
        return torch.full(LATENT, 2.0)

    def loop(self, **changes):
        functions = {
            "joint_denoiser": self.joint_denoiser,
            "hold_reference": lambda video: torch.cat([CLEAN.video[:, :, :, :1], video[:, :, :, 1:]], 3),
            "choose_anchors": self.choose_anchors,
            "decode_denormalise": self.decode_denormalise,
            "point_aligner": self.point_aligner,
            "keep_bodies_rigid": lambda aligned, tracks, t: aligned,
            "project_encode": self.project_encode,
        }
        return LoopFunctions(**functions | changes)


def run(oracle, state=NOISE, **options):
    return denoise(oracle.loop(), state, times=sampling_times(4, shift=3.0), **options)


def test_true_velocities_lead_to_the_clean_state():
    state = run(Oracle()).state
    for reached, clean in zip(vars(state).values(), vars(CLEAN).values(), strict=True):
        torch.testing.assert_close(reached, clean, atol=1e-5, rtol=1e-4)


def test_the_reference_stands_in_frame_0_at_every_call_and_at_the_end():
    seen = []
    oracle = Oracle()

    def joint_denoiser(state, t, guidance):
        seen.append(state.video[:, :, :, 0])
        return JointVelocity(torch.ones(LATENT), NOISE.motion - CLEAN.motion, SCALE)

    result = denoise(oracle.loop(joint_denoiser=joint_denoiser), NOISE, times=sampling_times(3, shift=1.0))
    assert all(torch.equal(frame, CLEAN.video[:, :, :, 0]) for frame in seen)
    assert torch.equal(result.state.video[:, :, :, 0], CLEAN.video[:, :, :, 0])


@pytest.mark.parametrize(("options", "kept_steps"), [({"keep_every_input": True}, 3), ({}, 1)])
def test_what_the_aligner_was_given_is_kept_of_every_step_where_asked_else_of_the_last(options, kept_steps):
    given = []
    oracle = Oracle()

    def point_aligner(tracks, coarse, anchors, t):
        given.append((tracks, coarse, t))
        return oracle.point_aligner(tracks, coarse, anchors, t)

    loop, times = oracle.loop(point_aligner=point_aligner), sampling_times(3, shift=1.0)
    result = denoise(loop, NOISE, times=times, **options)
    assert len(given) == 3
    for kept, (tracks, coarse, t) in zip(result.aligner_inputs, given[-kept_steps:], strict=True):
        assert kept.tracks is tracks and kept.coarse is coarse and torch.equal(kept.t, t)


def test_guidance_is_absent_at_first_and_fed_back_from_then_on():
    oracle = Oracle()
    run(oracle)
    assert oracle.guidances[0] is None
    assert [guidance.unique().item() for guidance in oracle.guidances[1:]] == [2.0, 2.0, 2.0]


def test_guidance_strength_scales_what_is_fed_back():
    oracle = Oracle()
    run(oracle, guidance_strength=0.5)
    assert oracle.guidances[1].unique().item() == 1.0


def test_without_the_cycle_nothing_is_fed_back():
    oracle = Oracle()
    run(oracle, cycle=False)
    assert oracle.guidances == [None] * 4


def test_a_feedback_interval_refreshes_the_guidance_only_every_nth_step():
    encoded = []
    oracle = Oracle()

    def project_encode(clean, anchors):
        encoded.append(len(oracle.times))
        return torch.full(LATENT, float(len(encoded)))

    denoise(oracle.loop(project_encode=project_encode), NOISE, times=sampling_times(6, shift=1.0), feedback_interval=2)
    assert encoded == [1, 3, 5]
    assert [None if g is None else g.mean().item() for g in oracle.guidances] == [None, 1, 1, 2, 2, 3]


def test_anchors_are_drawn_once_and_not_at_all_when_given():
    drawn, given = Oracle(), Oracle()
    run(drawn)
    run(given, anchors=ANCHORS)
    assert (drawn.anchors_drawn, given.anchors_drawn) == (1, 0)


def test_without_an_aligner_the_coarse_tracks_are_the_result_and_nothing_is_fed_back():
    oracle = Oracle()
    result = denoise(oracle.loop(point_aligner=None), NOISE, times=sampling_times(4, shift=3.0))
    assert result.aligned is None
    assert torch.equal(result.coarse.points_world, CLEAN.tracks + 7)
    assert oracle.guidances == [None] * 4


def test_a_video_only_state_is_denoised_without_tracks():
    result = run(Oracle(), State(NOISE.video, None, None))
    torch.testing.assert_close(result.state.video, CLEAN.video, atol=1e-5, rtol=1e-4)
    assert result.coarse is None and result.anchors is None


def test_cancel_takes_effect_before_the_next_step():
    oracle, done = Oracle(), []
    with pytest.raises(Cancelled, match="before step 3 of 4"):
        run(oracle, progress=lambda step, steps: done.append((step, steps)), cancelled=lambda: len(done) == 2)
    assert done == [(1, 4), (2, 4)] and len(oracle.times) == 2


def losses(oracle, *, detach_coarse, **changes):
    return algorithm_1(
        oracle.loop(**changes), CLEAN, noise=NOISE, depth_scale=SCALE, anchors=ANCHORS, t=torch.tensor([0.5]),
        make_guidance=lambda noisy: None, detach_coarse=detach_coarse,
    )  # fmt: skip


def test_algorithm_1_has_no_loss_for_networks_that_know_the_answer():
    joint, aligner, aligned = losses(Oracle(), detach_coarse=True)
    torch.testing.assert_close(aligned.clean, CLEAN.tracks)
    assert joint.total.item() == pytest.approx(0, abs=1e-10)
    assert aligner.total.item() == pytest.approx(0, abs=1e-10)


def test_the_aligner_s_loss_reaches_the_joint_denoiser_only_when_coarse_tracks_are_attached():
    for detach in (True, False):
        weight = torch.ones((), requires_grad=True)

        def joint_denoiser(state, t, guidance, weight=weight):
            return JointVelocity(state.video, weight * (NOISE.motion - CLEAN.motion), SCALE)

        def decode(clean_motion, depth_scale, anchors):
            return CoarseTracks(CLEAN.tracks + clean_motion.mean(), torch.ones(B, V, T, K, dtype=torch.bool))

        def aligner(tracks, coarse, anchors, t):
            flat = torch.zeros(B, V, T, K)
            velocity = tracks - coarse.points_world
            return AlignedTracks(coarse.points_world, velocity, flat, torch.zeros(B, V, K, 4), flat)

        _, loss, _ = losses(
            Oracle(),
            detach_coarse=detach,
            joint_denoiser=joint_denoiser,
            decode_denormalise=decode,
            point_aligner=aligner,
        )
        if detach:
            assert not loss.total.requires_grad
        else:
            (gradient,) = torch.autograd.grad(loss.total, weight)
            assert gradient.abs() > 0


def test_guidance_in_training_is_of_rigid_bodies_as_in_sampling():
    oracle, fed = Oracle(), []
    loop = oracle.loop(
        keep_bodies_rigid=lambda aligned, tracks, t: replace(aligned, clean=aligned.clean + 5),
        project_encode=lambda clean, anchors: fed.append(clean) or clean,
    )
    t = torch.tensor([0.5])
    noisy = State(
        *(0.5 * clean + 0.5 * noise for clean, noise in zip(vars(CLEAN).values(), vars(NOISE).values(), strict=True))
    )
    clean_guidance(loop, noisy, ANCHORS, t)
    torch.testing.assert_close(fed[0], CLEAN.tracks + 5)
