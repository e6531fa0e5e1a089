"""`syncmv4d bench ros`: the generator node on real topics, its figures beside those that it should reach."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from syncmv4d_cli.ros_measurements import (
    CAMERAS,
    IMAGE_SIZE,
    Bench,
    Figure,
    cancel,
    memory,
    node_part,
    publish,
    transport,
    work,
)

PROFILE = "fastdds_shared_memory.xml"
Part = Literal["transport", "node", "work", "publish", "cancel", "memory"]


@dataclass(frozen=True)
class Ros:
    """Measure the generator node over DDS on this machine, each side in a process of its own, and compare with what is asked of it.

    Needs rclpy and the package's messages (pip install '.[ros]'), no torch: a stand-in for the model answers at once.
    transport: images to a bare subscriber, with and without the shared-memory profile. node: images to the node, and what it costs
    while nobody asks. work: the node's own code per image. publish: from a full-size prediction to its messages, by stage.
    cancel: denoising steps after a cancel. memory: growth over many requests, every tenth replaced at once by another.
    """

    seconds: float = 10.0
    """How long images are sent for each row of transport and node."""
    rate: float = 30.0
    """Sets of images per second; the latency asked for is one period."""
    requests: int = 1000
    """Of the memory part; growth is counted after the first tenth."""
    results: int = 10
    """Full-size results of the publish part, and cancels of the cancel part."""
    frames: int = 49
    """Of a full-size result."""
    points: int = 1600
    """Tracked points per view of a full-size result."""
    size: tuple[int, int] = (704, 480)
    """Width and height (px) of a full-size result's videos."""
    parts: tuple[Part, ...] = ("transport", "node", "work", "publish", "cancel", "memory")
    """What to measure."""
    save_json: Path | None = None
    """Also write every figure here."""

    def __post_init__(self) -> None:
        """ValueError naming the option."""
        for name, least in (
            ("seconds", 0.1),
            ("rate", 1),
            ("requests", 20),
            ("results", 1),
            ("frames", 2),
            ("points", 1),
        ):
            if not getattr(self, name) >= least:
                raise ValueError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        if min(self.size) < 2 or self.size[0] % 2 or self.size[1] % 2:
            raise ValueError(f"--size must be even numbers of pixels, got {self.size[0]} {self.size[1]}")


def bench_ros(options: Ros) -> None:
    """Print the table and write the JSON. ModuleNotFoundError without ROS, ValueError where something does not answer."""
    import syncmv4d_ros.probes  # noqa: F401  # says what is missing before anything starts
    from syncmv4d_ros.definitions import message_folder

    console = Console()
    parts = {
        "transport": transport, "node": node_part, "work": work, "publish": publish, "cancel": cancel, "memory": memory,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, Progress(console=console, transient=True) as progress:
        bench = Bench(options, progress, Path(folder), message_folder().parent / "config" / PROFILE)
        write_rig(bench.folder / "rig.yaml")
        for name in options.parts:
            parts[name](bench)
    console.print(table(bench.figures))
    if options.save_json is not None:
        asked = {name: value for name, value in vars(options).items() if name != "save_json"}
        content = {"options": asked, "figures": [vars(each) | {"met": each.met} for each in bench.figures]}
        options.save_json.parent.mkdir(parents=True, exist_ok=True)
        options.save_json.write_text(json.dumps(content, indent=1), encoding="utf-8")


def table(figures: Sequence[Figure]) -> Table:
    """One row per figure: median, 95th percentile, what is asked of which, and whether it is met."""
    made = Table(title="generator node over DDS on this machine")
    for column in ("", "measured", "unit", "median", "p95", "asked", "met"):
        made.add_column(column, justify="right" if column in ("median", "p95", "asked") else "left")
    part = ""
    for each in figures:
        if each.part != part:
            made.add_section()
        asked = "" if each.asked is None else f"{each.judged} <= {each.asked:.3g}"
        met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[each.met]
        shown = each.part if each.part != part else ""
        made.add_row(shown, each.name, each.unit, f"{each.median:.3g}", f"{each.p95:.3g}", asked, met)
        part = each.part
    return made


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
