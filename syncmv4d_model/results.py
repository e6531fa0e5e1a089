"""What a prediction leaves on disk: <view>.mp4, tracks.npz, pictures and, last of all, prediction.json."""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from syncmv4d_model.data.atomic import flush
from syncmv4d_model.data.npz import read_npz
from syncmv4d_model.data.observation import Lenses
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.geometry import inverse
from syncmv4d_model.types import LABELS, Observation, Prediction

RECORD_FILE = "prediction.json"
OLDER_RECORD_FILE = ".prediction.json.older"
TRACKS_FILE = "tracks.npz"
LABEL_COLOURS = ((170, 170, 170), (255, 74, 74), (64, 220, 96), (84, 148, 255))
"""RGB of LABELS in every picture: grey unknown, red hand, green tool, blue target."""

_VERSIONED = ("syncmv4d", "torch", "numpy", "diffusers", "av")


@dataclass(frozen=True)
class Tracks:
    """tracks.npz in memory."""

    positions: Float32[np.ndarray, "V T K 3"]  # world, metres
    visible: Bool[np.ndarray, "V T K"]
    stddev: Float32[np.ndarray, "V T K"]  # metres, per axis; NaN where the model gives none
    label: UInt8[np.ndarray, "V K"]
    intrinsics: Float[np.ndarray, "V 3 3"]  # px of <view>.mp4
    camera_from_world: Float[np.ndarray, "V 4 4"]
    anchors_px: Float32[np.ndarray, "V K 2"]  # frame-0 pixel in the input image that rig.yaml names
    video_size: np.ndarray  # [V 2] (width, height) of <view>.mp4
    frame_period_s: float
    task: str
    seed: int
    checkpoint: str


@dataclass(frozen=True)
class Preview:
    """Pictures for people: one still, and the same animated."""

    still: UInt8[np.ndarray, "H W 3"]
    frames: UInt8[np.ndarray, "T h w 3"]


def write_prediction(
    out_dir: Path,
    prediction: Prediction,
    observation: Observation,
    lenses: Lenses,
    *,
    checkpoint: str,
    preview: Preview | None = None,
    rerun: bool = False,
    record: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a prediction into a folder and return its files; those of an older prediction go, other files in the folder stay.

    All files are made in a hidden sub-folder and moved when complete; prediction.json goes first when older and comes last
    when new, so a folder that has it is whole. `record` adds to prediction.json (steps, engine, digest). OSError, naming
    the folder, when the disk is full; then nothing of an older prediction is touched.
    """
    period = prediction.frame_period_s
    with _staged(out_dir) as stage:
        for name, video in zip(observation.view_names, prediction.video, strict=True):
            (stage / f"{name}.mp4").write_bytes(encode_video(video, frame_period_s=period))
        save_tracks(stage / TRACKS_FILE, tracks_of(prediction, observation, lenses, checkpoint=checkpoint))
        if preview is not None:
            (stage / "preview.mp4").write_bytes(encode_video(preview.frames, frame_period_s=period, crf=20))
            save_png(stage / "preview.png", preview.still)
        if rerun:
            save_rerun(stage / "prediction.rrd", prediction, observation)
        names = sorted(path.name for path in stage.iterdir())
        content = describe(prediction, observation, checkpoint=checkpoint)
        content |= dict(record or {}) | {"files": names}
        (stage / RECORD_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [out_dir / name for name in [*names, RECORD_FILE]]


def tracks_of(prediction: Prediction, observation: Observation, lenses: Lenses, *, checkpoint: str) -> Tracks:
    """The content of tracks.npz: anchors go back to input pixels, intrinsics are those of the written videos."""
    views, _, height, width = prediction.video.shape[:4]
    return Tracks(
        positions=prediction.tracks,
        visible=prediction.visible,
        stddev=prediction.stddev,
        label=prediction.label,
        intrinsics=prediction.intrinsics,
        camera_from_world=observation.camera_from_world,
        anchors_px=lenses.put_back(prediction.anchors_px),
        video_size=np.array([[width, height]] * views),
        frame_period_s=prediction.frame_period_s,
        task=observation.task,
        seed=prediction.seed,
        checkpoint=checkpoint,
    )


def save_tracks(path: Path | BinaryIO, tracks: Tracks) -> None:
    """Write tracks.npz. For a name that readers look at, write inside atomic.atomic_file."""
    np.savez_compressed(path, **vars(tracks))


def read_tracks(path: Path) -> Tracks:
    """Read tracks.npz. FileNotFoundError; ValueError if it is broken, lacks a key, has the wrong shapes or holds a position,
    an anchor or a calibration that is not finite.
    """
    arrays: dict[str, Any] = dict(read_npz(path, tuple(Tracks.__annotations__)))
    shape = arrays["positions"].shape
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"{path}: positions must be [V T K 3], got {list(shape)}")
    expected = {"visible": shape[:3], "stddev": shape[:3], "label": (shape[0], shape[2])}
    expected |= {"anchors_px": (shape[0], shape[2], 2), "video_size": (shape[0], 2)}
    expected |= {"intrinsics": (shape[0], 3, 3), "camera_from_world": (shape[0], 4, 4)}
    expected |= dict.fromkeys(("frame_period_s", "seed", "task", "checkpoint"), ())
    for key, wanted in expected.items():
        if arrays[key].shape != wanted:
            raise ValueError(
                f"{path}: {key} must be {list(wanted)} beside positions {list(shape)}, got {list(arrays[key].shape)}"
            )
    for key in ("positions", "anchors_px", "intrinsics", "camera_from_world", "frame_period_s"):
        if arrays[key].dtype.kind not in "fiu" or not np.isfinite(arrays[key]).all():
            raise ValueError(f"{path}: {key} holds something that is not a finite number")
    for key, kind in {"frame_period_s": float, "seed": int, "task": str, "checkpoint": str}.items():
        arrays[key] = kind(arrays[key].item())
    return Tracks(**arrays)


def describe(prediction: Prediction, observation: Observation, *, checkpoint: str) -> dict[str, Any]:
    """prediction.json: what was asked, with what, how long it took, and what to be wary of."""
    views, frames, height, width = prediction.video.shape[:4]
    names = observation.view_names
    return {
        "task": observation.task,
        "views": list(names),
        "checkpoint": checkpoint,
        "seed": prediction.seed,
        "warnings": list(prediction.warnings),
        "input_used_px": dict(zip(names, np.round(prediction.windows_px, 2).tolist(), strict=True)),
        "num_frames": frames,
        "frame_period_s": prediction.frame_period_s,
        "video_size_px": [width, height],
        "points_per_view": prediction.tracks.shape[2],
        "points_by_label": {name: int((prediction.label == index).sum()) for index, name in enumerate(LABELS)},
        "depth_scale_m": {
            name: [round(float(z), 4) for z in prediction.depth_scale[v]] for v, name in enumerate(names)
        },
        "timings_s": {name: round(seconds, 4) for name, seconds in prediction.timings_s.items()},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide a result's bits; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _VERSIONED:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def save_rerun(path: Path, prediction: Prediction, observation: Observation) -> None:
    """A recording for the rerun viewer: cameras, videos, pseudo videos and tracks over time. Needs the `viewer` extra."""
    rr: Any = importlib.import_module("rerun")  # its own exports are not visible to type checkers
    recording = rr.RecordingStream("syncmv4d")
    recording.save(str(path))
    recording.log("task", rr.TextDocument(observation.task), static=True)
    colours = np.array(LABEL_COLOURS, np.uint8)
    height, width = prediction.video.shape[2:4]
    for view, name in enumerate(observation.view_names):
        world_from_camera = inverse(observation.camera_from_world[view])
        recording.log(
            f"world/{name}",
            rr.Transform3D(translation=world_from_camera[:3, 3], mat3x3=world_from_camera[:3, :3]),
            rr.Pinhole(image_from_camera=prediction.intrinsics[view], resolution=[width, height]),
            static=True,
        )
    for frame in range(prediction.video.shape[1]):
        recording.set_time("time", duration=frame * prediction.frame_period_s)
        for view, name in enumerate(observation.view_names):
            seen = prediction.visible[view, frame]
            recording.log(f"world/{name}/video", rr.Image(prediction.video[view, frame]))
            pseudo = np.rint(prediction.pseudo_video[view, frame] * 255).clip(0, 255).astype(np.uint8)
            recording.log(f"pseudo_video/{name}", rr.Image(pseudo))
            points = rr.Points3D(
                prediction.tracks[view, frame][seen], colors=colours[prediction.label[view]][seen], radii=0.003
            )
            recording.log(f"world/tracks/{name}", points)
    recording.flush()
    recording.disconnect()


def save_png(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a picture; OSError."""
    from PIL import Image

    Image.fromarray(image).save(path, format="PNG")


@contextmanager
def _staged(out_dir: Path) -> Iterator[Path]:
    """Yields a hidden folder inside out_dir; its files are moved up when the block ends without an error, the record last."""
    stage = out_dir / f".{os.getpid()}.partial"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for left in out_dir.glob(".*.partial"):
            shutil.rmtree(left, ignore_errors=True)
        stage.mkdir()
        yield stage
        for file in stage.iterdir():
            flush(file)
        _retire_record(out_dir)
        for name in _files_of_older(out_dir) - {file.name for file in stage.iterdir()}:
            (out_dir / name).unlink(missing_ok=True)
        for file in sorted(stage.iterdir(), key=lambda file: (file.name == RECORD_FILE, file.name)):
            os.replace(file, out_dir / file.name)
        (out_dir / OLDER_RECORD_FILE).unlink(missing_ok=True)
        flush(out_dir)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(
            error.errno, f"could not write the prediction to {out_dir}: {reason}; no part of it was kept"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _retire_record(out_dir: Path) -> None:
    """Give an older record its hidden name: from now on the folder is not whole, and a later writer still knows its files."""
    if (out_dir / RECORD_FILE).is_file():
        os.replace(out_dir / RECORD_FILE, out_dir / OLDER_RECORD_FILE)


def _files_of_older(out_dir: Path) -> set[str]:
    """The files beside it that an older prediction's record names; none where that is no record of ours."""
    try:
        names = json.loads((out_dir / OLDER_RECORD_FILE).read_text(encoding="utf-8"))["files"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return set()
    if not isinstance(names, list):
        return set()
    beside = (name for name in names if isinstance(name, str) and name == Path(name).name)
    return {name for name in beside if (out_dir / name).is_file()}
