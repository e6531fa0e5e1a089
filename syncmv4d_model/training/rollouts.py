"""The sampler run on training sequences, and what is learned from its outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from syncmv4d_model.binding import Binding, normalised, without_task
from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import Batch, LatentCache
from syncmv4d_model.diffusion.closed_loop import AlignerInput, Denoised, denoise
from syncmv4d_model.diffusion.flow_matching import cooled, sampling_times
from syncmv4d_model.diffusion.losses import aligner_loss_from, attribute_loss, error_likelihood
from syncmv4d_model.training.draws import Draw, Drawn
from syncmv4d_model.training.kept_samples import KeptSamples
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.types import AlignedTracks, Anchors, CoarseTracks

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class SampledExample:
    """The aligner's inputs at the sampler's last step, or at each of them, on one training sequence, and the truth."""

    inputs: tuple[AlignerInput, ...]
    anchors: Anchors
    binding: Binding
    batch: Batch
    angle: float = 0.0  # by which the scene is turned about the vertical through its centre

    def answer(self) -> AlignedTracks:
        """What the predictor would say after the sampler's last step: the aligner's answer with its bodies kept rigid, judged."""
        given, aligned = self.inputs[-1], self.aligned(-1)
        rigid = self.binding.keep_bodies_rigid(aligned, self._turned(given.tracks), given.t)
        return self.binding.judge(rigid, self._coarse(-1))

    def aligned(self, step: int) -> AlignedTracks:
        """The aligner's own answer at a step of the sampler that was kept, -1 the last."""
        given = self.inputs[step]
        return self.binding.point_aligner(self._turned(given.tracks), self._coarse(step), self.anchors, given.t)

    def _coarse(self, step: int) -> CoarseTracks:
        coarse = self.inputs[step].coarse
        points = self._turned(coarse.points_world - self._centres) + self._centres
        return replace(coarse, points_world=points)

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
        return _mean([self._attribute_losses(example, example.answer()) for example in examples])

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
    drawn = Draw(components, plan)(batch, torch.Generator().manual_seed(seed))
    strength = components.config.loop.text_guidance
    binding = drawn.binding
    empty = without_task(components, binding.condition, binding.images) if strength != 1.0 else None
    return replace(drawn, binding=replace(binding, text_guidance=strength, without_task=empty))


def draws_for_sampling(
    components: Components, cache: LatentCache, *, count: int, seed: int
) -> Iterator[tuple[int, Drawn]]:
    """`count` sequences one by one: each one's place in the cache, and its draw."""
    options = {"batch_size": 1, "seed": seed + 1, "first_step": 0}
    places = cache.indices(**options)
    batches = cache.batches(num_points=components.config.num_points, augment=False, **options)
    for number, (place,), batch in zip(range(count), places, batches, strict=False):
        yield place, draw_for_sampling(components, batch, seed=seed * 1_000_003 + number)


def sample(components: Components, drawn: Drawn, *, keep_every_input: bool = False) -> Denoised:
    """What the predictor would answer from this noise, the truth's anchors given."""
    loop = components.config.loop
    return denoise(
        drawn.binding.loop(), cooled(drawn.noise, loop.temperature), times=sampling_times(loop.steps, shift=loop.shift), anchors=drawn.anchors,
        cycle=components.config.switches.cycle, guidance_strength=loop.guidance_strength,
        feedback_interval=loop.feedback_interval, keep_every_input=keep_every_input,
    )  # fmt: skip


@torch.no_grad()
def sample_outputs(
    components: Components,
    cache: LatentCache,
    *,
    count: int,
    seed: int,
    attribute_weight: float = 0.0,
    every_step: bool = False,
    kept: KeptSamples | None = None,
) -> SampledOutputs:
    """Run the sampler with the shipped number of steps on `count` sequences, the truth's anchors given. Without `every_step`
    only the last step is kept: at the paper's 50 steps all of them would fill tens of gigabytes. What `kept` holds is not
    sampled again; OutOfTime when its limit is over.
    """
    examples = []
    for index, (_, drawn) in enumerate(draws_for_sampling(components, cache, count=count, seed=seed)):

        def sampled(drawn: Drawn = drawn) -> tuple[AlignerInput, ...]:
            return sample(components, drawn, keep_every_input=every_step).aligner_inputs

        inputs = sampled() if kept is None else kept.inputs(index, count, sampled)
        examples.append(SampledExample(inputs, drawn.anchors, drawn.binding, drawn.batch))
    return SampledOutputs(examples, attribute_weight)


@torch.no_grad()
def stddev_temperature(
    components: Components, cache: LatentCache, *, count: int, seed: int, kept: KeptSamples | None = None
) -> float:
    """The factor on predicted standard deviations that puts 68.27 % of validation errors within one of them. As `sample_outputs`."""
    ratios = []
    for example in sample_outputs(components, cache, count=count, seed=seed, kept=kept).examples:
        aligned = example.answer()
        error = aligned.clean - example.clean
        ratios.append((error.abs() * torch.exp(-0.5 * aligned.log_variance)[..., None]).flatten())
    return float(np.quantile(torch.cat(ratios).cpu().numpy(), 0.6827))
