"""What the cell's nodes ask a robot cell for, and where they get one: loaded late, by name. No rclpy, no simulator at import."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_model.data.sequence import Sequence
from syncmv4d_ros.parameters import LARGEST, check_ranges, parameter

SIMULATED = "syncmv4d_sim.cell:open_cell"


@runtime_checkable
class Outcome(Protocol):
    """What came of one plan."""

    @property
    def success(self) -> bool: ...

    @property
    def reason(self) -> str:
        """Why not; empty on success."""
        ...

    def as_dict(self) -> dict[str, object]:
        """Everything that was measured, as JSON takes it."""
        ...


@runtime_checkable
class Cell(Protocol):
    """Cameras on a scene, and an arm in it. Not for use by two threads at the same time."""

    @property
    def sequence(self) -> Sequence:
        """The scene's images (frame 0 is now), cameras, task and true tracks."""
        ...

    def execute(self, motion: Float[np.ndarray, "T 4 4"], *, frame_period_s: float) -> Outcome:
        """Move the tool by motion[n] = world_from_tool[n] @ inverse(world_from_tool[0]). ValueError for no such motion."""
        ...


@runtime_checkable
class FilmingCell(Cell, Protocol):
    """A cell whose cameras can be asked what they saw of the newest execution."""

    def film(self) -> UInt8[np.ndarray, "V T H W 3"]:
        """A picture per view of `sequence` and frame of the motion that was executed."""
        ...


@dataclass(frozen=True)
class CellParameters:
    """Which cell; nodes that are told the same have the same one."""

    cell: str = parameter(SIMULATED, "What makes the cell: module:function(split, scene, seed, height, width).")
    split: str = parameter("test_1", "Which split of the simulator's scenes.")
    scene: int = parameter(0, "Index of the scene.", low=0, high=LARGEST)
    seed: int = parameter(1, "Seed of the scenes.", low=0, high=LARGEST)
    height: int = parameter(240, "Height of the cameras' images, pixels.", low=32, high=2160)
    width: int = parameter(320, "Width of the cameras' images, pixels.", low=32, high=3840)

    def __post_init__(self) -> None:
        """ValueError naming the parameter."""
        check_ranges(self)


def open_cell(told: CellParameters) -> Cell:
    """Make the cell. ValueError for a name that leads nowhere; the maker's own errors as they are."""
    module, _, name = told.cell.partition(":")
    try:
        make = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        needs = "" if error.name == module else f"; it needs {error.name}: pip install '.[sim]' in SyncMV4D's folder"
        raise ValueError(f"parameter cell names {told.cell!r}, which cannot be imported{needs}") from error
    if not callable(make):
        raise ValueError(f"parameter cell must be module:function, and {told.cell!r} is not one")
    found = cast("Callable[..., Any]", make)(
        split=told.split, scene=told.scene, seed=told.seed, height=told.height, width=told.width
    )
    return cast(Cell, found)
