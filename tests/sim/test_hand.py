"""The hand: its mesh, its skinning and what its fingers do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import mujoco
import numpy as np
import pytest

from syncmv4d_sim import hand
from syncmv4d_sim.arms import arm_meshes, skin_coordinates, skin_picture
from syncmv4d_sim.families import FAMILIES
from syncmv4d_sim.hand import HandShape
from syncmv4d_sim.hand_shape import BONES_PER_VERTEX, MEAN_LENGTH_M
from syncmv4d_sim.meshes import MeshPart

SHAPES = [HandShape(), *(HandShape.sample(np.random.default_rng(seed)) for seed in range(3))]


def posed(shape: HandShape, *, closing: float) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """A hand in the air after its fingers followed a command for half a second."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    world_from_palm = np.eye(4)
    world_from_palm[:3, 3] = 0.1, -0.2, 0.4
    hand.add_hand(spec, shape, world_from_palm=world_from_palm)
    model = spec.compile()
    data = mujoco.MjData(model)
    data.ctrl[:] = hand.finger_commands(closing)
    mujoco.mj_step(model, data, 250)
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("shape", SHAPES)
def test_our_skinning_equals_mujocos_skin(shape: HandShape) -> None:
    model, data = posed(shape, closing=0.7)
    picture = mujoco.MjvScene(model, 100)
    everything = mujoco.mjtCatBit.mjCAT_ALL
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, mujoco.MjvCamera(), everything, picture)
    theirs = np.array(picture.skinvert).reshape(-1, 3)
    np.testing.assert_allclose(hand.skinned_vertices(model, data, shape), theirs, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_hand_length_is_the_asked_one_from_wrist_to_middle_fingertip(shape: HandShape) -> None:
    geometry = hand.hand_geometry(shape)
    bones = np.linalg.norm(geometry.tails[8:11] - geometry.heads[8:11], axis=-1)
    length = np.linalg.norm(geometry.heads[8]) + bones.sum()
    assert length == pytest.approx(shape.scale * MEAN_LENGTH_M)


def test_weights_of_every_vertex_sum_to_one_over_few_bones() -> None:
    weights = hand.hand_geometry(HandShape()).weights
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    assert (weights > 0).sum(1).max() <= BONES_PER_VERTEX


def test_mesh_is_closed_and_faces_outwards() -> None:
    geometry = hand.hand_geometry(HandShape())
    edges = Counter((int(a), int(b)) for face in geometry.faces for a, b in zip(face, np.roll(face, -1), strict=True))
    assert all(count == 1 and edges[b, a] == 1 for (a, b), count in list(edges.items()))
    corners = geometry.vertices[geometry.faces].astype(np.float64)
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 3e-4 < volume < 3e-3, "cubic metres of a hand and forearm"


def test_closing_brings_every_fingertip_toward_the_palm() -> None:
    shape = HandShape()
    tips = []
    for closing in (0.0, 1.0):
        _, data = posed(shape, closing=closing)
        palm = data.body(hand.PALM)
        tips.append([(data.body(f"{finger}_3").xpos - palm.xpos) @ palm.xmat.reshape(3, 3) for finger in hand.FINGERS])
    opened, closed = np.array(tips)
    assert (closed[1:, 2] > opened[1:, 2] + 0.03).all(), "fingertips come back toward the wrist"
    assert (closed[1:, 1] > 0).all(), "on the palm's side"
    assert closed[0, 0] < opened[0, 0], "the thumb crosses the palm"


def test_grip_lies_on_the_palms_side_with_a_right_handed_rotation() -> None:
    palm_from_grip = hand.palm_from_grip(HandShape(), handle_radius_m=0.015)
    np.testing.assert_allclose(palm_from_grip[:3, :3] @ palm_from_grip[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(palm_from_grip[:3, :3]) == pytest.approx(1)
    assert palm_from_grip[1, 3] > 0.015


def test_sampled_hands_differ_and_repeat_by_seed() -> None:
    first, again, other = (HandShape.sample(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert all(0 < value < 1 for value in first.skin_rgb)


def covered(cover: str, **fields: Any) -> HandShape:
    return dataclasses.replace(HandShape.sample(np.random.default_rng(4)), cover=cover, **fields)


@pytest.mark.parametrize("cover", [*FAMILIES["cover"].known, *FAMILIES["cover"].unseen])
def test_arm_meshes_are_closed_face_outwards_and_are_neither_felt_nor_heavy(cover: str) -> None:
    shape = covered(cover, arm_m=0.2, elbow_rad=0.6)
    parts = arm_meshes(shape)
    assert parts
    for part in parts:
        edges = {(int(a), int(b)) for face in part.faces for a, b in zip(face, np.roll(face, -1), strict=True)}
        assert all((b, a) in edges for a, b in edges)
        corners = part.vertices[part.faces]
        assert np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) > 0
    model, _ = posed(shape, closing=0.0)
    bare, _ = posed(dataclasses.replace(shape, cover="bare", arm_m=0.0), closing=0.0)
    assert model.ngeom == bare.ngeom + len(parts)
    np.testing.assert_array_equal(model.body_mass, bare.body_mass)
    assert (model.geom_contype != 0).sum() == (bare.geom_contype != 0).sum()


@pytest.mark.parametrize("cover", ["long_sleeve", "short_sleeve", "cuffed"])
def test_a_sleeve_hides_the_skin_under_it(cover: str) -> None:
    for seed in range(8):
        shape = dataclasses.replace(
            HandShape.sample(np.random.default_rng(seed)), cover=cover, cover_start_m=0.1, arm_m=0.2
        )
        sleeve = arm_meshes(shape)[-2 if cover == "cuffed" else -1]
        skin = hand.hand_geometry(shape).vertices.astype(float)
        under = skin[(skin[:, 2] > 0.115) & (skin[:, 2] < 0.2)]
        middle = np.stack([np.interp(under[:, 2], *axis_of(sleeve, column)) for column in (0, 1)], -1)
        out = under[:, :2] - middle
        angle, radius = np.arctan2(out[:, 1], out[:, 0]), np.linalg.norm(out, axis=1)
        near = np.abs(sleeve.vertices[None, :, 2] - under[:, None, 2]) < 0.02
        around = sleeve.vertices[None, :, :2] - middle[:, None]
        turn = np.abs(np.angle(np.exp(1j * (np.arctan2(around[..., 1], around[..., 0]) - angle[:, None])))) < 0.3
        widths = np.where(near & turn, np.linalg.norm(around, axis=-1), np.nan)
        assert (np.nanmedian(widths, axis=1) > radius + 0.001).all()


def axis_of(part: MeshPart, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Height and middle of a tube along z, by slices."""
    slices = [part.vertices[np.abs(part.vertices[:, 2] - z) < 0.01] for z in np.arange(0.1, 0.21, 0.01)]
    return np.arange(0.1, 0.21, 0.01), np.array([(s[:, column].min() + s[:, column].max()) / 2 for s in slices])


def test_a_glove_colours_the_hand_and_ends_at_the_wrist() -> None:
    shape = covered("glove", cover_rgb=(0.1, 0.2, 0.9), cover_texture=None, cover_start_m=0.05)
    picture = skin_picture(shape).astype(float)
    coordinates = skin_coordinates(hand.hand_geometry(shape).vertices)
    rows = np.clip((coordinates[:, 1] * len(picture)).astype(int), 0, len(picture) - 1)
    z = hand.hand_geometry(shape).vertices[:, 2]
    assert (picture[rows[z < 0.03]].mean((0, 1)).argmax()) == 2
    assert (picture[rows[z > 0.08]].mean((0, 1)).argmax()) == 0


def test_a_fifth_of_arms_ends_short_and_the_others_go_on_behind_the_elbow() -> None:
    shapes = [HandShape.sample(np.random.default_rng(seed)) for seed in range(300)]
    is_short = np.array([shape.arm_m == 0 for shape in shapes])
    assert 0.14 < is_short.mean() < 0.27
    shape = shapes[int(np.flatnonzero(~is_short)[0])]
    arm = np.concatenate([part.vertices for part in arm_meshes(shape)])
    mesh_end = hand.hand_geometry(shape).vertices[:, 2].max()
    assert np.linalg.norm(arm, axis=1).max() > mesh_end + 0.08
