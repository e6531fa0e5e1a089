"""Things that lie on the table and stay there. Lengths are metres."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_model.types import LABELS
from syncmv4d_sim.families import Range
from syncmv4d_sim.meshes import lathe, tube
from syncmv4d_sim.objects import ObjectModel, add_object
from syncmv4d_sim.shapes import ALONG_X, STEEL_RGB, Sizes, Solid, solid

Clutter = tuple[tuple[ObjectModel, Float[np.ndarray, "4 4"]], ...]
"""Models and world_from_body."""

MOST_THINGS = 6
REACH_M = (0.62, 0.5)  # half sizes of where things may lie: within every table
GAP_M = 0.02  # between two things
MAX_PLACES = 12  # tried for each thing
CLUTTER_MASS_KG = 0.2


def sample_clutter(
    rng: np.random.Generator, *, keep_clear: Float[np.ndarray, "P 2"], clearance_m: float, look_family: Range = "known"
) -> Clutter:
    """0 to 6 things on the table, all of each at least `clearance_m` from every given point of the table."""
    things: list[tuple[ObjectModel, Float[np.ndarray, "4 4"]]] = []
    circles = np.column_stack([keep_clear, np.full(len(keep_clear), clearance_m)])
    for _ in range(rng.integers(0, MOST_THINGS + 1)):
        model = make_clutter(rng, look=look_family)
        radius = float(np.linalg.norm(model.vertices[:, :2], axis=1).max())
        for place in rng.uniform(-1, 1, (MAX_PLACES, 2)) * (np.array(REACH_M) - radius):
            if (np.linalg.norm(circles[:, :2] - place, axis=1) > circles[:, 2] + radius).all():
                circles = np.concatenate([circles, [[*place, radius + GAP_M]]])
                things.append((model, _standing(place, rng.uniform(-np.pi, np.pi))))
                break
    return tuple(things)


def make_clutter(rng: np.random.Generator, *, look: Range = "known") -> ObjectModel:
    """One thing with its foot at the origin; its label is 0, unknown."""
    sizes = Sizes(rng, False, look)
    family = sizes.family("clutter")
    meshes, collision = zip(*_THINGS[family](sizes), strict=True)
    points = np.concatenate([mesh.vertices for mesh in meshes])
    size, top = np.ptp(points, axis=0), np.array([0.0, 0, points[:, 2].max()])
    return sizes.finished(ObjectModel(family, LABELS.index("unknown"), meshes, collision, CLUTTER_MASS_KG, size, top))


def add_clutter(spec: mujoco.MjSpec, clutter: Clutter, *, collides: bool = False) -> None:
    """Add static bodies "clutter_<i>"."""
    for i, (model, world_from_body) in enumerate(clutter):
        body = add_object(spec, model, name=f"clutter_{i}", world_from_body=world_from_body, free=False)
        for geom in body.geoms:
            if not collides:
                geom.contype = geom.conaffinity = 0


def _standing(place: Float[np.ndarray, "2"], yaw: float) -> Float[np.ndarray, "4 4"]:
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:2, 3] = place
    return pose


def _turned(sizes: Sizes, *, radius: float, height: float, curve: Float[np.ndarray, "12"], open_top: bool) -> Solid:
    """A turned body; radii are 1 + curve of `radius`."""
    place, rgb = np.linspace(0, 1, 12), sizes.vivid()
    outside = [(float(radius * (1 + c)), float(height * p)) for c, p in zip(curve, place, strict=True)]
    profile = [(0.0, 0.0), *outside, (0.0, height)]
    if open_top:
        inside = [(r - 0.003, h) for r, h in reversed(outside[4:])]
        profile = [(0.0, 0.0), *outside, *inside, (0.0, inside[-1][1])]
    _, primitive = solid("cylinder", (radius, height / 2, 0.0), rgb, place=(0, 0, height / 2))
    return lathe(profile, rgb, segments=22, shine=sizes(0.1, 0.9)), primitive


def _bottle(sizes: Sizes) -> list[Solid]:
    radius, height = sizes(0.024, 0.04), sizes(0.14, 0.26)
    place = np.linspace(0, 1, 12)
    neck, shoulder = sizes(0.3, 0.45), sizes(0.5, 0.75)
    curve = sizes.wave(place, 0.06) - (1 - neck) * np.clip((place - shoulder) / 0.2, 0, 1)
    body = _turned(sizes, radius=radius, height=height, curve=curve, open_top=False)
    cap = solid("cylinder", (radius * neck * 1.15, 0.009, 0.0), sizes.vivid(), place=(0, 0, height + 0.009))
    band = float(radius * (1.015 + curve[:5].max()))
    label = solid("cylinder", (band, height * 0.13, 0.0), sizes.vivid(), place=(0, 0, height * 0.27), shine=0.1)
    return [body, cap, label]


def _jar(sizes: Sizes) -> list[Solid]:
    radius, height = sizes(0.028, 0.045), sizes(0.06, 0.11)
    place = np.linspace(0, 1, 12)
    curve = 0.1 * np.sin(np.pi * place) ** 0.5 - 0.1 + sizes.wave(place, 0.03)
    body = _turned(sizes, radius=radius, height=height, curve=curve, open_top=False)
    return [
        body,
        solid("cylinder", (radius * 0.95, 0.008, 0.0), sizes.vivid(), place=(0, 0, height + 0.008), shine=0.7),
    ]


def _vase(sizes: Sizes) -> list[Solid]:
    radius, height = sizes(0.03, 0.05), sizes(0.12, 0.22)
    place = np.linspace(0, 1, 12)
    curve = 0.3 * np.sin(2 * np.pi * place) + sizes.wave(place, 0.15)
    return [_turned(sizes, radius=radius, height=height, curve=curve, open_top=True)]


def _can(sizes: Sizes) -> list[Solid]:
    radius, height = sizes(0.026, 0.045), sizes(0.07, 0.13)
    steel = sizes.finish(STEEL_RGB)
    return [
        solid("cylinder", (radius, height / 2, 0.0), sizes.vivid(), place=(0, 0, height / 2), shine=0.6),
        solid("cylinder", (radius * 0.94, 0.003, 0.0), steel, place=(0, 0, height), shine=0.9),
    ]


def _book(sizes: Sizes) -> list[Solid]:
    """Covers around paler pages; sometimes two on each other."""
    solids, low = [], 0.0
    for _ in range(1 + int(sizes.rng.random() < 0.4)):
        x, y, z = sizes(0.05, 0.085), sizes(0.07, 0.12), sizes(0.006, 0.018)
        rgb = sizes.vivid()
        for height in (low + 0.001, low + 2 * z - 0.001):
            solids.append(solid("box", (x, y, 0.001), rgb, place=(0, 0, height)))
        pages = np.array([0.92, 0.89, 0.8])
        solids.append(solid("box", (x - 0.003, y - 0.003, z - 0.002), pages, place=(0.002, 0, low + z), shine=0.0))
        low += 2 * z
    return solids


def _fruit(sizes: Sizes) -> list[Solid]:
    """One to three, apple to lemon, with stalks."""
    solids, rgb = [], sizes.vivid()
    for i in range(int(sizes.rng.integers(1, 4))):
        radius, long = sizes(0.025, 0.038), sizes(0.95, 1.35)
        tone = np.clip(rgb * sizes.rng.uniform(0.8, 1.2, 3), 0, 1)
        x, y = 0.055 * np.cos(2.1 * i) * (i > 0), 0.075 * np.sin(2.1 * i)
        solids.append(solid("ellipsoid", (radius * long, radius, radius), tone, place=(x, y, radius), shine=0.4))
        stalk = np.array([0.3, 0.2, 0.1])
        solids.append(solid("cylinder", (0.0015, 0.006, 0.0), stalk, place=(x, y, 2 * radius + 0.004)))
    return solids


def _cable(sizes: Sizes) -> list[Solid]:
    """A wound cord with a plug."""
    ways = np.linspace(0, 1, 44)
    turns, radius, thick = sizes(1.0, 2.5), sizes(0.035, 0.07), sizes(0.0022, 0.004)
    angle = 2 * np.pi * turns * ways
    out = radius * (0.6 + 0.5 * ways + sizes.wave(ways, 0.25))
    path = np.stack([out * np.cos(angle), out * np.sin(angle), thick * (1 + 1.2 * np.floor(angle / (2 * np.pi)))], -1)
    rgb = np.full(3, sizes(0.05, 0.3)) if sizes.rng.random() < 0.5 else sizes.vivid()
    cord = tube(path, np.full((44, 8), thick), rgb, shine=0.3)
    x, y = path[-1, :2]
    plug = solid("box", (0.012, 0.008, 0.007), rgb * 0.8, place=(float(x), float(y), 0.007))
    return [(cord, solid("cylinder", (radius, thick, 0.0), rgb, place=(0, 0, thick))[1]), plug]


def _pen(sizes: Sizes) -> list[Solid]:
    """Pens side by side."""
    solids = []
    for i in range(int(sizes.rng.integers(1, 4))):
        radius, half, y = sizes(0.003, 0.006), sizes(0.05, 0.085), 0.018 * i
        solids.append(solid("cylinder", (radius, half, 0.0), sizes.vivid(), place=(0, y, radius), rotation=ALONG_X))
        cap = (half * 0.85, y, radius)
        solids.append(solid("cylinder", (radius * 1.15, half * 0.2, 0.0), sizes.vivid(), place=cap, rotation=ALONG_X))
    return solids


def _slab(sizes: Sizes) -> list[Solid]:
    """A telephone, a tablet, a cutting board or a mat."""
    flat = sizes.rng.random() < 0.4
    x, y, z = sizes(0.03, 0.09), sizes(0.06, 0.13), 0.0008 if flat else sizes(0.003, 0.009)
    dark = np.full(3, sizes(0.03, 0.15))
    body = solid("box", (x, y, z), sizes.vivid(), place=(0, 0, z), shine=0.1 if flat else 0.5)
    if flat or sizes.rng.random() < 0.5:
        return [body]
    return [body, solid("box", (x * 0.92, y * 0.9, 0.0004), dark, place=(0, 0, 2 * z), shine=0.9)]


def _bricks(sizes: Sizes) -> list[Solid]:
    """Coloured bricks strewn about."""
    solids = []
    for angle in np.arange(int(sizes.rng.integers(3, 6))) * 1.3:
        x, y, z = sizes(0.008, 0.018), sizes(0.008, 0.014), sizes(0.006, 0.012)
        place = (0.045 * float(np.cos(angle)), 0.045 * float(np.sin(angle)), z)
        solids.append(solid("box", (x, y, z), sizes.vivid(), place=place))
    return solids


_THINGS: dict[str, Callable[[Sizes], list[Solid]]] = {
    "bottle": _bottle, "jar": _jar, "vase": _vase, "can": _can, "book": _book, "fruit": _fruit, "cable": _cable,
    "pen": _pen, "slab": _slab, "bricks": _bricks,
}  # fmt: skip
