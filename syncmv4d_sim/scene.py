"""A scene: everything that a sequence is made from, drawn from one seed before any physics runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.hand import HandShape
from syncmv4d_sim.objects import ObjectModel

PATH_HZ = 100.0
DURATION_S = 2.0


@dataclass(frozen=True)
class Ball:
    """One grain of what a cup holds."""

    radius_m: float
    position_tool: Float[np.ndarray, "3"]
    rgb: Float[np.ndarray, "3"]


@dataclass(frozen=True)
class Look:
    """What the picture shows besides the bodies' own colours; colours in 0..1."""

    table_rgb: Float[np.ndarray, "2 3"]
    table_pattern: str  # one of TABLE_PATTERNS
    table_scale_m: float  # edge of one pattern tile
    table_yaw: float
    wall_rgb: Float[np.ndarray, "3"]
    light_direction: Float[np.ndarray, "3"]  # from the light into the scene
    light_rgb: Float[np.ndarray, "3"]
    ambient: float


@dataclass(frozen=True)
class Scene:
    """One task to be simulated. World: z up, table top at z = 0, metres."""

    seed: int
    verb: str
    tool: ObjectModel
    target: ObjectModel
    hand: HandShape
    world_from_target_start: Float[np.ndarray, "4 4"]
    grip_from_tool: Float[np.ndarray, "4 4"]
    world_from_grip: Float[np.ndarray, "N 4 4"]  # planned, at PATH_HZ over DURATION_S; starts at rest
    balls: tuple[Ball, ...]  # only for "pour in some"
    look: Look
    text: str
    triplet: str  # "(verb, tool, target)", TACO's folder name

    @property
    def world_from_tool_start(self) -> Float[np.ndarray, "4 4"]:
        return self.world_from_grip[0] @ self.grip_from_tool
