"""What cameras do to a picture: exposure, white balance, blur, noise and JPEG, drawn from a sequence's seed.

Data sets hold clean pictures. Readers apply all of it to first images, and the tone alone to later frames; the same each time.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

DEGRADATION_STREAM = 301
REFERENCE_WIDTH_PX = 640.0


@dataclass(frozen=True)
class Degradation:
    """One camera's flaws."""

    gain: Float32[np.ndarray, "3"]  # exposure times white balance, per channel
    gamma: float
    blur_px: float  # standard deviation in an image of REFERENCE_WIDTH_PX
    noise: float  # standard deviation of read noise, in 8-bit values
    shot_noise: float  # standard deviation of shot noise at full brightness, in 8-bit values
    jpeg_quality: int | None
    seed: tuple[int, ...]


def draw_degradation(seed: int, view: int) -> Degradation:
    """Draw the flaws of one camera of a sequence. The cameras of a rig are of one make and differ a little."""
    shared = np.random.default_rng([seed, DEGRADATION_STREAM])
    own = np.random.default_rng([seed, DEGRADATION_STREAM, 1 + view])
    exposure = np.exp(shared.normal(0, 0.18) + own.normal(0, 0.06))
    balance = np.exp(shared.normal(0, 0.05, 3) + own.normal(0, 0.02, 3))
    quality = int(shared.integers(60, 96)) if shared.random() < 0.6 else None
    return Degradation(
        gain=np.clip(exposure * balance, 0.5, 1.8).astype(np.float32),
        gamma=float(np.exp(shared.normal(0, 0.08))),
        blur_px=float(shared.uniform(0.3, 1.4)) if shared.random() < 0.5 else 0.0,
        noise=float(shared.uniform(0.3, 2.5)),
        shot_noise=float(shared.uniform(0.0, 4.0)),
        jpeg_quality=quality,
        seed=(seed, DEGRADATION_STREAM, 1000 + view),
    )


def apply_tone(frames: UInt8[np.ndarray, "*n H W 3"], degradation: Degradation) -> UInt8[np.ndarray, "*n H W 3"]:
    """Apply exposure, white balance and gamma: what stays the same from frame to frame."""
    values = np.arange(256, dtype=np.float32)[:, None] / 255
    table = np.clip((values * degradation.gain) ** degradation.gamma, 0, 1) * 255
    table = np.rint(table).astype(np.uint8)
    return np.stack([table[frames[..., channel], channel] for channel in range(3)], axis=-1)


def degrade(image: UInt8[np.ndarray, "H W 3"], degradation: Degradation) -> UInt8[np.ndarray, "H W 3"]:
    """Apply all of it to one picture."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(degradation.seed)
    result = apply_tone(image, degradation).astype(np.float32)
    sigma = degradation.blur_px * image.shape[1] / REFERENCE_WIDTH_PX
    if sigma > 0.15:
        result = gaussian_filter(result, (sigma, sigma, 0), truncate=3.0)
    deviation = np.sqrt(degradation.noise**2 + degradation.shot_noise**2 * np.maximum(result, 0) / 255)
    result += rng.standard_normal(result.shape, dtype=np.float32) * deviation
    pixels = np.rint(np.clip(result, 0, 255)).astype(np.uint8)
    return pixels if degradation.jpeg_quality is None else _jpeg(pixels, degradation.jpeg_quality)


def _jpeg(pixels: UInt8[np.ndarray, "H W 3"], quality: int) -> UInt8[np.ndarray, "H W 3"]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image).copy()
