"""Writes a rollout as the TACO data set lays its own sequences out on disk, filmed by TACO's twelve real cameras.

TACO's hands are parameters of MANO, which may not be shipped: ours are skin vertices under `Hand_Meshes` instead of
`Hand_Poses`. Everything is in TACO's world frame; videos have no lens distortion.
"""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np

from syncmv4d_model.data.atomic import atomic_directory, write_bytes
from syncmv4d_model.data.surface_tracks import SceneRig
from syncmv4d_model.data.taco import (
    CALIBRATION,
    CAMERAS,
    CENTIMETRES_PER_M,
    FRAME_RATE_HZ,
    HAND_MESHES,
    OBJECT_MODELS,
    OBJECT_POSES,
    VIDEOS,
)
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.geometry import resized_intrinsics, transform
from syncmv4d_model.types import LABELS
from syncmv4d_sim.cameras import TACO_SIZE, taco_cameras, taco_from_world
from syncmv4d_sim.objects import ObjectModel
from syncmv4d_sim.physics import Rollout, body_poses
from syncmv4d_sim.render import render
from syncmv4d_sim.surface import surface

FRAME_PERIOD_S = 1 / FRAME_RATE_HZ
FIRST_DAY = datetime.date(2000, 1, 1)  # sequences are named by day and number; no real TACO day is that early


def taco_name(index: int) -> str:
    """YYYYMMDD_NNN of a sequence."""
    day = FIRST_DAY + datetime.timedelta(days=index // 1000)
    return f"{day:%Y%m%d}_{index % 1000:03d}"


def is_written(root: Path, triplet: str, index: int) -> bool:
    """Whether the whole sequence is there: its videos are written last."""
    return (root / VIDEOS / triplet / taco_name(index)).is_dir()


def write_taco(root: Path, index: int, rollout: Rollout, *, width: int, shadows: bool = True) -> None:
    """Film the rollout with all of TACO's cameras, `width` pixels wide, and write every part of the sequence.

    ValueError unless the rollout has TACO's 30 frames a second. OSError as atomic.atomic_directory.
    """
    if abs(rollout.frame_period_s - FRAME_PERIOD_S) > 1e-9:
        raise ValueError(f"TACO records every {FRAME_PERIOD_S:.4f} s, got frames every {rollout.frame_period_s:.4f} s")
    place = Path(rollout.scene.triplet) / taco_name(index)
    for part in (VIDEOS, CAMERAS, OBJECT_POSES, OBJECT_MODELS, HAND_MESHES):
        (root / part / (place.parent if part != OBJECT_MODELS else "")).mkdir(parents=True, exist_ok=True)
    rig = taco_rig(width)
    _write_objects(root, place, index, rollout)
    _write_hand(root / HAND_MESHES / place, rollout)
    with atomic_directory(root / CAMERAS / place) as partial:
        (partial / CALIBRATION).write_text(json.dumps(_calibration(rig)), encoding="utf-8")
    frames = render(rollout, rig, shadows=shadows)
    with atomic_directory(root / VIDEOS / place) as partial:
        for serial, video in zip(rig.view_names, frames.rgb, strict=True):
            content = encode_video(video, frame_period_s=FRAME_PERIOD_S, lossless=True)
            (partial / f"{serial}.mp4").write_bytes(content)


def taco_rig(width: int) -> SceneRig:
    """All twelve cameras around our workspace, their pictures scaled to `width`."""
    scale = width / TACO_SIZE[0]
    height = round(TACO_SIZE[1] * scale)
    cameras = taco_cameras()
    scales = (scale, height / TACO_SIZE[1])
    intrinsics = np.stack([resized_intrinsics(camera.intrinsics, *scales) for camera in cameras.values()])
    poses = np.stack([camera.camera_from_world @ taco_from_world() for camera in cameras.values()])
    return SceneRig(tuple(cameras), intrinsics, poses, height, width)


def _calibration(rig: SceneRig) -> dict[str, dict[str, object]]:
    poses = {serial: camera.camera_from_world for serial, camera in taco_cameras().items()}
    return {
        serial: {
            "K": intrinsics.ravel().tolist(),
            "R": poses[serial][:3, :3].ravel().tolist(),
            "T": poses[serial][:3, 3].tolist(),
            "imgSize": [rig.width, rig.height],
            "distCoeff": [0.0] * 5,
            "rectifyAlpha": 0.0,
        }
        for serial, intrinsics in zip(rig.view_names, rig.intrinsics, strict=True)
    }


def _write_objects(root: Path, place: Path, index: int, rollout: Rollout) -> None:
    models = {"tool": rollout.scene.tool, "target": rollout.scene.target}
    with atomic_directory(root / OBJECT_POSES / place) as partial:
        for number, (body, model) in enumerate(models.items()):
            identity = f"{2 * index + number:06d}"
            np.save(partial / f"{body}_{identity}.npy", taco_from_world() @ body_poses(rollout, body))
            write_bytes(root / OBJECT_MODELS / f"{identity}_cm.obj", _obj_text(model).encode())


def _obj_text(model: ObjectModel) -> str:
    """A Wavefront mesh in centimetres."""
    vertices = "".join(f"v {x:.6f} {y:.6f} {z:.6f}\n" for x, y, z in model.vertices * CENTIMETRES_PER_M)
    return vertices + "".join(f"f {a} {b} {c}\n" for a, b, c in model.faces + 1)


def _write_hand(directory: Path, rollout: Rollout) -> None:
    body = surface(rollout)
    faces = body.faces[body.label == LABELS.index("hand")]
    skin = body.vertices[:, : faces.max() + 1]
    vertices = np.stack([transform(taco_from_world(), frame) for frame in skin]).astype(np.float32)
    with atomic_directory(directory) as partial:
        np.savez_compressed(partial / "right_hand.npz", vertices=vertices, faces=faces)
