"""What is seen of an arm besides the hand's own mesh: its upper part, sleeves, cuffs; and the picture on the skin.

All in the palm's frame, whose axes the forearm has too. Lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_sim.hand_shape import HandShape, hand_geometry
from syncmv4d_sim.meshes import MeshPart, tube
from syncmv4d_sim.textures import Colour, Texture

SKIN_TILE_M = 0.16
SKIN_LOW_M, SKIN_TILES = -0.22, 3  # the picture reaches from there towards the arm
ANGLES = 24
ARM_FROM_M = 0.16  # where the drawn arm begins, within the mesh's forearm
MESH_END_M = 0.205  # the mesh's forearm is whole up to here; all for a hand of scale 1
BEND_M = 0.09  # that the elbow takes
UPPER_ARM_RADIUS_M = 0.047
SLEEVE_GAP_M = 0.004  # least distance from the skin


@dataclass(frozen=True)
class ArmSurface:
    """Middle line and radii of an arm from the wrist to its end; radii are those of the convex hull."""

    along_m: Float[np.ndarray, "R"]  # way from the wrist
    path: Float[np.ndarray, "R 3"]
    radii: Float[np.ndarray, "R 24"]


@lru_cache(maxsize=32)
def arm_surface(shape: HandShape) -> ArmSurface:
    """The forearm's measured outlines, and beyond the mesh those of an elbow and upper arm."""
    vertices, scale = hand_geometry(shape).vertices.astype(float), shape.scale
    heights = np.arange(-0.01, MESH_END_M + 1e-6, 0.0215) * scale
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    directions = np.stack([np.cos(angle), np.sin(angle)])
    path, radii = [], []
    for z in heights:
        points = vertices[np.abs(vertices[:, 2] - z) < 0.021 * scale, :2]
        middle = (points.min(0) + points.max(0)) / 2
        path.append([*middle, z])
        radii.append(((points - middle) @ directions).max(0))
    beyond, ring = _beyond_the_mesh(shape, np.array(path[-3:]), np.array(radii[-1]))
    whole = np.concatenate([path, beyond])
    steps = np.linalg.norm(np.diff(whole, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)]) + heights[0]
    return ArmSurface(along, whole, np.concatenate([radii, ring]))


def _beyond_the_mesh(
    shape: HandShape, last: Float[np.ndarray, "3 3"], radii: Float[np.ndarray, "24"]
) -> tuple[Float[np.ndarray, "R 3"], Float[np.ndarray, "R 24"]]:
    """An elbow that bends, then a straight upper arm, round by and by."""
    straight = last[-1] - last[0]
    straight /= np.linalg.norm(straight)
    bend = np.array([np.sin(shape.elbow_azimuth), -np.cos(shape.elbow_azimuth), 0.0])
    bend -= (bend @ straight) * straight
    bend /= np.linalg.norm(bend)
    length = 0.05 * shape.scale + shape.arm_m
    step = length / max(2, round(length / 0.022))
    ways = np.arange(step, length + 1e-9, step)
    turn = shape.elbow_rad * np.clip(ways / BEND_M, 0, 1)
    directions = np.cos(turn)[:, None] * straight + np.sin(turn)[:, None] * bend
    path = last[-1] + np.cumsum(step * directions, axis=0)
    share = np.clip(ways / 0.12, 0, 1)[:, None]
    return path, (1 - share) * radii + share * UPPER_ARM_RADIUS_M * shape.scale * (1 + 0.15 * shape.muscle)


def arm_meshes(shape: HandShape) -> list[MeshPart]:
    """Upper arm, sleeve and cuff as far as the shape has them: seen, never felt. They move with the forearm."""
    rng, surface = np.random.default_rng(shape.seed), arm_surface(shape)
    parts = []
    if shape.arm_m > 0 and shape.cover not in ("long_sleeve", "cuffed"):
        parts.append(_upper_arm(shape, surface))
    if shape.cover in ("long_sleeve", "short_sleeve", "cuffed"):
        parts.append(_sleeve(rng, shape, surface))
    if shape.cover == "cuffed":
        start = shape.cover_start_m - 0.006
        parts.append(_band(rng, shape, surface, start=start, end=start + 0.055, gap=0.0145, flare=0.001))
    if shape.cover == "glove":
        end = shape.cover_start_m
        parts.append(_band(rng, shape, surface, start=end - 0.02, end=end, gap=0.002, flare=0.001))
    if shape.cover == "gauntlet":
        parts.append(_band(rng, shape, surface, start=shape.cover_start_m - 0.03, end=0.16, gap=0.003, flare=0.02))
    return parts


def skin_texture(shape: HandShape) -> Texture:
    """Of hand and arm."""
    red, green, blue = shape.skin_rgb
    second = (0.86 * red, 0.68 * green, 0.62 * blue)
    return Texture(shape.skin, shape.seed, shape.skin_rgb, second, SKIN_TILE_M)


def skin_picture(shape: HandShape) -> UInt8[np.ndarray, "H W 3"]:
    """What lies on the hand's mesh by `skin_coordinates`: skin, or a glove and the skin behind it."""
    skin = skin_texture(shape)
    picture = np.concatenate([skin.pixels()] * SKIN_TILES)
    if shape.cover in ("glove", "gauntlet"):
        rows = round((shape.cover_start_m - 0.004 - SKIN_LOW_M) / SKIN_TILE_M * skin.size_px)
        cloth = _cover_texture(shape, shape.cover_rgb)
        glove = (
            cloth.pixels()
            if cloth is not None
            else replace(skin, family="smooth", rgb=shape.cover_rgb, second=shape.cover_rgb).pixels()
        )
        picture[:rows] = np.concatenate([glove] * SKIN_TILES)[:rows]
    return picture


def skin_coordinates(vertices: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 2"]:
    """Texture coordinates of the skin's vertices at rest: along the arm, and aslant across it, so that no side is smeared."""
    across = (vertices[:, 0] + 0.6 * vertices[:, 1]) / SKIN_TILE_M
    return np.stack([across, (vertices[:, 2] - SKIN_LOW_M) / (SKIN_TILES * SKIN_TILE_M)], -1)


def _cover_texture(shape: HandShape, rgb: Colour) -> Texture | None:
    if shape.cover_texture is None:
        return None
    rng = np.random.default_rng(shape.seed)
    second = np.clip(np.array(rgb) * rng.uniform(0.6, 1.3) + rng.uniform(-0.1, 0.1, 3), 0.03, 0.97)
    colour = float(second[0]), float(second[1]), float(second[2])
    return Texture(shape.cover_texture, shape.seed, rgb, colour, float(rng.uniform(0.06, 0.2)))


def _upper_arm(shape: HandShape, surface: ArmSurface) -> MeshPart:
    shown = surface.along_m > ARM_FROM_M * shape.scale
    shown[-1] = shape.cover != "short_sleeve"  # which ends farther back than the arm in it
    radii = surface.radii[shown].copy()
    radii *= 0.97
    radii[0] *= 0.8  # begins inside the mesh
    part = tube(surface.path[shown], radii, np.array(shape.skin_rgb), shine=0.1)
    return replace(part, texture=skin_texture(shape))


def _sleeve(rng: np.random.Generator, shape: HandShape, surface: ArmSurface) -> MeshPart:
    """Loose cloth with folds across it, from its start to the arm's end."""
    path, radii, place = _resampled(surface, shape.cover_start_m, float(surface.along_m[-1]))
    turn = np.arange(ANGLES) * 2 * np.pi / ANGLES
    looseness, folds = rng.uniform(0.003, 0.012), rng.uniform(0.001, 0.004)
    wave = sum(
        np.cos(k * turn + rng.uniform(0, 2 * np.pi) + rng.uniform(4, 14) * place[:, None]) / k for k in (1, 2, 3)
    )
    widths = radii + SLEEVE_GAP_M + looseness * np.minimum(1, 0.5 + 3 * place)[:, None] + folds * (1 + wave / 1.84)
    part = tube(path, widths, np.array(shape.cover_rgb), shine=float(rng.uniform(0, 0.15)))
    return replace(part, texture=_cover_texture(shape, shape.cover_rgb))


def _band(
    rng: np.random.Generator,
    shape: HandShape,
    surface: ArmSurface,
    *,
    start: float,
    end: float,
    gap: float,
    flare: float,
) -> MeshPart:
    """A cuff around the arm, `gap` off the skin, wider by `flare` at its end."""
    path, radii, place = _resampled(surface, start, end)
    red, green, blue = np.array(shape.cover_rgb) * rng.uniform(0.6, 1.25)
    rgb = np.clip([red, green, blue], 0.02, 0.98)
    part = tube(path, radii + gap + flare * place[:, None], rgb, shine=0.2)
    return (
        part
        if rng.random() < 0.6
        else replace(part, texture=_cover_texture(shape, (float(rgb[0]), float(rgb[1]), float(rgb[2]))))
    )


def _resampled(
    surface: ArmSurface, start: float, end: float
) -> tuple[Float[np.ndarray, "S 3"], Float[np.ndarray, "S 24"], Float[np.ndarray, "S"]]:
    """Path, radii and place (0..1) of a piece of the arm, stations at most 1.6 cm apart."""
    along = np.linspace(start, end, max(4, int((end - start) / 0.016)))
    path = np.stack([np.interp(along, surface.along_m, column) for column in surface.path.T], -1)
    radii = np.stack([np.interp(along, surface.along_m, column) for column in surface.radii.T], -1)
    return path, radii, (along - start) / (end - start)
