"""Rigs: real calibrations read right, views framed, and pixels where the projection says."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from syncmv4d_model.data.surface_tracks import SceneRig, Surface
from syncmv4d_model.geometry import camera_centre, look_at, project, transform
from syncmv4d_sim.cameras import (
    WORKSPACE_M,
    inside_shares,
    sample_rig,
    sample_world,
    taco_clusters,
    taco_meeting_point,
)
from syncmv4d_sim.filming import scene_surface
from syncmv4d_sim.mirror import mirror_rig
from syncmv4d_sim.physics import Rollout, settle
from syncmv4d_sim.render import SUPERSAMPLE, render
from syncmv4d_sim.scene import sample_scene

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


@pytest.fixture(scope="module")
def body() -> Surface:
    """A plain scene's surface, in the frame of the table."""
    runs = (settle(sample_scene("test_1", 3, 0, attempt=attempt)) for attempt in range(20))
    return scene_surface(next(run for run in runs if isinstance(run, Rollout)))


def neighbours_deg(rig: SceneRig) -> np.ndarray:
    """Angles between neighbouring cameras about the vertical."""
    centre = camera_centre(rig.camera_from_world)
    return np.diff(np.degrees(np.unwrap(np.arctan2(centre[:, 1], centre[:, 0]))))


@pytest.mark.parametrize("seed", range(12))
def test_a_known_rig_is_what_its_ranges_say_and_sees_the_first_frame(body, seed):
    rig = sample_rig("known", body, np.random.default_rng(seed), views=1 + seed % 6, width=320)
    centre = camera_centre(rig.camera_from_world)
    distance = np.linalg.norm(centre - WORKSPACE_M, axis=1)
    assert (distance > 0.5 - 0.2).all() and (distance < 1.3 + 0.2).all()  # the aim itself has an error
    field = np.degrees(2 * np.arctan(rig.width / 2 / rig.intrinsics[:, 0, 0]))
    assert ((field > 37) & (field < 95)).all()
    assert inside_shares(rig, [body.vertices[0, body.essential]]).min() > 0.3
    assert rig.height in (320, 240, 180)
    rotation = rig.camera_from_world[:, :3, :3]
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(1, 2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-9
    )
    assert (np.linalg.det(rotation) > 0).all()


@pytest.mark.parametrize("seed", range(8))
def test_no_unseen_rig_could_be_a_known_one(body, seed):
    rig = sample_rig("unseen", body, np.random.default_rng(seed), views=3, width=320)
    field = np.degrees(2 * np.arctan(rig.width / 2 / rig.intrinsics[:, 0, 0]))
    assert ((field < 40) | (field > 87)).all()
    steps = np.abs(neighbours_deg(rig))
    assert ((steps < 30) | (steps > 120)).all()  # about the table's middle; drawn about the aim


def test_no_rig_but_the_framed_one_looks_at_what_follows_frame_0(body):
    moved = replace(body, vertices=np.concatenate([body.vertices, body.vertices + [0.2, 0.1, 0.0]]).repeat(4, axis=0))
    still = replace(body, vertices=body.vertices.repeat(8, axis=0))
    for kind, differs in {"known": False, "unseen": False, "taco": False, "framed": True}.items():
        one, other = (
            sample_rig(kind, surface, np.random.default_rng(5), views=3, width=320) for surface in (moved, still)
        )
        assert (one.intrinsics.tobytes() != other.intrinsics.tobytes()) == differs, kind
        assert (one.camera_from_world.tobytes() != other.camera_from_world.tobytes()) == differs, kind


def test_a_cut_rig_cuts_an_object_and_shows_most_of_the_scene(body):
    faces = body.essential_faces
    objects = [body.vertices[0, np.unique(body.faces[faces & (body.label == label)])] for label in (1, 2, 3)]
    for seed in range(5):
        shares = inside_shares(
            sample_rig("known", body, np.random.default_rng(seed), views=3, width=320, cut=True), objects
        )
        assert 0.1 < shares.min() <= 0.75 and shares.mean() > 0.6


def test_a_scene_in_a_mirror_is_seen_by_the_mirrored_rig_in_turned_pictures(body):
    rig = sample_rig("known", body, np.random.default_rng(1), views=3, width=320)
    points = body.vertices[0, ::50]
    for k, pose, turned_k, turned in zip(
        rig.intrinsics,
        rig.camera_from_world,
        mirror_rig(rig).intrinsics,
        mirror_rig(rig).camera_from_world,
        strict=True,
    ):
        seen = project(k, transform(pose, points * [-1, 1, 1]))
        other = project(turned_k, transform(turned, points))
        np.testing.assert_allclose(np.stack([rig.width - 1 - other[:, 0], other[:, 1]], -1), seen, atol=1e-9)
        assert np.linalg.det(turned[:3, :3]) > 0


def test_worlds_are_upright_turned_anyhow_or_a_cameras_own(body):
    rig = sample_rig("known", body, np.random.default_rng(1), views=3, width=320)
    worlds = [sample_world(np.random.default_rng(seed), rig) for seed in range(200)]
    upright = np.mean([world[2, 2] > 1 - 1e-9 for world in worlds])
    own = np.mean([any(np.array_equal(world, pose) for pose in rig.camera_from_world) for world in worlds])
    assert 0.5 < upright < 0.7 and 0.1 < own < 0.3
    for world in worlds:
        np.testing.assert_allclose(world[:3, :3] @ world[:3, :3].T, np.eye(3), atol=1e-9)


def test_tacos_axes_meet_where_the_data_set_says_and_clusters_hold_its_telephoto_cameras():
    np.testing.assert_allclose(taco_meeting_point(), [0.066, -0.008, 0.673], atol=2e-3)
    clusters = taco_clusters()
    assert {name: len(cameras) for name, cameras in clusters.items()} == {"left": 3, "centre": 3, "right": 2}
    assert all(camera.intrinsics[0, 0] > 1000 for cameras in clusters.values() for camera in cameras)


def test_an_unknown_rig_is_named(body):
    with pytest.raises(ValueError, match="unknown rig 'moon'"):
        sample_rig("moon", body, np.random.default_rng(0), views=3, width=96)
