"""A hand's wrist and fingertips: found on a hand of known shape, flagged where the points cannot tell."""

import numpy as np
import pytest

from syncmv4d_model.geometry import inverse
from syncmv4d_ros.hand_planning import NUM_FINGERS, hand_trajectory
from tests.ros.moving_bodies import angle_deg, joined, moved, random_path, tracked

pytest.importorskip("mujoco", reason="mujoco is not installed: the sim extra, which has the hand")

from syncmv4d_sim.hand import HandShape, hand_geometry  # noqa: E402

FINGERTIPS = [4, 7, 10, 13, 16]
KNUCKLES = [5, 8, 11, 14]


def open_hand(seed, count=1500):
    """Points on the skin of a stretched hand with its forearm, and on a stick across its palm; its fingertips. Wrist at 0."""
    rng = np.random.default_rng(seed)
    hand = hand_geometry(HandShape.sample(rng))
    corners = hand.vertices[hand.faces].astype(float)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(len(corners), count, p=area / area.sum())
    skin = np.einsum("pcx,pc->px", corners[face], rng.dirichlet([1, 1, 1], count))
    along, around = rng.uniform(-0.1, 0.1, 200), rng.uniform(0, 2 * np.pi, 200)
    stick = np.stack([along, 0.02 + 0.012 * np.cos(around), 0.012 * np.sin(around)], axis=1)
    return skin, stick + hand.heads[KNUCKLES].mean(0), hand.tails[FINGERTIPS]


def hand_with_tool(skin, tool, motion):
    return joined(tracked(moved(motion, skin), "hand"), tracked(moved(motion, tool), "tool"))


@pytest.mark.parametrize("seed", range(5))
def test_the_wrist_is_found_and_followed(seed):
    skin, tool, _ = open_hand(seed)
    motion = random_path(np.random.default_rng(seed), 5)
    wrist = hand_trajectory(hand_with_tool(skin, tool, motion)).wrist
    assert np.linalg.norm(wrist.poses[0, :3, 3]) < 0.025
    assert np.array_equal(wrist.poses[0, :3, :3], np.eye(3))
    assert wrist.valid.all() and wrist.rotation_valid.all()
    assert np.allclose(wrist.poses @ inverse(wrist.poses[:1]), motion, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_fingertips_that_are_reported_are_fingertips(seed):
    skin, tool, tips = open_hand(seed)
    motion = random_path(np.random.default_rng(seed), 5)
    hand = hand_trajectory(hand_with_tool(skin, tool, motion))
    assert len(hand.fingertips) >= 2
    nearest = []
    for found in hand.fingertips:
        distance = np.linalg.norm(tips - found.poses[0, :3, 3], axis=1)
        nearest.append(int(distance.argmin()))
        assert distance.min() < 0.015
        assert found.valid.all() and not found.rotation_valid.any()
        assert np.allclose(found.poses[:, :3, 3], moved(motion, found.poses[:1, :3, 3])[:, 0], atol=1e-4)
    assert len(set(nearest)) == len(nearest)
    missing = NUM_FINGERS - len(nearest)
    assert hand.reason == (f"{missing} of 5 fingertips are not told apart" if missing else "")


def test_the_wrist_is_followed_while_the_fingers_move_by_themselves():
    skin, tool, _ = open_hand(0)
    motion = random_path(np.random.default_rng(0), 4)
    points = hand_with_tool(skin, tool, motion)
    rng, fingers = np.random.default_rng(1), skin[:, 2] < -0.1
    points.positions[1:, np.flatnonzero(fingers)] += rng.uniform(-0.05, 0.05, (3, fingers.sum(), 3))
    wrist = hand_trajectory(points).wrist
    assert angle_deg(wrist.poses, motion).max() < 0.5


def test_a_fist_has_no_fingertip_to_tell():
    skin, tool, _ = open_hand(0)
    fist = skin[skin[:, 2] > -0.11]  # fingers folded out of sight
    hand = hand_trajectory(hand_with_tool(fist, tool, random_path(np.random.default_rng(0), 3)))
    assert hand.wrist is not None and hand.fingertips == ()
    assert hand.reason == "5 of 5 fingertips are not told apart"


def refused(skin, tool):
    hand = hand_trajectory(hand_with_tool(skin, tool, random_path(np.random.default_rng(0), 3)))
    assert hand.wrist is None and hand.fingertips == ()
    return hand.reason


def test_without_a_tool_nobody_knows_which_end_is_the_arm():
    skin, tool, _ = open_hand(0)
    assert "no point is labelled tool" in refused(skin, tool[:0])


def test_a_tool_that_is_not_held_tells_nothing():
    skin, tool, _ = open_hand(0)
    assert "0 points of the hand are within 0.03 m of the tool, needs 12" in refused(skin, tool + [0, 0.5, 0])


def test_a_hand_without_its_arm_has_no_wrist():
    skin, tool, _ = open_hand(0)
    assert "farther from the tool than the wrist, needs 12" in refused(skin[np.abs(skin[:, 2] + 0.09) < 0.04], tool)


def test_no_hand_is_none():
    _, tool, _ = open_hand(0)
    assert hand_trajectory(tracked(moved(random_path(np.random.default_rng(0), 3), tool), "tool")) is None
