"""The sampler's own outputs on training sequences: what is kept of them, and how they turn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.diffusion.flow_matching import sampling_times
from syncmv4d_model.training.kept_samples import KeptSamples
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.training.rollouts import draw_for_sampling, sample, sample_outputs
from syncmv4d_model.training.stages import make_stage
from syncmv4d_model.training.time_limit import OutOfTime
from syncmv4d_model.types import LABELS
from tests.model.counted_time import CountedTime
from tests.model.tiny_model import shaken


@pytest.mark.parametrize(("stage", "steps"), [("rollouts", 2), ("heads", 1)])
def test_of_the_sampler_only_the_steps_are_kept_that_a_stage_learns_from(prepared, stage, steps):
    components, cache = load_components(prepared[0]), prepared[1]
    assert components.config.loop.steps == 2
    made = make_stage(components, cache, StagePlan(stage, steps=1, batch_size=1, sampled_sequences=1), seed=0)
    (example,) = next(made.batches(0))
    assert len(example.inputs) == steps
    assert example.inputs[-1].t == sampling_times(2, shift=components.config.loop.shift)[1]


def test_what_the_aligner_is_given_turns_about_the_scenes_centre(prepared):
    example = sample_outputs(load_components(prepared[0]), prepared[1], count=1, seed=0).examples[0]
    condition = example.binding.condition
    away = replace(condition, centres=condition.centres + torch.tensor([0.3, -0.2, 0.1]))
    example = replace(example, binding=replace(example.binding, condition=away))
    given = []
    aligner = example.binding.components.point_aligner
    aligner.register_forward_pre_hook(lambda module, inputs: given.append(inputs[:2]))
    with torch.no_grad():
        for angle in (0.0, np.pi / 2):
            replace(example, angle=angle).aligned(-1)
    for before, after in zip(*given, strict=True):  # noisy tracks, coarse tracks
        quarter = torch.stack([-before[..., 1], before[..., 0], before[..., 2]], dim=-1)
        torch.testing.assert_close(after, quarter, atol=1e-5, rtol=1e-4)


def test_an_example_answers_as_the_sampler_did_its_bodies_kept_rigid(prepared):
    def rigid(config):
        return replace(config, loop=replace(config.loop, rigid_bodies=1.0))

    components = shaken(load_components(prepared[0], change=rigid))
    with torch.no_grad():
        components.point_aligner.heads.per_point[2].bias[LABELS.index("tool")] += 100
    (example,) = sample_outputs(components, prepared[1], count=1, seed=0).examples
    batch = next(prepared[1].batches(batch_size=1, num_points=24, seed=1, first_step=0, augment=False))
    with torch.no_grad():
        answered = sample(components, draw_for_sampling(components, batch, seed=0)).aligned
        assert torch.equal(example.answer().clean, answered.clean)
        assert not torch.allclose(example.aligned(-1).clean, answered.clean, atol=1e-3)


def test_what_is_kept_of_the_sampler_is_the_same_to_the_bit_and_is_not_sampled_again(prepared, tmp_path):
    components, cache = load_components(prepared[0]), prepared[1]
    made = sample_outputs(components, cache, count=2, seed=0, every_step=True)
    with pytest.raises(OutOfTime, match="rollouts: 1 of 2 sequences sampled"):
        sample_outputs(
            components, cache, count=2, seed=0, every_step=True,
            kept=KeptSamples(tmp_path / "rollouts", CountedTime(questions=1)),
        )  # fmt: skip
    limit = CountedTime(questions=1)
    kept = KeptSamples(tmp_path / "rollouts", limit)
    again = sample_outputs(components, cache, count=2, seed=0, every_step=True, kept=kept)
    assert limit.asked == [1]  # for the second sequence only
    for index, (one, other) in enumerate(zip(made.examples, again.examples, strict=True)):
        for given, read in zip(one.inputs, kept.inputs(index, 2, pytest.fail), strict=True):
            assert torch.equal(given.tracks, read.tracks) and torch.equal(given.t, read.t)
            assert torch.equal(given.coarse.points_world, read.coarse.points_world)
            assert torch.equal(given.coarse.valid, read.coarse.valid)
        assert torch.equal(one.aligned(0).clean, other.aligned(0).clean)


def test_every_sequence_is_sampled_from_noise_of_its_own_and_the_same_again(prepared):
    first, again = (
        sample_outputs(load_components(prepared[0]), prepared[1], count=2, seed=0, every_step=True).examples
        for _ in range(2)
    )
    starts = [example.inputs[0].tracks for example in first]
    assert not torch.isclose(*starts).any()
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.inputs[0].tracks, other.inputs[0].tracks)
