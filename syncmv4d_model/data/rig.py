"""rig.yaml: the calibrated cameras of one scene, checked where they enter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Float64

from syncmv4d_model.data.atomic import write_bytes

RIG_FILE = "rig.yaml"
MIN_FOCAL_PX = 10.0
MAX_IMAGE_SIZES = 1000.0  # focal length and principal point of a real camera, or of a crop of one, stay below
ROTATION_TOLERANCE = 1e-3
MAX_CAMERA_DISTANCE_M = 50.0
RESERVED_NAMES = ("preview",)  # generate writes preview.mp4 beside <view>.mp4
COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}
"""Distortion models, by their ROS names, and how many coefficients each may have."""

_REQUIRED = ("name", "width", "height", "intrinsics", "camera_from_world")
_OPTIONAL = ("image", "distortion")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Distortion:
    """A lens, by its ROS model name: plumb_bob k1 k2 p1 p2 [k3], rational_polynomial k1 k2 p1 p2 k3 k4 k5 k6, equidistant k1 k2
    k3 k4.
    """

    model: str
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class Rig:
    """V calibrated cameras."""

    view_names: tuple[str, ...]
    image_files: tuple[str | None, ...]  # relative to rig.yaml; None where the file names none
    sizes: tuple[tuple[int, int], ...]  # (width, height) px
    intrinsics: Float64[np.ndarray, "V 3 3"]  # px of an image of that size; integer pixel centres
    camera_from_world: Float64[np.ndarray, "V 4 4"]  # metres; x right, y down, z forward
    distortion: tuple[Distortion | None, ...]


def read_rig(path: Path) -> Rig:
    """Read and check a rig file.

    FileNotFoundError if it is missing; ValueError, naming the file, the view and the number, if it cannot be a rig:
    see `check_rig`.
    """
    import yaml

    if not path.is_file():
        raise FileNotFoundError(f"no rig file {path}: it lists each view's name, image, size, intrinsics and pose")
    try:
        content, as_written = _parsed(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    views = content.get("views") if isinstance(content, dict) else None
    if not isinstance(views, list) or not views:
        raise ValueError(f"{path} has no view: it needs a list `views` with at least one entry")
    try:
        fields = [_view_fields(view, index) for index, view in enumerate(views)]
        for view, written in zip(fields, as_written["views"], strict=True):
            view["name"] = written["name"]  # to YAML, the serial number 0221 is the octal number 145
        rig = Rig(
            view_names=tuple(view["name"] for view in fields),
            image_files=tuple(view["image"] for view in fields),
            sizes=tuple((view["width"], view["height"]) for view in fields),
            intrinsics=np.stack([view["intrinsics"] for view in fields]),
            camera_from_world=np.stack([view["camera_from_world"] for view in fields]),
            distortion=tuple(view["distortion"] for view in fields),
        )
        check_rig(rig)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return rig


def check_rig(rig: Rig) -> None:
    """ValueError unless names are distinct and safe as file names, sizes positive, focal lengths in pixels, poses rigid,
    in metres and no two the same, and every number finite.
    """
    if not rig.view_names:
        raise ValueError("a rig needs at least one view, got 0")
    _check_names(rig.view_names)
    _check_image_files(rig)
    for index, name in enumerate(rig.view_names):
        width, height = rig.sizes[index]
        if width < 1 or height < 1:
            raise ValueError(f"view {name!r}: width and height must be positive, got {width} x {height}")
        _check_intrinsics(name, rig.intrinsics[index], size=(width, height))
        _check_pose(name, rig.camera_from_world[index])
        _check_distortion(name, rig.distortion[index])
    _check_distances(rig)


def write_rig(path: Path, rig: Rig) -> None:
    """Write a rig file, whole or not at all, with every digit of every number. ValueError as check_rig."""
    import yaml

    check_rig(rig)
    views = []
    for index, name in enumerate(rig.view_names):
        view: dict[str, Any] = {"name": name, "image": rig.image_files[index]}
        view["width"], view["height"] = rig.sizes[index]
        view["intrinsics"] = rig.intrinsics[index].tolist()
        lens = rig.distortion[index]
        view["distortion"] = {"model": lens.model, "coefficients": list(lens.coefficients)} if lens else None
        view["camera_from_world"] = rig.camera_from_world[index].tolist()
        views.append({key: value for key, value in view.items() if value is not None})
    text = yaml.safe_dump({"views": views}, sort_keys=False, default_flow_style=None, width=200)
    write_bytes(path, text.encode())


def _parsed(text: str) -> tuple[Any, Any]:
    """The content, and the same with every word and number as it is written; parsing, which is slow, is done once for both."""
    import yaml
    from yaml.constructor import BaseConstructor, SafeConstructor

    loader = getattr(
        yaml, "CSafeLoader", yaml.SafeLoader
    )  # libyaml's, where PyYAML was built with it: ten times faster
    node = yaml.compose(text, Loader=loader)
    if node is None:
        return None, None
    as_written = BaseConstructor().construct_document(node)  # first: the other merges keys in the node itself
    return SafeConstructor().construct_document(node), as_written


def _view_fields(view: Any, index: int) -> dict[str, Any]:
    """One entry of `views` with every value of its right kind."""
    if not isinstance(view, dict):
        raise ValueError(f"view {index} must be a mapping, got {view!r}")
    name = view.get("name")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise ValueError(f"view {index} must have a name, got {name!r}")
    where = f"view {str(name)!r}"
    for key in _REQUIRED:
        if key not in view:
            raise ValueError(f"{where} lacks {key}")
    unknown = sorted(str(key) for key in set(view) - set(_REQUIRED) - set(_OPTIONAL))
    if unknown:
        raise ValueError(f"{where} has unknown key {unknown[0]!r}; known are {', '.join(_REQUIRED + _OPTIONAL)}")
    for key in ("width", "height"):
        if not isinstance(view[key], int) or isinstance(view[key], bool):
            raise ValueError(f"{where}: {key} must be a whole number of pixels, got {view[key]!r}")
    image = view.get("image")
    if image is not None and not isinstance(image, str):
        raise ValueError(f"{where}: image must be a file name, got {image!r}")
    return {
        "name": str(name),
        "image": image,
        "width": view["width"],
        "height": view["height"],
        "intrinsics": _matrix(view["intrinsics"], (3, 3), f"{where}: intrinsics"),
        "camera_from_world": _matrix(view["camera_from_world"], (4, 4), f"{where}: camera_from_world"),
        "distortion": _distortion(view.get("distortion"), where),
    }


def _matrix(rows: Any, shape: tuple[int, int], where: str) -> np.ndarray:
    try:
        matrix = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} must be {shape[0]} x {shape[1]} numbers, got {rows!r}") from error
    if matrix.shape != shape:
        raise ValueError(f"{where} must be {shape[0]} x {shape[1]}, got shape {list(matrix.shape)}")
    return matrix


def _distortion(value: Any, where: str) -> Distortion | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"model", "coefficients"}:
        raise ValueError(f"{where}: distortion must have model and coefficients, got {value!r}")
    try:
        coefficients = tuple(float(number) for number in value["coefficients"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: distortion coefficients must be numbers, got {value['coefficients']!r}") from error
    return Distortion(str(value["model"]), coefficients)


def _check_names(names: tuple[str, ...]) -> None:
    for index, name in enumerate(names):
        if not _SAFE_NAME.fullmatch(name):
            raise ValueError(
                f"view name {name!r} cannot be a file name: use 1 to 64 letters, digits, '_', '-' and '.', not starting with '.' or '-'"
            )
        if name.lower() in RESERVED_NAMES:
            raise ValueError(f"view name {name!r} is reserved: {name}.mp4 is another file of the result")
        # some file systems do not tell Left.mp4 from left.mp4
        if name.lower() in [other.lower() for other in names[:index]]:
            raise ValueError(f"view name {name!r} is used twice")


def _check_image_files(rig: Rig) -> None:
    for index, (name, image) in enumerate(zip(rig.view_names, rig.image_files, strict=True)):
        if image is None:
            continue
        path = PurePosixPath(image)
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError(f"view {name!r}: image must lie beside the rig file, got {image!r}")
        if image in rig.image_files[:index]:
            other = rig.view_names[rig.image_files.index(image)]
            raise ValueError(f"views {other!r} and {name!r} name the same image {image!r}")


def _check_intrinsics(name: str, intrinsics: np.ndarray, *, size: tuple[int, int]) -> None:
    if not np.isfinite(intrinsics).all():
        raise ValueError(f"view {name!r}: intrinsics hold a number that is not finite: {intrinsics.tolist()}")
    if not np.array_equal(intrinsics[2], [0, 0, 1]) or intrinsics[1, 0] != 0:
        raise ValueError(
            f"view {name!r}: intrinsics must be [[fx, s, cx], [0, fy, cy], [0, 0, 1]]: {intrinsics.tolist()}"
        )
    focal = min(intrinsics[0, 0], intrinsics[1, 1])
    if focal <= 0:
        raise ValueError(
            f"view {name!r}: focal lengths must be positive, got {focal:g}: the intrinsics are singular or mirrored"
        )
    if focal < MIN_FOCAL_PX:
        raise ValueError(
            f"view {name!r}: a focal length of {focal:g} is not in pixels (at least {MIN_FOCAL_PX:g}); millimetres or image widths?"
        )
    largest = float(np.abs(intrinsics[:2]).max())
    if largest > MAX_IMAGE_SIZES * max(size):
        raise ValueError(
            f"view {name!r}: intrinsics hold {largest:g}, more than {MAX_IMAGE_SIZES:g} times the image's {size[0]} x {size[1]}"
            " pixels"
        )


def _check_pose(name: str, camera_from_world: np.ndarray) -> None:
    if not np.isfinite(camera_from_world).all():
        raise ValueError(
            f"view {name!r}: camera_from_world holds a number that is not finite: {camera_from_world.tolist()}"
        )
    if not np.array_equal(camera_from_world[3], [0, 0, 0, 1]):
        raise ValueError(
            f"view {name!r}: camera_from_world's last row must be 0 0 0 1, got {camera_from_world[3].tolist()}"
        )
    rotation = camera_from_world[:3, :3]
    off = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if off > ROTATION_TOLERANCE:
        raise ValueError(
            f"view {name!r}: camera_from_world is not a rotation: R R^T is {off:.3g} off the identity (at most {ROTATION_TOLERANCE:g})"
        )
    if np.linalg.det(rotation) < 0:
        raise ValueError(
            f"view {name!r}: camera_from_world is not a rotation but a mirror: det R = {np.linalg.det(rotation):.3f}"
        )


def _check_distortion(name: str, distortion: Distortion | None) -> None:
    if distortion is None:
        return
    if distortion.model not in COEFFICIENTS:
        raise ValueError(
            f"view {name!r}: distortion model {distortion.model!r} is not one of {', '.join(COEFFICIENTS)}"
        )
    counts, count = COEFFICIENTS[distortion.model], len(distortion.coefficients)
    if count not in counts:
        wanted = " or ".join(map(str, counts))
        raise ValueError(f"view {name!r}: {distortion.model} has {wanted} coefficients, got {count}")
    if not np.isfinite(distortion.coefficients).all():
        raise ValueError(
            f"view {name!r}: distortion holds a number that is not finite: {list(distortion.coefficients)}"
        )


def _check_distances(rig: Rig) -> None:
    rotations = rig.camera_from_world[:, :3, :3]
    centres = -np.einsum("vji,vj->vi", rotations, rig.camera_from_world[:, :3, 3])
    for second, name in enumerate(rig.view_names):
        for first in range(second):
            other, distance = rig.view_names[first], float(np.linalg.norm(centres[first] - centres[second]))
            if distance < 1e-6 and np.allclose(rotations[first], rotations[second], atol=1e-6):
                raise ValueError(f"views {other!r} and {name!r} are the same camera: their camera_from_world are equal")
            if distance > MAX_CAMERA_DISTANCE_M:
                raise ValueError(
                    f"views {other!r} and {name!r} are {distance:.0f} m apart (at most {MAX_CAMERA_DISTANCE_M:g}):"
                    " is camera_from_world in millimetres?"
                )
