"""The hands, the tool and the target of one of TACO's recordings as one moving mesh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from syncmv4d_model.data import taco
from syncmv4d_model.data.mano import SIDES, HandModel, hand_vertices
from syncmv4d_model.data.npz import read_npz
from syncmv4d_model.data.pickles import as_array, read_pickle
from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.geometry import transform
from syncmv4d_model.types import LABELS


@dataclass(frozen=True)
class _Part:
    """One mesh at the frames that are asked for."""

    label: str
    vertices: Float[np.ndarray, "T P 3"]  # world, metres
    faces: Int[np.ndarray, "F 3"]
    recorded: int  # frames in its file
    path: Path


def read_surface(
    recording: taco.Recording, frames: Int[np.ndarray, "T"], hand_models: dict[str, HandModel], *, hands: bool = True
) -> Surface:
    """All parts at these frames of the recording. FileNotFoundError for a part that is missing; ValueError for one that is broken, parts of
    different length, and a recording that is shorter.
    """
    parts = _hands(recording, frames, hand_models) if hands else []
    parts += [_object(recording, label, frames) for label in ("tool", "target")]
    for part in parts:
        if part.recorded != parts[0].recorded:
            one, other = ((one.path.name, one.recorded) for one in (parts[0], part))
            raise ValueError(f"{one[0]} has {one[1]} frames, {other[0]} has {other[1]}: which belong together?")
    offsets = np.cumsum([0, *(part.vertices.shape[1] for part in parts)])
    return Surface(
        vertices=np.concatenate([part.vertices for part in parts], axis=1),
        faces=np.concatenate([part.faces + offset for part, offset in zip(parts, offsets[:-1], strict=True)]),
        label=np.concatenate([np.full(len(part.faces), LABELS.index(part.label), np.uint8) for part in parts]),
        essential=np.arange(offsets[-1]),
    )


@dataclass(frozen=True)
class RecordedObject:
    """Where one object is at the frames that are asked for."""

    identity: str  # of its model
    poses: Float[np.ndarray, "T 4 4"]  # world from object
    recorded: int  # frames in its file
    path: Path


def read_object(recording: taco.Recording, label: str, frames: Int[np.ndarray, "T"]) -> RecordedObject:
    """Poses of "tool" or "target"; errors as `read_surface`."""
    folder = recording.folder(taco.OBJECT_POSES)
    found = sorted(folder.glob(f"{label}_*.npy"))
    if len(found) != 1:
        raise FileNotFoundError(f"{folder} must hold one {label}_<model>.npy, it holds {len(found)}")
    path = found[0]
    try:
        recorded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    if recorded.ndim != 3 or recorded.shape[1:] != (4, 4) or recorded.dtype.kind != "f":
        raise ValueError(f"{path} must be [N 4 4] numbers, got {list(recorded.shape)}")
    poses = _finite(_at(recorded, frames, path), path)
    try:
        for pose in poses:
            taco.nearest_rotation(pose[:3, :3])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return RecordedObject(path.stem.partition("_")[2], poses, len(recorded), path)


def _object(recording: taco.Recording, label: str, frames: Int[np.ndarray, "T"]) -> _Part:
    found = read_object(recording, label, frames)
    vertices, faces = taco.read_model(recording.root / taco.OBJECT_MODELS / f"{found.identity}_cm.obj")
    moved = np.stack([transform(pose, vertices) for pose in found.poses])
    return _Part(label, moved, faces, found.recorded, found.path)


def _hands(recording: taco.Recording, frames: Int[np.ndarray, "T"], models: dict[str, HandModel]) -> list[_Part]:
    """Both hands, or the one that there is: skins where there are any, else MANO's."""
    meshes, poses = recording.folder(taco.HAND_MESHES), recording.folder(taco.HAND_POSES)
    found = [_skin(meshes / f"{side}_hand.npz", frames) for side in SIDES if (meshes / f"{side}_hand.npz").is_file()]
    if not found:
        sides = [side for side in SIDES if (poses / f"{side}_hand.pkl").is_file()]
        if lacking := [side for side in sides if side not in models]:
            raise ValueError(f"{poses} holds poses of MANO's {lacking[0]} hand, and its model was not given")
        found = [_posed(poses, side, models[side], frames) for side in sides]
    if not found:
        raise FileNotFoundError(f"no hand in {poses}")
    return found


def _skin(path: Path, frames: Int[np.ndarray, "T"]) -> _Part:
    arrays = read_npz(path, ("vertices", "faces"))
    vertices, faces = arrays["vertices"], arrays["faces"]
    if vertices.ndim != 3 or vertices.shape[2] != 3 or vertices.dtype.kind != "f":
        raise ValueError(f"{path}: vertices must be [N P 3] numbers, got {list(vertices.shape)}")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or not len(faces):
        raise ValueError(f"{path}: faces must be [F 3] whole numbers, got {list(faces.shape)}")
    if faces.min() < 0 or faces.max() >= vertices.shape[1]:
        raise ValueError(f"{path}: faces name vertices that are not there")
    return _Part("hand", _finite(_at(vertices, frames, path), path), faces.astype(np.int64), len(vertices), path)


def _posed(folder: Path, side: str, model: HandModel, frames: Int[np.ndarray, "T"]) -> _Part:
    """A hand of MANO: keys in order are the recording's frames."""
    path = folder / f"{side}_hand.pkl"
    content, shape_path = read_pickle(path), folder / f"{side}_hand_shape.pkl"
    shape = read_pickle(shape_path)
    try:
        keys = sorted(content)
        chosen = _at(np.arange(len(keys)), frames, path)
        pose, wrist = (
            _finite(np.stack([as_array(content[keys[index]][name]).ravel() for index in chosen]), path)
            for name in ("hand_pose", "hand_trans")
        )
        vertices = hand_vertices(model, pose, _finite(as_array(shape["hand_shape"]).ravel(), shape_path), wrist)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{path} or {shape_path.name} holds no poses of MANO: {error!r}") from error
    return _Part("hand", vertices, model.faces, len(keys), path)


def _at(array: np.ndarray, frames: Int[np.ndarray, "T"], path: Path) -> np.ndarray:
    if len(array) <= frames.max():
        raise ValueError(f"{path} has {len(array)} frames, the clip needs {frames.max() + 1}")
    return array[frames]


def _finite(array: np.ndarray, path: Path) -> np.ndarray:
    """As float64."""
    if not np.isfinite(array).all():
        raise ValueError(f"{path} holds something that is not a finite number in a frame of the clip")
    return array.astype(np.float64)
