"""Rigs: real calibrations read right, views framed, and pixels where the projection says."""

import mujoco
import numpy as np
import pytest

from syncmv4d_model.data.surface_tracks import SceneRig
from syncmv4d_model.data.taco import CLUSTERS
from syncmv4d_model.geometry import camera_centre, look_at, project, transform
from syncmv4d_sim.cameras import sample_rig, taco_clusters, taco_meeting_point
from syncmv4d_sim.render import SUPERSAMPLE, render

SPHERE_RADIUS_M = 0.004
PLACES = np.array([[0, 0, 0], [0.1, 0.05, 0.02], [-0.1, 0.02, 0.1], [0.05, -0.1, 0], [-0.05, 0.1, -0.1]])


class MovingSphere:
    """A rollout of one white sphere against black."""

    num_frames = len(PLACES)

    def __init__(self) -> None:
        spec = mujoco.MjSpec()
        body = spec.worldbody.add_body(name="sphere", mocap=True)
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[SPHERE_RADIUS_M, 0, 0], rgba=[1, 1, 1, 1])
        spec.visual.headlight.ambient = np.ones(3)
        self.model = spec.compile()

    def set_frame(self, data: mujoco.MjData, frame: int) -> None:
        data.mocap_pos[0] = PLACES[frame]
        mujoco.mj_forward(self.model, data)


def some_action(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform([-0.15, -0.15, 0], [0.15, 0.2, 0.2], (200, 3))


def test_a_rendered_spheres_centroid_is_its_projection_within_a_twentieth_of_a_pixel():
    intrinsics = np.array([[[900.0, 0, 140.25], [0, 1000.0, 171.5], [0, 0, 1]]])  # off-centre, not square
    pose = look_at(np.array([0.9, -1.2, 0.8]), np.zeros(3), np.array([0, 0, 1.0]))[None]
    rig = SceneRig(("only",), intrinsics, pose, 330, 300)
    frames = render(MovingSphere(), rig, shadows=False)
    rows, columns = np.mgrid[: rig.height, : rig.width]
    for place, picture, depth in zip(PLACES, frames.rgb[0], frames.depth_m[0], strict=True):
        weight = picture[..., 0].astype(float)
        centroid = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        in_camera = transform(pose[0], place[None])
        np.testing.assert_allclose(centroid, project(intrinsics[0], in_camera)[0], atol=0.05)
        np.testing.assert_allclose(depth.min(), in_camera[0, 2] - SPHERE_RADIUS_M, atol=2e-4)


def test_depth_is_read_at_pixel_centres():
    assert SUPERSAMPLE % 2 == 1


@pytest.mark.parametrize("kind", ["random", "taco"])
def test_a_rig_has_one_camera_per_cluster_that_sees_the_action(kind):
    points = some_action()
    rig = sample_rig(kind, points, np.random.default_rng(1), height=96, width=96)
    assert rig.view_names == CLUSTERS
    for intrinsics, pose in zip(rig.intrinsics, rig.camera_from_world, strict=True):
        in_camera = transform(pose, points)
        pixels = project(intrinsics, in_camera)
        assert (in_camera[:, 2] > 0.2).all()
        assert ((pixels > -0.5) & (pixels < 95.5)).all(-1).mean() > 0.85
        assert np.ptp(pixels, axis=0).max() > 0.6 * 96
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) > 0


def test_wide_pictures_keep_square_pixels():
    rig = sample_rig("random", some_action(), np.random.default_rng(2), height=48, width=80)
    np.testing.assert_allclose(rig.intrinsics[:, 0, 0], rig.intrinsics[:, 1, 1])


def test_random_cameras_stand_left_centre_and_right():
    rig = sample_rig("random", some_action(), np.random.default_rng(3), height=96, width=96)
    centre = camera_centre(rig.camera_from_world)
    azimuth = np.degrees(np.arctan2(centre[:, 1], centre[:, 0]))
    assert (np.diff(azimuth) > 0).all()


def test_tacos_axes_meet_where_the_data_set_says_and_clusters_hold_its_telephoto_cameras():
    np.testing.assert_allclose(taco_meeting_point(), [0.066, -0.008, 0.673], atol=2e-3)
    clusters = taco_clusters()
    assert {name: len(cameras) for name, cameras in clusters.items()} == {"left": 3, "centre": 3, "right": 2}
    assert all(camera.intrinsics[0, 0] > 1000 for cameras in clusters.values() for camera in cameras)


def test_an_unknown_rig_is_named():
    with pytest.raises(ValueError, match="unknown rig 'moon'"):
        sample_rig("moon", some_action(), np.random.default_rng(0), height=96, width=96)
