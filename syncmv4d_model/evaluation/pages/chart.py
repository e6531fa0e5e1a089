"""Charts as inline SVG: their colours come from the page's style sheet, so they follow its light and dark."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 46
_CHARACTER_PX = 7.2
Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """What one axis of a chart shows, from `low` to `high`; `names` stand at 0, 1, ... instead of numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    names: Sequence[str] = ()

    def share(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        low, high, value = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """Where it is marked, and how."""
        if self.names:
            return list(enumerate(self.names))
        values = _decades(self.low, self.high) if self.log else _even(self.low, self.high)
        return [(value, f"{value:g}") for value in values]


class Chart:
    """Two axes and what is drawn between them, in the order of the calls. Values outside the axes are not clipped."""

    def __init__(self, x: Axis, y: Axis, *, alt: str, width: int = 640, height: int = 320) -> None:
        self.x, self.y, self.alt, self.width, self.height = x, y, alt, width, height
        longest = max((len(name) for name in y.names), default=0)
        self.left = max(LEFT, int(longest * _CHARACTER_PX) + 30)
        self._parts: list[str] = [*self._x_axis(), *self._y_axis()]

    def at(self, point: Point) -> Point:
        """Pixel of a value."""
        across = self.left + self.x.share(point[0]) * (self.width - self.left - RIGHT)
        down = self.height - BOTTOM - self.y.share(point[1]) * (self.height - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    def line(self, points: Iterable[Point], kind: str) -> None:
        """A line of the style `kind`, broken where a value is not finite."""
        pieces: list[list[Point]] = [[]]
        for point in points:
            if np.isfinite(point).all():
                pieces[-1].append(self.at(point))
            else:
                pieces.append([])
        path = " ".join(f"M{' L'.join(f'{x},{y}' for x, y in piece)}" for piece in pieces if piece)
        self._parts.append(f'<path class="line {kind}" d="{path}"/>')

    def dot(self, point: Point, kind: str, *, radius: float = 4, title: str = "", link: str = "") -> None:
        """A dot of the style `kind`; `title` is shown where it is pointed at, `link` is followed."""
        x, y = self.at(point)
        name = f"<title>{html.escape(title)}</title>" if title else ""
        drawn = f'<circle class="dot {kind}" cx="{x}" cy="{y}" r="{radius:.1f}">{name}</circle>'
        self._parts.append(f'<a href="{html.escape(link)}" tabindex="-1">{drawn}</a>' if link else drawn)

    def bar(self, start: Point, end: Point, kind: str) -> None:
        """A filled box between two corners."""
        (x0, y0), (x1, y1) = self.at(start), self.at(end)
        left, top, width, height = min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)
        self._parts.append(
            f'<rect class="bar {kind}" x="{left}" y="{top}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
        )

    def note(self, point: Point, text: str, *, anchor: str = "start") -> None:
        """Small words in the chart."""
        x, y = self.at(point)
        self._parts.append(f'<text class="note" x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>')

    def svg(self) -> str:
        """The chart, to be put into a page."""
        box = f'viewBox="0 0 {self.width} {self.height}"'
        return f'<svg class="chart" role="img" aria-label="{html.escape(self.alt)}" {box}>{"".join(self._parts)}</svg>'

    def _x_axis(self) -> Iterable[str]:
        bottom = self.height - BOTTOM
        for value, name in self.x.ticks():
            x = self.at((value, self.y.low))[0]
            yield f'<path class="grid" d="M{x},{TOP} V{bottom}"/><text x="{x}" y="{bottom + 18}" text-anchor="middle">{name}</text>'
        middle = (self.left + self.width - RIGHT) / 2
        yield f'<path class="axis" d="M{self.left},{bottom} H{self.width - RIGHT}"/>'
        yield f'<text class="label" x="{middle}" y="{self.height - 8}" text-anchor="middle">{html.escape(self.x.label)}</text>'

    def _y_axis(self) -> Iterable[str]:
        right, middle = self.width - RIGHT, (TOP + self.height - BOTTOM) / 2
        for value, name in self.y.ticks():
            y = self.at((self.x.low, value))[1]
            shown = f'<text x="{self.left - 8}" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>'
            yield f'<path class="grid" d="M{self.left},{y} H{right}"/>{shown}'
        if self.y.label:
            turned = f'transform="translate(15 {middle}) rotate(-90)"'
            yield f'<text class="label" {turned} text-anchor="middle">{html.escape(self.y.label)}</text>'


def _even(low: float, high: float) -> list[float]:
    """Some five round values."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs(step - raw))
    return [round(n * step, 12) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of every power of ten; of many powers, the powers."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{factor}e{power}") for power in powers for factor in ((1, 2, 5) if len(powers) < 6 else (1,))]
    return [value for value in values if low * 0.999 <= value <= high * 1.001]
