"""Pictures of a prediction: one row per view; what the camera saw, what was generated, pseudo video, tracks, and the truth."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8
from PIL import Image, ImageDraw

from syncmv4d_cli.contact_sheet import Sheet, fit_tile
from syncmv4d_model.data.sequence import Sequence, list_sequences
from syncmv4d_model.data.window import to_window
from syncmv4d_model.evaluation.case import observation_of, whole_anchors
from syncmv4d_model.evaluation.metrics import end_point_error
from syncmv4d_model.geometry import project, transform
from syncmv4d_model.results import LABEL_COLOURS, Preview
from syncmv4d_model.types import LABELS, Observation, Prediction

TILE_PX = 240
MAX_POINTS = 160  # per view; more would hide the picture
TRAIL_FRAMES = 8
HOLD_FRAMES = 5  # the animation rests on its last frame before it starts again
SAME_POINT_PX = 2.0  # of the video: a generated point and a true one whose frame-0 pixels are closer are the same
_BACKDROP_LIGHT = 0.5
_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Overlay:
    """One view's tracks as they are drawn: pixels of its video, in order of anchors."""

    pixels: Float[np.ndarray, "T K 2"]  # not finite behind the camera
    visible: Bool[np.ndarray, "T K"]
    label: UInt8[np.ndarray, "K"]


@dataclass(frozen=True)
class Truth:
    """The true sequence, and which of its points is each generated point."""

    sequence: Sequence
    match: np.ndarray  # int [V K], index of the nearest true anchor
    same: Bool[np.ndarray, "V K"]  # near enough to be the same point
    error_cm: (
        float  # metrics.end_point_error of the same points: those that move, where seen, after frame 0; NaN if none
    )
    static_error_cm: float  # the same if nothing had moved


def draw_preview(
    prediction: Prediction, observation: Observation, *, note: str = "", truth: Truth | None = None
) -> Preview:
    """The still and the animation. `note` stands under the task (checkpoint, seed, steps)."""
    last = prediction.video.shape[1] - 1
    shown = sorted({max(1, last // 3), max(1, 2 * last // 3), last}) if last else [0]
    overlays = prediction_overlays(prediction, observation.camera_from_world)
    true_overlays = truth_overlays(truth) if truth is not None else []
    columns = ["camera", *(f"generated {_time(prediction, f)}" for f in shown), "pseudo video", "tracks"]
    still = _sheet(prediction, observation, columns, note=note, truth=truth)
    moving = _sheet(prediction, observation, ["camera", "generated", "pseudo video", "tracks"], note=note, truth=truth)
    cameras = [_camera_tile(*each) for each in zip(observation.images, prediction.windows_px, strict=True)]
    for view, camera in enumerate(cameras):
        row = [camera, *(fit_tile(prediction.video[view, f], TILE_PX) for f in shown)]
        row += _motion_tiles(prediction, overlays, view, last)
        still.put_row(view, row + _truth_tiles(truth, true_overlays, view, last))
    frames = []
    for frame in range(last + 1):
        for view, camera in enumerate(cameras):
            row = [camera, fit_tile(prediction.video[view, frame], TILE_PX)]
            row += _motion_tiles(prediction, overlays, view, frame)
            moving.put_row(view, row + _truth_tiles(truth, true_overlays, view, frame))
        frames.append(moving.pixels())
    return Preview(still=still.pixels(), frames=np.stack(frames + frames[-1:] * HOLD_FRAMES))


def match_truth(prediction: Prediction, sequence: Sequence) -> Truth:
    """Compare with a true sequence: each generated point with the true point whose frame-0 pixel is nearest."""
    height, width = prediction.video.shape[2:4]
    true_anchors, anchors = (
        to_window(pixels, prediction.windows_px, height=height, width=width)
        for pixels in (whole_anchors(sequence), prediction.anchors_px)
    )
    offsets = anchors[:, :, None] - true_anchors[:, None]
    squared = (offsets * offsets).sum(-1)
    match = squared.argmin(-1)
    same = np.sqrt(squared.min(-1)) <= SAME_POINT_PX
    positions = np.take_along_axis(sequence.positions, match[:, None, :, None], axis=2)
    visible = np.take_along_axis(sequence.visible, match[:, None], axis=2) & same[:, None]
    try:
        static = end_point_error(np.broadcast_to(positions[:, :1], positions.shape), positions, visible)
        error = end_point_error(prediction.tracks, positions, visible)
    except ValueError:  # other frames than the truth's, or nothing that moves: there is no error to show
        return Truth(sequence, match, same, float("nan"), float("nan"))
    return Truth(sequence, match, same, error * 100, static * 100)


def prediction_overlays(prediction: Prediction, camera_from_world: Float[np.ndarray, "V 4 4"]) -> list[Overlay]:
    """The generated tracks, each in its own view."""
    views, frames, count = prediction.tracks.shape[:3]
    kept = thinned(count)
    pixels = project_tracks(prediction.tracks, prediction.intrinsics, camera_from_world)
    return [
        Overlay(pixels[v][:, kept], prediction.visible[v][:, kept], prediction.label[v][kept]) for v in range(views)
    ]


def truth_overlays(truth: Truth) -> list[Overlay]:
    """The true tracks of the same points, in the order of the generated ones."""
    sequence, overlays = truth.sequence, []
    pixels = project_tracks(sequence.positions, sequence.intrinsics, sequence.camera_from_world)
    for view, (match, same) in enumerate(zip(truth.match, truth.same, strict=True)):
        kept = thinned(len(match))
        chosen = match[kept][same[kept]]
        overlays.append(
            Overlay(pixels[view][:, chosen], sequence.visible[view][:, chosen], sequence.label[view][chosen])
        )
    return overlays


def project_tracks(
    tracks: Float32[np.ndarray, "V T K 3"],
    intrinsics: Float[np.ndarray, "V 3 3"],
    camera_from_world: Float[np.ndarray, "V 4 4"],
) -> Float[np.ndarray, "V T K 2"]:
    """Pixel of every point in its own view; NaN behind the camera."""
    in_camera = transform(camera_from_world[:, None], tracks.astype(np.float64))
    pixels = project(intrinsics[:, None], in_camera)
    return np.where(in_camera[..., 2:] > 1e-3, pixels, np.nan)


def draw_tracks(
    image: UInt8[np.ndarray, "H W 3"],
    overlay: Overlay,
    frame: int,
    *,
    long_side_px: int = TILE_PX,
    trail: int = TRAIL_FRAMES,
) -> Image.Image:
    """The dimmed frame with every point and its trail of so many frames; points that their view does not see are small and dark."""
    backdrop = fit_tile(image, long_side_px)
    backdrop = Image.blend(Image.new("RGB", backdrop.size), backdrop, _BACKDROP_LIGHT)
    zoom = backdrop.width / image.shape[1]
    large = backdrop.resize(
        (backdrop.width * _SUPERSAMPLING, backdrop.height * _SUPERSAMPLING), Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(large, "RGBA")
    pixels = (overlay.pixels + 0.5) * zoom * _SUPERSAMPLING
    order = np.argsort(overlay.visible[frame], kind="stable")  # those seen are drawn on top
    for point in order:
        _draw_trail(draw, pixels[max(0, frame - trail) : frame + 1, point], LABEL_COLOURS[overlay.label[point]])
    for point in order:
        _draw_point(draw, pixels[frame, point], LABEL_COLOURS[overlay.label[point]], seen=overlay.visible[frame, point])
    return large.resize(backdrop.size, Image.Resampling.BOX)


def write_validation_picture(path: Path, components, data_dir: Path, *, split: str = "val") -> None:
    """Predict the first sequence of a split and draw it beside the truth, as a PNG."""
    from syncmv4d_model.data.atomic import atomic_file
    from syncmv4d_model.evaluation.predicted import read_as_seen
    from syncmv4d_model.predictor import Predictor

    predictor = Predictor(components)
    sequence = read_as_seen(predictor, list_sequences(data_dir, split, limit=1)[0])
    observation = observation_of(sequence)
    prediction = predictor.predict(observation, seed=0)
    preview = draw_preview(prediction, observation, note=path.stem, truth=match_truth(prediction, sequence))
    with atomic_file(path) as partial:
        Image.fromarray(preview.still).save(partial, format="PNG")


def _sheet(
    prediction: Prediction, observation: Observation, columns: Items[str], *, note: str, truth: Truth | None
) -> Sheet:
    """An empty sheet with its captions."""
    facts = [note] if note else []
    if truth is not None and np.isfinite(truth.error_cm):
        facts.append(
            f"error of moving points {truth.error_cm:.1f} cm (if nothing moved: {truth.static_error_cm:.1f} cm)"
        )
    shown = [*observation.images, prediction.video[0, 0], *([] if truth is None else [truth.sequence.video[0, 0]])]
    sizes = [fit_tile(image, TILE_PX).size for image in shown]
    return Sheet(
        columns=[*columns, *(["true video", "true tracks"] if truth is not None else [])],
        rows=observation.view_names,
        tile=(max(width for width, _ in sizes), max(height for _, height in sizes)),
        title=" ".join(observation.task.split()) or "(no task)",
        subtitle="   ·   ".join(facts),
        legend=[(name, LABEL_COLOURS[LABELS.index(name)]) for name in ("hand", "tool", "target", "unknown")],
    )


def _camera_tile(image: UInt8[np.ndarray, "_ _ 3"], window_px: Float[np.ndarray, "4"]) -> Image.Image:
    """The whole image, what is outside the window dimmed."""
    tile = fit_tile(image, TILE_PX)
    left, top, wide, high = window_px * (tile.width / image.shape[1])
    inside = Image.new("L", tile.size, round(255 * _BACKDROP_LIGHT))
    ImageDraw.Draw(inside).rectangle([left, top, left + wide - 1, top + high - 1], fill=255)
    return Image.composite(tile, Image.new("RGB", tile.size), inside)


def _motion_tiles(prediction: Prediction, overlays: list[Overlay], view: int, frame: int) -> list[Image.Image]:
    pseudo = np.rint(prediction.pseudo_video[view, frame] * 255).clip(0, 255).astype(np.uint8)
    return [fit_tile(pseudo, TILE_PX, smooth=False), draw_tracks(prediction.video[view, frame], overlays[view], frame)]


def _truth_tiles(truth: Truth | None, overlays: list[Overlay], view: int, frame: int) -> list[Image.Image]:
    if truth is None:
        return []
    video = truth.sequence.video[view]
    frame = min(frame, len(video) - 1)
    return [fit_tile(video[frame], TILE_PX), draw_tracks(video[frame], overlays[view], frame)]


def _draw_trail(draw: ImageDraw.ImageDraw, path: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Where the point was, fading backwards; nothing for a point that stayed."""
    if np.ptp(path, axis=0).max() < _SUPERSAMPLING:
        return
    last = len(path) - 1
    for step in range(1, last + 1):
        segment = path[step - 1 : step + 1]
        if np.isfinite(segment).all():
            alpha = int(150 * (1 - (last - step) / max(last, TRAIL_FRAMES)))
            draw.line([tuple(segment[0]), tuple(segment[1])], fill=(*colour, alpha), width=_SUPERSAMPLING)


def _draw_point(draw: ImageDraw.ImageDraw, at: np.ndarray, colour: tuple[int, int, int], *, seen: bool) -> None:
    if not np.isfinite(at).all() or np.abs(at).max() > 1e5:
        return
    radius = (2.6 if seen else 1.5) * _SUPERSAMPLING
    fill = (*colour, 255) if seen else (*colour, 90)
    draw.ellipse([at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius], fill=fill)


def thinned(count: int) -> np.ndarray:
    """At most MAX_POINTS indices, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_POINTS)).astype(int)) if count else np.zeros(0, int)


def _time(prediction: Prediction, frame: int) -> str:
    return f"{frame * prediction.frame_period_s:.2f} s"
