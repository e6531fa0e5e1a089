"""Claims about camera rays and poses as network inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from syncmv4d_model import geometry
from syncmv4d_model.networks.camera_rays import pose_features, ray_features, scene_centre, view_centres
from syncmv4d_model.types import TRACK_UNIT_M, Cameras

HEIGHT, WIDTH, ROWS, COLUMNS = 96, 128, 3, 4
INTRINSICS = np.array([[90.0, 0.5, 60], [0, 95, 50], [0, 0, 1]])


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


@pytest.mark.parametrize("num_views", [2, 3, 5])
def test_the_scenes_centre_is_the_point_nearest_to_the_central_rays(num_views):
    cameras = rig(num_views)
    for sample, centre in enumerate(scene_centre(cameras, mean_depth_m=0.8)):
        origins, directions = central_rays(cameras, sample)
        across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
        offsets = (across @ origins[..., None]).reshape(-1)
        np.testing.assert_allclose(centre, np.linalg.lstsq(across.reshape(-1, 3), offsets, rcond=None)[0], atol=1e-5)


def test_one_camera_has_its_centre_at_the_mean_depth():
    cameras = rig(1)
    for sample, centre in enumerate(scene_centre(cameras, mean_depth_m=0.8)):
        origins, directions = central_rays(cameras, sample)
        np.testing.assert_allclose(centre, (origins + 0.8 * directions)[0], atol=1e-5)


def test_parallel_cameras_have_their_centre_between_them_at_the_mean_depth():
    poses = torch.eye(4).repeat(1, 2, 1, 1)
    poses[0, 1, 0, 3] = -0.3
    cameras = Cameras(torch.tensor(INTRINSICS).float().repeat(1, 2, 1, 1), poses, HEIGHT, WIDTH)
    origins, directions = central_rays(cameras, 0)
    expected = (origins + 0.8 * directions).mean(0)
    np.testing.assert_allclose(scene_centre(cameras, mean_depth_m=0.8)[0], expected, atol=1e-5)


def test_the_point_of_a_ray_nearest_to_the_centre_projects_to_the_middle_of_its_cell():
    cameras = rig(3)
    centre = scene_centre(cameras, mean_depth_m=0.8)
    centres = view_centres(cameras, mean_depth_m=0.8, multi_view=True)
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
        centres = view_centres(cameras, mean_depth_m=0.8, multi_view=True)
        rays = ray_features(cameras, centres, rows=ROWS, columns=COLUMNS)
        features.append((rays, pose_features(cameras, centres)))
    for here, there in zip(*features, strict=True):
        torch.testing.assert_close(here, there, atol=1e-3, rtol=0)


def test_a_view_taken_alone_has_a_centre_that_other_cameras_do_not_move():
    cameras = rig(3)
    alone = view_centres(cameras, mean_depth_m=0.8, multi_view=False)
    for view in range(3):
        one = Cameras(
            cameras.intrinsics[:, [view]], cameras.camera_from_world[:, [view]], cameras.height, cameras.width
        )
        torch.testing.assert_close(alone[:, view], scene_centre(one, mean_depth_m=0.8))
    together = view_centres(cameras, mean_depth_m=0.8, multi_view=True)
    torch.testing.assert_close(together, scene_centre(cameras, mean_depth_m=0.8)[:, None].expand(-1, 3, -1))
    assert (alone - together).abs().max() > 0.01
