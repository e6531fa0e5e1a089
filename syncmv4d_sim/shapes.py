"""What the procedural tools and targets share: drawn sizes, colours, placed collision primitives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.objects import CollisionPart

RING_BOXES = 12  # walls of hollow vessels, for collision
WOOD_RGB = np.array([[0.72, 0.5, 0.3], [0.55, 0.34, 0.18], [0.85, 0.68, 0.45], [0.35, 0.22, 0.13]])
STEEL_RGB = np.array([[0.75, 0.76, 0.78], [0.55, 0.57, 0.6], [0.35, 0.36, 0.38]])
ALONG_X = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # a cylinder's z laid along x
ALONG_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class Sizes:
    """Draws from a range: the middle 70 % for training, the two ends for unseen sizes."""

    rng: np.random.Generator
    novel: bool

    def __call__(self, low: float, high: float) -> float:
        place = self.rng.uniform(0.15, 0.85)
        if self.novel:
            place = self.rng.uniform(0.0, 0.13) + (0.87 if self.rng.random() < 0.5 else 0.0)
        return float(low + (high - low) * place)

    def vivid(self) -> Float[np.ndarray, "3"]:
        """A painted colour: any hue, mostly saturated."""
        hue, saturation, value = self.rng.uniform(0, 1), self.rng.uniform(0.45, 0.95), self.rng.uniform(0.4, 0.95)
        return hsv_rgb(float(hue), float(saturation), float(value))

    def finish(self, palette: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "3"]:
        return np.clip(palette[self.rng.integers(len(palette))] * self.rng.uniform(0.85, 1.15), 0.05, 1.0)

    def handle_rgb(self) -> Float[np.ndarray, "3"]:
        return self.finish(WOOD_RGB) if self.rng.random() < 0.4 else self.vivid()


def hsv_rgb(hue: float, saturation: float, value: float) -> Float[np.ndarray, "3"]:
    """Red, green, blue of a hue in turns."""
    phase = (np.array([5, 3, 1]) + hue * 6) % 6
    return value - value * saturation * np.clip(np.minimum(phase, 4 - phase), 0, 1)


def at(x: float, y: float, z: float, rotation: Float[np.ndarray, "3 3"] | None = None) -> Float[np.ndarray, "4 4"]:
    """A pose at a place, upright unless a rotation is given."""
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    if rotation is not None:
        pose[:3, :3] = rotation
    return pose


def ring(
    radius: float, half_wall: float, low: float, high: float, *, axis: str = "z", slope: float = 0.0
) -> list[CollisionPart]:
    """Boxes around a vessel's wall at mean radius `radius`; `slope` leans them outwards (radians)."""
    parts = []
    half_side = (radius + half_wall) * np.tan(np.pi / RING_BOXES)
    for angle in np.arange(RING_BOXES) * 2 * np.pi / RING_BOXES:
        around = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        lean = np.array([[np.cos(slope), 0, np.sin(slope)], [0, 1, 0], [-np.sin(slope), 0, np.cos(slope)]])
        rotation, centre = around @ lean, around @ np.array([radius, 0, (low + high) / 2])
        if axis == "x":
            order = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
            rotation, centre = order @ rotation, order @ centre
        half_height = (high - low) / 2 / np.cos(slope)
        parts.append(
            CollisionPart(
                "box",
                (half_wall, half_side, half_height),
                at(centre[0], centre[1], centre[2], rotation),
                1.2 if axis == "x" else 0.8,
            )
        )
    return parts
