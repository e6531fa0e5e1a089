"""The procedural tools and targets: meshes, collision primitives and masses, with sizes drawn from ranges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.meshes import MeshPart, ellipsoid, extruded, lathe, rounded_box
from syncmv4d_sim.objects import CollisionPart, ObjectModel, label_of

RING_BOXES = 12  # walls of hollow vessels, for collision
WOOD_RGB = np.array([[0.72, 0.5, 0.3], [0.55, 0.34, 0.18], [0.85, 0.68, 0.45], [0.35, 0.22, 0.13]])
STEEL_RGB = np.array([[0.75, 0.76, 0.78], [0.55, 0.57, 0.6], [0.35, 0.36, 0.38]])


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


def make_tool(name: str, rng: np.random.Generator, *, novel: bool) -> ObjectModel:
    """A tool of that kind; ValueError for an unknown name."""
    if name not in _TOOLS:
        raise ValueError(f"unknown tool {name!r}; known: {', '.join(_TOOLS)}")
    return _TOOLS[name](Sizes(rng, novel))


def make_target(name: str, rng: np.random.Generator, *, novel: bool) -> ObjectModel:
    """A target of that kind; ValueError for an unknown name."""
    if name not in _TARGETS:
        raise ValueError(f"unknown target {name!r}; known: {', '.join(_TARGETS)}")
    return _TARGETS[name](Sizes(rng, novel))


def _at(x: float, y: float, z: float, rotation: Float[np.ndarray, "3 3"] | None = None) -> Float[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    if rotation is not None:
        pose[:3, :3] = rotation
    return pose


_ALONG_X = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # a cylinder's z laid along x
_ALONG_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def _handle(sizes: Sizes, length: float, radius: float) -> tuple[MeshPart, CollisionPart]:
    """A turned grip along x, slightly swollen in the middle, and its capsule."""
    swell, end = sizes(1.0, 1.12), sizes(0.7, 0.95)
    half = length / 2
    profile = [(0.0, -half), (end * radius * 0.8, -half), (end * radius, -half + 0.006), (radius * swell, -half * 0.3)]
    profile += [(radius, half * 0.5), (radius * 0.8, half - 0.004), (radius * 0.6, half), (0.0, half)]
    mesh = lathe(profile, sizes.handle_rgb(), axis="x", segments=20, shine=0.35)
    return mesh, CollisionPart("capsule", (radius, half - radius, 0.0), _at(0, 0, 0, _ALONG_X), 1.2)


def _shaft(start_x: float, end_x: float, radius: float, rgb: Float[np.ndarray, "3"]) -> tuple[MeshPart, CollisionPart]:
    profile = [(0.0, start_x), (radius, start_x), (radius, end_x), (0.0, end_x)]
    part = CollisionPart("capsule", (radius, (end_x - start_x) / 2, 0.0), _at((start_x + end_x) / 2, 0, 0, _ALONG_X))
    return lathe(profile, rgb, axis="x", segments=12, shine=0.8), part


def _tool(
    name: str, parts: list[tuple[MeshPart, CollisionPart]], *, extra: list[MeshPart] | None = None, mass_kg: float,
    size_m: tuple[float, float, float], work_point: tuple[float, float, float], handle: tuple[float, float],
    details: dict[str, float] | None = None,
) -> ObjectModel:  # fmt: skip
    return ObjectModel(
        name, label_of("tool"), tuple([mesh for mesh, _ in parts] + (extra or [])), tuple(part for _, part in parts), mass_kg,
        np.array(size_m), np.array(work_point), handle_radius_m=handle[0], handle_length_m=handle[1], details=details or {},
    )  # fmt: skip


def _hammer(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.011, 0.016), sizes(0.11, 0.15)
    reach, head, half = sizes(0.035, 0.085), sizes(0.014, 0.024), sizes(0.028, 0.048)
    steel, x = sizes.finish(STEEL_RGB), length / 2 + reach
    profile = [(0.0, -half), (head, -half), (head, -half * 0.45), (head * 0.7, -half * 0.3)]
    profile += [(head * 0.75, half * 0.5), (head * sizes(0.3, 0.9), half), (0.0, half)]
    mesh = lathe(profile, steel if sizes.rng.random() < 0.7 else sizes.vivid(), segments=20, shine=0.8).moved((x, 0, 0))
    parts = [_handle(sizes, length, radius), _shaft(length / 2 - 0.01, x, radius * 0.65, sizes.handle_rgb())]
    parts.append((mesh, CollisionPart("cylinder", (head, half, 0.0), _at(x, 0, 0))))
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
    collision = CollisionPart("box", (blade / 2, width, 0.003), _at(start + blade / 2, 0, 0))
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
        "box", ((end - start) / 2, 0.002, (top + drop) / 2), _at((start + end) / 2, 0, (top - drop) / 2), 0.3
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
    middle = _at(x, 0, (block + low) / 2)
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
    parts.append((mesh, CollisionPart("cylinder", (drum, half, 0.0), _at(x, 0, 0, _ALONG_Y), 0.5)))
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
    parts.append((bowl, CollisionPart("ellipsoid", (half, width, 0.009), _at(x, 0, 0))))
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
    rings = _ring(radius - 0.002, 0.002, -half, half, axis="x")
    floor = CollisionPart("cylinder", (radius - 0.004, 0.002, 0.0), _at(-half + 0.002, 0, 0, _ALONG_X))
    return ObjectModel(
        "cup", label_of("tool"), (mesh,), (*rings, floor), 0.1, np.array([height, 2 * radius, 2 * radius]),
        np.array([half, 0.0, 0.0]), handle_radius_m=radius, handle_length_m=height, details={"inner_radius": radius - 0.004},
    )  # fmt: skip


def _ring(
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
                "box", (half_wall, half_side, half_height), _at(*centre, rotation), 1.2 if axis == "x" else 0.8
            )
        )
    return parts


def _box(sizes: Sizes) -> ObjectModel:
    x, y, z = sizes(0.025, 0.06), sizes(0.025, 0.06), sizes(0.018, 0.05)
    mesh = rounded_box((x, y, z), sizes.vivid(), bevel_m=sizes(0.001, 0.006)).moved((0, 0, z))
    parts = [mesh]
    if sizes.rng.random() < 0.6:
        band = sizes(0.15, 0.4)
        parts.append(
            rounded_box((x * band, y * 1.012, z * 1.012), sizes.vivid(), bevel_m=0.001).moved((0, 0, z * 1.012))
        )
    collision = CollisionPart("box", (x, y, z), _at(0, 0, z))
    return ObjectModel(
        "box",
        label_of("target"),
        tuple(parts),
        (collision,),
        0.25,
        np.array([2 * x, 2 * y, 2 * z]),
        np.array([0, 0, 2 * z]),
    )


def _toy(sizes: Sizes) -> ObjectModel:
    """A flat-footed animal: body, head, ears, feet."""
    length, width, height = sizes(0.035, 0.055), sizes(0.024, 0.038), sizes(0.022, 0.036)
    head, foot = sizes(0.6, 0.85) * height, sizes(0.008, 0.014)
    body_rgb, head_rgb = sizes.vivid(), sizes.vivid()
    centre, neck = foot + height, (length * 0.75, 0.0, foot + height + 0.75 * height)
    parts = [
        ellipsoid((length, width, height), body_rgb).moved((0, 0, centre)),
        ellipsoid((head, head, head), head_rgb).moved(neck),
    ]
    collision = [
        CollisionPart("ellipsoid", (length, width, height), _at(0, 0, centre)),
        CollisionPart("sphere", (head, 0, 0), _at(*neck)),
    ]
    base = rounded_box((length * 0.85, width * 0.95, foot), sizes.vivid(), bevel_m=0.003).moved((0, 0, foot))
    parts.append(base)
    collision.append(CollisionPart("box", (length * 0.85, width * 0.95, foot), _at(0, 0, foot)))
    ear = head * sizes(0.3, 0.55)
    for side in (-1, 1):
        parts.append(
            ellipsoid((ear * 0.6, ear, ear), head_rgb * 0.7).moved((neck[0], side * head * 0.75, neck[2] + head * 0.75))
        )
    top = neck[2] + head
    return ObjectModel(
        "toy", label_of("target"), tuple(parts), tuple(collision), 0.2, np.array([2 * length, 2 * width, top]),
        np.array([0, 0, foot + 2 * height]),
    )  # fmt: skip


def _vessel(
    name: str, sizes: Sizes, *, foot: float, rim: float, height: float, extra: list[tuple[MeshPart, CollisionPart]]
) -> ObjectModel:
    """A turned dish: foot radius, rim radius, height."""
    wall, bend = 0.004, sizes(0.35, 0.6)
    middle = foot + (rim - foot) * (0.75 if name == "bowl" else 0.5)
    profile = [(0.0, 0.0), (foot, 0.0), (middle, height * bend), (rim, height), (rim - wall * 0.6, height)]
    profile += [(middle - wall, height * bend + wall * 0.5), (foot - wall, wall), (0.0, wall)]
    mesh = lathe(profile, sizes.vivid() if name != "pan" else sizes.finish(STEEL_RGB) * 0.7, segments=32, shine=0.6)
    slope = np.arctan2(rim - foot, height)
    ring = _ring((foot + rim) / 2, wall / 2, wall, height, slope=float(slope))
    floor = CollisionPart("cylinder", (foot, wall / 2, 0.0), _at(0, 0, wall / 2))
    return ObjectModel(
        name, label_of("target"), (mesh, *(part for part, _ in extra)), (floor, *ring, *(part for _, part in extra)), 0.35,
        np.array([2 * rim, 2 * rim, height]), np.array([0, 0, wall]), details={"inner_radius": foot - wall},
    )  # fmt: skip


def _plate(sizes: Sizes) -> ObjectModel:
    rim = sizes(0.065, 0.1)
    return _vessel("plate", sizes, foot=rim * sizes(0.62, 0.75), rim=rim, height=sizes(0.012, 0.022), extra=[])


def _bowl(sizes: Sizes) -> ObjectModel:
    rim = sizes(0.055, 0.08)
    return _vessel("bowl", sizes, foot=rim * sizes(0.5, 0.65), rim=rim, height=sizes(0.04, 0.06), extra=[])


def _pan(sizes: Sizes) -> ObjectModel:
    rim, height = sizes(0.068, 0.095), sizes(0.026, 0.042)
    length, radius = sizes(0.09, 0.14), sizes(0.008, 0.012)
    start, end = rim - 0.003, rim + length
    profile = [(0.0, start), (radius * 0.6, start), (radius, start + 0.3 * length), (radius * 0.8, end), (0.0, end)]
    mesh = lathe(profile, sizes.handle_rgb() * 0.5, axis="x", segments=14).moved((0, 0, height * 0.8))
    part = CollisionPart(
        "capsule", (radius, length / 2 - radius, 0.0), _at((start + end) / 2, 0, height * 0.8, _ALONG_X)
    )
    return _vessel("pan", sizes, foot=rim * sizes(0.82, 0.92), rim=rim, height=height, extra=[(mesh, part)])


_TOOLS: dict[str, Callable[[Sizes], ObjectModel]] = {
    "hammer": _hammer, "spatula": _spatula, "knife": _knife, "brush": _brush, "roller": _roller, "spoon": _spoon, "cup": _cup,
}  # fmt: skip
_TARGETS: dict[str, Callable[[Sizes], ObjectModel]] = {
    "box": _box,
    "toy": _toy,
    "plate": _plate,
    "bowl": _bowl,
    "pan": _pan,
}
