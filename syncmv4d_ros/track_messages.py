"""PointTracks <-> arrays, for any class of the message: rclpy's, or one that a bag reader made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from syncmv4d_model.types import LABELS


@dataclass(frozen=True)
class RecordedTracks:
    """One PointTracks message in memory; lengths in metres, in the frame `frame_id`."""

    stamp_ns: int
    frame_id: str
    task: str
    plan_id: str
    views: tuple[str, ...]
    frame_period_s: float
    positions: Float32[np.ndarray, "V T K 3"]
    visible: Bool[np.ndarray, "V T K"]
    stddev: Float32[np.ndarray, "V T K"]  # per axis; NaN where unknown
    label: UInt8[np.ndarray, "V K"]  # index into types.LABELS


def unpack_tracks(message: Any) -> RecordedTracks:
    """The arrays of a message. ValueError, with the numbers, for sizes that contradict each other, a point that is not
    where its view puts it, an unknown label, a period that is no time, or a position that is not finite.
    """
    views, frames, points = len(message.views), int(message.num_frames), int(message.num_points)
    if not views or not frames or not points or points % views:
        raise ValueError(f"{points} points in {frames} frames cannot be the same number in each of {views} views")
    per_view = points // views
    shapes: dict[str, tuple[int, ...]] = {
        "positions": (frames, points, 3),
        "visible": (frames, points),
        "stddev": (frames, points),
        "label": (points,),
        "source_view": (points,),
    }
    arrays = {}
    for name, shape in shapes.items():
        flat = np.asarray(getattr(message, name))
        if flat.size != np.prod(shape):
            raise ValueError(
                f"{name} must have {' x '.join(map(str, shape))} = {np.prod(shape)} elements, got {flat.size}"
            )
        arrays[name] = flat.reshape(shape)
    if not np.array_equal(arrays["source_view"], np.repeat(np.arange(views), per_view)):
        raise ValueError(f"source_view does not say that each of {views} views has {per_view} points in a row")
    if arrays["label"].max() >= len(LABELS):
        raise ValueError(f"label {arrays['label'].max()} is not one of 0 to {len(LABELS) - 1}")
    if not np.isfinite(arrays["positions"]).all():
        raise ValueError("positions hold a number that is not finite")
    period_s = float(np.float32(message.frame_period_s))
    if not (np.isfinite(period_s) and period_s > 0):
        raise ValueError(f"frame_period_s must be positive, got {period_s}")
    stamp = message.header.stamp
    return RecordedTracks(
        stamp_ns=stamp.sec * 10**9 + stamp.nanosec,
        frame_id=message.header.frame_id,
        task=message.task,
        plan_id=message.plan_id,
        views=tuple(message.views),
        frame_period_s=period_s,
        positions=_by_view(arrays["positions"], views).astype(np.float32),
        visible=_by_view(arrays["visible"], views).astype(bool),
        stddev=_by_view(arrays["stddev"], views).astype(np.float32),
        label=arrays["label"].reshape(views, per_view).astype(np.uint8),
    )


def track_fields(tracks: RecordedTracks) -> dict[str, Any]:
    """Every field of the message but its header, as flat arrays: the inverse of unpack_tracks."""
    views, frames, per_view = tracks.positions.shape[:3]
    return {
        "task": tracks.task,
        "plan_id": tracks.plan_id,
        "views": list(tracks.views),
        "frame_period_s": tracks.frame_period_s,
        "num_frames": frames,
        "num_points": views * per_view,
        "positions": np.moveaxis(tracks.positions, 0, 1).astype(np.float32).ravel(),
        "visible": np.moveaxis(tracks.visible, 0, 1).astype(np.uint8).ravel(),
        "stddev": np.moveaxis(tracks.stddev, 0, 1).astype(np.float32).ravel(),
        "label": tracks.label.ravel(),
        "source_view": np.repeat(np.arange(views, dtype=np.uint8), per_view),
    }


def _by_view(array: np.ndarray, views: int) -> np.ndarray:
    """[T V*K ...] -> [V T K ...]."""
    split = array.reshape(array.shape[0], views, array.shape[1] // views, *array.shape[2:])
    return np.ascontiguousarray(np.moveaxis(split, 0, 1))
