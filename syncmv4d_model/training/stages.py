"""What each training stage draws, trains and minimises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from syncmv4d_model.binding import Binding, make_condition, normalised, world
from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import Batch, LatentCache
from syncmv4d_model.diffusion.closed_loop import Denoised, algorithm_1, clean_guidance, denoise, noisy_guidance
from syncmv4d_model.diffusion.flow_matching import clean_estimate, diffuse, sample_training_times, sampling_times
from syncmv4d_model.diffusion.losses import aligner_loss, attribute_loss, error_likelihood, joint_loss
from syncmv4d_model.training.plan import NEED_ALIGNER, StagePlan
from syncmv4d_model.types import AlignedTracks, Anchors, CoarseTracks, ExpectedError, State

Losses = dict[str, Tensor]


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

    def batches(first_step: int) -> Iterator[Batch]:
        return cache.batches(
            batch_size=plan.batch_size, num_points=components.config.num_points, seed=seed, first_step=first_step
        )

    denoiser, aligner = components.joint_denoiser, components.point_aligner
    text = (
        [components.text_encoder] if components.config.text.kind == "scratch" else []
    )  # a pretrained one stays as it is
    if plan.stage == "joint_denoiser":
        return Stage(plan, [denoiser, *text], batches, _Draw(components, plan).joint_losses)
    assert aligner is not None
    if plan.stage == "point_aligner":
        return Stage(plan, [aligner], batches, _Draw(components, plan).aligner_losses)
    if plan.stage == "closed_loop":
        return Stage(plan, [denoiser, *text, aligner], batches, _Draw(components, plan).closed_loop_losses)
    samples = sample_outputs(components, cache, count=plan.sampled_sequences, seed=seed)
    return Stage(plan, [aligner.heads], samples.batches(plan.batch_size, seed), samples.losses)


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

    def draw(self, batch: Batch, generator: torch.Generator) -> Drawn:
        components, plan, size = self.components, self.plan, len(batch.texts)
        batch = batch.to(components.device)
        t = sample_training_times(
            size, generator=generator, high_noise_share=plan.high_noise_share, shift=plan.time_shift
        )
        keep = torch.rand(size, generator=generator) >= plan.text_dropout
        texts = [text if kept else "" for text, kept in zip(batch.texts, keep.tolist(), strict=True)]
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
    """The aligner's input at the sampler's last step, and the truth."""

    tracks: Tensor
    coarse: CoarseTracks
    anchors: Anchors
    t: Tensor
    binding: Binding
    batch: Batch


@dataclass(frozen=True)
class SampledOutputs:
    """The sampler's own outputs on training sequences: what the heads learn on, because under teacher forcing the
    noisy tracks contain the truth and the variance would collapse.
    """

    examples: list[SampledExample]

    def batches(self, batch_size: int, seed: int) -> Callable[[int], Iterator[list[SampledExample]]]:
        def draw(first_step: int) -> Iterator[list[SampledExample]]:
            step = first_step
            while True:
                generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
                chosen = torch.randint(len(self.examples), (batch_size,), generator=generator)
                yield [self.examples[i] for i in chosen.tolist()]
                step += 1

        return draw

    def losses(self, examples: list[SampledExample], generator: torch.Generator) -> Losses:
        del generator  # the sampler's noise is already drawn
        rows = [self._losses_of(example) for example in examples]
        return {name: torch.stack([row[name] for row in rows]).mean() for name in rows[0]}

    def _losses_of(self, example: SampledExample) -> Losses:
        aligned = example.binding.point_aligner(example.tracks, example.coarse, example.anchors, example.t)
        clean = normalised(example.batch.points_world, example.binding.condition.centres)
        attributes = attribute_loss(aligned, visible=example.batch.visible, label=example.batch.label)
        return vars(attributes) | {"likelihood": error_likelihood(aligned, clean)}


def draw_for_sampling(components: Components, batch: Batch, *, seed: int) -> Drawn:
    """Condition and noise for sampling a batch: the text is never dropped, and guides as the checkpoint asks."""
    plan = StagePlan("heads", steps=1, text_dropout=0.0)
    drawn = _Draw(components, plan).draw(batch, torch.Generator().manual_seed(seed))
    strength = components.config.loop.text_guidance
    empty = components.text_encoder.encode([""] * len(batch.texts))[:2] if strength != 1.0 else None
    return replace(drawn, binding=replace(drawn.binding, text_guidance=strength, empty_text=empty))


def sample(components: Components, drawn: Drawn) -> Denoised:
    """What the predictor would answer from this noise, the truth's anchors given."""
    loop = components.config.loop
    return denoise(
        drawn.binding.loop(), drawn.noise, times=sampling_times(loop.steps, shift=loop.shift), anchors=drawn.anchors,
        cycle=components.config.switches.cycle, guidance_strength=loop.guidance_strength,
        feedback_interval=loop.feedback_interval,
    )  # fmt: skip


@torch.no_grad()
def sample_outputs(components: Components, cache: LatentCache, *, count: int, seed: int) -> SampledOutputs:
    """Run the sampler with the shipped number of steps on `count` sequences, the truth's anchors given."""
    examples = []
    num_points = components.config.num_points
    batches = cache.batches(batch_size=1, num_points=num_points, seed=seed + 1, first_step=0, augment=False)
    for index, batch in zip(range(count), batches, strict=False):
        drawn = draw_for_sampling(components, batch, seed=seed * 1_000_003 + index)
        result = sample(components, drawn)
        assert result.last_aligner_input is not None and result.coarse is not None
        tracks, t = result.last_aligner_input
        examples.append(SampledExample(tracks, result.coarse, drawn.anchors, t, drawn.binding, drawn.batch))
    return SampledOutputs(examples)


@torch.no_grad()
def stddev_temperature(components: Components, cache: LatentCache, *, count: int, seed: int) -> float:
    """The factor on predicted standard deviations that puts 68.27 % of validation errors within one of them."""
    ratios = []
    for example in sample_outputs(components, cache, count=count, seed=seed).examples:
        aligned = example.binding.point_aligner(example.tracks, example.coarse, example.anchors, example.t)
        error = aligned.clean - normalised(example.batch.points_world, example.binding.condition.centres)
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
