"""Triangle meshes of simple solids, closed and facing outwards. Lengths are metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class MeshPart:
    """A mesh of one colour and finish."""

    vertices: Float[np.ndarray, "P 3"]
    faces: Int[np.ndarray, "F 3"]
    rgb: Float[np.ndarray, "3"]
    shine: float = 0.3  # 0 matt .. 1 glossy

    def moved(self, offset_m: tuple[float, float, float]) -> MeshPart:
        return MeshPart(self.vertices + np.asarray(offset_m), self.faces, self.rgb, self.shine)


def lathe(
    profile: list[tuple[float, float]],
    rgb: Float[np.ndarray, "3"],
    *,
    axis: str = "z",
    segments: int = 24,
    shine: float = 0.3,
) -> MeshPart:
    """Revolve (radius, height) pairs about `axis`, in order from the lowest outer point; radius 0 closes an end.

    The profile runs counter-clockwise seen with the radius to the right, so that faces look outwards.
    """
    angle = np.arange(segments) * 2 * np.pi / segments
    rings = np.array([[(r * np.cos(a), r * np.sin(a), h) for a in angle] for r, h in profile])
    index = np.arange(len(profile) * segments).reshape(len(profile), segments)
    low, high = index[:-1], index[1:]
    next_low, next_high = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    faces = np.concatenate([np.stack([low, next_low, next_high], -1), np.stack([low, next_high, high], -1)])
    return _clean(_to_axis(rings.reshape(-1, 3), axis), faces.reshape(-1, 3), rgb, shine=shine)


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
    vertices = np.array([[(0.0, 0.0, -z)] * 8, *rings, [(0.0, 0.0, z)] * 8]).reshape(-1, 3)
    index = np.arange(len(vertices)).reshape(6, 8)
    low, high = index[:-1], index[1:]
    next_low, next_high = np.roll(low, -1, axis=1), np.roll(high, -1, axis=1)
    faces = np.concatenate([np.stack([low, next_low, next_high], -1), np.stack([low, next_high, high], -1)])
    return _clean(vertices, faces.reshape(-1, 3), rgb, shine=shine)


def ellipsoid(
    radii: tuple[float, float, float], rgb: Float[np.ndarray, "3"], *, segments: int = 16, shine: float = 0.3
) -> MeshPart:
    """An ellipsoid about the origin."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    unit = lathe([(max(np.cos(a), 0.0), np.sin(a)) for a in latitude], rgb, segments=segments, shine=shine)
    return MeshPart(unit.vertices * np.array(radii), unit.faces, rgb, shine)


def extruded(
    outline: list[tuple[float, float]], half_width_m: float, rgb: Float[np.ndarray, "3"], *, shine: float = 0.3
) -> MeshPart:
    """A convex (x, z) outline, counter-clockwise seen from -y, extruded along y by +-half_width_m."""
    count = len(outline)
    vertices = np.array([(x, y, z) for y in (-half_width_m, half_width_m) for x, z in outline])
    ring = np.arange(count)
    following = (ring + 1) % count
    sides = [np.stack([ring, ring + count, following + count], -1), np.stack([ring, following + count, following], -1)]
    fan = np.stack([np.zeros(count - 2, int), ring[1:-1], ring[2:]], -1)
    return _clean(vertices, np.concatenate([*sides, fan, fan[:, ::-1] + count]), rgb, shine=shine)


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
