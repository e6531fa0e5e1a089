"""Space-filling curves: the order in which a point cloud is cut into patches (Point Transformer V3; paper, section 4)."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64

BITS = 16
"""Bits of one integer coordinate; a code has 3 * BITS = 48."""

Curve = Literal["hilbert", "z_transposed", "z", "hilbert_transposed", "shuffled"]
CURVES: tuple[Curve, ...] = get_args(Curve)
"""Block i follows CURVES[i % 5]: neighbouring blocks cut the cloud along different borders."""

_SPREAD = ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3))
_EVERY_THIRD = 0x1249249249249249
_MIXER = 0x2545F4914F6CDD1D


def cell_coordinates(points: Float[torch.Tensor, "*n 3"], cell: float) -> Int64[torch.Tensor, "*n 3"]:
    """Integer cell of every point, shifted to be non-negative; points over 2**15 cells from the origin go to the border."""
    half = 1 << (BITS - 1)
    return (points.float() / cell).floor().clamp(-half, half - 1).long() + half


def curve_codes(cells: Int64[torch.Tensor, "*n 3"], curve: Curve) -> Int64[torch.Tensor, "*n"]:
    """Position of every cell along a curve; cells lie in [0, 2**16). Different cells have different codes."""
    if curve == "hilbert":
        return hilbert_codes(cells)
    if curve == "hilbert_transposed":
        return hilbert_codes(cells.flip(-1))
    if curve == "z":
        return z_codes(cells)
    if curve == "z_transposed":
        return z_codes(cells.flip(-1))
    return shuffled_codes(cells)


def curve_order(points: Float[torch.Tensor, "G N 3"], curve: Curve, *, cell: float) -> Int64[torch.Tensor, "G N"]:
    """Indices that sort each group of points along a curve; points in one cell keep their order."""
    return curve_codes(cell_coordinates(points, cell), curve).argsort(dim=-1, stable=True)


def z_codes(cells: Int64[torch.Tensor, "*n 3"]) -> Int64[torch.Tensor, "*n"]:
    """Morton code: the bits of x, y and z interleaved, x first."""
    x, y, z = _spread(cells).unbind(-1)
    return (x << 2) | (y << 1) | z


def shuffled_codes(cells: Int64[torch.Tensor, "*n 3"]) -> Int64[torch.Tensor, "*n"]:
    """A fixed bijective scrambling of the Morton code, so that one patch holds points from everywhere.

    It depends on the cell alone: no random state, and the order in which points arrive does not matter.
    """
    mask = (1 << 3 * BITS) - 1
    code = (z_codes(cells) * (_MIXER & mask | 1)) & mask
    code = code ^ (code >> 24)
    code = (code * (_MIXER >> 8 & mask | 1)) & mask
    return code ^ (code >> 24)


def hilbert_codes(cells: Int64[torch.Tensor, "*n 3"]) -> Int64[torch.Tensor, "*n"]:
    """Index along Hilbert's curve: cells with consecutive codes share a face.

    Walks down the octree with a table of 24 orientations (Hamilton, "Compact Hilbert indices", 2006).
    """
    digits, next_states = (table.to(cells.device) for table in _hilbert_tables())
    interleaved = z_codes(cells.flip(-1))  # bit j of an octant is axis j
    state = torch.zeros_like(interleaved)
    code = torch.zeros_like(interleaved)
    for level in reversed(range(BITS)):
        entry = state | ((interleaved >> (3 * level)) & 7)
        code = (code << 3) | digits[entry]
        state = next_states[entry]
    return code


def _spread(values: torch.Tensor) -> torch.Tensor:
    """Put two zero bits between neighbouring bits."""
    for shift, mask in _SPREAD:
        values = (values | (values << shift)) & mask
    return (values | (values << 2)) & _EVERY_THIRD


@cache
def _hilbert_tables() -> tuple[torch.Tensor, torch.Tensor]:
    """For every (orientation, octant): its place along the curve, and 8 times the orientation inside it."""
    digits = torch.zeros(24, 8, dtype=torch.int64)
    states = torch.zeros(24, 8, dtype=torch.int64)
    for state in range(24):
        entry, direction = state % 8, state // 8
        for octant in range(8):
            digit = _gray_rank(_rotate_right(octant ^ entry, direction + 1))
            inner_entry = entry ^ _rotate_right(_entry(digit), -(direction + 1))
            inner_direction = (direction + _direction(digit) + 1) % 3
            digits[state, octant] = digit
            states[state, octant] = 8 * (inner_direction * 8 + inner_entry)
    return digits.flatten(), states.flatten()


def _rotate_right(bits: int, count: int) -> int:
    """Rotate three bits."""
    count %= 3
    return ((bits >> count) | (bits << (3 - count))) & 7


def _gray_rank(gray: int) -> int:
    return gray ^ (gray >> 1) ^ (gray >> 2)


def _entry(digit: int) -> int:
    """Corner where the curve enters the sub-cube."""
    if digit == 0:
        return 0
    even = 2 * ((digit - 1) // 2)
    return even ^ (even >> 1)


def _direction(digit: int) -> int:
    """Axis along which the curve crosses the sub-cube."""
    if digit == 0:
        return 0
    value = digit - 1 if digit % 2 == 0 else digit
    return ((~value & (value + 1)).bit_length() - 1) % 3
