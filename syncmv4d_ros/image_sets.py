"""Which images belong together: approximate time over recorded stamps, all of which are known.

A node knows only what has arrived, and takes the newest set (synchronizer.py); a recording is asked for any moment of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

Stamps = Int[np.ndarray, "_"]  # no name: every camera has its own number of images


def synchronised(stamps_ns: Sequence[Stamps], slop_ns: int) -> Int[np.ndarray, "S V"]:
    """One image of each of V cameras per set, as indices into their sorted stamps, the stamps of a set at most slop_ns apart.

    Around every image of the slowest camera the nearest of the others. May return no set.
    """
    pivot = min(range(len(stamps_ns)), key=lambda v: len(stamps_ns[v]))
    sets = np.stack([nearest(stamps, stamps_ns[pivot]) for stamps in stamps_ns], axis=1)
    return sets[_spread(stamps_ns, sets) <= slop_ns]


def smallest_spread(stamps_ns: Sequence[Stamps]) -> int:
    """How far apart the stamps of the best set are, ns: what a refusal should say."""
    return int(_spread(stamps_ns, synchronised(stamps_ns, np.iinfo(np.int64).max)).min())


def following(
    stamps_ns: Sequence[Stamps], start_ns: int, *, count: int, period_ns: int, tolerance_ns: int
) -> tuple[Int[np.ndarray, "V T"], Bool[np.ndarray, "V T"]]:
    """Per camera the image nearest to start + n periods, n = 0 .. count - 1, and whether it lies within the tolerance."""
    times = start_ns + np.arange(count, dtype=np.int64) * period_ns
    indices = np.stack([nearest(stamps, times) for stamps in stamps_ns])
    off = np.stack([np.abs(stamps[row] - times) for stamps, row in zip(stamps_ns, indices, strict=True)])
    return indices, off <= tolerance_ns


def nearest(stamps: Stamps, times: Int[np.ndarray, "m"]) -> Int[np.ndarray, "m"]:
    """Index of the stamp nearest to each time, the earlier one on a tie; stamps are sorted and at least one."""
    after = np.clip(np.searchsorted(stamps, times), 0, len(stamps) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(stamps[before] - times) <= np.abs(stamps[after] - times), before, after)


def _spread(stamps_ns: Sequence[Stamps], sets: np.ndarray) -> np.ndarray:
    chosen = np.stack([stamps[column] for stamps, column in zip(stamps_ns, sets.T, strict=True)], axis=1)
    return chosen.max(1) - chosen.min(1)
