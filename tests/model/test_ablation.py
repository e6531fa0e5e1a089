"""The ablation's queue: what variants have in common is trained once, and all learn for as long."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from syncmv4d_model.checkpoint import load_components, save_components
from syncmv4d_model.config import NANO, SwitchConfig
from syncmv4d_model.training.ablation import ALWAYS_KEPT, PRIORS, SAMPLED_SEQUENCES, STEPS, VARIANTS, Job, queue
from syncmv4d_model.training.plan import NANO_PLAN, StagePlan
from syncmv4d_model.training.stages import make_stage
from tests.model.tiny_model import TINY, shaken, tiny_checkpoint

ALL = tuple(VARIANTS.values())


def chain(jobs: list[Job], name: str) -> list[Job]:
    """A job and those that it begins with, the first round first."""
    known = {job.name: job for job in jobs}
    found = [known[name]]
    while found[0].start is not None:
        found.insert(0, known[found[0].start])
    return found


def test_the_variants_are_the_rows_of_the_papers_ablation():
    rows = {name: variant.switches for name, variant in VARIANTS.items()}
    assert rows == {
        "full": SwitchConfig(),
        "one_by_one": SwitchConfig(multi_view=False),
        "video_only": SwitchConfig(motion=False, aligner=False, cycle=False),
        "no_aligner": SwitchConfig(aligner=False, cycle=False),
        "no_prior": SwitchConfig(aligner=False, cycle=False),
        "no_cycle": SwitchConfig(cycle=False),
        "tracking_video": SwitchConfig(aligner=False, cycle=False, tracking_video=True),
    }


def test_every_job_comes_after_the_one_that_it_begins_with():
    done = set()
    for job in queue(ALL, seeds=3):
        assert job.start is None or job.start in done
        done.add(job.name)


def test_three_seeds_train_the_claimed_variants_three_times_and_the_others_once():
    trained = Counter(job.variant.name for job in queue(ALL, seeds=3) if job.variant is not None)
    assert trained == {
        "full": 3, "no_cycle": 3, "no_aligner": 3, "one_by_one": 1, "no_prior": 1, "video_only": 1, "tracking_video": 1,
    }  # fmt: skip
    everywhere = Counter(job.variant.name for job in queue(ALL, seeds=3, other_seeds=3) if job.variant is not None)
    assert set(everywhere.values()) == {3}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variants_joint_denoiser_takes_as_many_steps(name):
    jobs = chain(queue(ALL, seeds=1), f"{name}-0")
    stages = [stage for job in jobs for stage in job.plan.for_config(job.config(NANO)).stages]  # as they are trained
    taught = sum(stage.steps for stage in stages if stage.stage in ("joint_denoiser", "closed_loop"))
    assert taught == STEPS["joint_denoiser"] + STEPS["closed_loop"]
    rates = {stage.learning_rate for stage in stages if stage.steps == STEPS["closed_loop"]}
    assert len(rates) == 1
    expecting = [stage.steps for stage in stages if stage.stage == "motion_prior"]
    assert expecting == ([] if name in ("no_prior", "video_only") else [STEPS["motion_prior"]])
    aligning = sum(stage.steps for stage in stages if stage.stage in ("point_aligner", "rollouts"))
    assert aligning == (STEPS["point_aligner"] + STEPS["rollouts"] if VARIANTS[name].switches.aligner else 0)
    measured = [stage.measure_motion for stage in stages if stage.stage == "joint_denoiser"]
    assert measured == ([True] if VARIANTS[name].switches.aligner else [True, False])


def test_every_stage_warms_up_for_a_part_of_its_steps_and_samples_as_many_sequences():
    stages = {stage.stage: stage for job in queue(ALL, seeds=1) for stage in job.stages}
    assert {stage.sampled_sequences for stage in stages.values()} == {SAMPLED_SEQUENCES}
    longest = {stage.stage: stage.warmup_steps for stage in NANO_PLAN.stages}
    for name, stage in stages.items():
        assert 0 < stage.warmup_steps <= min(stage.steps / 8, longest[name])


def test_no_variant_begins_with_what_it_may_not_see():
    jobs = queue(ALL, seeds=1)
    starts = {name: [job.name for job in chain(jobs, f"{name}-0")][:-1] for name in VARIANTS}
    together = ["prior-multi_view", "joint-multi_view-0"]
    assert starts == {
        "full": together,
        "no_cycle": together,
        "no_aligner": together,
        "one_by_one": ["prior-one_by_one", "joint-one_by_one-0"],
        "tracking_video": ["prior-tracking_video", "joint-tracking_video-0"],
        "no_prior": ["joint-no_prior-0"],
        "video_only": ["joint-video-0"],
    }
    for name in VARIANTS:
        for job in chain(jobs, f"{name}-0"):
            switches, own = job.config(NANO).switches, VARIANTS[name].switches
            assert (switches.multi_view, switches.tracking_video) == (own.multi_view, own.tracking_video)
            assert switches.motion == own.motion and job.config(NANO).loop.rigid_bodies == 0


def test_a_shared_job_is_the_same_whichever_variant_asks_for_it():
    for first in ALL:
        for second in ALL:
            own, other = ({job.name: job for job in queue((variant,), seeds=2)} for variant in (first, second))
            assert all(own[name] == other[name] for name in own.keys() & other.keys())


def test_the_last_round_keeps_everything_that_was_trained_before():
    for job in queue(ALL, seeds=1):
        assert (job.keeps is None) == (job.variant is not None)
        if job.variant is None:
            assert not job.keeps & {"joint_denoiser", "text_encoder", "point_aligner"}


def test_variants_that_differ_in_the_aligner_or_the_cycle_share_their_joint_denoiser_and_its_seed():
    jobs = queue(ALL, seeds=2)
    for seed in (0, 1):
        starts = {chain(jobs, f"{name}-{seed}")[-1].start for name in ("full", "no_cycle", "no_aligner")}
        assert starts == {f"joint-multi_view-{seed}"}
    last = {job.name: job.seed for job in jobs if job.variant is not None}
    assert last["full-0"] == last["no_cycle-0"] == last["one_by_one-0"] != last["full-1"]
    apart = [chain(jobs, f"{name}-0")[1].name for name in ("full", "one_by_one", "tracking_video")]
    assert len(set(apart)) == 3


def test_a_jobs_configuration_is_the_base_with_its_switches_and_without_what_no_claim_is_about():
    (job,) = (job for job in queue(ALL, seeds=1) if job.name == "one_by_one-0")
    config = job.config(NANO)
    assert config.switches == SwitchConfig(multi_view=False)
    assert config == replace(
        NANO,
        switches=config.switches,
        loop=replace(NANO.loop, rigid_bodies=0.0),
        codec=replace(NANO.codec, refiner_width=0),
        point_aligner=replace(NANO.point_aligner, uncertainty_width=0),
    )


def test_scale_shortens_every_stage():
    longer, shorter = (queue(ALL, seeds=1, scale=scale) for scale in (1.0, 0.1))
    steps = [[stage.steps for job in jobs for stage in job.stages] for jobs in (longer, shorter)]
    assert steps[1] == [round(count / 10) for count in steps[0]]


def test_without_variants_or_seeds_there_is_no_ablation():
    with pytest.raises(ValueError, match="needs variants and seeds, got 0"):
        queue((), seeds=1)
    with pytest.raises(ValueError, match="got 7, 0 and 1"):
        queue(ALL, seeds=0)


def test_parts_that_are_not_kept_are_untrained_ones_of_the_seed_and_the_others_are_read(tmp_path):
    _, folder, components = tiny_checkpoint(tmp_path)
    save_components(folder, shaken(components))
    keep = set(components.networks()) - {"joint_denoiser", "text_encoder", "point_aligner"}
    first, again, other = (load_components(folder, change=lambda c: c, keep=keep, seed=seed) for seed in (1, 1, 2))
    for name, part in first.networks().items():
        for key, value in part.state_dict().items():
            assert torch.equal(value, again.networks()[name].state_dict()[key])
    stored = components.motion_prior.state_dict()
    for key, value in first.motion_prior.state_dict().items():
        torch.testing.assert_close(value, stored[key], rtol=1e-3, atol=1e-3)  # stored in half precision
    assert not torch.equal(first.joint_denoiser.proj_out.bias, components.joint_denoiser.proj_out.bias)
    weight = "condition_embedder.time_embedder.linear_1.weight"
    weights = [parts.joint_denoiser.state_dict()[weight] for parts in (first, other)]
    assert not torch.equal(*weights)


def test_a_video_only_model_takes_the_codec_of_a_start_whose_denoiser_has_another_shape(tmp_path):
    _, folder, components = tiny_checkpoint(tmp_path)
    switches = VARIANTS["video_only"].switches
    loaded = load_components(
        folder,
        change=lambda config: replace(config, switches=switches),
        keep=ALWAYS_KEPT | PRIORS,
        seed=3,
    )
    assert loaded.config == replace(TINY, switches=switches)
    for key, value in loaded.codec.state_dict().items():
        assert torch.equal(value, components.codec.state_dict()[key])


def test_without_a_motion_prior_the_joint_denoisers_stage_measures_the_motion_itself(prepared):
    """Also where it starts from a checkpoint that had measured what a motion prior left over."""
    checkpoint, cache = prepared
    none = replace(load_components(checkpoint).config.motion_prior, conv_width=0, point_width=0)
    components = load_components(checkpoint, change=lambda config: replace(config, motion_prior=none), keep=ALWAYS_KEPT)
    components.preconditioner.motion_moment.fill_(7.0)
    make_stage(components, cache, StagePlan("joint_denoiser", steps=1), seed=0)
    draws = cache.batches(batch_size=1, num_points=1, seed=2, first_step=0, augment=False)
    motion = torch.cat([batch.motion[0, :, :, 0] for batch, _ in zip(draws, range(6), strict=False)])
    first = motion.square().mean((0, 2, 3)).clamp(min=1e-3)
    torch.testing.assert_close(components.preconditioner.motion_moment[:, 0], first, rtol=0.02, atol=1e-3)
