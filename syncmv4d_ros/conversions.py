"""sensor_msgs/Image and CompressedImage -> RGB arrays. Nothing gets through that is not an image, and nothing but ValueError says so.

Messages may be of any class: rclpy's, or those that a bag reader made.
"""

from __future__ import annotations

import array
import io
import struct
import zlib
from typing import Any

import numpy as np
from jaxtyping import UInt8

ENCODINGS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}
"""Bytes per pixel of each encoding that is read."""
MAX_SIDE_PX = 16384
MAX_PIXELS = 64_000_000
COMPRESSED = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG"}
"""How each compressed format that is read begins."""

_EIGHT_BIT_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
_ORIENTATION_TAG = 0x0112


def read_image(message: Any) -> UInt8[np.ndarray, "H W 3"]:
    """A sensor_msgs/Image (rgb8, bgr8, rgba8, bgra8, mono8) as RGB; alpha is dropped. The array is the caller's own.

    ValueError, by name and number: unknown encoding, no or too many pixels, a step shorter than a row, or data that is not
    height rows of step bytes.
    """
    encoding, width, height, step = str(message.encoding), int(message.width), int(message.height), int(message.step)
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding {encoding[:64]!r} is not one of {', '.join(ENCODINGS)}")
    _check_size(width, height)
    channels = ENCODINGS[encoding]
    if step < width * channels:
        raise ValueError(f"step is {step} bytes, a row of {width} {encoding} pixels has {width * channels}")
    data = np.frombuffer(message.data, np.uint8)
    if len(data) != height * step:
        raise ValueError(f"data has {len(data)} bytes, {height} rows of {step} have {height * step}")
    rows = data.reshape(height, step)[:, : width * channels].reshape(height, width, channels)
    if encoding == "rgb8":
        return rows.copy()
    if encoding == "mono8":
        return np.repeat(rows, 3, axis=2)
    image = np.empty((height, width, 3), np.uint8)
    for to, channel in enumerate((2, 1, 0) if encoding.startswith("bgr") else (0, 1, 2)):
        image[:, :, to] = rows[:, :, channel]
    return image


def read_compressed_image(message: Any) -> UInt8[np.ndarray, "H W 3"]:
    """A sensor_msgs/CompressedImage (JPEG or PNG, by its own first bytes) as RGB; alpha is dropped.

    ValueError: another format, truncated or broken data, no or too many pixels, more than 8 bits per channel, or an EXIF
    rotation, of which nobody can tell whether the calibration includes it.
    """
    from PIL import Image

    data = bytes(message.data)
    kind = next((kind for start, kind in COMPRESSED.items() if data.startswith(start)), None)
    if kind is None:
        raise ValueError(
            f"format {str(message.format)[:64]!r}: {len(data)} bytes that begin neither as JPEG nor as PNG"
        )
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            _check_size(*image.size)
            if image.mode not in _EIGHT_BIT_MODES:
                raise ValueError(f"pixel format {image.mode} is not 8 bits per channel")
            if (orientation := image.getexif().get(_ORIENTATION_TAG, 1)) not in (0, 1):
                raise ValueError(f"its EXIF orientation {orientation} asks viewers to turn it")
            return np.array(image.convert("RGB"))
    except (
        *(OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, OverflowError, AttributeError),
        *(struct.error, zlib.error, Image.DecompressionBombError),
    ) as error:  # what Pillow's readers raise, by fuzzing
        raise ValueError(f"cannot read a {kind} of {len(data)} bytes: {error}") from error


def byte_field(values: bytes | np.ndarray) -> array.array:
    """What fills a uint8[] field at once: other sequences are checked byte by byte, a thousand times slower."""
    return _field("B", values if isinstance(values, bytes) else np.ascontiguousarray(values, np.uint8))


def float_field(values: np.ndarray) -> array.array:
    """What fills a float32[] field at once."""
    return _field("f", np.ascontiguousarray(values, np.float32))


def _field(kind: str, values: bytes | np.ndarray) -> array.array:
    """One copy of what is in memory already."""
    field = array.array(kind)
    field.frombytes(values if isinstance(values, bytes) else values.data.cast("B") if values.size else b"")
    return field


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"the image has no pixels: {width} x {height}")
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise ValueError(
            f"the image claims {width} x {height} px; at most {MAX_SIDE_PX} a side and {MAX_PIXELS / 1e6:.0f} million are read"
        )
