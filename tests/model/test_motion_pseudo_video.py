import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_model.config import MotionConfig
from syncmv4d_model.motion.projection import depth_min_max, project_points, unproject_pixels
from syncmv4d_model.motion.pseudo_video import (
    IdentityNoise,
    decode_denormalise,
    foreground,
    project_normalise,
    without_floor,
)
from syncmv4d_model.types import Cameras
from tests.model.moving_ellipsoids import MovingScene, eight_bit, moving_scene

MOTION = MotionConfig()
DENSE = MOTION.dense_splat_px


def drawn(scene: MovingScene, *, motion: MotionConfig = MOTION, splat_px: int = DENSE, **options) -> torch.Tensor:
    return project_normalise(
        scene.points_world,
        scene.anchors_px,
        scene.cameras,
        scene.depth_scale,
        motion=motion,
        splat_px=splat_px,
        visible=scene.visible,
        **options,
    )


def decoded(scene: MovingScene, pseudo_video: torch.Tensor, *, motion: MotionConfig = MOTION, splat_px: int = DENSE):
    return decode_denormalise(
        pseudo_video, scene.anchors_px, scene.cameras, scene.depth_scale, motion=motion, splat_px=splat_px
    )


def one_camera(*, size: int = 96, focal_px: float = 110.0) -> Cameras:
    centre = (size - 1) / 2
    intrinsics = torch.tensor([[focal_px, 0, centre], [0, focal_px, centre], [0, 0, 1]])
    return Cameras(intrinsics[None, None], torch.eye(4)[None, None], size, size)


@given(
    views=st.integers(1, 4),
    frames=st.sampled_from([1, 5, 9]),
    focal_px=st.floats(40, 400),
    size=st.sampled_from([(32, 64), (96, 96), (80, 48)]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=10)
def test_projecting_then_unprojecting_returns_the_points(views, frames, focal_px, size, seed):
    scene = moving_scene(
        views=views, frames=frames, points=16, height=size[0], width=size[1], focal_px=focal_px, seed=seed
    )
    pixels, depth = project_points(scene.points_world, scene.cameras)
    back = unproject_pixels(pixels, depth, scene.cameras)
    assert (back - scene.points_world).abs().max() < 1e-4


@given(seed=st.integers(0, 10_000), views=st.integers(1, 3), frames=st.sampled_from([1, 5, 17]))
@settings(max_examples=8)
def test_the_8_bit_round_trip_keeps_visible_points_within_5_mm_median_and_2_cm_at_the_95th_percentile(
    seed, views, frames
):
    scene = moving_scene(seed=seed, views=views, frames=frames)
    coarse = decoded(scene, eight_bit(drawn(scene)))
    error_m = (coarse.points_world - scene.points_world).norm(dim=-1)[scene.visible & coarse.valid]
    assert error_m.median() < 0.005
    assert error_m.quantile(0.95) < 0.02
    assert coarse.valid[scene.visible].float().mean() > 0.9


@given(
    views=st.integers(1, 4),
    points=st.integers(1, 300),
    focal_px=st.floats(60, 300),
    size=st.sampled_from([(32, 64), (112, 80)]),
    splat_px=st.sampled_from([1, 3, 5, 7]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=10)
def test_any_number_of_points_views_and_any_camera_come_back_within_a_splat(
    views, points, focal_px, size, splat_px, seed
):
    scene = moving_scene(
        views=views, frames=5, points=points, height=size[0], width=size[1], focal_px=focal_px, seed=seed
    )
    coarse = decoded(scene, drawn(scene, splat_px=splat_px), splat_px=splat_px)
    assert coarse.points_world.shape == scene.points_world.shape
    assert torch.isfinite(coarse.points_world).all()
    seen = scene.visible & coarse.valid
    pixels, _ = project_points(coarse.points_world, scene.cameras)
    truth, _ = project_points(scene.points_world, scene.cameras)
    assert seen[:, :, 0].float().mean() > 0.5 * scene.visible[:, :, 0].float().mean()
    assert (pixels - truth)[seen].abs().median() < splat_px / 2


def test_a_point_hidden_behind_another_surface_is_invisible_rather_than_invented():
    cameras = one_camera()
    grid = torch.stack(torch.meshgrid(torch.arange(30.0, 60), torch.arange(30.0, 60), indexing="xy"), -1).view(-1, 2)
    back = unproject_pixels(grid[None, None, None], torch.full((1, 1, 1, 900), 1.0), cameras)
    front = unproject_pixels(grid[None, None, None] - 30, torch.full((1, 1, 1, 900), 0.7), cameras)
    slide = unproject_pixels(grid[None, None, None], torch.full((1, 1, 1, 900), 0.7), cameras)
    world = torch.cat([torch.cat([back, front], 3), torch.cat([back, slide], 3)], 2)
    anchors = torch.cat([grid, grid - 30])[None, None]
    scale = depth_min_max(world, cameras)
    video = project_normalise(world, anchors, cameras, scale, motion=MOTION, splat_px=3)
    coarse = decode_denormalise(eight_bit(video), anchors, cameras, scale, motion=MOTION, splat_px=3)
    assert coarse.valid[0, 0, 0].float().mean() > 0.95
    # Behind the front's edge the back shows through by no more than a splat's radius.
    assert coarse.valid[0, 0, 1, :900].float().mean() < 0.03
    assert coarse.valid[0, 0, 1, 900:].all()


def test_an_identity_beyond_the_tolerance_is_invisible_and_a_noisier_codec_widens_it():
    cameras = one_camera()
    anchors = torch.tensor([[[[40.0, 40.0], [45.0, 40.0]]]])
    world = unproject_pixels(anchors[:, :, None], torch.full((1, 1, 1, 2), 0.8), cameras)
    scale = torch.tensor([[[0.5, 1.0]]])
    video = project_normalise(world[..., :1, :], anchors[:, :, :1], cameras, scale, motion=MOTION, splat_px=3)
    options = {"motion": MOTION, "splat_px": 3}
    strict = decode_denormalise(video, anchors, cameras, scale, **options)
    assert strict.valid.flatten().tolist() == [True, False]
    # Five pixels are 12 levels.
    loose = decode_denormalise(video, anchors, cameras, scale, noise=IdentityNoise(usual_levels=12.5), **options)
    assert loose.valid.all()


def test_the_centroid_of_a_drawn_sphere_is_its_projection():
    cameras, radius = one_camera(), 0.1
    index = torch.arange(20_000) + 0.5
    polar, turn = torch.arccos(1 - 2 * index / 20_000), np.pi * (1 + 5**0.5) * index
    shell = torch.stack([turn.cos() * polar.sin(), turn.sin() * polar.sin(), polar.cos()], -1) * radius
    for shift in (0.0, 0.0021, 0.0047):
        world = (shell + torch.tensor([shift, -shift, 0.9]))[None, None, None]
        anchors, _ = project_points(world, cameras)
        scale = depth_min_max(world, cameras)
        video = project_normalise(world, anchors[:, :, 0], cameras, scale, motion=MOTION, splat_px=1)
        rows, columns = torch.nonzero(foreground(video, MOTION)[0, 0, 0], as_tuple=True)
        outline = anchors[0, 0, 0]
        middle = (outline.amax(0) + outline.amin(0)) / 2
        assert abs(columns.float().mean() - middle[0]) < 0.05
        assert abs(rows.float().mean() - middle[1]) < 0.05
        shown = without_floor(video[0, 0, 0][rows, columns][:, :2], MOTION) * 96 - 0.5
        assert (shown.mean(0) - torch.stack([columns, rows], -1).float().mean(0)).abs().max() < 0.05


def test_identity_is_the_middle_of_the_anchors_pixel_and_depth_is_linear_between_near_and_far():
    cameras = one_camera()
    anchors = torch.tensor([[[[20.0, 30.0], [70.0, 60.0]]]])
    world = unproject_pixels(anchors[:, :, None], torch.tensor([[[[0.6, 0.9]]]]), cameras)
    scale = torch.tensor([[[0.6, 1.2]]])
    literal = MotionConfig(foreground_floor=0.0)
    video = project_normalise(world, anchors, cameras, scale, motion=literal, splat_px=1)
    assert video[0, 0, 0, 30, 20].tolist() == pytest.approx([20.5 / 96, 30.5 / 96, 0.0], abs=1e-5)
    assert video[0, 0, 0, 60, 70].tolist() == pytest.approx([70.5 / 96, 60.5 / 96, 0.5], abs=1e-5)
    lifted = project_normalise(world, anchors, cameras, scale, motion=MOTION, splat_px=1)
    assert lifted[0, 0, 0, 30, 20].tolist() == pytest.approx([0.1 + 0.9 * 20.5 / 96, 0.1 + 0.9 * 30.5 / 96, 0.1])
    assert (lifted.flatten(0, -2).sum(-1) > 0).sum() == 2


def test_without_a_floor_the_literal_pseudo_video_still_comes_back():
    scene = moving_scene(seed=3, frames=5)
    literal = MotionConfig(foreground_floor=0.0)
    coarse = decoded(scene, eight_bit(drawn(scene, motion=literal)), motion=literal)
    error_m = (coarse.points_world - scene.points_world).norm(dim=-1)[scene.visible & coarse.valid]
    assert error_m.median() < 0.005
    assert coarse.valid[scene.visible].float().mean() > 0.9


def test_a_tracking_video_freezes_depth_at_the_first_frame():
    scene = moving_scene(seed=1, points=1)
    video = drawn(scene, tracking_video=True, splat_px=1)
    for view in range(3):
        depths = video[0, view][foreground(video, MOTION)[0, view]][:, 2]
        assert torch.allclose(depths, depths[:1].expand_as(depths))
    assert not torch.equal(video, drawn(scene, splat_px=1))


def test_decoded_depth_follows_the_pseudo_video_and_the_depth_scale():
    scene = moving_scene(seed=2, frames=5, points=64)
    video = drawn(scene, splat_px=5).requires_grad_()
    scale = scene.depth_scale.clone().requires_grad_()
    coarse = decode_denormalise(video, scene.anchors_px, scene.cameras, scale, motion=MOTION, splat_px=5)
    coarse.points_world[coarse.valid].sum().backward()
    assert video.grad[..., 2].abs().sum() > 0
    assert video.grad[..., :2].abs().sum() == 0
    assert (scale.grad.abs() > 0).all()


@pytest.mark.parametrize("fill", [0.0, 0.5, 1.0, float("nan")])
def test_a_picture_that_means_nothing_decodes_to_finite_points(fill):
    scene = moving_scene(frames=1, points=8)
    video = torch.full((1, 3, 1, 96, 96, 3), fill)
    assert torch.isfinite(decoded(scene, video).points_world).all()


def test_points_behind_the_camera_neither_show_nor_count_for_the_depth_scale():
    cameras = one_camera()
    world = torch.tensor([[[[[0.0, 0.0, -0.5], [0.0, 0.0, 0.7], [0.01, 0.0, 0.9]]]]])
    scale = depth_min_max(world, cameras)
    assert scale.flatten().tolist() == pytest.approx([0.7, 0.9])
    anchors = torch.tensor([[[[10.0, 10.0], [47.0, 47.0], [49.0, 47.0]]]])
    video = project_normalise(world[..., :1, :], anchors[:, :, :1], cameras, scale, motion=MOTION, splat_px=3)
    assert video.abs().max() == 0
    assert depth_min_max(world[..., :1, :], cameras)[0, 0, 1] > depth_min_max(world[..., :1, :], cameras)[0, 0, 0]
