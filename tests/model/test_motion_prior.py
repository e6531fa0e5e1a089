"""What the motion prior expects, and of what."""

from dataclasses import replace

import pytest
import torch

from syncmv4d_model.config import NANO, WAN5B, JointDenoiserConfig, ModelConfig, MotionPriorConfig
from syncmv4d_model.networks.motion_prior import MotionPrior
from syncmv4d_model.types import Cameras, ExpectedMotion
from tests.model.tiny_model import TINY

BATCH, VIEWS = 2, 3


def prior(*, multi_view: bool = True, random: bool = True) -> MotionPrior:
    torch.manual_seed(3)
    network = MotionPrior(replace(TINY, switches=replace(TINY.switches, multi_view=multi_view)))
    if random:  # untrained it ends in zeros, which would hide everything
        for last in (network.motion, network.depth_scale):
            torch.nn.init.normal_(last.weight)
    return network.eval()


def inputs():
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(BATCH, VIEWS, 3, 3, generator=generator)).Q
    camera_from_world = torch.eye(4).repeat(BATCH, VIEWS, 1, 1)
    camera_from_world[..., :3, :3] = rotation * torch.linalg.det(rotation)[..., None, None]
    camera_from_world[..., :3, 3] = torch.tensor([0, 0, 0.8])
    intrinsics = torch.tensor([[40.0, 0, 15.5], [0, 40, 15.5], [0, 0, 1]]).repeat(BATCH, VIEWS, 1, 1)
    ids = torch.randint(3, 100, (BATCH, TINY.text.max_tokens), generator=generator)
    mask = torch.arange(TINY.text.max_tokens) < torch.tensor([[5], [9]])
    images = torch.rand(BATCH, VIEWS, TINY.height, TINY.width, 3, generator=generator) * 2 - 1
    return images, Cameras(intrinsics, camera_from_world, TINY.height, TINY.width), ids, mask


@torch.no_grad()
def expect(network: MotionPrior, images, cameras, ids, mask) -> ExpectedMotion:
    return network(images, cameras, ids, mask)


def test_untrained_it_expects_nothing_to_be_there_and_the_mean_depth():
    expected = expect(prior(random=False), *inputs())
    latents = (TINY.codec.motion_channels, TINY.latent_frames, *TINY.latent_size)
    assert expected.motion.shape == (BATCH, VIEWS, *latents) and not expected.motion.any()
    assert expected.depth_scale.shape == (BATCH, VIEWS, 2) and not expected.depth_scale.any()


def test_views_may_come_in_any_order():
    network, (images, cameras, ids, mask) = prior(), inputs()
    order = [2, 0, 1]
    moved = replace(
        cameras, intrinsics=cameras.intrinsics[:, order], camera_from_world=cameras.camera_from_world[:, order]
    )
    before, after = expect(network, images, cameras, ids, mask), expect(network, images[:, order], moved, ids, mask)
    for name in ("motion", "depth_scale", "features"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name)[:, order], atol=1e-4, rtol=1e-4)
    for level, again in zip(before.maps, after.maps, strict=True):
        torch.testing.assert_close(again, level[:, order], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("multi_view", [True, False])
def test_a_view_knows_of_the_others_unless_they_are_taken_one_by_one(multi_view):
    network, (images, cameras, ids, mask) = prior(multi_view=multi_view), inputs()
    other = images.clone()
    other[:, 1] = -other[:, 1]
    before, after = (expect(network, shown, cameras, ids, mask).motion for shown in (images, other))
    assert not torch.allclose(before[:, 1], after[:, 1])
    assert torch.allclose(before[:, ::2], after[:, ::2], atol=1e-6) != multi_view


@pytest.mark.parametrize("multi_view", [True, False])
def test_where_a_camera_stands_matters_to_the_views_that_know_of_it(multi_view):
    network, (images, cameras, ids, mask) = prior(multi_view=multi_view), inputs()
    elsewhere = cameras.camera_from_world.clone()
    elsewhere[:, 1] = elsewhere[:, 2]
    moved = replace(cameras, camera_from_world=elsewhere)
    before, after = (expect(network, images, placed, ids, mask).motion for placed in (cameras, moved))
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-3)
    assert torch.allclose(before[:, ::2], after[:, ::2], atol=1e-6) != multi_view


def test_it_reads_the_task_and_not_what_is_behind_its_end():
    network, (images, cameras, ids, mask) = prior(), inputs()
    before = expect(network, images, cameras, ids, mask).motion
    behind, within, reordered = ids.clone(), ids.clone(), ids.clone()
    behind[~mask] = 1
    within[:, 2] = 1
    reordered[:, :2] = ids[:, [1, 0]]
    torch.testing.assert_close(expect(network, images, cameras, behind, mask).motion, before)
    for other in (within, reordered):
        assert not torch.allclose(expect(network, images, cameras, other, mask).motion, before, atol=1e-3)


def test_it_sees_where_in_the_image_something_is():
    network, (images, cameras, ids, mask) = prior(), inputs()
    other = images.clone()
    other[0, 0, :16, 16:] = 1
    change = (
        expect(network, other, cameras, ids, mask).motion - expect(network, images, cameras, ids, mask).motion
    ).abs()
    per_cell = change[0, 0].mean((0, 1))  # [rows columns]
    assert per_cell.argmax() == 1 and change[1].max() == 0


def test_the_papers_model_has_none_and_neither_has_one_that_makes_video_only():
    assert NANO.has_motion_prior and not WAN5B.has_motion_prior and not ModelConfig().has_motion_prior
    assert not replace(NANO, switches=replace(NANO.switches, motion=False)).has_motion_prior


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"joint_denoiser": JointDenoiserConfig(precondition=False)}, "needs joint_denoiser.precondition"),
        ({"motion_prior": MotionPriorConfig(conv_width=12)}, "multiple of 8 and of its heads, got 12"),
        ({"joint_denoiser": JointDenoiserConfig(patch_size=(1, 2, 2))}, "needs patches of 1 cell"),
        ({"codec": replace(NANO.codec, spatial_stride=12)}, "a power of two"),
        ({"motion_prior": MotionPriorConfig(conv_width=32, heads=0)}, "motion_prior.heads must be at least 1"),
    ],
)
def test_a_configuration_that_cannot_have_one_says_why(change, words):
    with pytest.raises(ValueError, match=words):
        replace(NANO, **change)
