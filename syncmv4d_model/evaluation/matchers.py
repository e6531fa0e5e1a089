"""The matcher behind `matching_pixels`: SuperPoint and LightGlue, with the weights that GIM trained (arXiv 2402.11095) or others.

transformers has both networks; GIM publishes its weights under the names of its own code, which are translated here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from syncmv4d_model.evaluation.network_weights import read_tensors

HEADS = 4
MAX_KEYPOINTS, SUPPRESSION_RADIUS_PX, FILTER_THRESHOLD = 2048, 3, 0.1
"""Of GIM's own matcher, which takes every keypoint, and uses all layers for all points."""

RENAMED = (
    (r"superpoint\.conv(\d)([ab])\.", lambda m: f"keypoint_detector.encoder.conv_blocks.{int(m[1]) - 1}.conv_{m[2]}."),
    (r"superpoint\.convP([ab])\.", r"keypoint_detector.keypoint_decoder.conv_score_\1."),
    (r"superpoint\.convD([ab])\.", r"keypoint_detector.descriptor_decoder.conv_descriptor_\1."),
    (r"posenc\.Wr\.", "positional_encoder.projector."),
    (r"transformers\.(\d+)\.self_attn\.out_proj\.", r"transformer_layers.\1.self_attention.o_proj."),
    (r"transformers\.(\d+)\.cross_attn\.to_v\.", r"transformer_layers.\1.cross_attention.v_proj."),
    (r"transformers\.(\d+)\.cross_attn\.to_out\.", r"transformer_layers.\1.cross_attention.o_proj."),
    (r"transformers\.(\d+)\.(self|cross)_attn\.ffn\.0\.", r"transformer_layers.\1.\2_mlp.fc1."),
    (r"transformers\.(\d+)\.(self|cross)_attn\.ffn\.1\.", r"transformer_layers.\1.\2_mlp.layer_norm."),
    (r"transformers\.(\d+)\.(self|cross)_attn\.ffn\.3\.", r"transformer_layers.\1.\2_mlp.fc2."),
    (r"log_assignment\.(\d+)\.final_proj\.", r"match_assignment_layers.\1.final_projection."),
    (r"log_assignment\.(\d+)\.matchability\.", r"match_assignment_layers.\1.matchability."),
    (r"token_confidence\.(\d+)\.token\.0\.", r"token_confidence.\1.token."),
)
"""GIM's names and transformers'; queries, keys and values are in `translated`."""


def load_gim(file: Path) -> Any:
    """LightGlueForKeypointMatching with the weights of GIM's checkpoint; ValueError naming a file that has others."""
    from transformers import LightGlueConfig, LightGlueForKeypointMatching, SuperPointConfig

    detector = SuperPointConfig(keypoint_threshold=0.0, max_keypoints=MAX_KEYPOINTS, nms_radius=SUPPRESSION_RADIUS_PX)
    config = LightGlueConfig(
        keypoint_detector_config=detector,
        num_attention_heads=HEADS,
        depth_confidence=-1.0,
        width_confidence=-1.0,
        filter_threshold=FILTER_THRESHOLD,
    )
    network = LightGlueForKeypointMatching(config)
    try:
        network.load_state_dict(translated(read_tensors(file)))
    except RuntimeError as error:
        raise ValueError(
            f"{file} has not the weights of GIM's LightGlue: {' '.join(str(error).split())[:300]}"
        ) from error
    return network.eval()


def translated(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """GIM's names -> transformers'. A name that is not GIM's stays, so that loading refuses it."""
    renamed = {}
    for name, tensor in state.items():
        name = name.removeprefix("model.")
        if match := re.fullmatch(r"transformers\.(\d+)\.self_attn\.Wqkv\.(weight|bias)", name):
            parts = tensor.unflatten(0, (HEADS, -1, 3)).unbind(2)  # of each head's each row: query, key, value
            for part, rows in zip("qkv", parts, strict=True):
                renamed[f"transformer_layers.{match[1]}.self_attention.{part}_proj.{match[2]}"] = rows.flatten(0, 1)
        elif match := re.fullmatch(r"transformers\.(\d+)\.cross_attn\.to_qk\.(weight|bias)", name):
            for part in "qk":
                renamed[f"transformer_layers.{match[1]}.cross_attention.{part}_proj.{match[2]}"] = tensor
        else:
            renamed[_renamed(name)] = tensor
    return renamed


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        if re.match(pattern, name):
            return re.sub("^" + pattern, replacement, name)
    return name


@torch.no_grad()
def confidences(network: Any, first: Float[Tensor, "3 h w"], second: Float[Tensor, "3 h w"]) -> Float[np.ndarray, "M"]:
    """Confidence of every keypoint of `first` that has a match in `second`."""
    answer = network(torch.stack([first, second])[None])
    matches, scores = (values.reshape(2, -1)[0] for values in (answer.matches, answer.matching_scores))
    return scores[matches >= 0].float().cpu().numpy()
