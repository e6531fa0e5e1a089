"""Handles along x that a hand closes on: seen in many shapes, felt as one capsule of the same radius. Lengths are metres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.meshes import MeshPart, from_rings, lathe
from syncmv4d_sim.objects import CollisionPart
from syncmv4d_sim.shapes import ALONG_X, Sizes, Solid, at, super_ellipse

Profile = list[tuple[float, float]]
STATIONS = 14


def make_handle(sizes: Sizes, length: float, radius: float) -> Solid:
    """A grip of one of the families about the origin; its surface stays within 3 mm of the capsule's."""
    mesh = _GRIPS[sizes.family("handle")](sizes, length, radius)
    return replace(mesh, around="x"), CollisionPart(
        "capsule", (radius, length / 2 - radius, 0.0), at(0, 0, 0, ALONG_X), 1.2
    )


def make_shaft(start_x: float, end_x: float, radius: float, rgb: Float[np.ndarray, "3"]) -> Solid:
    """A rod along x."""
    profile = [(0.0, start_x), (radius, start_x), (radius, end_x), (0.0, end_x)]
    part = CollisionPart("capsule", (radius, (end_x - start_x) / 2, 0.0), at((start_x + end_x) / 2, 0, 0, ALONG_X))
    return lathe(profile, rgb, axis="x", segments=12, shine=0.8), part


def _turned(sizes: Sizes, length: float, radius: float) -> MeshPart:
    """Slightly swollen in the middle."""
    swell, end = sizes(1.0, 1.12), sizes(0.7, 0.95)
    half = length / 2
    profile = [(0.0, -half), (end * radius * 0.8, -half), (end * radius, -half + 0.006), (radius * swell, -half * 0.3)]
    profile += [(radius, half * 0.5), (radius * 0.8, half - 0.004), (radius * 0.6, half), (0.0, half)]
    return lathe(profile, sizes.handle_rgb(), axis="x", segments=20, shine=0.35)


def _free(sizes: Sizes, length: float, radius: float, *, curve: Float[np.ndarray, "14"]) -> MeshPart:
    """Radii 1 + curve along the grip, rounded ends."""
    place = np.linspace(-1, 1, STATIONS)
    rounded = np.sqrt(np.clip(1 - np.abs(place) ** 8, 0.12, 1))
    radii = radius * (1 + curve) * rounded
    ends = (0.0, -length / 2), (0.0, length / 2)
    profile = [ends[0], *((float(r), float(x) * length / 2) for r, x in zip(radii, place, strict=True)), ends[1]]
    return lathe(profile, sizes.handle_rgb(), axis="x", segments=20, shine=0.35)


def _bulged(sizes: Sizes, length: float, radius: float) -> MeshPart:
    place = np.linspace(0, 1, STATIONS)
    curve = sizes(0.0, 0.12) * np.cos(np.pi * (place - sizes(0.3, 0.7))) + sizes.wave(place, 0.07)
    return _free(sizes, length, radius, curve=curve)


def _waisted(sizes: Sizes, length: float, radius: float) -> MeshPart:
    place = np.linspace(0, 1, STATIONS)
    curve = 0.05 - sizes(0.03, 0.1) * np.cos(2 * np.pi * (place - 0.5)) + sizes.wave(place, 0.05)
    return _free(sizes, length, radius, curve=curve)


def _knobbed(sizes: Sizes, length: float, radius: float) -> MeshPart:
    """Rings cut into it."""
    place = np.linspace(0, 1, STATIONS)
    return _free(sizes, length, radius, curve=np.where(np.arange(STATIONS) % 2, 0.1, -sizes(0.05, 0.12)) + 0 * place)


def _faceted(sizes: Sizes, length: float, radius: float) -> MeshPart:
    half, width, end = length / 2, radius * sizes(1.03, 1.1), sizes(0.75, 1.0)
    profile = [
        (0.0, -half),
        (width * end, -half),
        (width, -half * 0.8),
        (width, half * 0.8),
        (width * 0.7, half),
        (0.0, half),
    ]
    return lathe(profile, sizes.handle_rgb(), axis="x", segments=6 if sizes.rng.random() < 0.5 else 8, shine=0.35)


def _rounded_bar(sizes: Sizes, length: float, *, half_y: float, half_z: float, exponent: float) -> MeshPart:
    place = np.linspace(-1, 1, STATIONS)
    scale = np.sqrt(np.clip(1 - np.abs(place) ** 10, 0.2, 1)) * (1 + sizes.wave((place + 1) / 2, 0.06))
    outline = super_ellipse(half_y, half_z, exponent=exponent, segments=20)
    rings = np.array([[(x * length / 2, y * s, z * s) for y, z in outline] for x, s in zip(place, scale, strict=True)])
    ends = np.repeat(np.array([[[-length / 2, 0.0, 0.0]], [[length / 2, 0.0, 0.0]]]), len(outline), axis=1)
    return from_rings(np.concatenate([ends[:1], rings, ends[1:]]), sizes.handle_rgb(), shine=0.35)


def _flat(sizes: Sizes, length: float, radius: float) -> MeshPart:
    """Wider across than thick, as knives' and spatulas' handles are."""
    half_y, half_z = radius - sizes(0.001, 0.0025), radius + sizes(0.0005, 0.002)
    return _rounded_bar(sizes, length, half_y=half_y, half_z=half_z, exponent=sizes(2.2, 3.5))


def _squared(sizes: Sizes, length: float, radius: float) -> MeshPart:
    half = radius * 0.92
    return _rounded_bar(sizes, length, half_y=half, half_z=half, exponent=sizes(5.0, 8.0))


_GRIPS: dict[str, Callable[[Sizes, float, float], MeshPart]] = {
    "turned": _turned, "bulged": _bulged, "waisted": _waisted, "faceted": _faceted, "flat": _flat,
    "knobbed": _knobbed, "squared": _squared,
}  # fmt: skip
