"""Bodies kept rigid: closed forms, and what may not change."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.config import LoopConfig
from syncmv4d_model.evaluation.metrics import rigid_residual
from syncmv4d_model.motion.rigid_bodies import MIN_POINTS, moved_rigidly
from syncmv4d_model.training.draws import Draw
from syncmv4d_model.training.plan import StagePlan
from syncmv4d_model.types import LABELS
from tests.model.tiny_model import shaken

V, T, K = 2, 5, 20


def moving_body(seed: int) -> torch.Tensor:
    """[1 V T K 3] points of one rigid body."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(V, 1, K, 3))
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(scale=0.3, size=(T, 3)), axis=0) * (np.arange(T) > 0)[:, None])
    moved = np.einsum("tij,vokj->vtki", turns.as_matrix(), points) + np.cumsum(rng.normal(size=(T, 1, 3)), axis=0)
    moved[:, 0] = points[:, 0]
    return torch.from_numpy(moved)[None].float()


def members(*bodies: slice) -> torch.Tensor:
    """[1 L V K]: which points belong to each body, alike in every view."""
    member = torch.zeros(1, len(bodies), V, K, dtype=torch.bool)
    for index, points in enumerate(bodies):
        member[:, index, :, points] = True
    return member


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_what_moves_rigidly_already_stays(seed, share):
    tracks = moving_body(seed)
    torch.testing.assert_close(moved_rigidly(tracks, members(slice(K)), share=share), tracks, atol=2e-5, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_answer_is_rigid_and_nearer_to_the_truth_than_the_jitter_that_came_in(seed):
    truth = moving_body(seed)
    noise = 0.05 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed % 2**31))
    noise[:, :, 0] = 0
    moved = moved_rigidly(truth + noise, members(slice(K)), share=1.0)
    tracks = moved[0].transpose(0, 1).flatten(1, 2).numpy()
    assert rigid_residual(tracks) < 1e-4
    assert (moved - truth).square().mean() < 0.3 * noise.square().mean()


def test_a_mirrored_body_is_turned_not_mirrored():
    """Kabsch's case: the nearest orthogonal matrix would be a reflection."""
    tracks = moving_body(3)
    tracks[:, :, 1:] = tracks[:, :, :1] * torch.tensor([1.0, 1.0, -1.0])
    moved = moved_rigidly(tracks, members(slice(K)), share=1.0)[0].transpose(0, 1).flatten(1, 2)
    start, later = (moved[n] - moved[n].mean(0) for n in (0, 1))
    turn = torch.linalg.lstsq(start, later).solution
    assert torch.det(turn).item() == pytest.approx(1, abs=1e-3)


def test_some_points_that_go_their_own_way_hardly_move_the_rest():
    tracks = moving_body(5)
    strays = tracks.clone()
    strays[:, :, 1:, :3] += 3.0
    moved = moved_rigidly(strays, members(slice(K)), share=1.0)
    assert (moved - tracks)[..., 3:, :].abs().max() < 0.02


def test_bodies_move_apart_and_points_of_none_stay():
    tracks = torch.cat([moving_body(1)[..., :10, :], moving_body(2)[..., 10:, :]], dim=3)
    noise = 0.05 * torch.randn(tracks.shape, generator=torch.Generator().manual_seed(0))
    moved = moved_rigidly(tracks + noise, members(slice(0, 8), slice(10, 18)), share=1.0)
    for free in (slice(8, 10), slice(18, 20)):
        assert torch.equal(moved[..., free, :], (tracks + noise)[..., free, :])
    for body in (slice(0, 8), slice(10, 18)):
        assert rigid_residual(moved[0, :, :, body].transpose(0, 1).flatten(1, 2).numpy()) < 1e-4
    both = moved_rigidly(tracks + noise, members(slice(0, 18)), share=1.0)
    assert not torch.allclose(both, moved, atol=0.05)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_a_share_moves_points_so_far_on_the_way_to_where_the_body_is(share):
    tracks = torch.randn(1, V, T, K, 3, generator=torch.Generator().manual_seed(0))
    way = moved_rigidly(tracks, members(slice(K)), share=1.0) - tracks
    assert way.abs().max() > 0.5
    moved = moved_rigidly(tracks, members(slice(K)), share=share)
    torch.testing.assert_close(moved, tracks + share * way, atol=1e-5, rtol=1e-5)


def test_as_many_points_as_are_enough_are_a_body():
    tracks = torch.randn(1, V, T, K, 3, generator=torch.Generator().manual_seed(0))
    moved = moved_rigidly(tracks, members(slice(MIN_POINTS // V)), share=1.0)
    assert (moved - tracks)[:, :, 1:, : MIN_POINTS // V].abs().max() > 0.1


@pytest.mark.parametrize("points", [0, MIN_POINTS // V - 1])
def test_too_few_points_are_no_body(points):
    tracks = torch.randn(1, V, T, K, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(moved_rigidly(tracks, members(slice(points)), share=1.0), tracks)


def test_tracks_that_are_not_finite_come_back_as_they_are():
    tracks = moving_body(0)
    tracks[0, 0, 1, 2] = torch.nan
    torch.testing.assert_close(moved_rigidly(tracks, members(slice(K)), share=1.0), tracks, equal_nan=True)


def test_a_scene_that_is_not_finite_spoils_no_other():
    tracks, member = torch.cat([moving_body(0), moving_body(1)]), members(slice(K)).expand(2, -1, -1, -1)
    tracks = tracks + 0.05 * torch.randn(tracks.shape, generator=torch.Generator().manual_seed(0))
    spoilt = tracks.clone()
    spoilt[0, 0, 1, 2] = torch.inf
    moved = moved_rigidly(spoilt, member, share=1.0)
    torch.testing.assert_close(moved[1], moved_rigidly(tracks, member, share=1.0)[1])
    assert torch.equal(moved[0], spoilt[0])


@pytest.mark.parametrize("multi_view", [True, False])
def test_the_loop_keeps_labelled_bodies_rigid_and_velocity_leads_there(prepared, multi_view):
    """Without multi-view every view is a body of its own."""

    def change(config):
        return replace(
            config,
            switches=replace(config.switches, multi_view=multi_view),
            loop=LoopConfig(steps=2, rigid_bodies=1.0),
        )

    components = shaken(load_components(prepared[0], change=change))
    batch = next(prepared[1].batches(batch_size=2, num_points=24, seed=0, first_step=0))
    with torch.no_grad():
        drawn = Draw(components, StagePlan("heads", steps=1))(batch, torch.Generator().manual_seed(0))
        loop = drawn.binding.loop()
        coarse = loop.decode_denormalise(drawn.clean.motion, drawn.depth_scale, drawn.anchors)
        aligned = loop.point_aligner(drawn.clean.tracks, coarse, drawn.anchors, drawn.t)
        label = torch.nn.functional.one_hot(batch.label, 4).float()
        kept = loop.keep_bodies_rigid(replace(aligned, label_logits=label), drawn.clean.tracks, drawn.t)
    t = drawn.t[:, None, None, None, None]
    torch.testing.assert_close(drawn.clean.tracks - t * kept.velocity, kept.clean, atol=1e-4, rtol=1e-4)
    hand = (batch.label == 1)[:, :, None, :, None]
    assert torch.equal(kept.clean * hand, aligned.clean * hand)
    for body in (LABELS.index("tool"), LABELS.index("target")):
        residuals = []
        for points in (kept.clean, aligned.clean):
            tracks = points[0].transpose(1, 2)[batch.label[0] == body]
            of_view = points[0, 0].transpose(0, 1)[batch.label[0, 0] == body]
            residuals.append([rigid_residual(part.transpose(0, 1).numpy()) for part in (tracks, of_view)])
        assert residuals[0][1] < 1e-3 < residuals[1][1]
        assert (residuals[0][0] < 1e-3) == multi_view
