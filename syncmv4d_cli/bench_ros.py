"""`syncmv4d bench ros`: the generator node on real topics, its figures beside those that it should reach."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from syncmv4d_cli.ros_figures import Figure, Ros, table
from syncmv4d_cli.ros_measurements import (
    CAMERAS,
    IMAGE_SIZE,
    Bench,
    cancel,
    memory,
    node_part,
    publish,
    transport,
    work,
)
from syncmv4d_model.data.atomic import check_writable, write_bytes

PROFILE = "fastdds_shared_memory.xml"


def bench_ros(options: Ros) -> None:
    """Print the table and write the JSON. ModuleNotFoundError without ROS, ValueError where something does not answer."""
    options.check()
    if options.save_json is not None:
        check_writable(options.save_json)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # the processes that it started end too
    import syncmv4d_ros.probes  # noqa: F401  # says what is missing before anything starts
    from syncmv4d_ros.definitions import message_folder

    console = Console()
    parts = {
        "transport": transport, "node": node_part, "work": work, "publish": publish, "cancel": cancel, "memory": memory,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Progress(console=console, transient=True) as progress:
        bench = Bench(options, progress, Path(folder), message_folder().parent / "config" / PROFILE)
        write_rig(bench.folder / "rig.yaml")
        try:
            for name in options.parts:
                parts[name](bench)
        finally:  # what was measured before a part failed is not lost
            progress.stop()
            show(bench.figures, options, console)


def show(figures: Sequence[Figure], options: Ros, console: Console) -> None:
    """The table, and the JSON where it was asked for."""
    console.print(table(figures))
    if options.save_json is not None:
        asked = {name: value for name, value in vars(options).items() if name != "save_json"}
        content = {"options": asked, "figures": [vars(each) | {"met": each.met} for each in figures]}
        write_bytes(options.save_json, json.dumps(content, indent=1).encode())


def write_rig(path: Path) -> None:
    """rig.yaml of cameras around a point 0.8 m above the world's origin; the node takes intrinsics from camera_info."""
    from syncmv4d_model.data import rig
    from syncmv4d_model.geometry import look_at

    width, height = IMAGE_SIZE
    target, up = np.array([0.0, 0.0, 0.8]), np.array([0.0, 0.0, 1.0])
    eyes = [np.array([0.9 * np.sin(a), -0.9 * np.cos(a), 1.3]) for a in np.linspace(-0.8, 0.8, len(CAMERAS))]
    poses = np.stack([look_at(eye, target, up) for eye in eyes])
    k = np.array([[1.2 * width, 0, (width - 1) / 2], [0, 1.2 * width, (height - 1) / 2], [0, 0, 1.0]])
    views, nothing = len(CAMERAS), (None,) * len(CAMERAS)
    rig.write_rig(path, rig.Rig(CAMERAS, nothing, (IMAGE_SIZE,) * views, np.stack([k] * views), poses, nothing))
