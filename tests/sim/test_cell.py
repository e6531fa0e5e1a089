"""The robot cell: the generator's own motion does the task, standing still or missing does not, and nonsense is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from syncmv4d_model.geometry import inverse
from syncmv4d_sim import cell, hand, physics
from syncmv4d_sim.cell import SimulatedCell, cell_options, execute, open_cell
from syncmv4d_sim.physics import Rollout, body_poses, simulate
from syncmv4d_sim.scene import Scene, sample_scene
from syncmv4d_sim.sequences import make_sequence
from syncmv4d_sim.tasks import VERBS

PERIOD_S = 0.125
STILL = np.tile(np.eye(4), (17, 1, 1))


@cache
def done_by_the_generator(verb: str) -> tuple[Scene, np.ndarray]:
    """The first scene of a verb that passes quality control, and its tool's motion since frame 0."""
    split = "unseen_action" if verb == "smear" else "test_1"
    for index in range(100):
        scene = sample_scene(split, index, 3)
        result = simulate(scene) if scene.verb == verb else None
        if isinstance(result, Rollout):
            tool = body_poses(result, physics.TOOL)
            return scene, tool @ inverse(tool[0])
    raise AssertionError(f"no scene of {verb!r} passed")


def shifted(motion: np.ndarray, metres: tuple[float, float, float]) -> np.ndarray:
    """The motion carried aside smoothly over its first half."""
    result = motion.copy()
    share = np.clip(np.arange(len(motion)) / (len(motion) // 2), 0, 1)
    result[:, :3, 3] += (share * share * (3 - 2 * share))[:, None] * np.array(metres)
    return result


def test_the_film_of_an_execution_begins_with_the_cells_images_whatever_thread_renders():
    made = open_cell(split="test_1", scene=1, seed=1, height=120, width=160)
    with pytest.raises(ValueError, match="nothing was executed yet"):
        made.film()
    with ThreadPoolExecutor(1) as other:
        assert not other.submit(made.execute, STILL, frame_period_s=PERIOD_S).result().success
        film = other.submit(made.film).result()
    assert film.shape == (3, 17, 120, 160, 3)
    first = np.stack(made.sequence.whole_images).astype(float)
    assert np.abs(film[:, 0] - first).mean() < 0.05  # the cameras' poses went through the world's frame and back
    np.testing.assert_array_equal(film, made.film())


@pytest.mark.parametrize("verb", VERBS)
def test_the_generators_own_motion_does_the_task(verb):
    scene, motion = done_by_the_generator(verb)
    outcome = execute(scene, motion, frame_period_s=PERIOD_S).outcome
    assert outcome.success, outcome.reason
    assert outcome.path_error_m < 0.02 and outcome.slip_m < physics.DRIFT_LIMIT_M
    assert (outcome.verb, outcome.task) == (verb, scene.text)


@pytest.mark.parametrize("verb", VERBS)
def test_standing_still_does_no_task_and_keeps_the_tool(verb):
    scene, _ = done_by_the_generator(verb)
    outcome = execute(scene, STILL, frame_period_s=PERIOD_S).outcome
    assert not outcome.success and outcome.reason
    assert not outcome.touched and outcome.stroke_m == outcome.stirred_deg == 0 and outcome.balls_landed == 0
    assert outcome.path_error_max_m < 0.01


@pytest.mark.parametrize("verb", VERBS)
def test_the_right_motion_in_the_wrong_place_does_no_task(verb):
    scene, motion = done_by_the_generator(verb)
    elsewhere = (0.2, 0.0, 0.1) if verb == "pour in some" else (0.0, 0.0, 0.2)  # balls fall down from any height
    outcome = execute(scene, shifted(motion, elsewhere), frame_period_s=PERIOD_S).outcome
    assert not outcome.success


def test_a_path_through_the_table_fails_and_its_error_says_how_far_off_it_was():
    scene, motion = done_by_the_generator("hit")
    outcome = execute(scene, shifted(motion, (0.0, 0.0, -0.3)), frame_period_s=PERIOD_S).outcome
    assert not outcome.success
    assert outcome.path_error_max_m > 0.03


def test_a_motion_that_the_palm_cannot_keep_up_with_fails():
    scene, _ = done_by_the_generator("hit")
    jerk = STILL.copy()
    jerk[1::2, 0, 3] = 0.25
    outcome = execute(scene, jerk, frame_period_s=PERIOD_S).outcome
    assert not outcome.success and "behind its path" in outcome.reason


def test_nothing_but_the_fingers_holds_the_tool(monkeypatch):
    scene, motion = done_by_the_generator("push")
    monkeypatch.setattr(hand, "finger_commands", lambda closing: np.zeros(hand.NUM_HINGES))
    outcome = execute(scene, motion, frame_period_s=PERIOD_S).outcome
    assert not outcome.success and "the tool" in outcome.reason


def test_the_same_motion_has_the_same_outcome_to_the_bit():
    scene, motion = done_by_the_generator("push")
    first, again = (execute(scene, motion, frame_period_s=PERIOD_S) for _ in range(2))
    assert first.outcome == again.outcome
    assert first.rollout.qpos.tobytes() == again.rollout.qpos.tobytes()


def test_a_slower_plan_of_other_frames_does_the_task_too():
    scene, motion = done_by_the_generator("push")
    execution = execute(scene, motion[::2], frame_period_s=0.4)
    assert execution.outcome.success, execution.outcome.reason
    assert execution.rollout.num_frames == 9


def test_an_outcome_is_plain_json():
    scene, motion = done_by_the_generator("push")
    values = execute(scene, motion, frame_period_s=PERIOD_S).outcome.as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["target_moved_m"] > physics.PUSH_MIN_M


def spoilt(how: str) -> np.ndarray:
    motion = STILL.copy()
    if how == "not finite":
        motion[3, 0, 3] = np.nan
    if how == "not rigid":
        motion[3, :3, :3] *= 1.1
    if how == "start with the identity":
        motion[:, 2, 3] += 0.1
    if how == "1.50 m away":
        motion[3, 2, 3] = 1.5
    return motion[:1] if how == "at least 2 frames" else motion


@pytest.mark.parametrize(
    "how", ["not finite", "not rigid", "start with the identity", "1.50 m away", "at least 2 frames"]
)
def test_what_is_no_motion_is_refused(how):
    scene, _ = done_by_the_generator("hit")
    with pytest.raises(ValueError, match=how):
        execute(scene, spoilt(how), frame_period_s=PERIOD_S)


@pytest.mark.parametrize("period_s", [0.0, -1.0, np.nan, 1e-4, 10.0])
def test_a_frame_period_that_is_no_time_is_refused(period_s):
    scene, _ = done_by_the_generator("hit")
    with pytest.raises(ValueError, match="a frame takes at least"):
        execute(scene, STILL, frame_period_s=period_s)


def test_a_cell_shows_the_sequence_of_its_numbers_and_plays_its_scene():
    opened = open_cell(split="test_1", scene=1, seed=4, height=120, width=160)
    made = make_sequence(1, cell_options(split="test_1", seed=4, height=120, width=160))
    sequence, rejections = made.sequence, made.rejections
    assert isinstance(opened, SimulatedCell)
    assert opened.sequence.video.tobytes() == sequence.video.tobytes()
    assert opened.sequence.positions.tobytes() == sequence.positions.tobytes()
    assert opened.scene.text == sequence.task and opened.scene.triplet == sequence.triplet
    assert opened.execute(STILL, frame_period_s=PERIOD_S).verb == opened.scene.verb
    assert len(rejections) < 60


@pytest.mark.parametrize("wrong", [{"scene": -1}, {"seed": -1}, {"height": 8}, {"width": 8}])
def test_numbers_that_make_no_cell_are_refused(wrong):
    with pytest.raises(ValueError, match="a cell needs"):
        open_cell(**({"split": "test_1", "scene": 0, "seed": 0, "height": 48, "width": 48} | wrong))


def test_strokes_are_counted_near_the_target_only():
    scene, motion = done_by_the_generator("dust")
    on_it = execute(scene, motion, frame_period_s=PERIOD_S).outcome
    above = execute(scene, shifted(motion, (0, 0, 0.1)), frame_period_s=PERIOD_S).outcome
    assert on_it.stroke_m > cell.STROKE_MIN_M and above.stroke_m < on_it.stroke_m / 2
