"""The scenes of a split that a method predicts best and worst, as one picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from syncmv4d_cli.contact_sheet import BACKGROUND, FAINT_INK, INK, Sheet, fit_tile, wrapped
from syncmv4d_cli.preview import Overlay, draw_tracks, prediction_overlays, project_tracks, thinned
from syncmv4d_model.data.sequence import Sequence as Truth
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.metrics import moving_points
from syncmv4d_model.evaluation.scenes import with_futures
from syncmv4d_model.results import LABEL_COLOURS
from syncmv4d_model.types import LABELS

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report
    from syncmv4d_model.evaluation.methods import Method

TILE_PX = 192  # twice the pictures of the nano model
COLUMNS = (
    "error of moving points",
    "first image, true paths",
    "first image, predicted paths",
    "true video, its end",
    "generated video, its end",
)
BEST, WORST = (64, 220, 96), (255, 120, 90)


@dataclass(frozen=True)
class RankedScene:
    """One row of the sheet: which scene, and how wrong the method is there."""

    index: int  # in the split, by name
    task: str
    error_cm: float
    static_cm: float
    place: int  # 1 = the best of the split
    of: int
    best: bool

    @property
    def ratio(self) -> float:
        return self.error_cm / self.static_cm


def rank_scenes(rows: Sequence[Mapping[str, Any]], count: int) -> list[RankedScene]:
    """The best and the worst rows of a report by end-point error over static's, best first: half of `count` each, the odd
    one a best; all where there are no more. ValueError where no row has both errors.
    """
    errors = [(row["end_point_error_cm"], row["static_end_point_error_cm"]) for row in rows]
    known = [index for index, (error, static) in enumerate(errors) if error is not None and static]
    if not known:
        raise ValueError("no scene has an end-point error to rank it by")
    known.sort(key=lambda index: errors[index][0] / errors[index][1])
    best = (count + 1) // 2 if len(known) > count else (len(known) + 1) // 2
    places = range(len(known)) if len(known) <= count else [*range(best), *range(len(known) - count // 2, len(known))]
    return [
        RankedScene(
            known[place], rows[known[place]]["task"], *errors[known[place]], place + 1, len(known), place < best
        )
        for place in places
    ]


def predict_again(method: Method, folders: Sequence[Path], scenes: Sequence[RankedScene]) -> Iterator[Case]:
    """What was scored of these scenes, from the same noise. `folders` are the split's; one sample of each is enough to draw."""
    method = method.one_sample()
    for scene in scenes:
        folder = folders[scene.index]
        yield method.case(with_futures(method.read(folder), folder), scene.index)


def draw_sheet(path: Path, report: Report, method: Method, folders: Sequence[Path], *, count: int) -> None:
    """Predict the best and worst scenes of a report again and draw them, as a PNG. Errors as rank_scenes."""
    chosen = rank_scenes(report.rows, count)
    cases = list(predict_again(method, folders, chosen))
    ratio = report.metrics["end_point_error_ratio"]
    whose = next(filter(None, map(report.settings.get, ("predictions", "method", "checkpoint"))))
    subtitle = f"{whose}   ·   {report.sequences} scenes, together {ratio:.2f} of standing still"
    write_sheet(path, draw_scenes(chosen, cases, title=f"{report.split}: predicted best and worst", subtitle=subtitle))


def draw_scenes(scenes: Sequence[RankedScene], cases: Sequence[Case], *, title: str, subtitle: str) -> Image.Image:
    """A row per scene, in the view that sees most of the motion. `cases` are the scenes' predictions."""
    height, width = cases[0].truth.video.shape[2:4]
    tile = fit_tile(np.zeros((height, width, 3), np.uint8), TILE_PX).size
    sheet = Sheet(
        columns=COLUMNS,
        rows=["best" if scene.best else "worst" for scene in scenes],
        tile=tile,
        title=title,
        subtitle=subtitle,
        legend=[(name, LABEL_COLOURS[LABELS.index(name)]) for name in ("hand", "tool", "target")],
    )
    for row, (scene, case) in enumerate(zip(scenes, cases, strict=True)):
        sheet.put_row(row, [_caption(scene, tile), *_tiles(case)])
    return Image.fromarray(sheet.pixels())


def write_sheet(path: Path, sheet: Image.Image) -> None:
    """Write a PNG of 256 colours, whole or not at all: a third of the size, and on small pictures no eye sees it."""
    from syncmv4d_model.data.atomic import atomic_file

    with atomic_file(path) as partial:
        sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(partial, format="PNG", optimize=True)


def overlays_at(truth: Truth, positions: Float[np.ndarray, "V T K 3"]) -> list[Overlay]:
    """These positions of the truth's points, each in its own view, with the truth's visibility and labels."""
    kept = thinned(positions.shape[2])
    pixels = project_tracks(positions, truth.intrinsics, truth.camera_from_world)
    return [
        Overlay(px[:, kept], visible[:, kept], label[kept])
        for px, visible, label in zip(pixels, truth.visible, truth.label, strict=True)
    ]


def _tiles(case: Case) -> list[Image.Image]:
    truth, video = case.truth, case.given("video")
    seen_moving = moving_points(truth.positions)[:, None] & truth.visible
    view, last = int(seen_moving.sum((1, 2)).argmax()), truth.positions.shape[1] - 1
    true_paths = overlays_at(truth, truth.positions)[view]
    paths = prediction_overlays(case.prediction, truth.camera_from_world)[view]
    first = truth.video[view, 0]
    return [
        draw_tracks(first, true_paths, last, long_side_px=TILE_PX, trail=last),
        draw_tracks(first, paths, last, long_side_px=TILE_PX, trail=last),
        fit_tile(truth.video[view, last], TILE_PX),
        fit_tile(video[view, last], TILE_PX),
    ]


def _caption(scene: RankedScene, size: tuple[int, int]) -> Image.Image:
    """The row's numbers and its task."""
    page = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(page)
    draw.text((4, 6), f"{scene.ratio:.2f}", font=ImageFont.load_default(40), fill=BEST if scene.best else WORST)
    draw.text((92, 29), "of standing still", font=ImageFont.load_default(12), fill=FAINT_INK)
    facts = f"{scene.error_cm:.1f} cm, still {scene.static_cm:.1f} cm"
    draw.text((4, 58), facts, font=ImageFont.load_default(14), fill=INK)
    draw.text((4, 78), f"place {scene.place} of {scene.of}", font=ImageFont.load_default(13), fill=FAINT_INK)
    font = ImageFont.load_default(14)
    for line, text in enumerate(wrapped(draw, " ".join(scene.task.split()) or "(no task)", font, size[0] - 8)[:4]):
        draw.text((4, 106 + 19 * line), text, font=font, fill=INK)
    return page
