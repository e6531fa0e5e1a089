"""Claims about camera rays and poses as network inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from syncmv4d_model import geometry
from syncmv4d_model.networks.camera_rays import (
    WINDOW_SIDE_M,
    pose_features,
    ray_features,
    scene_centre,
    view_centres,
)
from syncmv4d_model.types import TRACK_UNIT_M, Cameras

HEIGHT, WIDTH, ROWS, COLUMNS = 96, 128, 3, 4
INTRINSICS = np.array([[90.0, 0.5, 60], [0, 95, 50], [0, 0, 1]])
DEPTH_M = WINDOW_SIDE_M * 90 / WIDTH


def rig(num_views: int, *, shift: float = 0.0) -> Cameras:
    eyes = np.random.default_rng(0).normal(size=(2, num_views, 3)) + [0, 0, 1.5]
    target, up = np.full(3, 0.1), np.array([0.0, 0, 1])
    poses = np.stack([[geometry.look_at(eye + shift, target + shift, up) for eye in rig_eyes] for rig_eyes in eyes])
    intrinsics = np.broadcast_to(INTRINSICS, (2, num_views, 3, 3)).copy()
    return Cameras(torch.tensor(intrinsics).float(), torch.tensor(poses).float(), HEIGHT, WIDTH)


def central_rays(cameras: Cameras, sample: int) -> tuple[np.ndarray, np.ndarray]:
    """Camera centres and unit directions [V 3] of the rays through the images' centres."""
    world_from_camera = geometry.inverse(cameras.camera_from_world[sample].double().numpy())
    middle = np.array([[(WIDTH - 1) / 2, (HEIGHT - 1) / 2]])
    ray = geometry.unproject(INTRINSICS, middle, np.ones(1))[0]
    directions = world_from_camera[:, :3, :3] @ (ray / np.linalg.norm(ray))
    return world_from_camera[:, :3, 3], directions


def test_the_scenes_centre_of_two_views_is_the_point_nearest_to_their_central_rays():
    cameras = rig(2)
    for sample, centre in enumerate(scene_centre(cameras)):
        origins, directions = central_rays(cameras, sample)
        across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
        offsets = (across @ origins[..., None]).reshape(-1)
        np.testing.assert_allclose(centre, np.linalg.lstsq(across.reshape(-1, 3), offsets, rcond=None)[0], atol=1e-5)


def aimed(num_views: int, *, beside_m: float = 0.0, seed: int = 0) -> Cameras:
    """Cameras all round a point, of which the first is aimed so far beside it."""
    rng = np.random.default_rng(seed)
    azimuth = np.cumsum(rng.uniform(0.5, 1.8, num_views))
    eyes = np.stack([np.cos(azimuth), np.sin(azimuth), rng.uniform(0.4, 1, num_views)], axis=1)
    targets = np.full((num_views, 3), 0.1)
    targets[0, 2] += beside_m
    poses = np.stack([geometry.look_at(*pair, np.array([0, 0, 1.0])) for pair in zip(eyes, targets, strict=True)])
    k = torch.tensor([[90.0, 0, (WIDTH - 1) / 2], [0, 90, (HEIGHT - 1) / 2], [0, 0, 1]])
    return Cameras(k.expand(1, num_views, 3, 3), torch.tensor(poses)[None].float(), HEIGHT, WIDTH)


@pytest.mark.parametrize("num_views", [2, 3, 5])
def test_the_scenes_centre_is_where_the_central_rays_meet(num_views):
    np.testing.assert_allclose(scene_centre(aimed(num_views))[0], [0.1] * 3, atol=1e-5)


@pytest.mark.parametrize("num_views", [3, 4, 6])
def test_one_window_that_missed_does_not_pull_the_scenes_centre_away(num_views):
    off = [
        np.linalg.norm(scene_centre(aimed(num_views, beside_m=0.4, seed=seed))[0].numpy() - 0.1) for seed in range(20)
    ]
    assert np.median(off) < 0.01


COMPILED = """
import torch
from syncmv4d_model.networks.camera_rays import scene_centre
from tests.model.test_camera_rays import aimed
compiled = torch.compile(scene_centre, fullgraph=True, backend="aot_eager")
torch.testing.assert_close(compiled(aimed(3, beside_m=0.2)), scene_centre(aimed(3, beside_m=0.2)))
"""


def test_the_scenes_centre_compiles_without_a_break_to_the_same_numbers():
    """In a process of its own: the types that tests check at run time do not compile."""
    command = [sys.executable, "-c", COMPILED]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_camera_has_its_centre_where_its_window_is_as_wide_as_a_scene():
    cameras = rig(1)
    for sample, centre in enumerate(scene_centre(cameras)):
        origins, directions = central_rays(cameras, sample)
        np.testing.assert_allclose(centre, (origins + DEPTH_M * directions)[0], atol=1e-5)


def test_parallel_cameras_have_their_centre_between_them_at_that_depth():
    poses = torch.eye(4).repeat(1, 2, 1, 1)
    poses[0, 1, 0, 3] = -0.3
    cameras = Cameras(torch.tensor(INTRINSICS).float().repeat(1, 2, 1, 1), poses, HEIGHT, WIDTH)
    origins, directions = central_rays(cameras, 0)
    expected = (origins + DEPTH_M * directions).mean(0)
    np.testing.assert_allclose(scene_centre(cameras)[0], expected, atol=1e-5)


def test_the_point_of_a_ray_nearest_to_the_centre_projects_to_the_middle_of_its_cell():
    cameras = rig(3)
    centre = scene_centre(cameras)
    centres = view_centres(cameras, multi_view=True)
    direction, moment, distance = ray_features(cameras, centres, rows=ROWS, columns=COLUMNS).split([3, 3, 1], dim=-1)
    # With the foot of the perpendicular p, moment = p x direction and p is orthogonal to direction.
    foot = torch.linalg.cross(direction, moment)
    points = (foot * TRACK_UNIT_M + centre[:, None, None]).double().numpy()
    poses = cameras.camera_from_world.double().numpy()
    pixels = geometry.project(cameras.intrinsics.double().numpy(), geometry.transform(poses, points))
    u = (np.arange(COLUMNS) + 0.5) * WIDTH / COLUMNS - 0.5
    v = (np.arange(ROWS) + 0.5) * HEIGHT / ROWS - 0.5
    expected = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=1e-2)
    eye = geometry.camera_centre(poses)[:, :, None]
    np.testing.assert_allclose(np.linalg.norm(points - eye, axis=-1), distance[..., 0] * TRACK_UNIT_M, atol=1e-4)


def test_features_do_not_depend_on_where_the_worlds_origin_is():
    features = []
    for shift in (0.0, 5.0):
        cameras = rig(3, shift=shift)
        centres = view_centres(cameras, multi_view=True)
        rays = ray_features(cameras, centres, rows=ROWS, columns=COLUMNS)
        features.append((rays, pose_features(cameras, centres)))
    for here, there in zip(*features, strict=True):
        torch.testing.assert_close(here, there, atol=1e-3, rtol=0)


def test_a_view_taken_alone_has_a_centre_that_other_cameras_do_not_move():
    cameras = rig(3)
    alone = view_centres(cameras, multi_view=False)
    for view in range(3):
        one = Cameras(
            cameras.intrinsics[:, [view]], cameras.camera_from_world[:, [view]], cameras.height, cameras.width
        )
        torch.testing.assert_close(alone[:, view], scene_centre(one))
    together = view_centres(cameras, multi_view=True)
    torch.testing.assert_close(together, scene_centre(cameras)[:, None].expand(-1, 3, -1))
    assert (alone - together).abs().max() > 0.01
