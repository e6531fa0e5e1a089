"""How long each stage trains, as Python values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from syncmv4d_model.config import ModelConfig

StageName = Literal[
    "motion_prior",
    "point_prior",
    "video_refiner",
    "joint_denoiser",
    "point_aligner",
    "closed_loop",
    "rollouts",
    "heads",
]
NEED_ALIGNER = frozenset({"point_aligner", "closed_loop", "rollouts", "heads"})


GuidanceSource = Literal["clean", "noisy"]
"""Where training takes the fed-back tracks from: the model's clean estimate, as inference does, or the noisy latents of
Algorithm 1's letter."""


@dataclass(frozen=True)
class StagePlan:
    """One stage: AdamW with linear warm-up, a constant rate, and a cosine decay to zero."""

    stage: StageName
    steps: int
    batch_size: int = 2
    learning_rate: float = 6e-4
    new_module_learning_rate: float | None = None  # None: the same; the paper scale gives new modules ten times more
    warmup_steps: int = 100
    decay_share: float = 1.0  # of the steps after warm-up; 1 = the rate falls from the peak on
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema_decay: float = 0.998
    high_noise_share: float = 0.55  # of training times, see flow_matching.sample_training_times
    time_shift: float = 1.0  # of the other training times towards noise, as sampling does
    text_dropout: float = 0.1
    guidance_source: GuidanceSource = "clean"
    guidance_share: float = 0.5  # of closed-loop steps that feed guidance when its source is `clean`
    attribute_weight: float = 0.0  # of visibility and label while the aligner learns; 0 = the paper's loss
    measure_motion: bool = True  # joint denoiser: first tell it how far the motion lies from what the prior expects
    sampled_sequences: int = 256  # rollouts, heads, refiner: how many training sequences the sampler is run on


@dataclass(frozen=True)
class TrainingPlan:
    """The stages after the codec, in order."""

    stages: tuple[StagePlan, ...]

    def for_config(self, config: ModelConfig) -> TrainingPlan:
        """The stages of the networks that a configuration has."""
        absent = set() if config.has_aligner else set(NEED_ALIGNER)
        if not config.has_motion_prior:
            absent.add("motion_prior")
        if not config.has_point_prior:
            absent.add("point_prior")
        if not config.codec.refiner_width:
            absent.add("video_refiner")
        return TrainingPlan(tuple(stage for stage in self.stages if stage.stage not in absent))

    def with_guidance(self, source: GuidanceSource) -> TrainingPlan:
        """The same plan with the closed loop's guidance from another source."""
        return TrainingPlan(tuple(replace(stage, guidance_source=source) for stage in self.stages))

    def scaled(self, factor: float) -> TrainingPlan:
        """The same plan with every stage's steps multiplied by `factor`."""
        return TrainingPlan(tuple(_scaled(stage, factor) for stage in self.stages))


def _scaled(stage: StagePlan, factor: float) -> StagePlan:
    return replace(stage, steps=max(1, round(stage.steps * factor)), warmup_steps=round(stage.warmup_steps * factor))


NANO_PLAN = TrainingPlan(
    (
        StagePlan("motion_prior", steps=5000, batch_size=8, learning_rate=2e-3, decay_share=0.5, gradient_clip=10.0),
        StagePlan("point_prior", steps=1500, batch_size=8, learning_rate=2e-3, decay_share=0.5),
        StagePlan("joint_denoiser", steps=3000, time_shift=3.0, gradient_clip=10.0, decay_share=0.3),
        StagePlan("point_aligner", steps=400, time_shift=3.0, learning_rate=1e-3, warmup_steps=50),
        StagePlan("closed_loop", steps=140, time_shift=3.0, learning_rate=1.5e-4, warmup_steps=30),
        StagePlan(
            "rollouts",
            steps=300,
            batch_size=4,
            learning_rate=1e-3,
            warmup_steps=30,
            attribute_weight=0.1,
            sampled_sequences=192,
        ),
        StagePlan("heads", steps=160, batch_size=8, learning_rate=2e-3, warmup_steps=20, sampled_sequences=128),
        StagePlan(
            "video_refiner", steps=3000, learning_rate=1e-3, warmup_steps=50, decay_share=0.6, sampled_sequences=192
        ),
    )
)

WAN5B_PLAN = TrainingPlan(
    (
        StagePlan("joint_denoiser", steps=5_000, batch_size=1, learning_rate=1e-5, new_module_learning_rate=1e-4),
        StagePlan("point_aligner", steps=5_000, batch_size=1, learning_rate=1e-4),
        StagePlan("closed_loop", steps=30_000, batch_size=1, learning_rate=1e-5, new_module_learning_rate=1e-4),
        StagePlan("heads", steps=2_000, batch_size=1, learning_rate=1e-4),
    )
)

PLANS = {"nano": NANO_PLAN, "wan5b": WAN5B_PLAN}
