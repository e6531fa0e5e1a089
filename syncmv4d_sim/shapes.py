"""What the procedural tools and targets share: drawn sizes, colours, placed collision primitives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.families import FAMILIES, Range, draw_family
from syncmv4d_sim.meshes import MeshPart, ellipsoid, lathe, rounded_box
from syncmv4d_sim.objects import CollisionPart, ObjectModel
from syncmv4d_sim.textures import METALLIC, sample_texture

RING_BOXES = 12  # walls of hollow vessels, for collision
WOOD_RGB = np.array([[0.72, 0.5, 0.3], [0.55, 0.34, 0.18], [0.85, 0.68, 0.45], [0.35, 0.22, 0.13]])
STEEL_RGB = np.array([[0.75, 0.76, 0.78], [0.55, 0.57, 0.6], [0.35, 0.36, 0.38]])
PLAIN_SHARE = 0.5  # of parts, which have no texture
METAL_SHINE = 0.7
ALONG_X = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # a cylinder's z laid along x
ALONG_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


Solid = tuple[MeshPart, CollisionPart]


@dataclass(frozen=True)
class Sizes:
    """Draws from a range: the middle 70 % for training, the two ends for unseen sizes. Draws families and finishes too."""

    rng: np.random.Generator
    novel: bool
    look: Range = "known"
    drawn: list[str] = field(default_factory=list)  # "kind/family" of every shape drawn so far

    def __call__(self, low: float, high: float) -> float:
        place = self.rng.uniform(0.15, 0.85)
        if self.novel:
            place = self.rng.uniform(0.0, 0.13) + (0.87 if self.rng.random() < 0.5 else 0.0)
        return float(low + (high - low) * place)

    def family(self, kind: str) -> str:
        """A shape's family, noted down."""
        name = draw_family(kind, self.rng, self.look)
        self.drawn.append(f"{kind}/{name}")
        return name

    def wave(self, place: Float[np.ndarray, "N"], amount: float) -> Float[np.ndarray, "N"]:
        """A smooth random curve over 0..1 that stays within +-amount."""
        weights = self.rng.uniform(-1, 1, 3) / np.array([1.0, 2.0, 3.0])
        phases = self.rng.uniform(0, 2 * np.pi, 3)
        return amount / 1.9 * np.cos(np.pi * place[:, None] * np.arange(1, 4) + phases) @ weights

    def finished(self, model: ObjectModel) -> ObjectModel:
        """The object with textures on some of its parts, and with the names of the families that it is of."""
        return replace(model, parts=tuple(self.paint(part) for part in model.parts), shapes=tuple(self.drawn))

    def paint(self, part: MeshPart) -> MeshPart:
        """The part plain, or with a texture over its colour; metal takes what metal can have."""
        rng = self.rng
        shine = float(np.clip(part.shine + rng.uniform(-0.25, 0.25), 0, 1))
        if rng.random() < PLAIN_SHARE:
            return replace(part, shine=shine)
        is_metal = part.shine >= METAL_SHINE and self.look == "known"
        weights: dict[str, float] = {"photo": 0.4, "label": 0.4}
        if is_metal:
            weights = dict.fromkeys(FAMILIES["texture"].known, 0.0) | dict.fromkeys(METALLIC, 1.0)
        texture = sample_texture(
            rng, part.rgb, look=self.look, tile_m=float(rng.uniform(0.03, 0.14)), size_px=64, weights=weights
        )
        return replace(part, texture=texture, shine=shine)

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


def solid(
    kind: Literal["box", "cylinder", "ellipsoid"], size: tuple[float, float, float], rgb: Float[np.ndarray, "3"], *,
    place: tuple[float, float, float], rotation: Float[np.ndarray, "3 3"] | None = None, shine: float = 0.3,
) -> Solid:  # fmt: skip
    """A primitive that is seen as it collides; sizes are MuJoCo's half sizes."""
    pose = at(*place, rotation)
    if kind == "box":
        mesh = rounded_box(size, rgb, bevel_m=0.12 * min(size), shine=shine)
    elif kind == "cylinder":
        radius, half, rim = size[0], size[1], 0.1 * min(size[:2])
        profile = [(0.0, -half), (radius - rim, -half), (radius, -half + rim)]
        mesh = lathe([*profile, (radius, half - rim), (radius - rim, half), (0.0, half)], rgb, segments=20, shine=shine)
    else:
        mesh = ellipsoid(size, rgb, shine=shine)
    return mesh.turned(pose[:3, :3]).moved(place), CollisionPart(kind, size, pose)


def super_ellipse(
    half_x: float, half_y: float, *, exponent: float = 2.0, segments: int = 24
) -> Float[np.ndarray, "S 2"]:
    """A closed outline, counter-clockwise: 2 is an ellipse, more is squarer."""
    angle = (np.arange(segments) + 0.5) * 2 * np.pi / segments
    x, y = np.cos(angle), np.sin(angle)
    power = 2 / exponent
    return np.stack([half_x * np.sign(x) * np.abs(x) ** power, half_y * np.sign(y) * np.abs(y) ** power], -1)


def walls(
    outline: Float[np.ndarray, "S 2"], half_wall: float, low: float, high: float, *, lean: float
) -> list[CollisionPart]:
    """Boxes along a vessel's wall, whose middle runs along the outline; `lean` leans them outwards (radians)."""
    parts = []
    for start, end in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        middle, side = (start + end) / 2, end - start
        length = float(np.linalg.norm(side))
        outward = np.array([side[1], -side[0], 0]) / length
        up = np.array([0.0, 0, 1])
        leant = np.stack(
            [
                np.cos(lean) * outward - np.sin(lean) * up,
                np.cross(up, outward),
                np.sin(lean) * outward + np.cos(lean) * up,
            ],
            -1,
        )
        half = (half_wall, length / 2 + half_wall * 0.5, (high - low) / 2 / float(np.cos(lean)))
        parts.append(CollisionPart("box", half, at(middle[0], middle[1], (low + high) / 2, leant), 0.8))
    return parts


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
