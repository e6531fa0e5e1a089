"""Run a scene: the fingers close on the tool, let friction hold it, and the palm follows the
planned path.

Everything that moves does so by physics; the only commands are the palm's path and the fingers' set
points. The same scene gives the same result to the bit.
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
from syncmv4d_sim.quality import DRIFT_LIMIT_M as DRIFT_LIMIT_M
from syncmv4d_sim.quality import POUR_MIN_BALLS as POUR_MIN_BALLS
from syncmv4d_sim.quality import PUSH_MIN_M as PUSH_MIN_M
from syncmv4d_sim.quality import balls_in_target as balls_in_target
from syncmv4d_sim.quality import flaw as flaw
from syncmv4d_sim.rollout import FRAME_PERIOD_S, TARGET, TOOL, Observed, Rejection, Rollout
from syncmv4d_sim.rollout import NUM_FRAMES as NUM_FRAMES
from syncmv4d_sim.rollout import angle_deg as angle_deg
from syncmv4d_sim.rollout import body_poses as body_poses
from syncmv4d_sim.scene import DURATION_S, Scene, add_scene
from syncmv4d_sim.take_up import STAND, TakeUp

TIMESTEP_S = 0.0025
CLOSE_S = 0.5  # the tool is welded to the palm while the fingers close
SETTLE_S = 0.25  # held by friction only, before the first frame
OBSERVED_STEPS = 4  # from one look at the contacts to the next
STAND_SOLREF, STAND_SOLIMP = (0.006, 1.0), (0.98, 0.999, 0.001, 0.5, 2.0)  # a stand hardly gives way
SQUEEZE = 1.25  # of the closing commands, once the tool is released

RING_BIT = 4  # contact type that balls meet and the hand does not
TOOL_WELD, DISTRACTOR = "tool_weld", "distractor_"


@dataclass(frozen=True)
class PalmPath:
    """Where the palm is led, one pose per time step from the settled grasp on."""

    positions: Float[np.ndarray, "N 3"]  # world, metres
    quaternions: Float[np.ndarray, "N 4"]  # unit, w first

    def part(self, first_step: int, num_steps: int) -> PalmPath:
        """The poses of `num_steps` steps and of their end."""
        kept = slice(first_step, first_step + num_steps + 1)
        return PalmPath(self.positions[kept], self.quaternions[kept])


def build_spec(scene: Scene) -> mujoco.MjSpec:
    """The scene's physics, before compilation, the tool welded to the palm, or to the stand that it
    is to be taken from.
    """
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
    if TOOL not in scene.hidden_bodies:
        weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name=TOOL_WELD)
        weld.name1, weld.name2 = STAND if scene.take_up else hand.PALM, TOOL
        weld.data = hand.WELD_AS_PLACED.copy()
        if scene.take_up:
            weld.solref, weld.solimp = np.array(STAND_SOLREF), np.array(STAND_SOLIMP)
    return spec


def _smooth_grip(spec: mujoco.MjSpec, scene: Scene) -> None:
    """Let the hand hold one cylinder instead of a vessel's ring of boxes, which stays there for
    what the vessel holds.
    """
    tool = spec.body(TOOL)
    for geom in tool.geoms:
        if geom.conaffinity:
            geom.contype = RING_BIT
    tool.add_geom(
        name="tool_grip", type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=[scene.tool.handle_radius_m, scene.tool.handle_length_m / 2, 0],
        quat=[np.sqrt(0.5), 0, np.sqrt(0.5), 0], contype=0, conaffinity=hand.CONTACT_BIT, mass=0, group=COLLISION_GROUP, rgba=[0, 0, 0, 0],
    )  # fmt: skip


def simulate(scene: Scene, *, frame_period_s: float = FRAME_PERIOD_S) -> Rollout | Rejection:
    """Run the scene for DURATION_S after frame 0, recording the step nearest to every frame's time."""
    return _checked(scene, num_steps=round(DURATION_S / TIMESTEP_S), frame_period_s=frame_period_s)


def settle(scene: Scene) -> Rollout | Rejection:
    """Frame 0 only: the run of one frame that `simulate` begins with, to the bit, and the checks
    that need no future.
    """
    return _checked(scene, num_steps=0, frame_period_s=FRAME_PERIOD_S)


def _checked(scene: Scene, *, num_steps: int, frame_period_s: float) -> Rollout | Rejection:
    model, data = grasped(scene)
    path = _planned_path(scene).part(_lead_steps(scene), num_steps)
    rollout, observed = follow(scene, model, data, path=path, frame_period_s=frame_period_s)
    reason = flaw(rollout, observed)
    return Rejection(reason) if reason else rollout


def grasped(scene: Scene) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The scene at frame 0: the tool settled in the hand, held by friction only.

    The palm's mocap body has not moved yet, or has come as far as the scene's lead takes it.
    """
    model = build_spec(scene).compile()
    data = mujoco.MjData(model)
    _grasp(scene, model, data)
    if lead_steps := _lead_steps(scene):
        path = _planned_path(scene)
        for step in range(lead_steps):
            data.mocap_pos[0], data.mocap_quat[0] = path.positions[step], path.quaternions[step]
            mujoco.mj_step(model, data)
    return model, data


def _lead_steps(scene: Scene) -> int:
    return round(scene.lead_s / TIMESTEP_S)


def _grip_from_palm(scene: Scene) -> np.ndarray:
    return inverse(hand.palm_from_grip(scene.hand, handle_radius_m=scene.tool.handle_radius_m))


def _grasp(scene: Scene, model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Close the fingers on the welded tool, release it, and let it settle in the hand.

    A hand that is to take a tool up stays open, an empty one just relaxes.
    """
    closing_steps, settling_steps = round(CLOSE_S / TIMESTEP_S), round(SETTLE_S / TIMESTEP_S)
    if scene.take_up:
        mujoco.mj_step(model, data, settling_steps)
        return
    is_empty = TOOL in scene.hidden_bodies
    for step in range(0, closing_steps, 4):
        data.ctrl[:] = hand.finger_commands((scene.closing if is_empty else 1.0) * min(1.0, 1.5 * step / closing_steps))
        mujoco.mj_step(model, data, 4)
    if not is_empty:
        data.eq_active[model.equality(TOOL_WELD).id] = 0
        data.ctrl[:] = hand.finger_commands(SQUEEZE)
    mujoco.mj_step(model, data, settling_steps)


def _take(take_up: TakeUp, model: mujoco.MjModel, data: mujoco.MjData, *, time_s: float) -> None:
    """Close the hand when it is time to, press, and let the stand go."""
    closing = 1.25 * (time_s - take_up.close_s) / (take_up.held_s - take_up.close_s)
    pressing = np.clip(closing, 0, 1) + (SQUEEZE - 1) * np.clip((closing - 1) / 0.25, 0, 1)
    data.ctrl[:] = hand.finger_commands(float(pressing))
    data.eq_active[model.equality(TOOL_WELD).id] = time_s < take_up.held_s


def follow(
    scene: Scene,
    model: mujoco.MjModel,
    data: mujoco.MjData,
    *,
    path: PalmPath,
    frame_period_s: float,
    watchers: Sequence[Callable[[mujoco.MjData], None]] = (),
) -> tuple[Rollout, Observed]:
    """Lead the palm along a path from where `grasped` left it, recording the step nearest to every
    frame's time.

    `watchers` see the state after every OBSERVED_STEPS steps and must not change it.
    """
    num_steps = len(path.positions) - 1
    num_frames = round(num_steps * TIMESTEP_S / frame_period_s) + 1
    recorded = {round(frame * frame_period_s / TIMESTEP_S) for frame in range(num_frames)}
    contacts, observed, states, touching = Contacts(model), Observed(), [], []
    for step in range(num_steps + 1):
        data.mocap_pos[0], data.mocap_quat[0] = path.positions[step], path.quaternions[step]
        if scene.take_up:
            _take(scene.take_up, model, data, time_s=step * TIMESTEP_S)
        if step in recorded:
            states.append((data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy()))
        if step % OBSERVED_STEPS == 0:
            contacts.observe(data, observed)
            for watch in watchers:
                watch(data)
        mujoco.mj_step(model, data)
        if step in recorded:  # a step leaves the contacts of the state that it began with
            touching.append((contacts.tool_target(data), contacts.hand_tool(data)))
    qpos, mocap_pos, mocap_quat = (np.stack(values) for values in zip(*states, strict=True))
    tool_target, hand_tool = np.array(touching).T
    return Rollout(scene, model, qpos, mocap_pos, mocap_quat, tool_target, hand_tool, frame_period_s), observed


def _planned_path(scene: Scene) -> PalmPath:
    """The palm's planned pose at every step, interpolated between the plan's poses."""
    num_steps = round(DURATION_S / TIMESTEP_S) + _lead_steps(scene)
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


class Contacts:
    """Which bodies of a model touch, looked up by their parts in the scene."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model, self.palm = model, model.body(hand.PALM).id
        self.tool, self.target = model.body(TOOL).id, model.body(TARGET).id
        self.is_hand = model.body_rootid == self.palm
        names = [model.body(body).name for body in range(model.nbody)]
        self.is_distractor = np.array([name.startswith(DISTRACTOR) for name in names])

    def observe(self, data: mujoco.MjData, observed: Observed) -> None:
        """Add what quality control wants to know of this moment."""
        observed.lag_m = max(observed.lag_m, float(np.linalg.norm(data.xpos[self.palm] - data.mocap_pos[0])))
        if not data.ncon:
            return
        distance = data.contact.dist
        deepest = int(distance.argmin())
        if -distance[deepest] > observed.deepest_m:
            names = [self.model.body(body).name for body in self._pairs(data)[deepest]]
            observed.deepest_m, observed.deepest_pair = float(-distance[deepest]), " and ".join(names)
        observed.touched |= self.tool_target(data)
        if self.is_distractor.any() and (hits := self.is_distractor[self._pairs(data)]).any():
            observed.disturbed = self.model.body(self._pairs(data)[hits.any(1)][0].min()).name

    def tool_target(self, data: mujoco.MjData) -> bool:
        """Whether the tool touches the target."""
        pairs = np.sort(self._pairs(data), axis=1)
        return bool((pairs == sorted((self.tool, self.target))).all(1).any())

    def hand_tool(self, data: mujoco.MjData) -> bool:
        """Whether any part of the hand touches the tool."""
        pairs = self._pairs(data)
        return bool((self.is_hand[pairs].any(1) & (pairs == self.tool).any(1)).any())

    def _pairs(self, data: mujoco.MjData) -> np.ndarray:
        """The two bodies of every contact, [C 2]."""
        return self.model.geom_bodyid[data.contact.geom].reshape(-1, 2)
