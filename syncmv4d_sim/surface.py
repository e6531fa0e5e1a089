"""The foreground of a rollout as one moving mesh: hand, tool and target."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float

from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.geometry import transform
from syncmv4d_sim.arms import arm_meshes
from syncmv4d_sim.hand import BODIES, PALM, hand_geometry, skinned_vertices
from syncmv4d_sim.objects import label_of
from syncmv4d_sim.physics import Rollout, body_poses


def surface(rollout: Rollout) -> Surface:
    """The foreground's meshes at every frame: hand and arm, and tool and target where the scene has them."""
    scene, data = rollout.scene, mujoco.MjData(rollout.model)
    skin = []
    for frame in range(rollout.num_frames):
        rollout.set_frame(data, frame)
        skin.append(skinned_vertices(rollout.model, data, scene.hand))
    hand = hand_geometry(scene.hand)
    arm = arm_meshes(scene.hand)
    objects = {"tool": scene.tool, "target": scene.target}
    shown = {name: model for name, model in objects.items() if name not in scene.hidden_bodies}
    moved = [("hand", body_poses(rollout, PALM), part.vertices, part.faces) for part in arm]
    moved += [(name, body_poses(rollout, name), model.vertices, model.faces) for name, model in shown.items()]
    vertices = [np.stack(skin), *(_carry(poses, points) for _, poses, points, _ in moved)]
    faces, names = [hand.faces, *(part for *_, part in moved)], ["hand", *(name for name, *_ in moved)]
    offsets = np.cumsum([0, *(points.shape[1] for points in vertices)])
    labels = [np.full(len(part), label_of(name), np.uint8) for part, name in zip(faces, names, strict=True)]
    joined = np.concatenate([part + offset for part, offset in zip(faces, offsets[:-1], strict=True)])
    fist = np.flatnonzero(hand.weights.argmax(1) != BODIES.index("forearm"))
    essential = np.concatenate([fist, np.arange(offsets[1 + len(arm)], offsets[-1])])
    return Surface(np.concatenate(vertices, axis=1), joined, np.concatenate(labels), essential)


def _carry(poses: Float[np.ndarray, "T 4 4"], points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "T P 3"]:
    return np.stack([transform(pose, points) for pose in poses])
