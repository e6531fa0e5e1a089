"""The procedural tools. Lengths are metres; sizes are drawn from the ranges written here.

Part 0 is what the hand holds, part 1 a shaft where there is one, the others are the head.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.families import Range
from syncmv4d_sim.grips import make_handle, make_shaft
from syncmv4d_sim.meshes import MeshPart, ellipsoid, extruded, joined, lathe, rounded_box, slab
from syncmv4d_sim.objects import CollisionPart, ObjectModel, label_of
from syncmv4d_sim.shapes import ALONG_X, ALONG_Y, STEEL_RGB, WOOD_RGB, Sizes, Solid, at, ring, solid, super_ellipse


def make_tool(name: str, rng: np.random.Generator, *, novel: bool, look: Range = "known") -> ObjectModel:
    """A tool of that kind, of families that `look` allows; ValueError for an unknown name."""
    if name not in _TOOLS:
        raise ValueError(f"unknown tool {name!r}; known: {', '.join(_TOOLS)}")
    sizes = Sizes(rng, novel, look)
    return sizes.finished(_TOOLS[name](sizes))


def _tool(
    name: str, parts: list[Solid], *, extra: list[MeshPart] | None = None, mass_kg: float,
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
    x, family = length / 2 + reach, sizes.family("hammer")
    rgb = sizes.finish(STEEL_RGB) if sizes.rng.random() < 0.7 else sizes.vivid()
    parts = [make_handle(sizes, length, radius), make_shaft(length / 2 - 0.01, x, radius * 0.65, sizes.handle_rgb())]
    if family == "club":
        parts.append(solid("box", (head * 0.95, head * 0.95, half), rgb, place=(x, 0, 0), shine=0.8))
    elif family == "mallet":
        rubber = sizes.finish(WOOD_RGB) if sizes.rng.random() < 0.5 else sizes.vivid() * 0.7
        parts.append(solid("cylinder", (head, half, 0.0), rubber, place=(x, 0, 0), shine=0.2))
    else:
        profile = [(0.0, -half), (head, -half), (head, -half * 0.45), (head * 0.7, -half * 0.3)]
        profile += [(head * 0.75, half * 0.5), (head * sizes(0.3, 0.9), half), (0.0, half)]
        mesh = lathe(profile, rgb, segments=20, shine=0.8).moved((x, 0, 0))
        parts.append((mesh, CollisionPart("cylinder", (head, half, 0.0), at(x, 0, 0))))
    return _tool(
        "hammer",
        parts,
        extra=_claw(rgb, x=x, head=head, half=half) if family == "claw" else [],
        mass_kg=0.16,
        size_m=(2 * head, 2 * head, 2 * half),
        work_point=(x, 0, -half),
        handle=(radius, length),
    )


def _claw(rgb: Float[np.ndarray, "3"], *, x: float, head: float, half: float) -> list[MeshPart]:
    """Two prongs that bend back from the end that does not strike."""
    low, outline = 0.6 * half, []
    for bend in np.linspace(0, 1, 6):
        outline.append((x - 0.9 * head * bend**2, low + half * 0.75 * bend))
    back = [(px + 0.45 * head * (1 - 0.8 * i / 5), pz) for i, (px, pz) in enumerate(outline)]
    prongs = [
        extruded([*back, *outline[::-1]], 0.18 * head, rgb, shine=0.8).moved((0, y, 0))
        for y in (-0.4 * head, 0.4 * head)
    ]
    return [joined(prongs)]


def _spatula(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.010, 0.014), sizes(0.11, 0.14)
    reach, blade, width = sizes(0.03, 0.07), sizes(0.055, 0.1), sizes(0.02, 0.038)
    steel, start = sizes.finish(STEEL_RGB) if sizes.rng.random() < 0.5 else sizes.vivid(), length / 2 + reach
    mesh = _blade(sizes, steel, blade=blade, width=width).moved((start, 0, 0))
    rod = make_shaft(length / 2 - 0.01, start + 0.01, 0.0045, sizes.finish(STEEL_RGB))
    collision = CollisionPart("box", (blade / 2, width, 0.003), at(start + blade / 2, 0, 0))
    return _tool(
        "spatula",
        [make_handle(sizes, length, radius), rod, (mesh, collision)],
        mass_kg=0.09,
        size_m=(blade, 2 * width, 0.004),
        work_point=(start + blade, 0, -0.002),
        handle=(radius, length),
    )


def _blade(sizes: Sizes, rgb: Float[np.ndarray, "3"], *, blade: float, width: float) -> MeshPart:
    """A spatula's blade from x = 0 on."""
    family, taper = sizes.family("spatula"), sizes(0.6, 1.0)
    if family == "slotted":
        bar = rounded_box((blade / 2, width * 0.11, 0.002), rgb, shine=0.6).moved((blade / 2, 0, 0))
        bars = [bar.moved((0, y * width, 0)) for y in (-0.89, -0.3, 0.3, 0.89)]
        across = rounded_box((blade * 0.1, width * 0.99, 0.0019), rgb, shine=0.6)
        return joined([*bars, *(across.moved((x * blade, 0, 0)) for x in (0.105, 0.895))])
    exponent = {"plain": 9.0, "flared": 9.0, "rounded": sizes(2.4, 4.0)}[family]
    outline = super_ellipse(blade / 2, width, exponent=exponent, segments=28) + np.array([blade / 2, 0])
    narrow = taper if family != "flared" else 0.5 * taper
    outline[:, 1] *= narrow + (1 - narrow) * np.clip(outline[:, 0] / blade * 1.3, 0, 1)
    return slab(outline, -0.002, 0.002, rgb, shine=0.6)


def _knife(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.011, 0.015), sizes(0.10, 0.13)
    blade, drop = sizes(0.10, 0.17), sizes(0.018, 0.036)
    start, end = length / 2 - 0.005, length / 2 + blade
    top = radius * 0.5
    outline = _knife_outline(sizes, start=start, end=end, top=top, drop=drop)
    mesh = extruded(outline, 0.0016, sizes.finish(STEEL_RGB[:2]), shine=0.9)
    bolster = make_shaft(length / 2 - 0.012, length / 2 + 0.003, radius * 0.95, sizes.finish(STEEL_RGB))
    size = ((end - start) / 2, 0.002, (top + drop) / 2)
    box = CollisionPart("box", size, at((start + end) / 2, 0, (top - drop) / 2), 0.3)
    middle = start + 0.55 * (end - start)
    return _tool(
        "knife",
        [make_handle(sizes, length, radius), bolster, (mesh, box)],
        mass_kg=0.11,
        size_m=(blade, 0.003, drop),
        work_point=(middle, 0, -drop),
        handle=(radius, length),
    )


def _knife_outline(sizes: Sizes, *, start: float, end: float, top: float, drop: float) -> list[tuple[float, float]]:
    """(x, z), counter-clockwise seen from -y; the edge's middle lies at z = -drop in each."""
    family, blade = sizes.family("knife"), end - start
    point = sizes(0.1, 0.45) * blade
    if family == "cleaver":
        corner = 0.06 * blade
        return [(start, top), (start, -drop), (end - corner, -drop), (end, -drop + corner), (end, top)]
    if family == "chef":
        belly = [(start + s * blade, -drop * (1 - max(0.0, (s - 0.55) / 0.45) ** 2)) for s in np.linspace(0, 1, 9)]
        return [(start, top), *belly, (end - 0.5 * blade, top)]
    if family == "clip":
        return [
            (start, top),
            (start, -drop),
            (end - point, -drop),
            (end, 0.0),
            (end - 0.35 * blade, top - 0.35 * drop),
            (end - 0.4 * blade, top),
        ]
    return [(start, top), (start, -drop), (end - point, -drop), (end, -drop * 0.1), (end - point * 0.6, top)]


def _brush(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.010, 0.015), sizes(0.11, 0.14)
    reach, half, width, bristle = sizes(0.02, 0.045), sizes(0.03, 0.05), sizes(0.014, 0.026), sizes(0.022, 0.038)
    x, block, colour, family = length / 2 + reach + half, 0.008, sizes.handle_rgb(), sizes.family("brush")
    if family == "round":
        half = width = 0.5 * (half + width)
    outline = super_ellipse(half, width, exponent=2.0 if family == "round" else sizes(2.5, 3.5))
    is_box = family in ("block", "tufted")
    wood = rounded_box((half, width, block), colour, bevel_m=0.004) if is_box else slab(outline, -block, block, colour)
    low = -block - bristle
    parts = [make_handle(sizes, length, radius), make_shaft(length / 2 - 0.01, x - half + 0.005, radius * 0.6, colour)]
    size = (half, width, (block - low) / 2)
    collision = CollisionPart("box", size, at(x, 0, (block + low) / 2), 0.4)
    if family == "round":
        collision = CollisionPart("cylinder", (half, size[2], 0.0), at(x, 0, (block + low) / 2), 0.4)
    hair = _bristles(sizes, family, half=half, width=width, low=low, high=-block)
    return _tool(
        "brush",
        [*parts, (wood.moved((x, 0, 0)), collision)],
        extra=[hair.moved((x, 0, 0))],
        mass_kg=0.09,
        size_m=(2 * half, 2 * width, bristle),
        work_point=(x, 0, low),
        handle=(radius, length),
    )


def _bristles(sizes: Sizes, family: str, *, half: float, width: float, low: float, high: float) -> MeshPart:
    colour, middle = sizes.vivid() if sizes.rng.random() < 0.6 else sizes.finish(WOOD_RGB), (low + high) / 2
    if family == "tufted":
        tuft = rounded_box((half * 0.2, width * 0.38, (high - low) / 2), colour, bevel_m=0.002, shine=0.0)
        places = [(a * half, b * width, middle) for a in (-0.7, 0.0, 0.7) for b in (-0.48, 0.48)]
        return joined([tuft.moved(place) for place in places])
    if family == "block":
        hair = rounded_box((half * 0.94, width * 0.9, (high - low) / 2), colour, bevel_m=0.002, shine=0.0)
        return hair.moved((0, 0, middle))
    exponent = 2.0 if family == "round" else 3.0
    return slab(super_ellipse(half * 0.93, width * 0.93, exponent=exponent), low, high, colour, shine=0.0)


def _roller(sizes: Sizes) -> ObjectModel:
    radius, length = sizes(0.011, 0.015), sizes(0.10, 0.13)
    reach, drum, half = sizes(0.04, 0.07), sizes(0.018, 0.03), sizes(0.032, 0.055)
    x, steel, family = length / 2 + reach + drum, sizes.finish(STEEL_RGB), sizes.family("roller")
    place = np.linspace(-1, 1, 14)
    swell = {"drum": 0 * place, "barrel": -sizes(0.05, 0.12) * place**2, "ribbed": -0.09 * (np.arange(14) % 2)}[family]
    radii = drum * (1 + swell) * np.where(np.abs(place) == 1, 0.9, 1.0)
    place = np.where(np.abs(place) < 1, place * (1 + 0.1 * np.abs(place) ** 8), place)
    profile = [(0.0, -half), *((float(r), float(p) * half) for r, p in zip(radii, place, strict=True)), (0.0, half)]
    mesh = lathe(profile, sizes.vivid(), axis="y", segments=20, shine=0.05).moved((x, 0, 0))
    parts = [make_handle(sizes, length, radius), make_shaft(length / 2 - 0.01, x, 0.005, steel)]
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
    family, wooden = sizes.family("spoon"), sizes.rng.random() < 0.5
    x, colour = length / 2 + reach + half, sizes.finish(WOOD_RGB if wooden else STEEL_RGB)
    if family == "round":
        width = 0.92 * half
    bowl = ellipsoid((half, width, 0.009), colour, shine=0.3 if wooden else 0.8)
    if family == "pointed":
        taper = np.clip(1.1 - 0.45 * np.clip(bowl.vertices[:, 0] / half, 0, 1) ** 2, 0, 1)
        bowl.vertices[:, 1] *= taper
    parts = [make_handle(sizes, length, radius), make_shaft(length / 2 - 0.01, x - half + 0.008, 0.0045, colour)]
    parts.append((bowl.moved((x, 0, 0)), CollisionPart("ellipsoid", (half, width, 0.009), at(x, 0, 0))))
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
    half, wall = height / 2, 0.0025
    place = np.linspace(0, 1, 10)
    radii = radius * (1 + _cup_curve(sizes, place))
    outside = [(float(r), -half + float(p) * height) for r, p in zip(radii, place, strict=True)]
    inside = [(r - wall, h) for r, h in reversed(outside[1:])]
    bottom = -half + wall
    profile = [(0.0, -half), *outside, *inside, (outside[0][0] - wall, bottom), (0.0, bottom)]
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


def _cup_curve(sizes: Sizes, place: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """How much wider than its mean radius the cup is, from the foot up."""
    family = sizes.family("cup")
    foot = -sizes(0.02, 0.1) * (1 - np.clip(place / 0.3, 0, 1))
    if family == "tapered":
        return sizes(0.04, 0.1) * (place - 1)
    if family == "curved":
        return sizes.wave(place, 0.06) + 0.5 * foot
    if family == "waisted":
        return 0.02 - sizes(0.06, 0.1) * np.sin(np.pi * place) ** 2
    return foot


_TOOLS: dict[str, Callable[[Sizes], ObjectModel]] = {
    "hammer": _hammer,
    "spatula": _spatula,
    "knife": _knife,
    "brush": _brush,
    "roller": _roller,
    "spoon": _spoon,
    "cup": _cup,
}
