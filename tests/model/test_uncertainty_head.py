"""The uncertainty head: distances against closed forms, what may not change them, and that planners get its answer."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from syncmv4d_model.checkpoint import build_components, load_components
from syncmv4d_model.config import NANO, WAN5B
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.networks.uncertainty_head import (
    FARTHEST,
    NEIGHBOURS,
    UncertaintyHead,
    from_body_centre,
    to_other_views,
)
from syncmv4d_model.predictor import Predictor
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.training.stages import make_stage
from syncmv4d_model.types import LABELS, AlignedTracks, CoarseTracks
from tests.model.tiny_model import TINY, shaken, tiny_sequence

B, V, T, K, L = 2, 3, 4, 9, len(LABELS)
SEEDS = st.integers(0, 2**31 - 1)


def drawn(seed: int) -> tuple[AlignedTracks, CoarseTracks]:
    """Any answer of an aligner, and the coarse points that it was given, normalised."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    clean = normal(B, V, T, K, 3)
    aligned = AlignedTracks(clean, clean, normal(B, V, T, K), 3 * normal(B, V, K, L), normal(B, V, T, K))
    return aligned, CoarseTracks(clean + 0.1 * normal(B, V, T, K, 3), normal(B, V, T, K) > 0)


def a_head(*, multi_view: bool = True, seed: int = 0) -> UncertaintyHead:
    """With weights that do something."""
    config = replace(TINY, switches=replace(TINY.switches, multi_view=multi_view))
    torch.manual_seed(seed)
    head = UncertaintyHead(config)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.5)
    return head


def changed(tracks, change):
    """Every array of a dataclass, changed."""
    return replace(tracks, **{name: change(name, value) for name, value in vars(tracks).items()})


def test_untrained_it_agrees_with_the_aligner():
    aligned, coarse = drawn(0)
    assert torch.equal(UncertaintyHead(TINY)(aligned, coarse), aligned.log_variance)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_distances_from_a_bodys_centre_are_those_of_its_mean(seed):
    aligned, _ = drawn(seed)
    label = aligned.label_logits.argmax(-1)
    certain = torch.nn.functional.one_hot(label, L).float()
    distance = from_body_centre(aligned.clean, certain)
    for scene in range(B):
        for kind in label[scene].unique():
            member = label[scene] == kind  # [V K]
            points = aligned.clean[scene].transpose(0, 1)[:, member]  # [T n 3]
            expected = (points - points.mean(1, keepdim=True)).norm(dim=-1)
            torch.testing.assert_close(distance[scene].transpose(0, 1)[:, member], expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_distances_to_other_views_are_those_of_a_tree(seed):
    aligned, _ = drawn(seed)
    kinds, found = aligned.label_logits[0].argmax(-1).numpy(), to_other_views(aligned.clean, aligned.label_logits)[0]
    points = aligned.clean[0].numpy()
    for view, frame, point in [(0, 0, 0), (1, 2, 4), (2, T - 1, K - 1)]:
        others = np.concatenate([points[v, frame][kinds[v] == kinds[view, point]] for v in range(V) if v != view])
        expected = np.full(NEIGHBOURS, FARTHEST)
        if len(others):
            near = cKDTree(others).query(points[view, frame, point], k=np.arange(1, min(NEIGHBOURS, len(others)) + 1))[
                0
            ]
            expected[: len(near)] = near
        assert found[view, frame, point].item() == pytest.approx(expected.mean(), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_neither_a_turn_of_the_world_nor_the_order_of_points_and_views_matters(seed):
    head, (aligned, coarse) = a_head(), drawn(seed)
    turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix()).float()
    rng = np.random.default_rng(seed)
    views, points = torch.from_numpy(rng.permutation(V)), torch.from_numpy(rng.permutation(K))

    def moved(name, value):
        value = value[:, views]
        if name in ("clean", "points_world", "velocity"):
            value = value @ turn.T + 0.3
        return value[:, :, points] if name == "label_logits" else value[:, :, :, points]

    with torch.no_grad():
        before, after = head(aligned, coarse), head(changed(aligned, moved), changed(coarse, moved))
    torch.testing.assert_close(after, before[:, views][:, :, :, points], atol=2e-3, rtol=2e-3)


@pytest.mark.parametrize("hint", ["coarse", "valid", "centre", "moved", "label", "own"])
def test_every_hint_reaches_the_answer(hint):
    head, (aligned, coarse) = a_head(), drawn(3)
    other_aligned, other_coarse = aligned, coarse
    if hint == "coarse":
        other_coarse = replace(coarse, points_world=coarse.points_world + 0.2)
    if hint == "valid":
        other_coarse = replace(coarse, valid=~coarse.valid)
    if hint == "centre":  # the others move: where this point lies in its body changes
        shift = torch.zeros(1, 1, 1, K, 1)
        shift[..., 1:, :] = 1.0
        other_aligned = replace(aligned, clean=aligned.clean + shift)
        other_coarse = replace(coarse, points_world=coarse.points_world + shift)
    if hint == "moved":
        shift = torch.zeros(1, 1, T, 1, 1)
        shift[:, :, 0] = 1.0
        other_aligned = replace(aligned, clean=aligned.clean + shift)
        other_coarse = replace(coarse, points_world=coarse.points_world + shift)
    if hint == "label":
        other_aligned = replace(aligned, label_logits=aligned.label_logits.flip(-1))
    if hint == "own":
        other_aligned = replace(aligned, log_variance=aligned.log_variance + 1)
    with torch.no_grad():
        change = (head(other_aligned, other_coarse) - head(aligned, coarse))[:, :, 1:, 0]
    assert change.abs().max() > (1.01 if hint == "own" else 0.01)


def test_views_that_are_scenes_of_their_own_do_not_hint_at_each_other():
    head, (aligned, coarse) = a_head(multi_view=False), drawn(0)

    def shifted(name, value):
        shift = torch.zeros(1, V, 1, 1, 1)
        shift[:, 1] = 1.0
        return value + shift if name in ("clean", "points_world") else value

    with torch.no_grad():
        before, after = head(aligned, coarse), head(changed(aligned, shifted), changed(coarse, shifted))
        together = a_head()(changed(aligned, shifted), changed(coarse, shifted))
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[:, 0], a_head()(aligned, coarse)[:, 0].detach(), atol=1e-2)


def test_what_it_sees_does_not_train_what_it_looks_at():
    head, (aligned, coarse) = a_head(), drawn(0)
    watched = changed(aligned, lambda _, value: value.clone().requires_grad_())
    head(watched, coarse).sum().backward()
    assert watched.clean.grad is None and watched.label_logits.grad is None
    assert watched.log_variance.grad is not None


def test_the_stage_of_the_heads_trains_it_towards_the_sampled_errors(prepared):
    components = load_components(prepared[0])
    stage = make_stage(components, prepared[1], StagePlan("heads", steps=1, batch_size=2, sampled_sequences=2), seed=0)
    assert components.uncertainty_head in stage.modules
    optimizer = torch.optim.Adam(components.uncertainty_head.parameters(), lr=1e-2)
    errors = []
    for _, examples in zip(range(30), stage.batches(0), strict=False):
        loss = stage.losses(examples, torch.Generator())["likelihood"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    assert np.mean(errors[-5:]) < np.mean(errors[:5]) - 0.1


def test_the_predictor_answers_with_it(prepared):
    components = shaken(load_components(prepared[0]))
    scene = observation_of(tiny_sequence(0))
    told = Predictor(components).predict(scene, seed=1)
    untold = Predictor(replace(components, uncertainty_head=None)).predict(scene, seed=1)
    assert np.array_equal(told.tracks, untold.tracks)
    assert not np.allclose(told.stddev, untold.stddev, rtol=0.01)
    assert np.isfinite(told.stddev).all() and (told.stddev > 0).all()


def test_only_a_model_with_an_aligner_has_one(prepared):
    tokenizer = load_components(prepared[0]).text_encoder.tokenizer
    for switch in ("aligner", "motion"):
        config = replace(TINY, switches=replace(TINY.switches, **{switch: False}))
        assert build_components(config, seed=0, tokenizer=tokenizer).uncertainty_head is None
    assert NANO.point_aligner.uncertainty_width and not WAN5B.point_aligner.uncertainty_width
    with pytest.raises(ValueError, match="uncertainty_width must be at least 0"):
        replace(NANO, point_aligner=replace(NANO.point_aligner, uncertainty_width=-1))


def test_a_single_view_is_as_uncertain_as_no_neighbour_makes_it():
    aligned, _ = drawn(0)
    assert (to_other_views(aligned.clean[:, :1], aligned.label_logits[:, :1]) == FARTHEST).all()
    assert math.isfinite(a_head()(*(changed(part, lambda _, value: value[:, :1]) for part in drawn(0))).sum().item())
