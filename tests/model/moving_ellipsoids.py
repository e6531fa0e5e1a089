"""A small world with an exact answer: rigid ellipsoids that move, cameras around them, and their visible surface's tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from syncmv4d_model.geometry import inverse, look_at, project, transform, unproject
from syncmv4d_model.types import Cameras


@dataclass(frozen=True)
class MovingScene:
    """Truth for one batch entry (B = 1); every array is a tensor of the shapes in syncmv4d_model.types."""

    cameras: Cameras
    points_world: torch.Tensor  # [1 V T K 3]
    visible: torch.Tensor  # [1 V T K]
    anchors_px: torch.Tensor  # [1 V K 2]
    depth_scale: torch.Tensor  # [1 V 2]
    mask: torch.Tensor  # [1 V H W] foreground of frame 0
    images: torch.Tensor  # [1 V T H W 3] in [-1, 1]


def _rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def _body_poses(rng: np.random.Generator, frames: int) -> np.ndarray:
    """world_from_body [bodies T 4 4]: one body stands still, two swing and turn."""
    poses = np.tile(np.eye(4), (3, frames, 1, 1))
    time = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    for body in range(3):
        start = rng.uniform(-0.08, 0.08, 3)
        amplitude = 0.0 if body == 0 else rng.uniform(0.06, 0.14)
        direction, axis = rng.normal(size=(2, 3))
        for frame, progress in enumerate(time):
            swing = np.sin(np.pi * progress) * amplitude
            poses[body, frame, :3, 3] = start + swing * direction / np.linalg.norm(direction)
            poses[body, frame, :3, :3] = _rotation(axis, swing * rng.uniform(2, 2.0001))
    return poses


def _hits(origin: np.ndarray, directions: np.ndarray, poses: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Distance along each ray [P 3] to each ellipsoid, inf where it misses: [bodies P]."""
    distance = np.full((len(radii), len(directions)), np.inf)
    for body, (pose, radius) in enumerate(zip(poses, radii, strict=True)):
        start = (inverse(pose)[:3, :3] @ origin + inverse(pose)[:3, 3]) / radius
        ray = directions @ pose[:3, :3] / radius
        a, b, c = (ray * ray).sum(-1), ray @ start, start @ start - 1
        root = b * b - a * c
        near = (-b - np.sqrt(np.maximum(root, 0))) / a
        distance[body] = np.where((root > 0) & (near > 0), near, np.inf)
    return distance


@dataclass(frozen=True)
class _World:
    """What every camera looks at, and the lens that they share."""

    poses: np.ndarray  # world_from_body [bodies T 4 4]
    radii: np.ndarray  # [bodies 3]
    colour: np.ndarray  # [bodies 3]
    intrinsics: np.ndarray  # [3 3]
    height: int
    width: int


def moving_scene(
    *,
    views: int = 3,
    frames: int = 17,
    points: int = 1024,
    height: int = 96,
    width: int = 96,
    focal_px: float = 110.0,
    seed: int = 0,
) -> MovingScene:
    """Ellipsoids of 5 to 12 cm seen from about 0.7 m; `points` frame-0 foreground pixels per view carried by their body."""
    rng = np.random.default_rng(seed)
    radii = rng.uniform(0.03, 0.11, (3, 3))
    poses = _body_poses(rng, frames)
    intrinsics = np.array([[focal_px, 0, (width - 1) / 2], [0, focal_px * 1.05, (height - 1) / 2], [0, 0, 1]])
    world = _World(poses, radii, rng.uniform(-1, 1, (3, 3)), intrinsics, height, width)
    seen = []
    for view in range(views):
        azimuth = 2 * np.pi * view / max(views, 2) + rng.uniform(0, 1)
        eye = 0.7 * np.array([np.cos(azimuth) * 0.8, np.sin(azimuth) * 0.8, 0.6])
        seen.append(_seen_from(eye, world, points, rng))
    tensor = {name: torch.from_numpy(np.stack([view[name] for view in seen]))[None] for name in seen[0]}
    cameras = Cameras(
        intrinsics=torch.from_numpy(intrinsics).float().expand(1, views, 3, 3),
        camera_from_world=tensor["extrinsics"].float(),
        height=height,
        width=width,
    )
    return MovingScene(
        cameras=cameras,
        points_world=tensor["points"].float(),
        visible=tensor["visible"],
        anchors_px=tensor["anchors"].float(),
        depth_scale=tensor["scale"].float(),
        mask=tensor["mask"],
        images=tensor["images"].float(),
    )


def _seen_from(eye: np.ndarray, world: _World, points: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One view's truth: every pixel's ray meets the bodies, and `points` of the pixels that hit one at frame 0 are its anchors."""
    frames, (height, width) = world.poses.shape[1], (world.height, world.width)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2).astype(float)
    camera_from_world = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]))
    directions = unproject(world.intrinsics, grid, np.ones(len(grid))) @ camera_from_world[:3, :3]
    distance = np.stack([_hits(eye, directions, world.poses[:, frame], world.radii) for frame in range(frames)])
    mask = np.isfinite(distance[0].min(0))
    chosen = rng.choice(np.flatnonzero(mask), points, replace=mask.sum() < points)
    start = eye + directions[chosen] * distance[0].min(0)[chosen][:, None]
    tracks = _carried(start, distance[0].argmin(0)[chosen], world.poses)
    camera = transform(np.broadcast_to(camera_from_world, (frames, 4, 4)), tracks)
    shade = np.where(np.isfinite(distance.min(1))[..., None], world.colour[distance.argmin(1)], -0.5)
    return {
        "extrinsics": camera_from_world,
        "points": tracks,
        "visible": _visible(eye, tracks, camera, world),
        "anchors": grid[chosen],
        "scale": np.array([camera[..., 2].min(), camera[..., 2].max()]),
        "mask": mask.reshape(height, width),
        "images": shade.reshape(frames, height, width, 3),
    }


def _carried(start: np.ndarray, body: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Points [P 3] of frame 0 where their bodies carry them: [T P 3]."""
    motion = poses @ inverse(poses[:, :1])
    moved = np.stack([motion[body, frame] for frame in range(poses.shape[1])])
    return np.einsum("tkij,kj->tki", moved[..., :3, :3], start) + moved[..., :3, 3]


def _visible(eye: np.ndarray, tracks: np.ndarray, camera: np.ndarray, world: _World) -> np.ndarray:
    """Which points [T P] (in the world, and in the camera) are in the picture with nothing before them."""
    pixels = project(np.broadcast_to(world.intrinsics, (len(tracks), 3, 3)), camera)
    inside = ((pixels > -0.5) & (pixels < np.array([world.width, world.height]) - 0.5)).all(-1)
    nearest = [
        _hits(eye, points - eye, world.poses[:, frame], world.radii).min(0) for frame, points in enumerate(tracks)
    ]
    return inside & (np.stack(nearest) > 1 - 1e-3) & (camera[..., 2] > 0)


def eight_bit(pseudo_video: torch.Tensor) -> torch.Tensor:
    """What is left of a pseudo video after a lossless 8-bit file."""
    return (pseudo_video * 255).round() / 255
