"""A run of the robot cell as pictures: what the cameras saw, what was generated, the truth, and what the arm then did."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from syncmv4d_cli.contact_sheet import BACKGROUND, FAINT_INK, Sheet, fit_tile
from syncmv4d_cli.preview import HOLD_FRAMES, TILE_PX, Overlay, draw_tracks, project_tracks, thinned
from syncmv4d_model.data.video import read_video
from syncmv4d_model.results import LABEL_COLOURS, Preview
from syncmv4d_model.types import LABELS

if TYPE_CHECKING:
    from syncmv4d_ros.cell_run import CellRun
    from syncmv4d_ros.track_messages import ViewTracks

COLUMNS = ("camera", "generated", "generated tracks", "true tracks", "arm: this plan", "arm: true plan")


@dataclass(frozen=True)
class CellFilms:
    """All videos of a run, a view each; an execution that was not filmed has none."""

    generated: list[UInt8[np.ndarray, "T H W 3"]]
    executed: list[UInt8[np.ndarray, "_ _ _ 3"]] | None
    executed_truth: list[UInt8[np.ndarray, "_ _ _ 3"]] | None


def read_films(run: CellRun) -> CellFilms:
    """Decode what a run left. ValueError for a video that cannot be read."""
    names = run.rig.view_names
    with tempfile.TemporaryDirectory() as folder:
        generated = []
        for name, content in zip(names, run.videos, strict=True):
            path = Path(folder) / f"{name}.mp4"
            path.write_bytes(content)
            generated.append(read_video(path))
    return CellFilms(generated, _film(run.outcome, names), _film(run.truth_outcome, names))


def draw_run(run: CellRun, films: CellFilms) -> Preview:
    """The still (the last frame of everything) and the animation."""
    names = run.rig.view_names
    tracks, truth = run.tracks.by_view(names), run.truth.by_view(names)
    generated = _overlays(tracks, run.video_intrinsics, run.rig.camera_from_world)
    true = _overlays(truth, run.rig.intrinsics, run.rig.camera_from_world)
    seen = [fit_tile(image, TILE_PX) for image in run.images]
    this_plan, true_plan = (verdict(outcome).partition(";")[0] for outcome in (run.outcome, run.truth_outcome))
    sheet = Sheet(
        columns=COLUMNS,
        rows=names,
        tile=(max(tile.width for tile in seen), max(tile.height for tile in seen)),
        title=" ".join(run.task.split()),
        subtitle=f"{run.engine}   ·   this plan: {this_plan}   ·   true plan: {true_plan}",
        legend=[(name, LABEL_COLOURS[LABELS.index(name)]) for name in ("hand", "tool", "target", "unknown")],
    )
    frames = []
    for n in range(len(films.generated[0])):
        for view, camera in enumerate(seen):
            video = films.generated[view]
            row = [camera, fit_tile(video[n], TILE_PX), draw_tracks(video[n], generated[view], n)]
            row.append(draw_tracks(run.images[view], true[view], min(n, truth.positions.shape[1] - 1)))
            row += [_tile(film, view, n, camera) for film in (films.executed, films.executed_truth)]
            sheet.put_row(view, row)
        frames.append(sheet.pixels())
    return Preview(still=frames[-1], frames=np.stack(frames + frames[-1:] * HOLD_FRAMES))


def verdict(outcome: dict[str, Any]) -> str:
    """An outcome in a few words."""
    return "done" if outcome["success"] else f"not done, {outcome['reason']}"


def _film(outcome: dict[str, Any], names: tuple[str, ...]) -> list[np.ndarray] | None:
    folder = outcome.get("film")
    return None if folder is None else [read_video(Path(folder) / f"{name}.mp4") for name in names]


def _tile(film: list[np.ndarray] | None, view: int, frame: int, like: Image.Image) -> Image.Image:
    """A film's frame; an empty tile where there is none, as of a plan that could not be followed."""
    if film is None:
        tile = Image.new("RGB", like.size, tuple(channel + 14 for channel in BACKGROUND))
        ImageDraw.Draw(tile).text((12, 10), "not carried out", font=ImageFont.load_default(14), fill=FAINT_INK)
        return tile
    return fit_tile(film[view][min(frame, len(film[view]) - 1)], TILE_PX)


def _overlays(
    tracks: ViewTracks, intrinsics: Float[np.ndarray, "V 3 3"], camera_from_world: Float[np.ndarray, "V 4 4"]
) -> list[Overlay]:
    kept = thinned(tracks.positions.shape[2])
    pixels = project_tracks(tracks.positions, intrinsics, camera_from_world)
    parts = zip(pixels, tracks.visible, tracks.label, strict=True)
    return [Overlay(px[:, kept], visible[:, kept], label[kept]) for px, visible, label in parts]
