"""Doubts about calibrations: honest cameras are believed, what is wrong is told."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.observation import observe
from syncmv4d_model.data.rig_warnings import rig_warnings
from syncmv4d_model.geometry import inverse, look_at
from tests.model.scene_folders import UP, small_rig

BESIDE_M = 0.15


def observed(rig):
    images = [np.zeros((height, width, 3), np.uint8) for width, height in rig.sizes]
    return observe(rig, images, "push")[0]


def random_poses(rng):
    """Two to six cameras at 0.4 to 1.8 m, neighbours 15 to 175 degrees apart, each aimed beside the scene; any world."""
    views, apart = rng.integers(2, 7), [(15, 30), (25, 130), (140, 175)][rng.integers(3)]
    azimuth = np.deg2rad(np.cumsum(rng.uniform(*apart, views)))
    elevation, distance = np.deg2rad(rng.uniform(10, 75, views)), rng.uniform(0.4, 1.8, views)
    flat = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1) * np.cos(elevation)[:, None]
    eyes = distance[:, None] * np.concatenate([flat, np.sin(elevation)[:, None]], axis=1)
    aims = rng.normal(size=(views, 3))
    aims *= BESIDE_M * rng.random((views, 1)) / np.linalg.norm(aims, axis=1, keepdims=True)
    poses = np.stack([look_at(eye, aim, UP) for eye, aim in zip(eyes, aims, strict=True)])
    scene_from_world = np.eye(4)
    scene_from_world[:3, 3] = rng.uniform(-1, 1, 3)
    if rng.random() < 0.5:
        scene_from_world[:3, :3] = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    return poses @ scene_from_world


def rig_at(poses):
    rig = small_rig(1, width=64, height=48)
    views = len(poses)
    return replace(
        rig, view_names=tuple("abcdef"[:views]), image_files=(None,) * views, sizes=rig.sizes * views,
        intrinsics=np.repeat(rig.intrinsics, views, 0), camera_from_world=poses, distortion=(None,) * views,
    )  # fmt: skip


def test_random_honest_rigs_are_believed_and_most_of_their_inverses_are_not():
    rng = np.random.default_rng(5)
    poses = [random_poses(rng) for _ in range(400)]
    assert [each for each in poses if rig_warnings(observed(rig_at(each)))] == []
    found = [bool(rig_warnings(observed(rig_at(inverse(each))))) for each in poses]
    assert np.mean(found) > 0.8


@pytest.mark.parametrize("views", [1, 3])
def test_cameras_around_a_scene_are_not_warned_about(views):
    assert rig_warnings(observed(small_rig(views))) == []


def test_cameras_side_by_side_are_not_warned_about():
    rig = small_rig(2)
    poses = np.stack([rig.camera_from_world[0]] * 2)
    poses[1, 0, 3] += 0.1
    assert rig_warnings(observed(replace(rig, camera_from_world=poses))) == []


def test_inverted_poses_are_warned_about():
    rig = small_rig()
    (warning,) = rig_warnings(observed(replace(rig, camera_from_world=np.linalg.inv(rig.camera_from_world))))
    assert "is camera_from_world inverted" in warning and "0 cm if the poses were inverted" in warning


def test_cameras_that_look_away_from_each_other_are_warned_about():
    poses = np.stack([look_at(np.array([x, 0, 0.0]), np.array([5 * x, 0, 0]), UP) for x in (-0.5, 0.5)])
    (warning,) = rig_warnings(observed(rig_at(poses)))
    assert "look at no common scene" in warning


def with_intrinsics(rig, view, row, column, value):
    intrinsics = rig.intrinsics.copy()
    intrinsics[view, row, column] = value
    return replace(rig, intrinsics=intrinsics)


def test_a_principal_point_outside_the_image_is_warned_about_and_no_pose_is_blamed():
    (warning,) = rig_warnings(observed(with_intrinsics(small_rig(), 1, 0, 2, 900)))
    assert "view 'centre': the principal point (900, 23.5) lies outside the 64 x 48 image" in warning


def test_focal_lengths_that_differ_by_more_than_a_tenth_are_warned_about():
    rig = small_rig(width=64)
    assert rig_warnings(observed(with_intrinsics(rig, 2, 1, 1, 1.09 * 1.1 * 64))) == []
    (warning,) = rig_warnings(observed(with_intrinsics(rig, 2, 1, 1, 1.12 * 1.1 * 64)))
    assert "view 'right': the focal lengths" in warning and "differ by more than 10%" in warning
