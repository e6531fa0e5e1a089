"""Poses of a tool along a path, and whether hand, arm and tool keep clear of table and target on
it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from syncmv4d_model.geometry import transform
from syncmv4d_sim.objects import ObjectModel
from syncmv4d_sim.tasks import UPRIGHT, ToolPath

HAND_RADIUS_M = 0.055  # a closed fist about the held cylinder's centre
FOREARM_RADIUS_M = 0.045
FOREARM_LENGTH_M = 0.24
LOWEST_POINT_MARGIN_M = 0.002
START_GAP_M = 0.02
STEEPEST_ARM = 0.93  # sine of the forearm's slope; above, the fist hides what it holds
CHECKED_EVERY = 5  # poses of a path


def tool_poses(path: ToolPath, work_point: Float[np.ndarray, "3"]) -> Float[np.ndarray, "N 4 4"]:
    """World poses of a tool whose `work_point` (tool frame) follows the path."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(path[:, i]), np.sin(path[:, i])) for i in (3, 4, 5))
    poses = np.tile(np.eye(4), (len(path), 1, 1))
    poses[:, :3, 0] = np.stack([cy * cp, sy * cp, -sp], -1)
    poses[:, :3, 1] = np.stack([cy * sp * sr - sy * cr, sy * sp * sr + cy * cr, cp * sr], -1)
    poses[:, :3, 2] = np.stack([cy * sp * cr + sy * sr, sy * sp * cr - cy * sr, cp * cr], -1)
    poses[:, :3, 3] = path[:, :3] - poses[:, :3, :3] @ work_point
    return poses


def work_point(verb: str, tool: ObjectModel, *, act_pitch: float) -> Float[np.ndarray, "3"]:
    """The tool's point that follows the path: its edge to cut, its middle to pour, else its lowest."""
    if verb == "pour in some":
        assert act_pitch == UPRIGHT
        return np.zeros(3)
    if verb == "cut" and tool.name == "knife":
        return tool.work_point
    up = np.array([-np.sin(act_pitch), 0.0, np.cos(act_pitch)])
    head = np.concatenate([part.vertices for part in tool.parts[2:]] or [tool.parts[-1].vertices])
    height = head @ up
    return head[height < height.min() + LOWEST_POINT_MARGIN_M].mean(0)


def is_clear(
    world_from_grip: Float[np.ndarray, "N 4 4"],
    world_from_tool: Float[np.ndarray, "N 4 4"],
    *,
    tool: ObjectModel,
    target_points: Float[np.ndarray, "P 3"],
) -> bool:
    """Whether a path keeps fist, forearm and tool out of the table, and all but the tool's end out
    of the target.
    """
    grip = world_from_grip[::CHECKED_EVERY]
    wrist, back = grip[:, :3, 3], grip[:, :3, 2]
    if wrist[:, 2].min() <= HAND_RADIUS_M or (back[:, 2] >= STEEPEST_ARM).any():
        return False
    arm = wrist[:, None] + np.linspace(0.06, FOREARM_LENGTH_M, 5)[:, None] * back[:, None]
    arm = (arm - 0.03 * grip[:, None, :3, 1]).reshape(-1, 3)
    if arm[:, 2].min() <= FOREARM_RADIUS_M:
        return False
    points = transform(world_from_tool[::CHECKED_EVERY], tool.vertices)
    if points[..., 2].min() <= 0.0 or distance(points[0], target_points) <= START_GAP_M:
        return False
    return distance(wrist, target_points) > HAND_RADIUS_M and distance(arm, target_points) > FOREARM_RADIUS_M


def distance(points: Float[np.ndarray, "P 3"], others: Float[np.ndarray, "Q 3"]) -> float:
    """The least distance between two sets of points, metres."""
    return float(cKDTree(others).query(points)[0].min())


def surface_points(model: ObjectModel, world_from_body: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "P 3"]:
    """Points on an object's surface, about 8 mm apart, in the world."""
    corners = model.vertices[model.faces]
    points = np.concatenate([corners.mean(1), corners.reshape(-1, 3)])
    return transform(world_from_body, np.unique(np.round(points / 0.008), axis=0) * 0.008)
