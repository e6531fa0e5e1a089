"""A scene: everything that a sequence is made from, drawn from one seed before any physics runs."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import inverse, transform
from syncmv4d_sim.hand import HandShape
from syncmv4d_sim.look import Look, add_surroundings, sample_look
from syncmv4d_sim.objects import ObjectModel, add_object
from syncmv4d_sim.shapes import Sizes
from syncmv4d_sim.splits import Triplet, rule_of, triplet_name
from syncmv4d_sim.targets import make_target
from syncmv4d_sim.tasks import Task, ToolPath, plan, sample_start, sentence
from syncmv4d_sim.tools import make_tool

PATH_HZ = 100.0
DURATION_S = 2.0
NUM_BALLS = 14
MAX_DRAWS = 500
HAND_RADIUS_M = 0.055  # a closed fist about the held cylinder's centre
FOREARM_RADIUS_M = 0.045
FOREARM_LENGTH_M = 0.24
LOWEST_POINT_MARGIN_M = 0.002


@dataclass(frozen=True)
class Ball:
    """One grain of what a cup holds."""

    radius_m: float
    position_tool: Float[np.ndarray, "3"]
    rgb: Float[np.ndarray, "3"]


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
    world_from_grip: Float[np.ndarray, "N 4 4"]  # planned, at PATH_HZ over DURATION_S; starts at rest
    balls: tuple[Ball, ...]  # only for "pour in some"
    look: Look
    text: str
    triplet: str  # "(verb, tool, target)", TACO's folder name

    @property
    def world_from_tool_start(self) -> Float[np.ndarray, "4 4"]:
        return self.world_from_grip[0] @ self.grip_from_tool

    @property
    def world_from_tool(self) -> Float[np.ndarray, "N 4 4"]:
        """The tool's planned path."""
        return self.world_from_grip @ self.grip_from_tool


def add_scene(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Add all but the hand: table, light, free bodies "tool", "target" and "ball_<i>" at their places in frame 0."""
    add_surroundings(spec, scene.look)
    add_object(spec, scene.tool, name="tool", world_from_body=scene.world_from_tool_start, free=True)
    add_object(spec, scene.target, name="target", world_from_body=scene.world_from_target_start, free=True)
    for i, ball in enumerate(scene.balls):
        place = transform(scene.world_from_tool_start, ball.position_tool[None])[0]
        body = spec.worldbody.add_body(name=f"ball_{i}", pos=place)
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


def sample_scene(split: str, index: int, seed: int, *, attempt: int = 0) -> Scene:
    """The scene of one sequence; the same arguments give the same scene, bit for bit.

    `attempt` counts the scenes of this index that quality control rejected. ValueError for an unknown split.
    """
    rule = rule_of(split)
    rng = np.random.default_rng([seed, rule.stream, index, attempt])
    triplet = rule.triplets[index % len(rule.triplets)]
    for _ in range(MAX_DRAWS):
        scene = _draw(triplet, rng, novel=rule.novel_sizes, seed=seed)
        if is_clear(scene):
            return scene
    raise RuntimeError(f"{triplet_name(triplet)}: none of {MAX_DRAWS} plans keeps clear of the table and the target")


def _draw(triplet: Triplet, rng: np.random.Generator, *, novel: bool, seed: int) -> Scene:
    verb, tool_name, target_name = triplet
    tool, target = make_tool(tool_name, rng, novel=novel), make_target(target_name, rng, novel=novel)
    world_from_target = _target_pose(rng)
    forearm_azimuth = np.radians(90 + rng.uniform(-80, 80))
    start = sample_start(rng, forearm_azimuth - np.pi / 2)
    time_s = np.arange(int(PATH_HZ * DURATION_S) + 1) / PATH_HZ
    path = plan(Task(verb, tool, target, world_from_target, rng), start, time_s)
    grip_from_tool = _grip(verb, tool, rng)
    world_from_tool = tool_poses(path, work_point(verb, tool, path))
    return Scene(
        seed,
        verb,
        tool,
        target,
        HandShape.sample(rng),
        world_from_target,
        grip_from_tool,
        world_from_tool @ inverse(grip_from_tool),
        _fill(tool, rng) if verb == "pour in some" else (),
        sample_look(rng),
        sentence(verb, tool_name, target_name, rng),
        triplet_name(triplet),
    )


def tool_poses(path: ToolPath, work_point: Float[np.ndarray, "3"]) -> Float[np.ndarray, "N 4 4"]:
    """World poses of a tool whose `work_point` (tool frame) follows the path."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(path[:, i]), np.sin(path[:, i])) for i in (3, 4, 5))
    poses = np.tile(np.eye(4), (len(path), 1, 1))
    poses[:, :3, 0] = np.stack([cy * cp, sy * cp, -sp], -1)
    poses[:, :3, 1] = np.stack([cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, cp * sr], -1)
    poses[:, :3, 2] = np.stack([cy * sp * cr + sy * sr, sy * sp * cr - cy * sr, cp * cr], -1)
    poses[:, :3, 3] = path[:, :3] - poses[:, :3, :3] @ work_point
    return poses


def work_point(verb: str, tool: ObjectModel, path: ToolPath) -> Float[np.ndarray, "3"]:
    """The tool's point that follows the path: its edge to cut, its middle to pour, else its lowest."""
    if verb == "pour in some":
        return np.zeros(3)
    if verb == "cut" and tool.name == "knife":
        return tool.work_point
    acting = path[[-1]].copy()
    acting[:, 4] = path[:, 4].max() if verb == "hit" else path[-1, 4]
    rotation = tool_poses(acting, np.zeros(3))[0, :3, :3]
    head = np.concatenate([part.vertices for part in tool.parts[2:]] or [tool.parts[-1].vertices])
    height = head @ rotation[2]
    return head[height < height.min() + LOWEST_POINT_MARGIN_M].mean(0)


def is_clear(scene: Scene) -> bool:
    """Whether the plan keeps fist, forearm and tool out of the table, and all but the tool's end out of the target."""
    grip = scene.world_from_grip[::5]
    target = _surface_points(scene.target, scene.world_from_target_start)
    wrist, back = grip[:, :3, 3], grip[:, :3, 2]
    arm = wrist[:, None] + np.linspace(0.06, FOREARM_LENGTH_M, 5)[:, None] * back[:, None]
    palm_side = 0.03 * grip[:, None, :3, 1]
    fist_clear = wrist[:, 2].min() > HAND_RADIUS_M and _distance(wrist, target) > HAND_RADIUS_M
    arm_clear = (arm - palm_side)[..., 2].min() > FOREARM_RADIUS_M and _distance(
        (arm - palm_side).reshape(-1, 3), target
    ) > FOREARM_RADIUS_M
    tool = transform(scene.world_from_tool[::5], scene.tool.vertices)
    low = tool[..., 2].min()
    start_gap = _distance(tool[0], target)
    visible = bool((back[:, 2] < 0.93).all())
    return bool(fist_clear and arm_clear and low > 0.0 and start_gap > 0.02 and visible)


def _distance(points: Float[np.ndarray, "P 3"], others: Float[np.ndarray, "Q 3"]) -> float:
    return float(np.sqrt(((points[:, None] - others[None]) ** 2).sum(-1).min()))


def _surface_points(model: ObjectModel, world_from_body: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "P 3"]:
    corners = model.vertices[model.faces]
    points = np.concatenate([corners.mean(1), corners.reshape(-1, 3)])
    return transform(world_from_body, np.unique(np.round(points / 0.008), axis=0) * 0.008)


def _target_pose(rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    yaw, pose = rng.uniform(-np.pi, np.pi), np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:2, 3] = rng.uniform(-0.06, 0.06, 2)
    return pose


def _grip(verb: str, tool: ObjectModel, rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
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
