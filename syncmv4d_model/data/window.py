"""The window: the part of a whole image that the networks see, as a virtual camera of their size.

A window is (left, top, width, height) in pixels of the whole image, measured from its edges: 0 is
the image's left or upper border, not a pixel's centre. It may reach beyond the image; what lies
outside is black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from syncmv4d_model.geometry import resized_intrinsics
from syncmv4d_model.types import LABELS

OBJECTS = LABELS[1:]
"""What a finder looks for: hand (without the forearm), tool, target."""
ROOM = 1.35
"""Side of a window over that of the tightest square about the objects: room for their motion."""
MARGIN = 1.25
"""Side of what is stored of later frames over the window's side."""
LEAST_SIDE_PX = 8.0


@dataclass(frozen=True)
class FoundObjects:
    """Where a task's objects are in the whole images."""

    boxes_px: Float[np.ndarray, "V 3 4"]  # left, top, right, bottom edges by OBJECTS; NaN: not found
    confidence: Float[np.ndarray, "V 3"]  # that the object is in the image, 0 to 1

    @property
    def is_found(self) -> np.ndarray:
        """[V 3]."""
        return np.asarray(np.isfinite(self.boxes_px).all(-1))


@runtime_checkable
class ObjectFinder(Protocol):
    """Finds a task's objects in the first images of all views; it sees nothing else."""

    def __call__(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], task: str) -> FoundObjects: ...


def choose_windows(
    boxes_px: Float[np.ndarray, "V O 4"],
    sizes: Sequence[tuple[int, int]],
    *,
    aspect: float = 1.0,
    room: float = ROOM,
) -> Float64[np.ndarray, "V 4"]:
    """Return one window per view: about the union of its boxes, `room` times as large.

    `sizes` are (width, height) of the whole images, `aspect` is the window's width over its height.
    Boxes are cut to the image; NaN boxes are left out. A view without boxes gets the largest centred
    window of that aspect.
    """
    windows = largest_windows(sizes, aspect=aspect)
    for view, (boxes, size) in enumerate(zip(boxes_px, sizes, strict=True)):
        boxes = boxes[np.isfinite(boxes).all(-1)]
        if not len(boxes):
            continue
        low = np.clip(boxes[:, :2].min(0), 0, size)
        high = np.clip(boxes[:, 2:].max(0), 0, size)
        height = max(high[1] - low[1], (high[0] - low[0]) / aspect, LEAST_SIDE_PX) * room
        extent = np.array([height * aspect, height])
        windows[view] = [*((low + high - extent) / 2), *extent]
    return windows


def largest_windows(sizes: Sequence[tuple[int, int]], *, aspect: float = 1.0) -> Float64[np.ndarray, "V 4"]:
    """Return the largest centred window of each image, inside it. `sizes`: (width, height)."""
    whole = np.array(sizes, dtype=np.float64).reshape(-1, 2)
    height = np.minimum(whole[:, 1], whole[:, 0] / aspect)
    extent = np.stack([height * aspect, height], axis=1)
    return np.concatenate([(whole - extent) / 2, extent], axis=1)


def enlarge_windows(windows_px: Float64[np.ndarray, "*n 4"], factor: float) -> Float64[np.ndarray, "*n 4"]:
    """Scale windows about their centres."""
    extent = windows_px[..., 2:] * factor
    centre = windows_px[..., :2] + windows_px[..., 2:] / 2
    return np.concatenate([centre - extent / 2, extent], axis=-1)


def grow_windows(
    windows_px: Float64[np.ndarray, "*n 4"], margin_px: int, *, height: int, width: int
) -> Float64[np.ndarray, "*n 4"]:
    """Add `margin_px` pixels on every side; they are pixels of the windows resized to height x width."""
    beyond = margin_px * windows_px[..., 2:] / np.array([width, height])
    return np.concatenate([windows_px[..., :2] - beyond, windows_px[..., 2:] + 2 * beyond], axis=-1)


def window_intrinsics(
    intrinsics: Float[np.ndarray, "V 3 3"],
    windows_px: Float64[np.ndarray, "V 4"],
    *,
    height: int,
    width: int,
) -> Float64[np.ndarray, "V 3 3"]:
    """Return K of each window resized to height x width."""
    return np.stack(
        [
            resized_intrinsics(k, width / w, height / h, crop_x_px=float(x), crop_y_px=float(y))
            for k, (x, y, w, h) in zip(intrinsics, windows_px.tolist(), strict=True)
        ]
    )


def to_window(
    pixels: Float[np.ndarray, "V K 2"],
    windows_px: Float64[np.ndarray, "V 4"],
    *,
    height: int,
    width: int,
) -> Float32[np.ndarray, "V K 2"]:
    """Take pixels of the whole images to those of the resized windows; centres are integers."""
    scale = np.array([width, height]) / windows_px[:, None, 2:]
    inside = pixels.astype(np.float64) - windows_px[:, None, :2]
    return ((inside + 0.5) * scale - 0.5).astype(np.float32)


def from_window(
    pixels: Float[np.ndarray, "V K 2"],
    windows_px: Float64[np.ndarray, "V 4"],
    *,
    height: int,
    width: int,
) -> Float32[np.ndarray, "V K 2"]:
    """Inverse of `to_window`."""
    scale = np.array([width, height]) / windows_px[:, None, 2:]
    inside = (pixels.astype(np.float64) + 0.5) / scale - 0.5
    return (inside + windows_px[:, None, :2]).astype(np.float32)


def cut_window(
    image: UInt8[np.ndarray, "_ _ 3"],
    window_px: Float64[np.ndarray, "4"],
    *,
    height: int,
    width: int,
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Cut a window and resize it: exact area means when shrinking, linear when enlarging.

    What lies outside the image is black.
    """
    left, top, extent_x, extent_y = (float(value) for value in window_px)
    rows = _coverage(image.shape[0], height, start=top, scale=height / extent_y)
    columns = _coverage(image.shape[1], width, start=left, scale=width / extent_x)
    used_rows, used_columns = _used_part(rows), _used_part(columns)
    part = image[used_rows, used_columns]
    rows, columns = rows[:, used_rows], columns[:, used_columns]
    result = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        mean = rows @ part[:, :, channel].astype(np.float32) @ columns.T
        result[:, :, channel] = np.rint(np.clip(mean, 0, 255))
    return result


def _coverage(size_in: int, size_out: int, *, start: float, scale: float) -> Float32[np.ndarray, "out in"]:
    """Share of every input pixel in every output pixel, 0 for one whose centre lies outside.

    A cell is at least one input pixel wide: that is linear interpolation when enlarging.
    """
    centre = start + (np.arange(size_out) + 0.5) / scale
    half = max(1 / scale, 1.0) / 2
    cells = np.arange(size_in)
    low = np.maximum(centre[:, None] - half, cells)
    high = np.minimum(centre[:, None] + half, cells + 1)
    share = np.maximum(high - low, 0)
    share[(centre < 0) | (centre > size_in)] = 0
    total = share.sum(1, keepdims=True)
    return (share / np.where(total > 0, total, 1)).astype(np.float32)


def _used_part(coverage: Float32[np.ndarray, "out in"]) -> slice:
    """The input pixels that any output pixel covers."""
    used = np.flatnonzero(coverage.any(0))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0)


def describe_missed(found: FoundObjects, view_names: Sequence[str], *, names: Sequence[str] = OBJECTS) -> list[str]:
    """Return one warning per object that was not found in every view."""
    warnings = []
    for index, name in enumerate(names):
        missed = [view for view, is_found in zip(view_names, found.is_found[:, index], strict=True) if not is_found]
        if missed:
            warnings.append(
                f"the {name} was not found in {', '.join(missed)}:"
                " the window there may not hold it, and its motion is a guess"
            )
    return warnings
