"""Rigid clouds of points on known paths, with noise and outliers, as a model would track them."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from syncmv4d_model.types import LABELS
from syncmv4d_ros.planning import TrackedPoints

EXTENT_M = np.array([0.2, 0.06, 0.03])


def random_path(rng: np.random.Generator, frames: int) -> np.ndarray:
    """World motion since frame 0, [T 4 4]: up to 30 cm and any turn, identity at frame 0."""
    motion = np.tile(np.eye(4), (frames, 1, 1))
    share = np.linspace(0, 1, frames)[:, None]
    motion[:, :3, :3] = Rotation.from_rotvec(share * rng.uniform(-2, 2, 3)).as_matrix()
    motion[:, :3, 3] = share * rng.uniform(-0.3, 0.3, 3)
    return motion


def box_cloud(rng: np.random.Generator, count: int) -> np.ndarray:
    """Points all through a long flat box somewhere in the room, [P 3]."""
    return rng.uniform(-0.5, 0.5, (count, 3)) * EXTENT_M + rng.uniform(-0.5, 0.5, 3)


def moved(motion: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[T P 3]"""
    return points @ np.swapaxes(motion[:, :3, :3], 1, 2) + motion[:, None, :3, 3]


def tracked(positions: np.ndarray, label: str = "tool", **changes) -> TrackedPoints:
    """Tracks that are seen all the time, with a stddev of 2 mm."""
    frames, points = positions.shape[:2]
    fields = {
        "positions": positions.astype(np.float32),
        "visible": np.ones((frames, points), bool),
        "stddev": np.full((frames, points), 0.002, np.float32),
        "label": np.full(points, LABELS.index(label), np.uint8),
        "frame_period_s": 0.1,
    }
    return TrackedPoints(**(fields | changes))


def joined(*parts: TrackedPoints) -> TrackedPoints:
    """All points of several tracks."""
    return TrackedPoints(
        positions=np.concatenate([part.positions for part in parts], axis=1),
        visible=np.concatenate([part.visible for part in parts], axis=1),
        stddev=np.concatenate([part.stddev for part in parts], axis=1),
        label=np.concatenate([part.label for part in parts]),
        frame_period_s=parts[0].frame_period_s,
    )


def angle_deg(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angle between rotations, [...]."""
    trace = np.trace(one[..., :3, :3] @ np.swapaxes(other[..., :3, :3], -1, -2), axis1=-2, axis2=-1)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
