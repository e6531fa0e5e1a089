"""MJD, the joint denoiser of video and motion latents (paper, section 3), on diffusers' Wan transformer."""

from __future__ import annotations

import math

import torch
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanTimeTextImageEmbedding
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.networks.camera_rays import (
    POSE_FEATURES,
    RAY_FEATURES,
    CameraEmbedding,
    pose_features,
    ray_features,
    view_centres,
)
from syncmv4d_model.networks.initialisation import init_as_wan, init_from_wan
from syncmv4d_model.networks.multi_view import (
    MultiViewBlock,
    RotaryTables,
    Timing,
    TokenLayout,
    join_tokens,
    split_tokens,
)
from syncmv4d_model.types import Cameras, JointVelocity

WAN_TIMESTEPS = 1000
"""Wan's timesteps run from 0 to 1000 where t runs from 0 to 1."""
ROPE_MAX_POSITIONS = 1024


class MotionModulator(nn.Module):
    """The timestep half of Wan's condition embedder, for motion tokens."""

    def __init__(self, width: int, freq_dim: int):
        super().__init__()
        self.timesteps_proj = Timesteps(freq_dim, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedder = TimestepEmbedding(in_channels=freq_dim, time_embed_dim=width)
        self.act_fn = nn.SiLU()
        self.time_proj = nn.Linear(width, 6 * width)


class JointDenoiser(nn.Module):
    """Velocities of video and motion latents and the depth scale, for all views together.

    Parameters that Wan has carry Wan's names. Without motion, scale and register tokens, and with everything in
    ADDED_TO_WAN at its initial value, each view's video velocity is that of diffusers' WanTransformer3DModel.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        options, switches = config.joint_denoiser, config.switches
        if options.patch_size[0] != 1:
            raise ValueError(
                f"patch_size must be 1 in time (timesteps are per latent frame), got {options.patch_size[0]}"
            )
        self.config = config
        self.width = width = options.heads * options.head_dim
        self.gradient_checkpointing = False

        self.rope = RotaryTables(options.head_dim, options.patch_size, ROPE_MAX_POSITIONS)
        self.patch_embedding = self._patch_embedding(config.codec.video_channels, width)
        self.condition_embedder = WanTimeTextImageEmbedding(width, options.freq_dim, 6 * width, config.text.width)
        self.blocks = nn.ModuleList(
            MultiViewBlock(options, multi_view=switches.multi_view, motion=switches.motion)
            for _ in range(options.layers)
        )
        self.norm_out = FP32LayerNorm(width, options.eps, elementwise_affine=False)
        self.proj_out = nn.Linear(width, config.codec.video_channels * math.prod(options.patch_size))
        self.scale_shift_table = nn.Parameter(torch.empty(1, 2, width))

        self.num_modalities = 2 if switches.motion else 1
        self.num_scale_tokens = options.scale_tokens if switches.motion else 0
        if switches.motion:
            self.motion_patch_embedding = self._patch_embedding(config.codec.motion_channels, width)
            self.motion_modulator = MotionModulator(width, options.freq_dim)
            self.motion_proj_out = nn.Linear(width, config.codec.motion_channels * math.prod(options.patch_size))
            self.motion_scale_shift_table = nn.Parameter(torch.empty(1, 2, width))
            self.guidance_present = nn.Parameter(torch.empty(width))
        if self.num_scale_tokens:
            self.scale_tokens = nn.Parameter(torch.empty(self.num_scale_tokens, width))
            self.scale_head = nn.Linear(self.num_scale_tokens * width, 2)
        if options.register_tokens:
            self.register_tokens = nn.Parameter(torch.empty(options.register_tokens, width))
        if options.camera_rays:
            self.camera_rays = CameraEmbedding(RAY_FEATURES, width, self.num_modalities * width)
        if options.camera_rays and self.num_scale_tokens:
            self.camera_pose = CameraEmbedding(POSE_FEATURES, width, width)
        if options.first_frame_added:
            self.first_frame_embedding = self._patch_embedding(config.codec.video_channels, self.num_modalities * width)
        if config.has_motion_prior:
            features = config.motion_prior.conv_width * config.codec.spatial_stride // 2
            self.prior_embedding = nn.Linear(features, self.num_modalities * width)
        init_as_wan(self)
        init_from_wan(self)

    def _patch_embedding(self, channels: int, width: int) -> nn.Conv3d:
        patch = self.config.joint_denoiser.patch_size
        return nn.Conv3d(channels, width, kernel_size=patch, stride=patch)

    def forward(
        self,
        video: Float[Tensor, "B V C F h w"],
        motion: Float[Tensor, "B V Cm F h w"] | None,
        *,
        t: Float[Tensor, "B"],
        text: Float[Tensor, "B L Dt"],
        text_mask: Bool[Tensor, "B L"],
        reference: Float[Tensor, "B V C 1 h w"],
        cameras: Cameras,
        prior_features: Float[Tensor, "B V cells Dp"] | None = None,
        guidance: Float[Tensor, "B V Cm F h w"] | None = None,
    ) -> JointVelocity:
        """Velocities at noisy latents (standardised) and time t in [0, 1].

        Latent frame 0 of the video is replaced by the reference and gets timestep 0. Guidance is added to the motion
        latents; a sample whose guidance is all zero counts as having none. Text beyond its mask is zeroed and attended
        to, as Wan does. `prior_features` are the motion prior's, for a configuration that has one. Raises ValueError if
        motion or these contradict the config or a size is not a multiple of the patch.
        """
        self._check(video, motion)
        if (prior_features is not None) != self.config.has_motion_prior:
            raise ValueError(f"prior features given: {prior_features is not None}, but the config says otherwise")
        _, rows, columns = self.config.joint_denoiser.patch_size
        layout = TokenLayout(
            frames=video.shape[3],
            modalities=self.num_modalities,
            rows=video.shape[4] // rows,
            columns=video.shape[5] // columns,
            extra=self.num_scale_tokens + self.config.joint_denoiser.register_tokens,
        )
        hidden = self._tokens(video, motion, reference, cameras, guidance, layout, prior_features)
        timing, head_timing = self._timing(t, layout.frames)
        text = self.condition_embedder.text_embedder((text * text_mask[..., None]).to(self._dtype))
        rotary = self.rope(layout, num_views=video.shape[1])
        for block in self.blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden = checkpoint(block, hidden, text, timing, rotary, layout, use_reentrant=False)
            else:
                hidden = block(hidden, text, timing, rotary, layout)
        return self._velocity(hidden, head_timing, layout)

    def compile_blocks(self) -> None:
        """Compile the block once for all layers: a fraction of the time that compiling the whole model takes."""
        torch._dynamo.config.recompile_limit = 64  # one per batch size and precision
        for block in self.blocks:
            block.compile(fullgraph=True)

    @property
    def _dtype(self) -> torch.dtype:
        return self.patch_embedding.weight.dtype

    def _check(self, video: Tensor, motion: Tensor | None) -> None:
        if (motion is not None) != self.config.switches.motion:
            raise ValueError(f"motion latents given: {motion is not None}, but switches.motion is {motion is None}")
        _, rows, columns = self.config.joint_denoiser.patch_size
        if video.shape[4] % rows or video.shape[5] % columns:
            raise ValueError(
                f"latents must be multiples of {rows} x {columns} cells, got {video.shape[4]} x {video.shape[5]}"
            )

    def _tokens(
        self,
        video: Tensor,
        motion: Tensor | None,
        reference: Tensor,
        cameras: Cameras,
        guidance: Tensor | None,
        layout: TokenLayout,
        prior_features: Tensor | None,
    ) -> Float[Tensor, "B V L D"]:
        """Embedded latents with everything that is added to them, then scale and register tokens."""
        batch, num_views = video.shape[:2]
        modalities = [self._embed(self.patch_embedding, torch.cat([reference, video[:, :, :, 1:]], dim=3))]
        if motion is not None:
            modalities.append(self._embed_motion(motion, guidance))
        framed = torch.stack(modalities, dim=3)
        options = self.config.joint_denoiser
        if options.first_frame_added:
            first = self._embed(self.first_frame_embedding, reference)
            framed = framed + first.unflatten(-1, (layout.modalities, -1)).movedim(-2, 3)
        if prior_features is not None:
            shown = self.prior_embedding(prior_features.to(self._dtype))
            framed = framed + shown.unflatten(-1, (layout.modalities, -1)).movedim(-2, 2)[:, :, None]
        extra = self.patch_embedding.weight.new_empty(batch, num_views, 0, self.width)
        if self.num_scale_tokens:
            extra = self.scale_tokens.expand(batch, num_views, -1, -1)
        if options.camera_rays:
            rays, pose = self._camera_features(cameras, layout)
            framed = framed + self.camera_rays(rays).unflatten(-1, (layout.modalities, -1)).movedim(-2, 2)[:, :, None]
            if self.num_scale_tokens:
                extra = extra + self.camera_pose(pose)[:, :, None]
        if options.register_tokens:
            extra = torch.cat([extra, self.register_tokens.expand(batch, num_views, -1, -1)], dim=2)
        # Under autocast the products above are bfloat16; the residual stream keeps the parameters' type.
        return join_tokens(framed.to(self._dtype), extra.to(self._dtype))

    def _embed(self, embedding: nn.Conv3d, latents: Float[Tensor, "B V C F h w"]) -> Float[Tensor, "B V F hw D"]:
        """A convolution whose stride is its kernel, as one matrix product (3D convolutions are slow on CPUs)."""
        _, rows, columns = embedding.kernel_size
        patches = rearrange(latents, "b v c f (h p) (w q) -> b v f (h w) (c p q)", p=rows, q=columns)
        return functional.linear(patches.to(self._dtype), embedding.weight.flatten(1), embedding.bias)

    def _embed_motion(self, motion: Tensor, guidance: Tensor | None) -> Float[Tensor, "B V F hw D"]:
        if guidance is None:
            return self._embed(self.motion_patch_embedding, motion)
        present = (guidance != 0).flatten(1).any(1).to(self._dtype)
        embedded = self._embed(self.motion_patch_embedding, motion + guidance)
        return embedded + present.view(-1, 1, 1, 1, 1) * self.guidance_present

    def _camera_features(self, cameras: Cameras, layout: TokenLayout) -> tuple[Tensor, Tensor]:
        multi_view = self.config.switches.multi_view
        centres = view_centres(cameras, multi_view=multi_view)
        rays = ray_features(cameras, centres, rows=layout.rows, columns=layout.columns)
        return rays.to(self._dtype), pose_features(cameras, centres).to(self._dtype)

    def _timing(self, t: Float[Tensor, "B"], frames: int) -> tuple[Timing, Float[Tensor, "B F G D"]]:
        """Modulation of the blocks and of the heads. In float32: a rounded timestep would move every token."""
        times = torch.stack([torch.zeros_like(t), t], dim=1).float() * WAN_TIMESTEPS
        with torch.autocast(t.device.type, enabled=False):
            embedded, projected = _embed_times(self.condition_embedder, times)
            extra = projected[:, 1]
            held = [
                torch.cat([x[:, :1], x[:, 1:].expand(-1, frames - 1, *x.shape[2:])], 1) for x in (embedded, projected)
            ]
            per_modality = [held]
            if self.num_modalities == 2:
                motion = _embed_times(self.motion_modulator, times[:, 1:])
                per_modality.append([x.expand(-1, frames, *x.shape[2:]) for x in motion])
        heads, blocks = (torch.stack(x, dim=2) for x in zip(*per_modality, strict=True))
        return Timing(blocks, extra), heads

    def _velocity(self, hidden: Tensor, head_timing: Float[Tensor, "B F G D"], layout: TokenLayout) -> JointVelocity:
        framed, extra = split_tokens(self.norm_out(hidden.float()), layout)
        heads = [(self.scale_shift_table, self.proj_out)]
        if self.num_modalities == 2:
            heads.append((self.motion_scale_shift_table, self.motion_proj_out))
        _, rows, columns = self.config.joint_denoiser.patch_size
        velocities: list[Tensor | None] = []
        for index, (table, projection) in enumerate(heads):
            shift, scale = (table[:, None] + head_timing[:, :, index, None]).float()[:, None, :, :, None].unbind(3)
            tokens = torch.addcmul(shift, framed[:, :, :, index], 1 + scale)
            velocities.append(
                rearrange(
                    projection(tokens.to(hidden.dtype)),
                    "b v f (h w) (p q c) -> b v c f (h p) (w q)",
                    h=layout.rows,
                    p=rows,
                    q=columns,
                ).float()  # fmt: skip
            )
        scale = None
        if self.num_scale_tokens:
            scale_tokens = extra[:, :, : self.num_scale_tokens].flatten(2)
            scale = self.scale_head(scale_tokens.to(hidden.dtype)).float()
        return JointVelocity(velocities[0], velocities[1] if self.num_modalities == 2 else None, scale)


def _embed_times(
    embedder: WanTimeTextImageEmbedding | MotionModulator, times: Float[Tensor, "B n"]
) -> tuple[Tensor, Tensor]:
    """Wan's timestep embedding: (embedded [B n D], projected [B n 6 D]), in float32."""
    sinusoids = embedder.timesteps_proj(times.flatten()).unflatten(0, times.shape)
    embedded = embedder.time_embedder(sinusoids.to(embedder.time_proj.weight.dtype))
    projected = embedder.time_proj(embedder.act_fn(embedded))
    return embedded.float(), projected.unflatten(-1, (6, -1)).float()
