"""Calibration files that robots have -> our Rig: rig.yaml, ROS camera_info YAML with a pose, kalibr's camchain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from syncmv4d_model.data.rig import Distortion, Rig, check_rig, read_rig
from syncmv4d_ros.camera_info import read_distortion

KALIBR_LENSES = {"radtan": "plumb_bob", "equidistant": "equidistant", "equi": "equidistant"}
"""kalibr's name of a lens model -> ROS's."""
POSE_KEY = "camera_from_world"


def read_rig_files(paths: Sequence[Path]) -> Rig:
    """The rig of one rig.yaml, of one kalibr camchain, or of several ROS camera_info files, one per camera.

    A camera_info file needs `camera_from_world` (4 x 4, metres) beside ROS's own keys. In a camchain, cam0 may have it; else the
    world is cam0's optical frame. A camera of a camchain is called by its topic's namespace if it has a topic, else cam0, cam1.
    FileNotFoundError; ValueError, naming file, camera and number.
    """
    if not paths:
        raise ValueError("no calibration file was given")
    rigs = [_read_one(path) for path in paths]
    joined = Rig(
        view_names=tuple(name for rig in rigs for name in rig.view_names),
        image_files=(None,) * sum(len(rig.view_names) for rig in rigs),
        sizes=tuple(size for rig in rigs for size in rig.sizes),
        intrinsics=np.concatenate([rig.intrinsics for rig in rigs]),
        camera_from_world=np.concatenate([rig.camera_from_world for rig in rigs]),
        distortion=tuple(lens for rig in rigs for lens in rig.distortion),
    )
    try:
        check_rig(joined)
    except ValueError as error:
        raise ValueError(f"{', '.join(map(str, paths))}: {error}") from error
    return joined


def select_views(rig: Rig, names: Sequence[str]) -> Rig:
    """The cameras of these names, in this order. ValueError naming one that the rig lacks."""
    missing = [name for name in names if name not in rig.view_names]
    if missing:
        raise ValueError(f"the rig has no camera {missing[0]!r}; it has {', '.join(rig.view_names)}")
    index = [rig.view_names.index(name) for name in names]
    return replace(
        rig,
        view_names=tuple(names),
        image_files=tuple(rig.image_files[i] for i in index),
        sizes=tuple(rig.sizes[i] for i in index),
        intrinsics=rig.intrinsics[index],
        camera_from_world=rig.camera_from_world[index],
        distortion=tuple(rig.distortion[i] for i in index),
    )


def _read_one(path: Path) -> Rig:
    """A file of any of the three kinds, told by its keys."""
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f"no calibration file {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    keys = set(content) if isinstance(content, dict) else set()
    if "views" in keys:
        return read_rig(path)
    try:
        if "camera_matrix" in keys:
            return _camera_info_rig(content, path)
        if "cam0" in keys:
            return _camchain_rig(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    found = ", ".join(sorted(map(str, keys))[:8]) or type(content).__name__
    raise ValueError(
        f"{path} is no calibration that is known: neither `views` (rig.yaml), `camera_matrix` (ROS camera_info) nor"
        f" `cam0` (kalibr camchain), but {found}"
    )


def _camera_info_rig(content: dict[str, Any], path: Path) -> Rig:
    """The one camera of a ROS camera_info file; its name is camera_name, else the file's."""
    name = content.get("camera_name", path.stem)
    if not isinstance(name, str):
        raise ValueError(f"camera_name must be text, in quotes if it is a number, got {name!r}")
    where = f"camera {name!r}"
    if POSE_KEY not in content:
        raise ValueError(f"{where} lacks {POSE_KEY}: add its 4 x 4 matrix, ROS's file has intrinsics only")
    model, coefficients = content.get("distortion_model", ""), content.get("distortion_coefficients", [])
    return _single(
        name,
        size=(_pixels(content, "image_width", where), _pixels(content, "image_height", where)),
        intrinsics=_matrix(content["camera_matrix"], (3, 3), f"{where}: camera_matrix"),
        lens=read_distortion(str(model), _numbers(coefficients, f"{where}: distortion_coefficients").ravel().tolist()),
        pose=_matrix(content[POSE_KEY], (4, 4), f"{where}: {POSE_KEY}"),
    )


def _camchain_rig(content: dict[str, Any]) -> Rig:
    """Every camera of a kalibr camchain, poses multiplied along the chain."""
    cameras = []
    while (key := f"cam{len(cameras)}") in content:
        camera = content[key]
        if not isinstance(camera, dict):
            raise ValueError(f"{key} must be a mapping, got {camera!r}")
        first = not cameras
        pose = np.eye(4) if first else _matrix(_need(camera, "T_cn_cnm1", key), (4, 4), f"{key}: T_cn_cnm1")
        if first and POSE_KEY in camera:
            pose = _matrix(camera[POSE_KEY], (4, 4), f"{key}: {POSE_KEY}")
        elif not first:
            pose = pose @ cameras[-1].camera_from_world[0]
        cameras.append(_kalibr_camera(camera, key, pose))
    beyond = sorted(str(key) for key in content if str(key).startswith("cam") and str(key)[3:].isdigit())
    if len(beyond) != len(cameras):
        raise ValueError(f"the chain has {', '.join(beyond)}, but no cam{len(cameras)}")
    return Rig(
        view_names=tuple(rig.view_names[0] for rig in cameras),
        image_files=(None,) * len(cameras),
        sizes=tuple(rig.sizes[0] for rig in cameras),
        intrinsics=np.concatenate([rig.intrinsics for rig in cameras]),
        camera_from_world=np.concatenate([rig.camera_from_world for rig in cameras]),
        distortion=tuple(rig.distortion[0] for rig in cameras),
    )


def _kalibr_camera(camera: dict[str, Any], key: str, pose: Float64[np.ndarray, "4 4"]) -> Rig:
    model, lens_model = camera.get("camera_model", "pinhole"), str(camera.get("distortion_model", "none"))
    if model != "pinhole":
        raise ValueError(f"{key}: camera_model {model!r} is not supported, only pinhole is")
    if lens_model != "none" and lens_model not in KALIBR_LENSES:
        raise ValueError(f"{key}: distortion_model {lens_model!r} is not one of none, {', '.join(KALIBR_LENSES)}")
    focal_and_centre = _numbers(_need(camera, "intrinsics", key), f"{key}: intrinsics")
    if focal_and_centre.shape != (4,):
        raise ValueError(f"{key}: intrinsics must be fx fy cx cy, got {focal_and_centre.tolist()}")
    fx, fy, cx, cy = focal_and_centre
    resolution = _need(camera, "resolution", key)
    if not isinstance(resolution, list) or len(resolution) != 2 or not all(type(side) is int for side in resolution):
        raise ValueError(f"{key}: resolution must be [width, height] in pixels, got {resolution!r}")
    topic = [part for part in str(camera.get("rostopic", "")).split("/") if part]
    lens = None
    if lens_model != "none":
        coefficients = _numbers(_need(camera, "distortion_coeffs", key), f"{key}: distortion_coeffs")
        lens = read_distortion(KALIBR_LENSES[lens_model], coefficients.ravel().tolist())
    return _single(
        topic[-2] if len(topic) > 1 else key,
        size=(resolution[0], resolution[1]),
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]),
        lens=lens,
        pose=pose,
    )


def _single(
    name: str, *, size: tuple[int, int], intrinsics: np.ndarray, lens: Distortion | None, pose: np.ndarray
) -> Rig:
    """A rig of one camera, checked by itself, so that an error names it."""
    if not np.isfinite(pose).all():
        raise ValueError(f"camera {name!r}: its pose holds a number that is not finite: {pose.tolist()}")
    rig = Rig((name,), (None,), (size,), intrinsics[None], _orthonormal(pose)[None], (lens,))
    check_rig(rig)
    return rig


def _orthonormal(pose: np.ndarray) -> np.ndarray:
    """A pose that is rigid within what a text file's digits lose; any other as it is, to be refused."""
    left, _, right = np.linalg.svd(pose[:3, :3])
    result = pose.copy()
    result[:3, :3] = left @ right
    return result if np.abs(result - pose).max() < 1e-3 else pose


def _need(mapping: dict[str, Any], key: str, where: str) -> Any:
    if key not in mapping:
        raise ValueError(f"{where} lacks {key}")
    return mapping[key]


def _pixels(content: dict[str, Any], key: str, where: str) -> int:
    value = _need(content, key, where)
    if type(value) is not int:
        raise ValueError(f"{where}: {key} must be a whole number of pixels, got {value!r}")
    return value


def _matrix(value: Any, shape: tuple[int, int], where: str) -> Float64[np.ndarray, "_ _"]:
    """Rows of numbers, or ROS's {rows, cols, data}."""
    matrix = _numbers(value, where)
    if matrix.size != shape[0] * shape[1]:
        raise ValueError(f"{where} must be {shape[0]} x {shape[1]}, got {matrix.size} numbers")
    return matrix.reshape(shape)


def _numbers(value: Any, where: str) -> np.ndarray:
    if isinstance(value, dict):
        value = value.get("data")
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} must be numbers, got {value!r}") from error
