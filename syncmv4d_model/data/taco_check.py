"""Do a TACO recording's poses fit its pictures, and what hides what: both are seen where the whole
action is.

This looks at all frames. It decides whether a recording is taken and what is visible in truth,
never what a predictor is given.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from syncmv4d_model.data.raster import Hit, rasterise
from syncmv4d_model.data.reprojection import reprojection_offset
from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.data.window import cut_window, window_intrinsics
from syncmv4d_model.geometry import project, transform

MARGIN = 0.12
"""Of the action's box, all round together."""
LEAST_CROP_PX = 16


@dataclass(frozen=True)
class Action:
    """What one camera shows of all that happens."""

    intrinsics: Float64[np.ndarray, "3 3"]  # of depth_m
    depth_m: Float32[np.ndarray, "T h w"]  # of hands, tool and target; infinity where there is none
    offset: Float64[np.ndarray, "2"]  # of what moves from what changes: (x, y), shares of the sides
    likeness: float


def see_action(
    surface: Surface,
    images: UInt8[np.ndarray, "T H W 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    camera_from_world: Float[np.ndarray, "4 4"],
    *,
    height: int,
    width: int,
) -> Action:
    """Look at the part of the pictures that holds the action, at height x width. ValueError where
    the camera sees too little of it, or nothing moves.
    """
    window = action_window(surface, intrinsics, camera_from_world, images.shape[1:3], aspect=width / height)
    inside = window_intrinsics(intrinsics[None], window[None], height=height, width=width)[0]
    hits = [
        rasterise(transform(camera_from_world, vertices), surface.faces, inside, height=height, width=width)
        for vertices in surface.vertices
    ]
    frames = np.stack([cut_window(image, window, height=height, width=width) for image in images])
    right, down, likeness = reprojection_offset(frames, _speed(surface, hits))
    depth = np.stack([hit.depth_m for hit in hits]).astype(np.float32)
    return Action(inside, depth, np.array([right / width, down / height]), likeness)


def action_window(
    surface: Surface,
    intrinsics: Float[np.ndarray, "3 3"],
    camera_from_world: Float[np.ndarray, "4 4"],
    size: tuple[int, int],
    *,
    aspect: float,
) -> Float64[np.ndarray, "4"]:
    """About all that the surface ever is: a window of this aspect inside a picture of `size`
    (height, width). ValueError where the camera sees none of it.
    """
    points = transform(camera_from_world, surface.vertices[:, surface.essential].reshape(-1, 3))
    if (points[:, 2] <= 0).any():
        raise ValueError("the action is not all in front of the camera")
    limit = np.array([size[1], size[0]], dtype=np.float64)
    pixels = project(intrinsics, points) + 0.5  # edges of a picture are whole numbers then
    low, high = np.clip([pixels.min(0), pixels.max(0)], 0, limit)
    if (high - low < LEAST_CROP_PX).any():
        raise ValueError(f"the camera sees {high[0] - low[0]:.0f} x {high[1] - low[1]:.0f} px of the action")
    shape = np.array([aspect, 1.0])
    side = shape * min(((high - low) * (1 + MARGIN) / shape).max(), (limit / shape).min())
    return np.concatenate([np.clip((low + high - side) / 2, 0, limit - side), side])


def _speed(surface: Surface, hits: Seq[Hit]) -> Float32[np.ndarray, "P H W"]:
    """How far what each pixel shows moves between two frames, metres: the farther of what it shows
    before and after.
    """
    moved = np.linalg.norm(np.diff(surface.vertices, axis=0), axis=-1)
    of_faces = np.concatenate([moved[:, surface.faces].mean(-1), np.zeros((len(moved), 1))], axis=1)  # -1: no face
    pairs = zip(of_faces, hits[:-1], hits[1:], strict=True)
    return np.stack([np.maximum(faces[one.face], faces[other.face]) for faces, one, other in pairs]).astype(np.float32)
