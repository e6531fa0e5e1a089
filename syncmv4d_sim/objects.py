"""Tools and targets: procedural meshes, collision primitives, and their place in a MuJoCo model.

Tool frame: origin = handle centre, +x = along the handle towards the working end, -z = the side that works (a hammer's
face, a knife's edge). Target frame: origin = centre of the foot, +z up. Lengths are metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import mujoco
import numpy as np
from jaxtyping import Float, Int

from syncmv4d_model.types import LABELS
from syncmv4d_sim.meshes import MeshPart, texture_coordinates
from syncmv4d_sim.textures import MANY_COLOURED, Texture

TOOLS = ("hammer", "spatula", "knife", "brush", "roller", "spoon", "cup")
TARGETS = ("box", "toy", "plate", "bowl", "pan")
VISUAL_GROUP = 2
COLLISION_GROUP = 3
MAIN_SHARE = 0.6  # of an object's surface that parts must have which give it its colour

_GEOM_KINDS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
}


@dataclass(frozen=True)
class CollisionPart:
    """One invisible primitive that collides."""

    kind: Literal["box", "capsule", "cylinder", "ellipsoid", "sphere"]
    size: tuple[float, float, float]  # MuJoCo's half sizes; unused entries 0
    body_from_part: Float[np.ndarray, "4 4"]
    friction: float = 0.8

    @property
    def volume_m3(self) -> float:
        a, b, c = self.size
        return {
            "box": 8 * a * b * c,
            "capsule": np.pi * a * a * (2 * b + 4 / 3 * a),
            "cylinder": 2 * np.pi * a * a * b,
            "ellipsoid": 4 / 3 * np.pi * a * b * c,
            "sphere": 4 / 3 * np.pi * a**3,
        }[self.kind]


@dataclass(frozen=True)
class ObjectModel:
    """A rigid object in its own frame."""

    name: str
    label: int  # index into LABELS
    parts: tuple[MeshPart, ...]
    collision: tuple[CollisionPart, ...]
    mass_kg: float
    size_m: Float[np.ndarray, "3"]  # full extent of the body's useful part: a tool's head, a target's whole
    work_point: Float[
        np.ndarray, "3"
    ]  # what touches the target (tool), or is touched (target: centre of its top or floor)
    handle_radius_m: float = 0.0  # tools: the cylinder about x that the hand closes on
    handle_length_m: float = 0.0
    details: dict[str, float] = field(default_factory=dict)  # extra named sizes that motions are planned by, metres
    shapes: tuple[str, ...] = ()  # "kind/family" of its shapes

    @property
    def families(self) -> frozenset[str]:
        """All that it was drawn from, as "kind/family": shapes and textures."""
        textures = [part.texture.family for part in self.parts if part.texture is not None]
        return frozenset([*self.shapes, *(f"texture/{name}" for name in textures)])

    @property
    def vertices(self) -> Float[np.ndarray, "P 3"]:
        return np.concatenate([part.vertices for part in self.parts])

    @property
    def faces(self) -> Int[np.ndarray, "F 3"]:
        offsets = np.cumsum([0, *(len(part.vertices) for part in self.parts)])
        return np.concatenate([part.faces + offset for part, offset in zip(self.parts, offsets, strict=False)])


def add_object(
    spec: mujoco.MjSpec, model: ObjectModel, *, name: str, world_from_body: Float[np.ndarray, "4 4"], free: bool
) -> mujoco.MjsBody:
    """Add body `name` with its visual meshes and collision primitives; `free` adds joint `<name>_free`."""
    body = spec.worldbody.add_body(name=name, pos=world_from_body[:3, 3], quat=_quaternion(world_from_body[:3, :3]))
    if free:
        body.add_freejoint(name=f"{name}_free")
    for i, part in enumerate(model.parts):
        add_visual(spec, body, part, name=f"{name}_visual_{i}")
    total = sum(part.volume_m3 for part in model.collision)
    for i, part in enumerate(model.collision):
        body.add_geom(
            name=f"{name}_collision_{i}",
            type=_GEOM_KINDS[part.kind],
            size=part.size,
            pos=part.body_from_part[:3, 3],
            quat=_quaternion(part.body_from_part[:3, :3]),
            mass=model.mass_kg * part.volume_m3 / total,
            group=COLLISION_GROUP,
            friction=[part.friction, 0.01, 0.001],
            condim=4,
            rgba=[0, 0, 0, 0],
        )
    return body


def add_visual(spec: mujoco.MjSpec, body: mujoco.MjsBody, part: MeshPart, *, name: str) -> None:
    """Add a mesh that is seen only: it neither collides nor weighs. Its mesh, material and texture bear its name."""
    mesh = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    mesh.uservert, mesh.userface = part.vertices.ravel().tolist(), part.faces.ravel().tolist()
    material = spec.add_material(name=name, specular=0.05 + 0.45 * part.shine, shininess=0.2 + 0.7 * part.shine)
    if part.texture is None:
        material.rgba = [*part.rgb, 1]
    else:
        mesh.usertexcoord = texture_coordinates(part).ravel().tolist()
        mesh.userfacetexcoord = list(range(3 * len(part.faces)))
        add_texture(spec, part.texture, name=name)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    body.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=mesh.name,
        material=material.name,
        contype=0,
        conaffinity=0,
        group=VISUAL_GROUP,
        mass=0,
    )


def add_texture(spec: mujoco.MjSpec, texture: Texture, *, name: str) -> None:
    """Add a texture's picture under a name."""
    picture = texture.pixels()
    height, width = picture.shape[:2]
    kind = mujoco.mjtTexture.mjTEXTURE_2D
    spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3).data = picture.tobytes()


def with_colour(model: ObjectModel, rgb: Float[np.ndarray, "3"]) -> ObjectModel:
    """The object with its main parts in that colour: the largest ones, and all of a tool that is not its handle.

    Two-coloured textures are tinted, many-coloured ones dropped; all else stays.
    """
    share = np.array([part.area_m2 for part in model.parts])
    share /= share.sum()
    larger = np.array([share[share > own].sum() for own in share])
    held = model.handle_radius_m > 0 and len(model.parts) > 1
    is_main = [i > 0 if held else larger[i] < MAIN_SHARE for i in range(len(share))]
    parts = [
        _tinted(part, np.asarray(rgb, float)) if main else part for part, main in zip(model.parts, is_main, strict=True)
    ]
    return replace(model, parts=tuple(parts))


def _tinted(part: MeshPart, rgb: Float[np.ndarray, "3"]) -> MeshPart:
    texture = part.texture
    if texture is None or texture.family in MANY_COLOURED:
        return replace(part, rgb=rgb, texture=None)
    first, second = (tuple(float(value) for value in rgb * shade) for shade in (1.0, 0.72))
    return replace(part, rgb=rgb, texture=replace(texture, rgb=first, second=second))


def label_of(kind: str) -> int:
    return LABELS.index(kind)


def _quaternion(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "4"]:
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(rotation, dtype=np.float64).ravel())
    return quaternion
