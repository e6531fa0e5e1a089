"""The foreground of a rollout as one moving mesh: hand, tool and target."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float, Int, UInt8

from syncmv4d_model.geometry import transform
from syncmv4d_sim.hand import BODIES, hand_geometry, skinned_vertices
from syncmv4d_sim.objects import label_of
from syncmv4d_sim.physics import Rollout, body_poses


@dataclass(frozen=True)
class Surface:
    """All foreground meshes as one."""

    vertices: Float[np.ndarray, "T P 3"]  # world, metres, per frame
    faces: Int[np.ndarray, "F 3"]
    label: UInt8[np.ndarray, "F"]  # per face, index into LABELS
    essential: Int[np.ndarray, "E"]  # vertices that pictures should hold: all but the forearm

    @property
    def action_points(self) -> Float[np.ndarray, "N 3"]:
        """Where the essential vertices are at every fourth frame, for framing."""
        return self.vertices[::4, self.essential].reshape(-1, 3)


def surface(rollout: Rollout) -> Surface:
    """The foreground's meshes at every frame."""
    scene, data = rollout.scene, mujoco.MjData(rollout.model)
    skin = []
    for frame in range(rollout.num_frames):
        rollout.set_frame(data, frame)
        skin.append(skinned_vertices(rollout.model, data, scene.hand))
    hand = hand_geometry(scene.hand)
    rigid = [(scene.tool, body_poses(rollout, "tool")), (scene.target, body_poses(rollout, "target"))]
    vertices = [
        np.stack(skin),
        *(np.stack([transform(pose, model.vertices) for pose in poses]) for model, poses in rigid),
    ]
    faces = [hand.faces, scene.tool.faces, scene.target.faces]
    offsets = np.cumsum([0, *(v.shape[1] for v in vertices)])
    labels = [
        np.full(len(f), label_of(kind), np.uint8) for f, kind in zip(faces, ("hand", "tool", "target"), strict=True)
    ]
    fist = np.flatnonzero(hand.weights.argmax(1) != BODIES.index("forearm"))
    joined = np.concatenate([f + offset for f, offset in zip(faces, offsets[:-1], strict=True)])
    essential = np.concatenate([fist, np.arange(offsets[1], offsets[-1])])
    return Surface(np.concatenate(vertices, axis=1), joined, np.concatenate(labels), essential)
