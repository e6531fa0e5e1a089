"""Chamfer distance between two point sets."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pykdtree.kdtree as fast
import scipy.spatial
from jaxtyping import Float
from threadpoolctl import ThreadpoolController

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some

POINTS_A_LEAF = 24
"""Of search trees: looking at a few more points is faster than finding out which need not be looked at."""


@dataclass(frozen=True)
class SearchTree:
    """Points, and what finds the nearest of them."""

    points: Float[np.ndarray, "P 3"]
    tree: fast.KDTree

    def distances(self, queries: Float[np.ndarray, "Q 3"]) -> Float[np.ndarray, "Q"]:
        """From each query to the nearest point."""
        return self.tree.query(queries)[0] if len(queries) else np.zeros(0)


def chamfer_distance(
    points_a: Float[np.ndarray, "P 3"],
    points_b: Float[np.ndarray, "Q 3"],
    squared: bool = False,
    backend: Literal["trees", "pytorch3d"] = "trees",
) -> float:
    """Mean distance to the nearest point of the other set, both directions summed: m, or m^2 when `squared`.

    The squared form is pytorch3d's, which `backend` asks itself, in float32, where it is installed (ImportError where not). Raises
    ValueError for an empty set or values that are not finite.
    """
    for name, points in (("points_a", points_a), ("points_b", points_b)):
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"{name} must be [P 3], got {list(points.shape)}")
        require_some(len(points), f"points in {name}")
    require_finite(points_a=points_a, points_b=points_b)
    if backend == "pytorch3d":
        return _pytorch3d(points_a, points_b, squared=squared)
    if backend != "trees":
        raise ValueError(f"backend must be 'trees' or 'pytorch3d', got {backend!r}")
    return chamfer_of_trees(search_trees([points_a]), search_trees([points_b]), squared=squared)[0]


def chamfer_of_trees(trees_a: Seq[SearchTree], trees_b: Seq[SearchTree], squared: bool = False) -> list[float]:
    """`chamfer_distance` of pairs of sets whose trees are there already."""
    with _threads().limit(limits=1):
        return [_both_ways(*pair, squared=squared) for pair in zip(trees_a, trees_b, strict=True)]


def _both_ways(tree_a: SearchTree, tree_b: SearchTree, *, squared: bool) -> float:
    moved = None  # the others are 0 apart
    if len(tree_a.points) == len(tree_b.points):
        x, y, z = (tree_a.points != tree_b.points).T
        moved = np.flatnonzero(x | y | z)
    total = 0.0
    for tree, other in ((tree_b, tree_a), (tree_a, tree_b)):
        distance = tree.distances(other.points if moved is None else other.points.take(moved, axis=0))
        total += (distance**2 if squared else distance).sum() / len(other.points)
    return float(total)


def search_trees(frames: Iterable[Float[np.ndarray, "P 3"]]) -> tuple[SearchTree, ...]:
    """A tree of each frame of the same points, for `chamfer_of_trees`; its `points` are in another order.

    The order is that of a first tree's leaves, for all frames: neighbours in space, which stay near one another, are then
    neighbours in memory, and so are those who look for them. ValueError for an empty set or values that are not finite.
    """
    trees: list[SearchTree] = []
    order: np.ndarray | None = None
    for points in frames:
        require_some(len(points), "points")
        require_finite(points=points)
        if trees:
            require_same_shape(first=trees[0].points, later=points)
        if order is None:
            order = scipy.spatial.KDTree(points, leafsize=POINTS_A_LEAF).indices
        ordered = points[order].astype(np.float64)
        trees.append(SearchTree(ordered, fast.KDTree(ordered, leafsize=POINTS_A_LEAF)))
    return tuple(trees)


@cache
def _threads() -> ThreadpoolController:
    """Of pykdtree: waking a second thread for some thousand points costs more than it brings, above all beside another process."""
    return ThreadpoolController().select(user_api="openmp")


def _pytorch3d(points_a: np.ndarray, points_b: np.ndarray, *, squared: bool) -> float:
    import torch
    from pytorch3d.ops import knn_points

    sets = [torch.from_numpy(points.astype(np.float32))[None] for points in (points_a, points_b)]
    nearest = [knn_points(a, b, K=1).dists for a, b in (sets, sets[::-1])]  # squared
    return float(sum((part if squared else part.sqrt()).mean().item() for part in nearest))
