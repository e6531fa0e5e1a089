"""A human right hand with forearm that physics can close around a tool.

Palm frame: origin at the wrist, +x toward the thumb side, +y out of the palm, +z from the fingers toward the forearm. Every finger
bone's body has the palm frame's axes at rest, so hinge axes and bind poses need no extra rotation.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_sim.arms import arm_meshes, skin_coordinates, skin_picture
from syncmv4d_sim.hand_shape import HandGeometry, HandShape, hand_geometry
from syncmv4d_sim.objects import add_visual

PALM = "palm"
PALM_TARGET = "palm_target"  # the mocap body that the palm is softly welded to
SKIN = "hand_skin"
FINGERS = ("thumb", "index", "middle", "ring", "pinky")
NUM_HINGES = 20  # per finger: abduction, then three flexions

FINGER_GAINS = (2.0, 3.0, 2.0, 1.2)  # N m / rad of the position actuators: abduction, then along the finger
CONTACT_BIT = 2
FORCE_LIMIT = 1.4  # N m; more presses the tool through the palm
FINGER_CLOSED = (0.0, 1.1, 1.5, 1.0)  # rad
THUMB_CLOSED = (0.55, 0.9, 0.7, 0.6)
PALM_FLESH_M = 0.016  # from the metacarpal line to the palm's surface, for an average hand
WELD_AS_PLACED = np.array(
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1.0, 0]
)  # anchor, relative pose (0: as compiled), torque scale


BODIES = (PALM, "forearm", *(f"{finger}_{joint}" for finger in FINGERS for joint in (1, 2, 3)))
"""Body of each bone of the skin."""


def palm_from_grip(
    shape: HandShape, *, handle_radius_m: float = 0.014, tilt_rad: float = 0.2
) -> Float[np.ndarray, "4 4"]:
    """Where the held cylinder lies in the hand: its centre across the finger roots, +x out at the thumb, +y out of the palm.

    `tilt_rad` turns the thumb end toward the fingertips: people hold handles across the palm, not square to the fingers.
    """
    geometry = hand_geometry(shape)
    knuckles = geometry.heads[[5, 8, 11, 14]]
    palm_from_grip = np.eye(4)
    cosine, sine = np.cos(tilt_rad), np.sin(tilt_rad)
    palm_from_grip[:3, :3] = [[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]
    palm_from_grip[:3, 3] = [
        knuckles[:, 0].mean()
        + 0.7 * max(handle_radius_m - 0.013, 0.0),  # thick things lie lower, or the thumb misses them
        PALM_FLESH_M * shape.scale + handle_radius_m,
        knuckles[:, 2].mean()
        + 0.012 * shape.scale
        + 0.85 * (handle_radius_m - 0.013),  # where closed fingers press it to
    ]
    return palm_from_grip


def finger_commands(closing: float) -> Float[np.ndarray, "20"]:
    """Position commands (rad) in the actuators' order; 0 is the relaxed open hand, 1 a closed one, more squeezes harder."""
    return closing * np.array([*THUMB_CLOSED, *(4 * FINGER_CLOSED)])


def add_hand(spec: mujoco.MjSpec, shape: HandShape, *, world_from_palm: Float[np.ndarray, "4 4"]) -> None:
    """Add the hand's bodies, hinges, actuators, skin and the mocap body that leads its palm."""
    geometry = hand_geometry(shape)
    position, quaternion = world_from_palm[:3, 3], np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, world_from_palm[:3, :3].ravel())
    target = spec.worldbody.add_body(name=PALM_TARGET, mocap=True, pos=position, quat=quaternion)
    palm = spec.worldbody.add_body(name=PALM, pos=position, quat=quaternion, gravcomp=1)
    palm.add_freejoint(name="palm_free")
    for finger in range(1, 5):
        knuckle = geometry.heads[2 + 3 * finger]
        _add_capsule(palm, knuckle * 0.25, knuckle, radius=PALM_FLESH_M * shape.scale * 0.8, mass_kg=0.1)
    forearm = palm.add_body(name="forearm", gravcomp=1)
    _add_capsule(forearm, geometry.tails[1], geometry.heads[1], radius=geometry.radii[1], mass_kg=0.5)
    for geom in forearm.geoms:
        geom.contype = geom.conaffinity = 0  # drawn only: the arm reaches in from outside
    for number, finger in enumerate(FINGERS):
        _add_finger(spec, palm, geometry, finger=finger, first_bone=2 + 3 * number)
    weld = spec.add_equality(type=mujoco.mjtEq.mjEQ_WELD, objtype=mujoco.mjtObj.mjOBJ_BODY, name="palm_weld")
    weld.name1, weld.name2 = target.name, palm.name
    weld.data = WELD_AS_PLACED
    weld.solref = np.array([0.01, 1])
    _add_skin(spec, geometry, shape)
    for i, part in enumerate(arm_meshes(shape)):
        add_visual(spec, forearm, part, name=f"arm_{i}")


def _add_capsule(body: mujoco.MjsBody, start: np.ndarray, end: np.ndarray, *, radius: float, mass_kg: float) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=np.concatenate([start, end]),
        size=[radius, 0, 0],
        mass=mass_kg,
        friction=[1.6, 0.01, 0.0005],
        condim=4,
        priority=1,  # skin's friction and stiffness count, whatever it holds
        solref=[0.006, 1],
        solimp=[0.95, 0.99, 0.001, 0.5, 2],
        contype=CONTACT_BIT,  # objects have contype and conaffinity 1: the hand meets them, never itself
        conaffinity=1,
        group=3,
    )


def _add_finger(
    spec: mujoco.MjSpec, palm: mujoco.MjsBody, geometry: HandGeometry, *, finger: str, first_bone: int
) -> None:
    bones = range(first_bone, first_bone + 3)
    parent, parent_head = palm, np.zeros(3)
    flexion, abduction = _hinge_axes(geometry, first_bone, thumb=finger == "thumb")
    for joint, bone in enumerate(bones):
        head = geometry.heads[bone]
        body = parent.add_body(name=f"{finger}_{joint + 1}", pos=head - parent_head, gravcomp=1)
        axes = [("abduction", abduction), ("flexion", flexion)] if joint == 0 else [("flexion", flexion)]
        for kind, axis in axes:
            name = f"{finger}_{kind}_{joint + 1}"
            limits = [-0.3, 1.0] if kind == "abduction" else [-0.3, 1.9]
            body.add_joint(
                name=name,
                type=mujoco.mjtJoint.mjJNT_HINGE,
                axis=axis,
                range=limits,
                limited=True,
                damping=0.04,
                armature=2e-4,
            )
            gain = FINGER_GAINS[0 if kind == "abduction" else joint + 1]
            actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
            actuator.set_to_position(kp=gain)
            actuator.forcelimited, actuator.forcerange = True, [-FORCE_LIMIT, FORCE_LIMIT]
        _add_capsule(body, np.zeros(3), geometry.tails[bone] - head, radius=geometry.radii[bone], mass_kg=0.02)
        parent, parent_head = body, head


def _hinge_axes(geometry: HandGeometry, first_bone: int, *, thumb: bool) -> tuple[np.ndarray, np.ndarray]:
    """Axes of flexion (toward the palm; the thumb: across it) and of abduction (the thumb: out of the palm)."""
    directions = geometry.tails[first_bone : first_bone + 3] - geometry.heads[first_bone : first_bone + 3]
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    across = np.cross(directions[1], directions[2]) if thumb else np.array([1.0, 0, 0])
    flexion = across - (across @ directions[0]) * directions[0]
    flexion /= np.linalg.norm(flexion)
    abduction = np.cross(directions[0], [0, 1.0, 0]) if thumb else np.cross(flexion, directions[0])
    return flexion, abduction / np.linalg.norm(abduction)


def _add_skin(spec: mujoco.MjSpec, geometry: HandGeometry, shape: HandShape) -> None:
    picture = skin_picture(shape)
    height, width = picture.shape[:2]
    kind = mujoco.mjtTexture.mjTEXTURE_2D
    spec.add_texture(name=SKIN, type=kind, width=width, height=height, nchannel=3).data = picture.tobytes()
    shine = 0.35 if shape.cover in ("glove", "gauntlet") else 0.12
    material = spec.add_material(name=SKIN, specular=shine, shininess=0.3)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = SKIN
    skin = spec.add_skin(name=SKIN, material=SKIN)
    skin.texcoord = skin_coordinates(geometry.vertices).ravel().tolist()
    skin.vert = geometry.vertices.ravel().tolist()
    skin.face = geometry.faces.ravel().tolist()
    skin.bodyname = list(BODIES)
    binds = geometry.heads.copy()
    binds[:2] = 0  # palm and forearm bodies sit at the wrist
    skin.bindpos = binds.ravel().tolist()
    skin.bindquat = [1.0, 0, 0, 0] * len(BODIES)
    skin.vertid = [np.flatnonzero(column).tolist() for column in geometry.weights.T]
    skin.vertweight = [column[column > 0].tolist() for column in geometry.weights.T]


def skinned_vertices(model: mujoco.MjModel, data: mujoco.MjData, shape: HandShape) -> Float[np.ndarray, "P 3"]:
    """World positions (m) of the skin's vertices by linear blend skinning; equals MuJoCo's own skin to 1e-6 m."""
    geometry = hand_geometry(shape)
    binds = geometry.heads.copy()
    binds[:2] = 0
    points = np.zeros((len(geometry.vertices), 3))
    for bone, name in enumerate(BODIES):
        body = model.body(name).id
        rotation = data.xmat[body].reshape(3, 3)
        weight = geometry.weights[:, bone, None]
        points += weight * ((geometry.vertices - binds[bone]) @ rotation.T + data.xpos[body])
    return points
