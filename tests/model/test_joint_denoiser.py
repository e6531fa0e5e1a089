"""Claims about the joint denoiser (paper, section 3), most of them against diffusers' own Wan transformer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel

from syncmv4d_model.config import (
    WAN5B,
    CodecConfig,
    JointDenoiserConfig,
    ModelConfig,
    SwitchConfig,
    TextConfig,
)
from syncmv4d_model.networks.initialisation import init_from_wan, is_added
from syncmv4d_model.networks.joint_denoiser import JointDenoiser
from syncmv4d_model.types import Cameras

TEXT_TOKENS = 6


def tiny(
    *, motion: bool = True, multi_view: bool = True, extra: bool = True, patch: int = 1, additions: bool = True, **codec
):
    return ModelConfig(
        switches=SwitchConfig(motion=motion, multi_view=multi_view),
        codec=CodecConfig(**({"video_channels": 8, "motion_channels": 12} | codec)),
        text=TextConfig(width=16, max_tokens=TEXT_TOKENS),
        joint_denoiser=JointDenoiserConfig(
            layers=2,
            heads=2,
            head_dim=24,
            ffn_dim=64,
            freq_dim=32,
            patch_size=(1, patch, patch),
            scale_tokens=2 if extra or motion else 0,
            register_tokens=3 if extra else 0,
            camera_rays=additions,
            first_frame_added=additions,
        ),
    )


def inputs(
    config: ModelConfig,
    *,
    batch: int = 2,
    views: int = 3,
    frames: int = 3,
    rows: int = 4,
    columns: int = 4,
    seed: int = 0,
):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    codec = config.codec
    motion_shape = (batch, views, codec.motion_channels, frames, rows, columns)
    rotation = torch.linalg.qr(draw(batch, views, 3, 3)).Q
    camera_from_world = torch.eye(4).repeat(batch, views, 1, 1)
    camera_from_world[..., :3, :3] = rotation * torch.linalg.det(rotation)[..., None, None]
    camera_from_world[..., :3, 3] = 0.1 * draw(batch, views, 3) + torch.tensor([0, 0, 0.8])
    intrinsics = torch.tensor([[100.0, 0, 47.5], [0, 110, 47.5], [0, 0, 1]]).repeat(batch, views, 1, 1)
    return {
        "video": draw(batch, views, codec.video_channels, frames, rows, columns),
        "motion": draw(*motion_shape) if config.switches.motion else None,
        "t": torch.rand(batch, generator=generator),
        "text": draw(batch, TEXT_TOKENS, config.text.width),
        "text_mask": torch.arange(TEXT_TOKENS)[None] < torch.tensor([[TEXT_TOKENS - 2], [TEXT_TOKENS]])[:batch],
        "reference": draw(batch, views, codec.video_channels, 1, rows, columns),
        "cameras": Cameras(intrinsics, camera_from_world, 96, 96),
        "guidance": draw(*motion_shape) if config.switches.motion else None,
    }


def stock_wan(config: ModelConfig, *, seed: int = 1) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    options = config.joint_denoiser
    model = WanTransformer3DModel(
        patch_size=options.patch_size,
        num_attention_heads=options.heads,
        attention_head_dim=options.head_dim,
        in_channels=config.codec.video_channels,
        out_channels=config.codec.video_channels,
        text_dim=config.text.width,
        freq_dim=options.freq_dim,
        ffn_dim=options.ffn_dim,
        num_layers=options.layers,
    )
    return model.eval()


def randomised(config: ModelConfig, *, seed: int = 2) -> JointDenoiser:
    """A denoiser whose every parameter is random, so that nothing is hidden behind a zero."""
    torch.manual_seed(seed)
    model = JointDenoiser(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def with_wan_weights(config: ModelConfig, wan: WanTransformer3DModel) -> JointDenoiser:
    model = JointDenoiser(config)
    unknown = model.load_state_dict(wan.state_dict(), strict=False).unexpected_keys
    assert not unknown
    return model.eval()


@pytest.mark.parametrize(
    ("views", "frames", "rows", "columns", "patch", "multi_view"),
    [
        (1, 1, 4, 4, 1, True),
        (2, 3, 4, 6, 2, False),
        (3, 5, 2, 4, 1, False),
        (4, 2, 6, 4, 2, False),
        (1, 4, 6, 2, 2, True),
    ],
)
@torch.no_grad()
def test_without_the_additions_each_view_is_stock_wan(views, frames, rows, columns, patch, multi_view):
    config = tiny(motion=False, extra=False, patch=patch, multi_view=multi_view)
    _assert_equals_stock_wan(config, views=views, frames=frames, rows=rows, columns=columns)


@pytest.mark.parametrize(
    ("views", "frames", "rows", "columns", "patch"), [(3, 5, 4, 4, 1), (2, 3, 4, 6, 2), (4, 1, 2, 2, 1)]
)
@torch.no_grad()
def test_at_its_initial_value_inter_view_attention_leaves_each_view_stock_wan(views, frames, rows, columns, patch):
    config = tiny(motion=False, extra=False, patch=patch)
    _assert_equals_stock_wan(config, views=views, frames=frames, rows=rows, columns=columns)


def _assert_equals_stock_wan(config: ModelConfig, **size: int) -> None:
    """First-frame conditioning as in Wan 2.2 TI2V: frame 0 is the reference and its tokens have timestep 0."""
    wan = stock_wan(config)
    given = inputs(config, **size)
    velocity = with_wan_weights(config, wan)(**given).video
    batch, views = velocity.shape[:2]
    latents = torch.cat([given["reference"], given["video"][:, :, :, 1:]], dim=3).flatten(0, 1)
    text = (given["text"] * given["text_mask"][..., None]).repeat_interleave(views, 0)
    patch = config.joint_denoiser.patch_size[1]
    cells = size["rows"] // patch * (size["columns"] // patch)
    per_token = (1000 * given["t"]).repeat_interleave(views)[:, None].repeat(1, size["frames"] * cells)
    per_token[:, :cells] = 0
    expected = wan(latents, per_token, text).sample.unflatten(0, (batch, views))
    torch.testing.assert_close(velocity, expected, atol=1e-5, rtol=1e-5)


def test_every_parameter_of_wan_keeps_its_name_and_shape():
    config = tiny()
    wan = {name: value.shape for name, value in stock_wan(config).state_dict().items()}
    own = {name: value.shape for name, value in JointDenoiser(config).state_dict().items() if not is_added(name)}
    assert own == wan


@torch.no_grad()
def test_at_initialisation_no_view_sees_another():
    config = tiny()
    model = with_wan_weights(config, stock_wan(config))
    torch.nn.init.normal_(model.motion_proj_out.weight)
    given = inputs(config)
    before = model(**given)
    for name in ("video", "motion", "reference", "guidance"):
        given[name][:, 1] += 1
    after = model(**given)
    for name in ("video", "motion", "depth_scale"):
        assert torch.equal(getattr(after, name)[:, [0, 2]], getattr(before, name)[:, [0, 2]])
    assert not torch.allclose(after.video[:, 1], before.video[:, 1])


@torch.no_grad()
def test_views_talk_once_the_output_projection_is_not_zero():
    model = randomised(tiny())
    given = inputs(model.config)
    before = model(**given)
    given["motion"][:, 1] += 1
    after = model(**given)
    for name in ("video", "motion", "depth_scale"):
        assert (getattr(after, name)[:, [0, 2]] - getattr(before, name)[:, [0, 2]]).abs().max() > 1e-4


@torch.no_grad()
def test_views_one_by_one_never_talk():
    model = randomised(tiny(multi_view=False, additions=False))
    given = inputs(model.config)
    before = model(**given)
    given["video"][:, 1] += 1
    assert torch.equal(model(**given).video[:, [0, 2]], before.video[:, [0, 2]])


@torch.no_grad()
def test_motion_influences_video_and_video_influences_motion():
    model = randomised(tiny())
    given = inputs(model.config)
    before = model(**given)
    moved = model(**given | {"motion": given["motion"] + 1})
    recoloured = model(**given | {"video": given["video"] + 1})
    assert (moved.video - before.video).abs().max() > 1e-3
    assert (recoloured.motion - before.motion).abs().max() > 1e-3


@torch.no_grad()
def test_what_stands_in_video_latent_frame_0_is_ignored():
    model = randomised(tiny())
    given = inputs(model.config)
    before = model(**given)
    given["video"][:, :, :, 0] = 7
    assert torch.equal(model(**given).video, before.video)


@torch.no_grad()
def test_permuting_the_batch_permutes_the_result():
    model = randomised(tiny())
    given = inputs(model.config)
    before = model(**given)
    cameras = given["cameras"]
    swapped = {name: value.flip(0) for name, value in given.items() if name != "cameras"}
    swapped["cameras"] = replace(
        cameras, intrinsics=cameras.intrinsics.flip(0), camera_from_world=cameras.camera_from_world.flip(0)
    )
    after = model(**swapped)
    for name in ("video", "motion", "depth_scale"):
        torch.testing.assert_close(getattr(after, name).flip(0), getattr(before, name), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_zero_guidance_is_no_guidance_and_its_presence_is_told_per_sample():
    model = randomised(tiny())
    given = inputs(model.config)
    none = model(**given | {"guidance": None})
    first_absent = given["guidance"].clone()
    first_absent[0] = 0
    mixed = model(**given | {"guidance": first_absent})
    torch.testing.assert_close(mixed.motion[0], none.motion[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed.motion[1], model(**given).motion[1], atol=1e-5, rtol=1e-5)
    pre_added = model(**given | {"motion": given["motion"] + given["guidance"], "guidance": None})
    assert (pre_added.motion - model(**given).motion).abs().max() > 1e-4


def test_gradient_reaches_every_parameter():
    model = randomised(tiny()).train()
    velocity = model(**inputs(model.config))
    (velocity.video.square().mean() + velocity.motion.square().mean() + velocity.depth_scale.square().mean()).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert without == []


def test_gradient_checkpointing_changes_no_gradient():
    model = randomised(tiny()).train()
    gradients = []
    for model.gradient_checkpointing in (False, True):
        model.zero_grad()
        model(**inputs(model.config)).video.square().mean().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for direct, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(direct, recomputed)


@torch.no_grad()
def test_bfloat16_autocast_stays_near_float32():
    model = randomised(tiny())
    given = inputs(model.config)
    exact = model(**given)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(**given)
    assert rounded.video.dtype == torch.float32
    assert (rounded.video - exact.video).norm() < 0.05 * exact.video.norm()


@torch.no_grad()
def test_rotary_tables_stay_float32_in_a_bfloat16_model():
    model = randomised(tiny()).to(torch.bfloat16)
    assert model.rope.freqs_cos.dtype == torch.float32
    assert model(**inputs(model.config)).motion.isfinite().all()


@torch.no_grad()
def test_equal_channel_counts_let_the_motion_path_start_as_a_copy_of_the_video_path():
    config = tiny(extra=False, video_channels=8, motion_channels=8)
    model = with_wan_weights(config, stock_wan(config))
    init_from_wan(model)
    assert torch.equal(model.motion_patch_embedding.weight, model.patch_embedding.weight)
    assert torch.equal(model.motion_proj_out.weight, model.proj_out.weight)
    assert torch.equal(model.blocks[1].motion_scale_shift_table, model.blocks[1].scale_shift_table)
    assert torch.equal(model.blocks[1].inter_view_attention.to_q.weight, model.blocks[1].attn1.to_q.weight)
    assert not model.blocks[1].inter_view_attention.to_out[0].weight.any()


def test_motion_must_be_given_exactly_when_the_switch_says_so():
    with_motion, without = JointDenoiser(tiny()), JointDenoiser(tiny(motion=False))
    given = inputs(with_motion.config)
    with pytest.raises(ValueError, match=r"motion latents given: False, but switches\.motion is True"):
        with_motion(**given | {"motion": None})
    with pytest.raises(ValueError, match=r"motion latents given: True, but switches\.motion is False"):
        without(**given)


def test_latents_that_the_patch_does_not_divide_are_refused():
    model = JointDenoiser(tiny(patch=2))
    with pytest.raises(ValueError, match="multiples of 2 x 2 cells, got 4 x 5"):
        model(**inputs(model.config, columns=5))


def test_the_paper_scale_model_has_wans_825_tensors_and_about_6_2_billion_parameters():
    with init_empty_weights():
        parameters = dict(JointDenoiser(WAN5B).named_parameters())
    base = {name: p.numel() for name, p in parameters.items() if not is_added(name)}
    assert len(base) == 825
    assert sum(base.values()) == pytest.approx(4.9998e9, rel=1e-4)
    assert sum(p.numel() for p in parameters.values()) == pytest.approx(6.20e9, rel=2e-3)
