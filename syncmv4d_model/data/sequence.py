"""One recorded or simulated example and its folder in a data set (docs/guides/files.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Float64, UInt8

from syncmv4d_model.data.atomic import atomic_directory
from syncmv4d_model.data.degradation import apply_tone, degrade, draw_degradation
from syncmv4d_model.data.image_file import encode_depth, encode_png, read_png
from syncmv4d_model.data.npz import read_npz
from syncmv4d_model.data.rig import RIG_FILE, Rig, read_rig, write_rig
from syncmv4d_model.data.truth_checks import NO_SEED, check_truth
from syncmv4d_model.data.video import encode_video, read_video
from syncmv4d_model.data.window import (
    cut_window,
    from_window,
    grow_windows,
    to_window,
    window_intrinsics,
)

TRUTH_FILE = "truth.npz"
TASK_FILE = "task.txt"
BODIES_FILE = "bodies.npz"
FUTURES_FILE = "futures.npz"
BACKGROUND = 255
"""Value of a label mask where no named object is."""
_TRUTH_KEYS = (
    "positions", "visible", "label", "intrinsics", "camera_from_world", "anchors_px", "video_size", "frame_period_s",
    "task", "depth_scale", "triplet",
)  # fmt: skip
_WINDOW_KEYS = ("windows_px", "boxes_px", "margin_px", "tags", "seed")
"""Absent from folders whose pictures are whole images of the video's size."""


@dataclass(frozen=True)
class Sequence:
    """V synchronised videos with exact tracks, in the windows that the networks see. N = T, or 0 when read without video."""

    name: str
    task: str
    triplet: str
    view_names: tuple[str, ...]
    video: UInt8[np.ndarray, "V N H W 3"]
    intrinsics: Float[np.ndarray, "V 3 3"]  # px of `video`; integer pixel centres
    camera_from_world: Float[np.ndarray, "V 4 4"]
    positions: Float32[np.ndarray, "V T K 3"]  # world, metres
    visible: Bool[np.ndarray, "V T K"]  # by the point's own view
    label: UInt8[np.ndarray, "V K"]  # index into types.LABELS
    anchors_px: Float32[np.ndarray, "V K 2"]  # frame-0 pixel (u, v) in `video`
    depth_scale: Float32[np.ndarray, "V 2"]  # metres, (near, far) of the view's points over all frames
    frame_period_s: float
    reference: tuple[UInt8[np.ndarray, "_ _ 3"], ...] = ()  # whole first images; none: the video's first frames are
    reference_intrinsics: Float64[np.ndarray, "V 3 3"] | None = None  # px of `reference`
    windows_px: Float64[np.ndarray, "V 4"] | None = None  # of `video` in `reference`, see data.window
    boxes_px: Float[np.ndarray, "V 3 4"] | None = None  # visible parts of hand, tool, target in `reference`; NaN: none
    tags: tuple[str, ...] = ()  # what kind of scene it is
    seed: int = NO_SEED  # of what its cameras do to its pictures; NO_SEED: nothing
    futures_m: Float32[np.ndarray, "F V T K 3"] | None = None  # what `read_futures` finds, for who asked for it

    @property
    def whole_images(self) -> tuple[UInt8[np.ndarray, "_ _ 3"], ...]:
        """The first images that a camera would deliver."""
        return self.reference or tuple(self.video[:, 0])

    @property
    def whole_intrinsics(self) -> Float64[np.ndarray, "V 3 3"]:
        """K of `whole_images`."""
        return (self.intrinsics if self.reference_intrinsics is None else self.reference_intrinsics).astype(np.float64)

    @property
    def whole_sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) of `whole_images`."""
        return tuple((image.shape[1], image.shape[0]) for image in self.whole_images)

    @property
    def windows(self) -> Float64[np.ndarray, "V 4"]:
        """Where `video` lies in `whole_images`."""
        if self.windows_px is not None:
            return self.windows_px
        views, _, height, width = self.video.shape[:4]
        return np.tile(np.array([0.0, 0.0, width, height]), (views, 1))


def first_views(sequence: Sequence, count: int) -> Sequence:
    """The sequence with its first `count` views only, or with all of them if it has fewer."""
    if count >= len(sequence.view_names):
        return sequence
    names = ("view_names", "video", "intrinsics", "camera_from_world", "positions", "visible", "label", "anchors_px")
    names += ("depth_scale", "reference", "reference_intrinsics", "windows_px", "boxes_px")
    fewer = {name: getattr(sequence, name) for name in names if getattr(sequence, name) is not None}
    futures = None if sequence.futures_m is None else sequence.futures_m[:, :count]
    return replace(sequence, **{name: value[:count] for name, value in fewer.items()}, futures_m=futures)


@dataclass(frozen=True)
class Bodies:
    """The bodies of a sequence at every frame."""

    names: tuple[str, ...]
    label: UInt8[np.ndarray, "B"]
    world_from_body: Float[np.ndarray, "B T 4 4"]
    contact_tool_target: Bool[np.ndarray, "T"]
    contact_hand_tool: Bool[np.ndarray, "T"]


@dataclass(frozen=True)
class Truths:
    """What a folder may hold beside the sequence in its windows."""

    margin_video: UInt8[np.ndarray, "V T h w 3"] | None = None  # the windows enlarged, at their pixel density
    masks: tuple[UInt8[np.ndarray, "_ _"], ...] = ()  # of whole first images: label, or BACKGROUND
    depths_m: tuple[Float32[np.ndarray, "_ _"], ...] = ()  # of whole first images
    full_video: tuple[UInt8[np.ndarray, "T _ _ 3"], ...] = ()  # whole images of all frames
    bodies: Bodies | None = None
    futures_m: Float16[np.ndarray, "F V T K 3"] | None = (
        None  # displacement from frame 0 where what is hidden is drawn anew
    )


def rig_of_sequence(sequence: Sequence) -> Rig:
    """The rig that belongs to a sequence's whole first images; the sequence must have been read with its video."""
    return Rig(
        view_names=sequence.view_names,
        image_files=tuple(f"{name}.png" for name in sequence.view_names),
        sizes=sequence.whole_sizes,
        intrinsics=sequence.whole_intrinsics,
        camera_from_world=sequence.camera_from_world.astype(np.float64),
        distortion=(None,) * len(sequence.view_names),
    )


def write_sequence(directory: Path, sequence: Sequence, truths: Truths | None = None) -> None:
    """Write DIR/<split>/<sequence>, whole or not at all: first images, lossless videos, rig.yaml, task.txt, truth.npz.

    ValueError for a sequence without video or with a rig that rig.check_rig refuses; OSError as atomic.atomic_directory.
    """
    truths = truths or Truths()
    views, frames, height, width = sequence.video.shape[:4]
    if frames != sequence.positions.shape[1]:
        raise ValueError(f"{sequence.name}: {frames} frames of video but {sequence.positions.shape[1]} of tracks")
    rig = rig_of_sequence(sequence)
    truth = {key: getattr(sequence, key) for key in _TRUTH_KEYS if key != "video_size"}
    truth |= {"video_size": np.array([[width, height]] * views), "windows_px": sequence.windows}
    truth["anchors_px"] = from_window(sequence.anchors_px, sequence.windows, height=height, width=width)
    videos = sequence.video if truths.margin_video is None else truths.margin_video
    truth |= {"margin_px": (videos.shape[3] - width) // 2, "tags": ",".join(sequence.tags), "seed": sequence.seed}
    truth |= {} if sequence.boxes_px is None else {"boxes_px": sequence.boxes_px}
    with atomic_directory(directory) as partial:
        write_rig(partial / RIG_FILE, rig)
        (partial / TASK_FILE).write_text(sequence.task + "\n", encoding="utf-8")
        for view, name in enumerate(sequence.view_names):
            (partial / f"{name}.png").write_bytes(encode_png(sequence.whole_images[view]))
            if frames > 1:
                content = encode_video(videos[view], frame_period_s=sequence.frame_period_s, lossless=True)
                (partial / f"{name}.mp4").write_bytes(content)
            _write_view_truths(partial, name, view, truths, frame_period_s=sequence.frame_period_s)
        if truths.bodies is not None:
            np.savez_compressed(partial / BODIES_FILE, **_body_arrays(truths.bodies))
        if truths.futures_m is not None:
            np.savez_compressed(partial / FUTURES_FILE, displacement_m=truths.futures_m)
        np.savez_compressed(partial / TRUTH_FILE, **truth)


def _write_view_truths(partial: Path, name: str, view: int, truths: Truths, *, frame_period_s: float) -> None:
    if truths.masks:
        (partial / f"{name}.mask0.png").write_bytes(encode_png(truths.masks[view]))
    if truths.depths_m:
        (partial / f"{name}.depth0.png").write_bytes(encode_depth(truths.depths_m[view]))
    if truths.full_video:
        content = encode_video(truths.full_video[view], frame_period_s=frame_period_s, crf=4)
        (partial / f"{name}.full.mp4").write_bytes(content)


def _body_arrays(bodies: Bodies) -> dict[str, Any]:
    return {
        "names": np.array(bodies.names),
        "label": bodies.label,
        "world_from_body": bodies.world_from_body.astype(np.float32),
        "contact_tool_target": bodies.contact_tool_target,
        "contact_hand_tool": bodies.contact_hand_tool,
    }


def read_sequence(
    directory: Path,
    *,
    with_video: bool = True,
    windows_px: Float64[np.ndarray, "V 4"] | None = None,
    degraded: bool = True,
) -> Sequence:
    """Read a sequence folder, in the windows that it was stored for or in others.

    `degraded` does to its pictures what cameras do (data.degradation). FileNotFoundError naming what is missing; ValueError
    for a file that is broken or that contradicts the others.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"no sequence folder {directory}")
    rig = read_rig(directory / RIG_FILE)
    truth = read_npz(directory / TRUTH_FILE, _TRUTH_KEYS, optional=_WINDOW_KEYS)
    check_truth(directory / TRUTH_FILE, truth)
    views = len(truth["positions"])
    if views != len(rig.view_names):
        raise ValueError(f"{directory}: {TRUTH_FILE} has {views} views, {RIG_FILE} has {len(rig.view_names)}")
    width, height = (int(size) for size in truth["video_size"][0])
    stored = _stored_windows(truth)
    in_stored = window_intrinsics(rig.intrinsics, stored, height=height, width=width)
    for key, found in {"intrinsics": in_stored, "camera_from_world": rig.camera_from_world}.items():
        if not np.allclose(truth[key], found, rtol=1e-4, atol=1e-4):
            raise ValueError(f"{directory}: {TRUTH_FILE} and {RIG_FILE} have different {key}")
    windows = stored if windows_px is None else windows_px
    video, reference = np.zeros((views, 0, height, width, 3), np.uint8), ()
    if with_video:
        video, reference = _read_pictures(directory, rig, truth, windows, degraded=degraded)
    return Sequence(
        name=directory.name,
        task=str(truth["task"]),
        triplet=str(truth["triplet"]),
        view_names=rig.view_names,
        video=video,
        frame_period_s=float(truth["frame_period_s"]),
        intrinsics=window_intrinsics(rig.intrinsics, windows, height=height, width=width),
        anchors_px=to_window(truth["anchors_px"], windows, height=height, width=width),
        reference=reference,
        reference_intrinsics=rig.intrinsics,
        windows_px=windows,
        boxes_px=truth.get("boxes_px"),
        tags=tuple(tag for tag in str(truth.get("tags", "")).split(",") if tag),
        seed=int(truth.get("seed", NO_SEED)),
        **{key: truth[key] for key in ("camera_from_world", "positions", "visible", "label", "depth_scale")},
    )


def _stored_windows(truth: dict[str, np.ndarray]) -> Float64[np.ndarray, "V 4"]:
    """Those of the file; of an older one, whose pictures are whole images, all of each."""
    if "windows_px" in truth:
        return truth["windows_px"].astype(np.float64)
    size = truth["video_size"].astype(np.float64)
    return np.concatenate([np.zeros_like(size), size], axis=1)


def _read_pictures(
    directory: Path, rig: Rig, truth: dict[str, np.ndarray], windows: Float64[np.ndarray, "V 4"], *, degraded: bool
) -> tuple[UInt8[np.ndarray, "V T H W 3"], tuple[UInt8[np.ndarray, "_ _ 3"], ...]]:
    """(video in the windows, whole first images)."""
    frames, (width, height) = truth["positions"].shape[1], truth["video_size"][0].tolist()
    seed, videos, images = int(truth.get("seed", NO_SEED)), [], []
    for view, name in enumerate(rig.view_names):
        later = _read_later_frames(directory, rig, truth, windows[view], view)
        image = read_png(directory / f"{name}.png", rig.sizes[view]) if rig.image_files[view] else later[0]
        if degraded and seed != NO_SEED:
            degradation = draw_degradation(seed, view)
            image, later = degrade(image, degradation), apply_tone(later, degradation)
        if rig.image_files[view]:
            later = np.concatenate([cut_window(image, windows[view], height=height, width=width)[None], later[1:]])
        videos.append(later[:frames])
        images.append(image)
    return np.stack(videos), tuple(images)


def _read_later_frames(
    directory: Path, rig: Rig, truth: dict[str, np.ndarray], window: Float64[np.ndarray, "4"], view: int
) -> UInt8[np.ndarray, "T H W 3"]:
    """All frames of one view in its window; of a single first image, a blank one in its place."""
    name, frames = rig.view_names[view], truth["positions"].shape[1]
    width, height = truth["video_size"][view].tolist()
    if frames == 1 and not (directory / f"{name}.mp4").exists():
        return np.zeros((1, height, width, 3), np.uint8)
    margin, stored = int(truth.get("margin_px", 0)), _stored_windows(truth)[view]
    if np.array_equal(window, stored):
        path, size = directory / f"{name}.mp4", (width + 2 * margin, height + 2 * margin)
        video = _read_video_of(path, frames, size)
        return video[:, margin : margin + height, margin : margin + width]
    if (path := directory / f"{name}.full.mp4").exists():
        video = _read_video_of(path, frames, rig.sizes[view])
        return np.stack([cut_window(frame, window, height=height, width=width) for frame in video])
    video = _read_video_of(directory / f"{name}.mp4", frames, (width + 2 * margin, height + 2 * margin))
    region = grow_windows(stored, margin, height=height, width=width)
    density = np.array([width, height]) / stored[2:]
    inside = np.array([*((window[:2] - region[:2]) * density), *(window[2:] * density)])
    return np.stack([cut_window(frame, inside, height=height, width=width) for frame in video])


def _read_video_of(path: Path, frames: int, size: tuple[int, int]) -> UInt8[np.ndarray, "T H W 3"]:
    """ValueError for a video of another length or (width, height)."""
    video = read_video(path, max_frames=frames + 1)
    if video.shape != (frames, size[1], size[0], 3):
        raise ValueError(
            f"{path} is {len(video)} frames of {video.shape[2]} x {video.shape[1]} px,"
            f" {TRUTH_FILE} says {frames} of {size[0]} x {size[1]}"
        )
    return video


def read_bodies(directory: Path) -> Bodies:
    """Read bodies.npz; errors as `read_npz`."""
    arrays: dict[str, Any] = dict(read_npz(directory / BODIES_FILE, tuple(Bodies.__annotations__)))
    arrays["names"] = tuple(str(name) for name in arrays["names"])
    return Bodies(**arrays)


def read_futures(directory: Path) -> Float32[np.ndarray, "F V T K 3"] | None:
    """Displacements from frame 0 (metres) under other draws of what is hidden; None where the folder has none."""
    path = directory / FUTURES_FILE
    return read_npz(path, ("displacement_m",))["displacement_m"].astype(np.float32) if path.exists() else None


def list_sequences(data_dir: Path, split: str, *, limit: int | None = None) -> list[Path]:
    """The sequence folders of a split, sorted by name; what killed writers left is skipped. FileNotFoundError without
    the data set's folder; ValueError if that is itself a split, or has no such split, or there is no sequence in it.
    """
    splits = list_splits(data_dir)
    if not (data_dir / split).is_dir():
        raise ValueError(f"{data_dir} has no split {split!r}; it has {', '.join(splits) or 'none'}")
    found = _sequences_in(data_dir / split)
    if not found:
        raise ValueError(f"split {split!r} of {data_dir} holds no sequence")
    return found[:limit]


def list_splits(data_dir: Path) -> list[str]:
    """Names of a data set's splits, sorted. FileNotFoundError without the folder; ValueError for one that is itself a split."""
    if not data_dir.is_dir():
        raise FileNotFoundError(f"no such folder: {data_dir}")
    if _sequences_in(data_dir):
        place = data_dir.resolve()
        raise ValueError(
            f"{data_dir} is one split of a data set: the data set is {place.parent}, the split {place.name!r}"
        )
    return sorted(path.name for path in data_dir.glob("*") if path.is_dir() and not path.name.startswith("."))


def _sequences_in(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob(f"*/{TRUTH_FILE}") if not path.parent.name.startswith("."))
