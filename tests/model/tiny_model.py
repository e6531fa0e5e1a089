"""A whole model small enough to train in a test: every part is real, only narrow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.config import NANO, CodecConfig, LoopConfig, ModelConfig, MotionPriorConfig, TextConfig
from syncmv4d_model.data.sequence import Sequence, write_sequence
from syncmv4d_model.training.prepare import prepare
from tests.model.moving_ellipsoids import moving_scene

TASKS = ("use a spoon to stir in a pan", "hit the box with a hammer", "please push a toy using the brush")

TINY = replace(
    NANO,
    num_frames=5,
    height=32,
    width=32,
    num_points=24,
    codec=CodecConfig(video_channels=12, motion_channels=16, refiner_width=16),
    text=TextConfig(width=16, layers=1, heads=2, max_tokens=12, vocabulary=160),
    motion_prior=MotionPriorConfig(conv_width=8, layers=1, heads=2, point_width=16),
    joint_denoiser=replace(NANO.joint_denoiser, layers=2, heads=2, head_dim=24, ffn_dim=64, freq_dim=32),
    point_aligner=replace(NANO.point_aligner, width=32, blocks=1, heads=2),
    loop=LoopConfig(steps=2),
)


def tiny_sequence(seed: int, *, config: ModelConfig = TINY) -> Sequence:
    """Moving ellipsoids as a sequence of the tiny model's size."""
    scene = moving_scene(
        frames=config.num_frames, points=256, height=config.height, width=config.width, focal_px=37.0, seed=seed
    )
    return Sequence(
        name=f"{seed:06d}",
        task=TASKS[seed % len(TASKS)],
        triplet=("(stir, spoon, pan)", "(hit, hammer, box)", "(push, brush, toy)")[seed % 3],
        view_names=("left", "centre", "right"),
        video=((scene.images[0].numpy() + 1) * 127.5).round().astype(np.uint8),
        intrinsics=scene.cameras.intrinsics[0].double().numpy(),
        camera_from_world=scene.cameras.camera_from_world[0].double().numpy(),
        positions=scene.points_world[0].numpy(),
        visible=scene.visible[0].numpy(),
        label=np.tile(np.arange(256, dtype=np.uint8) % 3 + 1, (3, 1)),
        anchors_px=scene.anchors_px[0].numpy(),
        depth_scale=scene.depth_scale[0].numpy(),
        frame_period_s=config.frame_period_s,
    )


def shaken(components: Components) -> Components:
    """The same components with noise on their weights: untrained networks end in zeros, which hide what they are given."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in (
            components.joint_denoiser,
            components.motion_prior,
            components.point_prior,
            components.point_aligner,
            components.uncertainty_head,
        ):
            for parameter in part.parameters() if part is not None else ():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return components


def tiny_data(directory: Path, *, train: int = 6, val: int = 2) -> Path:
    """A data set of moving ellipsoids."""
    for index in range(train + val):
        split = "train" if index < train else "val"
        sequence = tiny_sequence(index)
        write_sequence(directory / split / sequence.name, sequence)
    return directory


def tiny_checkpoint(directory: Path, *, config: ModelConfig = TINY, seed: int = 0) -> tuple[Path, Path, Components]:
    """(data folder, untrained checkpoint folder, its components)."""
    data = tiny_data(directory / "data")
    out = directory / "checkpoint"
    components = prepare(config, data, out, seed=seed, codec_sequences=6, progress=lambda *position: None)
    return data, out, components
