"""Published transformers models, complete or not at all, and DINO's own reading of its position table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional


def load_complete(model_class: Any, folder: Path, **arguments: Any) -> Any:
    """`model_class.from_pretrained` of a local folder, in float32 and eval mode; never from a network.

    ValueError where a weight is missing, which transformers would draw at random with no more than a warning, or broken.
    """
    try:
        network, report = model_class.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, dtype=torch.float32, **arguments
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{folder} cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    if missing := sorted(report["missing_keys"]):
        raise ValueError(
            f"{folder} lacks {len(missing)} weights of {model_class.__name__}: {', '.join(missing[:3])}, ..."
        )
    return network.eval()


def positions_as_dino(network: Any) -> None:
    """Let a ViTModel enlarge its position table as DINO's own code does: by the wanted size + 0.1 cell over the table's.

    transformers asks for the size alone, which samples the table at slightly other places unless the image is square.
    """
    embeddings = network.embeddings

    def enlarged(tokens: Float[Tensor, "B L D"], height: int, width: int) -> Float[Tensor, "1 L D"]:
        table = embeddings.position_embeddings
        side = round((table.shape[1] - 1) ** 0.5)
        if height == width and tokens.shape[1] == table.shape[1]:
            return table
        patch = embeddings.patch_size
        factors = [(size // patch + 0.1) / side for size in (height, width)]
        grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
        grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic")
        return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    embeddings.interpolate_pos_encoding = enlarged
