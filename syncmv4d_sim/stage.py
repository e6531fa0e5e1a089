"""The stage of a scene: everything that its first image shows, drawn before and apart from what it
hides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import inverse
from syncmv4d_sim.acts import plan, plan_from_middle, reach_s
from syncmv4d_sim.clearance import distance, is_clear, surface_points, tool_poses, work_point
from syncmv4d_sim.families import Range
from syncmv4d_sim.kinds import IDLE_TAGS
from syncmv4d_sim.look_alikes import Alikes, Placed, draw_alikes, place_alikes
from syncmv4d_sim.objects import ObjectModel
from syncmv4d_sim.shapes import Sizes
from syncmv4d_sim.splits import SEEN, Triplet
from syncmv4d_sim.take_up import CLOSE_S as TAKE_S
from syncmv4d_sim.take_up import DELAY_SHARE, GAP_M, approach, approach_s, lift, stand_points, stand_top
from syncmv4d_sim.take_up import PACE as TAKEN_PACE
from syncmv4d_sim.targets import make_target
from syncmv4d_sim.tasks import Choice, Start, Task, act_height, minimum_jerk, sample_choice, sample_start
from syncmv4d_sim.tools import make_tool
from syncmv4d_sim.words import draw_colours, painted

PATH_HZ = 100.0
DURATION_S = 2.0
NUM_BALLS = 14
TARGET_PLACE_M = 0.12  # of the target from the middle of the workspace, along x and y, at most
DESCRIBED_SHARE = 0.10  # of plain scenes whose sentence says the target's colour or size though there is only one
SMALL_SHARE, LARGE_SHARE = 0.25, 0.75  # a target is called small or large outside of these quantiles of its kind
LOOK_ALIKE_POSES = 6  # from the start to where the act is done
IDLE_DRIFT_M, IDLE_TURN = 0.006, 0.03
STAND_GAP_M = 0.03  # from the target
MIDDLE_PACE = (0.86, 1.14)  # after frame 0, of scenes that start in the middle of the act


@dataclass(frozen=True)
class Ball:
    """One grain of what a cup holds."""

    radius_m: float
    position_tool: Float[np.ndarray, "3"]
    rgb: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Way:
    """Planned poses at PATH_HZ over the scene's lead and DURATION_S."""

    world_from_grip: Float[np.ndarray, "N 4 4"]
    world_from_tool: Float[np.ndarray, "N 4 4"]
    close_s: float = 0.0  # only where the hand takes the tool up; see TakeUp
    held_s: float = 0.0


@dataclass(frozen=True)
class Stage:
    """What frame 0 shows; ways are planned from it and from a random stream of their own."""

    task: Task
    start: Start
    work_point: Float[np.ndarray, "3"]
    grip_from_tool: Float[np.ndarray, "4 4"]
    balls: tuple[Ball, ...]
    tags: tuple[str, ...]
    target_phrase: str  # what the sentence calls the target
    distractors: tuple[Placed, ...] = ()
    lead_s: float = 0.0
    gap_m: float = 0.0  # of an open hand that is to take the tool up

    @property
    def world_from_tool(self) -> Float[np.ndarray, "4 4"]:
        """The tool at its start."""
        start = self.start
        return tool_poses(np.array([[*start.position, start.yaw, start.pitch, start.roll]]), self.work_point)[0]

    @property
    def held_at(self) -> Float[np.ndarray, "3"]:
        """Where a stand would hold the tool."""
        return stand_top(self.world_from_tool, self.task.tool)

    def draw_way(self, rng: np.random.Generator) -> Way:
        """One way to go on; frame 0 is the same to the bit whatever `rng` says."""
        time_s = np.arange(round(PATH_HZ * (self.lead_s + DURATION_S)) + 1) / PATH_HZ
        if IDLE_TAGS & set(self.tags):
            return self._way(tool_poses(_idle_path(self.start, time_s, rng), self.work_point))
        if self.lead_s:
            choice = Choice(pace=float(rng.uniform(*MIDDLE_PACE)))
            path = plan_from_middle(self.task, self.start, choice, time_s, lead_s=self.lead_s)
            return self._way(tool_poses(path, self.work_point))
        choice = sample_choice(self.task.verb, rng, is_open="open" in self.tags)
        if self.gap_m:
            return self._taking_up(choice, time_s)
        return self._way(tool_poses(plan(self.task, self.start, choice, time_s), self.work_point))

    def _way(self, world_from_tool: Float[np.ndarray, "N 4 4"]) -> Way:
        return Way(world_from_tool @ inverse(self.grip_from_tool), world_from_tool)

    def _taking_up(self, choice: Choice, time_s: np.ndarray) -> Way:
        """The hand comes and closes; from then on the tool does what it does in other scenes, a
        little faster.
        """
        begin_s = DELAY_SHARE * choice.delay_s
        close_s = begin_s + approach_s(self.gap_m)
        held_s = close_s + TAKE_S
        choice = replace(choice, delay_s=0.0, pace=TAKEN_PACE * choice.pace)
        path = plan(self.task, self.start, choice, time_s - held_s)
        path[:, 2] += lift(time_s - held_s)
        way = self._way(tool_poses(path, self.work_point))
        comes = approach(way.world_from_grip[0], self.gap_m, time_s, begin_s=begin_s)
        is_held = (time_s >= held_s)[:, None, None]
        return Way(np.where(is_held, way.world_from_grip, comes), way.world_from_tool, close_s, held_s)

    def is_clear(self, way: Way) -> bool:
        """Whether hand and tool keep clear of table and target; see `clearance.is_clear`."""
        points = surface_points(self.task.target, self.task.world_from_target)
        if self.gap_m and distance(stand_points(self.held_at), points) < STAND_GAP_M:
            return False
        return is_clear(way.world_from_grip, way.world_from_tool, tool=self.task.tool, target_points=points)


def draw_stage(
    triplet: Triplet, tags: tuple[str, ...], rng: np.random.Generator, *, novel: bool, look: Range = "known"
) -> Stage | None:
    """A stage for a sentence about `triplet`; None where there was no room for look-alikes."""
    there = _other_triplet(triplet, rng) if "unfit_sentence" in tags else triplet
    verb, tool_name, target_name = there
    tool, target = (
        make_tool(tool_name, rng, novel=novel, look=look),
        make_target(target_name, rng, novel=novel, look=look),
    )
    alikes = draw_alikes(target, rng, novel=novel, look=look) if "look_alike" in tags else None
    phrase = triplet[2]
    if alikes:
        target, phrase = alikes.target, alikes.phrase
    elif not IDLE_TAGS & set(tags) and rng.random() < DESCRIBED_SHARE:
        target, phrase = _described(target, rng, novel=novel)
    task = Task(verb, tool, target, _draw_target_pose(rng))
    start = sample_start(task, rng)
    point, grip_from_tool = work_point(verb, tool, act_pitch=start.act_pitch), _draw_grip(verb, tool, rng)
    stage = Stage(
        task, start, point, grip_from_tool, _fill(tool, rng) if verb == "pour in some" else (), tags, phrase,
        lead_s=_draw_lead(task, start, rng) if "mid_action" in tags else 0.0,
        gap_m=float(rng.uniform(*GAP_M)) if "take_up" in tags else 0.0,
    )  # fmt: skip
    if alikes is None:
        return stage
    distractors = _place(alikes, stage, rng)
    return None if distractors is None else replace(stage, distractors=distractors)


def _place(alikes: Alikes, stage: Stage, rng: np.random.Generator) -> tuple[Placed, ...] | None:
    """Look-alikes clear of the straight way from the start to above the target's middle; no plan is
    known to it.
    """
    task, start, share = stage.task, stage.start, np.linspace(0, 1, LOOK_ALIKE_POSES)[:, None]
    first_m, over_m = act_height(task)
    end = [*(task.centre + np.array([0, 0, first_m + over_m])), start.act_yaw, start.act_pitch, 0.0]
    begin = [*start.position, start.yaw, start.pitch, start.roll]
    way = tool_poses((1 - share) * np.array(begin) + share * np.array(end), stage.work_point)
    grip, apart = way @ inverse(stage.grip_from_tool), np.zeros((0, 3))
    if stage.gap_m:
        open_hand = approach(grip[0], stage.gap_m, np.zeros(1), begin_s=0.0)
        grip, apart = np.concatenate([open_hand, grip]), stand_points(stage.held_at)
    return place_alikes(
        alikes, task.world_from_target, rng, world_from_tool=way, world_from_grip=grip, tool=task.tool, apart=apart
    )


def _other_triplet(triplet: Triplet, rng: np.random.Generator) -> Triplet:
    """One with another tool and another target."""
    others = [t for t in SEEN if t[1] != triplet[1] and t[2] != triplet[2]]
    return others[rng.integers(len(others))]


def _described(target: ObjectModel, rng: np.random.Generator, *, novel: bool) -> tuple[ObjectModel, str]:
    """The target and a name for it that says its colour, or its size where it is small or large for
    its kind.
    """
    others = [make_target(target.name, rng, novel=novel).size_m.prod() for _ in range(12)] if rng.random() < 0.4 else []
    rank = np.mean(np.array(others) < target.size_m.prod()) if others else 0.5
    if others and not SMALL_SHARE < rank < LARGE_SHARE:
        return target, f"{'small' if rank <= SMALL_SHARE else 'large'} {target.name}"
    (colour,) = draw_colours(1, rng)
    return painted(target, colour, rng), f"{colour} {target.name}"


def _idle_path(start: Start, time_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A hand that waits: it drifts by millimetres."""
    path = np.tile([*start.position, start.yaw, start.pitch, start.roll], (len(time_s), 1))
    drift = np.concatenate([rng.normal(0, IDLE_DRIFT_M, 3), rng.normal(0, IDLE_TURN, 3)])
    path += np.clip(drift, -0.03, 0.03) * minimum_jerk(time_s, rng.uniform(0, 0.5), 2.0)[:, None]
    return path


def _draw_lead(task: Task, start: Start, rng: np.random.Generator) -> float:
    """How long the act has been going on in frame 0, in whole steps of the path."""
    begin = reach_s(task, start)
    low, high = {"push": (0.6 * begin, 1.0 * begin), "pour in some": (0.45 * begin, 1.05 * begin)}.get(
        task.verb, (0.8 * begin, begin + 0.8)
    )
    return round(rng.uniform(low, high) * PATH_HZ) / PATH_HZ


def _draw_target_pose(rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    yaw, pose = rng.uniform(-np.pi, np.pi), np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:2, 3] = rng.uniform(-TARGET_PLACE_M, TARGET_PLACE_M, 2)
    return pose


def _draw_grip(verb: str, tool: ObjectModel, rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    """How the tool lies in the hand: turned about its handle so that the forearm rises, shifted
    along it.
    """
    roll = np.radians(rng.uniform(-8, 12) if verb == "pour in some" else rng.uniform(22, 58))
    tool_from_grip = np.eye(4)
    tool_from_grip[:3, 1] = [0, np.sin(roll), -np.cos(roll)]
    tool_from_grip[:3, 2] = [0, np.cos(roll), np.sin(roll)]
    play = max(tool.handle_length_m / 2 - 0.045, 0.0)
    tool_from_grip[0, 3] = rng.uniform(-0.6 * play, 0.6 * play)
    return inverse(tool_from_grip)


def _fill(tool: ObjectModel, rng: np.random.Generator) -> tuple[Ball, ...]:
    """Balls in layers of seven from the cup's floor up."""
    radius = tool.details["inner_radius"] * rng.uniform(0.22, 0.26)
    rgb, low = Sizes(rng, False).vivid(), -tool.handle_length_m / 2 + 0.006
    balls = []
    for i in range(NUM_BALLS):
        layer, place = divmod(i, 7)
        angle, out = 2 * np.pi * place / 6 + 0.5 * layer, 0.0 if place == 6 else 2.15 * radius
        position = np.array([low + radius + 2.1 * radius * layer, out * np.cos(angle), out * np.sin(angle)])
        balls.append(Ball(float(radius), position, rgb))
    return tuple(balls)
