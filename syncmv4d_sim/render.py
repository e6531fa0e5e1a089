"""Pictures and depth of recorded states, through any pinhole, with MuJoCo's renderer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import mujoco
import numpy as np
from jaxtyping import Float, Float32, UInt8

from syncmv4d_model.data.surface_tracks import SceneRig
from syncmv4d_sim.cameras import camera_poses
from syncmv4d_sim.objects import COLLISION_GROUP

NEAR_M, FAR_M = 0.05, 12.0
MAX_GEOMS = 400
SUPERSAMPLE = (
    3  # odd: the middle sample of a pixel is its exact centre, where depth is read; colour is the samples' mean
)


@runtime_checkable
class Replay(Protocol):
    """Recorded states that can be put back into MuJoCo, one frame at a time."""

    @property
    def model(self) -> mujoco.MjModel: ...

    @property
    def num_frames(self) -> int: ...

    def set_frame(self, data: mujoco.MjData, frame: int) -> None: ...


@dataclass(frozen=True)
class Frames:
    """What the cameras saw."""

    rgb: UInt8[np.ndarray, "V T H W 3"]
    depth_m: Float32[np.ndarray, "V T H W"]  # along the optical axis


_of_this_thread = threading.local()
CONTEXT_PX = 64  # of the context's own window, which nothing is drawn in: pictures of any size have a buffer of their own


def _make_gl_context_current() -> None:
    """Make this thread's GL context current; it is made once, for that takes longer than a sequence's first images."""
    if getattr(_of_this_thread, "context", None) is None:
        _of_this_thread.context = mujoco.GLContext(CONTEXT_PX, CONTEXT_PX)
    _of_this_thread.context.make_current()


class Renderer:
    """Films recorded states through any rigs; made once for a model, for pictures up to a size. A context manager."""

    def __init__(self, replay: Replay, *, height: int, width: int, shadows: bool = True) -> None:
        self._replay, model = replay, replay.model
        self._height, self._width = height * SUPERSAMPLE, width * SUPERSAMPLE
        _make_gl_context_current()
        model.vis.global_.offwidth, model.vis.global_.offheight = self._width, self._height
        model.vis.quality.offsamples = 0
        self._data, self._option = mujoco.MjData(model), mujoco.MjvOption()
        self._option.geomgroup[COLLISION_GROUP] = 0
        self._picture = mujoco.MjvScene(model, MAX_GEOMS)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._picture.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._picture.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.free()

    def film(self, rig: SceneRig, frames: Sequence[int] | None = None, *, supersample: int = SUPERSAMPLE) -> Frames:
        """Render these frames (None: all) in every view. ValueError for pictures larger than it was made for.

        With an even `supersample` no sample lies at a pixel's centre: depth is then that of its deepest sample.
        """
        height, width = rig.height * supersample, rig.width * supersample
        if height > self._height or width > self._width:
            raise ValueError(f"made for {self._width} x {self._height} samples, asked for {width} x {height}")
        chosen = range(self._replay.num_frames) if frames is None else frames
        size = (len(rig.view_names), len(chosen), rig.height, rig.width)
        rgb, depth = np.empty((*size, 3), np.uint8), np.empty(size, np.float32)
        colour_buffer, z_buffer = np.empty((height, width, 3), np.uint8), np.empty((height, width), np.float32)
        poses, free_camera, viewport = camera_poses(rig), mujoco.MjvCamera(), mujoco.MjrRect(0, 0, width, height)
        for place, frame in enumerate(chosen):
            self._replay.set_frame(self._data, frame)
            everything = mujoco.mjtCatBit.mjCAT_ALL
            mujoco.mjv_updateScene(
                self._replay.model, self._data, self._option, None, free_camera, everything, self._picture
            )
            for view in range(size[0]):
                _aim(self._picture, rig.intrinsics[view], poses[view], height=rig.height, width=rig.width)
                mujoco.mjr_render(viewport, self._picture, self._context)
                mujoco.mjr_readPixels(colour_buffer, z_buffer, viewport, self._context)
                rgb[view, place] = _pixel_means(colour_buffer[::-1], supersample)
                depth[view, place] = _pixel_depths(z_buffer[::-1], supersample)
        return Frames(rgb, _metric_depth(depth))


def render(replay: Replay, rig: SceneRig, *, shadows: bool = True) -> Frames:
    """Render every recorded frame in every view."""
    with Renderer(replay, height=rig.height, width=rig.width, shadows=shadows) as renderer:
        return renderer.film(rig)


def _pixel_means(samples: UInt8[np.ndarray, "SH SW 3"], count: int) -> UInt8[np.ndarray, "H W 3"]:
    total = np.zeros((samples.shape[0] // count, samples.shape[1] // count, 3), np.uint16)
    for row in range(count):
        for column in range(count):
            total += samples[row::count, column::count]
    return ((total + count**2 // 2) // count**2).astype(np.uint8)


def _pixel_depths(samples: Float32[np.ndarray, "SH SW"], count: int) -> Float32[np.ndarray, "H W"]:
    if count % 2:
        return samples[count // 2 :: count, count // 2 :: count]
    parts = [samples[row::count, column::count] for row in range(count) for column in range(count)]
    return np.maximum.reduce(parts)


def _aim(
    picture: mujoco.MjvScene,
    intrinsics: Float[np.ndarray, "3 3"],
    world_from_camera: Float[np.ndarray, "4 4"],
    *,
    height: int,
    width: int,
) -> None:
    """Both of MuJoCo's eyes become this pinhole. Pixel centres are integers: the picture spans -0.5 .. width - 0.5."""
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    for camera in picture.camera:
        camera.pos, camera.forward, camera.up = (
            world_from_camera[:3, 3],
            world_from_camera[:3, 2],
            -world_from_camera[:3, 1],
        )
        camera.frustum_near, camera.frustum_far = NEAR_M, FAR_M
        camera.frustum_top, camera.frustum_bottom = NEAR_M * (cy + 0.5) / fy, -NEAR_M * (height - 0.5 - cy) / fy
        camera.frustum_center = NEAR_M * ((width - 1) / 2 - cx) / fx
        camera.frustum_width = NEAR_M * width / fx / 2


def _metric_depth(z_buffer: Float32[np.ndarray, "V T H W"]) -> Float32[np.ndarray, "V T H W"]:
    """Metres from OpenGL's z-buffer, 0 near and 1 far."""
    return (NEAR_M / (1 - z_buffer * (1 - NEAR_M / FAR_M))).astype(np.float32)
