"""A folder of images and a rig -> an Observation of the size that the model takes, and the way back to input pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from syncmv4d_model.data.lens import distorted as distorted_pixels
from syncmv4d_model.data.lens import is_straight, undistorted, undistorted_image
from syncmv4d_model.data.npz import read_npz
from syncmv4d_model.data.rig import RIG_FILE, Distortion, Rig, read_rig
from syncmv4d_model.data.video import read_video
from syncmv4d_model.geometry import camera_centre, resized_intrinsics, transform
from syncmv4d_model.types import Observation

_COLOUR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow modes of 8 bits or fewer per channel; deeper ones would be clipped in silence."""
_ORIENTATION_TAG = 0x0112
_MIN_CROSSING = 0.001  # sine squared of about 2 degrees: flatter, the point where rays meet is not well defined
_MAX_FOCAL_DIFFERENCE = 0.1
_MAX_MISS = 0.25  # share of the distance; simulated rigs stay below 0.2


@dataclass(frozen=True)
class Fit:
    """How each view's input image became the model's: lens taken out, cropped, resized. Both ends have integer pixel centres."""

    view_names: tuple[str, ...]
    input_sizes: tuple[tuple[int, int], ...]  # (width, height) px
    model_size: tuple[int, int]  # (width, height) px
    crop_px: Float64[np.ndarray, "V 2"]  # the crop's upper left edge in the input image
    scale: Float64[np.ndarray, "V 2"]  # model px per input px
    intrinsics: Float64[np.ndarray, "V 3 3"]  # of the input images
    distortion: tuple[Distortion | None, ...]

    def used_px(self) -> dict[str, list[float]]:
        """By view, the part of the input image (its lens taken out) that the model sees: [left, top, width, height] px."""
        sizes = np.array(self.model_size) / self.scale
        parts = np.round(np.concatenate([self.crop_px, sizes], axis=1), 2).tolist()
        return dict(zip(self.view_names, parts, strict=True))

    def to_model(self, pixels: Float[np.ndarray, "V K 2"]) -> Float32[np.ndarray, "V K 2"]:
        """Input pixels -> model pixels. ValueError where a lens cannot be inverted."""
        straight = pixels.astype(np.float64)
        for view, lens in enumerate(self.distortion):
            if lens is not None and not is_straight(lens):
                straight[view] = undistorted(straight[view], self.intrinsics[view], lens)
        result = (straight - self.crop_px[:, None] + 0.5) * self.scale[:, None] - 0.5
        return result.astype(np.float32)

    def to_input(self, pixels: Float[np.ndarray, "V K 2"]) -> Float32[np.ndarray, "V K 2"]:
        """Model pixels -> input pixels."""
        result = (pixels.astype(np.float64) + 0.5) / self.scale[:, None] - 0.5 + self.crop_px[:, None]
        for view, lens in enumerate(self.distortion):
            if lens is not None and not is_straight(lens):
                result[view] = distorted_pixels(result[view], self.intrinsics[view], lens)
        return result.astype(np.float32)


def read_observation(directory: Path, task: str, *, height: int, width: int, max_views: int) -> tuple[Observation, Fit]:
    """Read rig.yaml and one image per view, or the first frame of <view>.mp4 where the rig names no image.

    FileNotFoundError for a missing file; ValueError for a rig that rig.read_rig refuses, more than max_views views, an
    image that cannot be read or whose size contradicts the rig.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"no input folder {directory}")
    rig = read_rig(directory / RIG_FILE)
    _check_view_count(rig, max_views)  # before the images: they may be many
    paths = _image_paths(directory, rig)
    images = [read_video(path, max_frames=1)[0] if path.suffix == ".mp4" else read_image(path) for path in paths]
    return observe(rig, images, task, height=height, width=width, max_views=max_views)


def observe(
    rig: Rig,
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    task: str,
    *,
    height: int,
    width: int,
    max_views: int,
    stamp_s: float = 0.0,
) -> tuple[Observation, Fit]:
    """Fit one image per view of a checked rig to height x width: lens taken out, the largest centred crop of that shape,
    resized by area; K follows. ValueError as read_observation.
    """
    _check_view_count(rig, max_views)
    if len(images) != len(rig.view_names):
        raise ValueError(f"the rig has {len(rig.view_names)} views, got {len(images)} images")
    fit = make_fit(rig, height=height, width=width)
    fitted = []
    for view, (name, image) in enumerate(zip(rig.view_names, images, strict=True)):
        rig_width, rig_height = rig.sizes[view]
        if image.shape[:2] != (rig_height, rig_width):
            raise ValueError(
                f"view {name!r}: the image is {image.shape[1]} x {image.shape[0]} px, the rig file says"
                f" {rig_width} x {rig_height}: its intrinsics would be wrong"
            )
        lens = rig.distortion[view]
        if lens is not None and not is_straight(lens):
            image = undistorted_image(image, rig.intrinsics[view], lens)
        fitted.append(area_resized(image, fit.crop_px[view], fit.scale[view], height=height, width=width))
    intrinsics = [
        resized_intrinsics(k, float(scale[0]), float(scale[1]), crop_x_px=float(crop[0]), crop_y_px=float(crop[1]))
        for k, scale, crop in zip(rig.intrinsics, fit.scale, fit.crop_px, strict=True)
    ]
    observation = Observation(
        images=np.stack(fitted),
        intrinsics=np.stack(intrinsics),
        camera_from_world=rig.camera_from_world.copy(),
        task=task,
        view_names=rig.view_names,
        stamp_s=stamp_s,
    )
    return observation, fit


def make_fit(rig: Rig, *, height: int, width: int) -> Fit:
    """The largest centred crop of each view with the shape height : width, and its scale."""
    sizes = np.array(rig.sizes, dtype=np.float64)
    scale = (np.array([width, height]) / sizes).max(axis=1)
    crop = (sizes - np.array([width, height]) / scale[:, None]) / 2
    return Fit(
        view_names=rig.view_names,
        input_sizes=rig.sizes,
        model_size=(width, height),
        crop_px=crop,
        scale=np.repeat(scale[:, None], 2, axis=1),
        intrinsics=rig.intrinsics,
        distortion=rig.distortion,
    )


def read_image(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """An image file as RGB. FileNotFoundError; ValueError if it is broken, deeper than 8 bits, or carries an EXIF rotation:
    some programs apply it and some do not, so that nobody can tell which pixels the intrinsics are for.
    """
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(f"no image {path}")
    try:
        with Image.open(path) as image:
            if image.mode not in _COLOUR_MODES:
                raise ValueError(f"pixel format {image.mode} is not 8 bits per channel")
            orientation = image.getexif().get(_ORIENTATION_TAG, 1)
            if orientation not in (0, 1):
                raise ValueError(
                    f"its EXIF orientation {orientation} asks viewers to turn it; save the pixels as the camera was calibrated"
                )
            return np.asarray(image.convert("RGB")).copy()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read image {path}: {error}") from error


def load_anchors(path: Path, fit: Fit) -> Float32[np.ndarray, "V K 2"]:
    """anchors_px (input pixels) of an .npz file, such as tracks.npz, in model pixels.

    FileNotFoundError; ValueError if they are not [V K 2] finite numbers inside the part of each image that the model sees.
    """
    pixels = read_npz(path, ("anchors_px",))["anchors_px"]
    views = len(fit.view_names)
    if pixels.ndim != 3 or pixels.shape[0] != views or pixels.shape[1] < 1 or pixels.shape[2] != 2:
        raise ValueError(f"{path}: anchors_px must be [{views} K 2], got {list(pixels.shape)}")
    if pixels.dtype.kind not in "fiu" or not np.isfinite(pixels).all():
        raise ValueError(f"{path}: anchors_px holds something that is not a finite number")
    mapped = fit.to_model(pixels.astype(np.float64))
    limit = np.array(fit.model_size, dtype=np.float32)
    edge = 0.01  # float32 rounding of a pixel on the border
    outside = np.any((mapped < -0.5 - edge) | (mapped > limit - 0.5 + edge), axis=-1)
    for view, name in enumerate(fit.view_names):
        if outside[view].any():
            raise ValueError(
                f"{path}: {int(outside[view].sum())} of {pixels.shape[1]} anchors of view {name!r} lie outside the centred"
                f" {fit.model_size[0]} : {fit.model_size[1]} crop that the model sees, for example"
                f" {pixels[view][outside[view]][0].tolist()}"
            )
    return np.clip(mapped, 0, limit - 1)


def rig_warnings(observation: Observation, fit: Fit | None = None) -> list[str]:
    """Doubts about a calibration that may yet be right: principal points outside the image, focal lengths that differ by more
    than 10 %, cameras that look at no common scene. In input pixels with the `fit`, else in those of the observation.
    """
    size = observation.images.shape[2], observation.images.shape[1]
    sizes = (size,) * len(observation.images) if fit is None else fit.input_sizes
    views = list(zip(observation.view_names, observation.intrinsics if fit is None else fit.intrinsics, strict=True))
    off_centre = [
        f"view {name!r}: the principal point ({k[0, 2]:g}, {k[1, 2]:g}) lies outside the {width} x {height} image;"
        " right only for a crop far from the camera's axis: are the intrinsics those of another image size?"
        for (name, k), (width, height) in zip(views, sizes, strict=True)
        if not (-0.5 <= k[0, 2] <= width - 0.5 and -0.5 <= k[1, 2] <= height - 0.5)
    ]
    stretched = [
        f"view {name!r}: the focal lengths {k[0, 0]:g} and {k[1, 1]:g} px differ by more than {_MAX_FOCAL_DIFFERENCE:.0%};"
        " are the pixels not square, or is a number wrong?"
        for name, k in views
        if max(k[0, 0], k[1, 1]) > (1 + _MAX_FOCAL_DIFFERENCE) * min(k[0, 0], k[1, 1])
    ]
    # a wrong principal point turns every ray: where they meet would say nothing more
    return [*off_centre, *stretched, *([] if off_centre else _gaze_warnings(observation))]


def _gaze_warnings(observation: Observation) -> list[str]:
    """A warning for cameras whose rays through the images' centres do not meet in front of them: they look at no common
    scene, most often because poses are inverted.
    """
    poses, (height, width) = observation.camera_from_world, observation.images.shape[1:3]
    middle = np.array([(width - 1) / 2, (height - 1) / 2, 1.0])
    rays = np.einsum("vji,vj->vi", poses[:, :3, :3], np.linalg.inv(observation.intrinsics) @ middle)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]
    if np.linalg.eigvalsh(across.mean(0))[0] < _MIN_CROSSING:
        return []
    centres = camera_centre(poses)
    meeting_point = np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, centres))
    misses = np.linalg.norm(np.einsum("vij,vj->vi", across, meeting_point - centres), axis=1)
    depths = transform(poses, meeting_point[None, None])[:, 0, 2]
    if misses.max() < _MAX_MISS * depths.min():
        return []
    return [
        f"the cameras look at no common scene: the rays through their images' centres miss each other by {misses.max():.2f} m,"
        f" {depths.min():.2f} m from the nearest camera; is camera_from_world inverted (world_from_camera)?"
    ]


def area_resized(
    image: UInt8[np.ndarray, "_ _ 3"], crop_px: np.ndarray, scale: np.ndarray, *, height: int, width: int
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Crop at a (fractional) upper left edge and resize: exact area means when shrinking, linear when enlarging."""
    rows = _coverage(image.shape[0], height, start=float(crop_px[1]), scale=float(scale[1]))
    columns = _coverage(image.shape[1], width, start=float(crop_px[0]), scale=float(scale[0]))
    result = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        mean = rows @ image[:, :, channel].astype(np.float32) @ columns.T
        result[:, :, channel] = np.rint(np.clip(mean, 0, 255))
    return result


def _coverage(size_in: int, size_out: int, *, start: float, scale: float) -> Float32[np.ndarray, "out in"]:
    """Share of every input pixel in every output pixel. A window of one input pixel or more: that is linear interpolation
    when enlarging.
    """
    centre = start + (np.arange(size_out) + 0.5) / scale
    half = max(1 / scale, 1.0) / 2
    cells = np.arange(size_in)
    low = np.maximum(centre[:, None] - half, cells)
    high = np.minimum(centre[:, None] + half, cells + 1)
    share = np.maximum(high - low, 0)
    return (share / share.sum(1, keepdims=True)).astype(np.float32)


def _check_view_count(rig: Rig, max_views: int) -> None:
    if len(rig.view_names) > max_views:
        raise ValueError(f"the rig has {len(rig.view_names)} views, the checkpoint takes at most {max_views}")


def _image_paths(directory: Path, rig: Rig) -> list[Path]:
    """One existing file per view."""
    paths = [directory / (image or f"{name}.mp4") for name, image in zip(rig.view_names, rig.image_files, strict=True)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        unnamed = [name for name, image in zip(rig.view_names, rig.image_files, strict=True) if image is None]
        hint = f"; {RIG_FILE} names no `image` for {', '.join(unnamed)}" if unnamed else ""
        raise FileNotFoundError(
            f"{len(missing)} of the {len(paths)} images of {directory / RIG_FILE} are missing: {', '.join(missing)}{hint}"
        )
    return paths
