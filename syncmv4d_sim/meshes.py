"""Triangle meshes of simple solids, closed and facing outwards. Lengths are metres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from syncmv4d_sim.textures import Texture


@dataclass(frozen=True)
class MeshPart:
    """A mesh of one colour, or of one texture laid on by a projection, and one finish."""

    vertices: Float[np.ndarray, "P 3"]
    faces: Int[np.ndarray, "F 3"]
    rgb: Float[np.ndarray, "3"]
    shine: float = 0.3  # 0 matt .. 1 glossy
    texture: Texture | None = None
    around: Literal["box", "x", "y", "z"] = "box"  # from six sides, or around the part's own axis

    @property
    def area_m2(self) -> float:
        corners = self.vertices[self.faces]
        sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return float(np.linalg.norm(sides, axis=1).sum() / 2)

    def moved(self, offset_m: tuple[float, float, float]) -> MeshPart:
        return replace(self, vertices=self.vertices + np.asarray(offset_m))

    def turned(self, rotation: Float[np.ndarray, "3 3"]) -> MeshPart:
        return replace(self, vertices=self.vertices @ rotation.T)


def texture_coordinates(part: MeshPart) -> Float[np.ndarray, "F 3 2"]:
    """Where each face's corners lie in the part's texture; 1 is one repetition. A face has its own, so no seam shows."""
    assert part.texture is not None
    corners = part.vertices[part.faces]
    normal = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    tile = part.texture.tile_m
    across = np.array([[1, 2], [0, 2], [0, 1]])[normal.argmax(1)]
    flat = np.take_along_axis(corners, across[:, None, :].repeat(3, 1), 2) / tile
    if part.around == "box":
        return flat
    axis = "xyz".index(part.around)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    centred = corners - (part.vertices.min(0) + part.vertices.max(0)) / 2
    turn = np.arctan2(centred[..., j], centred[..., i]) / (2 * np.pi)
    turn -= np.round(turn - turn[:, :1])
    radius = np.median(np.hypot(centred[..., i], centred[..., j]))
    rolled = np.stack([centred[..., axis] / tile, turn * max(1, round(2 * np.pi * radius / tile))], -1)
    is_end = normal[:, axis] > 0.9 * np.linalg.norm(normal, axis=1)
    return np.where(is_end[:, None, None], flat, rolled)


def lathe(
    profile: list[tuple[float, float]],
    rgb: Float[np.ndarray, "3"],
    *,
    axis: Literal["x", "y", "z"] = "z",
    segments: int = 24,
    shine: float = 0.3,
) -> MeshPart:
    """Revolve (radius, height) pairs about `axis`, in order from the lowest outer point; radius 0 closes an end.

    The profile runs counter-clockwise seen with the radius to the right, so that faces look outwards.
    """
    angle = np.arange(segments) * 2 * np.pi / segments
    rings = np.array([[(r * np.cos(a), r * np.sin(a), h) for a in angle] for r, h in profile])
    part = from_rings(_to_axis(rings.reshape(-1, 3), axis).reshape(rings.shape), rgb, shine=shine)
    return replace(part, around=axis)


def from_rings(rings: Float[np.ndarray, "R S 3"], rgb: Float[np.ndarray, "3"], *, shine: float = 0.3) -> MeshPart:
    """Join rings of points, each counter-clockwise seen from where they lead to; a ring of one place closes an end."""
    index = np.arange(rings.shape[0] * rings.shape[1]).reshape(rings.shape[:2])
    low, high = index[:-1], index[1:]
    next_low, next_high = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    faces = np.concatenate([np.stack([low, next_low, next_high], -1), np.stack([low, next_high, high], -1)])
    return _clean(rings.reshape(-1, 3), faces.reshape(-1, 3), rgb, shine=shine)


def tube(
    path: Float[np.ndarray, "R 3"], radii: Float[np.ndarray, "R S"], rgb: Float[np.ndarray, "3"], *, shine: float = 0.3
) -> MeshPart:
    """A closed tube along a path, its radius given by ring and by angle (counter-clockwise about the path from +x)."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    first = np.array([1.0, 0, 0]) if abs(along[0, 0]) < 0.8 else np.array([0.0, 1, 0])
    first = first - (along @ first)[:, None] * along
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angle = np.arange(radii.shape[1]) * 2 * np.pi / radii.shape[1]
    out = np.cos(angle)[:, None] * first[:, None] + np.sin(angle)[:, None] * second[:, None]
    rings = path[:, None] + radii[..., None] * out
    ends = np.repeat(path[[0, -1], None], radii.shape[1], axis=1)
    part = from_rings(np.concatenate([ends[:1], rings, ends[1:]]), rgb, shine=shine)
    return replace(part, around="xyz"[int(np.abs(path[-1] - path[0]).argmax())])


def joined(parts: list[MeshPart]) -> MeshPart:
    """Several meshes as one, in the finish of the first."""
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=False)])
    return replace(parts[0], vertices=np.concatenate([part.vertices for part in parts]), faces=faces)


def rounded_box(
    half: tuple[float, float, float], rgb: Float[np.ndarray, "3"], *, bevel_m: float = 0.0, shine: float = 0.3
) -> MeshPart:
    """A box of half sizes `half` whose vertical edges and rims are bevelled."""
    x, y, z = half
    bevel = max(min(bevel_m, 0.45 * min(half)), 1e-5)

    def outline(inset: float) -> list[tuple[float, float]]:
        a, b, c = x - inset, y - inset, bevel
        return [(a, -b + c), (a, b - c), (a - c, b), (-a + c, b), (-a, b - c), (-a, -b + c), (-a + c, -b), (a - c, -b)]

    levels = [(bevel, -z), (0.0, -z + bevel), (0.0, z - bevel), (bevel, z)]
    rings = [[(px, py, h) for px, py in outline(inset)] for inset, h in levels]
    return from_rings(np.array([[(0.0, 0.0, -z)] * 8, *rings, [(0.0, 0.0, z)] * 8]), rgb, shine=shine)


def ellipsoid(
    radii: tuple[float, float, float], rgb: Float[np.ndarray, "3"], *, segments: int = 16, shine: float = 0.3
) -> MeshPart:
    """An ellipsoid about the origin."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    unit = lathe([(max(np.cos(a), 0.0), np.sin(a)) for a in latitude], rgb, segments=segments, shine=shine)
    return replace(unit, vertices=unit.vertices * np.array(radii))


def extruded(
    outline: list[tuple[float, float]], half_width_m: float, rgb: Float[np.ndarray, "3"], *, shine: float = 0.3
) -> MeshPart:
    """A (x, z) outline, counter-clockwise seen from -y, extruded along y by +-half_width_m.

    From the middle of its corners all of the outline must be in sight.
    """
    middle = np.mean(outline, axis=0)
    ring = [(x, -half_width_m, z) for x, z in outline]
    ends = [[(middle[0], y, middle[1])] * len(outline) for y in (-half_width_m, half_width_m)]
    rings = np.array([ends[0], ring, [(x, half_width_m, z) for x, _, z in ring], ends[1]])
    return from_rings(rings[:, ::-1] if _is_clockwise(rings) else rings, rgb, shine=shine)


def slab(
    outline: Float[np.ndarray, "S 2"], low: float, high: float, rgb: Float[np.ndarray, "3"], *, shine: float = 0.3
) -> MeshPart:
    """An (x, y) outline, counter-clockwise seen from +z, between two heights; seen whole from its corners' middle."""
    middle = np.broadcast_to(outline.mean(0), outline.shape)
    layers = [(middle, low), (outline, low), (outline, high), (middle, high)]
    return from_rings(np.stack([np.column_stack([xy, np.full(len(xy), z)]) for xy, z in layers]), rgb, shine=shine)


def _is_clockwise(rings: Float[np.ndarray, "R S 3"]) -> bool:
    """Seen from +y."""
    x, z = rings[1, :, 0], rings[1, :, 2]
    return bool(np.sum(x * np.roll(z, -1) - z * np.roll(x, -1)) > 0)


def _to_axis(vertices: Float[np.ndarray, "P 3"], axis: str) -> Float[np.ndarray, "P 3"]:
    order = {"z": [0, 1, 2], "x": [2, 0, 1], "y": [1, 2, 0]}[axis]
    return vertices[:, order]


def _clean(
    vertices: Float[np.ndarray, "P 3"], faces: Int[np.ndarray, "F 3"], rgb: Float[np.ndarray, "3"], *, shine: float
) -> MeshPart:
    """Merge equal vertices, drop faces without area."""
    merged, index = np.unique(np.round(vertices, 7), axis=0, return_inverse=True)
    faces = index.reshape(-1)[faces]
    corners = merged[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return MeshPart(merged, faces[area > 1e-12], np.asarray(rgb, float), shine)
