"""What the arrays of truth.npz must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from syncmv4d_model.types import LABELS

MAX_MARGIN_PX = 1024


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
    if "windows_px" in truth and not (
        np.isfinite(truth["windows_px"]).all() and (truth["windows_px"][:, 2:] > 0).all()
    ):
        raise ValueError(f"{path}: windows_px must be finite, with positive sides, got {truth['windows_px'].tolist()}")
    if not 0 <= truth.get("margin_px", np.array(0)) <= MAX_MARGIN_PX:
        raise ValueError(f"{path}: margin_px must be 0 to {MAX_MARGIN_PX}, got {truth['margin_px']}")
    if not truth["frame_period_s"] > 0:
        raise ValueError(f"{path}: frame_period_s must be positive, got {truth['frame_period_s']:g}")


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
