"""Initial weights of the joint denoiser: Wan's own, and those of what the paper adds to it (section 3).

`model` is a JointDenoiser throughout; naming its type here would close a circle of imports.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from syncmv4d_model.networks.camera_rays import CameraEmbedding
from syncmv4d_model.networks.multi_view import MultiViewBlock

ADDED_TO_WAN = frozenset(
    {
        "inter_view_attention",
        "motion_scale_shift_table",
        "motion_patch_embedding",
        "motion_modulator",
        "motion_proj_out",
        "guidance_present",
        "scale_tokens",
        "scale_head",
        "register_tokens",
        "camera_rays",
        "camera_pose",
        "first_frame_embedding",
        "prior_embedding",
    }
)
"""Names of the modules and parameters that Wan's own transformer lacks."""


def is_added(name: str) -> bool:
    """Whether a parameter's name belongs to ADDED_TO_WAN."""
    return not ADDED_TO_WAN.isdisjoint(name.split("."))


@torch.no_grad()
def init_as_wan(model: Any) -> None:
    """Wan's own initialisation of its parameters, for training from nothing: small embeddings, zero output projection."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and not is_added(name):
            _zero(module)
            nn.init.xavier_uniform_(module.weight)
    _zero(model.patch_embedding)
    nn.init.xavier_uniform_(model.patch_embedding.weight.flatten(1))
    embedder = model.condition_embedder
    for linear in (embedder.text_embedder.linear_1, embedder.text_embedder.linear_2):
        nn.init.normal_(linear.weight, std=0.02)
    for linear in (embedder.time_embedder.linear_1, embedder.time_embedder.linear_2):
        nn.init.normal_(linear.weight, std=0.02)
    nn.init.normal_(model.scale_shift_table, std=model.width**-0.5)
    nn.init.zeros_(model.proj_out.weight)


@torch.no_grad()
def init_from_wan(model: Any) -> None:
    """Give every parameter in ADDED_TO_WAN its initial value, from Wan's parameters as they are now.

    Inter-view attention copies self-attention with a zero output; the motion path copies the video path (where the
    codec's channel counts differ, its embedding is drawn and its head is zero); what is added to tokens starts at zero.
    """
    for block in model.blocks:
        assert isinstance(block, MultiViewBlock)
        if block.inter_view_attention is not None:
            block.inter_view_attention.load_state_dict(block.attn1.state_dict())
            _zero(block.inter_view_attention.to_out[0])
        if block.motion_scale_shift_table is not None:
            block.motion_scale_shift_table.copy_(block.scale_shift_table)
    if model.num_modalities == 2:
        _init_motion_path(model)
    for name, module in model.named_children():
        if isinstance(module, CameraEmbedding):
            module.hidden.reset_parameters()
            _zero(module.out)
        elif name in ("scale_head", "first_frame_embedding", "prior_embedding"):
            _zero(module)
    for name, parameter in model.named_parameters(recurse=False):
        if name in ("scale_tokens", "register_tokens"):
            nn.init.normal_(parameter, std=0.02)


@torch.no_grad()
def init_from_nothing(model: Any) -> None:
    """For training without Wan's weights, where nothing has to be kept: tokens see the first frame from the start."""
    for name in ("first_frame_embedding", "prior_embedding"):
        embedding = getattr(model, name, None)
        if embedding is not None:
            nn.init.normal_(embedding.weight, std=embedding.weight[0].numel() ** -0.5)


def _init_motion_path(model: Any) -> None:
    model.motion_modulator.time_embedder.load_state_dict(model.condition_embedder.time_embedder.state_dict())
    model.motion_modulator.time_proj.load_state_dict(model.condition_embedder.time_proj.state_dict())
    model.motion_scale_shift_table.copy_(model.scale_shift_table)
    nn.init.zeros_(model.guidance_present)
    if model.motion_patch_embedding.weight.shape == model.patch_embedding.weight.shape:
        model.motion_patch_embedding.load_state_dict(model.patch_embedding.state_dict())
        model.motion_proj_out.load_state_dict(model.proj_out.state_dict())
        return
    _zero(model.motion_patch_embedding)
    nn.init.xavier_uniform_(model.motion_patch_embedding.weight.flatten(1))
    _zero(model.motion_proj_out)


def _zero(layer: nn.Module) -> None:
    assert isinstance(layer, (nn.Linear, nn.Conv3d)) and layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
