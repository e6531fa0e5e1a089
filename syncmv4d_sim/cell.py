"""The simulated robot cell: a scene's cameras, and its hand carrying out a planner's tool trajectory by physics.

The hand holds the tool by friction only, as in the generator, and knows nothing of the scene's own plan: its palm is led along
the commanded motion, and what the tool then does to the target is left to contacts. A run succeeds if

- the generator's quality control accepts it (`physics.flaw`): the tool stayed in the grasp within DRIFT_LIMIT_M and
  DRIFT_LIMIT_DEG, nothing overlaps by more than PENETRATION_LIMIT_M, the palm was nowhere held up by more than LAG_LIMIT_M,
  the target stayed upright within TILT_LIMIT_DEG; hit, cut, dust, push: the tool touched the target; push: the target ended
  PUSH_MIN_M away; pour in some: POUR_MIN_BALLS balls lie in the target;
- and, where that asks too little of an act: stir: the tool's tip went STIR_MIN_DEG around in the vessel; cut, dust, smear:
  the tool's working point travelled STROKE_MIN_M within NEAR_M of the target.

The last two thresholds are about half of the least that the generator's own plans do in the first 56 scenes of `train` (stir
389 deg, strokes 0.099 m), and were fixed before any plan was executed on a held-out split.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import mujoco
import numpy as np
from jaxtyping import Float, UInt8
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.geometry import inverse, transform
from syncmv4d_sim.filming import film_again
from syncmv4d_sim.hand import PALM
from syncmv4d_sim.mirror import mirror_poses
from syncmv4d_sim.physics import (
    TARGET,
    TIMESTEP_S,
    TOOL,
    Observed,
    PalmPath,
    Rollout,
    angle_deg,
    balls_in_target,
    body_poses,
    flaw,
    follow,
    grasped,
)
from syncmv4d_sim.scene import LOWEST_POINT_MARGIN_M, Scene, sample_scene
from syncmv4d_sim.sequences import BuildOptions, make_sequence

STIR_MIN_DEG = 180.0
STROKE_MIN_M = 0.05
STROKE_VERBS = ("cut", "dust", "smear")
NEAR_M = 0.008  # a tool this close to its target wipes it
STIR_RADIUS_M = 0.005
ABOVE_RIM_M = 0.01  # still in the vessel

MAX_TRAVEL_M = 1.0  # no hand in this cell reaches farther; more is a planner's mistake
MAX_DURATION_S = 30.0
RIGID_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Outcome:
    """What came of one execution. NaN: the simulation diverged before it could be measured."""

    success: bool
    reason: str  # why not; empty on success
    verb: str
    task: str
    touched: bool  # the tool, the target
    target_moved_m: float  # from the first frame to the last
    target_tilt_deg: float  # the most in any frame
    stirred_deg: float  # how far the tool's tip went around, while it was in the target
    stroke_m: float  # path of the tool's working point within NEAR_M of the target
    balls_landed: int
    slip_m: float  # the most that the tool moved in the palm
    path_error_m: float  # mean over frames: the tool's origin, from where the command would have it
    path_error_max_m: float
    turn_error_deg: float  # mean over frames: the tool's orientation, from the commanded one
    turn_error_max_deg: float

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON, which knows no NaN: None instead."""
        values = asdict(self).items()
        return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values}


@dataclass(frozen=True)
class Execution:
    """An outcome, and the states that it was judged by."""

    outcome: Outcome
    rollout: Rollout


class SimulatedCell:
    """Scene `index` of a split: the same arguments give the same cell, bit for bit, in any process."""

    def __init__(self, index: int, options: BuildOptions) -> None:
        """Simulates and renders the generator's own run, for images, cameras and truth. RuntimeError as make_sequence."""
        made = make_sequence(index, options)
        self.sequence: Sequence = made.sequence
        self._world_from_table = made.world_from_table
        self.scene = sample_scene(options.split, index, options.seed, attempt=len(made.rejections))
        self._newest: Rollout | None = None

    def execute(self, motion: Float[np.ndarray, "T 4 4"], *, frame_period_s: float) -> Outcome:
        """Carry out a tool motion given in the sequence's world; see `execute`. Every call starts at frame 0 again."""
        in_table = inverse(self._world_from_table) @ motion @ self._world_from_table
        if "left_hand" in self.scene.tags:  # the scene is a right hand's in a mirror
            in_table = mirror_poses(in_table)
        done = execute(self.scene, in_table, frame_period_s=frame_period_s)
        self._newest = done.rollout
        return done.outcome

    def film(self) -> UInt8[np.ndarray, "V T H W 3"]:
        """What the cameras saw of the newest execution, a picture per frame of its motion. ValueError before there was one."""
        if self._newest is None:
            raise ValueError("nothing was executed yet")
        return film_again(self._newest, self.sequence, self._world_from_table)


def open_cell(*, split: str, scene: int, seed: int, height: int, width: int) -> SimulatedCell:
    """A cell by plain values, as nodes name it. ValueError for an unknown split or numbers that make no scene."""
    if scene < 0 or seed < 0 or min(height, width) < 32:
        raise ValueError(f"a cell needs scene, seed >= 0 and sides >= 32 px, got {scene}, {seed}, {width} x {height}")
    return SimulatedCell(scene, cell_options(split=split, seed=seed, height=height, width=width))


def cell_options(*, split: str, seed: int, height: int = 240, width: int = 320) -> BuildOptions:
    """How a cell's scenes are made: three cameras with pictures of that size. What looks at them chooses its own windows."""
    return BuildOptions(split=split, seed=seed, views=3, windows="largest", height=height, width=width)


def execute(scene: Scene, motion: Float[np.ndarray, "T 4 4"], *, frame_period_s: float) -> Execution:
    """Lead the palm so that a tool held rigidly would move by `motion`, and judge what happened.

    motion[n] = world_from_tool[n] @ inverse(world_from_tool[0]), metres, one per frame; the frames are joined by cubic splines.
    The same arguments give the same result to the bit. ValueError for a motion that is not one.
    """
    _check_motion(motion, frame_period_s)
    model, data = grasped(scene)
    path = _palm_path(motion, frame_period_s, mocap_pos=data.mocap_pos[0], mocap_quat=data.mocap_quat[0])
    strokes = Strokes(model, scene.tool.work_point)
    rollout, observed = follow(scene, model, data, path=path, frame_period_s=frame_period_s, watchers=(strokes,))
    return Execution(_judged(rollout, observed, motion, stroke_m=strokes.length_m), rollout)


class Strokes:
    """Adds up how far the tool's working point travels while tool and target touch, or nearly do.

    A brush that dusts a plate hops over its rim, so contact alone would miss most of its strokes.
    """

    def __init__(self, model: mujoco.MjModel, work_point: Float[np.ndarray, "3"]) -> None:
        self.model, self.work_point, self.length_m = model, work_point, 0.0
        self.tool = model.body(TOOL).id
        solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        of = {name: np.flatnonzero(solid & (model.geom_bodyid == model.body(name).id)) for name in (TOOL, TARGET)}
        self.pairs = [(int(a), int(b)) for a in of[TOOL] for b in of[TARGET]]
        self._last: np.ndarray | None = None

    def __call__(self, data: mujoco.MjData) -> None:
        now = data.xmat[self.tool].reshape(3, 3) @ self.work_point + data.xpos[self.tool] if self._near(data) else None
        if now is not None and self._last is not None:
            self.length_m += float(np.linalg.norm(now - self._last))
        self._last = now

    def _near(self, data: mujoco.MjData) -> bool:
        return any(mujoco.mj_geomDistance(self.model, data, a, b, 2 * NEAR_M, None) < NEAR_M for a, b in self.pairs)


def _check_motion(motion: np.ndarray, frame_period_s: float) -> None:
    if motion.ndim != 3 or motion.shape[1:] != (4, 4) or len(motion) < 2:
        raise ValueError(f"a motion is [T 4 4] with at least 2 frames, got {list(motion.shape)}")
    if not (math.isfinite(frame_period_s) and TIMESTEP_S <= frame_period_s <= MAX_DURATION_S / (len(motion) - 1)):
        raise ValueError(
            f"{len(motion)} frames at {frame_period_s} s: a frame takes at least {TIMESTEP_S} s, a motion at most {MAX_DURATION_S:g} s"
        )
    if wrong := int((~np.isfinite(motion)).any((1, 2)).sum()):
        raise ValueError(f"{wrong} of {len(motion)} poses of the motion are not finite")
    off = float(np.abs(motion[:, :3, :3] @ motion[:, :3, :3].swapaxes(1, 2) - np.eye(3)).max())
    if off > RIGID_TOLERANCE or (np.linalg.det(motion[:, :3, :3]) < 0).any():
        raise ValueError(f"the motion is not rigid: R R^T is {off:.3g} off the identity")
    if (start := float(np.abs(motion[0] - np.eye(4)).max())) > RIGID_TOLERANCE:
        raise ValueError(f"the motion must start with the identity, is {start:.3g} off")


def _palm_path(motion: np.ndarray, frame_period_s: float, *, mocap_pos: np.ndarray, mocap_quat: np.ndarray) -> PalmPath:
    """The palm's pose at every time step. ValueError if it would travel farther than MAX_TRAVEL_M."""
    keys = np.eye(4)
    keys[:3, :3], keys[:3, 3] = Rotation.from_quat(mocap_quat, scalar_first=True).as_matrix(), mocap_pos
    keys = motion @ keys
    if (travel := float(np.linalg.norm(keys[:, :3, 3] - mocap_pos, axis=-1).max())) > MAX_TRAVEL_M:
        raise ValueError(f"the motion carries the palm {travel:.2f} m away; it reaches {MAX_TRAVEL_M:g} m")
    time_s = np.arange(len(motion)) * frame_period_s
    steps_s = np.minimum(np.arange(round(time_s[-1] / TIMESTEP_S) + 1) * TIMESTEP_S, time_s[-1])
    turns = RotationSpline(time_s, Rotation.from_matrix(keys[:, :3, :3]))
    positions = CubicSpline(time_s, keys[:, :3, 3], bc_type="clamped")(steps_s)
    return PalmPath(positions, turns(steps_s).as_quat(scalar_first=True))


def _judged(rollout: Rollout, observed: Observed, motion: np.ndarray, *, stroke_m: float) -> Outcome:
    scene = rollout.scene
    tool, target, palm = (body_poses(rollout, name) for name in (TOOL, TARGET, PALM))
    in_palm = (inverse(palm) @ tool)[:, :3, 3]
    commanded = motion @ tool[0]
    gaps_m = np.linalg.norm(tool[:, :3, 3] - commanded[:, :3, 3], axis=-1)
    turns_deg = [angle_deg(a[:3, :3].T @ b[:3, :3]) for a, b in zip(tool, commanded, strict=True)]
    stirred_deg = _stirred_deg(rollout, tool, target)
    reason = flaw(rollout, observed) or _act_flaw(scene.verb, stirred_deg=stirred_deg, stroke_m=stroke_m)
    return Outcome(
        success=reason is None,
        reason=reason or "",
        verb=scene.verb,
        task=scene.text,
        touched=observed.touched,
        target_moved_m=float(np.linalg.norm(target[-1, :3, 3] - target[0, :3, 3])),
        target_tilt_deg=float(np.degrees(np.arccos(np.clip(target[:, 2, 2], -1, 1))).max()),
        stirred_deg=stirred_deg,
        stroke_m=stroke_m,
        balls_landed=balls_in_target(rollout, target[-1]),
        slip_m=float(np.linalg.norm(in_palm - in_palm[0], axis=-1).max()),
        path_error_m=float(gaps_m.mean()),
        path_error_max_m=float(gaps_m.max()),
        turn_error_deg=float(np.mean(turns_deg)),
        turn_error_max_deg=float(np.max(turns_deg)),
    )


def _act_flaw(verb: str, *, stirred_deg: float, stroke_m: float) -> str | None:
    """What the generator does not check, because its own plans cannot miss it."""
    if verb == "stir" and not stirred_deg >= STIR_MIN_DEG:
        return f"the tool went {stirred_deg:.0f} deg around in the target"
    if verb in STROKE_VERBS and not stroke_m >= STROKE_MIN_M:
        return f"the tool moved {stroke_m * 1e3:.0f} mm while touching the target"
    return None


def _stirred_deg(rollout: Rollout, world_from_tool: np.ndarray, world_from_target: np.ndarray) -> float:
    """How far the tool's tip (what is lowest in the end) went around, net, over pairs of frames that are both in the target.

    Around the middle of where it was in the target; circles smaller than STIR_RADIUS_M stir nothing.
    """
    scene, size_m = rollout.scene, rollout.scene.target.size_m
    height = scene.tool.vertices @ world_from_tool[-1, 2, :3]
    tip = scene.tool.vertices[height < height.min() + LOWEST_POINT_MARGIN_M].mean(0)
    x, y, z = transform(inverse(world_from_target) @ world_from_tool, tip[None])[:, 0].T
    inside = (np.hypot(x / size_m[0], y / size_m[1]) < 0.5) & (z < size_m[2] + ABOVE_RIM_M)
    if not inside.any():
        return 0.0
    x, y = x - x[inside].mean(), y - y[inside].mean()
    if np.hypot(x, y)[inside].mean() < STIR_RADIUS_M:
        return 0.0
    turned = np.degrees(np.diff(np.unwrap(np.arctan2(y, x))))
    return float(abs(turned[inside[:-1] & inside[1:]].sum()))
