"""Predictions that any method has written to a folder, read as cases: DIR/<sequence>/{<view>.mp4, tracks.npz or <view>.npz}.

What a method does not write is null in the report, with that reason. Nothing is made up for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt8
from PIL import Image
from scipy.spatial import KDTree

from syncmv4d_model import geometry
from syncmv4d_model.data.npz import check_size, read_npz
from syncmv4d_model.data.sequence import Sequence, read_sequence
from syncmv4d_model.data.truth_checks import checked_flags, checked_label
from syncmv4d_model.data.video import read_video
from syncmv4d_model.data.window import to_window
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.evaluation.case import IDENTITIES, Case, at_anchors, in_cameras, whole_anchors
from syncmv4d_model.evaluation.metrics.point_maps import NEAREST_M
from syncmv4d_model.results import TRACKS_FILE
from syncmv4d_model.types import Prediction

PAIRING_PX = 0.75
"""A predicted point answers for the true anchor that is this near to its own frame-0 pixel, or nearer; a point at every pixel always is."""

SAME_WINDOW_PX = 0.02
"""Windows whose edges differ by no more are one: their intrinsics went through a file."""

MAX_FILE_BYTES = 2 << 30
MAX_FRAMES = 4096
FARTHEST_M = 1e6

_OPTIONAL = ("visible", "stddev", "label", "depth_scale", "seed")

Geometry = Literal["tracks", "point_maps", "none"]
Alignment = Literal["none", "scale", "scale_by_depth"]


@dataclass(frozen=True)
class Method:
    """How a method's output is read and what it is forgiven."""

    geometry: Geometry  # tracks of points; a map of points per frame, which follows none of them; or video alone
    alignment: Alignment  # of each view's camera-frame points to the truth: one least-squares factor a video, or none
    about: str


METHODS: dict[str, Method] = {
    "tracks": Method("tracks", "none", "metric tracks in the rig's world frame, as `syncmv4d generate` writes them"),
    "wan2.2": Method("none", "none", "Wan2.2: videos alone"),
    "das": Method("none", "none", "Diffusion as Shader: videos alone"),
    "sv4d2": Method("none", "none", "SV4D 2.0: videos of each view alone"),
    "svimo": Method("tracks", "scale", "SViMo: video and hand-object points of one view, of no metric scale"),
    "geo4d": Method("point_maps", "scale_by_depth", "Geo4D: point maps of a given video, up to scale"),
    "geometrycrafter": Method(
        "point_maps", "scale_by_depth", "GeometryCrafter: point maps of a given video, up to scale"
    ),
}
"""Foreground rule, the same for all: errors of points are taken at the truth's anchors, which lie on hands, tools and targets."""


@dataclass(frozen=True)
class WrittenPredictions:
    """A folder with one sub-folder per sequence, and how to read it."""

    folder: Path
    method: Method

    def read(self, directory: Path) -> Sequence:
        """The truth in the windows that the written videos show: by the intrinsics and sizes in tracks.npz, else those that it
        was stored for. Errors as read_sequence; ValueError for intrinsics that are of no such window.
        """
        sequence = read_sequence(directory)
        path = self.folder / directory.name / TRACKS_FILE
        if self.method.geometry != "tracks" or not path.is_file():
            return sequence
        windows_px = _written_windows(path, sequence)
        same = windows_px is None or np.allclose(windows_px, sequence.windows, atol=SAME_WINDOW_PX)
        return sequence if same else read_sequence(directory, windows_px=windows_px)

    def case(self, sequence: Sequence, chosen: Int[np.ndarray, "V K"], *, text_mean: TextMean | None = None) -> Case:
        """What the method wrote for a sequence, at the chosen anchors of the truth.

        FileNotFoundError without the sequence's folder or the files that the method is to have; ValueError, naming the folder, for a
        file that is broken, or of other views, frames or sizes than the truth.
        """
        folder = self.folder / sequence.name
        if not folder.is_dir():
            raise FileNotFoundError(f"no prediction of sequence {sequence.name}: {folder} is not a folder")
        try:
            return self._read(folder, at_anchors(sequence, chosen), text_mean)
        except ValueError as error:
            raise error if str(folder) in str(error) else ValueError(f"{folder}: {error}") from error

    def _read(self, folder: Path, truth: Sequence, text_mean: TextMean | None) -> Case:
        absent: dict[str, str] = {}
        video = _read_videos(folder, truth, required=self.method.geometry == "none")
        if video is None:
            absent["video"] = f"{folder.name} has no {truth.view_names[0]}.mp4"
        if self.method.geometry == "none":
            nothing = np.zeros((*truth.positions.shape[:2], 0, 3), np.float32)
            return Case(
                truth,
                samples=(_prediction(truth, video, nothing, {}),),
                absent=absent,
                text_mean_tracks=_mean(text_mean, truth),
            )
        if self.method.geometry == "point_maps":
            (positions, decoded), arrays, paired = _read_point_maps(folder, truth), {}, None
            absent[IDENTITIES] = (
                "a map of points does not say which point is which over time: it was read where the truth is"
            )
        else:
            if video is not None and not (folder / TRACKS_FILE).is_file():
                alone = ", ".join(name for name, method in METHODS.items() if method.geometry == "none")
                raise FileNotFoundError(
                    f"no file {folder / TRACKS_FILE}; a method that writes videos alone is read with --method {alone}"
                )
            positions, decoded, arrays, paired = _read_tracks(folder / TRACKS_FILE, truth)
        for name in ("visible", "stddev", "label", "depth_scale"):
            if name not in arrays:
                absent[name] = f"{TRACKS_FILE} has no {name}"
        if not decoded.any():
            raise ValueError(
                f"{folder}: no finite predicted point lies within {PAIRING_PX} px of an anchor of the truth"
            )
        positions = _aligned(positions, decoded, truth, self.method.alignment)
        filled = metrics.filled_in_time(positions, decoded, first_frame=truth.positions[:, 0])
        return Case(
            truth,
            text_mean_tracks=_mean(text_mean, truth),
            samples=(_prediction(truth, video, filled.astype(np.float32), arrays),),
            tracks=(filled,),
            decoded=decoded,
            answered=paired,
            absent=absent,
        )


def _mean(text_mean: TextMean | None, truth: Sequence) -> np.ndarray | None:
    return None if text_mean is None else text_mean.tracks(truth)


def _prediction(
    truth: Sequence, video: np.ndarray | None, tracks: Float[np.ndarray, "V T K 3"], arrays: dict[str, np.ndarray]
) -> Prediction:
    """What was written, and blanks for the rest: the case's `absent` says which of them are blank."""
    views, frames, points = tracks.shape[:3]
    blank = np.zeros((views, frames, points), np.float32)
    video = np.zeros((views, frames, 0, 0, 3), np.uint8) if video is None else video
    return Prediction(
        video=video,
        pseudo_video=np.zeros(video.shape, np.float32),
        tracks=tracks,
        coarse_tracks=tracks,
        visible=arrays.get("visible", blank > 0).astype(bool),
        stddev=arrays.get("stddev", blank).astype(np.float32),
        label=arrays.get("label", np.zeros((views, points))).astype(np.uint8),
        anchors_px=whole_anchors(truth)[:, :points],
        windows_px=truth.windows,
        intrinsics=truth.intrinsics,
        depth_scale=arrays.get("depth_scale", np.zeros((views, 2))).astype(np.float32),
        frame_period_s=truth.frame_period_s,
        seed=int(arrays.get("seed", np.zeros(()))),
    )


def _read_videos(folder: Path, truth: Sequence, *, required: bool) -> UInt8[np.ndarray, "V T H W 3"] | None:
    """All views' videos, resized to the truth's pixels; None where there is none and none is required."""
    paths = [folder / f"{name}.mp4" for name in truth.view_names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing and (required or len(missing) < len(paths)):
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}")
    if missing:
        return None
    frames, height, width = truth.video.shape[1:4]
    videos = []
    for path in paths:
        _check_size(path)
        video = read_video(path)
        if len(video) != frames:
            raise ValueError(f"{path} has {len(video)} frames, the truth has {frames}")
        videos.append(_resized(video, height, width))
    return np.stack(videos)


def _resized(video: UInt8[np.ndarray, "T h w 3"], height: int, width: int) -> UInt8[np.ndarray, "T H W 3"]:
    if video.shape[1:3] == (height, width):
        return video
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)) for frame in video]
    )


def _read_tracks(path: Path, truth: Sequence) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """(positions, which have one, what else was written of them, which of the truth's anchors were answered), in the truth's order.
    Of the rest nothing is made up: it has no stddev (NaN) and the label "unknown".
    """
    _check_size(path)
    arrays = read_npz(path, ("positions", "anchors_px"), optional=_OPTIONAL)
    positions, anchors = arrays.pop("positions"), arrays.pop("anchors_px")
    _check_shapes(path, positions, anchors, arrays, truth)
    _check_values(path, positions, anchors, arrays)
    height, width = truth.video.shape[2:4]
    anchors = to_window(anchors, truth.windows, height=height, width=width)
    views, points = truth.label.shape
    nearest, rows = np.zeros((views, points), int), np.arange(views)[:, None]
    paired = np.zeros((views, points), bool)
    for view in range(views):
        distance, nearest[view] = KDTree(anchors[view]).query(truth.anchors_px[view])
        paired[view] = distance <= PAIRING_PX
    taken = np.moveaxis(positions[rows, :, nearest], 1, 2).astype(np.float64)  # V T K 3
    decoded = paired[:, None] & np.isfinite(taken).all(-1)
    kept = {name: np.moveaxis(arrays[name][rows, :, nearest], 1, 2) for name in ("visible", "stddev") if name in arrays}
    if "stddev" in arrays:
        kept["stddev"] = np.where(decoded, kept["stddev"], np.nan)
        if not (kept["stddev"][decoded] > 0).all() or np.isinf(kept["stddev"]).any():
            raise ValueError(f"{path}: stddev must be a positive number wherever a position is written")
    if "label" in arrays:
        kept["label"] = np.where(paired, arrays["label"][rows, nearest], 0)
    return taken, decoded, kept | {name: arrays[name] for name in ("depth_scale", "seed") if name in arrays}, paired


def _written_windows(path: Path, sequence: Sequence) -> Float64[np.ndarray, "V 4"] | None:
    """What the written videos show of the whole images; None where the file does not say it."""
    _check_size(path)
    arrays = read_npz(path, (), optional=("intrinsics", "video_size"))
    if len(arrays) < 2:
        return None
    written, size, whole = arrays["intrinsics"], arrays["video_size"], sequence.whole_intrinsics
    if written.shape != whole.shape or size.shape != (len(whole), 2):
        raise ValueError(f"{path}: intrinsics and video_size must be of {len(whole)} views")
    scale = np.stack([written[:, axis, axis] / whole[:, axis, axis] for axis in (0, 1)], axis=1)
    if not (np.isfinite(written).all() and (scale > 0).all() and (size > 0).all()):
        raise ValueError(f"{path}: intrinsics must be finite, with positive focal lengths")
    corner = whole[:, :2, 2] + 0.5 - (written[:, :2, 2] + 0.5) / scale
    return np.concatenate([corner, size / scale], axis=1)


def _check_shapes(
    path: Path, positions: np.ndarray, anchors: np.ndarray, arrays: dict[str, np.ndarray], truth: Sequence
) -> None:
    views, frames = truth.positions.shape[:2]
    if (
        positions.ndim != 4
        or positions.shape[3] != 3
        or positions.shape[:2] != (views, frames)
        or not positions.shape[2]
    ):
        raise ValueError(
            f"{path}: positions must be [{views} views, {frames} frames, at least 1 point, 3], got {list(positions.shape)}"
        )
    points = positions.shape[2]
    expected = {"visible": (views, frames, points), "stddev": (views, frames, points), "label": (views, points)}
    expected |= {"depth_scale": (views, 2), "seed": (), "anchors_px": (views, points, 2)}
    for name, array in ({"anchors_px": anchors} | arrays).items():
        if array.shape != expected[name]:
            raise ValueError(
                f"{path}: {name} must be {list(expected[name])} beside these positions, got {list(array.shape)}"
            )
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{path}: {name} holds {array.dtype}, which is not a number")


def _check_values(path: Path, positions: np.ndarray, anchors: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
    if positions.dtype.kind not in "fiu" or not np.isfinite(anchors).all():
        raise ValueError(f"{path}: positions must be numbers and anchors_px finite")
    if (np.abs(positions[np.isfinite(positions)]) > FARTHEST_M).any():
        raise ValueError(f"{path}: positions are metres, got one beyond {FARTHEST_M:g}")
    if "visible" in arrays:
        arrays["visible"] = checked_flags(path, "visible", arrays["visible"])
    if "label" in arrays:
        arrays["label"] = checked_label(path, arrays["label"])
    for name in ("depth_scale", "seed"):
        if not np.isfinite(arrays.get(name, 0)).all():
            raise ValueError(f"{path}: {name} holds something that is not a finite number")


def _read_point_maps(folder: Path, truth: Sequence) -> tuple[Float[np.ndarray, "V T K 3"], Bool[np.ndarray, "V T K"]]:
    """World points read off each view's camera-frame maps at the truth's pixel of that frame, where the truth is visible."""
    target = in_cameras(truth, truth.positions.astype(np.float64))
    pixels = geometry.project(truth.intrinsics[:, None], target)
    height, width = truth.video.shape[2:4]
    inside = metrics.inside(pixels, height=height, width=width) & (target[..., 2] > 0) & truth.visible
    points = np.zeros(target.shape)
    for view, name in enumerate(truth.view_names):
        path = folder / f"{name}.npz"
        _check_size(path)
        arrays = read_npz(path, ("point_map",), optional=("mask",))
        maps = arrays["point_map"]
        if (
            maps.shape[:1] != target[view].shape[:1]
            or maps.shape[3:] != (3,)
            or not maps.size
            or maps.dtype.kind != "f"
        ):
            raise ValueError(
                f"{path}: point_map must be [{len(target[view])} frames, H, W, 3] of floats, got {list(maps.shape)}"
            )
        mask = checked_flags(path, "mask", arrays.get("mask", np.ones(maps.shape[:3], bool)))
        if mask.shape != maps.shape[:3]:
            raise ValueError(f"{path}: mask must be {list(maps.shape[:3])}, got {list(mask.shape)}")
        scale = np.array([maps.shape[2] / width, maps.shape[1] / height])
        column, row = np.moveaxis(
            ((pixels[view] + 0.5) * scale).clip(0, np.array(maps.shape[2:0:-1]) - 1).astype(int), -1, 0
        )
        frame = np.arange(len(maps))[:, None]
        points[view] = maps[frame, row, column]
        inside[view] &= mask[frame, row, column] & np.isfinite(points[view]).all(-1)
    world = geometry.transform(
        geometry.inverse(truth.camera_from_world)[:, None], np.where(inside[..., None], points, 0.0)
    )
    return world, inside


def _aligned(positions: np.ndarray, decoded: np.ndarray, truth: Sequence, alignment: Alignment) -> np.ndarray:
    """Each view's points times one factor about its camera, the best against the truth; as they are without alignment."""
    if alignment == "none":
        return positions
    predicted, target = (
        in_cameras(truth, np.where(decoded[..., None], points, 0.0)) for points in (positions, truth.positions)
    )
    seen = decoded & truth.visible
    scaled = np.empty_like(predicted)
    for view in range(len(predicted)):
        weight = 1 / np.maximum(target[view, ..., 2], NEAREST_M) if alignment == "scale_by_depth" else None
        if not seen[view].any():
            raise ValueError(f"view {truth.view_names[view]} has no predicted point that could be scaled to the truth")
        scale = metrics.least_squares_scale(predicted[view], target[view], seen[view], weight)
        if scale <= 0:
            raise ValueError(
                f"view {truth.view_names[view]}: the points lie behind their camera, the best factor is {scale:g}"
            )
        scaled[view] = predicted[view] * scale
    return geometry.transform(geometry.inverse(truth.camera_from_world)[:, None], scaled)


def _check_size(path: Path) -> None:
    if path.is_file():
        check_size(path, MAX_FILE_BYTES)
