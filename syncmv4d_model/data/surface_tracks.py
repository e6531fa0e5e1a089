"""Exact surface tracks: anchors cast from the first picture, carried by a moving mesh, tested against depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from syncmv4d_model.data.raster import rasterise
from syncmv4d_model.geometry import project, transform

VISIBLE_TOLERANCE_M = 0.002  # less than the thinnest blade
MIN_FOREGROUND_PX = 64
"""Fewer in any view's first picture: the sequence shows too little to be used."""


@dataclass(frozen=True)
class SceneRig:
    """The cameras of one sequence; all share one picture size."""

    view_names: tuple[str, ...]
    intrinsics: Float[np.ndarray, "V 3 3"]
    camera_from_world: Float[np.ndarray, "V 4 4"]
    height: int
    width: int


@dataclass(frozen=True)
class Surface:
    """All foreground meshes as one."""

    vertices: Float[np.ndarray, "T P 3"]  # world, metres, per frame
    faces: Int[np.ndarray, "F 3"]
    label: UInt8[np.ndarray, "F"]  # per face, index into LABELS
    essential: Int[np.ndarray, "E"]  # vertices that pictures should hold: all but the forearm

    @property
    def action_points(self) -> Float[np.ndarray, "N 3"]:
        """Where the essential vertices are at every fourth frame, for framing."""
        return self.vertices[::4, self.essential].reshape(-1, 3)


@dataclass(frozen=True)
class Tracks:
    """Truth of one sequence, as the data-set contract names it."""

    positions: Float32[np.ndarray, "V T K 3"]  # world, metres
    visible: Bool[np.ndarray, "V T K"]
    label: UInt8[np.ndarray, "V K"]
    anchors_px: Float32[np.ndarray, "V K 2"]
    depth_scale: Float32[np.ndarray, "V 2"]
    foreground_share: float  # of the first pictures' pixels


def track(
    body: Surface,
    rig: SceneRig,
    depth_m: Float32[np.ndarray, "V T H W"],
    *,
    num_points: int,
    rng: np.random.Generator,
) -> Tracks:
    """Cast `num_points` anchors per view into the first picture and follow them; `depth_m` says what hides them.

    ValueError when a view's first picture shows fewer than MIN_FOREGROUND_PX foreground pixels.
    """
    views = [
        _track_view(body, rig, depth_m[view], view, num_points=num_points, rng=rng)
        for view in range(len(rig.view_names))
    ]
    positions, visible, label, anchors, scale, share = zip(*views, strict=True)
    return Tracks(
        np.stack(positions),
        np.stack(visible),
        np.stack(label),
        np.stack(anchors),
        np.stack(scale),
        float(np.mean(share)),
    )


def _track_view(
    body: Surface,
    rig: SceneRig,
    depth_m: Float32[np.ndarray, "T H W"],
    view: int,
    *,
    num_points: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    intrinsics, camera_from_world = rig.intrinsics[view], rig.camera_from_world[view]
    hit = rasterise(
        transform(camera_from_world, body.vertices[0]), body.faces, intrinsics, height=rig.height, width=rig.width
    )
    nearest = np.where(hit.face >= 0, hit.depth_m, -np.inf)
    shown = np.abs(nearest - depth_m[0]) < VISIBLE_TOLERANCE_M
    rows, columns = np.nonzero(shown)
    if len(rows) < MIN_FOREGROUND_PX:
        raise ValueError(
            f"view {rig.view_names[view]!r} starts with {len(rows)} foreground pixels, needs {MIN_FOREGROUND_PX}"
        )
    chosen = stratified(np.stack([columns, rows], -1), num_points, rng)
    rows, columns = rows[chosen], columns[chosen]
    face, weights = hit.face[rows, columns], hit.barycentric[rows, columns]
    positions = np.einsum("tkcx,kc->tkx", body.vertices[:, body.faces[face]], weights)
    in_camera = transform(camera_from_world, positions.reshape(-1, 3)).reshape(positions.shape)
    visible = visible_points(in_camera, intrinsics, depth_m)
    scale = np.array([in_camera[..., 2].min(), in_camera[..., 2].max()], np.float32)
    anchors = np.stack([columns, rows], -1).astype(np.float32)
    return positions.astype(np.float32), visible, body.label[face], anchors, scale, float(shown.mean())


def stratified(pixels: Int[np.ndarray, "P 2"], count: int, rng: np.random.Generator) -> Int[np.ndarray, "K"]:
    """Indices of `count` pixels spread evenly over the foreground; all of them, repeated, when there are fewer."""
    order = np.lexsort((rng.random(len(pixels)), _interleaved(pixels)))
    places = (np.arange(count) + rng.random()) * len(pixels) / count
    return order[np.floor(places).astype(int) % len(pixels)]


def _interleaved(pixels: Int[np.ndarray, "P 2"]) -> Int[np.ndarray, "P"]:
    """Place of each pixel on a z-order curve: neighbours on it are neighbours in the picture."""
    code = np.zeros(len(pixels), np.int64)
    for bit in range(14):
        code |= ((pixels[:, 0].astype(np.int64) >> bit) & 1) << (2 * bit)
        code |= ((pixels[:, 1].astype(np.int64) >> bit) & 1) << (2 * bit + 1)
    return code


def visible_points(
    points_camera: Float[np.ndarray, "T K 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    depth_m: Float32[np.ndarray, "T H W"],
) -> Bool[np.ndarray, "T K"]:
    """Whether each point lies on the nearest surface that the camera sees.

    It does if it is no deeper, within a tolerance, than the deepest of the four pixels around it: on a slope the
    rendered depth changes by more than the tolerance within a pixel.
    """
    height, width = depth_m.shape[1:]
    pixels, z = project(intrinsics, points_camera), points_camera[..., 2]
    inside = (z > 0) & (pixels > -0.5).all(-1) & (pixels[..., 0] < width - 0.5) & (pixels[..., 1] < height - 0.5)
    low = np.floor(np.nan_to_num(pixels)).astype(int)
    frame = np.arange(len(z))[:, None]
    deepest = np.full(z.shape, -np.inf)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = np.clip(low[..., 0] + right, 0, width - 1), np.clip(low[..., 1] + down, 0, height - 1)
        deepest = np.maximum(deepest, depth_m[frame, row, column])
    return inside & (z < deepest + VISIBLE_TOLERANCE_M)
