"""What each training stage trains and minimises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from syncmv4d_model.binding import expect_motion, expect_points, full_precision
from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import Batch, LatentCache
from syncmv4d_model.diffusion.closed_loop import algorithm_1, clean_guidance, noisy_guidance
from syncmv4d_model.diffusion.flow_matching import clean_estimate, diffuse
from syncmv4d_model.diffusion.losses import aligner_loss, attribute_loss, joint_loss
from syncmv4d_model.motion.anchors import point_colours
from syncmv4d_model.training.draws import Draw, standardised_scale
from syncmv4d_model.training.kept_samples import KeptSamples
from syncmv4d_model.training.plan import NEED_ALIGNER, StagePlan
from syncmv4d_model.training.refining import Pair, sample_videos
from syncmv4d_model.training.rollouts import Losses, draw_for_sampling, sample_outputs
from syncmv4d_model.types import AlignedTracks, State

PRIOR_SCALE_WEIGHT = 0.1
ALONE = frozenset({"motion_prior", "point_prior", "video_refiner"})
"""Stages that train the one network of their name."""

MOMENT_SEQUENCES = 256
"""How many training sequences the spread of the motion about its expectation is measured on."""


@dataclass(frozen=True)
class Stage:
    """One entry of the training loop. `losses` returns the terms to be summed, by name."""

    plan: StagePlan
    modules: list[nn.Module]  # trained; everything else is frozen
    batches: Callable[[int], Iterator[Any]]  # endless, from a step number on
    losses: Callable[[Any, torch.Generator], Losses]


def make_stage(
    components: Components, cache: LatentCache, plan: StagePlan, *, seed: int, kept: KeptSamples | None = None
) -> Stage:
    """The stage of this name, bound to the components that it trains; what it samples first is `kept` where that is given.

    Raises ValueError where a switch leaves none, and OutOfTime while it samples.
    """
    if plan.stage in NEED_ALIGNER and components.point_aligner is None:
        raise ValueError(f"stage {plan.stage} needs the point aligner, but the configuration has switched it off")
    losses = StageLosses(components, plan)

    def batches(first_step: int) -> Iterator[Batch]:
        return cache.batches(
            batch_size=plan.batch_size, num_points=components.config.num_points, seed=seed, first_step=first_step
        )

    if plan.stage in ALONE:
        part = getattr(components, plan.stage)
        if part is None:
            name = plan.stage.replace("_", " ")
            raise ValueError(f"stage {plan.stage} needs the {name}, which the configuration does not have")
        if plan.stage == "video_refiner":
            pairs = sample_videos(components, cache, count=plan.sampled_sequences, seed=seed, kept=kept)
            return Stage(plan, [part], pairs.batches(plan, seed), losses.refiner_losses)
        terms = losses.prior_losses if plan.stage == "motion_prior" else losses.point_losses
        return Stage(plan, [part], batches, terms)

    denoiser, aligner = components.joint_denoiser, components.point_aligner
    text = (
        [components.text_encoder] if components.config.text.kind == "scratch" else []
    )  # a pretrained one stays as it is
    if plan.stage == "joint_denoiser":
        fit_motion_moments(components, cache, plan, seed=seed)
        return Stage(plan, [denoiser, *text], batches, losses.joint_losses)
    assert aligner is not None
    if plan.stage == "point_aligner":
        return Stage(plan, [aligner], batches, losses.aligner_losses)
    if plan.stage == "closed_loop":
        return Stage(plan, [denoiser, *text, aligner], batches, losses.closed_loop_losses)
    rollouts = plan.stage == "rollouts"
    samples = sample_outputs(
        components, cache, count=plan.sampled_sequences, seed=seed, attribute_weight=plan.attribute_weight,
        every_step=rollouts, kept=kept,
    )  # fmt: skip
    if rollouts:
        return Stage(plan, [aligner], samples.batches(plan, seed), samples.rollout_losses)
    judges = [part for part in (aligner.heads, components.uncertainty_head) if part is not None]
    return Stage(plan, judges, samples.batches(plan, seed), samples.head_losses)


@dataclass(frozen=True)
class StageLosses:
    """The terms of every stage that learns from batches of the cache."""

    components: Components
    plan: StagePlan

    @property
    def draw(self) -> Draw:
        return Draw(self.components, self.plan)

    def prior_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Squared errors of the motion prior; that of the depth scale weighs less, or it would drown the other."""
        components, batch = self.components, batch.to(self.components.device)
        assert components.motion_prior is not None
        tokens = components.text_encoder.tokenize(self.draw.texts(batch, generator))
        expected = components.motion_prior(batch.images, batch.cameras, tokens.ids, tokens.mask)
        scale = standardised_scale(components, batch.depth_scale)
        return {
            "motion": functional.mse_loss(expected.motion, batch.motion),
            "depth_scale": PRIOR_SCALE_WEIGHT * functional.mse_loss(expected.depth_scale, scale),
        }

    def point_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Cross-entropy of visibility and label."""
        components, batch = self.components, batch.to(self.components.device)
        tokens = components.text_encoder.tokenize(self.draw.texts(batch, generator))
        expected = expect_motion(components, tokens, batch.images, batch.cameras)
        assert expected is not None
        colours = point_colours(batch.images, batch.anchors_px)
        points = expect_points(components, expected, batch.anchors_px, colours, batch.cameras)
        assert points is not None
        return vars(attribute_loss(points, visible=batch.visible, label=batch.label))

    def refiner_losses(self, pair: Pair, generator: torch.Generator) -> Losses:
        """Squared error of mended frames."""
        del generator
        components = self.components
        latents, video = (part.to(components.device) for part in pair)
        assert components.video_refiner is not None
        with full_precision(latents):  # as where it will be used
            decoded = components.codec.decode_video(latents)
        mended = components.video_refiner(decoded, video[:, 0])
        return {"video": functional.mse_loss(mended[:, 1:], video[:, 1:])}

    def joint_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        drawn = self.draw(batch, generator)
        velocity = drawn.binding.joint_denoiser(drawn.noisy, drawn.t, None)
        return vars(joint_loss(velocity, drawn.clean, drawn.noise, drawn.depth_scale, expected=drawn.expected))

    def aligner_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Warm-up without the joint denoiser: coarse tracks are read off true motion latents that noise has blurred."""
        drawn = self.draw(batch, generator)
        blur = 0.4 * torch.rand(len(drawn.t), generator=generator).to(drawn.t)
        blurred = diffuse(drawn.clean.motion, drawn.noise.motion, blur)
        with torch.no_grad():
            coarse = drawn.binding.decode_denormalise(blurred, drawn.depth_scale, drawn.anchors)
        aligned = drawn.binding.point_aligner(drawn.noisy.tracks, coarse, drawn.anchors, drawn.t)
        return vars(aligner_loss(aligned, drawn.clean.tracks, drawn.noise.tracks, drawn.t)) | self.attributes(
            aligned, drawn.batch
        )

    def closed_loop_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        drawn, plan = self.draw(batch, generator), self.plan
        loop, switches = drawn.binding.loop(), self.components.config.switches
        fed = torch.rand((), generator=generator).item() < plan.guidance_share

        def make_guidance(noisy: State) -> Tensor | None:
            if not switches.cycle:
                return None
            if plan.guidance_source == "noisy":
                return noisy_guidance(loop, noisy, drawn.depth_scale, drawn.anchors, drawn.t)
            return clean_guidance(loop, noisy, drawn.anchors, drawn.t) if fed else None

        joint, aligner, aligned = algorithm_1(
            loop, drawn.clean, noise=drawn.noise, depth_scale=drawn.depth_scale, anchors=drawn.anchors, t=drawn.t,
            make_guidance=make_guidance, detach_coarse=switches.detach_coarse, expected=drawn.expected,
        )  # fmt: skip
        aligner_terms = {f"aligner_{name}": value for name, value in vars(aligner).items()}
        return vars(joint) | aligner_terms | self.attributes(aligned, drawn.batch)

    def attributes(self, aligned: AlignedTracks, batch: Batch) -> Losses:
        """So that the features which the heads will read know what a point belongs to; nothing where the plan gives it no weight."""
        if not self.plan.attribute_weight:
            return {}
        terms = attribute_loss(aligned, visible=batch.visible, label=batch.label)
        return {name: self.plan.attribute_weight * value for name, value in vars(terms).items()}


@torch.no_grad()
def fit_motion_moments(components: Components, cache: LatentCache, plan: StagePlan, *, seed: int) -> None:
    """Tell the preconditioner how far the motion lies from what the motion prior expects of it, or from nothing where there is no
    such network: what the start had measured may be another one's. Not where the plan says that it knows.
    """
    if not components.config.switches.motion or components.preconditioner is None or not plan.measure_motion:
        return
    residuals = []
    batches = cache.batches(batch_size=1, num_points=1, seed=seed + 2, first_step=0, augment=False)
    for batch, _ in zip(batches, range(MOMENT_SEQUENCES), strict=False):
        batch = batch.to(components.device)
        tokens = components.text_encoder.tokenize(batch.texts)
        expected = expect_motion(components, tokens, batch.images, batch.cameras)
        residuals.append((batch.motion if expected is None else batch.motion - expected.motion)[0])
    components.preconditioner.fit_motion(torch.cat(residuals))


@torch.no_grad()
def clean_estimate_errors(components: Components, batch: Batch, *, t: float, seed: int) -> dict[str, float]:
    """Squared error of the joint denoiser's one-shot clean estimate at time t, relative to predicting zero."""
    drawn = draw_for_sampling(components, batch, seed=seed)
    drawn = replace(drawn, t=torch.full_like(drawn.t, t))
    velocity = drawn.binding.joint_denoiser(drawn.noisy, drawn.t, None)
    noisy = drawn.noisy
    video = clean_estimate(noisy.video, velocity.video, drawn.t)[:, :, :, 1:]
    truth = drawn.clean.video[:, :, :, 1:]
    errors = {"video": ((video - truth).square().mean() / truth.square().mean()).item()}
    truth = drawn.clean.motion
    if velocity.motion is not None and noisy.motion is not None and truth is not None:
        motion = clean_estimate(noisy.motion, velocity.motion, drawn.t)
        errors["motion"] = ((motion - truth).square().mean() / truth.square().mean()).item()
        errors["depth_scale"] = (velocity.depth_scale - drawn.depth_scale).square().mean().item()
    return errors
