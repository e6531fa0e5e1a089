"""Chamfer distance between two point sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some

POINTS_A_LEAF = 24
"""Of search trees: looking at a few more points is faster than finding out which need not be looked at."""


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
    (tree_a,), (tree_b,) = search_trees([points_a]), search_trees([points_b])
    return chamfer_of_trees(tree_a, tree_b, squared=squared)


def chamfer_of_trees(tree_a: KDTree, tree_b: KDTree, squared: bool = False) -> float:
    """`chamfer_distance` of sets whose trees are there already."""
    moved = (tree_a.data != tree_b.data).any(1) if tree_a.n == tree_b.n else slice(None)  # the others are 0 apart
    total = 0.0
    for tree, other in ((tree_b, tree_a), (tree_a, tree_b)):
        distance = np.asarray(tree.query(other.data[moved])[0])
        total += (distance**2 if squared else distance).sum() / other.n
    return float(total)


def search_trees(frames: Iterable[Float[np.ndarray, "P 3"]]) -> tuple[KDTree, ...]:
    """A tree of each frame of the same points, for `chamfer_of_trees`; its `data` are the points in another order.

    The order is that of the first frame's leaves, for all frames: neighbours in space, which stay near one another, are then
    neighbours in memory, and so are those who look for them. ValueError for an empty set or values that are not finite.
    """
    trees: list[KDTree] = []
    order: np.ndarray | slice = slice(None)
    for points in frames:
        require_some(len(points), "points")
        require_finite(points=points)
        if not trees:
            order = _tree(points).indices
        trees.append(_tree(points[order]))
    return tuple(trees)


def _tree(points: np.ndarray) -> KDTree:
    # tracked points lie in heaps, which medians cut badly
    return KDTree(points, leafsize=POINTS_A_LEAF, balanced_tree=False, compact_nodes=False)


def _pytorch3d(points_a: np.ndarray, points_b: np.ndarray, *, squared: bool) -> float:
    import torch
    from pytorch3d.ops import knn_points

    sets = [torch.from_numpy(points.astype(np.float32))[None] for points in (points_a, points_b)]
    nearest = [knn_points(a, b, K=1).dists for a, b in (sets, sets[::-1])]  # squared
    return float(sum((part if squared else part.sqrt()).mean().item() for part in nearest))
