"""A folder of images and a rig -> an Observation; and what lenses do to pixels, there and back."""

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
from syncmv4d_model.data.window import cut_window, window_intrinsics
from syncmv4d_model.types import ModelInput, Observation

_COLOUR_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow modes of 8 bits or fewer per channel; deeper ones would be clipped in silence."""
_ORIENTATION_TAG = 0x0112
MAX_IMAGE_PX = 100_000_000


@dataclass(frozen=True)
class Lenses:
    """What each camera's lens does: pixels of the images that were taken <-> pixels of Observation.images."""

    view_names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]  # (width, height) px, of both
    intrinsics: Float64[np.ndarray, "V 3 3"]  # of both
    distortion: tuple[Distortion | None, ...]

    def take_out(self, pixels: Float[np.ndarray, "V K 2"]) -> Float32[np.ndarray, "V K 2"]:
        """Pixels of the images that were taken -> of the observation. ValueError where a lens cannot be inverted."""
        result = pixels.astype(np.float64)
        for view, lens in enumerate(self.distortion):
            if lens is not None and not is_straight(lens):
                result[view] = undistorted(result[view], self.intrinsics[view], lens)
        return result.astype(np.float32)

    def put_back(self, pixels: Float[np.ndarray, "V K 2"]) -> Float32[np.ndarray, "V K 2"]:
        """Pixels of the observation -> of the images that were taken."""
        result = pixels.astype(np.float64)
        for view, lens in enumerate(self.distortion):
            if lens is not None and not is_straight(lens):
                result[view] = distorted_pixels(result[view], self.intrinsics[view], lens)
        return result.astype(np.float32)


def lenses_of(rig: Rig) -> Lenses:
    """The lenses of a rig's cameras."""
    return Lenses(rig.view_names, rig.sizes, rig.intrinsics, rig.distortion)


def read_observation(directory: Path, task: str, *, max_views: int | None = None) -> tuple[Observation, Lenses]:
    """Read rig.yaml and one image per view, or the first frame of <view>.mp4 where the rig names no image.

    FileNotFoundError for a missing file; ValueError for a rig that rig.read_rig refuses, more than max_views views
    (None: any number), an image that cannot be read, is too large or whose size contradicts the rig.
    """
    if not directory.is_dir():
        raise FileNotFoundError(f"no input folder {directory}")
    rig = read_rig(directory / RIG_FILE)
    _check_rig(rig, max_views)  # before the images: they may be many, and large
    paths = _image_paths(directory, rig)
    images = [read_video(path, max_frames=1)[0] if path.suffix == ".mp4" else read_image(path) for path in paths]
    return observe(rig, images, task, max_views=max_views)


def observe(
    rig: Rig,
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    task: str,
    *,
    max_views: int | None = None,
    stamp_s: float = 0.0,
) -> tuple[Observation, Lenses]:
    """Take the lenses out of one image per view of a checked rig; sizes and K stay. ValueError as read_observation."""
    _check_rig(rig, max_views)
    if len(images) != len(rig.view_names):
        raise ValueError(f"the rig has {len(rig.view_names)} views, got {len(images)} images")
    straight = []
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
        straight.append(image)
    observation = Observation(
        images=tuple(straight),
        intrinsics=rig.intrinsics.copy(),
        camera_from_world=rig.camera_from_world.copy(),
        task=task,
        view_names=rig.view_names,
        stamp_s=stamp_s,
    )
    return observation, lenses_of(rig)


def image_sizes(observation: Observation) -> list[tuple[int, int]]:
    """(width, height) px of each view's image."""
    return [(image.shape[1], image.shape[0]) for image in observation.images]


def cut_windows(
    observation: Observation, windows_px: Float64[np.ndarray, "V 4"], *, height: int, width: int
) -> ModelInput:
    """Cut a window of each image and resize it to height x width; K follows."""
    images = [
        cut_window(image, window, height=height, width=width)
        for image, window in zip(observation.images, windows_px, strict=True)
    ]
    return ModelInput(
        images=np.stack(images),
        intrinsics=window_intrinsics(observation.intrinsics, windows_px, height=height, width=width),
        camera_from_world=observation.camera_from_world,
        task=observation.task,
        view_names=observation.view_names,
        windows_px=windows_px,
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


def load_anchors(path: Path, lenses: Lenses) -> Float32[np.ndarray, "V K 2"]:
    """anchors_px (pixels of the images that were taken) of an .npz file, such as tracks.npz, in pixels of the observation.

    FileNotFoundError; ValueError if they are not [V K 2] finite numbers inside the images.
    """
    pixels = read_npz(path, ("anchors_px",))["anchors_px"]
    views = len(lenses.view_names)
    if pixels.ndim != 3 or pixels.shape[0] != views or pixels.shape[1] < 1 or pixels.shape[2] != 2:
        raise ValueError(f"{path}: anchors_px must be [{views} K 2], got {list(pixels.shape)}")
    if pixels.dtype.kind not in "fiu" or not np.isfinite(pixels).all():
        raise ValueError(f"{path}: anchors_px holds something that is not a finite number")
    straight = lenses.take_out(pixels.astype(np.float64))
    limits = np.array(lenses.sizes, dtype=np.float32)[:, None]
    edge = 0.01  # float32 rounding of a pixel on the border
    outside = np.any((straight < -0.5 - edge) | (straight > limits - 0.5 + edge), axis=-1)
    for view, (name, (width, height)) in enumerate(zip(lenses.view_names, lenses.sizes, strict=True)):
        if outside[view].any():
            lens = "" if np.array_equal(straight[view], pixels[view].astype(np.float32)) else ", its lens taken out"
            raise ValueError(
                f"{path}: {int(outside[view].sum())} of {pixels.shape[1]} anchors of view {name!r} lie outside the"
                f" {width} x {height} image{lens}, for example {pixels[view][outside[view]][0].tolist()}"
            )
    return np.clip(straight, -0.5, limits - 0.5)


def _check_rig(rig: Rig, max_views: int | None) -> None:
    if max_views is not None and len(rig.view_names) > max_views:
        raise ValueError(f"the rig has {len(rig.view_names)} views, the checkpoint takes at most {max_views}")
    for name, (width, height) in zip(rig.view_names, rig.sizes, strict=True):
        if width * height > MAX_IMAGE_PX:
            raise ValueError(
                f"view {name!r}: an image of {width} x {height} px is more than the {MAX_IMAGE_PX:,} px that are read"
            )


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
