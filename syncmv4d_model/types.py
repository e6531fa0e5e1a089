"""The borders of the system, as types. Numpy only at import; tensors are duck-typed by shape and dtype.

Shape letters: B batch, V views, T frames, K points per view, H W pixels, C channels, F latent frames, h w latent cells, L text tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

LABELS = ("unknown", "hand", "tool", "target")
"""Meaning of a point's label value 0..3."""


@dataclass(frozen=True)
class Observation:
    """What the cameras saw at one moment: whole images, each of its own size, with the lens taken out."""

    images: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    intrinsics: Float[np.ndarray, "V 3 3"]  # pixels of `images`; integer pixel centres
    camera_from_world: Float[np.ndarray, "V 4 4"]  # metres; x right, y down, z forward
    task: str
    view_names: tuple[str, ...]
    stamp_s: float = 0.0


@dataclass(frozen=True)
class ModelInput:
    """What the networks see of an observation: one window of each image, resized to the model's size."""

    images: UInt8[np.ndarray, "V H W 3"]
    intrinsics: Float[np.ndarray, "V 3 3"]  # pixels of `images`; integer pixel centres
    camera_from_world: Float[np.ndarray, "V 4 4"]
    task: str
    view_names: tuple[str, ...]
    windows_px: Float64[np.ndarray, "V 4"]  # left, top, width, height in Observation.images: data.window


@dataclass(frozen=True)
class Prediction:
    """Synchronised videos and metric tracks for one observation."""

    video: UInt8[np.ndarray, "V T H W 3"]
    pseudo_video: Float32[np.ndarray, "V T H W 3"]  # values in [0, 1]; background 0
    tracks: Float32[np.ndarray, "V T K 3"]  # world, metres
    coarse_tracks: Float32[np.ndarray, "V T K 3"]  # world, metres, before the point aligner
    visible: Bool[np.ndarray, "V T K"]  # by the point's own view
    stddev: Float32[np.ndarray, "V T K"]  # metres, per axis
    label: UInt8[np.ndarray, "V K"]  # index into LABELS
    anchors_px: Float32[np.ndarray, "V K 2"]  # frame-0 pixel (u, v) in Observation.images
    windows_px: Float64[np.ndarray, "V 4"]  # what `video` shows of Observation.images: data.window
    intrinsics: Float[np.ndarray, "V 3 3"]  # pixels of `video`; integer pixel centres
    depth_scale: Float32[np.ndarray, "V 2"]  # metres, (near, far)
    frame_period_s: float
    seed: int
    warnings: tuple[str, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cameras:
    """Calibration of a batch of rigs, as tensors on the model's device."""

    intrinsics: Float[Any, "B V 3 3"]  # pixels of the model's images
    camera_from_world: Float[Any, "B V 4 4"]
    height: int
    width: int

    def to(self, device: Any) -> Cameras:
        """The same cameras on another torch device."""
        return replace(self, intrinsics=self.intrinsics.to(device), camera_from_world=self.camera_from_world.to(device))


@dataclass(frozen=True)
class ExpectedMotion:
    """What the motion prior expects of a request."""

    motion: Float[Any, "B V Cm F h w"]
    depth_scale: Float[Any, "B V 2"]  # standardised with the training set's mean and std
    features: Float[Any, "B V cells D"]  # of the reference images' cells
    maps: tuple[Any, ...]  # "B V C H W" each: of the reference images' pixels, from fine to coarse


@dataclass(frozen=True)
class ExpectedPoints:
    """What the point prior expects of the anchors, from a request's condition alone."""

    visible_logit: Float[Any, "B V T K"]
    label_logits: Float[Any, "B V K 4"]


@dataclass(frozen=True)
class Condition:
    """Everything that a request fixes before denoising starts; computed once."""

    text: Float[Any, "B L D"]
    text_mask: Bool[Any, "B L"]
    reference: Float[Any, "B V C 1 h w"]  # standardised latent of the reference images
    still: Float[Any, "B V C F h w"] | None  # latent of the reference held still; None without preconditioning
    expected: ExpectedMotion | None  # None without a motion prior
    cameras: Cameras
    centres: Float[Any, "B V 3"]  # world points (m) that normalised tracks are relative to


@dataclass(frozen=True)
class State:
    """What denoising changes; t goes from 1 (noise) to 0 (clean)."""

    video: Float[Any, "B V C F h w"]
    motion: Float[Any, "B V Cm F h w"] | None
    tracks: Float[Any, "B V T K 3"] | None  # normalised: (world - centre) / TRACK_UNIT_M


@dataclass(frozen=True)
class Anchors:
    """The tracked points' identities: frame-0 pixels, fixed over time, with their colour."""

    pixels: Float[Any, "B V K 2"]  # (u, v), integer pixel centres
    colours: Float[Any, "B V K 3"]  # reference image at the pixel, [-1, 1]
    duplicate: Bool[Any, "B V K"]  # repeated because the foreground had fewer than K pixels
    expected: ExpectedPoints | None = None  # what the point prior says of them, where there is one


@dataclass(frozen=True)
class CoarseTracks:
    """Tracks as read off a pseudo video (paper, Decode and denormalise)."""

    points_world: Float[Any, "B V T K 3"]  # metres; arbitrary but finite where not valid
    valid: Bool[Any, "B V T K"]


@dataclass(frozen=True)
class JointVelocity:
    """Output of the joint denoiser."""

    video: Float[Any, "B V C F h w"]
    motion: Float[Any, "B V Cm F h w"] | None
    depth_scale: Float[Any, "B V 2"] | None  # standardised with the training set's mean and std


@dataclass(frozen=True)
class AlignedTracks:
    """Output of the point aligner, in normalised track units."""

    clean: Float[Any, "B V T K 3"]
    velocity: Float[Any, "B V T K 3"]
    visible_logit: Float[Any, "B V T K"]
    label_logits: Float[Any, "B V K 4"]
    log_variance: Float[Any, "B V T K"]  # per axis, log of normalised units squared


TRACK_UNIT_M = 0.25
"""Metres per unit of normalised track coordinates."""


@dataclass(frozen=True)
class ExpectedError:
    """Mean squared velocity error, per sample, of knowing nothing but the latents' spread; terms are divided by it."""

    video: Float[Any, "B"]
    motion: Float[Any, "B"]
