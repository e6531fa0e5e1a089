"""A training batch with everything that is drawn for it: condition, diffusion time, noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from syncmv4d_model.binding import Binding, make_condition, normalised, world
from syncmv4d_model.checkpoint import Components
from syncmv4d_model.data.loader import Batch
from syncmv4d_model.diffusion.flow_matching import diffuse, sample_training_times
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.types import Anchors, ExpectedError, State


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
class Draw:
    """Batches with conditions, times and noise, as a stage's plan asks."""

    components: Components
    plan: StagePlan

    def texts(self, batch: Batch, generator: torch.Generator) -> list[str]:
        """The batch's tasks, some of them dropped."""
        keep = torch.rand(len(batch.texts), generator=generator) >= self.plan.text_dropout
        return [text if kept else "" for text, kept in zip(batch.texts, keep.tolist(), strict=True)]

    def __call__(self, batch: Batch, generator: torch.Generator) -> Drawn:
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
        binding = Binding(components, condition, batch.images)
        return Drawn(batch, binding, clean, noise, t.to(batch.video.device), binding.anchors(batch.anchors_px))


def _noise_like(part: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(part.shape, generator=generator).to(part)
