"""What every metric demands of its input before it answers: finite numbers, matching shapes, something to average over."""

from __future__ import annotations

import numpy as np


def require_finite(**arrays: np.ndarray) -> None:
    """Raise ValueError naming the first array that holds NaN or infinity, with how many such values it has."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.kind in "biu":  # these know no other
            continue
        bad = int(np.size(array) - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise ValueError(f"{name} has {bad} values that are not finite out of {np.size(array)}")


def require_same_shape(**arrays: np.ndarray) -> None:
    """Raise ValueError unless all arrays have one shape."""
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError("shapes differ: " + ", ".join(f"{name} {shape}" for name, shape in shapes.items()))


def as_mask(mask: np.ndarray, shape: tuple[int, ...], name: str = "mask") -> np.ndarray:
    """The mask as booleans. ValueError unless it has this shape and holds nothing but 0 and 1."""
    if mask.shape != shape:
        raise ValueError(f"{name} must be {list(shape)}, got {list(mask.shape)}")
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise ValueError(f"{name} must hold nothing but 0 and 1")
    return mask.astype(bool, copy=False)


def require_some(count: int, what: str, *, at_least: int = 1) -> None:
    """Raise ValueError when there are fewer than `at_least` of something to average over."""
    if count < at_least:
        raise ValueError(f"needs at least {at_least} {what}, got {count}")
