"""Wrist and fingertips from tracked points on a hand's skin, as far as the points can tell. numpy and scipy only; no ROS.

The points have no names: nothing says which of them is a thumb. What is assumed is said below, and flagged where it does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from syncmv4d_ros.planning import BodyTrajectory, TrackedPoints, fit_points

GRIP_REACH_M = 0.03  # skin this near to the tool holds it
WRIST_FROM_GRIP_M = 0.09  # of an adult's closed hand; 0.08 to 0.10
WRIST_HALF_WIDTH_M = 0.05  # skin this near to the wrist moves with it
MIN_WRIST_POINTS = 12
NEIGHBOURS = 6
SKIN_STEP_M = 0.015  # longer gaps between points are not skin
TIP_RADIUS_M = 0.012
MIN_TIP_DISTANCE_M = 0.145  # from the wrist: fingers that are stretched reach farther, knuckles of a fist do not
MIN_TIP_POINTS = 3
NUM_FINGERS = 5


@dataclass(frozen=True)
class HandTrajectory:
    """One hand over time. `wrist` is None where the points cannot tell where it is, and then there is no fingertip either."""

    wrist: BodyTrajectory | None
    fingertips: tuple[BodyTrajectory, ...]  # in no particular order: which finger it is cannot be told
    reason: str  # why the wrist or a fingertip is missing; empty if none is


def hand_trajectory(points: TrackedPoints) -> HandTrajectory | None:
    """Wrist pose and fingertip paths of the hand; None without a point labelled hand.

    Assumed of frame 0: one right or left hand holds the tool, so that skin within GRIP_REACH_M of the tool's points is where
    fingers and palm close around it; most skin beyond WRIST_FROM_GRIP_M from there is the arm, and the wrist
    lies that far along it. The wrist's frame is defined like a body's: its origin is that place, its axes are the world's at
    frame 0. It then moves with the skin around it, fitted like a rigid body. Fingertips are the skin's ends: points farther from the wrist, along the skin, than
    everything around them, at least MIN_TIP_DISTANCE_M from the wrist and not on the arm; each moves with its surroundings, and
    has no rotation. So stretched fingers are found (often not the thumb); those closed around a handle are not told apart.
    """
    is_hand, is_tool = points.labelled("hand"), points.labelled("tool")
    if not is_hand.any():
        return None
    if not is_tool.any():
        return HandTrajectory(None, (), "no point is labelled tool: which end of the hand is the arm cannot be told")
    skin = points.positions[0, is_hand].astype(np.float64)
    try:
        place, to_arm = _wrist_place(skin, points.positions[0, is_tool].astype(np.float64))
    except _CannotTell as reason:
        return HandTrajectory(None, (), str(reason))
    near = np.linalg.norm(skin - place, axis=1) < WRIST_HALF_WIDTH_M
    if near.sum() < MIN_WRIST_POINTS:
        return HandTrajectory(None, (), f"{int(near.sum())} points around the wrist, needs {MIN_WRIST_POINTS}")
    wrist = _moved_origin(fit_points(points, _among(is_hand, near), label="wrist", symmetric=False), place)
    ends = _skin_ends(skin, place, to_arm)
    tips = tuple(
        replace(
            fit_points(points, _among(is_hand, end), label=f"fingertip_{number}"),
            rotation_valid=np.zeros_like(wrist.valid),
        )
        for number, end in enumerate(ends, start=1)
    )
    missing = NUM_FINGERS - len(tips)
    return HandTrajectory(wrist, tips, f"{missing} of {NUM_FINGERS} fingertips are not told apart" if missing else "")


class _CannotTell(Exception):
    """The points do not show where the wrist is; the text says why."""


def _wrist_place(skin: np.ndarray, tool: np.ndarray) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Where the wrist is at frame 0, and the direction in which the arm leaves."""
    holds = KDTree(tool).query(skin)[0] < GRIP_REACH_M
    if holds.sum() < MIN_WRIST_POINTS:
        raise _CannotTell(
            f"{int(holds.sum())} points of the hand are within {GRIP_REACH_M} m of the tool, needs {MIN_WRIST_POINTS}"
        )
    grip = np.median(skin[holds], axis=0)
    away = np.linalg.norm(skin - grip, axis=1)
    arm = away > WRIST_FROM_GRIP_M
    if arm.sum() < MIN_WRIST_POINTS:
        raise _CannotTell(
            f"{int(arm.sum())} points of the hand lie farther from the tool than the wrist, needs {MIN_WRIST_POINTS}"
        )
    direction = np.median(skin[arm], axis=0) - grip
    length = float(np.linalg.norm(direction))
    if length < 0.5 * WRIST_FROM_GRIP_M:
        raise _CannotTell("the hand's points lie on all sides of the tool: where the arm leaves cannot be told")
    return grip + direction * (WRIST_FROM_GRIP_M / length), direction / length


def _skin_ends(skin: np.ndarray, wrist: np.ndarray, to_arm: np.ndarray) -> list[Bool[np.ndarray, "P"]]:
    """Points around each end of the skin away from the arm, the farthest first; at most NUM_FINGERS ends."""
    along = _along_skin(skin, wrist)
    away = np.linalg.norm(skin - wrist, axis=1) > MIN_TIP_DISTANCE_M
    away &= ((skin - wrist) @ to_arm < 0) & np.isfinite(along)
    along = np.where(away, along, 0.0)
    ends: list[Bool[np.ndarray, "P"]] = []
    taken = np.zeros(len(skin), bool)
    candidates = np.argsort(-along)[: np.count_nonzero(away)]
    for point, wider in zip(candidates, KDTree(skin).query_ball_point(skin[candidates], 2 * TIP_RADIUS_M), strict=True):
        if taken[point] or along[point] < along[wider].max():
            continue
        around = np.linalg.norm(skin - skin[point], axis=1) < TIP_RADIUS_M
        if around.sum() >= MIN_TIP_POINTS and len(ends) < NUM_FINGERS:
            ends.append(around)
            taken[wider] = True
    return ends


def _along_skin(skin: np.ndarray, start: np.ndarray) -> Float64[np.ndarray, "P"]:
    """Distance (m) of every point from the one nearest to `start`, in steps between neighbours; inf if not joined to it."""
    tree = KDTree(skin)
    gap, neighbour = tree.query(skin, k=min(NEIGHBOURS + 1, len(skin)), distance_upper_bound=SKIN_STEP_M)
    one = np.repeat(np.arange(len(skin)), gap.shape[1])
    joined = np.isfinite(gap.ravel()) & (gap.ravel() > 0)  # a duplicate of a point is no step
    graph = csr_matrix((gap.ravel()[joined], (one[joined], neighbour.ravel()[joined])), shape=(len(skin),) * 2)
    return dijkstra(graph, directed=False, indices=int(tree.query(start)[1]))


def _among(mask: np.ndarray, chosen: np.ndarray) -> Bool[np.ndarray, "P"]:
    """The points of `mask` that are chosen, as a mask over all points."""
    result = np.zeros_like(mask)
    result[np.flatnonzero(mask)[chosen]] = True
    return result


def _moved_origin(body: BodyTrajectory, origin: np.ndarray) -> BodyTrajectory:
    """The same motion of a body frame with another origin at frame 0 (world, metres)."""
    offset = origin - body.poses[0, :3, 3]
    poses = body.poses.copy()
    poses[:, :3, 3] += body.poses[:, :3, :3] @ offset
    return replace(body, poses=poses)
