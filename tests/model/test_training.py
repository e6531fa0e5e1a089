"""Training: exact resume, every stage trains what it says, and bad steps do no harm."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from syncmv4d_model.binding import world
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.config import NANO, MotionPriorConfig
from syncmv4d_model.data.loader import LatentCache, build_cache
from syncmv4d_model.data.sequence import read_sequence, write_sequence
from syncmv4d_model.training.plan import NANO_PLAN, StagePlan, TrainingPlan
from syncmv4d_model.training.rollouts import sample_outputs, stddev_temperature
from syncmv4d_model.training.stages import make_stage
from syncmv4d_model.training.state import StageState
from syncmv4d_model.training.time_limit import TimeLimit
from syncmv4d_model.training.train import RunOptions, schedule, train
from syncmv4d_model.training.validate import latent_errors, track_errors
from tests.model.tiny_model import TINY, shaken, tiny_sequence

STAGES = tuple(stage.stage for stage in NANO_PLAN.stages)


def short_plan(steps, **changes):
    return TrainingPlan(
        tuple(StagePlan(stage, steps=steps, warmup_steps=1, sampled_sequences=3, **changes) for stage in STAGES)
    )


def run(prepared, run_dir, plan, *, limit=None):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    run_dir.mkdir(exist_ok=True)
    train(
        components, cache, plan, run_dir=run_dir, seed=3,
        options=RunOptions(save_every=1, log_every=1, limit=limit or TimeLimit()), report=lambda *line: None,
    )  # fmt: skip
    return components


def weights(components):
    return {
        f"{name}.{key}": value
        for name, part in components.networks().items()
        for key, value in part.state_dict().items()
    }


def same_weights(one, other):
    return weights(one).keys() == weights(other).keys() and all(
        torch.equal(value, weights(other)[name]) for name, value in weights(one).items()
    )


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 2, 5, 7, 10, 13, 15])
def test_a_run_that_is_killed_and_resumed_equals_one_that_is_not_bit_for_bit(prepared, tmp_path, stop_after):
    plan = short_plan(2)
    whole = run(prepared, tmp_path / "whole", plan)
    checkpoint, cache = prepared
    (tmp_path / "parts").mkdir()
    lines = []

    def stop(*line):
        lines.append(line)
        if len(lines) == stop_after:
            raise Stop

    with pytest.raises(Stop):
        train(
            load_components(checkpoint), cache, plan, run_dir=tmp_path / "parts", seed=3,
            options=RunOptions(save_every=1, log_every=1), report=stop,
        )  # fmt: skip
    assert same_weights(whole, run(prepared, tmp_path / "parts", plan))


@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        ("motion_prior", {"motion_prior"}),
        ("point_prior", {"point_prior"}),
        ("joint_denoiser", {"joint_denoiser", "text_encoder", "preconditioner"}),
        ("point_aligner", {"point_aligner"}),
        ("closed_loop", {"joint_denoiser", "text_encoder", "point_aligner"}),
        ("rollouts", {"point_aligner"}),
        ("heads", {"point_aligner", "uncertainty_head"}),
        ("video_refiner", {"video_refiner"}),
    ],
)
def test_each_stage_changes_its_own_parts_only(prepared, tmp_path, stage, trained):
    checkpoint, _ = prepared
    before = weights(load_components(checkpoint))
    plan = TrainingPlan((StagePlan(stage, steps=3, warmup_steps=1, sampled_sequences=2),))
    after = weights(run(prepared, tmp_path / stage, plan))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == trained


def test_the_heads_stage_leaves_the_tracks_alone(prepared, tmp_path):
    checkpoint, _ = prepared
    before = weights(load_components(checkpoint))
    plan = TrainingPlan((StagePlan("heads", steps=3, warmup_steps=1, sampled_sequences=2),))
    after = weights(run(prepared, tmp_path / "heads", plan))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all(".heads." in name or name.startswith("uncertainty_head.") for name in changed)


def test_training_lowers_the_loss_on_the_data_it_sees(prepared, tmp_path):
    plan = TrainingPlan((StagePlan("joint_denoiser", steps=120, learning_rate=4e-3, warmup_steps=5),))
    run(prepared, tmp_path / "run", plan)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    motion = [line["motion"] for line in lines]
    assert np.mean(motion[-20:]) < 0.85 * np.mean(motion[:20])


def test_a_loss_that_stays_infinite_stops_the_run_with_the_step(prepared, tmp_path):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    with torch.no_grad():
        components.joint_denoiser.proj_out.weight.fill_(float("nan"))
    (tmp_path / "run").mkdir()
    with pytest.raises(FloatingPointError, match="5 steps in a row without a finite loss"):
        train(
            components, cache, short_plan(20), run_dir=tmp_path / "run", seed=0,
            options=RunOptions(), report=lambda *line: None,
        )  # fmt: skip


def switched(prepared, **switches):
    return load_components(
        prepared[0], change=lambda config: replace(config, switches=replace(config.switches, **switches))
    )


def test_a_stage_that_a_switch_removed_is_refused_by_name_and_left_out_of_the_plan(prepared):
    components, cache = switched(prepared, aligner=False), prepared[1]
    plan = NANO_PLAN.for_config(components.config)
    assert [stage.stage for stage in plan.stages] == ["motion_prior", "joint_denoiser", "video_refiner"]
    without_prior = replace(NANO, motion_prior=MotionPriorConfig())
    assert "motion_prior" not in [stage.stage for stage in NANO_PLAN.for_config(without_prior).stages]
    assert NANO_PLAN.for_config(NANO) == NANO_PLAN
    with pytest.raises(ValueError, match="stage heads needs the point aligner"):
        make_stage(components, cache, StagePlan("heads", steps=1), seed=0)


def closed_loop_losses(components, cache, **plan):
    stage = make_stage(components, cache, StagePlan("closed_loop", steps=1, **plan), seed=0)
    StageState.start(components, stage, 0)
    return stage.losses(next(stage.batches(0)), torch.Generator().manual_seed(0))


def test_the_aligners_loss_reaches_the_joint_denoiser_only_where_coarse_tracks_are_not_detached(prepared):
    for detach in (True, False):
        components = shaken(switched(prepared, detach_coarse=detach))
        # Times near 0, where the decoded motion has a foreground: there is nothing to read tracks off elsewhere.
        times = {"high_noise_share": 0.0, "time_shift": 0.02}
        terms = closed_loop_losses(components, prepared[1], guidance_share=0.0, **times)
        assert set(terms) == {"video", "motion", "depth_scale", "aligner_velocity", "aligner_chamfer"}
        (terms["aligner_velocity"] + terms["aligner_chamfer"]).backward()
        reached = components.joint_denoiser.motion_proj_out.weight.grad
        assert (reached is None) == detach
        assert detach or reached.abs().sum() > 0
        assert all(parameter.grad is not None for parameter in components.point_aligner.blocks.parameters())


def test_visibility_and_label_are_learned_with_the_aligner_by_their_weight(prepared):
    components = shaken(switched(prepared))
    light, heavy = (closed_loop_losses(components, prepared[1], attribute_weight=weight) for weight in (0.3, 0.6))
    for name in ("visibility", "label"):
        assert heavy[name].item() == pytest.approx(2 * light[name].item())
    heavy["label"].backward()
    assert all(parameter.grad is not None for parameter in components.point_aligner.blocks.parameters())


def test_training_feeds_back_what_its_guidance_source_says(prepared):
    def motion_loss(components, **plan):
        return closed_loop_losses(shaken(components), prepared[1], **plan)["motion"].item()

    fed = [motion_loss(switched(prepared), guidance_share=1.0, guidance_source=s) for s in ("clean", "noisy")]
    unfed = motion_loss(switched(prepared), guidance_share=0.0)
    assert len({*fed, unfed}) == 3
    assert motion_loss(switched(prepared, cycle=False), guidance_share=1.0) == unfed


def test_a_figure_that_is_not_a_number_is_null_in_the_log(prepared, tmp_path):
    checkpoint, cache = prepared
    (tmp_path / "run").mkdir()
    told = []
    train(
        load_components(checkpoint), cache, TrainingPlan((StagePlan("joint_denoiser", steps=1, warmup_steps=1),)),
        run_dir=tmp_path / "run", seed=0, options=RunOptions(), report=lambda *line: told.append(line),
        validate=lambda *step: {"ratio": float("nan"), "error": 2.0},
    )  # fmt: skip
    (line,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {
        "stage": "joint_denoiser", "step": 1, "ratio": None, "error": 2.0,
    }  # fmt: skip
    assert np.isnan(told[-1][2]["ratio"])


def test_batches_depend_on_seed_and_step_alone(prepared):
    _, cache = prepared
    options = {"batch_size": 2, "num_points": 24, "seed": 5}
    from_zero = cache.batches(first_step=0, **options)
    next(from_zero), next(from_zero)
    third, again = next(from_zero), next(cache.batches(first_step=2, **options))
    assert torch.equal(third.points_world, again.points_world) and third.texts == again.texts


def test_an_epoch_shows_every_sequence_once(prepared):
    _, cache = prepared
    batches = cache.batches(batch_size=2, num_points=24, seed=5, first_step=0, augment=False)
    seen = torch.cat([next(batches).depth_scale[:, 0, 0] for _ in range(3)])
    assert len(set(seen.tolist())) == len(cache) == 6


def test_augmentation_keeps_every_point_at_its_pixel(prepared):
    _, cache = prepared
    batch = next(cache.batches(batch_size=2, num_points=24, seed=1, first_step=0))
    cameras = batch.cameras
    points = batch.points_world[:, :, 0]
    camera = points @ cameras.camera_from_world[..., :3, :3].mT + cameras.camera_from_world[..., None, :3, 3]
    uvw = camera @ cameras.intrinsics.mT
    torch.testing.assert_close(uvw[..., :2] / uvw[..., 2:], batch.anchors_px, atol=0.02, rtol=0)


def test_the_learning_rate_warms_up_and_decays_to_zero():
    plan = StagePlan("joint_denoiser", steps=100, warmup_steps=10)
    rates = [schedule(step, plan) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == 1 and rates[100] == pytest.approx(0)
    assert all(later <= earlier for earlier, later in zip(rates[10:], rates[11:], strict=False))


def test_the_learning_rate_may_stay_until_it_decays():
    plan = StagePlan("joint_denoiser", steps=110, warmup_steps=10, decay_share=0.3)
    rates = [schedule(step, plan) for step in range(111)]
    assert rates[10:81] == [1.0] * 71 and 0 < rates[100] < rates[90] < 1 and rates[110] == pytest.approx(0)


def test_a_scaled_plan_keeps_its_stages():
    scaled = NANO_PLAN.scaled(0.1)
    assert [stage.stage for stage in scaled.stages] == [stage.stage for stage in NANO_PLAN.stages]
    assert scaled.stages[0].steps == round(0.1 * NANO_PLAN.stages[0].steps)


def test_validation_reports_errors_relative_to_the_mean_and_to_static(prepared):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    latents = latent_errors(components, cache, sequences=2, seed=0)
    assert latents["validation_motion_t1"] > 0.5  # untrained: about the error of predicting noise
    tracks = track_errors(components, cache, sequences=1, seed=0)
    batch = next(cache.batches(batch_size=1, num_points=24, seed=0, first_step=0, augment=False))
    moved = (batch.points_world - batch.points_world[:, :, :1]).norm(dim=-1)
    counted = batch.visible & (moved.amax(2, keepdim=True) > 0.02)
    counted[:, :, 0] = False
    assert tracks["static_cm"] == pytest.approx(100 * moved[counted].mean().item(), rel=1e-5)
    for name in ("end_point", "displacement"):
        assert tracks[f"{name}_ratio"] == pytest.approx(tracks[f"{name}_error_cm"] / tracks["static_cm"])


def test_a_sequence_in_which_nothing_moves_is_left_out_of_the_validation(prepared, tmp_path):
    checkpoint, cache = prepared
    moving = tiny_sequence(0)
    still = replace(moving, positions=np.repeat(moving.positions[:, :1], moving.positions.shape[1], 1))
    write_sequence(tmp_path / "val" / "still", still)
    components = load_components(checkpoint)
    alone = build_cache([tmp_path / "val" / "still"], read_sequence, components, tmp_path / "latents")
    assert track_errors(components, alone, sequences=1, seed=0) == {}
    assert track_errors(components, LatentCache([*alone.paths, cache.paths[0]]), sequences=2, seed=0)["static_cm"] > 0


def test_at_the_temperature_two_thirds_of_the_errors_are_within_one_deviation(prepared):
    checkpoint, cache = prepared
    rigid = replace(TINY, loop=replace(TINY.loop, rigid_bodies=1.0))
    components = shaken(load_components(checkpoint, change=lambda _: rigid))
    temperature = stddev_temperature(components, cache, count=2, seed=0)
    within = []
    for example in sample_outputs(components, cache, count=2, seed=0).examples:
        aligned = example.answer()
        stddev = temperature * torch.exp(0.5 * aligned.log_variance)[..., None]
        within.append(((aligned.clean - example.clean).abs() < stddev).flatten())
    assert torch.cat(within).float().mean().item() == pytest.approx(0.6827, abs=0.002)


def test_the_motion_priors_stage_halves_its_error_on_the_data_it_sees(prepared, tmp_path):
    plan = TrainingPlan((StagePlan("motion_prior", steps=150, batch_size=4, learning_rate=3e-3, warmup_steps=5),))
    run(prepared, tmp_path / "run", plan)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    for name in ("motion", "depth_scale"):
        errors = [line[name] for line in lines]
        assert np.mean(errors[-10:]) < 0.5 * np.mean(errors[:3])


def test_the_joint_denoisers_stage_measures_what_the_motion_prior_leaves_over(prepared):
    checkpoint, cache = prepared
    components = shaken(load_components(checkpoint))
    before = components.preconditioner.motion_moment.clone()
    make_stage(components, cache, StagePlan("joint_denoiser", steps=1), seed=0)
    left = []
    for batch, _ in zip(
        cache.batches(batch_size=1, num_points=1, seed=2, first_step=0, augment=False), range(6), strict=False
    ):
        tokens = components.text_encoder.tokenize(batch.texts)
        expected = components.motion_prior(batch.images, batch.cameras, tokens.ids, tokens.mask)
        left.append((batch.motion - expected.motion)[0, :, :, 0])
    first = torch.cat(left).square().mean((0, 2, 3)).clamp(min=1e-3)
    torch.testing.assert_close(components.preconditioner.motion_moment[:, 0], first, rtol=0.02, atol=1e-3)
    assert not torch.allclose(before[:, 0], first, rtol=0.02, atol=1e-3)


def test_an_aligner_trained_on_rollouts_errs_less_at_the_end_of_sampling(prepared, tmp_path):
    checkpoint, cache = prepared

    def error(components):
        examples = sample_outputs(components, cache, count=3, seed=0).examples
        with torch.no_grad():
            return np.mean([(example.aligned(-1).clean - example.clean).norm(dim=-1).mean() for example in examples])

    plan = TrainingPlan((StagePlan("rollouts", steps=60, learning_rate=3e-3, warmup_steps=5, sampled_sequences=6),))
    after = run(prepared, tmp_path / "run", plan)
    assert error(after) < 0.95 * error(load_components(checkpoint))


def test_an_example_turns_as_a_whole_about_the_scenes_centre(prepared):
    checkpoint, cache = prepared
    example = sample_outputs(load_components(checkpoint), cache, count=1, seed=0).examples[0]
    turned = replace(example, angle=0.7)
    centres = example.binding.condition.centres
    for name in ("inputs", "batch"):
        assert getattr(turned, name) is getattr(example, name)
    truth, after = world(example.clean, centres), world(turned.clean, centres)
    torch.testing.assert_close(after[..., 2], truth[..., 2])
    torch.testing.assert_close(
        (after - centres[:, :, None, None]).norm(dim=-1), (truth - centres[:, :, None, None]).norm(dim=-1)
    )
    # An untrained aligner answers with the coarse tracks, which must turn as the truth does.
    apart = (example.aligned(-1).clean - example.clean).norm(dim=-1)
    torch.testing.assert_close((turned.aligned(-1).clean - turned.clean).norm(dim=-1), apart, rtol=1e-3, atol=1e-4)
    assert (turned.clean - example.clean).norm(dim=-1).max() > 0.1
