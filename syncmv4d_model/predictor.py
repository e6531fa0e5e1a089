"""From an observation to a prediction: the public door of the package.

predictor = Predictor.load(BUNDLED_NANO)
prediction = predictor.predict(observation, seed=0)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from syncmv4d_model.binding import (
    Binding,
    images_to_unit,
    make_condition,
    stack_cameras,
    task_warnings,
    without_task,
    world,
)
from syncmv4d_model.checkpoint import Components, load_components
from syncmv4d_model.checkpoint_index import BUNDLED_NANO
from syncmv4d_model.config import LoopConfig, ModelConfig
from syncmv4d_model.data.given_anchors import check_anchors, place_anchors
from syncmv4d_model.data.observation import cut_windows, image_sizes
from syncmv4d_model.data.window import ObjectFinder, choose_windows, describe_missed, from_window, largest_windows
from syncmv4d_model.diffusion.closed_loop import Cancelled as Cancelled  # part of the door: predict raises it
from syncmv4d_model.diffusion.closed_loop import Denoised, denoise
from syncmv4d_model.diffusion.flow_matching import cooled, sampling_times
from syncmv4d_model.motion.projection import depth_min_max
from syncmv4d_model.motion.pseudo_video import decode_denormalise, project_normalise
from syncmv4d_model.types import (
    LABELS,
    TRACK_UNIT_M,
    Cameras,
    ModelInput,
    Observation,
    Prediction,
    State,
)

ENGINES = ("eager", "compile")
_Value = TypeVar("_Value")


class Predictor:
    """Loads a checkpoint once and answers observations. Not for use by two threads at the same time."""

    def __init__(
        self,
        components: Components,
        *,
        name: str = "unsaved",
        engine: str = "eager",
        finder: ObjectFinder | None = None,
    ) -> None:
        """`finder` finds what the windows are about; without one, they are the largest centred parts of the images."""
        if engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
        self.components = components.eval()
        self.name = name
        self.finder = finder
        if engine == "compile":
            components.joint_denoiser.compile_blocks()

    @classmethod
    def load(
        cls,
        checkpoint: Path | str = BUNDLED_NANO,
        *,
        engine: str = "eager",
        change: Callable[[ModelConfig], ModelConfig] | None = None,
        device: str = "cpu",
    ) -> Predictor:
        """Read a checkpoint folder; `change` may alter its configuration first. Errors as checkpoint.load_components."""
        checkpoint = Path(checkpoint)
        return cls(load_components(checkpoint, change=change).to(device), name=checkpoint.name, engine=engine)

    @property
    def config(self) -> ModelConfig:
        return self.components.config

    @torch.no_grad()
    def predict(
        self,
        observation: Observation,
        *,
        seed: int = 0,
        steps: int | None = None,
        anchors_px: Float[np.ndarray, "V K 2"] | None = None,
        text_guidance: float | None = None,
        guidance_strength: float | None = None,
        feedback_interval: int | None = None,
        temperature: float | None = None,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Prediction:
        """Generate videos and tracks. Options that are None take the checkpoint's defaults (config.LoopConfig).

        anchors_px are frame-0 pixels of `observation.images` to track; those outside the window that the networks see
        are tracked from its border, never visible and without stddev, and a warning says how many they are. Raises
        ValueError for an observation of too many views, with an empty image or a calibration that is not finite, for
        anchors outside the images, for an option out of its range and where the networks' answer is not finite;
        Cancelled when cancelled() says so.
        """
        self._check(observation, anchors_px)
        config, defaults = self.config, self.config.loop
        started = time.perf_counter()
        seen, missed = self.look(observation)
        binding, warnings = self.bind(seen, seed, _strength("text_guidance", text_guidance, defaults))
        conditioned = time.perf_counter()
        given = None if anchors_px is None else place_anchors(anchors_px, seen)
        anchors = None
        if given is not None:
            anchors = binding.anchors(torch.from_numpy(given.pixels)[None].to(binding.images.device))
        noise = self.noise(len(seen.images), seed, config.num_points if given is None else given.pixels.shape[1])
        result = denoise(
            binding.loop(),
            cooled(noise, _given(temperature, defaults.temperature)),
            times=sampling_times(_given(steps, defaults.steps), shift=defaults.shift),
            anchors=anchors,
            cycle=config.switches.cycle,
            guidance_strength=_strength("guidance_strength", guidance_strength, defaults),
            feedback_interval=_interval(feedback_interval, defaults),
            progress=progress,
            cancelled=cancelled,
        )
        denoised = time.perf_counter()
        _check_finite(result)
        arrays = self._decode(result, binding, seen.windows_px)
        if given is not None and arrays["label"].size:  # no point is tracked by a model without motion
            arrays, missed = given.mark(arrays), [*missed, *given.warnings(observation.view_names)]
        timings = _stages(started, conditioned, denoised, time.perf_counter())
        return Prediction(
            **arrays,
            windows_px=seen.windows_px,
            intrinsics=seen.intrinsics,
            frame_period_s=config.frame_period_s,
            seed=seed,
            warnings=(*missed, *warnings, *_doubts(arrays["label"], labelled=result.aligned is not None)),
            timings_s=timings,
        )

    def find_windows(self, observation: Observation) -> tuple[Float64[np.ndarray, "V 4"], list[str]]:
        """Return what the networks will see of each image (data.window), and a warning for each object that was missed."""
        sizes, aspect = image_sizes(observation), self.config.width / self.config.height
        if self.finder is None:
            return largest_windows(sizes, aspect=aspect), []
        found = self.finder(observation.images, observation.task)
        windows_px = choose_windows(found.boxes_px, sizes, aspect=aspect)
        return windows_px, describe_missed(found, observation.view_names)

    def look(self, observation: Observation) -> tuple[ModelInput, list[str]]:
        """Return what the networks see of an observation, and the warnings of `find_windows`."""
        windows_px, warnings = self.find_windows(observation)
        return cut_windows(observation, windows_px, height=self.config.height, width=self.config.width), warnings

    @torch.no_grad()
    def codec_round_trip(
        self,
        cameras: Cameras,
        points_world: Float[np.ndarray, "V T P 3"],
        anchors_px: Float[np.ndarray, "V P 2"],
        chosen: np.ndarray,
    ) -> tuple[Float[np.ndarray, "V T K 3"], Bool[np.ndarray, "V T K"]]:
        """True dense tracks -> pseudo video -> latents -> pseudo video -> tracks of the `chosen` [V K] points, and which
        were found: the error that no network can undercut. `cameras` is one rig; anchors are pixels of its images.
        """
        device = self.components.device
        cameras = cameras.to(device)
        points = torch.from_numpy(points_world)[None].float().to(device)
        anchors = torch.from_numpy(anchors_px)[None].float().to(device)
        motion, codec = self.config.motion, self.components.codec
        scale = depth_min_max(points, cameras)
        exact = project_normalise(
            points, anchors, cameras, scale, motion=motion, splat_px=motion.dense_splat_px,
            tracking_video=self.config.switches.tracking_video,
        )  # fmt: skip
        decoded = codec.decode_motion(codec.encode_motion(exact[0]))[None]
        index = torch.from_numpy(chosen).to(device)
        chosen_anchors = torch.gather(anchors, 2, index[None, :, :, None].expand(-1, -1, -1, 2))
        coarse = decode_denormalise(
            decoded, chosen_anchors, cameras, scale, motion=motion, splat_px=motion.dense_splat_px,
            noise=codec.motion_noise,
        )  # fmt: skip
        return coarse.points_world[0].cpu().numpy(), coarse.valid[0].cpu().numpy()

    @torch.no_grad()
    def codec_video(self, video: UInt8[np.ndarray, "V T H W 3"]) -> UInt8[np.ndarray, "V T H W 3"]:
        """A video after encode and decode: the sharpest that the model can make."""
        components, frames = self.components, images_to_unit(video).to(self.components.device)
        return _to_bytes(components.decode_video(components.codec.encode_video(frames), frames[:, 0]))

    def _check(self, observation: Observation, anchors_px: Float[np.ndarray, "V K 2"] | None) -> None:
        config, views = self.config, len(observation.images)
        if not 1 <= views <= config.max_views:
            raise ValueError(f"{self.name} takes 1 to {config.max_views} views, got {views}")
        for name, image in zip(observation.view_names, observation.images, strict=True):
            if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
                raise ValueError(f"the image of view {name!r} must be [H W 3], got {list(image.shape)}")
        for name in ("intrinsics", "camera_from_world"):
            if not np.isfinite(getattr(observation, name)).all():
                raise ValueError(f"{name} of the observation holds numbers that are not finite")
        if anchors_px is not None:
            check_anchors(anchors_px, observation)

    def bind(self, seen: ModelInput, seed: int, text_guidance: float) -> tuple[Binding, list[str]]:
        """The loop's callables for one input, and warnings about its task."""
        components = self.components
        images = images_to_unit(seen.images)[None].to(components.device)
        cameras = stack_cameras([seen]).to(components.device)
        condition, tokens = make_condition(components, [seen.task], images, cameras)
        empty = without_task(components, condition, images) if text_guidance != 1.0 else None
        return Binding(components, condition, images, seed, text_guidance, empty), task_warnings(seen.task, tokens)

    def noise(self, views: int, seed: int, num_points: int) -> State:
        """Pure noise for so many views: the same for a seed on every device."""
        config = self.config
        device = self.components.device
        generator = torch.Generator().manual_seed(seed)  # on the CPU: the same noise on every device
        cells = (config.latent_frames, *config.latent_size)

        def noise(*shape: int) -> Tensor:
            return torch.randn(1, views, *shape, generator=generator).to(device)

        video = noise(config.codec.video_channels, *cells)
        if not config.switches.motion:
            return State(video, None, None)
        return State(video, noise(config.codec.motion_channels, *cells), noise(config.num_frames, num_points, 3))

    def _decode(
        self, result: Denoised, binding: Binding, windows_px: Float64[np.ndarray, "V 4"]
    ) -> dict[str, np.ndarray]:
        config = self.config
        video = _to_bytes(self.components.decode_video(result.state.video[0], binding.images[0]))
        views, frames = video.shape[:2]
        if result.coarse is None or result.anchors is None or result.depth_scale is None:
            return _no_tracks(video)
        assert result.state.motion is not None
        coarse = result.coarse.points_world[0]
        tracks, visible = coarse, result.coarse.valid[0]
        stddev = torch.full(tracks.shape[:-1], float("nan"))
        label = torch.zeros(views, tracks.shape[2], dtype=torch.uint8)
        if result.aligned is not None:
            assert result.state.tracks is not None
            aligned = binding.judge(result.aligned, result.coarse)
            tracks = world(result.state.tracks, binding.condition.centres)[0]
            visible = aligned.visible_logit[0] > 0
            temperature = self.components.statistics.stddev_temperature
            stddev = torch.exp(0.5 * aligned.log_variance[0]) * (TRACK_UNIT_M * temperature)
            label = aligned.label_logits[0].argmax(-1).to(torch.uint8)
        arrays = {
            "pseudo_video": binding.pseudo_video(result.state.motion)[0],
            "tracks": tracks,
            "coarse_tracks": coarse,
            "visible": visible,
            "stddev": stddev,
            "label": label,
            "depth_scale": binding.metric_scale(result.depth_scale)[0],
        }
        assert frames == config.num_frames
        found = {name: array.cpu().numpy() for name, array in arrays.items()}
        pixels = result.anchors.pixels[0].cpu().numpy()
        anchors_px = from_window(pixels, windows_px, height=config.height, width=config.width)
        return {"video": video, "anchors_px": anchors_px} | found


def _to_bytes(video: Tensor) -> np.ndarray:
    """Inverse of binding.images_to_unit."""
    return ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def _stages(started: float, conditioned: float, denoised: float, decoded: float) -> dict[str, float]:
    """Seconds of every stage of a request, from the moments at which each was done."""
    return {
        "condition": conditioned - started,
        "denoise": denoised - conditioned,
        "decode": decoded - denoised,
        "total": decoded - started,
    }


def _doubts(label: np.ndarray, *, labelled: bool) -> list[str]:
    """What a planner should know about a result before it trusts it. `label` is [V K]; `labelled`: the model gives labels."""
    doubts = []
    if labelled:
        doubts = [
            f"no point was labelled {name}: what the {name} does cannot be read off these tracks"
            for name in ("hand", "tool")
            if not (label == LABELS.index(name)).any()
        ]
    if len(label) == 1:
        doubts.append("there is one view: every depth rests on one camera, and no other view can confirm it")
    return doubts


def _check_finite(result: Denoised) -> None:
    """ValueError where a network overflowed: decoding would hide it behind plausible pixels and tracks."""
    parts = {name: value for name, value in vars(result.state).items() if value is not None}
    parts |= {} if result.depth_scale is None else {"depth_scale": result.depth_scale}
    for name, value in parts.items():
        if not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            raise ValueError(
                f"the model answered with {count} numbers of {name} that are not finite: nothing is predicted"
            )


def _given(value: _Value | None, default: _Value) -> _Value:
    return default if value is None else value


def _interval(value: int | None, defaults: LoopConfig) -> int:
    interval = _given(value, defaults.feedback_interval)
    if interval < 1:
        raise ValueError(f"feedback_interval must be at least 1, got {interval}")
    return interval


def _strength(name: str, value: float | None, defaults: LoopConfig) -> float:
    strength = _given(value, getattr(defaults, name))
    if not math.isfinite(strength):
        raise ValueError(f"{name} must be finite, got {strength}")
    return strength


def _no_tracks(video: np.ndarray) -> dict[str, np.ndarray]:
    views, frames = video.shape[:2]
    return {
        "video": video,
        "pseudo_video": np.zeros(video.shape, np.float32),
        "tracks": np.zeros((views, frames, 0, 3), np.float32),
        "coarse_tracks": np.zeros((views, frames, 0, 3), np.float32),
        "visible": np.zeros((views, frames, 0), bool),
        "stddev": np.zeros((views, frames, 0), np.float32),
        "label": np.zeros((views, 0), np.uint8),
        "anchors_px": np.zeros((views, 0, 2), np.float32),
        "depth_scale": np.zeros((views, 2), np.float32),
    }
