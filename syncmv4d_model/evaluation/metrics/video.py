"""Pixels of the generated videos against the true ones, and their foreground and depth range."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, UInt8

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some


def video_mean_squared_error(
    predicted: UInt8[np.ndarray, "V T H W 3"], target: UInt8[np.ndarray, "V T H W 3"]
) -> float:
    """Mean squared difference of 8-bit values over all views and the frames n >= 1; frame 0 is the input."""
    require_same_shape(predicted=predicted, target=target)
    require_some(target.shape[1], "frames", at_least=2)
    require_some(target.size, "pixels")
    difference = predicted[:, 1:].astype(np.float32) - target[:, 1:]
    return float(np.mean(difference**2, dtype=np.float64))


def psnr(predicted: UInt8[np.ndarray, "V T H W 3"], target: UInt8[np.ndarray, "V T H W 3"]) -> float:
    """Peak signal-to-noise ratio in dB over all views and the frames n >= 1; ValueError for identical videos."""
    error = video_mean_squared_error(predicted, target)
    if error == 0:
        raise ValueError("the videos are identical: their PSNR is not a finite number")
    return 10 * math.log10(255**2 / error)


def gradient_energy(video: UInt8[np.ndarray, "V T H W 3"]) -> float:
    """Mean squared difference of 8-bit values between neighbouring pixels, across and down, in the frames n >= 1: blurred
    pictures have little of it.
    """
    require_some(video.shape[1], "frames", at_least=2)
    require_some(min(video.shape[2:4]), "pixels a side", at_least=2)
    later = video[:, 1:].astype(np.float32)
    across, down = np.diff(later, axis=3), np.diff(later, axis=2)
    return float(np.mean(across**2, dtype=np.float64) + np.mean(down**2, dtype=np.float64))


def foreground_iou(predicted: Bool[np.ndarray, "*pixels"], target: Bool[np.ndarray, "*pixels"]) -> float:
    """Intersection over union of two foreground masks; ValueError when both are empty."""
    require_same_shape(predicted=predicted, target=target)
    union = int((predicted | target).sum())
    require_some(union, "foreground pixels")
    return float((predicted & target).sum()) / union


def depth_scale_error(predicted: Float[np.ndarray, "V 2"], target: Float[np.ndarray, "V 2"]) -> float:
    """Mean absolute error of the views' nearest and farthest depth, metres."""
    require_same_shape(predicted=predicted, target=target)
    require_some(target.size, "depths")
    require_finite(predicted=predicted, target=target)
    return float(np.abs(predicted.astype(np.float64) - target).mean())
