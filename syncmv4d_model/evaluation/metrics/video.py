"""Pixels of the generated videos against the true ones, and their foreground and depth range."""

from __future__ import annotations

import math
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, UInt8

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some

SSIM_RADIUS, SSIM_SIGMA = 5, 1.5
# halved, for both factors below the fraction are sums of two frames' shares
HALF_C1, HALF_C2 = (0.01 * 255) ** 2 / 2, (0.03 * 255) ** 2 / 2
ROWS_AT_ONCE = 16
"""Of `_windowed`'s products: more rows would multiply more zeros, fewer make more calls."""


def video_mean_squared_error(
    predicted: UInt8[np.ndarray, "V T H W 3"], target: UInt8[np.ndarray, "V T H W 3"]
) -> float:
    """Mean squared difference of 8-bit values over all views and the frames n >= 1; frame 0 is the input."""
    require_same_shape(predicted=predicted, target=target)
    require_some(target.shape[1], "frames", at_least=2)
    require_some(target.size, "pixels")
    require_finite(predicted=predicted, target=target)
    difference = predicted[:, 1:].astype(np.float32) - target[:, 1:]
    return float(np.mean(difference**2, dtype=np.float64))


def psnr(predicted: UInt8[np.ndarray, "V T H W 3"], target: UInt8[np.ndarray, "V T H W 3"]) -> float:
    """Peak signal-to-noise ratio in dB over all views and the frames n >= 1; ValueError for identical videos."""
    return psnr_of_error(video_mean_squared_error(predicted, target))


def psnr_of_error(error: float) -> float:
    """`psnr` of videos whose `video_mean_squared_error` is known; ValueError for 0."""
    if error == 0:
        raise ValueError("the videos are identical: their PSNR is not a finite number")
    return 10 * math.log10(255**2 / error)


def ssim(predicted: UInt8[np.ndarray, "V T H W 3"], target: UInt8[np.ndarray, "V T H W 3"]) -> float:
    """Structural similarity (Wang 2004): Gaussian windows of 11 px, sigma 1.5, k1 = 0.01, k2 = 0.03; mean over all views, the frames
    n >= 1, channels and the pixels whose window lies in the picture. 1 for identical videos.

    Raises ValueError for pictures smaller than a window.
    """
    return ssim_of_each([predicted], target)[0]


def ssim_of_each(
    videos: Seq[UInt8[np.ndarray, "V T H W 3"]], target: UInt8[np.ndarray, "V T H W 3"]
) -> tuple[float, ...]:
    """`ssim` of several videos: what it needs of the target alone, and of a frame that stays as it was, is computed once."""
    require_some(target.shape[1], "frames", at_least=2)
    require_some(min(target.shape[2:4]), "pixels a side", at_least=2 * SSIM_RADIUS + 1)
    require_some(target.size, "pixels")
    for video in videos:
        require_same_shape(predicted=video, target=target)
        require_finite(predicted=video, target=target)
    similarities = np.empty((len(videos), target[:, 1:, 0, 0, 0].size))
    true: _Moments | None = None
    before: list[_Moments | None] = [None] * len(videos)
    for place, (view, n) in enumerate(np.ndindex(target[:, 1:, 0, 0, 0].shape)):
        true = _Moments.of(target[view, n + 1], true)
        for index, video in enumerate(videos):
            before[index] = own = _Moments.of(video[view, n + 1], before[index])
            similarities[index, place] = _similarity(own, true)
    return tuple(similarities.mean(1).tolist())


@dataclass(frozen=True)
class _Moments:
    """One frame, the Gaussian means of its values, and what stands below the fraction: its share of either factor."""

    frame: UInt8[np.ndarray, "H W 3"]
    values: Float[np.ndarray, "3 H W"]
    mean: Float[np.ndarray, "3 w h"]
    luminance: Float[np.ndarray, "3 w h"]  # mean^2 + c1 / 2
    contrast: Float[np.ndarray, "3 w h"]  # variance + c2 / 2

    @classmethod
    def of(cls, frame: UInt8[np.ndarray, "H W 3"], before: _Moments | None = None) -> _Moments:
        """`before` itself where it is the same frame."""
        if before is not None and np.array_equal(frame, before.frame):
            return before
        values = np.moveaxis(frame, -1, 0).astype(np.float64, order="C")
        mean = _windowed(values)
        square = mean * mean
        return cls(frame, values, mean, square + HALF_C1, _windowed(values * values) - square + HALF_C2)


def _similarity(x: _Moments, y: _Moments) -> float:
    product = x.mean * y.mean
    covariance = _windowed(x.values * y.values)
    covariance -= product
    product += HALF_C1
    covariance += HALF_C2
    product *= covariance
    product /= (x.luminance + y.luminance) * (x.contrast + y.contrast)
    return 4 * float(product.mean())


def _windowed(pictures: Float[np.ndarray, "*n H W"]) -> Float[np.ndarray, "*n w h"]:
    """Gaussian means about every pixel whose window lies inside; pictures come out with rows and columns exchanged."""
    down = _windowed_rows(pictures)
    return _windowed_rows(np.ascontiguousarray(np.swapaxes(down, -1, -2)))


def _windowed_rows(pictures: Float[np.ndarray, "*n H W"]) -> Float[np.ndarray, "*n h W"]:
    """The means along columns, as products with a matrix that holds the window once a row, which is faster than a filter."""
    height = pictures.shape[-2] - 2 * SSIM_RADIUS
    means = np.empty((*pictures.shape[:-2], height, pictures.shape[-1]))
    for top in range(0, height, ROWS_AT_ONCE):
        rows = min(ROWS_AT_ONCE, height - top)
        reach = rows + 2 * SSIM_RADIUS
        np.matmul(_windows()[:rows, :reach], pictures[..., top : top + reach, :], out=means[..., top : top + rows, :])
    return means


@cache
def _windows() -> Float[np.ndarray, "R W"]:
    """The Gaussian window once a row, each one further to the right."""
    window = np.exp(-0.5 * (np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1) / SSIM_SIGMA) ** 2)
    matrix = np.zeros((ROWS_AT_ONCE, ROWS_AT_ONCE + 2 * SSIM_RADIUS))
    for row in range(ROWS_AT_ONCE):
        matrix[row, row : row + len(window)] = window / window.sum()
    return matrix


def gradient_energy(video: UInt8[np.ndarray, "V T H W 3"]) -> float:
    """Mean squared difference of 8-bit values between neighbouring pixels, across and down, in the frames n >= 1: blurred
    pictures have little of it.
    """
    require_some(video.shape[1], "frames", at_least=2)
    require_some(min(video.shape[2:4]), "pixels a side", at_least=2)
    require_some(video.size, "pixels")
    require_finite(video=video)
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
