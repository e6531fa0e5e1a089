"""Wan's transformer block for several views: inter-view attention first, and a modulation of their own for motion tokens.

Tokens of one view (paper, section 3) are ordered [video cells | motion cells] per latent frame, then scale and register
tokens. Everything that depends on the timestep is kept per latent frame and modality, and broadcast over cells late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.transformers.transformer_wan import WanAttention, WanRotaryPosEmbed, WanTransformerBlock
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from syncmv4d_model.config import JointDenoiserConfig

FEW_KEYS = 1024
"""Up to this many keys, attention scores are small enough to be held in memory."""


@dataclass(frozen=True)
class TokenLayout:
    """How many tokens of each kind one view has."""

    frames: int
    modalities: int  # 1: video, 2: video and motion
    rows: int
    columns: int
    extra: int  # scale and register tokens

    @property
    def cells(self) -> int:
        return self.rows * self.columns

    @property
    def framed(self) -> int:
        """Number of tokens that belong to a latent frame."""
        return self.frames * self.modalities * self.cells


@dataclass(frozen=True)
class Timing:
    """Projected timesteps: shift, scale, gate of attention, then of the feed-forward."""

    framed: Float[Tensor, "B F G 6 D"]
    extra: Float[Tensor, "B 6 D"]


@dataclass(frozen=True)
class Rotary:
    """Cosines and signed sines of self-attention (L tokens of a view) and inter-view attention (N tokens of a frame)."""

    intra_cos: Float[Tensor, "L 1 d"]
    intra_sin: Float[Tensor, "L 1 d"]
    inter_cos: Float[Tensor, "N 1 d"]
    inter_sin: Float[Tensor, "N 1 d"]


class RotaryTables(WanRotaryPosEmbed):
    """Wan's rotary position tables, which stay float32 whatever the module is cast to (bfloat16 angles ruin positions)."""

    freqs_cos: Tensor
    freqs_sin: Tensor

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RotaryTables:
        return super()._apply(lambda tensor: fn(tensor).float(), recurse)

    def forward(self, layout: TokenLayout, *, num_views: int) -> Rotary:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Tables for one layout: motion tokens take the position of the video token at their place, scale and register
        tokens take none, and between views the view's index stands where time stands within a view.
        """
        intra_cos, intra_sin = self._grid(layout.frames, layout)
        inter_cos, inter_sin = self._grid(num_views, layout)
        no_rotation = intra_cos.new_ones(layout.extra, 1, intra_cos.shape[-1])
        return Rotary(
            torch.cat([intra_cos, no_rotation]), torch.cat([intra_sin, 0 * no_rotation]), inter_cos, inter_sin
        )

    def _grid(self, planes: int, layout: TokenLayout) -> tuple[Tensor, Tensor]:
        shape = (planes, layout.modalities, layout.rows, layout.columns)
        parts = [self.t_dim, self.h_dim, self.w_dim]
        tables = []
        for table in (self.freqs_cos, self.freqs_sin):
            in_time, in_rows, in_columns = table.split(parts, dim=1)
            axes = [
                in_time[:planes, None, None, None].expand(*shape, -1),
                in_rows[None, None, : layout.rows, None].expand(*shape, -1),
                in_columns[None, None, None, : layout.columns].expand(*shape, -1),
            ]
            tables.append(torch.cat(axes, dim=-1).flatten(0, 3)[:, None])
        cosine, sine = tables
        # A pair (a, b) turns to (a cos - b sin, b cos + a sin): with the pair swapped, the first sine is negative.
        sign = torch.tensor([-1.0, 1.0], device=sine.device).repeat(sine.shape[-1] // 2)
        return cosine, sine * sign


def rotate(tokens: Float[Tensor, "N L H d"], cosine: Tensor, signed_sine: Tensor) -> Float[Tensor, "N L H d"]:
    """Rotary embedding of adjacent pairs without indexed writes (they would become ScatterND in ONNX)."""
    swapped = tokens.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(tokens * cosine, swapped, signed_sine)


class RotaryAttentionProcessor:
    """Computes what diffusers' WanAttnProcessor does for Wan 2.2, with a cheaper rotary embedding."""

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = self._normed(attn.norm_q, attn.to_q(hidden_states), attn.heads)
        key = self._normed(attn.norm_k, attn.to_k(context), attn.heads)
        value = attn.to_v(context).unflatten(2, (attn.heads, -1))
        if rotary_emb is not None:
            query, key = rotate(query, *rotary_emb), rotate(key, *rotary_emb)
        query, key, value = (x.to(value.dtype).transpose(1, 2) for x in (query, key, value))
        attended = attend(query, key, value, attention_mask)
        return attn.to_out[0](attended.transpose(1, 2).flatten(2))

    @staticmethod
    def _normed(norm: nn.RMSNorm, projected: Tensor, heads: int) -> Tensor:
        """Normalised across heads in float32, which positions are then applied in."""
        weight = norm.weight.float()
        normed = functional.rms_norm(projected.float(), norm.normalized_shape, weight, norm.eps)
        return normed.unflatten(2, (heads, -1))


def attend(
    query: Float[Tensor, "N H L d"], key: Float[Tensor, "N H M d"], value: Float[Tensor, "N H M d"], mask: Tensor | None
) -> Float[Tensor, "N H L d"]:
    """softmax(Q K^T / sqrt(d)) V."""
    few = key.shape[2] <= FEW_KEYS
    if query.device.type == "cpu" and query.dtype == torch.bfloat16 and few and mask is None:
        # The fused kernel for CPUs takes twice as long in bfloat16 as the products themselves, forward and backward.
        scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
        return torch.matmul(scores.float().softmax(-1).to(value.dtype), value)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def split_tokens(tokens: Float[Tensor, "B V L D"], layout: TokenLayout) -> tuple[Tensor, Tensor]:
    """(framed [B V F G h*w D], extra [B V S D])."""
    framed = tokens[:, :, : layout.framed].unflatten(2, (layout.frames, layout.modalities, layout.cells))
    return framed, tokens[:, :, layout.framed :]


def join_tokens(framed: Float[Tensor, "B V F G hw D"], extra: Float[Tensor, "B V S D"]) -> Float[Tensor, "B V L D"]:
    """Inverse of split_tokens."""
    framed = framed.flatten(2, 4)
    return torch.cat([framed, extra], dim=2) if extra.shape[2] else framed


def compute_dtype(tokens: Tensor) -> torch.dtype:
    """What matrix products run in: autocast's type where it is on, so that activations are cast once and not per product."""
    device = tokens.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tokens.dtype


class Modulation:
    """One block's shifts, scales and gates for every kind of token, in float32."""

    def __init__(self, timing: Timing, tables: Float[Tensor, "G 6 D"], layout: TokenLayout):
        self.layout = layout
        # [B 1 F G 1 D] and [B 1 1 D] each; scale and register tokens share the video's table.
        self.framed = (timing.framed + tables.float())[:, None, :, :, None].unbind(-2)
        self.extra = (timing.extra + tables[0].float())[:, None, None].unbind(-2)

    def shift_scale(self, normed: Float[Tensor, "B V L D"], first: int) -> Float[Tensor, "B V L D"]:
        """normed * (1 + scale) + shift, with the shift at index `first` and its scale after it."""
        framed, extra = split_tokens(normed, self.layout)
        framed = torch.addcmul(self.framed[first], framed, 1 + self.framed[first + 1])
        return join_tokens(framed, torch.addcmul(self.extra[first], extra, 1 + self.extra[first + 1]))

    def gated_sum(self, hidden: Float[Tensor, "B V L D"], change: Tensor, index: int) -> Float[Tensor, "B V L D"]:
        """hidden + change * gate, in hidden's type."""
        framed, extra = split_tokens(hidden.float(), self.layout)
        framed_change, extra_change = split_tokens(change.float(), self.layout)
        framed = torch.addcmul(framed, framed_change, self.framed[index])
        return join_tokens(framed, torch.addcmul(extra, extra_change, self.extra[index])).to(hidden.dtype)


class MultiViewBlock(WanTransformerBlock):
    """Wan's block with the paper's additions; all parameters of the base keep their names.

    Without inter-view attention and motion it is Wan's block, applied to each view.
    """

    def __init__(self, config: JointDenoiserConfig, *, multi_view: bool, motion: bool):
        width = config.heads * config.head_dim
        super().__init__(width, config.ffn_dim, config.heads, config.qk_norm, config.cross_attn_norm, config.eps)
        self.inter_view_attention = None
        if multi_view:
            self.inter_view_attention = WanAttention(
                width, heads=config.heads, dim_head=config.head_dim, eps=config.eps
            )
        self.motion_scale_shift_table = nn.Parameter(torch.empty(1, 6, width)) if motion else None
        for attention in (self.attn1, self.attn2, self.inter_view_attention):
            if attention is not None:
                attention.set_processor(RotaryAttentionProcessor())  # pyright: ignore[reportArgumentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        hidden: Float[Tensor, "B V L D"],
        text: Float[Tensor, "B Lt D"],
        timing: Timing,
        rotary: Rotary,
        layout: TokenLayout,
    ) -> Float[Tensor, "B V L D"]:
        """One block on the tokens of all views; text tokens are shared by the views of a sample."""
        num_views = hidden.shape[1]
        modulation = Modulation(timing, self._tables(), layout)
        compute = compute_dtype(hidden)

        if self.inter_view_attention is not None:
            normed = modulation.shift_scale(self._normalised(hidden), 0).to(compute)
            change = self._between_views(self.inter_view_attention, normed, rotary, layout)
            hidden = modulation.gated_sum(hidden, change, 2)

        normed = modulation.shift_scale(self._normalised(hidden), 0).to(compute)
        change = self.attn1(normed.flatten(0, 1), None, None, (rotary.intra_cos, rotary.intra_sin))
        hidden = modulation.gated_sum(hidden, change.unflatten(0, (-1, num_views)), 2)

        normed = self.norm2(hidden.float()).to(compute)
        hidden = hidden + self.attn2(normed.flatten(1, 2), text).unflatten(1, (num_views, -1))

        normed = modulation.shift_scale(self._normalised(hidden), 3).to(compute)
        return modulation.gated_sum(hidden, self.ffn(normed), 5)

    def _tables(self) -> Float[Tensor, "G 6 D"]:
        if self.motion_scale_shift_table is None:
            return self.scale_shift_table
        return torch.cat([self.scale_shift_table, self.motion_scale_shift_table])

    def _normalised(self, hidden: Tensor) -> Tensor:
        return functional.layer_norm(hidden.float(), self.norm1.normalized_shape, eps=self.norm1.eps)

    @staticmethod
    def _between_views(attention: Any, normed: Tensor, rotary: Rotary, layout: TokenLayout) -> Tensor:
        """Attention among the tokens of all views at one latent frame; scale and register tokens get no change."""
        batch, num_views, _, width = normed.shape
        per_frame = normed[:, :, : layout.framed].unflatten(2, (layout.frames, -1)).transpose(1, 2)
        attended = attention(
            per_frame.reshape(batch * layout.frames, -1, width), None, None, (rotary.inter_cos, rotary.inter_sin)
        )
        change = attended.view(batch, layout.frames, num_views, -1, width).transpose(1, 2).flatten(2, 3)
        return functional.pad(change, (0, 0, 0, layout.extra)) if layout.extra else change
