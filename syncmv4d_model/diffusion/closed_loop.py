"""The closed loop (paper, Algorithm 1 and section 5): networks come in as callables with their condition bound."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from syncmv4d_model.diffusion.flow_matching import clean_estimate, diffuse, euler_step
from syncmv4d_model.diffusion.losses import AlignerLoss, JointLoss, aligner_loss, joint_loss
from syncmv4d_model.types import AlignedTracks, Anchors, CoarseTracks, ExpectedError, JointVelocity, State

Guidance = Float[Tensor, "B V C F h w"] | None


class Cancelled(Exception):
    """The caller asked to stop; raised between two denoising steps."""


@dataclass(frozen=True)
class LoopFunctions:
    """What one request's loop calls. Coarse tracks are world metres; state and refined tracks are normalised (TRACK_UNIT_M)."""

    joint_denoiser: Callable[[State, Tensor, Guidance], JointVelocity]
    hold_reference: Callable[[Tensor], Tensor]  # video latents with latent frame 0 replaced by the reference
    choose_anchors: Callable[[Tensor], Anchors]  # from clean motion latents
    decode_denormalise: Callable[
        [Tensor, Tensor, Anchors], CoarseTracks
    ]  # clean motion latents, standardised depth scale
    point_aligner: Callable[[Tensor, CoarseTracks, Anchors, Tensor], AlignedTracks] | None
    keep_bodies_rigid: Callable[[AlignedTracks, Tensor, Tensor], AlignedTracks]  # aligner's answer, noisy tracks, t
    project_encode: Callable[[Tensor, Anchors], Tensor]  # clean tracks -> guidance latents


@dataclass(frozen=True)
class AlignerInput:
    """What the point aligner was given at one step."""

    tracks: Tensor
    coarse: CoarseTracks
    t: Tensor


@dataclass(frozen=True)
class Denoised:
    """Result of the loop; everything after `state` is None for a video-only model."""

    state: State
    depth_scale: Tensor | None = None  # standardised
    anchors: Anchors | None = None
    coarse: CoarseTracks | None = None
    aligned: AlignedTracks | None = None  # None without a point aligner
    aligner_inputs: tuple[AlignerInput, ...] = ()  # of every step where these are asked for, else of the last


@torch.no_grad()
def denoise(
    loop: LoopFunctions,
    state: State,
    *,
    times: Float[Tensor, "steps_plus_one"],
    anchors: Anchors | None = None,
    cycle: bool = True,
    guidance_strength: float = 1.0,
    feedback_interval: int = 1,
    keep_every_input: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Denoised:
    """Take a state of pure noise to a clean one (inference box of section 5).

    progress(done, steps) is called after every step; cancelled() is asked before every step, and Cancelled is raised
    when it answers True. `keep_every_input` keeps what the aligner was given at every step: at the paper's size and steps
    a third of a gigabyte. Anchors are the caller's, or are drawn after the first joint-denoiser call and then frozen.
    """
    steps = len(times) - 1
    guidance: Guidance = None
    result = Denoised(state)
    for index, (now, following) in enumerate(itertools.pairwise(times.tolist())):
        if cancelled is not None and cancelled():
            raise Cancelled(f"cancelled before step {index + 1} of {steps}")
        t = torch.full((len(state.video),), now, device=state.video.device)
        t_next = torch.full_like(t, following)

        state = replace(state, video=loop.hold_reference(state.video))
        velocity = loop.joint_denoiser(state, t, guidance)
        video = euler_step(state.video, velocity.video, t, t_next)
        if state.motion is None:
            state = replace(state, video=video)
        else:
            clean_motion = clean_estimate(state.motion, velocity.motion, t)
            anchors = anchors or loop.choose_anchors(clean_motion)
            coarse = loop.decode_denormalise(clean_motion, velocity.depth_scale, anchors)
            aligned, tracks = None, state.tracks
            if loop.point_aligner is not None:
                aligned = loop.keep_bodies_rigid(loop.point_aligner(state.tracks, coarse, anchors, t), state.tracks, t)
                tracks = euler_step(state.tracks, aligned.velocity, t, t_next)
            if cycle and aligned is not None and index % feedback_interval == 0 and index + 1 < steps:
                guidance = guidance_strength * loop.project_encode(aligned.clean, anchors)
            before = result.aligner_inputs if keep_every_input else ()
            inputs = (*before, AlignerInput(state.tracks, coarse, t))
            result = Denoised(state, velocity.depth_scale, anchors, coarse, aligned, inputs)
            motion = euler_step(state.motion, velocity.motion, t, t_next)
            state = State(video, motion, tracks)
        if progress is not None:
            progress(index + 1, steps)
    return replace(result, state=replace(state, video=loop.hold_reference(state.video)))


@torch.no_grad()
def clean_guidance(loop: LoopFunctions, noisy: State, anchors: Anchors, t: Float[Tensor, "B"]) -> Tensor:
    """Guidance as inference makes it: from the joint denoiser's own clean estimate (guidance_source = clean)."""
    velocity = loop.joint_denoiser(noisy, t, None)
    coarse = loop.decode_denormalise(clean_estimate(noisy.motion, velocity.motion, t), velocity.depth_scale, anchors)
    aligned = loop.keep_bodies_rigid(loop.point_aligner(noisy.tracks, coarse, anchors, t), noisy.tracks, t)
    return loop.project_encode(aligned.clean, anchors)


@torch.no_grad()
def noisy_guidance(
    loop: LoopFunctions, noisy: State, true_scale: Tensor, anchors: Anchors, t: Float[Tensor, "B"]
) -> Tensor:
    """Guidance to the letter of Algorithm 1: the aligner on the decoded NOISY motion latents and the true scale."""
    coarse = loop.decode_denormalise(noisy.motion, true_scale, anchors)  # line 7
    return loop.project_encode(loop.point_aligner(noisy.tracks, coarse, anchors, t).clean, anchors)  # lines 7, 8


def algorithm_1(
    loop: LoopFunctions,
    clean: State,
    *,
    noise: State,
    depth_scale: Float[Tensor, "B V 2"],
    anchors: Anchors,
    t: Float[Tensor, "B"],
    make_guidance: Callable[[State], Guidance],
    detach_coarse: bool,
    expected: ExpectedError | None = None,
) -> tuple[JointLoss, AlignerLoss, AlignedTracks]:
    """Lines 6 to 12 of Algorithm 1 on a batch whose lines 1 to 3 (scale, pseudo video, latents) are cached; the aligned
    tracks are returned beside their loss.
    """
    noisy = State(  # line 6
        loop.hold_reference(diffuse(clean.video, noise.video, t)),
        diffuse(clean.motion, noise.motion, t),
        diffuse(clean.tracks, noise.tracks, t),
    )
    guidance = make_guidance(noisy)  # lines 7 and 8
    velocity = loop.joint_denoiser(noisy, t, guidance)  # line 9
    clean_motion = clean_estimate(noisy.motion, velocity.motion, t)  # line 10
    with torch.set_grad_enabled(not detach_coarse):
        coarse = loop.decode_denormalise(clean_motion, velocity.depth_scale, anchors)
    aligned = loop.point_aligner(noisy.tracks, coarse, anchors, t)  # line 11
    return (  # line 12
        joint_loss(velocity, clean, noise, depth_scale, expected=expected),
        aligner_loss(aligned, clean.tracks, noise.tracks, t),
        aligned,
    )
