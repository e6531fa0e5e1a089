"""Tracks against what was rendered: anchors, depth, triangulation, visibility, skin."""

from dataclasses import dataclass

import numpy as np
import pytest

from syncmv4d_model.data.raster import rasterise
from syncmv4d_model.data.surface_tracks import (
    SceneRig,
    Surface,
    choose_points,
    see_first_image,
    stratified,
    visible_points,
)
from syncmv4d_model.geometry import camera_centre, project, transform, unproject
from syncmv4d_model.types import LABELS
from syncmv4d_sim.cameras import sample_rig
from syncmv4d_sim.physics import Rollout, simulate
from syncmv4d_sim.render import Frames, render
from syncmv4d_sim.scene import sample_scene
from syncmv4d_sim.surface import surface


@dataclass(frozen=True)
class Tracks:
    """What each view follows; see data.sequence.Sequence."""

    positions: np.ndarray
    visible: np.ndarray
    label: np.ndarray
    anchors_px: np.ndarray
    depth_scale: np.ndarray
    foreground_share: float


def track(body: Surface, rig: SceneRig, depth_m: np.ndarray, *, num_points: int, rng: np.random.Generator) -> Tracks:
    """Tracks of every view, in windows that are the whole pictures."""
    whole, size, views = np.array([0.0, 0, rig.width, rig.height]), {"height": rig.height, "width": rig.width}, []
    for k, pose, depth in zip(rig.intrinsics, rig.camera_from_world, depth_m, strict=True):
        first = see_first_image(body, k, pose, depth[0], **size)
        points = choose_points(first, num_points, rng, window_px=whole)
        positions = points.positions(body)
        in_camera = transform(pose, positions.reshape(-1, 3)).reshape(positions.shape)
        scale = np.array([in_camera[..., 2].min(), in_camera[..., 2].max()], np.float32)
        seen, share = visible_points(in_camera, k, depth), first.is_shown.mean()
        views.append((positions.astype(np.float32), seen, body.label[points.face], points.pixels, scale, share))
    positions, visible, label, anchors, scale, share = (np.stack(values) for values in zip(*views, strict=True))
    return Tracks(positions, visible, label, anchors, scale, float(share.mean()))


@dataclass(frozen=True)
class Filmed:
    body: Surface
    rig: SceneRig
    frames: Frames
    tracks: Tracks


@pytest.fixture(scope="module")
def filmed() -> Filmed:
    runs = (simulate(sample_scene("train", 0, 0, attempt=attempt)) for attempt in range(20))
    rollout = next(run for run in runs if isinstance(run, Rollout))
    body = surface(rollout)
    rig = sample_rig("framed", body, np.random.default_rng(0), views=3, width=96)
    frames = render(rollout, rig)
    return Filmed(body, rig, frames, track(body, rig, frames.depth_m, num_points=512, rng=np.random.default_rng(0)))


def in_cameras(filmed: Filmed) -> tuple[np.ndarray, np.ndarray]:
    """Camera-frame points and their pixels, [V T K 3] and [V T K 2]."""
    points = np.stack(
        [
            np.stack([transform(pose, frame) for frame in view.astype(float)])
            for pose, view in zip(filmed.rig.camera_from_world, filmed.tracks.positions, strict=True)
        ]
    )
    pixels = np.stack([project(k, view) for k, view in zip(filmed.rig.intrinsics, points, strict=True)])
    return points, pixels


def depth_error_mm(filmed: Filmed, frames: slice) -> np.ndarray:
    """Of visible points, against the depth rendered at the nearest pixel."""
    points, pixels = in_cameras(filmed)
    nearest = np.clip(np.rint(pixels).astype(int), 0, 95)
    errors = []
    for view, frame in np.ndindex(points.shape[:2]):
        if frame not in range(17)[frames]:
            continue
        seen = filmed.tracks.visible[view, frame]
        column, row = nearest[view, frame][seen].T
        errors.append(np.abs(filmed.frames.depth_m[view, frame, row, column] - points[view, frame, seen, 2]))
    return np.concatenate(errors) * 1e3


def test_in_the_first_frame_every_point_is_visible_at_its_anchor(filmed):
    _, pixels = in_cameras(filmed)
    np.testing.assert_allclose(pixels[:, 0], filmed.tracks.anchors_px, atol=1e-4)
    assert filmed.tracks.visible[:, 0].all()


def test_points_lie_on_the_rendered_surface(filmed):
    assert np.median(depth_error_mm(filmed, slice(0, 1))) < 0.01
    assert np.median(depth_error_mm(filmed, slice(0, None))) < 0.3


def test_three_views_triangulate_to_the_tracked_point(filmed):
    points = filmed.tracks.positions[1, 9].astype(float)
    across, moment = np.zeros((len(points), 3, 3)), np.zeros((len(points), 3))
    for k, pose in zip(filmed.rig.intrinsics, filmed.rig.camera_from_world, strict=True):
        pixels = project(k, transform(pose, points))
        rays = unproject(k, pixels, np.ones(len(points))) @ pose[:3, :3]
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        plane = np.eye(3) - rays[:, :, None] * rays[:, None, :]
        across, moment = across + plane, moment + plane @ camera_centre(pose)
    np.testing.assert_allclose(np.linalg.solve(across, moment[..., None])[..., 0], points, atol=1e-9)


def test_hand_tool_and_target_are_all_seen_and_move_as_rigid_bodies_do(filmed):
    assert set(np.unique(filmed.tracks.label)) == {LABELS.index(name) for name in ("hand", "tool", "target")}
    tool = filmed.tracks.positions[0][:, filmed.tracks.label[0] == LABELS.index("tool")].astype(float)
    spread = np.linalg.norm(tool - tool[:, :1], axis=-1)
    np.testing.assert_allclose(spread, np.broadcast_to(spread[0], spread.shape), atol=1e-6)


def test_depth_scale_spans_the_points_depths(filmed):
    points, _ = in_cameras(filmed)
    depths = points[..., 2].reshape(3, -1)
    np.testing.assert_allclose(filmed.tracks.depth_scale, np.stack([depths.min(1), depths.max(1)], -1), atol=1e-6)


def test_the_action_fills_the_pictures(filmed):
    assert 0.08 < filmed.tracks.foreground_share < 0.45


def test_a_wall_in_front_hides_a_point_and_one_behind_does_not():
    intrinsics = np.array([[100.0, 0, 15.5], [0, 100, 15.5], [0, 0, 1]])
    points = np.array([[[0.0, 0, 1.0], [0.2, 0, 1.0], [0, 0, -1.0]]])

    def seen(wall_m: float) -> list[bool]:
        return visible_points(points, intrinsics, np.full((1, 32, 32), wall_m, np.float32))[0].tolist()

    assert seen(0.9) == [False, False, False]
    assert seen(1.0) == [True, False, False]  # the others are outside the picture and behind the camera


def test_the_nearest_triangle_is_hit_where_the_ray_meets_it():
    near = np.array([[-1.0, -1, 2], [1, -1, 2], [0, 1, 3]])
    vertices, faces = np.concatenate([near + [0, 0, 2], near]), np.array([[0, 1, 2], [3, 4, 5]])
    intrinsics = np.array([[20.0, 0, 15], [0, 20, 15], [0, 0, 1]])
    hit = rasterise(vertices, faces, intrinsics, height=31, width=31)
    assert hit.face[15, 15] == 1
    assert hit.face[0, 0] == -1
    point = hit.barycentric[15, 15] @ vertices[faces[1]]
    np.testing.assert_allclose(point, [0, 0, hit.depth_m[15, 15]], atol=1e-12)
    np.testing.assert_allclose(hit.depth_m[15, 15], 2.5)


def test_anchors_spread_evenly_and_repeat_only_when_the_foreground_is_small():
    rows, columns = np.mgrid[:20, :20].reshape(2, -1)
    pixels = np.stack([columns, rows], -1)
    few = stratified(pixels, 100, np.random.default_rng(0))
    assert len(set(few)) == 100
    quarters = np.bincount((pixels[few, 0] >= 10) + 2 * (pixels[few, 1] >= 10), minlength=4)
    assert quarters.min() >= 24
    many = stratified(pixels, 1000, np.random.default_rng(0))
    assert set(many) == set(range(400))


def test_too_little_foreground_is_refused_with_its_number(filmed):
    far = np.array(filmed.rig.camera_from_world)
    far[:, 2, 3] += 100.0
    rig = SceneRig(filmed.rig.view_names, filmed.rig.intrinsics, far, 96, 96)
    with pytest.raises(ValueError, match="starts with 0 foreground pixels, needs 32"):
        track(filmed.body, rig, filmed.frames.depth_m, num_points=8, rng=np.random.default_rng(0))
