"""A tool in a stand, and the hand that comes, closes around it and takes it."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import transform
from syncmv4d_sim.objects import VISUAL_GROUP, ObjectModel
from syncmv4d_sim.tasks import minimum_jerk

STAND = "stand"
GAP_M = (0.06, 0.15)  # between the open hand in frame 0 and where it closes, along the palm's normal
CLOSE_S = 0.36
LIFT_M, LIFT_S = 0.035, 0.3  # out of the stand, before the tool goes its way
PACE = 1.1  # of what comes after: the clip stays as long as any
DELAY_SHARE = 0.4  # of the delay of other scenes
CLIP_M, POST_RADIUS_M, FOOT_RADIUS_M = 0.009, 0.004, 0.035
IN_FRONT_OF_HANDLE_M = 0.012


@dataclass(frozen=True)
class TakeUp:
    """A tool in its stand, and when the hand closes. Seconds count from frame 0."""

    world_from_tool: Float[np.ndarray, "4 4"]  # until it is held
    held_at: Float[np.ndarray, "3"]  # where the stand's clip holds the tool, world, metres
    rgb: Float[np.ndarray, "3"]
    close_s: float  # the fingers begin to close
    held_s: float  # the stand lets go


def stand_top(world_from_tool: Float[np.ndarray, "4 4"], tool: ObjectModel) -> Float[np.ndarray, "3"]:
    """Where a stand holds a tool: just in front of its handle, so that the handle is free for the
    hand.
    """
    return transform(world_from_tool, np.array([[tool.handle_length_m / 2 + IN_FRONT_OF_HANDLE_M, 0.0, 0.0]]))[0]


def stand_points(held_at: Float[np.ndarray, "3"]) -> Float[np.ndarray, "P 3"]:
    """Points on the stand's post and foot."""
    post = held_at * np.array([1, 1, 0]) + np.linspace(0, held_at[2], 12)[:, None] * np.array([0, 0, 1.0])
    angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    foot = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1) * FOOT_RADIUS_M + held_at * np.array([1, 1, 0])
    return np.concatenate([post, foot])


def add_stand(spec: mujoco.MjSpec, take_up: TakeUp) -> None:
    """Add the stand, drawn only: foot, post and clip. What holds the tool is an equality, as long
    as it is active.
    """
    body = spec.worldbody.add_body(name=STAND, pos=take_up.held_at * np.array([1, 1, 0]))
    height = float(take_up.held_at[2])
    look = {"rgba": [*take_up.rgb, 1], "contype": 0, "conaffinity": 0, "group": VISUAL_GROUP, "mass": 0}
    cylinder, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
    body.add_geom(name="stand_foot", type=cylinder, size=[FOOT_RADIUS_M, 0.004, 0], pos=[0, 0, 0.004], **look)
    body.add_geom(name="stand_post", type=cylinder, size=[POST_RADIUS_M, height / 2, 0], pos=[0, 0, height / 2], **look)
    body.add_geom(name="stand_clip", type=box, size=[CLIP_M, CLIP_M, CLIP_M], pos=[0, 0, height - CLIP_M], **look)


def approach_s(gap_m: float) -> float:
    """How long the hand takes to come; farther takes longer."""
    return 0.3 + 1.2 * (gap_m - GAP_M[0])


def approach(
    world_from_grip: Float[np.ndarray, "4 4"], gap_m: float, time_s: Float[np.ndarray, "N"], *, begin_s: float
) -> Float[np.ndarray, "N 4 4"]:
    """Grip poses of a hand that comes from `gap_m` away along its palm's normal, and stays."""
    come = minimum_jerk(time_s, begin_s, begin_s + approach_s(gap_m))
    poses = np.tile(world_from_grip, (len(time_s), 1, 1))
    poses[:, :3, 3] -= (gap_m * (1 - come))[:, None] * world_from_grip[:3, 1]
    return poses


def lift(time_s: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Height above the planned path, metres, of a tool that comes out of its stand; `time_s` counts
    from the grasp.
    """
    return LIFT_M * (minimum_jerk(time_s, 0, LIFT_S) - minimum_jerk(time_s, LIFT_S, 2.5 * LIFT_S))
