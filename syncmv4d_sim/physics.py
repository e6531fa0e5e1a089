"""Run a scene: the fingers close on the tool, let friction hold it, and the palm follows the planned path.

Everything that moves does so by physics; the only commands are the palm's path and the fingers' set points. The same scene
gives the same result to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import inverse
from syncmv4d_sim import hand
from syncmv4d_sim.objects import COLLISION_GROUP
from syncmv4d_sim.scene import DURATION_S, Scene, add_scene

TIMESTEP_S = 0.0025
NUM_FRAMES = 17
FRAME_PERIOD_S = 0.125
CLOSE_S = 0.5  # the tool is welded to the palm while the fingers close
SETTLE_S = 0.25  # held by friction only, before the first frame
OBSERVED_STEPS = 4  # from one look at the contacts to the next
SQUEEZE = 1.25  # of the closing commands, once the tool is released

DRIFT_LIMIT_M = 0.015
DRIFT_LIMIT_DEG = 15.0
PENETRATION_LIMIT_M = 0.012
LAG_LIMIT_M = 0.03  # of the palm behind its path: more means that it hit something
TILT_LIMIT_DEG = 35.0  # of the target
PUSH_MIN_M = 0.02
POUR_MIN_BALLS = 5
ANSWERING_VERBS = ("hit", "cut", "dust", "push")  # the tool must touch the target

RING_BIT = 4  # contact type that balls meet and the hand does not
TOOL, TARGET, TOOL_WELD = "tool", "target", "tool_weld"


@dataclass(frozen=True)
class Rejection:
    """Why a scene's run is not fit to be a sequence."""

    reason: str


@dataclass(frozen=True)
class Rollout:
    """A run's states at the recorded frames; `data_at` replays one for rendering."""

    scene: Scene
    model: mujoco.MjModel
    qpos: Float[np.ndarray, "T nq"]
    mocap_pos: Float[np.ndarray, "T 1 3"]
    mocap_quat: Float[np.ndarray, "T 1 4"]
    frame_period_s: float = FRAME_PERIOD_S

    @property
    def num_frames(self) -> int:
        return len(self.qpos)

    def set_frame(self, data: mujoco.MjData, frame: int) -> None:
        """Put a recorded frame's poses into `data` (made from `model`); velocities stay as they are."""
        data.qpos[:] = self.qpos[frame]
        data.mocap_pos[:] = self.mocap_pos[frame]
        data.mocap_quat[:] = self.mocap_quat[frame]
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        mujoco.mj_camlight(self.model, data)


@dataclass(frozen=True)
class PalmPath:
    """Where the palm is led, one pose per time step from the settled grasp on."""

    positions: Float[np.ndarray, "N 3"]  # world, metres
    quaternions: Float[np.ndarray, "N 4"]  # unit, w first


@dataclass
class Observed:
    """What quality control needs to know about a run."""

    deepest_m: float = 0.0
    deepest_pair: str = ""
    lag_m: float = 0.0
    touched: bool = False


def build_spec(scene: Scene) -> mujoco.MjSpec:
    """The scene's physics, before compilation, the tool welded to the palm."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    option = spec.option
    option.timestep = TIMESTEP_S
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 30
    add_scene(spec, scene)
    if scene.balls:
        _smooth_grip(spec, scene)
    hand.add_hand(spec, scene.hand, world_from_palm=scene.world_from_grip[0] @ _grip_from_palm(scene))
    weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name=TOOL_WELD)
    weld.name1, weld.name2 = hand.PALM, TOOL
    weld.data = hand.WELD_AS_PLACED
    return spec


def _smooth_grip(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Let the hand hold one cylinder instead of a vessel's ring of boxes, which stays there for what the vessel holds."""
    tool = spec.body(TOOL)
    for geom in tool.geoms:
        if geom.conaffinity:
            geom.contype = RING_BIT
    tool.add_geom(
        name="tool_grip", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[scene.tool.handle_radius_m, scene.tool.handle_length_m / 2, 0],
        quat=[np.sqrt(0.5), 0, np.sqrt(0.5), 0], contype=0, conaffinity=hand.CONTACT_BIT, mass=0, group=COLLISION_GROUP, rgba=[0, 0, 0, 0],
    )  # fmt: skip


def simulate(scene: Scene, *, frame_period_s: float = FRAME_PERIOD_S) -> Rollout | Rejection:
    """Run the scene for DURATION_S after the grasp has settled, recording the step nearest to every frame's time."""
    model, data = grasped(scene)
    rollout, observed = follow(scene, model, data, path=_planned_path(scene), frame_period_s=frame_period_s)
    reason = flaw(rollout, observed)
    return Rejection(reason) if reason else rollout


def grasped(scene: Scene) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The scene at frame 0: the tool settled in the hand, held by friction only; the palm's mocap body has not moved yet."""
    model = build_spec(scene).compile()
    data = mujoco.MjData(model)
    _grasp(model, data)
    return model, data


def _grip_from_palm(scene: Scene) -> np.ndarray:
    return inverse(hand.palm_from_grip(scene.hand, handle_radius_m=scene.tool.handle_radius_m))


def _grasp(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Close the fingers on the welded tool, release it, and let it settle in the hand."""
    closing_steps, settling_steps = round(CLOSE_S / TIMESTEP_S), round(SETTLE_S / TIMESTEP_S)
    for step in range(0, closing_steps, 4):
        data.ctrl[:] = hand.finger_commands(min(1.0, 1.5 * step / closing_steps))
        mujoco.mj_step(model, data, 4)
    data.eq_active[model.equality(TOOL_WELD).id] = 0
    data.ctrl[:] = hand.finger_commands(SQUEEZE)
    mujoco.mj_step(model, data, settling_steps)


def follow(
    scene: Scene,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    *,
    path: PalmPath,
    frame_period_s: float,
    watchers: Sequence[Callable[[mujoco.MjData], None]] = (),
) -> tuple[Rollout, Observed]:
    """Lead the palm along a path from where `grasped` left it, recording the step nearest to every frame's time.

    `watchers` see the state after every OBSERVED_STEPS steps and must not change it.
    """
    num_steps = len(path.positions) - 1
    num_frames = round(num_steps * TIMESTEP_S / frame_period_s) + 1
    recorded = {round(frame * frame_period_s / TIMESTEP_S) for frame in range(num_frames)}
    observed, states = Observed(), []
    bodies = {name: model.body(name).id for name in (hand.PALM, TOOL, TARGET)}
    for step in range(num_steps + 1):
        data.mocap_pos[0], data.mocap_quat[0] = path.positions[step], path.quaternions[step]
        if step in recorded:
            states.append((data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy()))
        if step % OBSERVED_STEPS == 0:
            _observe(model, data, observed, bodies)
            for watch in watchers:
                watch(data)
        mujoco.mj_step(model, data)
    qpos, mocap_pos, mocap_quat = (np.stack(values) for values in zip(*states, strict=True))
    return Rollout(scene, model, qpos, mocap_pos, mocap_quat, frame_period_s), observed


def _planned_path(scene: Scene) -> PalmPath:
    """The palm's planned pose at every step, interpolated between the plan's poses."""
    num_steps = round(DURATION_S / TIMESTEP_S)
    world_from_palm = scene.world_from_grip @ _grip_from_palm(scene)
    planned = np.zeros((len(world_from_palm), 4))
    for i, pose in enumerate(world_from_palm):
        mujoco.mju_mat2Quat(planned[i], np.ascontiguousarray(pose[:3, :3]).ravel())
        if i and planned[i] @ planned[i - 1] < 0:
            planned[i] *= -1
    place = np.linspace(0, len(planned) - 1, num_steps + 1)
    lower = np.minimum(place.astype(int), len(planned) - 2)
    share = (place - lower)[:, None]
    positions = (1 - share) * world_from_palm[lower, :3, 3] + share * world_from_palm[lower + 1, :3, 3]
    quaternions = (1 - share) * planned[lower] + share * planned[lower + 1]
    return PalmPath(positions, quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True))


def _observe(model: mujoco.MjModel, data: mujoco.MjData, observed: Observed, bodies: dict[str, int]) -> None:
    observed.lag_m = max(observed.lag_m, float(np.linalg.norm(data.xpos[bodies[hand.PALM]] - data.mocap_pos[0])))
    if not data.ncon:
        return
    geoms, distance = data.contact.geom, data.contact.dist
    deepest = int(distance.argmin())
    if -distance[deepest] > observed.deepest_m:
        names = [model.body(model.geom_bodyid[geom]).name for geom in geoms[deepest]]
        observed.deepest_m, observed.deepest_pair = float(-distance[deepest]), " and ".join(names)
    observed.touched |= in_contact(model, data, bodies[TOOL], bodies[TARGET])


def in_contact(model: mujoco.MjModel, data: mujoco.MjData, body: int, other: int) -> bool:
    """Whether two bodies, given by their ids, touch at this moment."""
    touching = np.sort(model.geom_bodyid[data.contact.geom], axis=1)
    return bool((touching == sorted((body, other))).all(1).any())


def flaw(rollout: Rollout, observed: Observed) -> str | None:
    """Quality control; the first reason to reject, or None."""
    if not np.isfinite(rollout.qpos).all():
        return "the simulation diverged"
    world_from = {name: body_poses(rollout, name) for name in (hand.PALM, TOOL, TARGET)}
    palm_from_tool = inverse(world_from[hand.PALM]) @ world_from[TOOL]
    slip_m = np.linalg.norm(palm_from_tool[:, :3, 3] - palm_from_tool[0, :3, 3], axis=-1).max()
    planned = inverse(hand.palm_from_grip(rollout.scene.hand, handle_radius_m=rollout.scene.tool.handle_radius_m))
    palm_from_plan = inverse(planned) @ rollout.scene.grip_from_tool
    start_m = np.linalg.norm(palm_from_tool[0, :3, 3] - palm_from_plan[:3, 3])
    turn_deg = max(angle_deg(palm_from_tool[0].T[:3, :3] @ pose[:3, :3]) for pose in palm_from_tool)
    checks = [
        (start_m > DRIFT_LIMIT_M, f"the tool fell out of the grasp: {start_m * 1e3:.0f} mm before the first frame"),
        (slip_m > DRIFT_LIMIT_M, f"the tool slipped {slip_m * 1e3:.0f} mm in the hand"),
        (turn_deg > DRIFT_LIMIT_DEG, f"the tool turned {turn_deg:.0f} deg in the hand"),
        (
            observed.deepest_m > PENETRATION_LIMIT_M,
            f"{observed.deepest_pair} overlap by {observed.deepest_m * 1e3:.0f} mm",
        ),
        (observed.lag_m > LAG_LIMIT_M, f"the palm fell {observed.lag_m * 1e3:.0f} mm behind its path"),
    ]
    return next((reason for failed, reason in checks if failed), None) or _verb_flaw(
        rollout, observed, world_from[TARGET]
    )


def _verb_flaw(rollout: Rollout, observed: Observed, world_from_target: np.ndarray) -> str | None:
    verb = rollout.scene.verb
    tilt_deg = np.degrees(np.arccos(np.clip(world_from_target[:, 2, 2], -1, 1))).max()
    moved_m = np.linalg.norm(world_from_target[-1, :3, 3] - world_from_target[0, :3, 3])
    if tilt_deg > TILT_LIMIT_DEG:
        return f"the target tilted by {tilt_deg:.0f} deg"
    if verb in ANSWERING_VERBS and not observed.touched:
        return "the tool never touched the target"
    if verb == "push" and moved_m < PUSH_MIN_M:
        return f"the push moved the target by {moved_m * 1e3:.0f} mm only"
    landed = balls_in_target(rollout, world_from_target[-1]) if rollout.scene.balls else POUR_MIN_BALLS
    if landed < POUR_MIN_BALLS:
        return f"{landed} of {len(rollout.scene.balls)} balls landed in the target"
    return None


def balls_in_target(rollout: Rollout, world_from_target: Float[np.ndarray, "4 4"]) -> int:
    """How many balls lie in the target in the last frame; 0 where the scene has none."""
    if not rollout.scene.balls:
        return 0
    positions = np.stack([body_poses(rollout, f"ball_{i}")[-1, :3, 3] for i in range(len(rollout.scene.balls))])
    size = rollout.scene.target.size_m
    in_target = (positions - world_from_target[:3, 3]) @ world_from_target[:3, :3]
    inside = np.hypot(in_target[:, 0] / size[0], in_target[:, 1] / size[1]) < 0.5
    return int((inside & (in_target[:, 2] > -0.005) & (in_target[:, 2] < size[2] + 0.02)).sum())


def body_poses(rollout: Rollout, name: str) -> Float[np.ndarray, "T 4 4"]:
    """world_from_body of a free body at every frame."""
    body = rollout.model.body(name)
    address = rollout.model.jnt_qposadr[body.jntadr[0]]
    poses = np.tile(np.eye(4), (rollout.num_frames, 1, 1))
    rotation = np.zeros(9)
    for pose, qpos in zip(poses, rollout.qpos, strict=True):
        mujoco.mju_quat2Mat(rotation, qpos[address + 3 : address + 7])
        pose[:3, :3], pose[:3, 3] = rotation.reshape(3, 3), qpos[address : address + 3]
    return poses


def angle_deg(rotation: Float[np.ndarray, "3 3"]) -> float:
    """How far a rotation matrix turns, degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
