"""The videos of an evaluation's page: the truth, what was generated and a guess without a model, with their tracks, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from syncmv4d_cli.contact_sheet import BACKGROUND
from syncmv4d_cli.preview import HOLD_FRAMES, Overlay, draw_tracks, prediction_overlays
from syncmv4d_cli.scene_sheet import overlays_at, predict_again, rank_scenes
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.evaluation.baselines import static_tracks, static_video
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.pages.films import Film

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report
    from syncmv4d_model.evaluation.methods import Method

TILE_PX, GAP_PX = 192, 4
MOST_BYTES = 9_000_000  # of all videos; base64 makes them a third larger
QUALITIES = (20, 26, 32, 38)  # x264's crf, the first that fits
Panel = tuple[str, UInt8[np.ndarray, "V T H W 3"], list[Overlay]]


def films_of(
    report: Report,
    method: Method,
    folders: Sequence[Path],
    *,
    count: int,
) -> list[Film]:
    """The `count` best and the `count` worst sequences of a report, predicted again and drawn. `folders` are the split's.
    Errors as rank_scenes.
    """
    scenes = rank_scenes(report.rows, 2 * count)
    films = []
    for scene, case in zip(scenes, predict_again(method, folders, scenes), strict=True):
        panels = panels_of(case)
        frames, period_s = draw_panels(panels, case.truth.view_names), case.truth.frame_period_s
        mp4 = encode_within(frames, frame_period_s=period_s, most_bytes=MOST_BYTES // len(scenes))
        films.append(Film(scene.index, scene.place, scene.of, scene.best, tuple(name for name, *_ in panels), mp4))
    return films


def panels_of(case: Case) -> list[Panel]:
    """What is shown side by side: name, videos and tracks. The text mean where there is one, else the static guess."""
    truth = case.truth
    guess, positions = "nothing moves", static_tracks(truth)
    if case.text_mean_tracks is not None:
        guess, positions = "text mean", case.text_mean_tracks
    return [
        ("truth", truth.video, overlays_at(truth, truth.positions)),
        ("generated", case.given("video"), prediction_overlays(case.prediction, truth.camera_from_world)),
        (guess, static_video(truth), overlays_at(truth, positions)),
    ]


def draw_panels(panels: Sequence[Panel], view_names: Sequence[str]) -> UInt8[np.ndarray, "T H W 3"]:
    """A row per view, a column per panel; even sizes. It rests on its last frame before it starts again."""
    frames = []
    for n in range(panels[0][1].shape[1]):
        rows = []
        for view, name in enumerate(view_names):
            tiles = [draw_tracks(video[view, n], tracks[view], n, long_side_px=TILE_PX) for _, video, tracks in panels]
            ImageDraw.Draw(tiles[0]).text((6, 3), name, font=ImageFont.load_default(12), fill=(255, 255, 255))
            rows.append(tiles)
        frames.append(_grid(rows))
    return np.stack(frames + frames[-1:] * HOLD_FRAMES)


def encode_within(frames: UInt8[np.ndarray, "T H W 3"], *, frame_period_s: float, most_bytes: int) -> bytes:
    """An MP4 at the best of QUALITIES that is no larger, at the last of them where none is."""
    mp4 = b""
    for crf in QUALITIES:
        mp4 = encode_video(frames, frame_period_s=frame_period_s, crf=crf)
        if len(mp4) <= most_bytes:
            break
    return mp4


def _grid(rows: Sequence[Sequence[Image.Image]]) -> np.ndarray:
    width, height = rows[0][0].size
    across = len(rows[0]) * (width + GAP_PX) - GAP_PX
    down = len(rows) * (height + GAP_PX) - GAP_PX
    page = Image.new("RGB", (across + across % 2, down + down % 2), BACKGROUND)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            page.paste(tile, (x * (width + GAP_PX), y * (height + GAP_PX)))
    return np.asarray(page)
