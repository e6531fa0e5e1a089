"""A mirrored scene is exact: its points project through its cameras to the mirrored pixels."""

import numpy as np

from syncmv4d_model.data.surface_tracks import SceneRig
from syncmv4d_model.geometry import look_at, project, transform
from syncmv4d_sim.mirror import mirror_images, mirror_pixels, mirror_points, mirror_poses, mirror_rig


def rig() -> SceneRig:
    intrinsics = np.array([[110.0, 0.5, 44.0], [0, 108.0, 61.0], [0, 0, 1]])
    eyes = np.array([[-0.5, -0.6, 0.4], [0.2, -0.7, 0.5]])
    poses = np.stack([look_at(eye, np.zeros(3), np.array([0.1, 0, 1.0])) for eye in eyes])
    return SceneRig(("a", "b"), np.stack([intrinsics] * 2), poses, 100, 90)


def test_mirrored_points_fall_on_mirrored_pixels():
    points, there = np.random.default_rng(0).normal(0, 0.1, (50, 3)), rig()
    mirrored = mirror_rig(there)
    for view in range(2):
        pixels = project(there.intrinsics[view], transform(there.camera_from_world[view], points))
        seen = project(mirrored.intrinsics[view], transform(mirrored.camera_from_world[view], mirror_points(points)))
        np.testing.assert_allclose(seen, mirror_pixels(pixels, width=90), atol=1e-9)


def test_mirrored_poses_are_rigid_and_carry_mirrored_points():
    pose = rig().camera_from_world[0]
    mirrored, points = mirror_poses(pose), np.random.default_rng(1).normal(size=(9, 3))
    assert np.isclose(np.linalg.det(mirrored[:3, :3]), 1)
    np.testing.assert_allclose(transform(mirrored, mirror_points(points)), mirror_points(transform(pose, points)))


def test_mirroring_twice_changes_nothing():
    there, images = rig(), np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    again = mirror_rig(mirror_rig(there))
    np.testing.assert_array_equal(again.camera_from_world, there.camera_from_world)
    np.testing.assert_array_equal(again.intrinsics, there.intrinsics)
    flipped = mirror_images(images, columns=-2)
    np.testing.assert_array_equal(flipped[:, :, 0], images[:, :, -1])
    np.testing.assert_array_equal(mirror_images(flipped, columns=-2), images)
