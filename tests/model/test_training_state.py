"""What a run keeps besides weights: the average that is shipped, groups with their own pace, and steps that are skipped."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from syncmv4d_model.binding import Binding
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.data.loader import LatentCache
from syncmv4d_model.training.average import MovingAverage
from syncmv4d_model.training.draws import standardised_scale
from syncmv4d_model.training.plan import StagePlan, TrainingPlan
from syncmv4d_model.training.stages import make_stage
from syncmv4d_model.training.state import StageState
from syncmv4d_model.training.train import MAX_BAD_STEPS, RunOptions, train


class PoisonedCache(LatentCache):
    """Steps of the given numbers are not a number."""

    def __init__(self, paths, bad_steps):
        super().__init__(paths)
        self.bad_steps = bad_steps

    def batches(self, **options):
        for step, batch in enumerate(super().batches(**options), start=options["first_step"]):
            yield replace(batch, points_world=batch.points_world * float("nan")) if step in self.bad_steps else batch


def run(prepared, run_dir, *, bad_steps=(), validate=None, **stage):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    run_dir.mkdir()
    plan = TrainingPlan((StagePlan("point_aligner", warmup_steps=1, learning_rate=1e-2, **stage),))
    train(
        components, PoisonedCache(cache.paths, bad_steps), plan, run_dir=run_dir, seed=3,
        options=RunOptions(), report=lambda *line: None, validate=validate and (lambda *step: validate(components)),
    )  # fmt: skip
    return components.point_aligner.state_dict()


def test_the_average_forgets_its_start_and_then_follows_its_decay():
    parameter = nn.Parameter(torch.zeros(1))
    average = MovingAverage([parameter], decay=0.5)
    with torch.no_grad():
        parameter.fill_(11)
    average.step([parameter])
    assert average.values[0].item() == pytest.approx(9)  # (1 + 1) / (10 + 1) of the start is kept
    for _ in range(20):
        average.step([parameter])
    with torch.no_grad():
        parameter.fill_(21)
    average.step([parameter])
    assert average.values[0].item() == pytest.approx(16, abs=1e-3)


def test_parameters_hold_the_average_inside_the_block_only():
    parameter = nn.Parameter(torch.zeros(2))
    average = MovingAverage([parameter], decay=0.5)
    with torch.no_grad():
        parameter.fill_(7)
    with pytest.raises(KeyError), average.in_place_of([parameter]):
        assert not parameter.any()
        raise KeyError
    assert (parameter == 7).all()


def test_what_is_validated_and_what_is_shipped_is_the_average(prepared, tmp_path):
    seen = []

    def validate(components):
        seen.append({name: value.clone() for name, value in components.point_aligner.state_dict().items()})
        return {}

    shipped = run(prepared, tmp_path / "average", steps=3, ema_decay=0.9, validate=validate)
    last = run(prepared, tmp_path / "last", steps=3, ema_decay=0.0)
    assert len(seen) == 1
    assert all(torch.equal(value, seen[0][name]) for name, value in shipped.items())
    assert any(not torch.equal(value, last[name]) for name, value in shipped.items())


def test_a_step_that_is_not_finite_is_skipped_and_only_as_many_in_a_row_stop_the_run(prepared, tmp_path):
    bad = [*range(1, MAX_BAD_STEPS), *range(MAX_BAD_STEPS + 1, 2 * MAX_BAD_STEPS)]
    skipped = run(prepared, tmp_path / "poisoned", steps=2 * MAX_BAD_STEPS, bad_steps=bad)
    assert all(value.isfinite().all() for value in skipped.values())
    with pytest.raises(FloatingPointError, match=f"{MAX_BAD_STEPS} steps in a row"):
        run(prepared, tmp_path / "stopped", steps=2 * MAX_BAD_STEPS, bad_steps=range(1, MAX_BAD_STEPS + 1))


def test_only_what_wan_has_learns_at_the_slow_rate(prepared):
    checkpoint, cache = prepared
    components = load_components(checkpoint)
    plan = StagePlan("closed_loop", steps=1, learning_rate=1e-5, new_module_learning_rate=1e-4)
    state = StageState.start(components, make_stage(components, cache, plan, seed=0), 0)
    peak = {id(p): group["peak"] for group in state.optimizer.param_groups for p in group["params"]}
    denoiser, aligner = components.joint_denoiser, components.point_aligner
    assert {peak[id(p)] for p in (denoiser.proj_out.weight, denoiser.blocks[0].attn1.to_q.weight)} == {1e-5}
    new = (denoiser.motion_proj_out.weight, denoiser.scale_tokens, *aligner.parameters())
    assert {peak[id(p)] for p in new} == {1e-4}
    assert len(peak) == len(state.parameters)


def test_a_standardised_depth_scale_comes_back_in_metres(prepared):
    components = load_components(prepared[0])
    metres = torch.tensor([[[0.5, 0.9], [0.7, 1.3]]])
    standardised = standardised_scale(components, metres)
    assert Binding.metric_scale(SimpleNamespace(components=components), standardised) == pytest.approx(metres)
    mean = torch.tensor(components.statistics.depth_scale_mean_m)[None, None]
    assert not standardised_scale(components, mean).any()


def test_without_wans_weights_every_token_sees_the_first_frame_from_the_start(prepared):
    weight = load_components(prepared[0]).joint_denoiser.first_frame_embedding.weight
    assert weight.std().item() == pytest.approx(weight[0].numel() ** -0.5, rel=0.1)
