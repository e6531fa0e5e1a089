"""Working on the few pixels or blocks where something is drawn, by their places in the flattened array.

Rows are taken and put back along one dimension: indexing with a mask costs a CPU several times as much.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64


def places(mask: Bool[torch.Tensor, "*n"]) -> Int64[torch.Tensor, "M"]:
    """Where a mask holds, as indices into the flattened mask."""
    return mask.flatten().nonzero()[:, 0]


def taken(values: Float[torch.Tensor, "*n C"], place: Int64[torch.Tensor, "*m"]) -> Float[torch.Tensor, "*m C"]:
    """The rows of `values` at these places."""
    return values.flatten(0, -2).index_select(0, place.flatten()).view(*place.shape, values.shape[-1])


def placed(
    rows: Float[torch.Tensor, "M C"], place: Int64[torch.Tensor, "M"], shape: torch.Size
) -> Float[torch.Tensor, "*n C"]:
    """An array of this shape, without C, that holds the rows at their places and zero elsewhere; differentiable."""
    empty = rows.new_zeros(shape.numel(), rows.shape[-1])
    return empty.index_copy_(0, place, rows).view(*shape, rows.shape[-1])
