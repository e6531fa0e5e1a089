"""Tracks, paths and generated frames in standard messages, for RViz, Foxglove and image viewers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from syncmv4d_model.results import LABEL_COLOURS
from syncmv4d_model.types import LABELS, Prediction
from syncmv4d_ros.conversions import byte_field
from syncmv4d_ros.planning import BodyTrajectory, TrackedPoints
from syncmv4d_ros.sent_messages import camera_info_message, header_message, image_message

CLOUD = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("rgb", "<u4"),
        ("stddev", "<f4"),
        ("time_s", "<f4"),
        ("label", "u1"),
        ("visible", "u1"),
    ]
    + [("padding", "V2")]
)
"""One point of the PointCloud2 mirror; rgb is packed as RViz reads it."""
TRACKS_PER_LABEL, DRAWN_FRAMES = 24, 13  # as lines; a marker's points are Python objects
TRACK_WIDTH_M = 0.001
PATH_WIDTH_M = 0.004


def cloud_array(points: TrackedPoints, frame: int | None = None) -> np.ndarray:
    """The points of one frame, or of all, as a flat array of CLOUD."""
    frames = np.arange(len(points.positions))[slice(None) if frame is None else slice(frame, frame + 1)]
    first, last = frames[0], frames[-1] + 1
    colours = np.array([(r << 16) | (g << 8) | b for r, g, b in LABEL_COLOURS], np.uint32)
    cloud = np.zeros((len(frames), len(points.label)), CLOUD)
    for axis, name in enumerate("xyz"):
        cloud[name] = points.positions[first:last, :, axis]
    cloud["rgb"], cloud["label"] = colours[points.label], points.label
    cloud["stddev"], cloud["visible"] = points.stddev[first:last], points.visible[first:last]
    cloud["time_s"] = (frames * points.frame_period_s)[:, None]
    return cloud.ravel()


def cloud_fields() -> list[tuple[str, str, int]]:
    """(name, numpy type, byte offset) of what a point of the cloud holds."""
    fields = CLOUD.fields or {}
    return [(name, field[0].str, field[1]) for name, field in fields.items() if name != "padding"]


def point_cloud_message(points: TrackedPoints, header: Any, *, frame: int | None = None) -> Any:
    """sensor_msgs/PointCloud2 of one frame, or of all: x y z rgb stddev time_s label visible."""
    from sensor_msgs.msg import PointCloud2, PointField

    kinds = {"<f4": PointField.FLOAT32, "<u4": PointField.FLOAT32, "|u1": PointField.UINT8}  # rgb travels as a float
    cloud = cloud_array(points, frame)
    message = PointCloud2(header=header, height=1, width=len(cloud), is_bigendian=False, is_dense=True)
    for name, kind, offset in cloud_fields():
        message.fields.append(PointField(name=name, offset=offset, datatype=kinds[kind], count=1))
    message.point_step, message.row_step = CLOUD.itemsize, CLOUD.itemsize * len(cloud)
    message.data = byte_field(cloud.view(np.uint8))
    return message


def marker_array_message(points: TrackedPoints, bodies: Sequence[BodyTrajectory], header: Any) -> Any:
    """visualization_msgs/MarkerArray: what was shown before goes, then tracks as thin lines per label, and paths of bodies.

    Up to TRACKS_PER_LABEL tracks of each label are drawn, at up to DRAWN_FRAMES frames, evenly chosen; a body's path through its valid frames only.
    """
    from visualization_msgs.msg import Marker, MarkerArray

    markers = [Marker(header=header, action=Marker.DELETEALL)]
    frames = np.unique(np.linspace(0, len(points.positions) - 1, DRAWN_FRAMES).astype(int))
    for index, label in enumerate(LABELS):
        chosen = drawn_points(points, index)
        if not len(chosen) or len(points.positions) < 2:
            continue
        lines = points.positions[np.ix_(frames, chosen)].swapaxes(0, 1)  # [point frame xyz]
        ends = np.stack([lines[:, :-1], lines[:, 1:]], axis=2).reshape(-1, 3)
        markers.append(
            _lines(header, f"tracks/{label}", ends, kind=Marker.LINE_LIST, width_m=TRACK_WIDTH_M, label=index)
        )
    for body in bodies:
        path = body.poses[body.valid][:, :3, 3]
        label = LABELS.index(body.label) if body.label in LABELS else LABELS.index("hand")
        if len(path) > 1:
            name = f"paths/{body.label}"
            markers.append(_lines(header, name, path, kind=Marker.LINE_STRIP, width_m=PATH_WIDTH_M, label=label))
    return MarkerArray(markers=markers)


def drawn_points(points: TrackedPoints, label: int) -> Int64[np.ndarray, "N"]:
    """Indices of the points of a label whose tracks are drawn."""
    labelled = np.flatnonzero(points.label == label)
    if len(labelled) <= TRACKS_PER_LABEL:
        return labelled
    return labelled[np.linspace(0, len(labelled) - 1, TRACKS_PER_LABEL).astype(int)]


def replay_messages(
    prediction: Prediction,
    *,
    view: int,
    frame: int,
    frame_id: str,
    stamp: Any,
    rectification: Float[np.ndarray, "3 3"] | None = None,
) -> tuple[Any, Any]:
    """One generated frame as (Image, CameraInfo of its K); frame_id is the camera's optical frame, stamp when it is sent.

    `rectification` is the Calibration's, for a camera whose images arrived rectified.
    """
    image = prediction.video[view, frame]
    height, width = image.shape[:2]
    info = camera_info_message(
        prediction.intrinsics[view],
        header_message(frame_id, stamp),
        width=width,
        height=height,
        rectification=rectification,
    )
    return image_message(image, header_message(frame_id, stamp)), info


def _lines(header: Any, name: str, points: np.ndarray, *, kind: int, width_m: float, label: int) -> Any:
    from geometry_msgs.msg import Point
    from std_msgs.msg import ColorRGBA
    from visualization_msgs.msg import Marker

    marker = Marker(header=header, ns=name, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale.x = width_m
    red, green, blue = (channel / 255 for channel in LABEL_COLOURS[label])
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=0.9)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in points.astype(np.float64).tolist()]
    return marker
