"""World points <-> pixels and camera depth, in torch and differentiable (paper, section 2)."""

from __future__ import annotations

import torch
from jaxtyping import Float

from syncmv4d_model.types import Cameras

MIN_DEPTH_M = 1e-3
"""Points nearer than this to the camera's plane, or behind it, are not in the picture."""


def project_points(
    points_world: Float[torch.Tensor, "B V T K 3"], cameras: Cameras
) -> tuple[Float[torch.Tensor, "B V T K 2"], Float[torch.Tensor, "B V T K"]]:
    """Pixels (u, v) and camera depth (m) of every point in its own view: X_c = R X_w + T, (u, v) = pi(K X_c).

    Points at or behind the camera get a finite but meaningless pixel; mask them by `depth > MIN_DEPTH_M`.
    """
    rotation, translation = _extrinsics(cameras, points_world)
    points_camera = points_world @ rotation.transpose(-1, -2) + translation
    intrinsics = cameras.intrinsics[:, :, None].to(points_world)
    depth = points_camera[..., 2]
    homogeneous = points_camera @ intrinsics.transpose(-1, -2)
    return homogeneous[..., :2] / homogeneous[..., 2:].clamp(min=MIN_DEPTH_M), depth


def unproject_pixels(
    pixels: Float[torch.Tensor, "B V T K 2"], depth_m: Float[torch.Tensor, "B V T K"], cameras: Cameras
) -> Float[torch.Tensor, "B V T K 3"]:
    """World points (m) at the given camera depth: X_c = z K^-1 (u, v, 1), X_w = R^T (X_c - T)."""
    rotation, translation = _extrinsics(cameras, pixels)
    inverse_intrinsics = torch.linalg.inv(cameras.intrinsics.double())[:, :, None].to(pixels)
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    points_camera = homogeneous @ inverse_intrinsics.transpose(-1, -2) * depth_m[..., None]
    return (points_camera - translation) @ rotation


def depth_min_max(points_world: Float[torch.Tensor, "B V T K 3"], cameras: Cameras) -> Float[torch.Tensor, "B V 2"]:
    """Nearest and farthest camera depth (m) of each view's points over all frames (paper, Algorithm 1, line 1).

    Points behind the camera do not count. A view without any point in front of it gets (MIN_DEPTH_M, 1); far is at
    least near + MIN_DEPTH_M, so that normalising never divides by nothing.
    """
    _, depth = project_points(points_world, cameras)
    depth = depth.flatten(2)
    in_front = depth > MIN_DEPTH_M
    near = torch.where(in_front, depth, torch.inf).amin(-1)
    near = torch.where(in_front.any(-1), near, MIN_DEPTH_M)
    far = torch.where(in_front.any(-1), depth.amax(-1), 1.0)
    return torch.stack([near, torch.maximum(far, near + MIN_DEPTH_M)], dim=-1)


def _extrinsics(cameras: Cameras, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    camera_from_world = cameras.camera_from_world[:, :, None].to(like)
    return camera_from_world[..., :3, :3], camera_from_world[..., None, :3, 3]
