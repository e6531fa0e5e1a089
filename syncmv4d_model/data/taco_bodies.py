"""Tool and target of a TACO recording as rigid bodies, and what is near to what."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from syncmv4d_model.data import taco
from syncmv4d_model.data.sequence import Bodies
from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.data.taco_surface import read_object
from syncmv4d_model.types import LABELS

CONTACT_M = 0.005
"""TACO records no contact: parts that are this near count as touching."""
SAMPLES = 4000  # of each part's surface
SAMPLE_STREAM = 203


def read_taco_bodies(recording: taco.Recording, frames: Int[np.ndarray, "T"], surface: Surface) -> Bodies:
    """Poses of tool and target at these frames, the surface's; errors as
    `taco_surface.read_surface`.
    """
    names = ("tool", "target")
    poses = np.stack([read_object(recording, name, frames).poses for name in names])
    points = {name: _sample(surface, LABELS.index(name)) for name in LABELS[1:]}
    return Bodies(
        names=names,
        label=np.array([LABELS.index(name) for name in names], np.uint8),
        world_from_body=poses,
        contact_tool_target=_near(points["tool"], points["target"]),
        contact_hand_tool=_near(points["hand"], points["tool"]),
    )


def _sample(surface: Surface, label: int) -> Float[np.ndarray, "T N 3"]:
    """Points spread evenly over the surface of a label's faces, followed through all frames; none
    where there is no face.
    """
    faces = surface.faces[surface.label == label]
    if not len(faces):
        return np.zeros((len(surface.vertices), 0, 3))
    corners = surface.vertices[0][faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    rng = np.random.default_rng(SAMPLE_STREAM)
    face = faces[rng.choice(len(faces), SAMPLES, p=area / area.sum())]
    weights = rng.dirichlet(np.ones(3), SAMPLES)
    return np.einsum("tncx,nc->tnx", surface.vertices[:, face], weights)


def _near(one: Float[np.ndarray, "T N 3"], other: Float[np.ndarray, "T M 3"]) -> Bool[np.ndarray, "T"]:
    if not one.shape[1] or not other.shape[1]:
        return np.zeros(len(one), bool)
    return np.array([KDTree(b).query(a)[0].min() <= CONTACT_M for a, b in zip(one, other, strict=True)])
