"""The foreground of a rollout as one moving mesh: hand, tool and target."""

from __future__ import annotations

import mujoco
import numpy as np

from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.geometry import transform
from syncmv4d_sim.hand import BODIES, hand_geometry, skinned_vertices
from syncmv4d_sim.objects import label_of
from syncmv4d_sim.physics import Rollout, body_poses


def surface(rollout: Rollout) -> Surface:
    """The foreground's meshes at every frame."""
    scene, data = rollout.scene, mujoco.MjData(rollout.model)
    skin = []
    for frame in range(rollout.num_frames):
        rollout.set_frame(data, frame)
        skin.append(skinned_vertices(rollout.model, data, scene.hand))
    hand = hand_geometry(scene.hand)
    shown = {
        name: model
        for name, model in (("tool", scene.tool), ("target", scene.target))
        if name not in scene.hidden_bodies
    }
    rigid = [
        np.stack([transform(pose, model.vertices) for pose in body_poses(rollout, name)])
        for name, model in shown.items()
    ]
    vertices = [np.stack(skin), *rigid]
    faces = [hand.faces, *(model.faces for model in shown.values())]
    offsets = np.cumsum([0, *(v.shape[1] for v in vertices)])
    labels = [np.full(len(f), label_of(name), np.uint8) for f, name in zip(faces, ("hand", *shown), strict=True)]
    fist = np.flatnonzero(hand.weights.argmax(1) != BODIES.index("forearm"))
    joined = np.concatenate([f + offset for f, offset in zip(faces, offsets[:-1], strict=True)])
    essential = np.concatenate([fist, np.arange(offsets[1], offsets[-1])])
    return Surface(np.concatenate(vertices, axis=1), joined, np.concatenate(labels), essential)
