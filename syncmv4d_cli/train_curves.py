"""`syncmv4d train curves`: a run's log as a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from rich.console import Console

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG, CURVES = "log.jsonl", "curves.png"
TIMES = ("1", "0.8", "0.4")
SHADES = {"motion": ("#0b6e4f", "#3fa37f", "#9bd1bb"), "video": ("#274690", "#6b83c4", "#b5c1e4")}
RATIOS = {"displacement_ratio": "#c8553d", "end_point_ratio": "#5b3758"}
LOSS_COLOURS = ("#0b6e4f", "#c8553d", "#274690", "#d9a441", "#5b3758", "#6f9ceb", "#8a8a8a")
BACKGROUNDS = ("#f3f5f4", "#e3e9ea")
NOT_LOSSES = frozenset({"stage", "step", "gradient_norm", "seconds_per_step"})
MIN_WIDTH = 0.35
"""Of a stage's column to that of the widest: a short stage stays readable."""


@dataclass(frozen=True)
class Curves:
    """Draw a run's log: validation errors, training losses, and errors of sampled tracks, stage by stage."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder (its log.jsonl is read)."""
    out: Path | None = None
    """Picture to write, a PNG (default: RUN/curves.png)."""


@dataclass(frozen=True)
class Series:
    """One figure over the steps of one stage."""

    steps: list[int]
    values: list[float]


@dataclass
class StageCurves:
    """What was logged of one stage; a step that was done twice counts as it was done last."""

    name: str
    first: int  # step of the whole run that its step 0 is
    points: dict[str, dict[int, float]] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)  # in the order of the log

    @property
    def last(self) -> int:
        """Step of the whole run at its last line."""
        return self.first + max((max(points) for points in self.points.values()), default=0)

    def series(self, name: str) -> Series | None:
        """A figure over the steps of the whole run; None where it was not logged."""
        points = sorted(self.points.get(name, {}).items())
        return Series([self.first + step for step, _ in points], [value for _, value in points]) if points else None


def curves(options: Curves) -> None:
    """Write the picture and say where; errors as write_curves."""
    out = options.out or options.run / CURVES
    damaged = write_curves(options.run, out)
    console = Console()
    if damaged:
        lines = ", ".join(map(str, damaged[:5])) + (" ..." if len(damaged) > 5 else "")
        console.print(f"left out: damaged line {lines} of {options.run / LOG}, as a killed run leaves it")
    console.print(f"curves: {out}")


def write_curves(run: Path, out: Path) -> list[int]:
    """Draw RUN/log.jsonl as a PNG; the numbers of its damaged lines, which are left out.

    FileNotFoundError without a log; ValueError for one without a single line of a run, or where `out` is no .png.
    """
    from syncmv4d_model.data.atomic import atomic_file

    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must end in .png, got {out}")
    lines, damaged = read_log(run / LOG)
    stages = by_stage(lines)
    with atomic_file(out) as partial:
        draw(stages, title=f"training run {run}").savefig(partial, format="png", dpi=110)
    return damaged


def read_log(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The lines of a log, and the numbers (from 1) of those that a killed writer left damaged. Errors as write_curves."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: not a run folder, or nothing is logged yet (the first line is of step 20)")
    lines, damaged = [], []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if isinstance(line, dict) and isinstance(line.get("stage"), str) and type(line.get("step")) is int:
            lines.append(line)
        elif text.strip():
            damaged.append(number)
    if not lines:
        raise ValueError(f"{path} holds no line of a run ({len(damaged)} damaged): there is nothing to draw")
    return lines, damaged


def by_stage(lines: Iterable[Mapping[str, Any]]) -> list[StageCurves]:
    """The figures of every stage in the order of the log; what is not a finite number is left out."""
    stages: dict[str, StageCurves] = {}
    for line in lines:
        if line["stage"] not in stages:
            before = list(stages.values())
            stages[line["stage"]] = StageCurves(line["stage"], before[-1].last if before else 0)
        stage = stages[line["stage"]]
        for name, value in line.items():
            if type(value) not in (int, float) or not math.isfinite(value):
                continue
            stage.points.setdefault(name, {})[line["step"]] = float(value)
            if "gradient_norm" in line and name not in NOT_LOSSES and name not in stage.losses:
                stage.losses.append(name)
    return list(stages.values())


def draw(stages: list[StageCurves], *, title: str) -> Figure:
    """One column per stage, the wider the more steps; rows: validation, sampled tracks if there are any, losses."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sampled = any(stage.series(name) for stage in stages for name in RATIOS)
    rows = [_draw_validation, *([_draw_tracks] if sampled else []), _draw_losses]
    widths = np.sqrt([max(1, stage.last - stage.first) for stage in stages])
    figure = Figure(figsize=(3 + 2.1 * len(stages), 1 + 2.7 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel("step of the whole run; the more steps a stage has, the wider is its column", fontsize=10)
    grid = figure.subplots(
        len(rows), len(stages), squeeze=False, sharex="col",
        width_ratios=np.maximum(widths / widths.max(), MIN_WIDTH).tolist(),
    )  # fmt: skip
    for draw_row, panels in zip(rows, grid, strict=True):
        for index, (panel, stage) in enumerate(zip(panels, stages, strict=True)):
            _empty(panel, background=BACKGROUNDS[index % 2], first=stage.first, last=stage.last)
        draw_row(list(panels), stages)
    for index, (panel, stage) in enumerate(zip(grid[0], stages, strict=True)):
        panel.set_title(f"{index + 1}  {stage.name}\n{stage.last - stage.first:,} steps", fontsize=10)
    return figure


def _draw_validation(panels: list[Axes], stages: list[StageCurves]) -> None:
    for panel, stage in zip(panels, stages, strict=True):
        for part, shades in SHADES.items():
            for time, colour in zip(TIMES, shades, strict=True):
                _line(panel, stage, f"validation_{part}_t{time}", label=f"{part}, t = {time}", colour=colour)
    _one_scale(panels, ylabel="validation error of the one-shot\nestimate (1 = predicting the mean)")


def _draw_tracks(panels: list[Axes], stages: list[StageCurves]) -> None:
    for panel, stage in zip(panels, stages, strict=True):
        for name, colour in RATIOS.items():
            _line(panel, stage, name, label=name.removesuffix("_ratio").replace("_", "-") + " error", colour=colour)
        if not panel.lines:
            panel.text(
                0.5, 0.5, "no tracks sampled", transform=panel.transAxes, ha="center", fontsize=9, color="#8a8a8a"
            )
    _one_scale(panels, ylabel="error of sampled tracks\n(1 = that of nothing moving)")


def _draw_losses(panels: list[Axes], stages: list[StageCurves]) -> None:
    for panel, stage in zip(panels, stages, strict=True):
        for name, colour in zip(stage.losses, LOSS_COLOURS * len(stage.losses), strict=False):
            _line(panel, stage, name, label=name.replace("_", " "), colour=colour, marked=False)
        if panel.lines:
            panel.legend(
                loc="upper left", bbox_to_anchor=(-0.05, -0.12), fontsize=8, frameon=False, handlelength=1,
                borderaxespad=0.0, labelspacing=0.2,
            )  # fmt: skip
    panels[0].set_ylabel("training loss,\neach stage on its own scale")


def _line(panel: Axes, stage: StageCurves, name: str, *, label: str, colour: str, marked: bool = True) -> None:
    series = stage.series(name)
    if series is not None:
        marker = "o" if marked else ("." if len(series.steps) == 1 else "")
        panel.plot(
            series.steps, series.values, color=colour, label=label, linewidth=1.6, marker=marker, markersize=3,
            clip_on=False,
        )  # fmt: skip


def _one_scale(panels: list[Axes], *, ylabel: str) -> None:
    """The row's panels side by side as one: the same axis, written once, and one legend."""
    from matplotlib.lines import Line2D

    highest = max((float(np.max(line.get_ydata())) for panel in panels for line in panel.lines), default=1.0)
    labelled = {str(line.get_label()): line for panel in panels for line in panel.lines}
    for index, panel in enumerate(panels):
        panel.set_ylim(0, 1.05 * max(1.0, highest))
        panel.axhline(1, color="#8a8a8a", linewidth=0.8, linestyle=":")
        if index:
            panel.tick_params(labelleft=False, left=False)
    panels[0].set_ylabel(ylabel)
    handles = [Line2D([], [], color=line.get_color(), marker="o", markersize=3) for line in labelled.values()]
    panels[-1].legend(handles, list(labelled), loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=9)


def _empty(panel: Axes, *, background: str, first: int, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    plain(panel, background=background)
    panel.set_xlim(first, max(last, first + 1))
    panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.xaxis.set_major_formatter("{x:,.0f}")


def plain(panel: Axes, *, background: str = BACKGROUNDS[0]) -> None:
    """The look of every panel that we draw: a pale ground, a grid, and no frame."""
    panel.set_facecolor(background)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    panel.spines[["top", "right", "left"]].set_visible(False)
