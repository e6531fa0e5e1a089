"""What `syncmv4d bench ros` can be told, and its figures beside what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.table import Table

from syncmv4d_cli.least import check_least

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
    """Of the memory part; growth is counted from the second tenth to the last."""
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

    def check(self) -> None:
        """ValueError naming the option."""
        check_least(self, {"seconds": 0.1, "rate": 1, "requests": 20, "results": 1, "frames": 2, "points": 1})
        if min(self.size) < 2 or self.size[0] % 2 or self.size[1] % 2:
            raise ValueError(f"--size must be even numbers of pixels, got {self.size[0]} {self.size[1]}")


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, and what is asked of it, which its `judged` value must not exceed."""

    part: str
    name: str
    unit: str
    median: float
    p95: float
    judged: Literal["median", "p95"] = "median"
    asked: float | None = None

    @property
    def met(self) -> bool | None:
        return None if self.asked is None else bool(getattr(self, self.judged) <= self.asked)


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
