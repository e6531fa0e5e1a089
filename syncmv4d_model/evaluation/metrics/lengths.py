"""Lengths of vectors in space."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def lengths(vectors: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n"]:
    """As np.linalg.norm(vectors, axis=-1), which takes five times as long: it sums along an axis of three numbers."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.sqrt(x * x + y * y + z * z)
