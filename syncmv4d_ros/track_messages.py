"""PointTracks <-> arrays, for any class of the message: rclpy's, or one that a bag reader made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from syncmv4d_ros.planning import TrackedPoints
from syncmv4d_ros.stamps import nanoseconds

MAX_FRAMES = 10_000
MAX_POINTS = 1_000_000


@dataclass(frozen=True)
class ReceivedTracks:
    """A PointTracks message, checked."""

    points: TrackedPoints
    view_names: tuple[str, ...]
    source_view: UInt8[np.ndarray, "P"]
    task: str
    plan_id: str
    frame_id: str  # the world frame of the positions
    stamp_ns: int  # capture time of the reference images

    def by_view(self, names: Sequence[str] | None = None) -> ViewTracks:
        """The arrays as a Prediction has them, views in the order of `names` (the message's own when not given).

        ValueError for names that are not those of the views, and unless points come view after view, K of each.
        """
        order = self.view_names if names is None else tuple(names)
        if sorted(order) != sorted(self.view_names):
            raise ValueError(f"the views are {', '.join(self.view_names)}, not {', '.join(order)}")
        views = len(self.view_names)
        per_view, rest = divmod(len(self.source_view), max(views, 1))
        if rest or not np.array_equal(self.source_view, np.repeat(np.arange(views), per_view)):
            counts = np.bincount(self.source_view, minlength=views).tolist()
            raise ValueError(f"points do not come view after view with as many of each: {counts} of {views} views")
        points, index = self.points, [self.view_names.index(name) for name in order]
        split = (len(points.positions), views, per_view)
        return ViewTracks(
            view_names=order,
            positions=np.moveaxis(points.positions.reshape(*split, 3), 0, 1)[index],
            visible=np.moveaxis(points.visible.reshape(split), 0, 1)[index],
            stddev=np.moveaxis(points.stddev.reshape(split), 0, 1)[index],
            label=points.label.reshape(views, per_view)[index],
            frame_period_s=points.frame_period_s,
        )


@dataclass(frozen=True)
class ViewTracks:
    """Tracks in the layout of a Prediction."""

    view_names: tuple[str, ...]
    positions: Float32[np.ndarray, "V T K 3"]  # metres
    visible: Bool[np.ndarray, "V T K"]
    stddev: Float32[np.ndarray, "V T K"]  # metres, per axis; NaN where the model gives none
    label: UInt8[np.ndarray, "V K"]  # index into types.LABELS
    frame_period_s: float


def track_fields(points: TrackedPoints, *, view_names: Sequence[str], task: str, plan_id: str) -> dict[str, Any]:
    """Every field of a PointTracks but its header, arrays flat; point = v * K + k. ValueError unless every view has as many."""
    frames, count = points.visible.shape
    if not view_names or count % len(view_names):
        raise ValueError(f"{count} points cannot come from {len(view_names)} views with as many of each")
    return {
        "task": task,
        "plan_id": plan_id,
        "views": list(view_names),
        "frame_period_s": float(points.frame_period_s),
        "num_frames": frames,
        "num_points": count,
        "positions": points.positions.astype(np.float32).ravel(),
        "visible": points.visible.astype(np.uint8).ravel(),
        "stddev": points.stddev.astype(np.float32).ravel(),
        "label": points.label.astype(np.uint8).ravel(),
        "source_view": np.repeat(np.arange(len(view_names), dtype=np.uint8), count // len(view_names)),
    }


def read_point_tracks(message: Any) -> ReceivedTracks:
    """Arrays of a PointTracks. ValueError, with the numbers, if its arrays do not fit its sizes or its numbers make no sense."""
    frames, count = int(message.num_frames), int(message.num_points)
    if not (1 <= frames <= MAX_FRAMES and 0 <= count <= MAX_POINTS):
        raise ValueError(f"PointTracks claims {frames} frames of {count} points; 1 to {MAX_FRAMES}, up to {MAX_POINTS}")
    visible = _array(message, "visible", np.uint8, (frames, count))
    source_view = _array(message, "source_view", np.uint8, (count,))
    views = tuple(str(name) for name in message.views)
    if count and source_view.max() >= len(views):
        raise ValueError(f"PointTracks has source_view {int(source_view.max())}, but {len(views)} views")
    points = TrackedPoints(
        positions=_array(message, "positions", np.float32, (frames, count, 3)),
        visible=visible != 0,
        stddev=_array(message, "stddev", np.float32, (frames, count)),
        label=_array(message, "label", np.uint8, (count,)),
        frame_period_s=float(message.frame_period_s),
    )
    return ReceivedTracks(
        points=points,
        view_names=views,
        source_view=source_view,
        task=str(message.task),
        plan_id=str(message.plan_id),
        frame_id=str(message.header.frame_id),
        stamp_ns=nanoseconds(message.header.stamp),
    )


def _array(message: Any, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """A message's flat field as an array of our own."""
    field = getattr(message, name)
    field = np.frombuffer(field, dtype) if isinstance(field, bytes) else np.asarray(field, dtype=dtype)
    if field.shape != (int(np.prod(shape)),):
        raise ValueError(f"PointTracks' {name} has {field.size} numbers, {list(shape)} needs {int(np.prod(shape))}")
    return field.reshape(shape).copy()
