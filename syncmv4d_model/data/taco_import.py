"""One of TACO's recordings -> a sequence of ours: three views, their windows, the clip's frames,
and tracks of all surfaces.

One camera of each cluster and 8 frames a second are the paper's choices; that frame i is the
recording's frame round(30 / 8 i) is ours. The paper cuts pictures to hands and objects of the whole
clip, which knows the future: our windows are chosen from frame 0.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int, UInt8

from syncmv4d_model.data import taco
from syncmv4d_model.data.mano import HandModel
from syncmv4d_model.data.sequence import Sequence, Truths
from syncmv4d_model.data.surface_tracks import choose_points, see_first_image, visible_points
from syncmv4d_model.data.taco_bodies import read_taco_bodies
from syncmv4d_model.data.taco_check import Action, see_action
from syncmv4d_model.data.taco_surface import read_surface
from syncmv4d_model.data.video import picked_frames
from syncmv4d_model.data.window import (
    MARGIN,
    ObjectFinder,
    choose_windows,
    cut_window,
    grow_windows,
    largest_windows,
    to_window,
    window_intrinsics,
)
from syncmv4d_model.geometry import resized_intrinsics, transform

CAMERA_STREAM, ANCHOR_STREAM = 201, 202
WindowKind = Literal["finder", "truth", "largest"]


@dataclass(frozen=True)
class ClipOptions:
    """What every sequence of a data set shares."""

    height: int = 96
    width: int = 96
    num_points: int = 1024
    num_frames: int = 17
    frame_rate_hz: float = 8.0
    start_s: float = 0.0
    windows: WindowKind = "largest"  # truth: about the true boxes of frame 0
    image_width: int = 640  # of whole reference images at most, px
    keeps_whole_frames: bool = False
    cameras: tuple[str, ...] = ()  # serial numbers; none: one telephoto camera of each cluster, drawn by seed
    hands: bool = True
    seed: int = 0

    @property
    def margin_px(self) -> int:
        """How much of later frames is stored beyond the window, all round."""
        return round(max(self.height, self.width) * (MARGIN - 1) / 2)

    @property
    def source_frames(self) -> Int[np.ndarray, "T"]:
        """Which frames of the recording the clip takes."""
        seconds = self.start_s + np.arange(self.num_frames) / self.frame_rate_hz
        return np.round(taco.FRAME_RATE_HZ * seconds).astype(int)


@dataclass(frozen=True)
class View:
    """What one camera recorded, at reference size."""

    images: UInt8[np.ndarray, "T H W 3"]
    intrinsics: Float[np.ndarray, "3 3"]
    camera_from_world: Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Clip:
    """A sequence, what is stored beside it, and by how much its poses do not fit its pictures
    (taco_check.Action).
    """

    sequence: Sequence
    truths: Truths
    offsets: Float[np.ndarray, "V 2"]  # shares of the part of the picture that holds the action
    likeness: Float[np.ndarray, "V"]

    @property
    def worst_offset(self) -> float:
        """The largest one of any view."""
        return float(np.linalg.norm(self.offsets, axis=1).max())


def import_clip(
    recording: taco.Recording,
    options: ClipOptions,
    hand_models: dict[str, HandModel],
    finder: ObjectFinder | None = None,
) -> Clip:
    """Read a recording. FileNotFoundError for a part that is missing; ValueError for one that is
    broken or does not fit, a recording that is shorter than the clip, views that show too little,
    and windows that need a finder where there is none.
    """
    if options.windows == "finder" and finder is None:
        raise ValueError("windows are chosen by a finder, and none was given")
    task, cameras = recording.task, taco.read_cameras(recording)
    surface = read_surface(recording, options.source_frames, hand_models, hands=options.hands)
    names = chosen_cameras(recording, cameras, options)
    views = [_filmed(recording, serial, cameras[serial], options) for serial in names]
    size = {"height": options.height, "width": options.width}
    actions = [see_action(surface, view.images, view.intrinsics, view.camera_from_world, **size) for view in views]
    seen = [_see_first_image(surface, view) for view in views]
    boxes = np.stack([view.boxes(surface) for view in seen])
    windows = _choose_windows(options, finder, tuple(view.images[0] for view in views), task, boxes)
    rng = np.random.default_rng([options.seed, ANCHOR_STREAM, *recording.name.encode()])
    points = [
        choose_points(view, options.num_points, rng, window_px=window)
        for view, window in zip(seen, windows, strict=True)
    ]
    intrinsics, anchors = np.stack([view.intrinsics for view in views]), np.stack([view.pixels for view in points])
    video = np.stack([_cut(view.images, window, options) for view, window in zip(views, windows, strict=True)])
    margin = options.margin_px
    sequence = Sequence(
        name=recording.name,
        task=task,
        triplet=recording.triplet,
        view_names=names if options.cameras else taco.CLUSTERS,
        video=video[:, :, margin : margin + options.height, margin : margin + options.width],
        intrinsics=window_intrinsics(intrinsics, windows, **size),
        camera_from_world=np.stack([view.camera_from_world for view in views]),
        label=np.stack([surface.label[view.face] for view in points]),
        anchors_px=to_window(anchors.astype(np.float32), windows, **size),
        frame_period_s=1 / options.frame_rate_hz,
        reference=tuple(view.images[0] for view in views),
        reference_intrinsics=intrinsics,
        windows_px=windows,
        boxes_px=boxes,
        **_follow(np.stack([view.positions(surface) for view in points]), views, actions),
    )
    truths = Truths(
        margin_video=video,
        masks=tuple(view.mask(surface) for view in seen),
        depths_m=tuple(view.hit.depth_m.astype(np.float32) for view in seen),
        full_video=tuple(view.images for view in views) if options.keeps_whole_frames else (),
        bodies=read_taco_bodies(recording, options.source_frames, surface),
    )
    offsets, likeness = (np.array([getattr(action, name) for action in actions]) for name in ("offset", "likeness"))
    return Clip(sequence, truths, offsets, likeness)


def chosen_cameras(recording: taco.Recording, cameras: dict[str, taco.Camera], options: ClipOptions) -> tuple[str, ...]:
    """Serial numbers, left to right. ValueError for a camera that is not there, and for a cluster
    without one.
    """
    if missing := [serial for serial in options.cameras if serial not in cameras]:
        raise ValueError(f"the recording has no camera {missing[0]}; it has {', '.join(cameras)}")
    if options.cameras:
        return options.cameras
    rng = np.random.default_rng([options.seed, CAMERA_STREAM, *recording.name.encode()])
    clusters = taco.clusters_of(cameras)
    if empty := [name for name, serials in clusters.items() if not serials]:
        raise ValueError(f"no telephoto camera stands {empty[0]} of the action: name the cameras")
    return tuple(serials[rng.integers(len(serials))] for serials in map(sorted, clusters.values()))


def _filmed(recording: taco.Recording, serial: str, camera: taco.Camera, options: ClipOptions) -> View:
    """The clip of one camera, at most `image_width` wide; sides are even, as videos need them."""
    folder = recording.folder(taco.MARKERLESS_VIDEOS)
    path = (folder if folder.is_dir() else recording.folder(taco.VIDEOS)) / f"{serial}.mp4"
    images, height, width = [], 0, 0
    for image in picked_frames(path, options.source_frames.tolist()):
        scale = min(options.image_width / image.shape[1], 1.0)
        height, width = (max(2 * round(side * scale / 2), 2) for side in image.shape[:2])
        whole = np.array([0.0, 0.0, image.shape[1], image.shape[0]])
        images.append(
            image if image.shape[:2] == (height, width) else cut_window(image, whole, height=height, width=width)
        )
    intrinsics = resized_intrinsics(camera.intrinsics, width / camera.size[0], height / camera.size[1])
    return View(np.stack(images), intrinsics, camera.camera_from_world)


def _see_first_image(surface: Surface, view: View) -> FirstImage:
    """Nothing is known of what else stands in the way."""
    height, width = view.images.shape[1:3]
    return see_first_image(surface, view.intrinsics, view.camera_from_world, None, height=height, width=width)


def _choose_windows(
    options: ClipOptions,
    finder: ObjectFinder | None,
    images: tuple[UInt8[np.ndarray, "_ _ 3"], ...],
    task: str,
    boxes_px: Float[np.ndarray, "V 3 4"],
) -> Float64[np.ndarray, "V 4"]:
    """From the first images, or from what is true of them."""
    sizes, aspect = [(image.shape[1], image.shape[0]) for image in images], options.width / options.height
    if options.windows == "largest":
        return largest_windows(sizes, aspect=aspect)
    if options.windows == "finder":
        assert finder is not None
        boxes_px = finder(images, task).boxes_px
    return choose_windows(boxes_px, sizes, aspect=aspect)


def _cut(
    images: UInt8[np.ndarray, "T H W 3"], window: Float64[np.ndarray, "4"], options: ClipOptions
) -> UInt8[np.ndarray, "T h w 3"]:
    """What is stored of a view: the window with its margin."""
    margin, size = options.margin_px, {"height": options.height, "width": options.width}
    region = grow_windows(window, margin, **size)
    stored = {name: side + 2 * margin for name, side in size.items()}
    return np.stack([cut_window(image, region, **stored) for image in images])


def _follow(positions: Float[np.ndarray, "V T K 3"], views: Seq[View], actions: Seq[Action]) -> dict[str, np.ndarray]:
    """Positions, where they are visible (in frame 0 all: they were chosen there), and (near, far)
    of each view's points.
    """
    in_cameras = np.stack([transform(v.camera_from_world, p) for v, p in zip(views, positions, strict=True)])
    visible = np.ones(positions.shape[:3], bool)
    for index, action in enumerate(actions):
        visible[index, 1:] = visible_points(in_cameras[index, 1:], action.intrinsics, action.depth_m[1:])
    depths = in_cameras[..., 2].reshape(len(views), -1)
    scale = np.stack([depths.min(1), depths.max(1)], axis=-1).astype(np.float32)
    return {"positions": positions.astype(np.float32), "visible": visible, "depth_scale": scale}
