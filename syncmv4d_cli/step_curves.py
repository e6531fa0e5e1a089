"""The picture of `syncmv4d bench steps`: error against denoising steps, and against the seconds that they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncmv4d_cli.train_curves import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0b6e4f", "#c8553d")


@dataclass(frozen=True)
class Curve:
    """One line: an error at each number of steps, its interval where it has one, and the seconds of a request."""

    label: str
    steps: Sequence[int]
    seconds: Sequence[float]
    errors: Sequence[float]
    intervals: Sequence[Sequence[float] | None]


def draw(curves: Sequence[Curve], *, title: str, ylabel: str) -> Figure:
    """Two panels beside each other, the error against steps and against seconds; intervals are bands."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    against_steps, against_seconds = figure.subplots(1, 2, sharey=True)
    for curve, colour, above in zip(curves, COLOURS, (5, -12), strict=True):
        _line(against_steps, curve, curve.steps, colour=colour)
        _line(against_seconds, curve, curve.seconds, colour=colour)
        for steps, place in zip(curve.steps, zip(curve.seconds, curve.errors, strict=True), strict=True):
            against_seconds.annotate(
                f"{steps}", place, xytext=(0, above), textcoords="offset points", ha="center", fontsize=7, color=colour
            )
    for panel in (against_steps, against_seconds):
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        plain(panel)
    against_steps.set_xticks(curves[0].steps)
    against_steps.minorticks_off()
    against_steps.set_ylabel(ylabel)
    against_steps.set_xlabel("denoising steps")
    against_seconds.set_xlabel("seconds per request, median; at the dots, the steps")
    against_seconds.legend(frameon=False, fontsize=9)
    return figure


def _line(panel: Axes, curve: Curve, where: Sequence[float], *, colour: str) -> None:
    panel.plot(where, curve.errors, color=colour, label=curve.label, linewidth=1.6, marker="o", markersize=3)
    bands = [(x, *interval) for x, interval in zip(where, curve.intervals, strict=True) if interval is not None]
    if bands:
        x, low, high = zip(*bands, strict=True)
        panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
