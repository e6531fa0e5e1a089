"""Exact surface tracks: anchors cast from the first picture, carried by a moving mesh, tested against depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from syncmv4d_model.data.raster import Hit, rasterise
from syncmv4d_model.data.sequence import BACKGROUND
from syncmv4d_model.geometry import project, transform
from syncmv4d_model.types import LABELS

VISIBLE_TOLERANCE_M = 0.002  # less than the thinnest blade
MIN_OBJECT_PX = 12
MIN_FOREGROUND_PX = 32
"""Fewer in any view's window: the sequence shows too little to be used."""


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
    essential: Int[np.ndarray, "E"]  # vertices that windows should hold: all but the arm behind the wrist

    @property
    def essential_faces(self) -> Bool[np.ndarray, "F"]:
        """Faces whose corners are all essential."""
        is_essential = np.zeros(self.vertices.shape[1], bool)
        is_essential[self.essential] = True
        return np.asarray(is_essential[self.faces].all(1))

    @property
    def action_points(self) -> Float[np.ndarray, "N 3"]:
        """Where the essential vertices are at every fourth frame, for framing."""
        return self.vertices[::4, self.essential].reshape(-1, 3)


@dataclass(frozen=True)
class FirstImage:
    """What one camera's whole first image shows of the surface."""

    hit: Hit
    is_shown: Bool[np.ndarray, "H W"]  # the surface, and nothing in front of it

    def mask(self, body: Surface) -> UInt8[np.ndarray, "H W"]:
        """Labels, BACKGROUND elsewhere."""
        return np.where(self.is_shown, body.label[self.hit.face], BACKGROUND).astype(np.uint8)

    def boxes(self, body: Surface) -> Float[np.ndarray, "3 4"]:
        """Left, top, right, bottom edges (px) of the visible parts of hand (without the arm), tool and target.

        NaN for what shows fewer than MIN_OBJECT_PX pixels.
        """
        label = np.where(body.essential_faces, body.label, 0)
        seen = np.where(self.is_shown, label[self.hit.face], 0)
        boxes = np.full((len(LABELS) - 1, 4), np.nan)
        for index in range(len(boxes)):
            rows, columns = np.nonzero(seen == index + 1)
            if len(rows) >= MIN_OBJECT_PX:
                boxes[index] = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        return boxes


@dataclass(frozen=True)
class SurfacePoints:
    """Points that are fixed on a surface, chosen in a first image."""

    pixels: Int[np.ndarray, "K 2"]
    face: Int[np.ndarray, "K"]
    barycentric: Float[np.ndarray, "K 3"]

    def positions(self, body: Surface) -> Float[np.ndarray, "T K 3"]:
        """Where they are at every frame of a surface with these faces; world, metres."""
        return np.einsum("tkcx,kc->tkx", body.vertices[:, body.faces[self.face]], self.barycentric)


def see_first_image(
    body: Surface,
    intrinsics: Float[np.ndarray, "3 3"],
    camera_from_world: Float[np.ndarray, "4 4"],
    depth_m: Float32[np.ndarray, "H W"] | None,
    *,
    height: int,
    width: int,
) -> FirstImage:
    """Cast every pixel onto the surface at frame 0; `depth_m` says what else is in front, None that nothing is known of it."""
    in_camera = transform(camera_from_world, body.vertices[0])
    hit = rasterise(in_camera, body.faces, intrinsics, height=height, width=width)
    if depth_m is None:
        return FirstImage(hit, hit.face >= 0)
    nearest = np.where(hit.face >= 0, hit.depth_m, -np.inf)
    return FirstImage(hit, np.abs(nearest - depth_m) < VISIBLE_TOLERANCE_M)


def choose_points(
    first: FirstImage, num_points: int, rng: np.random.Generator, *, window_px: Float[np.ndarray, "4"]
) -> SurfacePoints:
    """Spread points evenly over what a window (data.window) of a first image shows of the surface.

    ValueError when it shows fewer than MIN_FOREGROUND_PX pixels.
    """
    rows, columns = np.nonzero(first.is_shown)
    low, high = window_px[:2] - 0.5, window_px[:2] + window_px[2:] - 0.5
    inside = (columns >= low[0]) & (columns <= high[0]) & (rows >= low[1]) & (rows <= high[1])
    rows, columns = rows[inside], columns[inside]
    if len(rows) < MIN_FOREGROUND_PX:
        raise ValueError(f"a view starts with {len(rows)} foreground pixels, needs {MIN_FOREGROUND_PX}")
    chosen = stratified(np.stack([columns, rows], -1), num_points, rng)
    rows, columns = rows[chosen], columns[chosen]
    hit = first.hit
    return SurfacePoints(np.stack([columns, rows], -1), hit.face[rows, columns], hit.barycentric[rows, columns])


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
