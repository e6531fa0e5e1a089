"""One of TACO's recordings -> a sequence of ours: three views cut to the action, the clip's frames, and tracks of all surfaces.

One camera of each cluster, 8 frames a second and pictures cut to hands and objects are the paper's choices; that frame i is the recording's
frame round(30 / 8 i), and that the cut is one for a view and clip, 12 % more than what it must hold, are ours.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from syncmv4d_model.data import taco
from syncmv4d_model.data.mano import HandModel
from syncmv4d_model.data.raster import Hit, rasterise
from syncmv4d_model.data.reprojection import reprojection_offset
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.data.surface_tracks import SceneRig, Surface, track
from syncmv4d_model.data.taco_surface import read_surface
from syncmv4d_model.data.video import picked_frames
from syncmv4d_model.data.window import cut_window, window_intrinsics
from syncmv4d_model.geometry import project, resized_intrinsics, transform

CAMERA_STREAM, ANCHOR_STREAM = 201, 202
LEAST_CROP_PX = 16


@dataclass(frozen=True)
class ClipOptions:
    """What every sequence of a data set shares."""

    height: int = 96
    width: int = 96
    num_points: int = 1024
    num_frames: int = 17
    frame_rate_hz: float = 8.0
    start_s: float = 0.0
    margin: float = 0.12  # of the action's box, all round together
    cameras: tuple[str, ...] = ()  # serial numbers; none: one telephoto camera of each cluster, drawn by seed
    hands: bool = True
    seed: int = 0

    @property
    def source_frames(self) -> Int[np.ndarray, "T"]:
        """Which frames of the recording the clip takes."""
        seconds = self.start_s + np.arange(self.num_frames) / self.frame_rate_hz
        return np.round(taco.FRAME_RATE_HZ * seconds).astype(int)


@dataclass(frozen=True)
class Clip:
    """A sequence, and what `reprojection_offset` finds in each view: (x, y) in shares of the picture, and likeness."""

    sequence: Sequence
    offsets: Float[np.ndarray, "V 2"]
    likeness: Float[np.ndarray, "V"]

    @property
    def worst_offset(self) -> float:
        """The largest one of any view, a share of the picture's sides."""
        return float(np.linalg.norm(self.offsets, axis=1).max())


def import_clip(recording: taco.Recording, options: ClipOptions, hand_models: dict[str, HandModel]) -> Clip:
    """Read a recording. FileNotFoundError for a part that is missing; ValueError for one that is broken or does not fit, a recording that is
    shorter than the clip, and views that show too little.
    """
    task, cameras = recording.task, taco.read_cameras(recording)
    surface = read_surface(recording, options.source_frames, hand_models, hands=options.hands)
    names = chosen_cameras(recording, cameras, options)
    views = [_filmed(recording, serial, cameras[serial], surface, options) for serial in names]
    rig = SceneRig(
        view_names=names if options.cameras else taco.CLUSTERS,
        intrinsics=np.stack([intrinsics for _, intrinsics in views]),
        camera_from_world=np.stack([cameras[serial].camera_from_world for serial in names]),
        height=options.height,
        width=options.width,
    )
    hits = [_hits(surface, rig, view) for view in range(len(names))]
    depth = np.stack([[hit.depth_m for hit in view] for view in hits]).astype(np.float32)
    rng = np.random.default_rng([options.seed, ANCHOR_STREAM, *recording.name.encode()])
    tracks = track(surface, rig, depth, num_points=options.num_points, rng=rng)
    video = np.stack([frames for frames, _ in views])
    found = [reprojection_offset(frames, _speed(surface, view)) for frames, view in zip(video, hits, strict=True)]
    sequence = Sequence(
        name=recording.name,
        task=task,
        triplet=recording.triplet,
        view_names=rig.view_names,
        video=video,
        intrinsics=rig.intrinsics,
        camera_from_world=rig.camera_from_world,
        positions=tracks.positions,
        visible=tracks.visible,
        label=tracks.label,
        anchors_px=tracks.anchors_px,
        depth_scale=tracks.depth_scale,
        frame_period_s=1 / options.frame_rate_hz,
    )
    offsets = np.array([[x / options.width, y / options.height] for x, y, _ in found])
    return Clip(sequence, offsets, np.array([likeness for _, _, likeness in found]))


def chosen_cameras(recording: taco.Recording, cameras: dict[str, taco.Camera], options: ClipOptions) -> tuple[str, ...]:
    """Serial numbers, left to right. ValueError for a camera that is not there, and for a cluster without one."""
    if missing := [serial for serial in options.cameras if serial not in cameras]:
        raise ValueError(f"the recording has no camera {missing[0]}; it has {', '.join(cameras)}")
    if options.cameras:
        return options.cameras
    rng = np.random.default_rng([options.seed, CAMERA_STREAM, *recording.name.encode()])
    clusters = taco.clusters_of(cameras)
    if empty := [name for name, serials in clusters.items() if not serials]:
        raise ValueError(f"no telephoto camera stands {empty[0]} of the action: name the cameras")
    return tuple(serials[rng.integers(len(serials))] for serials in map(sorted, clusters.values()))


def _filmed(
    recording: taco.Recording, serial: str, camera: taco.Camera, surface: Surface, options: ClipOptions
) -> tuple[UInt8[np.ndarray, "T H W 3"], Float[np.ndarray, "3 3"]]:
    """The clip of one camera, cut to the action, and its K."""
    folder = recording.folder(taco.MARKERLESS_VIDEOS)
    path = (folder if folder.is_dir() else recording.folder(taco.VIDEOS)) / f"{serial}.mp4"
    frames, intrinsics, window = [], camera.intrinsics, np.zeros(4)
    for image in picked_frames(path, options.source_frames.tolist()):
        height, width = image.shape[:2]
        if not frames:
            intrinsics = resized_intrinsics(intrinsics, width / camera.size[0], height / camera.size[1])
            window = np.concatenate(
                action_crop(surface, intrinsics, camera.camera_from_world, (height, width), options)
            )
        frames.append(cut_window(image, window, height=options.height, width=options.width))
    cut = window_intrinsics(intrinsics[None], window[None], height=options.height, width=options.width)[0]
    return np.stack(frames), cut


def action_crop(
    surface: Surface,
    intrinsics: Float[np.ndarray, "3 3"],
    camera_from_world: Float[np.ndarray, "4 4"],
    size: tuple[int, int],
    options: ClipOptions,
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """(upper left edge, width and height), pixels of a picture of `size` (height, width): about all that the surface ever is, with the
    picture's shape that is asked for, inside the picture. ValueError where the camera sees none of it.
    """
    points = transform(camera_from_world, surface.vertices[:, surface.essential].reshape(-1, 3))
    if (points[:, 2] <= 0).any():
        raise ValueError("the action is not all in front of the camera")
    limit = np.array([size[1], size[0]], dtype=np.float64)
    pixels = project(intrinsics, points) + 0.5  # edges of a picture are whole numbers then
    low, high = np.clip([pixels.min(0), pixels.max(0)], 0, limit)
    if (high - low < LEAST_CROP_PX).any():
        raise ValueError(f"the camera sees {high[0] - low[0]:.0f} x {high[1] - low[1]:.0f} px of the action")
    shape = np.array([options.width, options.height], dtype=np.float64)
    scale = min(((high - low) * (1 + options.margin) / shape).max(), (limit / shape).min())
    side = shape * scale
    return np.clip((low + high - side) / 2, 0, limit - side), side


def _hits(surface: Surface, rig: SceneRig, view: int) -> list[Hit]:
    return [
        rasterise(
            transform(rig.camera_from_world[view], vertices),
            surface.faces,
            rig.intrinsics[view],
            height=rig.height,
            width=rig.width,
        )
        for vertices in surface.vertices
    ]


def _speed(surface: Surface, hits: Seq[Hit]) -> Float32[np.ndarray, "P H W"]:
    """How far what each pixel shows moves between two frames, metres: the farther of what it shows before and after."""
    moved = np.linalg.norm(np.diff(surface.vertices, axis=0), axis=-1)
    of_faces = np.concatenate([moved[:, surface.faces].mean(-1), np.zeros((len(moved), 1))], axis=1)  # -1: no face
    pairs = zip(of_faces, hits[:-1], hits[1:], strict=True)
    return np.stack([np.maximum(faces[one.face], faces[other.face]) for faces, one, other in pairs]).astype(np.float32)
