"""The stage of a scene: everything that its first image shows, drawn before and apart from what it hides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import inverse
from syncmv4d_sim.acts import plan, plan_from_middle, reach_s
from syncmv4d_sim.clearance import is_clear, surface_points, tool_poses, work_point
from syncmv4d_sim.kinds import IDLE_TAGS
from syncmv4d_sim.look_alikes import Placed, draw_alikes, place_alikes
from syncmv4d_sim.objects import ObjectModel
from syncmv4d_sim.shapes import Sizes
from syncmv4d_sim.splits import SEEN, Triplet
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
MIDDLE_PACE = (0.86, 1.14)  # after frame 0, of scenes that start in the middle of the act


@dataclass(frozen=True)
class Ball:
    """One grain of what a cup holds."""

    radius_m: float
    position_tool: Float[np.ndarray, "3"]
    rgb: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Stage:
    """What frame 0 shows; paths are planned from it and from a random stream of their own."""

    task: Task
    start: Start
    work_point: Float[np.ndarray, "3"]
    grip_from_tool: Float[np.ndarray, "4 4"]
    balls: tuple[Ball, ...]
    tags: tuple[str, ...]
    target_phrase: str  # what the sentence calls the target
    distractors: tuple[Placed, ...] = ()
    lead_s: float = 0.0

    @property
    def is_idle(self) -> bool:
        return bool(IDLE_TAGS & set(self.tags))

    def draw_path(self, rng: np.random.Generator) -> Float[np.ndarray, "N 4 4"]:
        """world_from_tool at PATH_HZ over `lead_s` and DURATION_S; frame 0 is the same whatever `rng` says."""
        time_s = np.arange(round(PATH_HZ * (self.lead_s + DURATION_S)) + 1) / PATH_HZ
        if self.is_idle:
            return tool_poses(_idle_path(self.start, time_s, rng), self.work_point)
        if self.lead_s:
            choice = Choice(pace=float(rng.uniform(*MIDDLE_PACE)))
            path = plan_from_middle(self.task, self.start, choice, time_s, lead_s=self.lead_s)
        else:
            choice = sample_choice(self.task.verb, rng, is_open="open" in self.tags)
            path = plan(self.task, self.start, choice, time_s)
        return tool_poses(path, self.work_point)

    def is_clear(self, world_from_tool: Float[np.ndarray, "N 4 4"]) -> bool:
        """Whether hand and tool keep clear of table and target on a path; see `clearance.is_clear`."""
        grip = world_from_tool @ inverse(self.grip_from_tool)
        points = surface_points(self.task.target, self.task.world_from_target)
        return is_clear(grip, world_from_tool, tool=self.task.tool, target_points=points)


def draw_stage(triplet: Triplet, tags: tuple[str, ...], rng: np.random.Generator, *, novel: bool) -> Stage | None:
    """A stage for a sentence about `triplet`; None where there was no room for look-alikes."""
    there = _other_triplet(triplet, rng) if "unfit_sentence" in tags else triplet
    verb, tool_name, target_name = there
    tool, target = make_tool(tool_name, rng, novel=novel), make_target(target_name, rng, novel=novel)
    alikes = draw_alikes(target, rng, novel=novel) if "look_alike" in tags else None
    phrase = triplet[2]
    if alikes:
        target, phrase = alikes.target, alikes.phrase
    elif not IDLE_TAGS & set(tags) and rng.random() < DESCRIBED_SHARE:
        target, phrase = _described(target, rng, novel=novel)
    task = Task(verb, tool, target, _draw_target_pose(rng))
    start = sample_start(task, rng)
    point, grip_from_tool = work_point(verb, tool, act_pitch=start.act_pitch), _draw_grip(verb, tool, rng)
    lead_s = _draw_lead(task, start, rng) if "mid_action" in tags else 0.0
    balls = _fill(tool, rng) if verb == "pour in some" else ()
    distractors: tuple[Placed, ...] | None = ()
    if alikes:
        way = _straight_way(task, start, point)
        distractors = place_alikes(
            alikes, task.world_from_target, rng,
            world_from_tool=way, world_from_grip=way @ inverse(grip_from_tool), tool=tool,
        )  # fmt: skip
    if distractors is None:
        return None
    return Stage(task, start, point, grip_from_tool, balls, tags, phrase, distractors, lead_s)


def _other_triplet(triplet: Triplet, rng: np.random.Generator) -> Triplet:
    """One that shares neither verb and tool nor verb and target: what the sentence asks for cannot be done with it."""
    others = [t for t in SEEN if t[1] != triplet[1] and t[2] != triplet[2]]
    return others[rng.integers(len(others))]


def _described(target: ObjectModel, rng: np.random.Generator, *, novel: bool) -> tuple[ObjectModel, str]:
    """The target and a name for it that says its colour, or its size where it is small or large for its kind."""
    others = [make_target(target.name, rng, novel=novel).size_m.prod() for _ in range(12)] if rng.random() < 0.4 else []
    rank = np.mean(np.array(others) < target.size_m.prod()) if others else 0.5
    if others and not SMALL_SHARE < rank < LARGE_SHARE:
        return target, f"{'small' if rank <= SMALL_SHARE else 'large'} {target.name}"
    (colour,) = draw_colours(1, rng)
    return painted(target, colour, rng), f"{colour} {target.name}"


def _straight_way(task: Task, start: Start, point: Float[np.ndarray, "3"]) -> Float[np.ndarray, "K 4 4"]:
    """Tool poses on the straight line from the start to above the target's middle; no plan is known to it."""
    share = np.linspace(0, 1, LOOK_ALIKE_POSES)[:, None]
    first_m, over_m = act_height(task)
    end = [*(task.centre + np.array([0, 0, first_m + over_m])), start.act_yaw, start.act_pitch, 0.0]
    begin = [*start.position, start.yaw, start.pitch, start.roll]
    return tool_poses((1 - share) * np.array(begin) + share * np.array(end), point)


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
    """How the tool lies in the hand: turned about its handle so that the forearm rises, shifted along it."""
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
