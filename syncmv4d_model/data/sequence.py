"""One recorded or simulated example and its folder in a data set."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from syncmv4d_model.data.atomic import atomic_directory
from syncmv4d_model.data.rig import RIG_FILE, Rig, read_rig, write_rig
from syncmv4d_model.data.video import encode_video, read_video
from syncmv4d_model.types import LABELS

TRUTH_FILE = "truth.npz"
TASK_FILE = "task.txt"
_TRUTH_KEYS = (
    "positions", "visible", "label", "intrinsics", "camera_from_world", "anchors_px", "video_size", "frame_period_s",
    "task", "depth_scale", "triplet",
)  # fmt: skip


@dataclass(frozen=True)
class Sequence:
    """V synchronised videos with exact tracks. N = T, or 0 when read without video."""

    name: str
    task: str
    triplet: str
    view_names: tuple[str, ...]
    video: UInt8[np.ndarray, "V N H W 3"]
    intrinsics: Float[np.ndarray, "V 3 3"]  # px of `video`; integer pixel centres
    camera_from_world: Float[np.ndarray, "V 4 4"]
    positions: Float32[np.ndarray, "V T K 3"]  # world, metres
    visible: Bool[np.ndarray, "V T K"]  # by the point's own view
    label: UInt8[np.ndarray, "V K"]  # index into types.LABELS
    anchors_px: Float32[np.ndarray, "V K 2"]  # frame-0 pixel (u, v) in `video`
    depth_scale: Float32[np.ndarray, "V 2"]  # metres, (near, far) of the view's points over all frames
    frame_period_s: float


def rig_of_sequence(sequence: Sequence) -> Rig:
    """The cameras of a sequence that was not read without video."""
    views, _, height, width = sequence.video.shape[:4]
    return Rig(
        view_names=sequence.view_names,
        image_files=(None,) * views,
        sizes=((width, height),) * views,
        intrinsics=sequence.intrinsics.astype(np.float64),
        camera_from_world=sequence.camera_from_world.astype(np.float64),
        distortion=(None,) * views,
    )


def write_sequence(directory: Path, sequence: Sequence) -> None:
    """Write DIR/<split>/<sequence>, whole or not at all: lossless videos, rig.yaml, task.txt, truth.npz.

    ValueError for a sequence without video or with a rig that rig.check_rig refuses; OSError as atomic.atomic_directory.
    """
    views, frames, height, width = sequence.video.shape[:4]
    if frames != sequence.positions.shape[1]:
        raise ValueError(f"{sequence.name}: {frames} frames of video but {sequence.positions.shape[1]} of tracks")
    rig = rig_of_sequence(sequence)
    truth = {key: getattr(sequence, key) for key in _TRUTH_KEYS if key != "video_size"}
    with atomic_directory(directory) as partial:
        write_rig(partial / RIG_FILE, rig)
        (partial / TASK_FILE).write_text(sequence.task + "\n", encoding="utf-8")
        for name, frames_of_view in zip(sequence.view_names, sequence.video, strict=True):
            content = encode_video(frames_of_view, frame_period_s=sequence.frame_period_s, lossless=True)
            (partial / f"{name}.mp4").write_bytes(content)
        np.savez_compressed(partial / TRUTH_FILE, **truth, video_size=np.array([[width, height]] * views))


def read_sequence(directory: Path, *, with_video: bool = True) -> Sequence:
    """Read a sequence folder. FileNotFoundError naming what is missing; ValueError for a file that is broken or that
    contradicts the others.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"no sequence folder {directory}")
    rig = read_rig(directory / RIG_FILE)
    truth = read_npz(directory / TRUTH_FILE, _TRUTH_KEYS)
    _check_truth(directory / TRUTH_FILE, truth)
    views, frames = truth["positions"].shape[:2]
    if views != len(rig.view_names):
        raise ValueError(f"{directory}: {TRUTH_FILE} has {views} views, {RIG_FILE} has {len(rig.view_names)}")
    for key in ("intrinsics", "camera_from_world"):
        if not np.allclose(truth[key], getattr(rig, key), rtol=1e-4, atol=1e-4):
            raise ValueError(f"{directory}: {TRUTH_FILE} and {RIG_FILE} have different {key}")
    width, height = (int(size) for size in truth["video_size"][0])
    video = np.zeros((views, 0, height, width, 3), np.uint8)
    if with_video:
        videos = [read_video(directory / f"{name}.mp4") for name in rig.view_names]
        for name, view in zip(rig.view_names, videos, strict=True):
            if view.shape != (frames, height, width, 3):
                raise ValueError(
                    f"{directory / name}.mp4 is {len(view)} frames of {view.shape[2]} x {view.shape[1]} px,"
                    f" {TRUTH_FILE} says {frames} of {width} x {height}"
                )
        video = np.stack(videos)
    return Sequence(
        name=directory.name,
        task=str(truth["task"]),
        triplet=str(truth["triplet"]),
        view_names=rig.view_names,
        video=video,
        frame_period_s=float(truth["frame_period_s"]),
        **{key: truth[key] for key in _TRUTH_KEYS if key not in ("video_size", "frame_period_s", "task", "triplet")},
    )


def _check_truth(path: Path, truth: dict[str, np.ndarray]) -> None:
    """ValueError unless the arrays have the contract's shapes and every number is finite."""
    shape = truth["positions"].shape
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"{path}: positions must be [V T K 3], got {list(shape)}")
    views, frames, points = shape[:3]
    expected = {"visible": (views, frames, points), "label": (views, points), "intrinsics": (views, 3, 3)}
    expected |= {"camera_from_world": (views, 4, 4), "anchors_px": (views, points, 2), "video_size": (views, 2)}
    expected |= {"depth_scale": (views, 2), "frame_period_s": (), "task": (), "triplet": ()}
    for key, wanted in expected.items():
        if truth[key].shape != wanted:
            raise ValueError(
                f"{path}: {key} must be {list(wanted)} beside positions {list(shape)}, got {list(truth[key].shape)}"
            )
    for key in ("positions", "anchors_px", "depth_scale", "intrinsics", "camera_from_world", "frame_period_s"):
        if truth[key].dtype.kind not in "fiu" or not np.isfinite(truth[key]).all():
            raise ValueError(f"{path}: {key} holds something that is not a finite number")
    truth["visible"] = checked_flags(path, "visible", truth["visible"])
    truth["label"] = checked_label(path, truth["label"])
    if not truth["frame_period_s"] > 0:
        raise ValueError(f"{path}: frame_period_s must be positive, got {truth['frame_period_s']:g}")


def checked_flags(path: Path, name: str, flags: np.ndarray) -> np.ndarray:
    """A file's array of that name as booleans; ValueError for anything but 0 and 1."""
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{path}: {name} must hold nothing but 0 and 1")
    return flags.astype(bool, copy=False)


def checked_label(path: Path, label: np.ndarray) -> np.ndarray:
    """As uint8; ValueError for anything but the numbers of LABELS."""
    if label.dtype.kind not in "biuf" or not np.isin(label, range(len(LABELS))).all():
        raise ValueError(f"{path}: label must hold whole numbers from 0 to {len(LABELS) - 1} ({', '.join(LABELS)})")
    return label.astype(np.uint8, copy=False)


def list_sequences(data_dir: Path, split: str, *, limit: int | None = None) -> list[Path]:
    """The sequence folders of a split, sorted by name; what killed writers left is skipped. FileNotFoundError without
    the data set's folder; ValueError if that is itself a split, or has no such split, or there is no sequence in it.
    """
    splits = list_splits(data_dir)
    if not (data_dir / split).is_dir():
        raise ValueError(f"{data_dir} has no split {split!r}; it has {', '.join(splits) or 'none'}")
    found = _sequences_in(data_dir / split)
    if not found:
        raise ValueError(f"split {split!r} of {data_dir} holds no sequence")
    return found[:limit]


def list_splits(data_dir: Path) -> list[str]:
    """Names of a data set's splits, sorted. FileNotFoundError without the folder; ValueError for one that is itself a split."""
    if not data_dir.is_dir():
        raise FileNotFoundError(f"no such folder: {data_dir}")
    if _sequences_in(data_dir):
        place = data_dir.resolve()
        raise ValueError(
            f"{data_dir} is one split of a data set: the data set is {place.parent}, the split {place.name!r}"
        )
    return sorted(path.name for path in data_dir.glob("*") if path.is_dir() and not path.name.startswith("."))


def _sequences_in(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob(f"*/{TRUTH_FILE}") if not path.parent.name.startswith("."))


def check_size(path: Path, most: int) -> None:
    """ValueError for a file of more than `most` bytes."""
    if path.stat().st_size > most:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, more than the {most:,} that are read")


def read_npz(path: Path, keys: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Arrays of an .npz file, of the optional ones those that are there. FileNotFoundError if it is missing; ValueError if it is
    broken, pickled or lacks a key.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    content = path.read_bytes()
    if content[:2] != b"PK":  # what every zip archive starts with
        kind = "a single array (.npy)" if content.startswith(b"\x93NUMPY") else "something else, or empty"
        raise ValueError(f"cannot read {path}: it is not an .npz archive but {kind}; numpy.savez writes one")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            missing = [key for key in keys if key not in archive]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            return {key: archive[key] for key in (*keys, *(key for key in optional if key in archive))}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        reason = "it holds Python objects, which are never loaded" if "allow_pickle" in str(error) else error
        raise ValueError(f"cannot read {path}: {reason}") from error
