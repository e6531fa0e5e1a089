"""Calibrated cameras as network inputs: a ray per cell and a pose per view, in world axes around the scene's centre.

An addition to the paper, whose joint denoiser sees no camera. Lengths are in units of TRACK_UNIT_M.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from syncmv4d_model.types import TRACK_UNIT_M, Cameras

RAY_FEATURES = 7
POSE_FEATURES = 17
WINDOW_SIDE_M = 0.45
"""How wide the scene is that a window shows, about: the depth of a camera that no other one can confirm follows from it."""
NEAR_MISS_M = 0.03
"""A ray that misses the scene's centre by more counts for less."""
REWEIGHTINGS = 5


class CameraEmbedding(nn.Module):
    """A small perceptron whose last layer starts at zero, so that cameras change nothing before training."""

    def __init__(self, features: int, width: int, outputs: int):
        super().__init__()
        self.hidden = nn.Linear(features, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, features: Float[Tensor, "*n features"]) -> Float[Tensor, "*n outputs"]:
        return self.out(nn.functional.silu(self.hidden(features)))


def scene_centre(cameras: Cameras) -> Float[Tensor, "B 3"]:
    """Return the world point that the rays through the windows' centres agree on: a window is about what frame 0 shows.

    Robust least squares, so that one view whose window missed cannot pull the point away from three or more. For one view,
    or parallel rays: the mean point on them at the depth where a window is WINDOW_SIDE_M wide. Training and inference
    share this rule: tracks are relative to it. Solved in float64 and without branches on values, so that it compiles.
    """
    cameras = replace(
        cameras, intrinsics=cameras.intrinsics.double(), camera_from_world=cameras.camera_from_world.double()
    )
    centre_px = cameras.intrinsics.new_tensor([[(cameras.width - 1) / 2, (cameras.height - 1) / 2]])
    origins, directions, _ = _rays(cameras, centre_px)
    directions = directions[:, :, 0]
    depth_m = WINDOW_SIDE_M / cameras.width * cameras.intrinsics[..., 0, 0, None]
    on_rays = (origins + directions * depth_m).mean(1)
    if origins.shape[1] == 1:
        return on_rays.float()
    identity = torch.eye(3, dtype=torch.float64, device=origins.device)
    across = identity - directions[..., :, None] * directions[..., None, :]
    weights = torch.ones_like(origins[..., 0])
    centre, solvable = _meet(across, origins, weights)
    for _ in range(REWEIGHTINGS):  # two rays are missed alike: their weights stay equal
        misses = (across * (centre[:, None] - origins)[..., None, :]).sum(-1).norm(dim=-1)
        weights = 1 / (1 + (misses / NEAR_MISS_M).square())
        weights = weights / weights.mean(1, keepdim=True)
        centre, solvable = _meet(across, origins, weights)
    return torch.where(solvable, centre, on_rays).float()


def _meet(
    across: Float[Tensor, "B V 3 3"], origins: Float[Tensor, "B V 3"], weights: Float[Tensor, "B V"]
) -> tuple[Float[Tensor, "B 3"], Bool[Tensor, "B 1"]]:
    """The point nearest to rays (weighted least squares), and whether they are not parallel."""
    across = across * weights[..., None, None]
    normal, right_side = across.sum(1), (across * origins[..., None, :]).sum(-1).sum(1)
    row_0, row_1, row_2 = normal.unbind(1)
    cofactors = torch.stack(
        [
            torch.linalg.cross(row_1, row_2),
            torch.linalg.cross(row_2, row_0),
            torch.linalg.cross(row_0, row_1),
        ],
        dim=-1,
    )
    determinant = (row_0 * cofactors[..., 0]).sum(-1, keepdim=True)
    # Eigenvalues are at most num_views, so this is a bound on the condition number: parallel rays fail it.
    solvable = determinant > 1e-6 * origins.shape[1] ** 3
    return (cofactors * right_side[:, None]).sum(-1) / torch.where(solvable, determinant, 1), solvable


def view_centres(cameras: Cameras, *, multi_view: bool) -> Float[Tensor, "B V 3"]:
    """The point that each view's tracks and rays are relative to: the scene's centre, or, where views are taken one by
    one and must not know of each other, each view's own.
    """
    batch, views = cameras.intrinsics.shape[:2]
    if multi_view:
        return scene_centre(cameras)[:, None].expand(-1, views, -1)
    alone = replace(
        cameras,
        intrinsics=cameras.intrinsics.flatten(0, 1)[:, None],
        camera_from_world=cameras.camera_from_world.flatten(0, 1)[:, None],
    )
    return scene_centre(alone).unflatten(0, (batch, views))


def _rays(cameras: Cameras, pixels: Float[Tensor, "P 2"]) -> tuple[Tensor, Tensor, Tensor]:
    """Camera centres [B V 3], unit ray directions [B V P 3] in world axes, and their camera-frame z [B V P 1]."""
    intrinsics, rotation = cameras.intrinsics, cameras.camera_from_world[..., :3, :3]
    focal = torch.diagonal(intrinsics, dim1=-2, dim2=-1)[..., None, :2]
    skew, principal = intrinsics[..., 0, 1, None], intrinsics[..., None, :2, 2]
    y = (pixels[:, 1] - principal[..., 1]) / focal[..., 1]
    x = (pixels[:, 0] - principal[..., 0] - skew * y) / focal[..., 0]
    in_camera = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    in_camera = in_camera / in_camera.norm(dim=-1, keepdim=True)
    directions = (in_camera[..., :, None] * rotation[:, :, None]).sum(-2)
    origins = -(rotation * cameras.camera_from_world[..., :3, 3:]).sum(-2)
    return origins, directions, in_camera[..., 2:]


def ray_features(
    cameras: Cameras, centres: Float[Tensor, "B V 3"], *, rows: int, columns: int
) -> Float[Tensor, "B V cells 7"]:
    """Per cell of a rows x columns grid over the image: the direction of the ray through its middle, its moment about
    the scene's centre (Pluecker coordinates), and the distance along it at which it passes nearest to that centre.
    """
    like = cameras.intrinsics
    u = (torch.arange(columns, device=like.device, dtype=like.dtype) + 0.5) * (cameras.width / columns) - 0.5
    v = (torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5) * (cameras.height / rows) - 0.5
    pixels = torch.stack(torch.broadcast_tensors(u[None, :], v[:, None]), dim=-1).flatten(0, 1)
    origins, directions, _ = _rays(cameras, pixels)
    origins = ((origins - centres) / TRACK_UNIT_M)[:, :, None].expand_as(directions)
    moments = torch.linalg.cross(origins, directions)
    nearest = -(origins * directions).sum(-1, keepdim=True)
    return torch.cat([directions, moments, nearest], dim=-1)


def pose_features(cameras: Cameras, centres: Float[Tensor, "B V 3"]) -> Float[Tensor, "B V 17"]:
    """Per view: camera centre and depth of the scene's centre (track units), rotation, and focal lengths and principal
    point as fractions of the image.
    """
    rotation = cameras.camera_from_world[..., :3, :3]
    origins = -(rotation * cameras.camera_from_world[..., :3, 3:]).sum(-2) - centres
    depth = -(rotation[..., 2, :] * origins).sum(-1, keepdim=True)
    size = cameras.intrinsics.new_tensor([cameras.width, cameras.height])
    focal = torch.diagonal(cameras.intrinsics, dim1=-2, dim2=-1)[..., :2] / size
    principal = (cameras.intrinsics[..., :2, 2] + 0.5) / size - 0.5
    return torch.cat([origins / TRACK_UNIT_M, depth / TRACK_UNIT_M, rotation.flatten(-2), focal, principal], dim=-1)
