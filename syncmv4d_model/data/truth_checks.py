"""What the arrays of truth.npz must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from syncmv4d_model.types import LABELS

MAX_MARGIN_PX = 1024
MAX_SIDE_PX = 8192
NO_SEED = -1
"""Of a sequence whose pictures are not to be degraded."""


def check_truth(path: Path, truth: dict[str, np.ndarray]) -> None:
    """ValueError unless the arrays have the contract's shapes and every number is finite."""
    shape = truth["positions"].shape
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"{path}: positions must be [V T K 3], got {list(shape)}")
    views, frames, points = shape[:3]
    expected = {"visible": (views, frames, points), "label": (views, points), "intrinsics": (views, 3, 3)}
    expected |= {"camera_from_world": (views, 4, 4), "anchors_px": (views, points, 2), "video_size": (views, 2)}
    expected |= {"depth_scale": (views, 2), "frame_period_s": (), "task": (), "triplet": ()}
    windows = {"windows_px": (views, 4), "boxes_px": (views, 3, 4), "margin_px": (), "tags": (), "seed": ()}
    expected |= {key: shape for key, shape in windows.items() if key in truth}
    for key, wanted in expected.items():
        if truth[key].shape != wanted:
            raise ValueError(
                f"{path}: {key} must be {list(wanted)} beside positions {list(shape)}, got {list(truth[key].shape)}"
            )
    for key in ("positions", "anchors_px", "depth_scale", "intrinsics", "camera_from_world", "frame_period_s"):
        if truth[key].dtype.kind not in "fiu" or not np.isfinite(truth[key]).all():
            raise ValueError(f"{path}: {key} holds something that is not a finite number")
    truth["visible"] = checked_flags(path, "visible", truth["visible"])
    truth["label"] = checked_label(path, truth["label"])
    _check_window_keys(path, truth)
    if not truth["frame_period_s"] > 0:
        raise ValueError(f"{path}: frame_period_s must be positive, got {truth['frame_period_s']:g}")


def _check_window_keys(path: Path, truth: dict[str, np.ndarray]) -> None:
    for key, (least, most) in {"margin_px": (0, MAX_MARGIN_PX), "seed": (NO_SEED, 2**63 - 1)}.items():
        value = truth.get(key, np.array(0))
        if value.dtype.kind not in "iu" or not least <= value <= most:
            raise ValueError(f"{path}: {key} must be a whole number from {least} to {most}, got {value}")
    sizes = truth["video_size"]
    if sizes.dtype.kind not in "iu" or (sizes != sizes[:1]).any() or not 1 <= sizes.min() <= sizes.max() <= MAX_SIDE_PX:
        raise ValueError(f"{path}: video_size must be one size of 1 to {MAX_SIDE_PX} px a side, got {sizes.tolist()}")
    windows = truth.get("windows_px")
    if windows is not None and not (
        windows.dtype.kind == "f" and np.isfinite(windows).all() and windows[:, 2:].min() > 0
    ):
        raise ValueError(f"{path}: windows_px must be finite, with positive sides, got {windows.tolist()}")
    if "boxes_px" in truth:
        check_boxes(path, truth["boxes_px"])


def check_boxes(path: Path, boxes_px: np.ndarray) -> None:
    """ValueError unless every box [.. 4] is one, or wholly NaN."""
    if boxes_px.dtype.kind != "f":
        raise ValueError(f"{path}: boxes_px must be numbers, got {boxes_px.dtype}")
    there = np.isfinite(boxes_px)
    if (there.any(-1) != there.all(-1)).any():
        raise ValueError(f"{path}: boxes_px holds a box of which only some edges are known")
    if (boxes_px[..., 2:] < boxes_px[..., :2]).any():
        raise ValueError(f"{path}: boxes_px holds a box whose right or bottom edge is before its left or top")


def checked_flags(path: Path, name: str, flags: np.ndarray) -> np.ndarray:
    """A file's array of that name as booleans; ValueError for anything but 0 and 1."""
    if flags.dtype.kind not in "biuf" or not np.isin(flags, (0, 1)).all():
        raise ValueError(f"{path}: {name} must hold nothing but 0 and 1")
    return flags.astype(bool, copy=False)


def checked_label(path: Path, label: np.ndarray) -> np.ndarray:
    """As uint8; ValueError for anything but the numbers of LABELS."""
    if label.dtype.kind not in "biuf" or not np.isin(label, range(len(LABELS))).all():
        raise ValueError(f"{path}: label must hold whole numbers from 0 to {len(LABELS) - 1} ({', '.join(LABELS)})")
    return label.astype(np.uint8, copy=False)
