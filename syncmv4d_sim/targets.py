"""The procedural targets. Lengths are metres; sizes are drawn from the ranges written here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from syncmv4d_sim.meshes import MeshPart, ellipsoid, lathe, rounded_box
from syncmv4d_sim.objects import CollisionPart, ObjectModel, label_of
from syncmv4d_sim.shapes import ALONG_X, STEEL_RGB, Sizes, at, ring


def make_target(name: str, rng: np.random.Generator, *, novel: bool) -> ObjectModel:
    """A target of that kind; ValueError for an unknown name."""
    if name not in _TARGETS:
        raise ValueError(f"unknown target {name!r}; known: {', '.join(_TARGETS)}")
    return _TARGETS[name](Sizes(rng, novel))


def _box(sizes: Sizes) -> ObjectModel:
    x, y, z = sizes(0.025, 0.06), sizes(0.025, 0.06), sizes(0.018, 0.05)
    mesh = rounded_box((x, y, z), sizes.vivid(), bevel_m=sizes(0.001, 0.006)).moved((0, 0, z))
    parts = [mesh]
    if sizes.rng.random() < 0.6:
        band = sizes(0.15, 0.4)
        parts.append(
            rounded_box((x * band, y * 1.012, z * 1.012), sizes.vivid(), bevel_m=0.001).moved((0, 0, z * 1.012))
        )
    collision = CollisionPart("box", (x, y, z), at(0, 0, z))
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
        CollisionPart("ellipsoid", (length, width, height), at(0, 0, centre)),
        CollisionPart("sphere", (head, 0, 0), at(*neck)),
    ]
    base = rounded_box((length * 0.85, width * 0.95, foot), sizes.vivid(), bevel_m=0.003).moved((0, 0, foot))
    parts.append(base)
    collision.append(CollisionPart("box", (length * 0.85, width * 0.95, foot), at(0, 0, foot)))
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
    walls = ring((foot + rim) / 2, wall / 2, wall, height, slope=float(slope))
    floor = CollisionPart("cylinder", (foot, wall / 2, 0.0), at(0, 0, wall / 2))
    return ObjectModel(
        name,
        label_of("target"),
        (mesh, *(part for part, _ in extra)),
        (floor, *walls, *(part for _, part in extra)),
        0.35,
        np.array([2 * rim, 2 * rim, height]),
        np.array([0, 0, wall]),
        details={"inner_radius": foot - wall},
    )


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
    part = CollisionPart("capsule", (radius, length / 2 - radius, 0.0), at((start + end) / 2, 0, height * 0.8, ALONG_X))
    return _vessel("pan", sizes, foot=rim * sizes(0.82, 0.92), rim=rim, height=height, extra=[(mesh, part)])


_TARGETS: dict[str, Callable[[Sizes], ObjectModel]] = {
    "box": _box,
    "toy": _toy,
    "plate": _plate,
    "bowl": _bowl,
    "pan": _pan,
}
