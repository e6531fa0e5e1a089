"""Does a cloud of surface points look the same when turned about an axis?"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

MIN_POINTS = 600  # with fewer, a box looks round
MIN_WIDTH_TO_NOISE = 8.0  # standard deviation of the points across the axis; with less, noise rounds the edges off
MAX_MOMENT_RATIO = 1.35  # of the two moments across the axis, which are equal on a full body of revolution
TURNS_RAD = np.deg2rad([25.0, 45.0, 65.0, 90.0, 115.0])
MAX_DISTANCE_RATIO = 1.15
"""A cloud's distance to its own turned half, over its distance to its own half. Of the simulator's objects, plates and bowls stay
below, cups mostly, all others above.
"""


def is_body_of_revolution(points: Float[np.ndarray, "P 3"], *, noise_m: float = 0.0) -> bool:
    """Whether points on a body's surface (m), known to `noise_m` per axis, show a plate, a bowl, a cup without handle, a ball.

    Judged about the three main axes of the cloud through its centre: not recognised is a body seen from one side only, shown by
    fewer than MIN_POINTS points, or too small for its noise. Then the turn that the tracks show is taken at their word.
    """
    if len(points) < MIN_POINTS:
        return False
    centred = points - points.mean(0)
    moments, axes = np.linalg.eigh(np.cov(centred.T))
    for axis in range(3):
        across = np.delete(moments, axis)
        wide = np.sqrt(across.min()) >= MIN_WIDTH_TO_NOISE * noise_m
        if wide and across.max() <= MAX_MOMENT_RATIO * across.min() and _looks_the_same(centred @ axes, axis):
            return True
    return False


def _looks_the_same(points: np.ndarray, axis: int) -> bool:
    """Whether turns about a coordinate axis keep the cloud, up to its sampling."""
    order = np.random.default_rng(0).permutation(len(points))
    first, second = points[order[::2]], points[order[1::2]]
    tree = KDTree(second)
    still = float(np.mean(tree.query(first)[0]))
    turned = [float(np.mean(tree.query(first @ _turn(axis, angle))[0])) for angle in TURNS_RAD]
    return max(turned) <= MAX_DISTANCE_RATIO * still


def _turn(axis: int, angle: float) -> np.ndarray:
    """Matrix that turns row vectors about a coordinate axis."""
    one, two = [index for index in range(3) if index != axis]
    matrix = np.eye(3)
    matrix[one, one] = matrix[two, two] = np.cos(angle)
    matrix[one, two], matrix[two, one] = np.sin(angle), -np.sin(angle)
    return matrix
