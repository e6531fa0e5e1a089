"""Toys composed of primitives; each collides as it is seen. Lengths are metres.

The toy's middle is a body whose top lies over the origin at the height of `work_point`; what stands higher stands aside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from syncmv4d_sim.objects import ObjectModel, label_of
from syncmv4d_sim.shapes import ALONG_X, ALONG_Y, Sizes, Solid, solid

Toy = tuple[list[Solid], float]
"""Its primitives, and the height of its middle's top."""


def make_toy(sizes: Sizes) -> ObjectModel:
    """A toy of one of the families."""
    solids, middle_top = _TOYS[sizes.family("toy")](sizes)
    points = np.concatenate([mesh.vertices for mesh, _ in solids])
    low, high = points.min(0), points.max(0)
    size = np.array([2 * min(-low[0], high[0]), high[1] - low[1], high[2]])
    meshes, collision = zip(*solids, strict=True)
    return ObjectModel("toy", label_of("target"), meshes, collision, 0.2, size, np.array([0, 0, middle_top]))


def _animal(sizes: Sizes) -> Toy:
    """Flat-footed: body, head, ears, foot."""
    length, width, height = sizes(0.035, 0.055), sizes(0.024, 0.038), sizes(0.022, 0.036)
    head, foot = sizes(0.6, 0.85) * height, sizes(0.008, 0.014)
    body_rgb, head_rgb = sizes.vivid(), sizes.vivid()
    centre, neck = foot + height, (length * 0.75, 0.0, foot + height + 0.75 * height)
    solids = [
        solid("ellipsoid", (length, width, height), body_rgb, place=(0, 0, centre)),
        solid("ellipsoid", (head, head, head), head_rgb, place=neck),
        solid("box", (length * 0.85, width * 0.95, foot), sizes.vivid(), place=(0, 0, foot)),
    ]
    ear = head * sizes(0.3, 0.55)
    for side in (-1, 1):
        place = (neck[0], side * head * 0.75, neck[2] + head * 0.75)
        solids.append(solid("ellipsoid", (ear * 0.6, ear, ear), head_rgb * 0.7, place=place))
    return solids, foot + 2 * height


def _duck(sizes: Sizes) -> Toy:
    """A boat-shaped body on a flat keel, a head with a bill, a tail."""
    length, width, height = sizes(0.038, 0.055), sizes(0.026, 0.036), sizes(0.02, 0.03)
    rgb, bill_rgb, keel = sizes.vivid(), sizes.vivid(), sizes(0.006, 0.01)
    centre, head = keel + height, sizes(0.55, 0.7) * height
    neck = (length * 0.62, 0.0, centre + height + 0.4 * head)
    return [
        solid("ellipsoid", (length, width, height), rgb, place=(0, 0, centre)),
        solid("ellipsoid", (head, head * 0.9, head), rgb, place=neck),
        solid("box", (length * 0.8, width * 0.9, keel), rgb * 0.8, place=(0, 0, keel)),
        solid("ellipsoid", (head * 0.6, head * 0.5, head * 0.2), bill_rgb, place=(neck[0] + head * 1.1, 0, neck[2])),
        solid(
            "ellipsoid", (length * 0.3, width * 0.5, height * 0.5), rgb, place=(-length * 0.9, 0, centre + 0.5 * height)
        ),
    ], keel + 2 * height


def _car(sizes: Sizes) -> Toy:
    """Bodywork with a cabin over its middle, four wheels, lamps."""
    length, width, wheel = sizes(0.042, 0.058), sizes(0.024, 0.034), sizes(0.011, 0.015)
    low, body, cabin = 0.7 * wheel, sizes(0.008, 0.013), sizes(0.008, 0.013)
    rgb, glass = sizes.vivid(), sizes.vivid() * 0.5
    floor = low + 2 * body
    solids = [
        solid("box", (length, width, body), rgb, place=(0, 0, low + body), shine=0.6),
        solid("box", (length * 0.5, width * 0.88, cabin), glass, place=(-0.05 * length, 0, floor + cabin), shine=0.8),
    ]
    for along in (-0.6, 0.6):
        for side in (-1, 1):
            place = (along * length, side * width * 0.95, wheel)
            solids.append(solid("cylinder", (wheel, 0.005, 0.0), np.full(3, 0.12), place=place, rotation=ALONG_Y))
    return solids, floor + 2 * cabin


def _blocks(sizes: Sizes) -> Toy:
    """A row of bricks, one more on top aside, studs over the middle one."""
    edge, height = sizes(0.017, 0.023), sizes(0.013, 0.02)
    solids = [
        solid("box", (edge, edge * 1.1, height), sizes.vivid(), place=(x * edge, 0, height)) for x in (-1.95, 0.0, 1.95)
    ]
    solids.append(solid("box", (edge * 0.9, edge, height), sizes.vivid(), place=(1.95 * edge, 0, 3 * height)))
    for y in (-0.5, 0.5):
        solids.append(
            solid("cylinder", (edge * 0.35, 0.0025, 0.0), solids[1][0].rgb, place=(0, y * edge, 2 * height + 0.0025))
        )
    return solids, 2 * height + 0.004


def _house(sizes: Sizes) -> Toy:
    """Walls, a roof of two leaning slabs, a chimney aside, a door."""
    length, width, height = sizes(0.03, 0.045), sizes(0.024, 0.034), sizes(0.016, 0.024)
    rgb, roof_rgb, lean = sizes.vivid(), sizes.vivid(), np.radians(sizes(22, 34))
    turn = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    side, thick = width * 1.15 / np.cos(lean) / 2, 0.003
    ridge = 2 * height + width * 1.1 * np.tan(lean)
    solids = [solid("box", (length, width, height), rgb, place=(0, 0, height))]
    solids.append(solid("box", (length * 0.97, width * 0.45, 0.25 * width), rgb, place=(0, 0, 2 * height)))
    for sign, rotation in ((-1, turn), (1, turn.T)):
        place = (0.0, sign * width * 0.575, ridge - width * 0.575 * np.tan(lean))
        solids.append(solid("box", (length * 1.1, side, thick), roof_rgb, place=place, rotation=rotation))
    solids.append(solid("box", (0.006, 0.006, 0.012), rgb * 0.6, place=(0.6 * length, 0.45 * width, ridge)))
    solids.append(solid("box", (0.0015, width * 0.3, height * 0.6), roof_rgb * 0.6, place=(length, 0, height * 0.6)))
    return solids, ridge + thick


def _robot(sizes: Sizes) -> Toy:
    """A lying box with a head at one end, arms at its sides and two tracks."""
    length, width, height = sizes(0.032, 0.046), sizes(0.02, 0.028), sizes(0.014, 0.02)
    low, rgb, arm_rgb = 0.008, sizes.vivid(), sizes.vivid()
    solids = [solid("box", (length, width, height), rgb, place=(0, 0, low + height), shine=0.7)]
    for side in (-1, 1):
        track = (length * 0.9, 0.006, low)
        solids.append(solid("box", track, np.full(3, 0.2), place=(0, side * (width + 0.002), low)))
        arm = (0.005, length * 0.5, 0.0)
        place = (length * 0.5, side * (width + 0.006), low + 1.3 * height)
        solids.append(solid("cylinder", arm, arm_rgb, place=place, rotation=ALONG_X))
    head = (0.7 * length, 0.0, low + 2 * height + 0.01)
    solids.append(solid("cylinder", (0.6 * width, 0.011, 0.0), arm_rgb, place=head, shine=0.7))
    return solids, low + 2 * height


_TOYS: dict[str, Callable[[Sizes], Toy]] = {
    "animal": _animal, "duck": _duck, "car": _car, "blocks": _blocks, "house": _house, "robot": _robot,
}  # fmt: skip
