"""Chamfer distance between two point sets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_some


def chamfer_distance(
    points_a: Float[np.ndarray, "P 3"], points_b: Float[np.ndarray, "Q 3"], squared: bool = False
) -> float:
    """Mean distance to the nearest point of the other set, both directions summed: m, or m^2 when `squared`.

    The squared form is pytorch3d's. Raises ValueError for an empty set or values that are not finite.
    """
    require_some(len(points_a), "points in points_a")
    require_some(len(points_b), "points in points_b")
    require_finite(points_a=points_a, points_b=points_b)
    a_to_b, _ = KDTree(points_b).query(points_a)
    b_to_a, _ = KDTree(points_a).query(points_b)
    power = 2 if squared else 1
    return float((a_to_b**power).mean() + (b_to_a**power).mean())
