"""Calibrated rigs around the workspace: random left/centre/right clusters, and the real rig of TACO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from syncmv4d_model.data.surface_tracks import SceneRig
from syncmv4d_model.data.taco import CLUSTERS, Camera, clusters_of, meeting_point, read_calibration
from syncmv4d_model.geometry import inverse, look_at, project, resized_intrinsics, transform

CLUSTERS_DEG = {"left": (-145.0, -105.0), "centre": (-98.0, -68.0), "right": (-62.0, -8.0)}
"""Azimuth of the camera centre as seen from the workspace, about TACO's; the operator stands at +90."""
ELEVATION_DEG = (22.0, 58.0)
DISTANCE_M = (0.6, 1.0)
TACO_CALIBRATION = Path(__file__).parent / "assets" / "taco_calibration.json"
TACO_SIZE = (512, 376)  # width and height of the release that the calibration belongs to
SENSOR_FOCAL_PX = 2000.0  # of the imagined full picture that the view is cropped from
WORKSPACE_HEIGHT_M = 0.1
FILL = (0.94, 1.08)  # of the action's box to the picture; above 1 the last centimetres at the rim are cut


def sample_rig(
    kind: str,
    points: Float[np.ndarray, "P 3"],
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
) -> SceneRig:
    """One camera per cluster, framing `points` (world, metres; what the pictures must hold).

    ValueError for an unknown kind.
    """
    if kind not in _POSES:
        raise ValueError(f"unknown rig {kind!r}; known: {', '.join(_POSES)}")
    views = [_POSES[kind](cluster, points, rng) for cluster in CLUSTERS]
    intrinsics = np.stack([_framed(k, pose, points, rng, size=(height, width)) for k, pose in views])
    return SceneRig(CLUSTERS, intrinsics, np.stack([pose for _, pose in views]), height, width)


def _random_pose(
    cluster: str, points: Float[np.ndarray, "P 3"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    centre = (points.min(0) + points.max(0)) / 2 + rng.uniform(-0.015, 0.015, 3)
    azimuth, elevation = np.radians(rng.uniform(*CLUSTERS_DEG[cluster])), np.radians(rng.uniform(*ELEVATION_DEG))
    distance = rng.uniform(*DISTANCE_M)
    outward = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    roll = np.radians(rng.uniform(-6, 6))
    up = np.array([-np.sin(azimuth) * np.sin(roll), np.cos(azimuth) * np.sin(roll), np.cos(roll)])
    return np.diag([SENSOR_FOCAL_PX, SENSOR_FOCAL_PX, 1.0]), look_at(centre + distance * outward, centre, up)


def _taco_pose(
    cluster: str, points: Float[np.ndarray, "P 3"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "4 4"]]:
    cameras = taco_clusters()[cluster]
    camera = cameras[rng.integers(len(cameras))]
    return camera.intrinsics, camera.camera_from_world @ taco_from_world()


_POSES = {"random": _random_pose, "taco": _taco_pose}


def _framed(
    intrinsics: Float[np.ndarray, "3 3"], camera_from_world: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "P 3"],
    rng: np.random.Generator, *, size: tuple[int, int],
) -> Float[np.ndarray, "3 3"]:  # fmt: skip
    """K of the crop that holds the points, resized to `size`; aspect and pixel shape are kept."""
    height, width = size
    pixels = project(intrinsics, transform(camera_from_world, points))
    low, high = pixels.min(0), pixels.max(0)
    crop_width = max(high[0] - low[0], (high[1] - low[1]) * width / height) / rng.uniform(*FILL)
    crop = np.array([crop_width, crop_width * height / width])
    corner = (low + high) / 2 - crop / 2 + (crop - (high - low)) * rng.uniform(-0.3, 0.3, 2)
    scale = width / crop_width
    return resized_intrinsics(intrinsics, scale, scale, crop_x_px=float(corner[0]), crop_y_px=float(corner[1]))


def taco_cameras() -> dict[str, Camera]:
    """Serial -> camera of TACO's 512 x 376 release."""
    return read_calibration(TACO_CALIBRATION)


def taco_meeting_point() -> Float[np.ndarray, "3"]:
    """The point of TACO's world nearest to all optical axes."""
    return meeting_point(np.stack([camera.camera_from_world for camera in taco_cameras().values()]))


def taco_from_world() -> Float[np.ndarray, "4 4"]:
    """Our world set into TACO's: its meeting point above our origin, its operator at our azimuth +90."""
    pose = np.diag([-1.0, -1.0, 1.0, 1.0])
    pose[:3, 3] = taco_meeting_point() - np.array([0.0, 0.0, WORKSPACE_HEIGHT_M])
    return pose


def taco_clusters() -> dict[str, list[Camera]]:
    """TACO's telephoto cameras by cluster."""
    cameras = taco_cameras()
    return {name: [cameras[serial] for serial in serials] for name, serials in clusters_of(cameras).items()}


def camera_poses(rig: SceneRig) -> Float[np.ndarray, "V 4 4"]:
    """world_from_camera of every view."""
    return inverse(rig.camera_from_world)
