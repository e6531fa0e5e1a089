"""Training: exact resume, every stage trains what it says, and bad steps do no harm."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.data.loader import build_cache
from syncmv4d_model.data.sequence import list_sequences, read_sequence
from syncmv4d_model.training.plan import NANO_PLAN, StagePlan, TrainingPlan
from syncmv4d_model.training.stages import make_stage, stddev_temperature
from syncmv4d_model.training.state import StageState
from syncmv4d_model.training.train import RunOptions, schedule, train
from syncmv4d_model.training.validate import latent_errors, track_errors
from tests.model.tiny_model import tiny_checkpoint

STAGES = ("joint_denoiser", "point_aligner", "closed_loop", "heads")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    data, checkpoint, components = tiny_checkpoint(folder)
    cache = build_cache(list_sequences(data, "train"), read_sequence, components, folder / "latents")
    return checkpoint, cache


def short_plan(steps, **changes):
    return TrainingPlan(
        tuple(StagePlan(stage, steps=steps, warmup_steps=1, sampled_sequences=3, **changes) for stage in STAGES)
    )


def run(prepared, run_dir, plan, *, minutes=float("inf"), **options):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    run_dir.mkdir(exist_ok=True)
    done = train(
        components, cache, plan, run_dir=run_dir, seed=3,
        options=RunOptions(save_every=1, log_every=1, minutes=minutes, **options), report=lambda *line: None,
    )  # fmt: skip
    return components, done


def weights(components):
    return {
        f"{name}.{key}": value
        for name, part in components.networks().items()
        for key, value in part.state_dict().items()
    }


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_after", [1, 2, 5, 7])
def test_a_run_that_is_killed_and_resumed_equals_one_that_is_not_bit_for_bit(prepared, tmp_path, stop_after):
    plan = short_plan(2)
    whole, done = run(prepared, tmp_path / "whole", plan)
    assert done
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
    resumed, done = run(prepared, tmp_path / "parts", plan)
    assert done
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[name]), name


def test_a_run_out_of_time_stops_resumably_and_writes_no_checkpoint(prepared, tmp_path):
    _, done = run(prepared, tmp_path / "run", short_plan(2), minutes=0.0)
    assert not done and not (tmp_path / "run" / "checkpoint").exists()
    _, done = run(prepared, tmp_path / "run", short_plan(2))
    assert done and (tmp_path / "run" / "checkpoint" / "model_index.json").exists()


@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        ("joint_denoiser", {"joint_denoiser", "text_encoder"}),
        ("point_aligner", {"point_aligner"}),
        ("closed_loop", {"joint_denoiser", "text_encoder", "point_aligner"}),
        ("heads", {"point_aligner"}),
    ],
)
def test_each_stage_changes_its_own_parts_only(prepared, tmp_path, stage, trained):
    checkpoint, _ = prepared
    before = weights(load_components(checkpoint))
    plan = TrainingPlan((StagePlan(stage, steps=3, warmup_steps=1, sampled_sequences=2),))
    after = weights(run(prepared, tmp_path / stage, plan)[0])
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == trained


def test_the_heads_stage_leaves_the_tracks_alone(prepared, tmp_path):
    checkpoint, _ = prepared
    before = weights(load_components(checkpoint))
    plan = TrainingPlan((StagePlan("heads", steps=3, warmup_steps=1, sampled_sequences=2),))
    after = weights(run(prepared, tmp_path / "heads", plan)[0])
    assert all(".heads." in name for name in before if not torch.equal(before[name], after[name]))


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


def test_a_stage_that_a_switch_removed_is_refused_by_name(prepared):
    checkpoint, cache = prepared
    components = load_components(
        checkpoint, change=lambda config: replace(config, switches=replace(config.switches, aligner=False))
    )
    with pytest.raises(ValueError, match="stage heads needs the point aligner"):
        make_stage(components, cache, StagePlan("heads", steps=1), seed=0)


@pytest.mark.parametrize("source", ["clean", "noisy"])
@pytest.mark.parametrize("detach", [True, False])
def test_the_closed_loop_trains_with_either_guidance_and_either_coarse_gradient(prepared, source, detach):
    checkpoint, cache = prepared
    components = load_components(
        checkpoint, change=lambda config: replace(config, switches=replace(config.switches, detach_coarse=detach))
    )
    plan = StagePlan("closed_loop", steps=1, guidance_source=source, guidance_share=1.0)
    stage = make_stage(components, cache, plan, seed=0)
    StageState.start(components, stage, 0)
    terms = stage.losses(next(stage.batches(0)), torch.Generator().manual_seed(0))
    assert set(terms) == {"video", "motion", "depth_scale", "aligner_velocity", "aligner_chamfer"}
    assert all(torch.isfinite(value) for value in terms.values())


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


def test_a_scaled_plan_keeps_its_stages():
    scaled = NANO_PLAN.scaled(0.1)
    assert [stage.stage for stage in scaled.stages] == [stage.stage for stage in NANO_PLAN.stages]
    assert scaled.stages[0].steps == round(0.1 * NANO_PLAN.stages[0].steps)


def test_validation_reports_errors_relative_to_the_mean_and_to_static(prepared):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    latents = latent_errors(components, cache, sequences=2, seed=0)
    assert latents["validation_motion_t1"] > 0.5  # untrained: about the error of predicting noise
    tracks = track_errors(components, cache, sequences=1, steps=2, seed=0)
    assert tracks["end_point_ratio"] == pytest.approx(tracks["end_point_error_cm"] / tracks["static_cm"])


def test_the_temperature_scales_an_untrained_spread_to_the_errors_seen(prepared):
    checkpoint, cache = prepared
    temperature = stddev_temperature(load_components(checkpoint), cache, count=2, seed=0)
    assert temperature > 0 and np.isfinite(temperature)
