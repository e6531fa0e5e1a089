"""A z-buffer of triangles in numpy: which face, and where on it, lies behind each pixel centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

NEAR_M = 0.02


@dataclass(frozen=True)
class Hit:
    """The nearest face behind every pixel centre; face -1 where there is none."""

    face: Int[np.ndarray, "H W"]
    barycentric: Float[np.ndarray, "H W 3"]  # perspective-correct weights of the face's corners
    depth_m: Float[np.ndarray, "H W"]  # infinity where there is none


def rasterise(
    vertices_camera: Float[np.ndarray, "P 3"],
    faces: Int[np.ndarray, "F 3"],
    intrinsics: Float[np.ndarray, "3 3"],
    *,
    height: int,
    width: int,
) -> Hit:
    """Cast every pixel centre (integer coordinates) onto the nearest triangle.

    Faces are seen from both sides; those nearer than NEAR_M are left out.
    """
    uvw = vertices_camera @ intrinsics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = uvw[:, :2] / uvw[:, 2:]
    corners, z = pixels[faces], vertices_camera[faces, 2]
    low, high = np.ceil(corners.min(1)), np.floor(corners.max(1))
    limit = np.array([width - 1, height - 1])
    low, high = np.maximum(low, 0), np.minimum(high, limit)
    kept = np.flatnonzero((z > NEAR_M).all(1) & (high >= low).all(1))
    face, column, row = _covered(kept, low[kept].astype(int), high[kept].astype(int))
    weights, inside = _edge_weights(corners[face], np.stack([column, row], -1))
    face, column, row, weights = face[inside], column[inside], row[inside], weights[inside]
    inverse_depth = (weights / z[face]).sum(1)
    weights = weights / z[face] / inverse_depth[:, None]
    order = np.lexsort((face, 1 / inverse_depth))[::-1]  # the nearest is written last
    place = (row[order], column[order])
    hit = Hit(np.full((height, width), -1), np.zeros((height, width, 3)), np.full((height, width), np.inf))
    hit.face[place], hit.barycentric[place], hit.depth_m[place] = face[order], weights[order], 1 / inverse_depth[order]
    return hit


def _covered(
    faces: Int[np.ndarray, "F"], low: Int[np.ndarray, "F 2"], high: Int[np.ndarray, "F 2"]
) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
    """(face, column, row) for every pixel centre inside each face's bounding box."""
    extent = high - low + 1
    count = extent.prod(1)
    which = np.repeat(np.arange(len(faces)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    column = low[which, 0] + place % extent[which, 0]
    return faces[which], column, low[which, 1] + place // extent[which, 0]


def _edge_weights(
    corners: Float[np.ndarray, "N 3 2"], points: Int[np.ndarray, "N 2"]
) -> tuple[Float[np.ndarray, "N 3"], np.ndarray]:
    """Barycentric weights in the picture plane, and whether the point lies inside."""
    edge_1, edge_2, offset = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    area = edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        second = (offset[:, 0] * edge_2[:, 1] - offset[:, 1] * edge_2[:, 0]) / area
        third = (edge_1[:, 0] * offset[:, 1] - edge_1[:, 1] * offset[:, 0]) / area
    weights = np.stack([1 - second - third, second, third], -1)
    return weights, (weights >= -1e-9).all(1) & (np.abs(area) > 1e-12)
