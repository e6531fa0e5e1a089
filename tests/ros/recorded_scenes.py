"""Real bags for tests: a small rig's images with whatever a test wants to be different."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from syncmv4d_model.data.rig import Rig
from syncmv4d_ros.recorder import (
    Recorder,
    Storage,
    record_camera_info,
    record_image,
    record_rig,
)
from syncmv4d_ros.stamps import NS
from tests.model.scene_folders import small_rig

START_NS = 1_700_000_000 * NS
PERIOD_NS = NS // 8


def moments(count: int = 5, *, start_ns: int = START_NS, period_ns: int = PERIOD_NS) -> list[int]:
    """`count` stamps, one period apart."""
    return [start_ns + n * period_ns for n in range(count)]


def painted(view: int, n: int, rig: Rig) -> np.ndarray:
    """An image that says whose it is: red is the view, green the number of the image."""
    width, height = rig.sizes[view]
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = 50 * view + 10, n
    return image


def record(
    path: Path,
    *,
    rig: Rig | None = None,
    stamps: Mapping[str, list[int]] | None = None,
    received: Callable[[str, int], int] = lambda name, stamp_ns: stamp_ns,
    tasks: Mapping[int, str] | None = None,
    infos: bool = True,
    tf: bool = True,
    world_frame: str = "world",
    info_changes: Mapping[str, Mapping[str, Any]] | None = None,
    more: Callable[[Recorder], None] = lambda recorder: None,
    storage: Storage = "mcap",
) -> Path:
    """A bag of painted images; `tasks` are by time of reception, `info_changes` are arguments of record_camera_info."""
    rig = rig or small_rig(2, width=16, height=12)
    stamps = stamps if stamps is not None else {name: moments() for name in rig.view_names}
    with Recorder(path, storage=storage) as recorder:
        if tf:
            record_rig(
                recorder,
                dict(zip(rig.view_names, rig.camera_from_world, strict=True)),
                START_NS,
                world_frame=world_frame,
            )
        for view, name in enumerate(rig.view_names):
            changes = {
                "intrinsics": rig.intrinsics[view],
                "size": rig.sizes[view],
                **(info_changes or {}).get(name, {}),
            }
            for n, stamp_ns in enumerate(stamps.get(name, [])):
                record_image(recorder, name, painted(view, n, rig), stamp_ns)
                if infos:
                    record_camera_info(recorder, name, stamp_ns=stamp_ns, **changes)
        for time_ns, task in (tasks if tasks is not None else {START_NS + 1: "push the box"}).items():
            recorder.write("/task", recorder.message("std_msgs/msg/String", data=task), time_ns)
        more(recorder)
    return path


def transform_message(recorder: Recorder, parent: str, child: str, *, translation: tuple, rotation: tuple) -> Any:
    """A TFMessage with one transform."""
    x, y, z = translation
    qx, qy, qz, qw = rotation
    message = recorder.message
    return message(
        "tf2_msgs/msg/TFMessage",
        transforms=[
            message(
                "geometry_msgs/msg/TransformStamped",
                header=recorder.header(START_NS, parent),
                child_frame_id=child,
                transform=message(
                    "geometry_msgs/msg/Transform",
                    translation=message("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
                    rotation=message("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
                ),
            )
        ],
    )
