"""Questions to the metrics that have no answer, asked as users ask them: without the shape checker, which tests alone have.

Run as a program it prints the names of those that were answered all the same, as JSON.
"""

import json

import numpy as np

from syncmv4d_model.evaluation import metrics

RNG = np.random.default_rng(0)
V, T, K = 2, 4, 6
P, G = RNG.random((T, K, 3)) + 1, RNG.random((T, K, 3)) + 1
SEEN = np.ones((T, K), bool)
VIEWS = RNG.random((V, T, K, 3)) + 1
SEEN_IN_VIEWS = np.ones((V, T, K), bool)
CAMERAS = np.tile(np.eye(4), (V, 1, 1))
VIDEO = RNG.random((V, T, 16, 16, 3)) * 255
UNKNOWN = np.where(np.arange(16 * 3).reshape(16, 3) == 5, np.nan, VIDEO)
NOTHING = np.zeros((0, T, 16, 16, 3))
NONE = float("nan")
FLOWS = np.zeros((3, 2, 8, 8))

REFUSED = {
    "a mask of one point a frame": lambda: metrics.relative_point_error(P, G, SEEN[:, :1]),
    "a mask of one frame": lambda: metrics.relative_point_error(P, G, SEEN[:1]),
    "a mask of no frame": lambda: metrics.percentage_of_inliers(P, G, SEEN[0]),
    "a mask that is no mask": lambda: metrics.relative_point_error(P, G, np.full((T, K), NONE)),
    "a mask of twos": lambda: metrics.least_squares_scale(P, G, 2 * SEEN.astype(int)),
    "a threshold that is no number": lambda: metrics.percentage_of_inliers(P, G, SEEN, NONE),
    "points that rounding has left": lambda: metrics.least_squares_scale(1e-16 * P, G, SEEN),
    "visibility of one point": lambda: metrics.multi_view_relative_point_error(
        VIEWS, VIEWS, SEEN_IN_VIEWS[..., :1], CAMERAS
    ),
    "more cameras than views": lambda: metrics.multi_view_relative_point_error(
        VIEWS, VIEWS, SEEN_IN_VIEWS, np.tile(np.eye(4), (3, 1, 1))
    ),
    "cameras that are no numbers": lambda: metrics.multi_view_percentage_of_inliers(
        VIEWS, VIEWS, SEEN_IN_VIEWS, NONE * CAMERAS
    ),
    "psnr of no number": lambda: metrics.psnr(UNKNOWN, VIDEO),
    "ssim of no number": lambda: metrics.ssim(UNKNOWN, VIDEO),
    "errors of points seen in other frames": lambda: metrics.end_point_error(
        VIEWS, VIEWS + np.arange(T)[:, None, None], SEEN_IN_VIEWS[:, 1:]
    ),
    "displacements of points seen in other frames": lambda: metrics.displacement_error(
        VIEWS, VIEWS + np.arange(T)[:, None, None], SEEN_IN_VIEWS[:, 1:]
    ),
    "colours of points seen once": lambda: metrics.cross_view_colour_error(
        VIDEO[0], VIDEO[1], P[..., :2], G[..., :2], SEEN[:, :1]
    ),
    "ssim of a second video of no number": lambda: metrics.ssim_of_each([VIDEO, UNKNOWN], VIDEO),
    "ssim of a second video of another size": lambda: metrics.ssim_of_each([VIDEO, VIDEO[:, :, 1:]], VIDEO),
    "ssim of nothing": lambda: metrics.ssim(NOTHING, NOTHING),
    "sharpness of nothing": lambda: metrics.gradient_energy(NOTHING),
    "sharpness of no number": lambda: metrics.gradient_energy(UNKNOWN),
    "a deviation of 0": lambda: metrics.stddev_coverage(P, np.zeros((T, K))),
    "a deviation below 0": lambda: metrics.stddev_coverage(P, -np.ones((T, K))),
    "deviations of other points": lambda: metrics.stddev_coverage(P, np.ones(K)),
    "labels of other points": lambda: metrics.stddev_spearman(
        VIEWS[..., 0], VIEWS[..., 1], SEEN_IN_VIEWS, np.ones((V, 1), np.uint8)
    ),
    "labels beyond 255": lambda: metrics.stddev_spearman(
        VIEWS[..., 0], VIEWS[..., 1], SEEN_IN_VIEWS, np.full((V, K), 256)
    ),
    "matches above no number": lambda: metrics.matching_pixels([np.ones(3)], NONE),
    "a single track": lambda: metrics.motion_smoothness(P[:, 0]),
    "a video without frames": lambda: metrics.is_dynamic(FLOWS, height=8, width=8, num_frames=0),
    "points of a plane": lambda: metrics.chamfer_distance(P[0, :, :2], G[0, :, :2]),
    "errors over time of no number": lambda: metrics.error_over_time(
        NONE * VIEWS, VIEWS + np.arange(T)[:, None, None], SEEN_IN_VIEWS
    ),
    "an unknown backend": lambda: metrics.chamfer_distance(P[0], G[0], backend="x"),
    "frames of other points": lambda: metrics.search_trees([P[0], P[1, :4]]),
}


def answered() -> list[str]:
    names = []
    for name, ask in REFUSED.items():
        try:
            ask()
        except ValueError:
            continue
        names.append(name)
    return names


def differing_masks() -> list[str]:
    """Kinds of 0 and 1 that a mask may be written in, of which the answer is another than that of booleans."""
    some = RNG.random((T, K)) < 0.7
    some[:, 0] = True
    answer = metrics.relative_point_error(P, G, some)
    kinds = (np.uint8, np.int64, np.float32)
    return [kind.__name__ for kind in kinds if metrics.relative_point_error(P, G, some.astype(kind)) != answer]


if __name__ == "__main__":
    print(json.dumps({"asked": len(REFUSED), "answered": answered(), "masks": differing_masks()}))
