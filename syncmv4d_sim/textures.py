"""Procedural pictures for surfaces; each repeats without a seam. Colours in 0..1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_sim.families import Range, draw_family

Colour = tuple[float, float, float]
Field = Float[np.ndarray, "S S"]
Picture = Float[np.ndarray, "S S 3"]
MANY_COLOURED = ("label", "photo", "collage", "terrazzo", "contours")
METALLIC = ("brushed", "noise", "stains")


@dataclass(frozen=True)
class Texture:
    """What a picture is made from; `pixels` makes it."""

    family: str  # of kind "texture" or "skin"
    seed: int
    rgb: Colour
    second: Colour
    tile_m: float = 0.1  # that one repetition covers
    size_px: int = 128

    def pixels(self) -> UInt8[np.ndarray, "S S 3"]:
        """The same texture gives the same picture, bit for bit."""
        rng = np.random.default_rng(self.seed)
        picture = _PAINTERS[self.family](rng, self.size_px, np.array(self.rgb), np.array(self.second))
        shade = 1 + 0.06 * (spectral_noise(rng, self.size_px, 1.6) - 0.5)
        grain = 0.012 * rng.standard_normal((self.size_px, self.size_px), np.float32)
        return as_bytes(picture * shade[..., None] + grain[..., None])


def sample_texture(
    rng: np.random.Generator, rgb: Float[np.ndarray, "3"], *, look: Range, tile_m: float, size_px: int = 128,
    contrast: float = 0.4, weights: dict[str, float] | None = None,
) -> Texture:  # fmt: skip
    """A texture whose main colour is `rgb`; the second is darker or any other, and differs by about `contrast`."""
    family = draw_family("texture", rng, look, weights=weights)
    shade = (
        rgb * (1 - contrast * rng.uniform(0.4, 1.2)) if rng.random() < 0.5 else rgb + contrast * rng.uniform(-1, 1, 3)
    )
    return Texture(family, int(rng.integers(2**31)), _colour(rgb), _colour(shade), tile_m, size_px)


def as_bytes(picture: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def spectral_noise(rng: np.random.Generator, size: int, power: float, *, stretch: float = 1.0) -> Field:
    """Noise of amplitude 1 / f^power, spread over 0..1 by its standard deviation; `stretch` draws it out along u."""
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None] * stretch
    radius = np.sqrt(rows**2 + columns**2)
    radius[0, 0] = np.inf
    white = rng.standard_normal((size, size))
    field = np.fft.irfft2(np.fft.rfft2(white) * (1 / radius) ** power, s=(size, size))
    return np.clip(0.5 + 0.22 * field / max(field.std(), 1e-12), 0, 1)


def _colour(rgb: np.ndarray) -> Colour:
    red, green, blue = np.clip(rgb, 0.02, 0.98)
    return float(red), float(green), float(blue)


def _grid(size: int) -> tuple[Field, Field]:
    v, u = np.mgrid[:size, :size] / size
    return u, v


def _mix(first: np.ndarray, second: np.ndarray, share: Field) -> Picture:
    return first + (second - first) * np.clip(share, 0, 1)[..., None]


def _noise(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    return _mix(first, second, spectral_noise(rng, size, rng.uniform(0.9, 2.2)))


def _wood(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    _, v = _grid(size)
    warp = spectral_noise(rng, size, 2.2, stretch=4.0)
    fibre = spectral_noise(rng, size, 0.7, stretch=24.0)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.integers(2, 7) * v + rng.uniform(0.8, 2.5) * warp))
    return _mix(first, 0.5 * (first + second), 0.6 * rings + 0.5 * fibre)


def _marble(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    phase = rng.integers(0, 3) * u + rng.integers(1, 3) * v + rng.uniform(1, 2.5) * spectral_noise(rng, size, 1.7)
    return _mix(first, second, 1 - np.abs(np.sin(np.pi * phase)) ** rng.uniform(0.3, 0.6))


def _weave(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    count = 2 * int(rng.integers(6, 16))
    over = (np.floor(u * count) + np.floor(v * count)) % 2
    thread = np.where(over > 0, np.abs(np.sin(np.pi * u * count)), np.abs(np.sin(np.pi * v * count)))
    warp, weft = _mix(first, second, over * rng.uniform(0.2, 1)), 0.65 + 0.35 * thread
    return warp * (weft * (0.9 + 0.2 * spectral_noise(rng, size, 0.8)))[..., None]


def _brushed(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    share = 0.8 * spectral_noise(rng, size, 0.5, stretch=40.0) + 0.3 * spectral_noise(rng, size, 2.0) - 0.2
    return _mix(first, 0.6 * first + 0.4 * second, share)


def _stains(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    field = spectral_noise(rng, size, rng.uniform(1.2, 1.9))
    edge = rng.uniform(0.5, 0.7)
    scratch = spectral_noise(rng, size, 0.4, stretch=60.0) > 0.93
    return _mix(_mix(first, second, 0.8 * np.clip((field - edge) * 12, 0, 1)), np.full(3, 0.85), 0.4 * scratch)


def _gradient(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    place = rng.integers(0, 2) * u + v + rng.uniform(0, 1)
    return _mix(first, second, 0.5 + 0.5 * np.cos(2 * np.pi * place))


def _stripes(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    place = (rng.integers(0, 2) * u + v) * rng.integers(1, 5)
    palette = np.stack([first, second, _vivid(rng), first])[: rng.integers(2, 5)]
    edges = np.sort(rng.uniform(0.15, 0.95, len(palette) - 1))
    return palette[np.searchsorted(edges, place % 1)]


def _checker(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    count = 2 * int(rng.integers(1, 5))
    squares = (np.floor(u * count) + np.floor(v * count)) % 2
    if rng.random() < 0.4:  # a tablecloth's: half tone where one stripe crosses none
        squares = 0.5 * (np.floor(u * count) % 2 + np.floor(v * count) % 2)
    return _mix(first, second, squares)


def _dots(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    count, radius = int(rng.integers(2, 7)), rng.uniform(0.15, 0.4)
    row = np.floor(v * count * 2)
    x = (u * count + 0.5 * (row % 2)) % 1 - 0.5
    y = ((v * count * 2) % 1 - 0.5) / 2
    return _mix(first, second, (radius - np.hypot(x, y)) * size / count)


def _speckle(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    fine = spectral_noise(rng, size, rng.uniform(0.2, 0.8))
    bright = spectral_noise(rng, size, 0.5) > 0.85
    return _mix(_mix(first, second, (fine - 0.62) * 15), np.full(3, rng.uniform(0, 1)), 0.7 * bright)


def _label(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    """A printed packet: bands, a badge, rows of something like letters, a barcode."""
    u, v = _grid(size)
    picture = np.broadcast_to(first, (size, size, 3)).copy()
    low = rng.uniform(0.05, 0.5)
    picture[(v > low) & (v < low + rng.uniform(0.15, 0.45))] = second
    centre, radius = rng.uniform(0.25, 0.75, 2), rng.uniform(0.1, 0.25)
    picture[np.hypot(u - centre[0], v - centre[1]) < radius] = _vivid(rng)
    ink = np.full(3, rng.choice([0.05, 0.95]))
    letters = rng.random((size, size // 3 + 1)) < 0.62
    for top in np.cumsum(rng.uniform(0.06, 0.16, rng.integers(3, 7))):
        height, left, right = int(rng.integers(2, 9)), rng.uniform(0.05, 0.4), rng.uniform(0.55, 0.95)
        start = int(top * size)
        rows = (np.arange(size) >= start) & (np.arange(size) < start + height)
        columns = (u[0] > left) & (u[0] < right) & letters[start % size].repeat(3)[:size]
        picture[np.ix_(rows, columns)] = ink
    if rng.random() < 0.5:
        corner = rng.uniform(0, 0.75, 2)
        code = (u > corner[0]) & (u < corner[0] + 0.22) & (v > corner[1]) & (v < corner[1] + 0.15)
        picture[code] = np.where(letters[0].repeat(3)[:size][None, :, None], 0.05, 0.95).repeat(size, 0)[code]
    return picture


def _photo(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    """Fields with the spectrum of photographs, a random mix of colours and a few hard outlines."""
    power = rng.uniform(1.1, 1.7)
    fields = np.stack([spectral_noise(rng, size, power) - 0.5 for _ in range(3)], -1)
    axes = np.array([[1.0, 1, 1], [1, 0, -1], [0.5, -1, 0.5]]) * rng.uniform([0.5, 0.1, 0.05], [1.3, 0.5, 0.3])[:, None]
    tone = 0.6 * first + 0.4 * second
    picture = tone + 0.8 * fields @ axes
    for _ in range(rng.integers(1, 5)):
        shape = spectral_noise(rng, size, 2.4) > rng.uniform(0.5, 0.8)
        picture[shape] = 0.35 * picture[shape] + 0.65 * _muted(rng)
    return picture


def _nearest(rng: np.random.Generator, size: int, count: int) -> tuple[Field, Field, np.ndarray]:
    """Distances to the nearest and second nearest of `count` points on the torus, and which is nearest."""
    place = np.arange(size, dtype=np.float32) / size
    near, next_near = np.full((2, size, size), np.inf, np.float32)
    which = np.zeros((size, size), int)
    for i, (x, y) in enumerate(rng.random((count, 2), np.float32)):
        across, down = np.abs(place - x), np.abs(place - y)
        squared = np.minimum(across, 1 - across)[None] ** 2 + np.minimum(down, 1 - down)[:, None] ** 2
        which[squared < near] = i
        next_near = np.minimum(next_near, np.maximum(squared, near))
        near = np.minimum(near, squared)
    return np.sqrt(near), np.sqrt(next_near), which


def _cells(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    near, next_near, which = _nearest(rng, size, int(rng.integers(10, 30)))
    tones = rng.uniform(0, 0.6, which.max() + 1)
    return _mix(_mix(first, second, tones[which]), 0.4 * second, (next_near - near < 0.02).astype(float))


def _terrazzo(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    near, next_near, which = _nearest(rng, size, 40)
    chips = np.stack([_vivid(rng) if rng.random() < 0.5 else second for _ in range(40)])
    inside = (next_near - near > 0.04) & (rng.random(40) < 0.8)[which]
    return np.where(inside[..., None], chips[which], first)


def _zigzag(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    u, v = _grid(size)
    fold = np.abs((u * rng.integers(2, 6)) % 1 - 0.5) * rng.uniform(0.3, 0.8)
    return _mix(first, second, ((v * rng.integers(2, 6) + fold) % 1 < rng.uniform(0.3, 0.6)).astype(float))


def _contours(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    palette = np.stack([first, second, 0.5 * first, 0.5 * (first + second), _vivid(rng) * 0.7])
    return palette[np.floor(spectral_noise(rng, size, 1.9) * 7).astype(int) % len(palette)]


def _collage(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    """Rectangles over rectangles, as shelves and windows are, a little out of focus."""
    picture = np.broadcast_to(first, (size, size, 3)).copy()
    for _ in range(28):
        top, left = rng.integers(0, size, 2)
        height, width = (rng.uniform(0.05, 0.4, 2) * size).astype(int)
        colour = _muted(rng) if rng.random() < 0.7 else second * rng.uniform(0.4, 1.3)
        picture[top : top + height, left : left + width] = colour
    blurred = picture.copy()
    for shift in ((1, 0), (0, 1), (2, 1), (1, 2)):
        blurred += np.roll(picture, shift, (0, 1))
    return blurred / 5


def _muted(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    return rng.uniform(0.1, 0.9) + rng.uniform(-0.15, 0.15, 3)


def _vivid(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    colour = rng.uniform(0, 1, 3)
    return np.clip(colour + 0.5 * (colour - colour.mean()), 0.03, 0.97)


def _smooth(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    return _mix(first, second, 0.5 * spectral_noise(rng, size, 1.6) - 0.1)


def _blotchy(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    return _mix(first, second, 1.6 * spectral_noise(rng, size, 1.2) - 0.4)


def _freckled(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    spots = np.clip((spectral_noise(rng, size, 0.6) - rng.uniform(0.72, 0.85)) * 10, 0, 1)
    return _mix(_smooth(rng, size, first, second), 0.75 * second, spots)


def _hairy(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    hairs = np.clip((spectral_noise(rng, size, 0.35, stretch=10.0) - 0.8) * 6, 0, 1)
    return _mix(_smooth(rng, size, first, second), 0.35 * first, 0.6 * hairs)


def _tattooed(rng: np.random.Generator, size: int, first: np.ndarray, second: np.ndarray) -> Picture:
    lines = np.abs((spectral_noise(rng, size, 1.9) * 5) % 1 - 0.5) < 0.14
    where = np.clip((spectral_noise(rng, size, 2.4) - 0.5) * 8, 0, 1)
    return _mix(_smooth(rng, size, first, second), 0.2 * first + np.array([0.0, 0.03, 0.08]), 0.8 * lines * where)


_PAINTERS: dict[str, Callable[[np.random.Generator, int, np.ndarray, np.ndarray], Picture]] = {
    "noise": _noise, "wood": _wood, "marble": _marble, "weave": _weave, "brushed": _brushed, "stains": _stains,
    "gradient": _gradient, "stripes": _stripes, "checker": _checker, "dots": _dots, "speckle": _speckle,
    "label": _label, "photo": _photo, "cells": _cells, "terrazzo": _terrazzo, "zigzag": _zigzag,
    "contours": _contours, "collage": _collage, "smooth": _smooth, "blotchy": _blotchy, "freckled": _freckled,
    "hairy": _hairy, "tattooed": _tattooed,
}  # fmt: skip
