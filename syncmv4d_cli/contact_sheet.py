"""Captioned tables of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

BACKGROUND = (15, 17, 22)
INK = (236, 238, 242)
FAINT_INK = (150, 157, 170)
_GAP, _MARGIN, _GUTTER, _HEAD, _COLUMN_HEAD = 8, 18, 30, 74, 24


class Sheet:
    """A dark page: title, subtitle and legend on top, a caption per column, a caption per row, tiles of one size."""

    def __init__(
        self,
        *,
        columns: Sequence[str],
        rows: Sequence[str],
        tile: tuple[int, int],
        title: str,
        subtitle: str,
        legend: Sequence[tuple[str, tuple[int, int, int]]],
    ) -> None:
        self.tile = tile
        width = 2 * _MARGIN + _GUTTER + len(columns) * (tile[0] + _GAP) - _GAP
        height = _MARGIN + _HEAD + _COLUMN_HEAD + len(rows) * (tile[1] + _GAP) - _GAP + _MARGIN
        # H.264's usual pixel format wants even sizes
        self._page = Image.new("RGB", (width + width % 2, height + height % 2), BACKGROUND)
        draw = ImageDraw.Draw(self._page)
        room = width - 2 * _MARGIN
        legend_px = self._draw_legend(draw, legend, right=width - _MARGIN)
        _text(draw, (_MARGIN, _MARGIN), title, size=26, colour=INK, room=room)
        _text(draw, (_MARGIN, _MARGIN + 38), subtitle, size=15, colour=FAINT_INK, room=room - legend_px)
        for index, caption in enumerate(columns):
            x, y = self._place(0, index)
            _text(draw, (x, y - _COLUMN_HEAD + 2), caption, size=14, colour=FAINT_INK, room=tile[0])
        for index, caption in enumerate(rows):
            self._draw_row_caption(index, caption)

    def put_row(self, row: int, tiles: Sequence[Image.Image]) -> None:
        """Place one tile per column, each in the middle of its cell."""
        for column, tile in enumerate(tiles):
            x, y = self._place(row, column)
            self._page.paste(tile, (x + (self.tile[0] - tile.width) // 2, y + (self.tile[1] - tile.height) // 2))

    def pixels(self) -> UInt8[np.ndarray, "H W 3"]:
        """The page so far; both sizes are even."""
        return np.array(self._page)

    def _place(self, row: int, column: int) -> tuple[int, int]:
        x = _MARGIN + _GUTTER + column * (self.tile[0] + _GAP)
        return x, _MARGIN + _HEAD + _COLUMN_HEAD + row * (self.tile[1] + _GAP)

    def _draw_row_caption(self, row: int, caption: str) -> None:
        """Along the left edge, read upwards."""
        strip = Image.new("RGB", (self.tile[1], _GUTTER - 6), BACKGROUND)
        draw = ImageDraw.Draw(strip)
        font = ImageFont.load_default(16)
        caption = _clipped(draw, caption, font, self.tile[1])
        draw.text(((self.tile[1] - draw.textlength(caption, font=font)) / 2, 1), caption, font=font, fill=INK)
        self._page.paste(strip.rotate(90, expand=True), (_MARGIN, self._place(row, 0)[1]))

    def _draw_legend(
        self, draw: ImageDraw.ImageDraw, legend: Sequence[tuple[str, tuple[int, int, int]]], *, right: int
    ) -> int:
        """Coloured dots with their names, right-aligned on the subtitle's line; returns the width used."""
        font, x, y = ImageFont.load_default(15), float(right), _MARGIN + 38
        for name, colour in reversed(legend):
            x -= draw.textlength(name, font=font)
            draw.text((x, y), name, font=font, fill=FAINT_INK)
            draw.ellipse([x - 16, y + 5, x - 6, y + 15], fill=colour)
            x -= 34
        return int(right - x)


def fit_tile(image: UInt8[np.ndarray, "H W 3"], long_side_px: int, *, smooth: bool = True) -> Image.Image:
    """The image with its longer side this long; `smooth` False keeps hard pixels, for pictures whose colours are data."""
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return Image.fromarray(np.ascontiguousarray(image)).resize(size, way)


def _text(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, *, size: int, colour: tuple[int, int, int], room: int
) -> None:
    font = ImageFont.load_default(size)
    draw.text(at, _clipped(draw, text, font, room), font=font, fill=colour)


def wrapped(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: float
) -> list[str]:
    """The text's words in lines that fit into the room; a word that does not is cut with an ellipsis."""
    lines: list[str] = []
    for word in text[:400].split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and draw.textlength(longer, font=font) <= room:
            lines[-1] = longer
        else:
            lines.append(_clipped(draw, word, font, room))
    return lines


def _clipped(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, room: float
) -> str:
    """The text, cut with an ellipsis where it would leave its room."""
    text = text[:400]  # measuring is linear in the length
    if draw.textlength(text, font=font) <= room:
        return text
    while text and draw.textlength(text + "…", font=font) > room:
        text = text[:-1]
    return text + "…"
