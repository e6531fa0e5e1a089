"""What the picture shows besides the bodies: table, floor and light. Colours in 0..1."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_sim.shapes import hsv_rgb

TABLE_PATTERNS = ("plain", "wood", "checker", "stripes", "speckle", "cloth")
TEXTURE_PX = 128
TABLE_HALF_M = (0.75, 0.6)
TABLE_THICKNESS_M = 0.03
FLOOR_BELOW_M = 0.75


@dataclass(frozen=True)
class Look:
    """Appearance of one scene."""

    table_rgb: Float[np.ndarray, "2 3"]
    table_pattern: str  # one of TABLE_PATTERNS
    table_tile_m: float  # edge of one texture tile
    table_yaw: float
    floor_rgb: Float[np.ndarray, "3"]
    light_direction: Float[np.ndarray, "3"]  # from the light into the scene
    light_rgb: Float[np.ndarray, "3"]
    ambient: float
    texture_seed: int


def sample_look(rng: np.random.Generator) -> Look:
    """Table, floor and light at random; the table is duller than what stands on it."""
    hue, value = rng.uniform(0, 1), rng.uniform(0.3, 0.9)
    first = hsv_rgb(float(hue), float(rng.uniform(0.05, 0.5)), float(value))
    second = np.clip(first * rng.uniform(0.6, 0.95), 0, 1)
    pattern = TABLE_PATTERNS[rng.integers(len(TABLE_PATTERNS))]
    if pattern == "wood":
        first = np.array([0.75, 0.55, 0.36]) * rng.uniform(0.5, 1.2)
        second = first * rng.uniform(0.6, 0.85)
    azimuth, slope = rng.uniform(-np.pi, np.pi), rng.uniform(0.15, 0.8)
    direction = np.array([slope * np.cos(azimuth), slope * np.sin(azimuth), -1.0])
    warmth = rng.uniform(-0.1, 0.1)
    light = rng.uniform(0.55, 0.9) * np.array([1 + warmth, 1.0, 1 - warmth])
    floor = hsv_rgb(float(rng.uniform(0, 1)), float(rng.uniform(0, 0.3)), float(rng.uniform(0.1, 0.6)))
    return Look(
        np.stack([first, second]), pattern, float(rng.uniform(0.15, 0.4)), float(rng.uniform(-0.4, 0.4)), floor,
        direction / np.linalg.norm(direction), light, float(rng.uniform(0.2, 0.4)), int(rng.integers(2**31)),
    )  # fmt: skip


def table_texture(look: Look) -> UInt8[np.ndarray, "S S 3"]:
    """One tile of the table's pattern."""
    rng = np.random.default_rng(look.texture_seed)
    v, u = np.mgrid[:TEXTURE_PX, :TEXTURE_PX] / TEXTURE_PX
    grain = rng.normal(size=(TEXTURE_PX, TEXTURE_PX))
    smooth = np.real(
        np.fft.ifft2(
            np.fft.fft2(grain)
            * np.exp(-40 * (np.fft.fftfreq(TEXTURE_PX)[:, None] ** 2 + np.fft.fftfreq(TEXTURE_PX) ** 2) * 20)
        )
    )
    smooth /= np.abs(smooth).max()
    blend = {
        "plain": 0.5 + 0 * u,
        "wood": 0.5 + 0.5 * np.sin(2 * np.pi * (5 * v + 0.6 * smooth + 0.3 * np.sin(2 * np.pi * u))),
        "checker": ((u < 0.5) ^ (v < 0.5)).astype(float),
        "stripes": (np.sin(2 * np.pi * 3 * u) > 0).astype(float),
        "speckle": (grain > 1.6).astype(float),
        "cloth": 0.5 + 0.25 * np.sin(2 * np.pi * 16 * u) + 0.25 * np.sin(2 * np.pi * 16 * v),
    }[look.table_pattern]
    blend = np.clip(blend + 0.12 * smooth, 0, 1)[..., None]
    colour = look.table_rgb[0] * (1 - blend) + look.table_rgb[1] * blend
    return (np.clip(colour + 0.012 * grain[..., None], 0, 1) * 255).astype(np.uint8)


def add_surroundings(spec: mujoco.MjSpec, look: Look) -> None:
    """Add the table (geom "table", colliding, top at z = 0), floor, and lights to the world body."""
    spec.visual.headlight.ambient = np.full(3, look.ambient)
    spec.visual.headlight.diffuse = np.full(3, 0.22)
    spec.visual.headlight.specular = np.full(3, 0.05)
    spec.visual.quality.shadowsize = 1024
    spec.visual.map.znear, spec.visual.map.zfar = 0.02, 20
    spec.stat.extent, spec.stat.center = 1.0, np.zeros(3)
    tile = table_texture(look)
    texture = spec.add_texture(
        name="table_texture", type=mujoco.mjtTexture.mjTEXTURE_2D, width=TEXTURE_PX, height=TEXTURE_PX, nchannel=3
    )
    texture.data = tile.tobytes()
    material = spec.add_material(name="table_material", specular=0.15, shininess=0.3, texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "table_texture"
    material.texrepeat = np.full(2, 1 / look.table_tile_m)
    half = (*TABLE_HALF_M, TABLE_THICKNESS_M / 2)
    yaw = [np.cos(look.table_yaw / 2), 0, 0, np.sin(look.table_yaw / 2)]
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=half,
        pos=[0, 0.05, -TABLE_THICKNESS_M / 2],
        quat=yaw,
        material="table_material",
        friction=[0.7, 0.01, 0.001],
    )
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[8, 8, 0.1],
        pos=[0, 0, -FLOOR_BELOW_M],
        rgba=[*look.floor_rgb, 1],
        contype=0,
        conaffinity=0,
    )
    spec.worldbody.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        dir=look.light_direction,
        pos=-1.5 * look.light_direction,
        diffuse=look.light_rgb,
        specular=0.4 * look.light_rgb,
        castshadow=True,
    )
