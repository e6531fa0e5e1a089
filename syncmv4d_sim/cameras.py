"""Calibrated rigs: cameras bolted down around a workspace before anything happens, and the real rig of TACO.

A rig may know the scene's first frame, never what follows: its cameras are aimed at the workspace with an error of several
centimetres, and drawn again only when the first frame's objects are not in the pictures. `framed` is the old rule, which cuts
every view to the action of all frames, for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from syncmv4d_model.data.surface_tracks import SceneRig, Surface
from syncmv4d_model.data.taco import CLUSTERS, Camera, clusters_of, meeting_point, read_calibration
from syncmv4d_model.geometry import inverse, look_at, project, resized_intrinsics, transform

RigKind = Literal["known", "unseen", "taco", "framed"]
ASPECTS = {"4:3": (4, 3), "16:9": (16, 9), "square": (1, 1)}
ASPECT_SHARES = {"4:3": 0.55, "16:9": 0.3, "square": 0.15}
WORKSPACE_M = np.array([0.0, 0.0, 0.07])  # what cameras are aimed at
AIM_ERROR_M = 0.035  # standard deviation per axis, of the rig as a whole and again of each camera
LEAST_INSIDE = 0.9  # of the vertices of hand, tool and target in every picture of an ordinary rig, at frame 0
LEAST_INSIDE_CUT = 0.15  # where the scene asks for objects that the picture's border cuts
MOST_INSIDE_CUT = 0.75
MAX_DRAWS = 400
TACO_CALIBRATION = Path(__file__).parent / "assets" / "taco_calibration.json"
TACO_SIZE = (512, 376)  # width and height of the release that the calibration belongs to
SENSOR_FOCAL_PX = 2000.0  # framed: of the imagined full picture that the view is cut from
WORKSPACE_HEIGHT_M = 0.1
FILL = (0.94, 1.08)  # framed: of the action's box to the picture; above 1 the last centimetres at the rim are cut
FRAMED_AZIMUTHS_DEG = {"left": (-145.0, -105.0), "centre": (-98.0, -68.0), "right": (-62.0, -8.0)}


@dataclass(frozen=True)
class RigRanges:
    """What a kind of rig is drawn from; each pair is a range, and one of several is chosen first."""

    distances_m: tuple[tuple[float, float], ...]
    gaps_deg: tuple[tuple[float, float], ...]  # between neighbours' azimuths
    elevations_deg: tuple[float, float]
    fields_deg: tuple[tuple[float, float], ...]  # horizontal; one per range of distances
    principal_offset: float  # largest offset of the principal point from the middle, share of the width


RANGES: dict[str, RigRanges] = {
    "known": RigRanges(((0.5, 1.3),), ((25.0, 130.0),), (15.0, 65.0), ((40.0, 90.0),), 0.04),
    "unseen": RigRanges(
        ((0.35, 0.45), (1.4, 1.8)), ((8.0, 20.0), (140.0, 170.0)), (10.0, 75.0), ((92.0, 105.0), (28.0, 37.0)), 0.08
    ),
}


def sample_rig(
    kind: str,
    body: Surface,
    rng: np.random.Generator,
    *,
    views: int,
    width: int,
    height: int = 0,
    cut: bool = False,
) -> SceneRig:
    """Draw a rig whose pictures are `width` px wide; only frame 0 of `body` is used, except by `framed`.

    A height of 0 draws one: 4:3, 16:9 or square.

    `cut` asks for at least one picture whose border cuts the hand, the tool or the target. ValueError for an unknown kind.
    RuntimeError, with the reason, where no rig of MAX_DRAWS fits.
    """
    if kind == "framed":
        return _framed_rig(body.action_points, rng, width=width)
    if kind != "taco" and kind not in RANGES:
        raise ValueError(f"unknown rig {kind!r}; known: {', '.join([*RANGES, 'taco', 'framed'])}")
    aspect = ASPECTS[str(rng.choice(list(ASPECT_SHARES), p=list(ASPECT_SHARES.values())))]
    height = height or round(width * aspect[1] / aspect[0] / 2) * 2
    objects = _first_objects(body)
    shares = np.zeros((1, 1))
    for _ in range(MAX_DRAWS):
        rig = _taco_views(rng, width=width) if kind == "taco" else _draw_rig(RANGES[kind], rng, views=views, size=(width, height), cut=cut)  # fmt: skip
        shares = inside_shares(rig, objects)
        if cut and LEAST_INSIDE_CUT <= shares.min() <= MOST_INSIDE_CUT and shares.mean() > 0.6:
            return rig
        if not cut and shares.min() >= LEAST_INSIDE:
            return rig
    raise RuntimeError(
        f"none of {MAX_DRAWS} rigs of kind {kind} shows the scene: the last one {shares.min():.0%} of it"
    )


def inside_shares(rig: SceneRig, objects: list[Float[np.ndarray, "_ 3"]]) -> Float[np.ndarray, "V O"]:
    """Share of each object's vertices that project into each view."""
    shares = np.zeros((len(rig.view_names), len(objects)))
    for view, (intrinsics, pose) in enumerate(zip(rig.intrinsics, rig.camera_from_world, strict=True)):
        for index, points in enumerate(objects):
            in_camera = transform(pose, points)
            pixels = project(intrinsics, in_camera)
            inside = (pixels > -0.5).all(-1) & (pixels[:, 0] < rig.width - 0.5) & (pixels[:, 1] < rig.height - 0.5)
            shares[view, index] = (inside & (in_camera[:, 2] > 0.05)).mean()
    return shares


def _first_objects(body: Surface) -> list[Float[np.ndarray, "_ 3"]]:
    """Vertices of hand (without the arm), tool and target at frame 0, as far as they are there."""
    faces, label = body.faces[body.essential_faces], body.label[body.essential_faces]
    return [body.vertices[0, np.unique(faces[label == value])] for value in np.unique(label)]


def _draw_rig(ranges: RigRanges, rng: np.random.Generator, *, views: int, size: tuple[int, int], cut: bool) -> SceneRig:
    spread = AIM_ERROR_M * (3.0 if cut else 1.0)
    aim = WORKSPACE_M + rng.normal(0, AIM_ERROR_M, 3) * [1, 1, 0.5]
    gaps = _choose(ranges.gaps_deg, rng)
    steps = rng.uniform(*gaps, size=max(views - 1, 0))
    steps *= min(1.0, 330.0 / max(steps.sum(), 1.0))
    azimuths = rng.uniform(-180, 180) + np.concatenate([[0.0], np.cumsum(steps)])
    place = rng.integers(len(ranges.distances_m))  # near rigs have wide lenses
    band, field = ranges.distances_m[place], rng.uniform(*ranges.fields_deg[place])
    poses, intrinsics = [], []
    for azimuth in np.radians(azimuths):
        elevation, distance = np.radians(rng.uniform(*ranges.elevations_deg)), rng.uniform(*band)
        outward = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        looked_at = aim + rng.normal(0, spread, 3) * [1, 1, 0.5]
        roll = np.radians(rng.uniform(-8, 8))
        up = np.array([-np.sin(azimuth) * np.sin(roll), np.cos(azimuth) * np.sin(roll), np.cos(roll)])
        poses.append(look_at(aim + distance * outward, looked_at, up))
        intrinsics.append(_lens(field * rng.uniform(0.95, 1.05), rng, size, ranges.principal_offset))
    return SceneRig(_view_names(views), np.stack(intrinsics), np.stack(poses), size[1], size[0])


def _choose(ranges: tuple[tuple[float, float], ...], rng: np.random.Generator) -> tuple[float, float]:
    return ranges[rng.integers(len(ranges))]


def _lens(field_deg: float, rng: np.random.Generator, size: tuple[int, int], offset: float) -> Float[np.ndarray, "3 3"]:
    """K of a lens with that horizontal field."""
    width, height = size
    focal = width / 2 / np.tan(np.radians(field_deg) / 2)
    x, y = (np.array([width - 1, height - 1]) / 2 + rng.uniform(-offset, offset, 2) * width).tolist()
    return np.array([[focal, 0, x], [0, focal * rng.uniform(0.995, 1.005), y], [0, 0, 1]])


def _view_names(views: int) -> tuple[str, ...]:
    return CLUSTERS if views == len(CLUSTERS) else tuple(f"camera_{view + 1}" for view in range(views))


def _taco_views(rng: np.random.Generator, *, width: int) -> SceneRig:
    """One of TACO's telephoto cameras per cluster, its whole picture."""
    scale = width / TACO_SIZE[0]
    height = 2 * round(TACO_SIZE[1] * scale / 2)  # videos need even sides
    chosen = [cameras[rng.integers(len(cameras))] for cameras in taco_clusters().values()]
    scales = (scale, height / TACO_SIZE[1])
    intrinsics = np.stack([resized_intrinsics(camera.intrinsics, *scales) for camera in chosen])
    poses = np.stack([camera.camera_from_world @ taco_from_world() for camera in chosen])
    return SceneRig(CLUSTERS, intrinsics, poses, height, width)


def _framed_rig(points: Float[np.ndarray, "P 3"], rng: np.random.Generator, *, width: int) -> SceneRig:
    """Three square pictures cut to where the action will be: they know the future."""
    intrinsics, poses = [], []
    for cluster in CLUSTERS:
        centre = (points.min(0) + points.max(0)) / 2 + rng.uniform(-0.015, 0.015, 3)
        azimuth, elevation = np.radians(rng.uniform(*FRAMED_AZIMUTHS_DEG[cluster])), np.radians(rng.uniform(22, 58))
        outward = np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        roll = np.radians(rng.uniform(-6, 6))
        up = np.array([-np.sin(azimuth) * np.sin(roll), np.cos(azimuth) * np.sin(roll), np.cos(roll)])
        poses.append(look_at(centre + rng.uniform(0.6, 1.0) * outward, centre, up))
        sensor = np.diag([SENSOR_FOCAL_PX, SENSOR_FOCAL_PX, 1.0])
        intrinsics.append(_framed(sensor, poses[-1], points, rng, size=width))
    return SceneRig(CLUSTERS, np.stack(intrinsics), np.stack(poses), width, width)


def _framed(
    intrinsics: Float[np.ndarray, "3 3"], camera_from_world: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "P 3"],
    rng: np.random.Generator, *, size: int,
) -> Float[np.ndarray, "3 3"]:  # fmt: skip
    """K of the square that holds the points, resized to `size`."""
    pixels = project(intrinsics, transform(camera_from_world, points))
    low, high = pixels.min(0), pixels.max(0)
    side = (high - low).max() / rng.uniform(*FILL)
    corner = (low + high) / 2 - side / 2 + (side - (high - low)) * rng.uniform(-0.3, 0.3, 2)
    scale = size / side
    return resized_intrinsics(intrinsics, scale, scale, crop_x_px=float(corner[0]), crop_y_px=float(corner[1]))


def sample_world(rng: np.random.Generator, rig: SceneRig) -> Float[np.ndarray, "4 4"]:
    """Draw the frame that a rig's owner calls the world, as world_from_table: mostly upright anywhere, a fifth any turned
    frame, a fifth the frame of one of the cameras.
    """
    kind = rng.random()
    if kind < 0.2:
        return rig.camera_from_world[rng.integers(len(rig.camera_from_world))]
    pose = np.eye(4)
    if kind < 0.4:
        quaternion = rng.normal(size=4)
        w, x, y, z = quaternion / np.linalg.norm(quaternion)
        pose[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    else:
        yaw = rng.uniform(-np.pi, np.pi)
        pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:3, 3] = rng.uniform(-1.0, 1.0, 3) * [1, 1, 0.8]
    return pose


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
