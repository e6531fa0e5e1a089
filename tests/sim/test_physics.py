"""Grasp and rollout: friction holds the tool, runs repeat exactly, and quality control says what was wrong."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from syncmv4d_model.geometry import inverse
from syncmv4d_sim import hand, physics
from syncmv4d_sim.physics import Rejection, Rollout, body_poses, simulate
from syncmv4d_sim.scene import Scene, sample_scene


def first_accepted(verb: str) -> tuple[Scene, Rollout]:
    """The first plain scene of a verb that passes quality control."""
    for index in range(200):
        scene = sample_scene("test_1", index, 0)
        if scene.verb != verb:
            continue
        result = simulate(scene)
        if isinstance(result, Rollout):
            return scene, result
    raise AssertionError(f"no scene of {verb!r} passed")


@pytest.fixture(scope="module")
def hammering() -> tuple[Scene, Rollout]:
    return first_accepted("hit")


def in_palm(rollout: Rollout) -> np.ndarray:
    return inverse(body_poses(rollout, hand.PALM)) @ body_poses(rollout, physics.TOOL)


def reason(result: Rollout | Rejection) -> str:
    assert isinstance(result, Rejection)
    return result.reason


def test_same_scene_gives_the_same_states_bit_for_bit(hammering: tuple[Scene, Rollout]) -> None:
    scene, first = hammering
    again = simulate(scene)
    assert isinstance(again, Rollout)
    assert np.array_equal(again.qpos, first.qpos)


def test_rollout_has_17_frames_and_starts_at_rest(hammering: tuple[Scene, Rollout]) -> None:
    _, rollout = hammering
    assert rollout.num_frames == 17
    tool = body_poses(rollout, physics.TOOL)[:, :3, 3]
    assert np.linalg.norm(tool[1] - tool[0]) < 0.25 * np.linalg.norm(np.diff(tool, axis=0), axis=-1).max()


def test_friction_alone_holds_the_tool(hammering: tuple[Scene, Rollout]) -> None:
    _, rollout = hammering
    slip = np.linalg.norm(in_palm(rollout)[:, :3, 3] - in_palm(rollout)[0, :3, 3], axis=-1)
    assert slip.max() < physics.DRIFT_LIMIT_M


def test_tool_falls_when_the_fingers_stay_open(
    hammering: tuple[Scene, Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, _ = hammering
    monkeypatch.setattr(hand, "finger_commands", lambda closing: np.zeros(hand.NUM_HINGES))
    assert "tool" in reason(simulate(scene))


def test_thumb_and_fingers_all_touch_the_handle(hammering: tuple[Scene, Rollout]) -> None:
    _, rollout = hammering
    data = mujoco.MjData(rollout.model)
    rollout.set_frame(data, 0)
    mujoco.mj_forward(rollout.model, data)
    tool = rollout.model.body(physics.TOOL).id
    pairs = [rollout.model.geom_bodyid[pair] for pair in data.contact.geom]
    touching = {
        rollout.model.body(other).name.split("_")[0]
        for pair in pairs
        if tool in pair
        for other in pair
        if other != tool
    }
    assert touching.issuperset(hand.FINGERS)


def test_a_replayed_frame_puts_the_tool_where_it_was(hammering: tuple[Scene, Rollout]) -> None:
    _, rollout = hammering
    data = mujoco.MjData(rollout.model)
    rollout.set_frame(data, 9)
    np.testing.assert_allclose(data.body(physics.TOOL).xpos, body_poses(rollout, physics.TOOL)[9, :3, 3], atol=1e-12)


def test_a_tool_that_never_reaches_its_target_is_rejected(hammering: tuple[Scene, Rollout]) -> None:
    scene, _ = hammering
    still = replace(scene, world_from_grip=np.repeat(scene.world_from_grip[:1], len(scene.world_from_grip), axis=0))
    assert reason(simulate(still)) == "the tool never touched the target"


def test_a_path_through_the_table_is_rejected(hammering: tuple[Scene, Rollout]) -> None:
    scene, _ = hammering
    path = scene.world_from_grip.copy()
    path[:, 2, 3] -= np.linspace(0, 0.4, len(path))
    assert isinstance(simulate(replace(scene, world_from_grip=path)), Rejection)


def test_a_push_moves_its_target() -> None:
    _, rollout = first_accepted("push")
    target = body_poses(rollout, physics.TARGET)[:, :3, 3]
    assert np.linalg.norm(target[-1] - target[0]) > physics.PUSH_MIN_M


def test_pouring_lands_balls_in_the_target() -> None:
    scene, rollout = first_accepted("pour in some")
    height = np.array([body_poses(rollout, f"ball_{i}")[[0, -1], 2, 3] for i in range(len(scene.balls))])
    assert (height[:, 1] < height[:, 0] - 0.05).sum() >= physics.POUR_MIN_BALLS
