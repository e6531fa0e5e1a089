"""MANO's hands: from a pose to the skin's vertices (Romero, Tzionas and Black, Embodied Hands, 2017).

The model's files are under a licence of their own and are the user's: MANO_LEFT.pkl and MANO_RIGHT.pkl, from MANO's site.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.pickles import as_array, read_pickle

SIDES = ("left", "right")
_SHAPES = {
    "v_template": "P 3",
    "shapedirs": "P 3 S",
    "posedirs": "P 3 D",
    "J_regressor": "J P",
    "weights": "P J",
    "kintree_table": "2 J",
    "f": "F 3",
}


@dataclass(frozen=True)
class HandModel:
    """A hand of MANO: P vertices, J joints of which the first is the wrist, S numbers of its shape. Metres."""

    template: Float[np.ndarray, "P 3"]
    shape_directions: Float[np.ndarray, "P 3 S"]
    pose_directions: Float[np.ndarray, "P 3 D"]  # D = 9 (J - 1): of every rotation but the wrist's, less the identity
    joint_regressor: Float[np.ndarray, "J P"]
    weights: Float[np.ndarray, "P J"]
    parents: Int[np.ndarray, "J"]  # of each joint one before it; -1 of the wrist
    faces: Int[np.ndarray, "F 3"]


def read_hand_model(path: Path) -> HandModel:
    """Read MANO_LEFT.pkl or MANO_RIGHT.pkl. FileNotFoundError; ValueError for anything else, as pickles.read_pickle."""
    content = read_pickle(path)
    if not isinstance(content, dict) or (missing := [key for key in _SHAPES if key not in content]):
        lacks = f": it lacks {', '.join(missing)}" if isinstance(content, dict) else ""
        raise ValueError(f"{path} is no hand of MANO{lacks}")
    try:
        arrays = {key: as_array(content[key]) for key in _SHAPES}
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    sizes: dict[str, int] = {"3": 3, "2": 2}
    for key, letters in _SHAPES.items():
        shape = arrays[key].shape
        if len(shape) != len(letters.split()) or any(
            sizes.setdefault(letter, size) != size for letter, size in zip(letters.split(), shape, strict=True)
        ):
            raise ValueError(f"{path}: {key} must be [{letters}], got {list(shape)}")
    joints = sizes["J"]
    if sizes["D"] != 9 * (joints - 1):
        raise ValueError(f"{path}: posedirs must hold 9 numbers for each of {joints - 1} joints, got {sizes['D']}")
    parents, faces = arrays["kintree_table"][0].astype(np.int64), arrays["f"].astype(np.int64)
    parents[0] = -1  # stored as 2^32 - 1
    if not (parents[1:] >= 0).all() or not (parents[1:] < np.arange(1, joints)).all():
        raise ValueError(f"{path}: every joint must have a parent before it, got {parents.tolist()}")
    if faces.min(initial=0) < 0 or faces.max(initial=0) >= sizes["P"]:
        raise ValueError(f"{path}: faces name vertices that are not there")
    numbers = {name: array.astype(np.float64) for name, array in arrays.items()}
    return HandModel(
        template=numbers["v_template"],
        shape_directions=numbers["shapedirs"],
        pose_directions=numbers["posedirs"],
        joint_regressor=numbers["J_regressor"],
        weights=numbers["weights"],
        parents=parents,
        faces=faces,
    )


def hand_vertices(
    model: HandModel,
    pose: Float[np.ndarray, "T D"],
    shape: Float[np.ndarray, "S"],
    wrist: Float[np.ndarray, "T 3"],
) -> Float[np.ndarray, "T P 3"]:
    """The skin in every frame, in the frame that `wrist` is given in, metres.

    `pose` holds an axis and angle (radians) for every joint, the wrist's first; a flat hand is 0. `wrist` is where the wrist
    joint is. ValueError for other numbers than the model has.
    """
    joints = len(model.parents)
    if (
        pose.shape[1:] != (3 * joints,)
        or shape.shape != model.shape_directions.shape[2:]
        or wrist.shape != (len(pose), 3)
    ):
        raise ValueError(
            f"the hand takes pose [T {3 * joints}], shape {list(model.shape_directions.shape[2:])} and wrist [T 3],"
            f" got {list(pose.shape)}, {list(shape.shape)} and {list(wrist.shape)}"
        )
    rest = model.template + model.shape_directions @ shape
    joint = model.joint_regressor @ rest
    rotation = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(len(pose), joints, 3, 3)
    bent = (rotation[:, 1:] - np.eye(3)).reshape(len(pose), -1)
    vertices = rest + np.einsum("pcd,td->tpc", model.pose_directions, bent)
    turn, place = np.empty_like(rotation), np.empty((len(pose), joints, 3))
    for index, parent in enumerate(model.parents):
        if parent < 0:
            turn[:, index], place[:, index] = rotation[:, index], wrist
        else:
            turn[:, index] = turn[:, parent] @ rotation[:, index]
            place[:, index] = place[:, parent] + turn[:, parent] @ (joint[index] - joint[parent])
    moved = np.einsum("tjcd,tpjd->tpjc", turn, vertices[:, :, None] - joint) + place[:, None]
    return np.einsum("tpjc,pj->tpc", moved, model.weights)
