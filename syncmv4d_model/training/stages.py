"""What each training stage draws, trains and minimises."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from syncmv4d_model.binding import Binding, expect_motion, make_condition, normalised, without_task, world
from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import Batch, LatentCache
from syncmv4d_model.diffusion.closed_loop import (
    AlignerInput,
    Denoised,
    algorithm_1,
    clean_guidance,
    denoise,
    noisy_guidance,
)
from syncmv4d_model.diffusion.flow_matching import clean_estimate, diffuse, sample_training_times, sampling_times
from syncmv4d_model.diffusion.losses import (
    aligner_loss,
    aligner_loss_from,
    attribute_loss,
    error_likelihood,
    joint_loss,
)
from syncmv4d_model.training.plan import NEED_ALIGNER, StagePlan
from syncmv4d_model.types import AlignedTracks, Anchors, ExpectedError, State

Losses = dict[str, Tensor]

PRIOR_SCALE_WEIGHT = 0.1
MOMENT_SEQUENCES = 256
"""How many training sequences the spread of the motion about its expectation is measured on."""


@dataclass(frozen=True)
class Stage:
    """One entry of the training loop. `losses` returns the terms to be summed, by name."""

    plan: StagePlan
    modules: list[nn.Module]  # trained; everything else is frozen
    batches: Callable[[int], Iterator[Any]]  # endless, from a step number on
    losses: Callable[[Any, torch.Generator], Losses]


def make_stage(components: Components, cache: LatentCache, plan: StagePlan, *, seed: int) -> Stage:
    """The stage of this name, bound to the components that it trains. Raises ValueError where a switch leaves none."""
    if plan.stage in NEED_ALIGNER and components.point_aligner is None:
        raise ValueError(f"stage {plan.stage} needs the point aligner, but the configuration has switched it off")
    prior = components.motion_prior
    if plan.stage == "motion_prior" and prior is None:
        raise ValueError("stage motion_prior needs the motion prior, which the configuration does not have")

    def batches(first_step: int) -> Iterator[Batch]:
        return cache.batches(
            batch_size=plan.batch_size, num_points=components.config.num_points, seed=seed, first_step=first_step
        )

    denoiser, aligner = components.joint_denoiser, components.point_aligner
    text = (
        [components.text_encoder] if components.config.text.kind == "scratch" else []
    )  # a pretrained one stays as it is
    if plan.stage == "motion_prior":
        assert prior is not None
        return Stage(plan, [prior], batches, _Draw(components, plan).prior_losses)
    if plan.stage == "joint_denoiser":
        fit_motion_moments(components, cache, seed=seed)
        return Stage(plan, [denoiser, *text], batches, _Draw(components, plan).joint_losses)
    assert aligner is not None
    if plan.stage == "point_aligner":
        return Stage(plan, [aligner], batches, _Draw(components, plan).aligner_losses)
    if plan.stage == "closed_loop":
        return Stage(plan, [denoiser, *text, aligner], batches, _Draw(components, plan).closed_loop_losses)
    samples = sample_outputs(
        components, cache, count=plan.sampled_sequences, seed=seed, attribute_weight=plan.attribute_weight
    )
    if plan.stage == "rollouts":
        return Stage(plan, [aligner], samples.batches(plan, seed), samples.rollout_losses)
    return Stage(plan, [aligner.heads], samples.batches(plan, seed), samples.head_losses)


@dataclass(frozen=True)
class Drawn:
    """A batch with its diffusion time and noise."""

    batch: Batch
    binding: Binding
    clean: State
    noise: State
    t: Tensor
    anchors: Anchors

    @property
    def noisy(self) -> State:
        return State(
            self.binding.hold_reference(diffuse(self.clean.video, self.noise.video, self.t)),
            None if self.clean.motion is None else diffuse(self.clean.motion, self.noise.motion, self.t),
            diffuse(self.clean.tracks, self.noise.tracks, self.t),
        )

    def world(self, tracks: Tensor) -> Tensor:
        """Normalised tracks as world metres."""
        return world(tracks, self.binding.condition.centres)

    @property
    def expected(self) -> ExpectedError | None:
        """What the joint loss is divided by; None trains on the paper's plain velocity errors."""
        preconditioner, frames = self.binding.components.preconditioner, self.clean.video.shape[3]
        return None if preconditioner is None else preconditioner.expected_error(self.t, frames=frames)

    @property
    def depth_scale(self) -> Tensor:
        return standardised_scale(self.binding.components, self.batch.depth_scale)


def standardised_scale(components: Components, depth_scale_m: Tensor) -> Tensor:
    """Inverse of Binding.metric_scale."""
    statistics = components.statistics
    mean, std = statistics.depth_scale_mean_m, statistics.depth_scale_std_m
    return (depth_scale_m - depth_scale_m.new_tensor(mean)) / depth_scale_m.new_tensor(std)


@dataclass(frozen=True)
class _Draw:
    components: Components
    plan: StagePlan

    def texts(self, batch: Batch, generator: torch.Generator) -> list[str]:
        """The batch's tasks, some of them dropped."""
        keep = torch.rand(len(batch.texts), generator=generator) >= self.plan.text_dropout
        return [text if kept else "" for text, kept in zip(batch.texts, keep.tolist(), strict=True)]

    def draw(self, batch: Batch, generator: torch.Generator) -> Drawn:
        components, plan, size = self.components, self.plan, len(batch.texts)
        batch = batch.to(components.device)
        t = sample_training_times(
            size, generator=generator, high_noise_share=plan.high_noise_share, shift=plan.time_shift
        )
        texts = self.texts(batch, generator)
        # the codec is causal: the reference's latent is the first of the video's
        condition, _ = make_condition(
            components, texts, batch.images, batch.cameras, reference=batch.video[:, :, :, :1]
        )
        motion = batch.motion if components.config.switches.motion else None
        clean = State(batch.video, motion, normalised(batch.points_world, condition.centres))
        noise = State(*(None if part is None else _noise_like(part, generator) for part in vars(clean).values()))
        anchors = Anchors(batch.anchors_px, batch.colours, torch.zeros_like(batch.label, dtype=torch.bool))
        return Drawn(
            batch, Binding(components, condition, batch.images), clean, noise, t.to(batch.video.device), anchors
        )

    def prior_losses(self, batch: Batch, generator: torch.Generator) -> Losses:
        """Squared errors of the motion prior; that of the depth scale weighs less, or it would drown the other."""
        components, batch = self.components, batch.to(self.components.device)
        assert components.motion_prior is not None
        tokens = components.text_encoder.tokenize(self.texts(batch, generator))
        ids, mask = tokens.ids.to(batch.images.device), tokens.mask.to(batch.images.device)
        expected = components.motion_prior(batch.images, batch.cameras, ids, mask)
        scale = standardised_scale(components, batch.depth_scale)
        return {
            "motion": functional.mse_loss(expected.motion, batch.motion),
            "depth_scale": PRIOR_SCALE_WEIGHT * functional.mse_loss(expected.depth_scale, scale),
        }

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


def _noise_like(part: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(part.shape, generator=generator).to(part)


@dataclass(frozen=True)
class SampledExample:
    """The aligner's inputs at every step of the sampler on one training sequence, and the truth."""

    inputs: tuple[AlignerInput, ...]
    anchors: Anchors
    binding: Binding
    batch: Batch
    angle: float = 0.0  # by which the scene is turned about the vertical through its centre

    def aligned(self, step: int) -> AlignedTracks:
        """The aligner's answer at a step of the sampler, -1 the last."""
        given = self.inputs[step]
        points = self._turned(given.coarse.points_world - self._centres) + self._centres
        coarse = replace(given.coarse, points_world=points)
        return self.binding.point_aligner(self._turned(given.tracks), coarse, self.anchors, given.t)

    @property
    def clean(self) -> Float[Tensor, "1 V T K 3"]:
        """True tracks, normalised."""
        return self._turned(normalised(self.batch.points_world, self.binding.condition.centres))

    @property
    def _centres(self) -> Tensor:
        return self.binding.condition.centres[:, :, None, None]

    def _turned(self, points: Tensor) -> Tensor:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return points @ points.new_tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


@dataclass(frozen=True)
class SampledOutputs:
    """The sampler's own outputs on training sequences. Under teacher forcing the noisy tracks contain the truth: an aligner
    never learns to mend what sampling spoils, and a variance learned there would collapse.
    """

    examples: list[SampledExample]
    attribute_weight: float = 0.0

    def batches(self, plan: StagePlan, seed: int) -> Callable[[int], Iterator[list[SampledExample]]]:
        """Examples drawn by step number, each turned at random."""

        def draw(first_step: int) -> Iterator[list[SampledExample]]:
            step = first_step
            while True:
                rng = np.random.default_rng([seed, step])
                chosen, angles = (
                    rng.integers(len(self.examples), size=plan.batch_size),
                    rng.uniform(-math.pi, math.pi, plan.batch_size),
                )
                yield [replace(self.examples[i], angle=float(angle)) for i, angle in zip(chosen, angles, strict=True)]
                step += 1

        return draw

    def head_losses(self, examples: list[SampledExample], generator: torch.Generator) -> Losses:
        """Of the heads, at the sampler's last step: its noise is already drawn."""
        del generator
        return _mean([self._attribute_losses(example, example.aligned(-1)) for example in examples])

    def rollout_losses(self, examples: list[SampledExample], generator: torch.Generator) -> Losses:
        """Eq. 4 at a random step of the sampler, towards the truth from where the sampler was, and the heads' losses."""
        rows = []
        for example in examples:
            step = int(torch.randint(len(example.inputs), (), generator=generator))
            aligned, given = example.aligned(step), example.inputs[step]
            terms = aligner_loss_from(aligned, example.clean, given.t)
            attributes = self._attribute_losses(example, aligned)
            rows.append(vars(terms) | {name: self.attribute_weight * value for name, value in attributes.items()})
        return _mean(rows)

    def _attribute_losses(self, example: SampledExample, aligned: AlignedTracks) -> Losses:
        attributes = attribute_loss(aligned, visible=example.batch.visible, label=example.batch.label)
        return vars(attributes) | {"likelihood": error_likelihood(aligned, example.clean)}


def _mean(rows: list[Losses]) -> Losses:
    return {name: torch.stack([row[name] for row in rows]).mean() for name in rows[0]}


def draw_for_sampling(components: Components, batch: Batch, *, seed: int) -> Drawn:
    """Condition and noise for sampling a batch: the text is never dropped, and guides as the checkpoint asks."""
    plan = StagePlan("heads", steps=1, text_dropout=0.0)
    drawn = _Draw(components, plan).draw(batch, torch.Generator().manual_seed(seed))
    strength = components.config.loop.text_guidance
    binding = drawn.binding
    empty = without_task(components, binding.condition, binding.images) if strength != 1.0 else None
    return replace(drawn, binding=replace(binding, text_guidance=strength, without_task=empty))


def sample(components: Components, drawn: Drawn) -> Denoised:
    """What the predictor would answer from this noise, the truth's anchors given."""
    loop = components.config.loop
    return denoise(
        drawn.binding.loop(), drawn.noise, times=sampling_times(loop.steps, shift=loop.shift), anchors=drawn.anchors,
        cycle=components.config.switches.cycle, guidance_strength=loop.guidance_strength,
        feedback_interval=loop.feedback_interval,
    )  # fmt: skip


@torch.no_grad()
def sample_outputs(
    components: Components, cache: LatentCache, *, count: int, seed: int, attribute_weight: float = 0.0
) -> SampledOutputs:
    """Run the sampler with the shipped number of steps on `count` sequences, the truth's anchors given."""
    examples = []
    num_points = components.config.num_points
    batches = cache.batches(batch_size=1, num_points=num_points, seed=seed + 1, first_step=0, augment=False)
    for index, batch in zip(range(count), batches, strict=False):
        drawn = draw_for_sampling(components, batch, seed=seed * 1_000_003 + index)
        result = sample(components, drawn)
        examples.append(SampledExample(result.aligner_inputs, drawn.anchors, drawn.binding, drawn.batch))
    return SampledOutputs(examples, attribute_weight)


@torch.no_grad()
def fit_motion_moments(components: Components, cache: LatentCache, *, seed: int) -> None:
    """Tell the preconditioner how far the motion lies from what the motion prior expects of it."""
    if components.motion_prior is None or components.preconditioner is None:
        return
    residuals = []
    batches = cache.batches(batch_size=1, num_points=1, seed=seed + 2, first_step=0, augment=False)
    for batch, _ in zip(batches, range(MOMENT_SEQUENCES), strict=False):
        batch = batch.to(components.device)
        tokens = components.text_encoder.tokenize(batch.texts)
        expected = expect_motion(components, tokens, batch.images, batch.cameras)
        assert expected is not None
        residuals.append((batch.motion - expected.motion)[0])
    components.preconditioner.fit_motion(torch.cat(residuals))


@torch.no_grad()
def stddev_temperature(components: Components, cache: LatentCache, *, count: int, seed: int) -> float:
    """The factor on predicted standard deviations that puts 68.27 % of validation errors within one of them."""
    ratios = []
    for example in sample_outputs(components, cache, count=count, seed=seed).examples:
        aligned = example.aligned(-1)
        error = aligned.clean - example.clean
        ratios.append((error.abs() * torch.exp(-0.5 * aligned.log_variance)[..., None]).flatten())
    return float(np.quantile(torch.cat(ratios).cpu().numpy(), 0.6827))


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
