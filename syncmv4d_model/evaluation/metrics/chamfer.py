"""Chamfer distance between two point sets."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some

MANY = 16384
"""Points that are worth sorting before they are looked up."""

CELLS_A_SIDE = 32


def chamfer_distance(
    points_a: Float[np.ndarray, "P 3"],
    points_b: Float[np.ndarray, "Q 3"],
    squared: bool = False,
    backend: Literal["scipy", "pytorch3d"] = "scipy",
) -> float:
    """Mean distance to the nearest point of the other set, both directions summed: m, or m^2 when `squared`.

    The squared form is pytorch3d's, which `backend` asks itself, in float32, where it is installed (ImportError where not). Raises
    ValueError for an empty set or values that are not finite.
    """
    require_some(len(points_a), "points in points_a")
    require_some(len(points_b), "points in points_b")
    require_finite(points_a=points_a, points_b=points_b)
    if backend == "pytorch3d":
        return _pytorch3d(points_a, points_b, squared=squared)
    a_to_b, b_to_a = _nearest(points_a, points_b), _nearest(points_b, points_a)
    power = 2 if squared else 1
    return float((a_to_b**power).mean() + (b_to_a**power).mean())


def _nearest(points: Float[np.ndarray, "P 3"], others: Float[np.ndarray, "Q 3"]) -> Float[np.ndarray, "P"]:
    if len(points) >= MANY:  # neighbours one after the other find the same branches in the cache
        size = np.ptp(points, axis=0).max() / CELLS_A_SIDE or 1.0
        points = points[np.lexsort(np.floor(points / size).T)]
    tree = KDTree(
        others, balanced_tree=False, compact_nodes=False
    )  # tracked points lie in heaps, which medians cut badly
    return np.asarray(tree.query(points)[0])


def _pytorch3d(points_a: np.ndarray, points_b: np.ndarray, *, squared: bool) -> float:
    import torch
    from pytorch3d.ops import knn_points

    sets = [torch.from_numpy(points.astype(np.float32))[None] for points in (points_a, points_b)]
    nearest = [knn_points(a, b, K=1).dists for a, b in (sets, sets[::-1])]  # squared
    return float(sum((part if squared else part.sqrt()).mean().item() for part in nearest))
