"""The paper's ablations (Tab. 3 and 4) as a queue of trainings: what variants have in common is trained once.

A variant's parts are learned in three rounds: what is expected of motion and points, the joint denoiser, and what comes with
the aligner and the cycle. Two variants that differ in a later round only begin it with the same weights; all that have a round
take the same number of steps in it. What a claim compares has the same rounds before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from syncmv4d_model.config import ModelConfig, SwitchConfig
from syncmv4d_model.training.plan import NANO_PLAN, StagePlan, TrainingPlan


@dataclass(frozen=True)
class Variant:
    """A row of the ablation."""

    name: str
    title: str
    switches: SwitchConfig
    repeated: bool = False  # trained with several seeds
    motion_prior: bool = True  # an addition to the paper, which a video-only model cannot have

    @property
    def group(self) -> str:
        """Of the variants whose joint denoiser is the same."""
        switches = self.switches
        if not switches.motion:
            return "video"
        if not self.motion_prior:
            return "no_prior"
        if not switches.multi_view:
            return "one_by_one"
        return "tracking_video" if switches.tracking_video else "multi_view"


_ALONE = SwitchConfig(aligner=False, cycle=False)
FULL = Variant("full", "all", SwitchConfig(), repeated=True)
NO_CYCLE = Variant("no_cycle", "aligner, no guidance", SwitchConfig(cycle=False), repeated=True)
NO_ALIGNER = Variant("no_aligner", "joint denoiser alone", _ALONE, repeated=True)
NO_PRIOR = Variant("no_prior", "joint denoiser alone, without motion prior", _ALONE, motion_prior=False)
ONE_BY_ONE = Variant("one_by_one", "views one by one", SwitchConfig(multi_view=False))
VIDEO_ONLY = Variant("video_only", "video only", replace(_ALONE, motion=False), motion_prior=False)
TRACKING_VIDEO = Variant(
    "tracking_video", "joint denoiser alone, on DaS's tracking video", replace(_ALONE, tracking_video=True)
)
VARIANTS = {
    variant.name: variant for variant in (FULL, NO_CYCLE, NO_ALIGNER, ONE_BY_ONE, NO_PRIOR, VIDEO_ONLY, TRACKING_VIDEO)
}

ALWAYS_KEPT = frozenset({"codec", "preconditioner"})
PRIORS = frozenset({"motion_prior", "point_prior"})
"""Parts of the first round."""

STEPS = {
    "motion_prior": 700,
    "point_prior": 200,
    "joint_denoiser": 360,
    "point_aligner": 200,
    "closed_loop": 80,
    "rollouts": 120,
}
"""An eighth of the bundled checkpoint's in the first two rounds, about half of them in the last; heads and refiner, which no claim is
about, are left out.
"""
WARMUP_SHARE = 1 / 8
"""Of a stage's steps, at most."""
SAMPLED_SEQUENCES = 64
"""That `rollouts` learns from, a third of the bundled checkpoint's."""


@dataclass(frozen=True)
class Job:
    """One training: where it starts, what it keeps of that, and what it trains."""

    name: str
    start: str | None  # the job whose result it begins with; None: the untrained checkpoint
    switches: SwitchConfig
    stages: tuple[StagePlan, ...]
    seed: int
    keeps: frozenset[str] | None  # parts taken from the start, the others are new; None: all of them
    motion_prior: bool = True
    variant: Variant | None = None  # whose last round it is

    @property
    def plan(self) -> TrainingPlan:
        return TrainingPlan(self.stages)

    def config(self, base: ModelConfig) -> ModelConfig:
        """The base with the job's switches, without what the ablation does not train, and without rigid bodies: the paper has none,
        and they would help the aligner's variants alone.
        """
        return replace(
            base,
            switches=self.switches,
            motion_prior=base.motion_prior
            if self.motion_prior
            else replace(base.motion_prior, conv_width=0, point_width=0),
            loop=replace(base.loop, rigid_bodies=0.0),
            codec=replace(base.codec, refiner_width=0),
            point_aligner=replace(base.point_aligner, uncertainty_width=0),
        )


def queue(variants: Sequence[Variant], *, seeds: int, other_seeds: int = 1, scale: float = 1.0) -> list[Job]:
    """Every training that the variants need, each after those that it begins with; the first seed of all variants before the
    next. Steps are multiplied by `scale`. ValueError for no variant or no seed.
    """
    if not variants or min(seeds, other_seeds) < 1:
        raise ValueError(f"an ablation needs variants and seeds, got {len(variants)}, {seeds} and {other_seeds}")
    jobs: dict[str, Job] = {}
    for seed in range(max(seeds, other_seeds)):
        for variant in variants:
            if seed < (seeds if variant.repeated else other_seeds):
                for job in rounds(variant, seed, scale=scale):
                    jobs.setdefault(job.name, job)
    return list(jobs.values())


def rounds(variant: Variant, seed: int, *, scale: float = 1.0) -> Iterable[Job]:
    """The trainings of one variant and seed. The first round's seed is always 0: it is the same for all."""
    group, switches, has_prior = variant.group, variant.switches, variant.motion_prior
    shared = replace(switches, aligner=True, cycle=True) if group in ("multi_view", "one_by_one") else switches
    prior = None
    if has_prior:
        prior = f"prior-{group}"
        names = ("motion_prior", "point_prior") if shared.aligner else ("motion_prior",)
        yield Job(prior, None, shared, _stages(names, scale), seed=0, keeps=ALWAYS_KEPT)
    joint = f"joint-{group}-{seed}"
    stages, kept = _stages(("joint_denoiser",), scale), ALWAYS_KEPT | PRIORS
    yield Job(joint, prior, shared, stages, seed=1000 + 10 * seed, keeps=kept, motion_prior=has_prior)
    names = ("point_aligner", "closed_loop", "rollouts") if switches.aligner else ("closed_loop",)
    last = _stages(names, scale)
    if not switches.aligner:  # the same further steps of the joint denoiser, without an aligner beside it
        last = tuple(replace(stage, stage="joint_denoiser", measure_motion=False) for stage in last)
    name, own = f"{variant.name}-{seed}", 2000 + 10 * seed
    yield Job(name, joint, switches, last, seed=own, keeps=None, motion_prior=has_prior, variant=variant)


def _stages(names: Iterable[str], scale: float) -> tuple[StagePlan, ...]:
    known = {stage.stage: stage for stage in NANO_PLAN.stages}
    stages = tuple(
        replace(
            known[name],
            steps=STEPS[name],
            warmup_steps=min(known[name].warmup_steps, int(WARMUP_SHARE * STEPS[name])),
            sampled_sequences=SAMPLED_SEQUENCES,
        )
        for name in names
    )
    return TrainingPlan(stages).scaled(scale).stages
