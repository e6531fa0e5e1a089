"""Anchors that a caller wants tracked: pixels of whole images, brought into the windows that the networks see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32

from syncmv4d_model.data.window import to_window
from syncmv4d_model.types import ModelInput, Observation

_EDGE_PX = 0.01  # float32 rounding of a pixel on the border


@dataclass(frozen=True)
class GivenAnchors:
    """Anchors in pixels of whole images and of windows; those outside their window are moved to its border for tracking."""

    anchors_px: Float32[np.ndarray, "V K 2"]  # of the whole images
    pixels: Float32[np.ndarray, "V K 2"]  # of the model's images
    outside: Bool[np.ndarray, "V K"]

    def mark(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """Return a prediction's arrays with these anchors; those outside are never visible and have no stddev."""
        return arrays | {
            "anchors_px": self.anchors_px,
            "visible": arrays["visible"] & ~self.outside[:, None],
            "stddev": np.where(self.outside[:, None], np.float32("nan"), arrays["stddev"]),
        }

    def warnings(self, view_names: Sequence[str]) -> list[str]:
        """Return a line for each view with anchors outside its window."""
        return [
            f"view {name!r}: {count} of {self.outside.shape[1]} anchors lie outside the part of the image that the model"
            " sees: their motion is a guess"
            for name, count in zip(view_names, self.outside.sum(1).tolist(), strict=True)
            if count
        ]


def check_anchors(anchors_px: Float[np.ndarray, "V K 2"], observation: Observation) -> None:
    """ValueError unless they are [V K 2], at least one a view, and inside the images."""
    views = len(observation.images)
    if anchors_px.ndim != 3 or anchors_px.shape[0] != views or anchors_px.shape[1] < 1 or anchors_px.shape[2] != 2:
        raise ValueError(f"anchors must be [{views} views, at least 1 point, 2], got {anchors_px.shape}")
    limits = np.array([[image.shape[1], image.shape[0]] for image in observation.images])[:, None]
    inside = ((anchors_px >= -0.5) & (anchors_px <= limits - 0.5)).all(-1)  # False for NaN too
    if not inside.all():
        view, point = np.argwhere(~inside)[0]
        raise ValueError(f"anchor {point} of view {view} lies outside the image: {anchors_px[view, point].tolist()}")


def place_anchors(anchors_px: Float[np.ndarray, "V K 2"], seen: ModelInput) -> GivenAnchors:
    """Bring anchors into the windows of a model's input."""
    height, width = seen.images.shape[1:3]
    pixels = to_window(anchors_px, seen.windows_px, height=height, width=width)
    low, high = np.float32(-0.5), np.array([width, height], np.float32) - np.float32(0.5)
    outside = ((pixels < low - _EDGE_PX) | (pixels > high + _EDGE_PX)).any(-1)
    return GivenAnchors(anchors_px.astype(np.float32), np.clip(pixels, low, high), outside)
