"""The procedural tools. Lengths are metres; sizes are drawn from the ranges written here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.meshes import MeshPart, ellipsoid, extruded, lathe, rounded_box
from syncmv4d_sim.objects import CollisionPart, ObjectModel, label_of
from syncmv4d_sim.shapes import ALONG_X, ALONG_Y, STEEL_RGB, WOOD_RGB, Sizes, at, ring


def make_tool(name: str, rng: np.random.Generator, *, novel: bool) -> ObjectModel:
    """A tool of that kind; ValueError for an unknown name."""
    if name not in _TOOLS:
        raise ValueError(f"unknown tool {name!r}; known: {', '.join(_TOOLS)}")
    return _TOOLS[name](Sizes(rng, novel))


def _handle(sizes: Sizes, length: float, radius: float) -> tuple[MeshPart, CollisionPart]:
    """A turned grip along x, slightly swollen in the middle, and its capsule."""
    swell, end = sizes(1.0, 1.12), sizes(0.7, 0.95)
    half = length / 2
    profile = [(0.0, -half), (end * radius * 0.8, -half), (end * radius, -half + 0.006), (radius * swell, -half * 0.3)]
    profile += [(radius, half * 0.5), (radius * 0.8, half - 0.004), (radius * 0.6, half), (0.0, half)]
    mesh = lathe(profile, sizes.handle_rgb(), axis="x", segments=20, shine=0.35)
    return mesh, CollisionPart("capsule", (radius, half - radius, 0.0), at(0, 0, 0, ALONG_X), 1.2)


def _shaft(start_x: float, end_x: float, radius: float, rgb: Float[np.ndarray, "3"]) -> tuple[MeshPart, CollisionPart]:
    profile = [(0.0, start_x), (radius, start_x), (radius, end_x), (0.0, end_x)]
    part = CollisionPart("capsule", (radius, (end_x - start_x) / 2, 0.0), at((start_x + end_x) / 2, 0, 0, ALONG_X))
    return lathe(profile, rgb, axis="x", segments=12, shine=0.8), part


def _tool(
    name: str, parts: list[tuple[MeshPart, CollisionPart]], *, extra: list[MeshPart] | None = None, mass_kg: float,
    size_m: tuple[float, float, float], work_point: tuple[float, float, float], handle: tuple[float, float],
    details: dict[str, float] | None = None,
) -> ObjectModel:  # fmt: skip
    return ObjectModel(
        name,
        label_of("tool"),
        tuple([mesh for mesh, _ in parts] + (extra or [])),
        tuple(part for _, part in parts),
        mass_kg,
        np.array(size_m),
        np.array(work_point),
        handle_radius_m=handle[0],
        handle_length_m=handle[1],
        details=details or {},
    )


def _hammer(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.011, 0.016), sizes(0.11, 0.15)
    reach, head, half = sizes(0.035, 0.085), sizes(0.014, 0.024), sizes(0.028, 0.048)
    steel, x = sizes.finish(STEEL_RGB), length / 2 + reach
    profile = [(0.0, -half), (head, -half), (head, -half * 0.45), (head * 0.7, -half * 0.3)]
    profile += [(head * 0.75, half * 0.5), (head * sizes(0.3, 0.9), half), (0.0, half)]
    mesh = lathe(profile, steel if sizes.rng.random() < 0.7 else sizes.vivid(), segments=20, shine=0.8).moved((x, 0, 0))
    parts = [_handle(sizes, length, radius), _shaft(length / 2 - 0.01, x, radius * 0.65, sizes.handle_rgb())]
    parts.append((mesh, CollisionPart("cylinder", (head, half, 0.0), at(x, 0, 0))))
    return _tool(
        "hammer",
        parts,
        mass_kg=0.16,
        size_m=(2 * head, 2 * head, 2 * half),
        work_point=(x, 0, -half),
        handle=(radius, length),
    )


def _spatula(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.010, 0.014), sizes(0.11, 0.14)
    reach, blade, width = sizes(0.03, 0.07), sizes(0.055, 0.1), sizes(0.02, 0.038)
    steel, start = sizes.finish(STEEL_RGB) if sizes.rng.random() < 0.5 else sizes.vivid(), length / 2 + reach
    mesh = rounded_box((blade / 2, width, 0.002), steel, shine=0.6).moved((start + blade / 2, 0, 0))
    taper = sizes(0.6, 1.0)
    near = mesh.vertices[:, 0] < start + blade / 2
    vertices = mesh.vertices * np.where(near, taper, 1.0)[:, None] ** np.array([0, 1, 0])
    parts = [_handle(sizes, length, radius), _shaft(length / 2 - 0.01, start + 0.01, 0.0045, sizes.finish(STEEL_RGB))]
    collision = CollisionPart("box", (blade / 2, width, 0.003), at(start + blade / 2, 0, 0))
    parts.append((MeshPart(vertices, mesh.faces, mesh.rgb, mesh.shine), collision))
    return _tool(
        "spatula",
        parts,
        mass_kg=0.09,
        size_m=(blade, 2 * width, 0.004),
        work_point=(start + blade, 0, -0.002),
        handle=(radius, length),
    )


def _knife(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.011, 0.015), sizes(0.10, 0.13)
    blade, drop = sizes(0.10, 0.17), sizes(0.018, 0.036)
    start, end = length / 2 - 0.005, length / 2 + blade
    point = sizes(0.1, 0.45) * blade
    top = radius * 0.5
    outline = [(start, top), (start, -drop), (end - point, -drop), (end, -drop * 0.1), (end - point * 0.6, top)]
    mesh = extruded(outline, 0.0016, sizes.finish(STEEL_RGB[:2]), shine=0.9)
    parts = [_handle(sizes, length, radius)]
    box = CollisionPart(
        "box", ((end - start) / 2, 0.002, (top + drop) / 2), at((start + end) / 2, 0, (top - drop) / 2), 0.3
    )
    parts.append((mesh, box))
    middle = start + 0.55 * (end - start)
    return _tool(
        "knife",
        parts,
        mass_kg=0.11,
        size_m=(blade, 0.003, drop),
        work_point=(middle, 0, -drop),
        handle=(radius, length),
    )


def _brush(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.010, 0.015), sizes(0.11, 0.14)
    reach, half, width, bristle = sizes(0.02, 0.045), sizes(0.03, 0.05), sizes(0.014, 0.026), sizes(0.022, 0.038)
    x, block, colour = length / 2 + reach + half, 0.008, sizes.handle_rgb()
    wood = rounded_box((half, width, block), colour, bevel_m=0.004).moved((x, 0, 0))
    hair = rounded_box((half * 0.94, width * 0.9, bristle / 2), sizes.vivid(), bevel_m=0.002, shine=0.0)
    parts = [_handle(sizes, length, radius), _shaft(length / 2 - 0.01, x - half + 0.005, radius * 0.6, colour)]
    low = -block - bristle
    middle = at(x, 0, (block + low) / 2)
    parts.append((wood, CollisionPart("box", (half, width, (block - low) / 2), middle, 0.4)))
    hair = hair.moved((x, 0, -block - bristle / 2))
    return _tool(
        "brush",
        parts,
        extra=[hair],
        mass_kg=0.09,
        size_m=(2 * half, 2 * width, bristle),
        work_point=(x, 0, low),
        handle=(radius, length),
    )


def _roller(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.011, 0.015), sizes(0.10, 0.13)
    reach, drum, half = sizes(0.04, 0.07), sizes(0.018, 0.03), sizes(0.032, 0.055)
    x, steel = length / 2 + reach + drum, sizes.finish(STEEL_RGB)
    profile = [
        (0.0, -half),
        (drum * 0.9, -half),
        (drum, -half + 0.004),
        (drum, half - 0.004),
        (drum * 0.9, half),
        (0.0, half),
    ]
    mesh = lathe(profile, sizes.vivid(), axis="y", segments=20, shine=0.05).moved((x, 0, 0))
    parts = [_handle(sizes, length, radius), _shaft(length / 2 - 0.01, x, 0.005, steel)]
    parts.append((mesh, CollisionPart("cylinder", (drum, half, 0.0), at(x, 0, 0, ALONG_Y), 0.5)))
    return _tool(
        "roller",
        parts,
        mass_kg=0.11,
        size_m=(2 * drum, 2 * half, 2 * drum),
        work_point=(x, 0, -drum),
        handle=(radius, length),
    )


def _spoon(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.009, 0.013), sizes(0.11, 0.14)
    reach, half, width = sizes(0.04, 0.08), sizes(0.024, 0.036), sizes(0.017, 0.026)
    x, colour = (
        length / 2 + reach + half,
        sizes.finish(WOOD_RGB) if sizes.rng.random() < 0.5 else sizes.finish(STEEL_RGB),
    )
    bowl = ellipsoid((half, width, 0.009), colour, shine=0.5).moved((x, 0, 0))
    parts = [_handle(sizes, length, radius), _shaft(length / 2 - 0.01, x - half + 0.008, 0.0045, colour)]
    parts.append((bowl, CollisionPart("ellipsoid", (half, width, 0.009), at(x, 0, 0))))
    return _tool(
        "spoon",
        parts,
        mass_kg=0.06,
        size_m=(2 * half, 2 * width, 0.018),
        work_point=(x + half, 0, -0.002),
        handle=(radius, length),
    )


def _cup(sizes: Sizes) -> ObjectModel:
    radius, height = sizes(0.026, 0.034), sizes(0.085, 0.115)
    half, wall, inside = height / 2, 0.0025, sizes(0.9, 0.98) * radius
    profile = [(0.0, -half), (inside, -half), (radius, -half * 0.4), (radius, half), (radius - wall, half)]
    profile += [(radius - wall, -half * 0.4), (inside - wall, -half + wall), (0.0, -half + wall)]
    mesh = lathe(profile, sizes.vivid(), axis="x", segments=28, shine=0.5)
    rings = ring(radius - 0.002, 0.002, -half, half, axis="x")
    floor = CollisionPart("cylinder", (radius - 0.004, 0.002, 0.0), at(-half + 0.002, 0, 0, ALONG_X))
    return ObjectModel(
        "cup",
        label_of("tool"),
        (mesh,),
        (*rings, floor),
        0.1,
        np.array([height, 2 * radius, 2 * radius]),
        np.array([half, 0.0, 0.0]),
        handle_radius_m=radius,
        handle_length_m=height,
        details={"inner_radius": radius - 0.004},
    )


_TOOLS: dict[str, Callable[[Sizes], ObjectModel]] = {
    "hammer": _hammer,
    "spatula": _spatula,
    "knife": _knife,
    "brush": _brush,
    "roller": _roller,
    "spoon": _spoon,
    "cup": _cup,
}
