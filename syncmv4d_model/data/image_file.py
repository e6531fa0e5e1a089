"""PNG files of a data set: colour, label masks, and depth in millimetres."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8, UInt16

MAX_SIDE_PX = 8192
GREATEST_DEPTH_M = 65.535
_COMPRESSION = 4
_KINDS = {"RGB": ("RGB",), "L": ("L",), "I;16": ("I;16", "I;16B", "I")}


def encode_png(pixels: UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"] | UInt16[np.ndarray, "H W"]) -> bytes:
    """Return the bytes of a lossless PNG: RGB, 8-bit grey (masks) or 16-bit grey (depth)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def encode_depth(depth_m: Float32[np.ndarray, "H W"]) -> bytes:
    """Return a 16-bit PNG in millimetres; 0 means that nothing was measured there."""
    millimetres = np.where(np.isfinite(depth_m) & (depth_m <= GREATEST_DEPTH_M), depth_m * 1e3, 0)
    return encode_png(np.rint(millimetres).astype(np.uint16))


def read_png(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "H W 3"]:
    """Read a colour PNG. FileNotFoundError; ValueError for a broken file, or a (width, height) other than `size`."""
    return _read(path, "RGB", size)


def read_mask(path: Path) -> UInt8[np.ndarray, "H W"]:
    """Read a mask of labels; errors as `read_png`."""
    return _read(path, "L", None)


def read_depth(path: Path) -> Float32[np.ndarray, "H W"]:
    """Read a depth image in metres, NaN where nothing was measured; errors as `read_png`."""
    millimetres = _read(path, "I;16", None).astype(np.float32)
    return np.where(millimetres > 0, millimetres / 1e3, np.nan).astype(np.float32)


def _read(path: Path, mode: str, size: tuple[int, int] | None) -> Any:
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(f"no image {path}")
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if max(image.size) > MAX_SIDE_PX:  # before anything of that size is allocated
                raise ValueError(f"{image.size[0]} x {image.size[1]} px is more than {MAX_SIDE_PX} a side")
            if image.mode not in _KINDS[mode]:
                raise ValueError(f"its pixels are {image.mode}, not {mode}")
            if size is not None and image.size != size:
                raise ValueError(f"it is {image.size[0]} x {image.size[1]} px, expected {size[0]} x {size[1]}")
            return np.asarray(image).copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read image {path}: {error}") from error
