"""Pixels of the generated videos against the true ones, and their foreground and depth range."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter1d

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some

SSIM_RADIUS, SSIM_SIGMA = 5, 1.5


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


def ssim(predicted: UInt8[np.ndarray, "V T H W 3"], target: UInt8[np.ndarray, "V T H W 3"]) -> float:
    """Structural similarity (Wang 2004): Gaussian windows of 11 px, sigma 1.5, k1 = 0.01, k2 = 0.03; mean over all views, the frames
    n >= 1, channels and the pixels whose window lies in the picture. 1 for identical videos.

    Raises ValueError for pictures smaller than a window.
    """
    require_same_shape(predicted=predicted, target=target)
    require_some(target.shape[1], "frames", at_least=2)
    require_some(min(target.shape[2:4]), "pixels a side", at_least=2 * SSIM_RADIUS + 1)
    similarities = []
    for frames in zip(
        predicted[:, 1:].reshape(-1, *target.shape[2:]), target[:, 1:].reshape(-1, *target.shape[2:]), strict=True
    ):
        x, y = (frame.astype(np.float64) for frame in frames)
        mean_x, mean_y, square_x, square_y, product = _windowed(np.stack([x, y, x * x, y * y, x * y]))
        variances, covariance = square_x + square_y - mean_x**2 - mean_y**2, product - mean_x * mean_y
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        similarities.append((similarity / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean())
    return float(np.mean(similarities))


def _windowed(pictures: Float[np.ndarray, "N H W 3"]) -> Float[np.ndarray, "N h w 3"]:
    """Gaussian means about every pixel whose window lies inside."""
    inner = slice(SSIM_RADIUS, -SSIM_RADIUS)
    down = gaussian_filter1d(pictures, SSIM_SIGMA, axis=1, radius=SSIM_RADIUS)[:, inner]
    return gaussian_filter1d(down, SSIM_SIGMA, axis=2, radius=SSIM_RADIUS)[:, :, inner]


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
