"""Which of a data set's true anchors are tracked: a seeded subset per view, spread evenly over the picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8

from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.evaluation.metrics.multi_view import PAIRING_RADIUS_M, nearest_neighbours


def choose_anchors(sequence: Sequence, count: int, *, seed: int) -> Int[np.ndarray, "V K"]:
    """Indices of `count` anchors per view (all, when the data set has no more), sorted.

    Each view's anchors are divided into `count` cells of equal population over the image, and one is drawn from each.
    Views must also be compared on points they share, so a cell prefers an anchor that is the same piece of surface as
    one already drawn in an earlier view; this leaves the density over the image as it is.
    """
    if count < 1:
        raise ValueError(f"the number of anchors must be at least 1, got {count}")
    views, available = sequence.label.shape
    if count >= available:
        return np.tile(np.arange(available), (views, 1))
    rng = np.random.default_rng(seed)
    first_frame, chosen = sequence.positions[:, 0], []
    for v in range(views):
        shared = np.zeros(available, dtype=bool)
        for earlier, indices in enumerate(chosen):
            shared |= _seen_again(
                first_frame[earlier][indices], first_frame[v], sequence.label[earlier][indices], sequence.label[v]
            )
        cells = _cells(sequence.anchors_px[v], np.arange(available), count)
        chosen.append(np.sort([rng.choice(cell[shared[cell]] if shared[cell].any() else cell) for cell in cells]))
    return np.stack(chosen)


def _seen_again(
    earlier: Float[np.ndarray, "P 3"],
    points: Float[np.ndarray, "K 3"],
    earlier_label: UInt8[np.ndarray, "P"],
    label: UInt8[np.ndarray, "K"],
) -> np.ndarray:
    """Mask [K]: the nearest one to some earlier point, within the pairing radius and of the same label."""
    distance, nearest = nearest_neighbours(points, earlier)
    same = (distance <= PAIRING_RADIUS_M) & (label[nearest] == earlier_label)
    mask = np.zeros(len(points), dtype=bool)
    mask[nearest[same]] = True
    return mask


def _cells(pixels: np.ndarray, indices: np.ndarray, count: int) -> list[np.ndarray]:
    """Divide `indices` into `count` groups of equal size, halving the longer side of the image region each time."""
    if count == 1:
        return [indices]
    extent = np.ptp(pixels[indices], axis=0)
    ordered = indices[np.argsort(pixels[indices, int(np.argmax(extent))], kind="stable")]
    cut = len(indices) * (count // 2) // count
    return _cells(pixels, ordered[:cut], count // 2) + _cells(pixels, ordered[cut:], count - count // 2)
