"""The procedural targets. Lengths are metres; sizes are drawn from the ranges written here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.families import Range
from syncmv4d_sim.meshes import MeshPart, from_rings, lathe, rounded_box
from syncmv4d_sim.objects import CollisionPart, ObjectModel, label_of
from syncmv4d_sim.shapes import (
    ALONG_X,
    RING_BOXES,
    STEEL_RGB,
    Sizes,
    Solid,
    at,
    ring,
    super_ellipse,
    walls,
)
from syncmv4d_sim.toys import make_toy

WALL_M = 0.004
SEGMENTS = 32


def make_target(name: str, rng: np.random.Generator, *, novel: bool, look: Range = "known") -> ObjectModel:
    """A target of that kind, of families that `look` allows; ValueError for an unknown name."""
    if name not in _TARGETS:
        raise ValueError(f"unknown target {name!r}; known: {', '.join(_TARGETS)}")
    sizes = Sizes(rng, novel, look)
    return sizes.finished(_TARGETS[name](sizes))


def _box(sizes: Sizes) -> ObjectModel:
    x, y, z = sizes(0.025, 0.06), sizes(0.025, 0.06), sizes(0.018, 0.05)
    rgb, family = sizes.vivid(), sizes.family("box")
    mesh = rounded_box((x, y, z), rgb, bevel_m=sizes(0.001, 0.006)).moved((0, 0, z))
    parts, width, thin = [mesh], sizes(0.15, 0.4), 1.012
    if family in ("banded", "parcel"):
        band = rounded_box((x * width, y * thin, z * thin), sizes.vivid(), bevel_m=0.001)
        parts.append(band.moved((0, 0, z * thin)))
    if family == "parcel":
        band = rounded_box((x * thin * 1.001, y * width, z * thin * 1.001), parts[1].rgb, bevel_m=0.001)
        parts.append(band.moved((0, 0, z * thin * 1.001)))
    if family == "lidded":
        lid, colour = z * sizes(0.12, 0.3), rgb * 0.75 if sizes.rng.random() < 0.5 else sizes.vivid()
        cover = rounded_box((x + 0.002, y + 0.002, lid), colour, bevel_m=0.0015)
        parts.append(cover.moved((0, 0, 2 * z - lid + 0.001)))
    if family == "rounded":
        outline = super_ellipse(x, y, exponent=sizes(4.0, 6.0), segments=SEGMENTS)
        layers = [(0.9, 0.0), (1.0, 0.12), (1.0, 1.88), (0.9, 2.0)]
        parts = [_from_layers(outline, [(scale, h * z) for scale, h in layers], rgb)]
    collision = CollisionPart("box", (x, y, z), at(0, 0, z))
    size, top = np.array([2 * x, 2 * y, 2 * z]), np.array([0, 0, 2 * z])
    return ObjectModel("box", label_of("target"), tuple(parts), (collision,), 0.25, size, top)


def _from_layers(
    outline: Float[np.ndarray, "S 2"], profile: list[tuple[float, float]], rgb: Float[np.ndarray, "3"]
) -> MeshPart:
    """A solid whose outline is scaled by the first of each pair at the height of the second; closed at both ends."""
    layers = [(0.0, profile[0][1]), *profile, (0.0, profile[-1][1])]
    rings = np.stack([np.column_stack([outline * scale, np.full(len(outline), h)]) for scale, h in layers])
    return from_rings(rings, rgb, shine=0.6)


def _vessel(
    name: str, sizes: Sizes, *, foot: float, rim: float, height: float, handle: tuple[float, float] | None = None
) -> ObjectModel:
    """A dish: foot radius, rim radius, height, and a pan's handle (length, radius)."""
    family = sizes.family("vessel")
    rgb = sizes.finish(STEEL_RGB) * 0.7 if name == "pan" and sizes.rng.random() < 0.7 else sizes.vivid()
    profile = _vessel_profile(sizes, family, foot=foot, rim=rim, height=height, deep=name == "bowl")
    half_x, half_y = {"square": (0.9, 0.9), "oval": (1.0, sizes(0.66, 0.82))}.get(family, (1.0, 1.0))
    exponent = 5.0 if family == "square" else 2.0
    outline = super_ellipse(half_x, half_y, exponent=exponent, segments=SEGMENTS)
    mesh = _from_layers(outline, [(r, h) for r, h in profile if r > 0], rgb)
    slope, middle = float(np.arctan2(rim - foot, height)), (foot + rim) / 2
    if family in ("square", "oval"):
        coarse = super_ellipse(half_x * middle, half_y * middle, exponent=exponent, segments=RING_BOXES)
        sides = walls(coarse, WALL_M / 2, WALL_M, height, lean=slope)
        kind, size = "box", (foot * half_x * 0.95, foot * half_y * (0.95 if family == "square" else 0.8), WALL_M / 2)
    else:
        sides = ring(middle, WALL_M / 2, WALL_M, height, slope=slope)
        kind, size = "cylinder", (foot, WALL_M / 2, 0.0)
    parts, collision = [mesh], [CollisionPart(kind, size, at(0, 0, WALL_M / 2)), *sides]
    if handle is not None:
        grip, capsule = _pan_handle(sizes, start=rim * half_x - 0.003, handle=handle, height=height * 0.8)
        parts, collision = [*parts, grip], [*collision, capsule]
    return ObjectModel(
        name,
        label_of("target"),
        tuple(parts),
        tuple(collision),
        0.35,
        np.array([2 * rim * half_x, 2 * rim * half_y, height]),
        np.array([0, 0, WALL_M]),
        details={"inner_radius": foot * min(half_x, half_y) - WALL_M},
    )


def _vessel_profile(
    sizes: Sizes, family: str, *, foot: float, rim: float, height: float, deep: bool
) -> list[tuple[float, float]]:
    """(radius, height) from the foot's edge over the rim to the inner floor's edge; near the line that collides."""
    wall, bend = WALL_M, sizes(0.35, 0.6)
    middle = foot + (rim - foot) * (0.75 if deep else 0.5)
    outside = [(foot, 0.0), (middle, height * bend), (rim, height)]
    if family in ("curved", "oval"):
        place = np.linspace(0, 1, 8)
        bulge = min(0.35 * (rim - foot), 0.006) * np.sin(np.pi * place) + sizes.wave(place, 0.0015) * (
            place * (1 - place) * 4
        )
        outside = [(float(foot + (rim - foot) * p + b), float(height * p)) for p, b in zip(place, bulge, strict=True)]
    if family == "rimmed":
        lip = min(0.3 * (rim - foot), 0.014)
        outside = [(foot, 0.0), (rim - lip, height - 0.004), (rim, height)]
    if family == "footed":
        raised = min(0.002, 0.1 * height)
        outside = [(foot * 0.86, raised), (foot * 0.88, 0.0), (foot * 0.97, 0.0), (foot, raised), *outside[1:]]
    inside = [(r - wall, h + wall * 0.5) for r, h in reversed(outside[:-1]) if h > 0.25 * height]
    return [*outside, (rim - wall * 0.6, height), *inside, (foot - wall, wall)]


def _pan_handle(sizes: Sizes, *, start: float, handle: tuple[float, float], height: float) -> Solid:
    length, radius = handle
    end = start + length
    place = np.linspace(0, 1, 8)
    radii = radius * (0.92 + sizes.wave(place, 0.12)) * np.where((place == 0) | (place == 1), 0.65, 1.0)
    profile = [
        (0.0, start),
        *((float(r), float(start + p * length)) for r, p in zip(radii, place, strict=True)),
        (0.0, end),
    ]
    rgb = sizes.handle_rgb() * (0.5 if sizes.rng.random() < 0.7 else 1.0)
    mesh = lathe(profile, rgb, axis="x", segments=14).moved((0, 0, height))
    capsule = CollisionPart("capsule", (radius, length / 2 - radius, 0.0), at((start + end) / 2, 0, height, ALONG_X))
    return mesh, capsule


def _plate(sizes: Sizes) -> ObjectModel:
    rim = sizes(0.065, 0.1)
    return _vessel("plate", sizes, foot=rim * sizes(0.62, 0.75), rim=rim, height=sizes(0.012, 0.022))


def _bowl(sizes: Sizes) -> ObjectModel:
    rim = sizes(0.055, 0.08)
    return _vessel("bowl", sizes, foot=rim * sizes(0.5, 0.65), rim=rim, height=sizes(0.04, 0.06))


def _pan(sizes: Sizes) -> ObjectModel:
    rim, height = sizes(0.068, 0.095), sizes(0.026, 0.042)
    handle = sizes(0.09, 0.14), sizes(0.008, 0.012)
    return _vessel("pan", sizes, foot=rim * sizes(0.82, 0.92), rim=rim, height=height, handle=handle)


_TARGETS: dict[str, Callable[[Sizes], ObjectModel]] = {
    "box": _box,
    "toy": make_toy,
    "plate": _plate,
    "bowl": _bowl,
    "pan": _pan,
}
