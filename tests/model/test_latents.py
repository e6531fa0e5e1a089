import pytest
import torch
from diffusers import AutoencoderKLWan

from syncmv4d_model.config import CodecConfig, MotionConfig
from syncmv4d_model.motion.pseudo_video import IdentityNoise, decode_denormalise, foreground, project_normalise
from syncmv4d_model.networks.latents import BlockCode, PcaCodec, WanCodec
from syncmv4d_model.networks.motion_channels import OFFSET_PX, from_motion_channels, to_motion_channels
from syncmv4d_model.networks.pca_fit import fit_pca_codec
from tests.model.moving_ellipsoids import MovingScene, moving_scene

MOTION = MotionConfig()
SMALL = CodecConfig(video_channels=16, motion_channels=48)


def truth(seed: int, *, frames: int = 9) -> tuple[MovingScene, torch.Tensor]:
    scene = moving_scene(seed=seed, frames=frames)
    options = {"motion": MOTION, "splat_px": 3, "visible": scene.visible}
    return scene, project_normalise(scene.points_world, scene.anchors_px, scene.cameras, scene.depth_scale, **options)[
        0
    ]


@pytest.fixture(scope="module")
def examples() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(scene.images[0], pseudo_video) for scene, pseudo_video in map(truth, range(6))]


@pytest.fixture(scope="module")
def codec(examples) -> PcaCodec:
    return fit_pca_codec(examples, SMALL, motion=MOTION)


def test_the_relative_channels_are_the_pseudo_video_written_another_way(examples):
    pseudo_video = examples[0][1]
    channels = to_motion_channels(pseudo_video, MOTION)
    assert torch.allclose(from_motion_channels(channels, MOTION), pseudo_video, atol=1e-5)
    drawn = foreground(pseudo_video, MOTION)
    # A pixel of the first frame carries its own place, to within the splat that covers it.
    assert (channels[:, 0, ..., :2][drawn[:, 0]].abs() * OFFSET_PX).max() <= 3
    assert not channels[~drawn].any()


def test_pictures_need_not_be_square():
    scene = moving_scene(seed=0, frames=5, height=64, width=112)
    arguments = scene.points_world, scene.anchors_px, scene.cameras, scene.depth_scale
    pseudo_video = project_normalise(*arguments, motion=MOTION, splat_px=3, visible=scene.visible)[0]
    channels = to_motion_channels(pseudo_video, MOTION)
    drawn = foreground(pseudo_video, MOTION)
    assert drawn.any() and (channels[:, 0, ..., :2][drawn[:, 0]].abs() * OFFSET_PX).max() <= 3
    assert torch.equal(channels[..., 3], drawn.float())
    assert torch.allclose(from_motion_channels(channels, MOTION), pseudo_video, atol=1e-5)


@pytest.mark.parametrize("channel", range(3))
def test_a_pixel_of_which_one_channel_is_at_most_half_the_floor_is_background(channel):
    pixels = torch.full((1, 1, 4, 4, 3), 0.5)
    pixels[0, 0, 1:, :, channel] = MOTION.foreground_floor / 2
    drawn = foreground(pixels, MOTION)
    assert drawn[0, 0, 0].all() and drawn.sum() == 4
    assert torch.equal(to_motion_channels(pixels, MOTION).any(-1), drawn)


def test_latents_have_one_frame_for_the_first_and_one_for_every_four_after(codec, examples):
    video, pseudo_video = examples[0]
    assert codec.encode_video(video).shape == (3, 16, 3, 6, 6)
    assert codec.encode_motion(pseudo_video).shape == (3, 48, 3, 6, 6)
    assert codec.decode_video(codec.encode_video(video)).shape == video.shape
    assert codec.encode_video(video[:, :1]).shape == (3, 16, 1, 6, 6)


def test_a_reference_image_has_the_latents_of_a_videos_first_frame(codec, examples):
    video = examples[0][0]
    assert torch.allclose(codec.encode_video(video[:, :1]), codec.encode_video(video)[:, :, :1], atol=1e-5)


def test_latents_of_the_fitted_data_have_unit_mean_square(codec, examples):
    latents = torch.cat([codec.encode_video(video) for video, _ in examples])
    assert 0.6 < latents.square().mean() < 1.6


def test_more_channels_lose_less_motion(examples):
    scene, pseudo_video = truth(0)
    moving = scene.visible & ((scene.points_world - scene.points_world[:, :, :1]).norm(dim=-1) > 0.02)
    static = (scene.points_world - scene.points_world[:, :, :1]).norm(dim=-1)[moving].mean()
    ratios = []
    for channels in (8, 64):
        code = fit_pca_codec(examples, CodecConfig(video_channels=8, motion_channels=channels), motion=MOTION)
        decoded = code.decode_motion(code.encode_motion(pseudo_video))[None]
        options = {"motion": MOTION, "splat_px": 3, "noise": code.motion_noise}
        coarse = decode_denormalise(decoded, scene.anchors_px, scene.cameras, scene.depth_scale, **options)
        ratios.append(float((coarse.points_world - scene.points_world).norm(dim=-1)[moving].mean() / static))
        assert min(code.motion_noise.rms_levels, code.motion_noise.usual_levels) > 0
    assert ratios[1] < min(0.5, ratios[0])


def test_sparse_points_as_the_closed_loop_draws_them_survive_the_codec(codec):
    scene, _ = truth(1)
    few = slice(0, 128)
    arguments = (scene.anchors_px[:, :, few], scene.cameras, scene.depth_scale)
    video = project_normalise(scene.points_world[..., few, :], *arguments, motion=MOTION, splat_px=7)
    decoded = codec.decode_motion(codec.encode_motion(video[0]))[None]
    both = foreground(decoded, MOTION) & foreground(video, MOTION)
    assert both.sum() > 0.7 * foreground(video, MOTION).sum()
    coarse = decode_denormalise(decoded, *arguments, motion=MOTION, splat_px=7, noise=IdentityNoise(5.0, 15.0))
    error_m = (coarse.points_world - scene.points_world[..., few, :]).norm(dim=-1)[
        scene.visible[..., few] & coarse.valid
    ]
    assert error_m.median() < 0.03


def test_the_codec_hides_most_of_what_is_occluded_and_little_of_what_is_seen(codec):
    scene, pseudo_video = truth(1)
    decoded = codec.decode_motion(codec.encode_motion(pseudo_video))[None]
    arguments = (decoded, scene.anchors_px, scene.cameras, scene.depth_scale)
    valid = decode_denormalise(*arguments, motion=MOTION, splat_px=3, noise=codec.motion_noise).valid
    assert valid[scene.visible].float().mean() > 0.9
    assert valid[~scene.visible].float().mean() < 0.7


def test_background_decodes_to_exact_black(codec):
    empty = codec.decode_motion(codec.encode_motion(torch.zeros(1, 5, 32, 48, 3)))
    assert empty.shape == (1, 5, 32, 48, 3)
    assert not empty.any()


def whole(code: BlockCode, video: torch.Tensor) -> torch.Tensor:
    """Encode with no block left out."""
    first, later = code.blocks(video)
    return torch.cat([code.first.encode(first), code.later.encode(later)], dim=1).movedim(-1, 1)


def whole_back(code: BlockCode, latents: torch.Tensor) -> torch.Tensor:
    """Decode with no block left out."""
    blocks = latents.movedim(1, -1)
    parts = (blocks[:, :1], code.first, 1), (blocks[:, 1:], code.later, code.group)
    return torch.cat([code._join(basis.decode(codes), length) for codes, basis, length in parts], dim=1)


def test_leaving_blocks_without_foreground_out_changes_neither_codes_nor_pixels_nor_gradients(codec, examples):
    code, pseudo_video = codec.motion_code, examples[0][1]
    latents = codec.encode_motion(pseudo_video)
    torch.testing.assert_close(latents, whole(code, codec.to_channels(pseudo_video)), atol=1e-4, rtol=1e-4)
    noisy = [(latents + torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))) for _ in range(2)]
    for one in noisy:
        one.requires_grad_()
    decoded = codec.decode_motion(noisy[0]), from_motion_channels(whole_back(code, noisy[1]), MOTION)
    assert (decoded[0] == 0).any() and (decoded[0] > 0).any()
    torch.testing.assert_close(*decoded, atol=1e-5, rtol=1e-5)
    for one in decoded:
        one.square().sum().backward()
    torch.testing.assert_close(noisy[0].grad, noisy[1].grad, atol=1e-3, rtol=1e-4)


def test_what_is_not_a_number_is_not_taken_for_background(codec, examples):
    latents = codec.encode_motion(torch.zeros_like(examples[0][1]))
    latents[0, 0, 1, 2, 2] = float("nan")
    assert codec.decode_motion(latents).isnan().any()
    pseudo_video = torch.zeros_like(examples[0][1])
    pseudo_video[0, 3, 40:50, 40:50] = float("nan")
    assert codec.encode_motion(pseudo_video).isnan().any()


def test_the_papers_literal_channels_are_selectable(examples):
    literal = MotionConfig(foreground_floor=0.0)
    config = CodecConfig(identity="absolute", video_channels=8, motion_channels=64)
    code = fit_pca_codec(examples, config, motion=literal)
    pseudo_video = examples[0][1]
    decoded = code.decode_motion(code.encode_motion(pseudo_video))
    assert decoded.shape == pseudo_video.shape
    assert (decoded - pseudo_video).square().mean() < 0.1 * pseudo_video.square().mean()


def test_a_stored_codec_comes_back_the_same(codec, examples):
    other = PcaCodec(SMALL, MOTION)
    other.load_state_dict(codec.state_dict())
    assert torch.equal(other.encode_motion(examples[0][1]), codec.encode_motion(examples[0][1]))
    assert other.motion_noise == codec.motion_noise
    assert codec.motion_noise.usual_levels > 0


def test_decoding_carries_gradients_to_the_latents(codec, examples):
    latents = codec.encode_motion(examples[0][1]).requires_grad_()
    codec.decode_motion(latents)[..., 2].sum().backward()
    assert latents.grad.abs().sum() > 0


def test_wrong_sizes_and_too_little_data_are_refused(codec, examples):
    with pytest.raises(ValueError, match="got 16"):
        codec.encode_video(torch.zeros(1, 16, 32, 32, 3))
    with pytest.raises(ValueError, match="multiples of 16, got 40 x 32"):
        codec.encode_video(torch.zeros(1, 1, 40, 32, 3))
    with pytest.raises(ValueError, match="need at least as many blocks, got 0"):
        fit_pca_codec([], SMALL, motion=MOTION)


@pytest.fixture(scope="module")
def wan() -> WanCodec:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=8,
        decoder_base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[0.5, 1.0, 2.0, 1.5],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_temporal=4,
        scale_factor_spatial=16,
    )
    return WanCodec(vae.eval().requires_grad_(False), motion_noise=IdentityNoise(1.5, 1.0))


def test_wan_latents_are_standardised_by_the_vaes_own_statistics(wan):
    video = torch.rand(2, 5, 32, 48, 3) * 2 - 1
    latents = wan.encode_video(video)
    assert latents.shape == (2, 4, 2, 2, 3)
    raw = wan.vae.encode(video[1:].movedim(-1, 1)).latent_dist.mode()
    statistics = torch.tensor([[0.1, -0.2, 0.3, 0.0], [0.5, 1.0, 2.0, 1.5]])[:, None, :, None, None, None]
    assert torch.allclose(latents[1:] * statistics[1] + statistics[0], raw, atol=1e-5)
    assert wan.decode_video(latents).shape == video.shape
    assert wan.encode_video(video[:, :1]).shape == (2, 4, 1, 2, 3)


def test_wan_codes_a_pseudo_video_as_a_video_between_minus_one_and_one(wan):
    pseudo_video = torch.rand(1, 5, 32, 32, 3)
    assert torch.equal(wan.encode_motion(pseudo_video), wan.encode_video(2 * pseudo_video - 1))
    decoded = wan.decode_motion(wan.encode_motion(pseudo_video))
    assert 0 <= decoded.min() <= decoded.max() <= 1
    assert wan.motion_channels == wan.video_channels == 4
