"""What the picture shows besides the bodies: table, floor, walls, sky and light. Colours in 0..1, lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_sim.families import Range, draw_family
from syncmv4d_sim.lights import Lighting, add_lighting, sample_lighting
from syncmv4d_sim.meshes import MeshPart
from syncmv4d_sim.objects import add_texture, add_visual
from syncmv4d_sim.shapes import WOOD_RGB, hsv_rgb
from syncmv4d_sim.textures import Texture, sample_texture

TABLE_THICKNESS_M = 0.03
FLOOR_BELOW_M = 0.75
SHADOW_MAP_PX = 512  # of the middle 1.6 m of the scene
WALL_TOP_M = 2.4
PHOTOGRAPHIC = {"photo": 8.0, "label": 0.3, "dots": 0.5, "checker": 0.5}  # how often walls have them
TABLE_TOPS = {"photo": 0.4, "label": 0.2, "wood": 2.5, "marble": 1.5, "weave": 1.5, "noise": 2.0}


@dataclass(frozen=True)
class Wall:
    """An upright panel that is seen from its front only."""

    azimuth: float  # of its middle as seen from the world's origin
    distance_m: float
    half_width_m: float
    turn: float  # away from facing the origin, radians
    texture: Texture

    def mesh(self) -> MeshPart:
        """One face, from the floor up. MuJoCo draws no face from behind, so cameras may stand outside."""
        facing = self.azimuth + np.pi + self.turn
        across = np.array([-np.sin(facing), np.cos(facing), 0.0]) * self.half_width_m
        middle = self.distance_m * np.array([np.cos(self.azimuth), np.sin(self.azimuth), 0.0])
        low, high = np.array([0, 0, -FLOOR_BELOW_M]), np.array([0, 0, WALL_TOP_M])
        corners = [middle - across + low, middle + across + low, middle + across + high, middle - across + high]
        faces = np.array([[0, 1, 2], [0, 2, 3]])
        return MeshPart(np.stack(corners), faces, np.array(self.texture.rgb), 0.0, self.texture)


@dataclass(frozen=True)
class Look:
    """Appearance of one scene."""

    table: Texture
    table_half_m: tuple[float, float]
    table_yaw: float
    table_shine: float
    floor: Texture
    walls: tuple[Wall, ...]
    sky: Texture
    room: str
    lighting: Lighting

    @property
    def families(self) -> frozenset[str]:
        """All that it was drawn from, as "kind/family"."""
        textures = [self.table, self.floor, self.sky, *(wall.texture for wall in self.walls)]
        names = [f"texture/{texture.family}" for texture in textures]
        return frozenset([*names, f"room/{self.room}", f"light/{self.lighting.family}"])


def sample_look(rng: np.random.Generator, *, family: Range = "known") -> Look:
    """Surroundings at random, of families that training draws or of unseen ones; duller than what stands on the table."""
    room = draw_family("room", rng, family)
    return Look(
        table=_table_top(rng, family),
        table_half_m=(float(rng.uniform(0.6, 0.9)), float(rng.uniform(0.52, 0.75))),
        table_yaw=float(rng.uniform(-0.4, 0.4)),
        table_shine=float(rng.uniform(0, 0.5)),
        floor=sample_texture(
            rng, _dull(rng, 0.08, 0.6), look=family, contrast=0.3, tile_m=float(rng.uniform(0.4, 1.5))
        ),
        walls=_WALLS[room](rng, family),
        sky=_photograph(rng, family, size_px=64),
        room=room,
        lighting=sample_lighting(rng, family),
    )


def _dull(rng: np.random.Generator, darkest: float, brightest: float) -> Float[np.ndarray, "3"]:
    saturation = rng.uniform(0, 1) ** 2.5 * 0.45
    return hsv_rgb(float(rng.uniform(0, 1)), float(saturation), float(rng.uniform(darkest, brightest)))


def _table_top(rng: np.random.Generator, look: Range) -> Texture:
    rgb = _dull(rng, 0.28, 0.9)
    if rng.random() < 0.3:
        rgb = WOOD_RGB[rng.integers(len(WOOD_RGB))] * rng.uniform(0.7, 1.2)
    tile_m = float(rng.uniform(0.2, 0.8))
    return sample_texture(
        rng, rgb, look=look, tile_m=tile_m, size_px=192, contrast=float(rng.uniform(0.03, 0.4)), weights=TABLE_TOPS
    )


def _photograph(rng: np.random.Generator, look: Range, *, size_px: int = 128) -> Texture:
    rgb, tile_m = _dull(rng, 0.1, 0.95), float(rng.uniform(1.0, 3.0))
    return sample_texture(rng, rgb, look=look, tile_m=tile_m, size_px=size_px, weights=PHOTOGRAPHIC)


def _closed_room(rng: np.random.Generator, look: Range) -> tuple[Wall, ...]:
    """Four walls, two and two alike."""
    yaw, textures = rng.uniform(-np.pi, np.pi), [_photograph(rng, look) for _ in range(2)]
    return tuple(
        Wall(float(yaw + i * np.pi / 2), float(rng.uniform(1.1, 3.0)), 4.0, 0.0, textures[i % 2]) for i in range(4)
    )


def _backdrops(rng: np.random.Generator, look: Range) -> tuple[Wall, ...]:
    """One or two panels, mostly on the operator's side, who stands at azimuth 90 degrees."""
    return tuple(
        Wall(
            float(np.radians(90 + rng.uniform(-70, 70))),
            float(rng.uniform(0.95, 2.0)),
            float(rng.uniform(0.7, 1.6)),
            float(rng.uniform(-0.3, 0.3)),
            _photograph(rng, look),
        )
        for _ in range(rng.integers(1, 3))
    )


def _panels(rng: np.random.Generator, look: Range) -> tuple[Wall, ...]:
    """Many narrow ones all around, as furniture stands."""
    textures = [_photograph(rng, look) for _ in range(3)]
    azimuths = (np.arange(8) + rng.uniform(-0.3, 0.3, 8)) * np.pi / 4
    return tuple(
        Wall(float(a), float(rng.uniform(1.0, 2.6)), float(rng.uniform(0.3, 0.8)), float(rng.uniform(-0.5, 0.5)), textures[i % 3])
        for i, a in enumerate(azimuths)
    )  # fmt: skip


_WALLS = {"open": lambda rng, look: (), "corner": _closed_room, "backdrop": _backdrops, "panels": _panels}


def add_surroundings(spec: mujoco.MjSpec, look: Look) -> None:
    """Add the table (geom "table", colliding, top at z = 0), floor, walls, sky and lights to the world body."""
    spec.visual.map.znear, spec.visual.map.zfar = 0.02, 20
    spec.stat.extent, spec.stat.center = 1.0, np.zeros(3)
    spec.visual.map.shadowclip = 0.8
    add_lighting(spec, look.lighting, shadow_px=SHADOW_MAP_PX)
    _add_material(spec, look.table, name="table", shine=look.table_shine)
    _add_material(spec, look.floor, name="floor", shine=0.0)
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(*look.table_half_m, TABLE_THICKNESS_M / 2),
        pos=[0, 0.05, -TABLE_THICKNESS_M / 2],
        quat=[np.cos(look.table_yaw / 2), 0, 0, np.sin(look.table_yaw / 2)],
        material="table",
        friction=[0.7, 0.01, 0.001],
    )
    spec.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[8, 8, 0.1],
        pos=[0, 0, -FLOOR_BELOW_M],
        material="floor",
        contype=0,
        conaffinity=0,
    )
    _add_sky(spec, look.sky)
    for i, wall in enumerate(look.walls):
        add_visual(spec, spec.worldbody, wall.mesh(), name=f"wall_{i}")


def _add_material(spec: mujoco.MjSpec, texture: Texture, *, name: str, shine: float) -> None:
    add_texture(spec, texture, name=name)
    material = spec.add_material(name=name, specular=0.3 * shine, shininess=0.3, texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.texrepeat = np.full(2, 1 / texture.tile_m)


def _add_sky(spec: mujoco.MjSpec, sky: Texture) -> None:
    """The same picture to six sides."""
    picture = np.concatenate([sky.pixels()] * 6)
    kind = mujoco.mjtTexture.mjTEXTURE_SKYBOX
    texture = spec.add_texture(name="sky", type=kind, width=picture.shape[1], height=picture.shape[0], nchannel=3)
    texture.data = picture.tobytes()
