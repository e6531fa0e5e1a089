"""A small sequence whose motion is known: half of a patch of points slides along x."""

import numpy as np

from syncmv4d_model import geometry
from syncmv4d_model.data.sequence import Sequence

V, T, K, SIZE = 2, 5, 60, 32


def sliding_sequence(name: str, *, speed_m: float = 0.03, triplet: str = "(push, brush, box)") -> Sequence:
    """A patch of table points of which the tool's half slides along x; two cameras look at the same points."""
    rng = np.random.default_rng(sum(map(ord, name)))
    eyes = [np.array([0.0, -0.5, 0.6]), np.array([0.3, -0.5, 0.6])]
    camera_from_world = np.stack([geometry.look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0])) for eye in eyes])
    intrinsics = np.array([[40.0, 0, 15.5], [0, 40.0, 15.5], [0, 0, 1]])
    start = np.c_[rng.uniform(-0.15, 0.15, (K, 2)), np.zeros(K)]
    positions = np.repeat(start[None], T, axis=0)
    positions[:, : K // 2, 0] += speed_m * np.arange(T)[:, None]
    positions = np.stack([positions] * V).astype(np.float32)
    in_camera = geometry.transform(camera_from_world[:, None], positions.astype(np.float64))
    visible = rng.random((V, T, K)) < 0.8
    visible[:, 0] = True
    return Sequence(
        name=name,
        task="push a box with a brush",
        triplet=triplet,
        view_names=("left", "right"),
        video=rng.integers(0, 255, (V, T, SIZE, SIZE, 3), dtype=np.uint8),
        intrinsics=np.stack([intrinsics] * V),
        camera_from_world=camera_from_world,
        positions=positions,
        visible=visible,
        label=np.stack([np.r_[np.full(K // 2, 2), np.full(K - K // 2, 3)].astype(np.uint8)] * V),
        anchors_px=geometry.project(np.stack([intrinsics] * V), in_camera[:, 0]).astype(np.float32),
        depth_scale=np.stack([in_camera[..., 2].min((1, 2)), in_camera[..., 2].max((1, 2))], axis=1).astype(np.float32),
        frame_period_s=0.125,
    )
