"""Lens distortion as in ROS's CameraInfo (plumb_bob, rational_polynomial, equidistant): of pixels, and taken out of images."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_model.data.rig import Distortion

_INVERSION_ROUNDS = 50
_INVERSION_TOLERANCE_PX = 0.05


def is_straight(lens: Distortion | None) -> bool:
    """Whether there is nothing to take out: no lens, or one without distortion. A fisheye always has some."""
    return lens is None or (lens.model != "equidistant" and not any(lens.coefficients))


def distorted(
    pixels: Float[np.ndarray, "*n 2"], intrinsics: Float[np.ndarray, "3 3"], lens: Distortion
) -> Float[np.ndarray, "*n 2"]:
    """Where a straight-lens pixel lies in the image that this lens took; both with the same intrinsics."""
    rays = _rays(pixels, intrinsics)
    radial, tangential = _terms(rays, lens)
    return _pixels(rays * radial + tangential, intrinsics)


def undistorted(
    pixels: Float[np.ndarray, "*n 2"], intrinsics: Float[np.ndarray, "3 3"], lens: Distortion
) -> Float[np.ndarray, "*n 2"]:
    """Inverse of `distorted`, by fixed-point rounds. ValueError where the lens model folds over and has no inverse."""
    target = _rays(pixels, intrinsics)
    rays = target
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_INVERSION_ROUNDS):
            radial, tangential = _terms(rays, lens)
            rays = (target - tangential) / radial
        result = _pixels(rays, intrinsics)
        off = np.abs(distorted(result, intrinsics, lens) - pixels)
    if off.size and not off.max() < _INVERSION_TOLERANCE_PX:
        raise ValueError(f"the distortion {list(lens.coefficients)} cannot be undone at every point of the image")
    return result


def undistorted_image(
    image: UInt8[np.ndarray, "H W 3"], intrinsics: Float[np.ndarray, "3 3"], lens: Distortion
) -> UInt8[np.ndarray, "H W 3"]:
    """The image that a straight lens with the same intrinsics would have taken; bilinear, edges repeated outside."""
    height, width = image.shape[:2]
    columns = np.arange(width, dtype=np.float64)
    result = np.empty_like(image)
    rows_at_once = max(1, 1_000_000 // width)  # bounds the memory of the coordinate arrays
    for top in range(0, height, rows_at_once):
        rows = np.arange(top, min(top + rows_at_once, height), dtype=np.float64)
        grid = np.stack(np.meshgrid(columns, rows), axis=-1)
        result[top : top + len(rows)] = _sample(image, distorted(grid, intrinsics, lens))
    return result


def _sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Bilinear samples, rounded to u8."""
    limit = np.array([image.shape[1] - 1, image.shape[0] - 1])
    pixels = np.clip(pixels, 0, limit)
    low = np.floor(pixels).astype(np.intp)
    high = np.minimum(low + 1, limit)
    share = (pixels - low).astype(np.float32)
    right, down = share[..., :1], share[..., 1:]
    upper = image[low[..., 1], low[..., 0]] * (1 - right) + image[low[..., 1], high[..., 0]] * right
    lower = image[high[..., 1], low[..., 0]] * (1 - right) + image[high[..., 1], high[..., 0]] * right
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def _terms(rays: np.ndarray, lens: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """Factor [... 1] and offset [... 2] that take a straight lens's rays to this one's."""
    x, y = rays[..., 0], rays[..., 1]
    square = x * x + y * y
    if lens.model == "equidistant":
        return _fisheye_factor(np.sqrt(square), lens.coefficients)[..., None], np.zeros_like(rays)
    k1, k2, p1, p2, k3, k4, k5, k6 = (*lens.coefficients, *8 * (0.0,))[:8]
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    radial = radial / (1 + square * (k4 + square * (k5 + square * k6)))
    tangential = np.stack(
        [2 * p1 * x * y + p2 * (square + 2 * x * x), p1 * (square + 2 * y * y) + 2 * p2 * x * y], axis=-1
    )
    return radial[..., None], tangential


def _fisheye_factor(radius: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Kannala-Brandt: the image's radius is a polynomial of the angle to the axis, not of its tangent."""
    k1, k2, k3, k4 = coefficients
    angle = np.arctan(radius)
    square = angle * angle
    bent = angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
    return np.divide(bent, radius, out=np.ones_like(radius), where=radius > 0)


def _rays(pixels: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """K^-1 (u, v, 1), without the 1."""
    y = (pixels[..., 1] - intrinsics[1, 2]) / intrinsics[1, 1]
    x = (pixels[..., 0] - intrinsics[0, 2] - intrinsics[0, 1] * y) / intrinsics[0, 0]
    return np.stack([x, y], axis=-1)


def _pixels(rays: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    return rays @ intrinsics[:2, :2].T + intrinsics[:2, 2]
