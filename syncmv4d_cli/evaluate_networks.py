"""`syncmv4d evaluate --networks`: which published networks score the videos, and which of them this machine lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.image_networks import ImageNetworks


def find_networks(asked: Sequence[str], console: Console) -> ImageNetworks | None:
    """The networks that were asked for (None: none were), on a GPU where there is one; says which of them lack their weights."""
    if not asked:
        return None
    import torch

    from syncmv4d_model.evaluation.image_networks import ImageNetworks, parse_networks

    networks = ImageNetworks(parse_networks(asked), device="cuda" if torch.cuda.is_available() else "cpu")
    for name, reason in networks.find()[1].items():
        console.print(f"no scores of {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
    return networks
