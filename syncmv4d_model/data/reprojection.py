"""Do a recording's poses fit its pictures? What moves must be where the pictures change."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8


def reprojection_offset(
    video: UInt8[np.ndarray, "T H W 3"], speed: Float[np.ndarray, "P H W"], *, reach: float = 0.25
) -> tuple[float, float, float]:
    """(x, y, likeness): by how many pixels the projected motion must be shifted to lie where the video changes, and how alike
    the two are there (1: proportional, 0: nothing in common).

    `speed`, P = T - 1, is how fast whatever is projected onto a pixel moves between two frames, in any unit; 0 where nothing is. Shifts of up
    to `reach` of the picture's sides are looked at. ValueError where nothing moves, or no picture changes.
    """
    change = np.abs(np.diff(video.astype(np.float64), axis=0)).mean(-1)
    if change.shape != speed.shape:
        raise ValueError(f"speed must be {list(change.shape)} beside this video, got {list(speed.shape)}")
    change = np.maximum(
        change - np.median(change, axis=(1, 2), keepdims=True), 0
    )  # less the noise of what stands still
    length = np.sqrt((change**2).sum() * (speed**2).sum())
    if not length > 0:
        raise ValueError("nothing moves in the pictures, or nothing that is projected onto them")
    height, width = change.shape[1:]
    size = (2 * height, 2 * width)  # room for every shift without coming round
    spectrum = (np.fft.rfft2(change, size) * np.conj(np.fft.rfft2(speed, size))).sum(0)
    likeness = np.fft.irfft2(spectrum, size) / length
    down, right = int(reach * height), int(reach * width)
    shifts = np.roll(likeness, (down, right), axis=(0, 1))[: 2 * down + 1, : 2 * right + 1]
    row, column = np.unravel_index(np.argmax(shifts), shifts.shape)
    return float(column - right), float(row - down), float(shifts[row, column])
