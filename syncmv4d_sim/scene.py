"""A scene: everything that a sequence is made from, drawn from one seed before any physics runs.

Two random streams: the visible one decides all that frame 0 shows, the hidden one how it goes on
from there. Scenes that differ in `future` alone have the same frame 0 to the bit, and so has the
grasp once it has settled.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import inverse, transform
from syncmv4d_sim.clearance import LOWEST_POINT_MARGIN_M as LOWEST_POINT_MARGIN_M
from syncmv4d_sim.clutter import Clutter, add_clutter, sample_clutter
from syncmv4d_sim.hand import HandShape
from syncmv4d_sim.kinds import IDLE_TAGS, draw_tags
from syncmv4d_sim.look import Look, add_surroundings, sample_look
from syncmv4d_sim.look_alikes import Placed
from syncmv4d_sim.objects import ObjectModel, add_object
from syncmv4d_sim.splits import SplitRule, Triplet, rule_of, triplet_name
from syncmv4d_sim.stage import DURATION_S as DURATION_S
from syncmv4d_sim.stage import PATH_HZ as PATH_HZ
from syncmv4d_sim.stage import Ball as Ball
from syncmv4d_sim.stage import Stage, Way, draw_stage
from syncmv4d_sim.take_up import TakeUp, add_stand
from syncmv4d_sim.words import sentence

MAX_DRAWS = 500
FUTURE_TRIES = 200
FIRST_TRIES = 4  # plans of one open stage before another is drawn
VISIBLE_STREAM, DRESS_STREAM, HIDDEN_STREAM = 111, 112, 113
CLUTTER_GAP_M = 0.16
ARM_LENGTH_M = 0.5
PARKED_M = -3.0  # height of bodies that are not there: under the floor, weightless

Key = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """One task to be simulated. World: z up, table top at z = 0, metres."""

    seed: int
    verb: str
    tool: ObjectModel
    target: ObjectModel
    hand: HandShape
    world_from_target_start: Float[np.ndarray, "4 4"]
    grip_from_tool: Float[np.ndarray, "4 4"]
    world_from_grip: Float[np.ndarray, "N 4 4"]  # planned, at PATH_HZ over lead_s + DURATION_S; starts at rest
    balls: tuple[Ball, ...]  # only for "pour in some"
    look: Look
    text: str
    triplet: str  # "(verb, tool, target)" of the sentence, TACO's folder name
    tags: tuple[str, ...] = ("closed",)  # of kinds.TAGS
    lead_s: float = 0.0  # how much of the path lies before frame 0
    distractors: tuple[Placed, ...] = ()  # bodies "distractor_<i>", which never move
    clutter: Clutter = ()  # bodies "clutter_<i>", which nobody names and nothing touches
    hidden_bodies: tuple[str, ...] = ()  # bodies of the model that are not there: neither rendered nor tracked
    closing: float = 1.0  # of the fingers, where the hand holds nothing
    take_up: TakeUp | None = None  # where the tool is not in the hand in frame 0
    future: int = 0

    @property
    def world_from_tool_start(self) -> Float[np.ndarray, "4 4"]:
        if self.take_up:
            return self.take_up.world_from_tool
        return parked_pose() if "tool" in self.hidden_bodies else self.world_from_grip[0] @ self.grip_from_tool

    @property
    def world_from_tool(self) -> Float[np.ndarray, "N 4 4"]:
        """The tool's planned path, from when it is held."""
        return self.world_from_grip @ self.grip_from_tool

    @property
    def is_idle(self) -> bool:
        """Whether nothing sensible can be done."""
        return bool(IDLE_TAGS & set(self.tags))


def parked_pose() -> Float[np.ndarray, "4 4"]:
    """Where bodies are that a scene's hidden_bodies names."""
    pose = np.eye(4)
    pose[2, 3] = PARKED_M
    return pose


def add_scene(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Add all but the hand at its place in frame 0.

    Table, light, free bodies "tool", "target" and "ball_<i>", fixed bodies "stand" and
    "distractor_<i>".
    """
    add_surroundings(spec, scene.look)
    places = {"tool": scene.world_from_tool_start, "target": scene.world_from_target_start}
    for name, model in (("tool", scene.tool), ("target", scene.target)):
        body = add_object(spec, model, name=name, world_from_body=places[name], free=True)
        body.gravcomp = float(name in scene.hidden_bodies)
    if scene.take_up:
        add_stand(spec, scene.take_up)
    for i, (model, place) in enumerate(scene.distractors):
        add_object(spec, model, name=f"distractor_{i}", world_from_body=place, free=False)
    add_clutter(spec, scene.clutter)
    for i, ball in enumerate(scene.balls):
        centre = transform(scene.world_from_tool_start, ball.position_tool[None])[0]
        body = spec.worldbody.add_body(name=f"ball_{i}", pos=centre)
        body.add_freejoint(name=f"ball_{i}_free")
        body.add_geom(
            name=f"ball_{i}",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[ball.radius_m, 0, 0],
            mass=0.0015,
            rgba=[*ball.rgb, 1],
            friction=[0.5, 0.01, 0.003],
            condim=4,
            solref=[0.006, 1],
            priority=1,
        )


def sample_scene(split: str, index: int, seed: int, *, attempt: int = 0, future: int = 0) -> Scene:
    """The scene of one sequence; the same arguments give the same scene, bit for bit.

    `attempt` counts the scenes of this index that quality control rejected. `future` redraws what
    frame 0 hides and nothing else. ValueError for an unknown split or a negative future,
    RuntimeError where no plan keeps clear of table and target.
    """
    rule = rule_of(split)
    if future < 0:
        raise ValueError(f"futures are numbered from 0, got {future}")
    key, triplet = (seed, rule.stream, index, attempt), rule.triplets[index % len(rule.triplets)]
    stage, draw, way = _first_clear(key, rule, triplet)
    if future:
        found = _clear_way(stage, key, draw, future=future, tries=FUTURE_TRIES)
        if found is None:
            raise RuntimeError(f"{triplet_name(triplet)}: none of {FUTURE_TRIES} plans for future {future} keeps clear")
        way = found
    return _dressed(
        stage, way, np.random.default_rng([*key, DRESS_STREAM]), rule=rule, triplet=triplet, seed=seed, future=future
    )


def _first_clear(key: Key, rule: SplitRule, triplet: Triplet) -> tuple[Stage, int, Way]:
    """The first stage whose future 0 keeps clear, its number, and that future's way. No other
    future is asked.
    """
    seed, _, index, _ = key
    tags = draw_tags(rule, seed=seed, index=index)
    for draw in range(MAX_DRAWS):
        rng = np.random.default_rng([*key, VISIBLE_STREAM, draw])
        stage = draw_stage(triplet, tags, rng, novel=rule.novel_sizes, look=rule.look)
        if stage is None:
            continue
        way = _clear_way(stage, key, draw, future=0, tries=FIRST_TRIES if "open" in tags else 1)
        if way is not None:
            return stage, draw, way
    raise RuntimeError(f"{triplet_name(triplet)}: none of {MAX_DRAWS} plans keeps clear of the table and the target")


def _clear_way(stage: Stage, key: Key, draw: int, *, future: int, tries: int) -> Way | None:
    """The first plan of a future that keeps clear, or None."""
    for number in range(tries):
        way = stage.draw_way(np.random.default_rng([*key, HIDDEN_STREAM, draw, future, number]))
        if stage.is_clear(way):
            return way
    return None


def _dressed(
    stage: Stage, way: Way, rng: np.random.Generator, *, rule: SplitRule, triplet: Triplet, seed: int, future: int
) -> Scene:
    """The scene of a stage and a way: with a person's hand, surroundings, and the sentence."""
    task, (verb, tool_name, _) = stage.task, triplet
    missing = [name for name in ("tool", "target") if f"missing_{name}" in stage.tags]
    return Scene(
        seed=seed,
        verb=task.verb,
        tool=task.tool,
        target=task.target,
        hand=HandShape.sample(rng, look=rule.look),
        world_from_target_start=parked_pose() if "target" in missing else task.world_from_target,
        grip_from_tool=stage.grip_from_tool,
        world_from_grip=way.world_from_grip,
        balls=() if "tool" in missing else stage.balls,
        look=sample_look(rng, family=rule.look),
        text=sentence(verb, tool_name, stage.target_phrase, rng, is_one_of_many=bool(stage.distractors)),
        triplet=triplet_name(triplet),
        tags=stage.tags,
        lead_s=stage.lead_s,
        distractors=stage.distractors,
        hidden_bodies=tuple(missing),
        closing=float(rng.uniform(0.15, 0.9)),
        take_up=_take_up(stage, way, rng) if stage.gap_m else None,
        clutter=sample_clutter(rng, keep_clear=_kept_clear(stage), clearance_m=CLUTTER_GAP_M, look_family=rule.look),
        future=future,
    )


def _kept_clear(stage: Stage) -> Float[np.ndarray, "P 2"]:
    """Places of the table where no clutter may lie: between target and tool, under hand and forearm, at what stands there.

    Nothing but frame 0 decides them.
    """
    target, tool = stage.task.centre[:2], stage.world_from_tool[:2, 3]
    grip = stage.world_from_tool @ inverse(stage.grip_from_tool)
    arm = grip[:2, 3] + np.linspace(0, ARM_LENGTH_M, 5)[:, None] * grip[:2, 2]
    way = target + np.linspace(0, 1, 5)[:, None] * (tool - target)
    others = [place[:2, 3] for _, place in stage.distractors]
    return np.stack([*way, *arm, *others])


def _take_up(stage: Stage, way: Way, rng: np.random.Generator) -> TakeUp:
    rgb = np.full(3, rng.uniform(0.15, 0.75)) * rng.uniform(0.8, 1.2, 3)
    return TakeUp(stage.world_from_tool, stage.held_at, rgb, way.close_s, way.held_s)
