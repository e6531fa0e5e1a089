"""Small input folders and sequences, made from nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from syncmv4d_model.data.rig import Rig, write_rig
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.data.window import from_window
from syncmv4d_model.geometry import look_at, project, transform
from syncmv4d_model.types import Prediction

NAMES = ("left", "centre", "right", "top")
UP = np.array([0.0, 0.0, 1.0])


def small_rig(views: int = 3, *, width: int = 64, height: int = 48, **changes) -> Rig:
    """Cameras on an arc that look at the world's origin; `changes` replaces fields."""
    eyes = [np.array([0.4 * (v - 1), -0.5, 0.5 + 0.1 * v]) for v in range(views)]
    focal = 1.1 * width
    rig = Rig(
        view_names=NAMES[:views],
        image_files=tuple(f"{name}.png" for name in NAMES[:views]),
        sizes=((width, height),) * views,
        intrinsics=np.stack([[[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]]] * views),
        camera_from_world=np.stack([look_at(eye, np.zeros(3), UP) for eye in eyes]),
        distortion=(None,) * views,
    )
    return replace(rig, **changes)


def write_scene(directory: Path, rig: Rig) -> list[np.ndarray]:
    """rig.yaml and one smooth colourful image per view; returns the images."""
    directory.mkdir(parents=True, exist_ok=True)
    write_rig(directory / "rig.yaml", rig)
    images = []
    for index, (file, (width, height)) in enumerate(zip(rig.image_files, rig.sizes, strict=True)):
        v, u = np.mgrid[0:height, 0:width] / max(width, height)
        image = np.stack([u, v, 0.5 + 0.5 * np.sin(9 * (u + v) + index)], axis=-1)
        images.append(np.rint(image * 255).astype(np.uint8))
        if file is not None:
            Image.fromarray(images[-1]).save(directory / file)
    return images


def small_sequence(name: str = "000000", *, frames: int = 5, points: int = 30, size: int = 32) -> Sequence:
    """Three views of a patch of points that slides along x, over noise."""
    rng = np.random.default_rng(1)
    rig = small_rig(3, width=size, height=size)
    start = np.concatenate([rng.uniform(-0.1, 0.1, (3, points, 2)), np.zeros((3, points, 1))], axis=-1)
    slide = 0.02 * np.arange(frames)[:, None] * np.array([1.0, 0, 0])
    positions = start[:, None] + slide[None, :, None]
    in_camera = transform(rig.camera_from_world[:, None], positions)
    anchors = project(rig.intrinsics, in_camera[:, 0])
    visible = rng.random((3, frames, points)) < 0.8
    return Sequence(
        name=name,
        task="push the box with the brush",
        triplet="(push, brush, box)",
        view_names=rig.view_names,
        video=rng.integers(0, 255, (3, frames, size, size, 3), dtype=np.uint8),
        intrinsics=rig.intrinsics,
        camera_from_world=rig.camera_from_world,
        positions=positions.astype(np.float32),
        visible=visible | (np.arange(frames) == 0)[None, :, None],
        label=np.tile(np.arange(points) % 3 + 1, (3, 1)).astype(np.uint8),
        anchors_px=anchors.astype(np.float32),
        depth_scale=np.stack([in_camera[..., 2].min((1, 2)), in_camera[..., 2].max((1, 2))], 1).astype(np.float32),
        frame_period_s=0.125,
    )


def perfect_prediction(sequence: Sequence) -> Prediction:
    """What a model without error would answer."""
    height, width = sequence.video.shape[2:4]
    return Prediction(
        video=sequence.video,
        pseudo_video=(sequence.video / 255).astype(np.float32),
        tracks=sequence.positions,
        coarse_tracks=sequence.positions,
        visible=sequence.visible,
        stddev=np.full(sequence.visible.shape, 0.01, np.float32),
        label=sequence.label,
        anchors_px=from_window(sequence.anchors_px, sequence.windows, height=height, width=width),
        windows_px=sequence.windows,
        intrinsics=sequence.intrinsics,
        depth_scale=sequence.depth_scale,
        frame_period_s=sequence.frame_period_s,
        seed=3,
        warnings=("a warning",),
        timings_s={"total": 1.25},
    )
