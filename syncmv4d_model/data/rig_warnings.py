"""Warnings about a calibration that looks wrong but may be right: check these before trusting a result."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from syncmv4d_model.data.observation import image_sizes
from syncmv4d_model.geometry import camera_centre, inverse
from syncmv4d_model.types import Observation

_MAX_FOCAL_DIFFERENCE = 0.1
_DEPTHS_M = np.geomspace(0.3, 10.0, 36)
_USUAL_DEPTH_M = 6.0  # cameras that stand farther away may be aimed farther beside, in proportion
_NEVER_ASIDE_M = 0.2
_BETTER_INVERTED = ((0.13, 0.5), (0.05, 0.05))
"""(metres beside, share): so far beside the scene, and inverted poses would bring it down to this share of it.

Measured on random rigs, each camera up to 15 cm beside its scene (tests/model/test_rig_warnings.py): one false warning
in 12,000, and two thirds of the inverted ones are found; the others might be honest.
"""


def rig_warnings(observation: Observation) -> list[str]:
    """Return a line for each principal point outside its image, for focal lengths that differ by more than 10 %, and for
    cameras that look at no common scene.
    """
    views = list(zip(observation.view_names, observation.intrinsics, image_sizes(observation), strict=True))
    off_centre = [
        f"view {name!r}: the principal point ({k[0, 2]:g}, {k[1, 2]:g}) lies outside the {width} x {height} image;"
        " right only for a crop far from the camera's axis: are the intrinsics those of another image size?"
        for name, k, (width, height) in views
        if not (-0.5 <= k[0, 2] <= width - 0.5 and -0.5 <= k[1, 2] <= height - 0.5)
    ]
    stretched = [
        f"view {name!r}: the focal lengths {k[0, 0]:g} and {k[1, 1]:g} px differ by more than {_MAX_FOCAL_DIFFERENCE:.0%};"
        " are the pixels not square, or is a number wrong?"
        for name, k, _ in views
        if max(k[0, 0], k[1, 1]) > (1 + _MAX_FOCAL_DIFFERENCE) * min(k[0, 0], k[1, 1])
    ]
    # a wrong principal point turns every ray: where they meet would say nothing more
    return [*off_centre, *stretched, *([] if off_centre else _gaze_warnings(observation))]


def _gaze_warnings(observation: Observation) -> list[str]:
    """Cameras are aimed at a scene, though not exactly: most often it is inverted poses that are aimed at nothing common."""
    poses = observation.camera_from_world
    aimed = _aims(observation)
    beside, inverted = _metres_beside(poses, aimed), _metres_beside(inverse(poses), aimed)
    if beside <= _NEVER_ASIDE_M and not any(beside > least and inverted < s * beside for least, s in _BETTER_INVERTED):
        return []
    return [
        f"the cameras look at no common scene: the rays through their images' centres pass {100 * beside:.0f} cm beside"
        f" the best one, and {100 * inverted:.0f} cm if the poses were inverted;"
        " is camera_from_world inverted (world_from_camera)?"
    ]


def _aims(observation: Observation) -> Float[np.ndarray, "V 3"]:
    """Unit rays through the images' centres, in each camera's own frame."""
    middle = np.array([[(width - 1) / 2, (height - 1) / 2, 1.0] for width, height in image_sizes(observation)])
    rays = np.einsum("vij,vj->vi", np.linalg.inv(observation.intrinsics), middle)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _metres_beside(camera_from_world: Float[np.ndarray, "V 4 4"], aims: Float[np.ndarray, "V 3"]) -> float:
    """Return how far (root mean square, metres) the cameras look past the point that they agree on best, in front of all.

    Sought among points of the rays, which is near enough and, unlike where they meet, well defined for any rig.
    """
    rays, centres = np.einsum("vji,vj->vi", camera_from_world[:, :3, :3], aims), camera_centre(camera_from_world)
    on_rays = centres[:, None] + rays[:, None] * _DEPTHS_M[:, None]
    points = np.concatenate([on_rays.reshape(-1, 3), on_rays.mean(0)])
    offsets = points[:, None] - centres
    depths = (offsets * rays).sum(-1)
    misses = np.linalg.norm(offsets - depths[..., None] * rays, axis=-1) / np.maximum(1, depths / _USUAL_DEPTH_M)
    too_near = np.maximum(_DEPTHS_M[0] - depths, 0)
    return float(np.sqrt((misses**2 + too_near**2).mean(1)).min())
