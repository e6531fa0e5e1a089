"""TACO's recordings on disk (Liu et al., TACO, 2024): where they are, their cameras, objects and official split.

World frame of TACO: metres, z up. Object models are Wavefront meshes in centimetres.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from syncmv4d_model.data.npz import check_size
from syncmv4d_model.geometry import camera_centre

FRAME_RATE_HZ = 30
VIDEOS, MARKERLESS_VIDEOS = "Allocentric_RGB_Videos", "Marker_Removed_Allocentric_RGB_Videos"
CAMERAS, CALIBRATION = "Allocentric_Camera_Parameters", "calibration.json"
HAND_POSES, HAND_MESHES = "Hand_Poses", "Hand_Meshes"
OBJECT_POSES, OBJECT_MODELS = "Object_Poses", "Object_Models"
CENTIMETRES_PER_M = 100.0

OFFICIAL_SPLIT = Path(__file__).parent / "assets" / "taco_split.txt"

CLUSTERS = ("left", "centre", "right")
BOUNDS_DEG = (-90.0, -13.0, 26.5, 100.0)
"""Between which a cluster's cameras stand, left to right: azimuth about the point where all optical axes meet, from the mean direction of
the telephoto cameras, for the world frame is not the same on all days.
"""
TELEPHOTO = 1.2
"""Focal length over picture width: TACO's four wide cameras, which see the hands too small, have less."""
MAX_TEXT_BYTES = 512 << 20


@dataclass(frozen=True)
class Recording:
    """One of TACO's sequences."""

    root: Path
    triplet: str  # "(action, tool, object)"
    name: str  # YYYYMMDD_NNN

    def folder(self, part: str) -> Path:
        """Where this recording's part of the data set is."""
        return self.root / part / self.triplet / self.name

    @property
    def task(self) -> str:
        """A sentence of the triplet; ValueError for a folder whose name is none."""
        words = [word.strip() for word in self.triplet.strip("() ").split(",")]
        if len(words) != 3 or not all(words):
            raise ValueError(f"{self.folder(VIDEOS)}: the folder above must be named (action, tool, object)")
        action, tool, target = words
        return f"use a {tool} to {action} a {target}"


@dataclass(frozen=True)
class Camera:
    """A calibrated camera, without its lens: TACO's own code applies none."""

    intrinsics: Float[np.ndarray, "3 3"]  # px of a picture of `size`
    camera_from_world: Float[np.ndarray, "4 4"]
    size: tuple[int, int]  # (width, height) px


def list_recordings(root: Path) -> list[Recording]:
    """All recordings that have videos, by name. FileNotFoundError where there is no folder; ValueError where it is not TACO's."""
    if not root.is_dir():
        raise FileNotFoundError(f"no such folder: {root}")
    if not (root / VIDEOS).is_dir():
        raise ValueError(f"{root} is not laid out as TACO: it has no folder {VIDEOS}")
    found = [
        Recording(root, folder.parent.name, folder.name)
        for folder in (root / VIDEOS).glob("*/*")
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    if not found:
        raise ValueError(f"{root / VIDEOS} holds no recording")
    return sorted(found, key=lambda recording: recording.name)


def read_split(path: Path) -> dict[str, str]:
    """Recording -> split, from lines `recording,split`. FileNotFoundError; ValueError for another line, or a recording in two."""
    split: dict[str, str] = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        words = [word.strip() for word in line.split(",")]
        if not any(words):
            continue
        if len(words) != 2 or not all(words):
            raise ValueError(f"{path}, line {number}: expected `recording,split`, got {line[:80]!r}")
        if split.setdefault(words[0], words[1]) != words[1]:
            raise ValueError(f"{path}: {words[0]} is in {split[words[0]]} and in {words[1]}")
    return split


def read_cameras(recording: Recording) -> dict[str, Camera]:
    """Cameras by serial number. FileNotFoundError; ValueError for a calibration that is broken."""
    return read_calibration(recording.folder(CAMERAS) / CALIBRATION)


def read_calibration(path: Path) -> dict[str, Camera]:
    """As `read_cameras`, of one file."""
    text = _text(path)
    try:
        return {serial: _camera(entry) for serial, entry in json.loads(text).items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is no calibration of TACO: {error or type(error).__name__}") from error


def _camera(entry: Mapping[str, list[float]]) -> Camera:
    intrinsics = np.reshape(np.asarray(entry["K"], dtype=np.float64), (3, 3))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = nearest_rotation(np.reshape(np.asarray(entry["R"], np.float64), (3, 3))), entry["T"]
    width, height = (int(size) for size in entry["imgSize"])
    if not (np.isfinite(intrinsics).all() and np.isfinite(pose).all()):
        raise ValueError("K, R and T must be finite")
    if min(width, height, intrinsics[0, 0], intrinsics[1, 1]) <= 0 or intrinsics[2].tolist() != [0, 0, 1]:
        raise ValueError("focal lengths and sizes must be positive, and K's last row 0 0 1")
    return Camera(intrinsics, pose, (width, height))


def nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The rotation nearest to a matrix that is one but for rounding; ValueError for one that is not within 1 %."""
    if not np.isfinite(matrix).all():
        raise ValueError("R must be finite")
    left, _, right = np.linalg.svd(matrix)
    rotation = left @ right
    if np.abs(rotation - matrix).max() > 0.01 or np.linalg.det(rotation) < 0:
        raise ValueError("R must be a rotation")
    return rotation


def meeting_point(camera_from_world: Float[np.ndarray, "V 4 4"]) -> Float[np.ndarray, "3"]:
    """The point nearest to all optical axes."""
    axes = camera_from_world[:, 2, :3]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    return np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, camera_centre(camera_from_world)))


def clusters_of(cameras: Mapping[str, Camera]) -> dict[str, list[str]]:
    """Serial numbers of the telephoto cameras of each cluster, by the azimuth of the camera about where all axes meet."""
    clusters: dict[str, list[str]] = {name: [] for name in CLUSTERS}
    if len(cameras) < 2:
        return clusters
    poses = np.stack([camera.camera_from_world for camera in cameras.values()])
    offsets = (camera_centre(poses) - meeting_point(poses))[:, :2]
    outward = offsets / np.linalg.norm(offsets, axis=1, keepdims=True)
    telephoto = np.array([camera.intrinsics[0, 0] > TELEPHOTO * camera.size[0] for camera in cameras.values()])
    x, y = outward[telephoto].sum(0)
    turned = outward @ np.array([[x, -y], [y, x]])
    azimuths = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]))
    for serial, azimuth, is_telephoto in zip(cameras, azimuths, telephoto, strict=True):
        for name, low, high in zip(CLUSTERS, BOUNDS_DEG[:-1], BOUNDS_DEG[1:], strict=True):
            if low <= azimuth < high and is_telephoto:
                clusters[name].append(serial)
    return clusters


def read_model(path: Path) -> tuple[Float[np.ndarray, "P 3"], Int[np.ndarray, "F 3"]]:
    """(vertices, triangles) of a Wavefront mesh, metres; texture, normals and groups are left out, polygons cut into triangles.
    FileNotFoundError; ValueError for a file that is no such mesh.
    """
    vertices: list[list[str]] = []
    faces: list[tuple[int, int, int]] = []
    try:
        for line in _text(path).splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append(rest.split()[:3])
            elif kind == "f":
                corners = [int(corner.split("/")[0]) for corner in rest.split()]
                corners = [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners]
                faces += [(corners[0], one, other) for one, other in zip(corners[1:-1], corners[2:], strict=True)]
        points, triangles = np.array(vertices, np.float64).reshape(-1, 3), np.array(faces, np.int64).reshape(-1, 3)
    except ValueError as error:
        raise ValueError(f"{path} is no Wavefront mesh: {error}") from error
    if not len(triangles) or triangles.min() < 0 or triangles.max() >= len(points) or not np.isfinite(points).all():
        raise ValueError(f"{path} is no Wavefront mesh: no triangle, or one of vertices that are not there")
    return points / CENTIMETRES_PER_M, triangles


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    check_size(path, MAX_TEXT_BYTES)
    return path.read_text(encoding="utf-8", errors="strict")
