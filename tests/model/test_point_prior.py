"""The point prior: what it reads, and that its answer reaches the predictor."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_model.binding import expect_motion, expect_points
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.config import NANO, WAN5B, ModelConfig, MotionPriorConfig
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.networks.point_prior import _read_at
from syncmv4d_model.predictor import Predictor
from syncmv4d_model.training.draws import Draw
from syncmv4d_model.training.plan import NANO_PLAN, StagePlan
from syncmv4d_model.training.stages import make_stage
from tests.model.tiny_model import shaken, tiny_sequence


@pytest.fixture
def drawn(prepared):
    """A batch of two sequences, drawn for components with weights that do something."""
    components = shaken(load_components(prepared[0]))
    batch = next(prepared[1].batches(batch_size=2, num_points=24, seed=0, first_step=0))
    with torch.no_grad():
        return Draw(components, StagePlan("heads", steps=1))(batch, torch.Generator().manual_seed(0))


def answers(drawn, anchors):
    components, condition = drawn.binding.components, drawn.binding.condition
    with torch.no_grad():
        return vars(expect_points(components, condition.expected, anchors.pixels, anchors.colours, condition.cameras))


def test_untrained_it_expects_nothing(prepared):
    components = load_components(prepared[0])
    batch = next(prepared[1].batches(batch_size=2, num_points=24, seed=0, first_step=0))
    drawn = Draw(components, StagePlan("heads", steps=1))(batch, torch.Generator().manual_seed(0))
    for name, value in answers(drawn, drawn.anchors).items():
        assert not value.any(), name


def test_every_anchor_is_answered_by_itself(drawn):
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    anchors = replace(
        drawn.anchors, pixels=drawn.anchors.pixels[:, :, order], colours=drawn.anchors.colours[:, :, order]
    )
    for name, value in answers(drawn, drawn.anchors).items():
        turned = value[:, :, order] if name == "label_logits" else value[:, :, :, order]
        torch.testing.assert_close(answers(drawn, anchors)[name], turned, atol=1e-5, rtol=1e-4)


def test_it_reads_the_image_at_the_anchors_pixel(drawn):
    """What is drawn far from an anchor changes its answer less than what is drawn at it."""
    components, batch = drawn.binding.components, drawn.batch
    tokens = components.text_encoder.tokenize(batch.texts)

    def labels(images):
        with torch.no_grad():
            expected = expect_motion(components, tokens, images, batch.cameras)
            points = drawn.anchors
            told = expect_points(components, expected, points.pixels, points.colours, batch.cameras)
            return told.label_logits[0, 0, 0]

    u, v = drawn.anchors.pixels[0, 0, 0].round().long().tolist()
    changed = []
    for row, column in ((v, u), ((v + 16) % 32, (u + 16) % 32)):
        images = batch.images.clone()
        images[0, 0, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] += 1
        changed.append((labels(images) - labels(batch.images)).abs().max())
    assert changed[0] > 2 * changed[1]


def test_it_is_told_where_the_middle_of_an_anchors_pixel_lies_in_the_image(drawn):
    components, condition, given = drawn.binding.components, drawn.binding.condition, []
    components.point_prior.register_forward_pre_hook(lambda module, inputs: given.append(inputs[1]))
    flat = replace(condition.cameras, height=16)
    expect_points(components, condition.expected, drawn.anchors.pixels, drawn.anchors.colours, flat)
    middles = drawn.anchors.pixels + 0.5
    torch.testing.assert_close(given[0] * torch.tensor([32.0, 16.0]), middles)


@settings(max_examples=25, deadline=None)
@given(u=st.integers(0, 31), v=st.integers(0, 23), step=st.sampled_from([1, 2, 8]))
def test_a_map_is_read_where_the_pixels_centre_lies_in_it(u, v, step):
    """A map that holds its own places, `step` pixels a side: exact inside, held at the border."""
    columns, rows = (torch.arange(size // step) * step + step / 2 for size in (32, 24))
    places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None, None]
    centre = torch.tensor([u + 0.5, v + 0.5])
    read = _read_at(places, (centre / torch.tensor([32.0, 24.0]))[None, None, None])
    least, most = torch.tensor([step / 2] * 2), torch.tensor([32.0, 24.0]) - step / 2
    torch.testing.assert_close(read[0, 0, 0], centre.clamp(least, most), atol=1e-4, rtol=1e-4)


def test_untrained_its_losses_are_those_of_expecting_nothing(prepared):
    stage = make_stage(load_components(prepared[0]), prepared[1], StagePlan("point_prior", steps=1), seed=0)
    batch = next(stage.batches(0))
    terms = stage.losses(batch, torch.Generator().manual_seed(0))
    assert terms["label"].item() == pytest.approx(math.log(4), rel=1e-4)
    assert terms["visibility"].item() == pytest.approx(math.log(2), rel=1e-4)


def test_the_aligners_answer_starts_from_what_is_expected(drawn):
    binding, coarse = drawn.binding, None
    with torch.no_grad():
        coarse = binding.decode_denormalise(drawn.clean.motion, drawn.depth_scale, drawn.anchors)
        told = binding.point_aligner(drawn.clean.tracks, coarse, drawn.anchors, drawn.t)
        untold = binding.point_aligner(drawn.clean.tracks, coarse, replace(drawn.anchors, expected=None), drawn.t)
    expected = answers(drawn, drawn.anchors)
    for name in ("visible_logit", "label_logits"):
        torch.testing.assert_close(getattr(told, name), getattr(untold, name) + expected[name])
    assert torch.equal(told.clean, untold.clean) and torch.equal(told.log_variance, untold.log_variance)


def test_only_a_model_with_an_aligner_and_a_motion_prior_has_one():
    assert NANO.has_point_prior and not WAN5B.has_point_prior and not ModelConfig().has_point_prior
    without = replace(NANO, switches=replace(NANO.switches, aligner=False))
    assert not without.has_point_prior
    assert "point_prior" not in [stage.stage for stage in NANO_PLAN.for_config(without).stages]
    with pytest.raises(ValueError, match="point_width needs motion_prior.conv_width"):
        replace(NANO, motion_prior=MotionPriorConfig(conv_width=0, point_width=8))


def test_it_is_asked_once_for_a_request(prepared):
    components = shaken(load_components(prepared[0]))
    asked = []
    components.point_prior.register_forward_hook(lambda *_: asked.append(1))
    Predictor(components).predict(observation_of(tiny_sequence(0)), steps=3)
    assert len(asked) == 1
