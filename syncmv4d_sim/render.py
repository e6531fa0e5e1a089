"""Pictures and depth of a rollout, through any pinhole, with MuJoCo's renderer (set MUJOCO_GL to egl or osmesa)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import mujoco
import numpy as np
from jaxtyping import Float, Float32, UInt8

from syncmv4d_sim.cameras import SceneRig, camera_poses
from syncmv4d_sim.objects import COLLISION_GROUP
from syncmv4d_sim.physics import Rollout

NEAR_M, FAR_M = 0.05, 12.0
MAX_GEOMS = 400
SAMPLES = 4


@dataclass(frozen=True)
class Frames:
    """What the cameras saw."""

    rgb: UInt8[np.ndarray, "V T H W 3"]
    depth_m: Float32[np.ndarray, "V T H W"]  # along the optical axis


@lru_cache(maxsize=1)
def _gl_context(width: int, height: int) -> mujoco.GLContext:
    context = mujoco.GLContext(width, height)
    context.make_current()
    return context


def render(rollout: Rollout, rig: SceneRig, *, shadows: bool = True) -> Frames:
    """Render every frame of the rollout in every view."""
    model = rollout.model
    _gl_context(rig.width, rig.height)
    model.vis.global_.offwidth, model.vis.global_.offheight = rig.width, rig.height
    model.vis.quality.offsamples = SAMPLES
    data, option = mujoco.MjData(model), mujoco.MjvOption()
    option.geomgroup[COLLISION_GROUP] = 0
    picture, context = mujoco.MjvScene(model, MAX_GEOMS), mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
    picture.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
    picture.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
    size = (len(rig.view_names), rollout.num_frames, rig.height, rig.width)
    rgb, z_buffer = np.empty((*size, 3), np.uint8), np.empty(size, np.float32)
    poses, free_camera = camera_poses(rig), mujoco.MjvCamera()
    viewport = mujoco.MjrRect(0, 0, rig.width, rig.height)
    for frame in range(rollout.num_frames):
        rollout.set_frame(data, frame)
        mujoco.mjv_updateScene(model, data, option, None, free_camera, mujoco.mjtCatBit.mjCAT_ALL, picture)
        for view in range(size[0]):
            _aim(picture, rig.intrinsics[view], poses[view], height=rig.height, width=rig.width)
            mujoco.mjr_render(viewport, picture, context)
            mujoco.mjr_readPixels(rgb[view, frame], z_buffer[view, frame], viewport, context)
    context.free()
    return Frames(rgb[:, :, ::-1].copy(), _metric_depth(z_buffer[:, :, ::-1]))


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
