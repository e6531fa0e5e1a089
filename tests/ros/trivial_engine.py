"""An engine without a network: real arrays of a real prediction's shapes, for everything that is tested around the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from syncmv4d_model.data.observation import cut_windows, image_sizes
from syncmv4d_model.data.window import from_window, largest_windows
from syncmv4d_model.types import LABELS, ModelInput, Observation, Prediction
from syncmv4d_ros.engine import Cancelled


def nothing(step: int) -> None:
    """What happens before a step when nothing is to go wrong."""


@dataclass(frozen=True)
class TrivialEngine:
    """Lifts points of every label by 1 cm a frame; the videos, of `height` x `width` pixels, hold the largest centred part of the
    images still. The seed only moves the start.

    `before_step(done)` is called before every step: a test raises, waits or fills memory there.
    """

    name: str = "trivial"
    height: int = 48
    width: int = 64
    max_views: int = 4
    steps: int = 4
    num_frames: int = 5
    num_points: int = 8  # per view
    before_step: Callable[[int], None] = nothing

    def generate(
        self,
        observation: Observation,
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Prediction:
        views = len(observation.images)
        if not 1 <= views <= self.max_views:
            raise ValueError(f"{self.name} takes 1 to {self.max_views} views, got {views}")
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        for done in range(steps):
            if cancelled():
                raise Cancelled(f"cancelled before step {done + 1} of {steps}")
            self.before_step(done)
            progress(done + 1, steps)
        return self._prediction(observation, seed)

    def look(self, observation: Observation) -> ModelInput:
        """What it sees of the images."""
        windows_px = largest_windows(image_sizes(observation), aspect=self.width / self.height)
        return cut_windows(observation, windows_px, height=self.height, width=self.width)

    def _prediction(self, observation: Observation, seed: int) -> Prediction:
        seen = self.look(observation)
        views, frames, points = len(observation.images), self.num_frames, self.num_points
        random = np.random.default_rng(seed)
        start = random.uniform(-0.1, 0.1, (views, 1, points, 3)).astype(np.float32)
        tracks = start + np.array([0, 0, 0.01], np.float32) * np.arange(frames, dtype=np.float32)[:, None, None]
        video = np.repeat(seen.images[:, None], frames, axis=1)
        pixels = random.uniform(0, min(self.height, self.width) - 1, (views, points, 2))
        return Prediction(
            video=video,
            pseudo_video=np.zeros(video.shape, np.float32),
            tracks=tracks,
            coarse_tracks=tracks,
            visible=np.ones((views, frames, points), bool),
            stddev=np.full((views, frames, points), 0.002, np.float32),
            label=np.tile(np.arange(points, dtype=np.uint8) % len(LABELS), (views, 1)),
            anchors_px=from_window(pixels, seen.windows_px, height=self.height, width=self.width),
            windows_px=seen.windows_px,
            intrinsics=seen.intrinsics,
            depth_scale=np.tile(np.array([0.5, 1.0], np.float32), (views, 1)),
            frame_period_s=0.125,
            seed=seed,
        )


def observation_for(engine: TrivialEngine, *, views: int = 3, seed: int = 0) -> Observation:
    """Random images of the engine's size, from cameras side by side that look along world z."""
    random = np.random.default_rng(seed)
    intrinsics = np.array([[50.0, 0, (engine.width - 1) / 2], [0, 50.0, (engine.height - 1) / 2], [0, 0, 1]])
    camera_from_world = np.tile(np.eye(4), (views, 1, 1))
    camera_from_world[:, 0, 3] = -0.1 * np.arange(views)
    return Observation(
        images=tuple(random.integers(0, 256, (views, engine.height, engine.width, 3), dtype=np.uint8)),
        intrinsics=np.tile(intrinsics, (views, 1, 1)),
        camera_from_world=camera_from_world,
        task="use a hammer to hit a box",
        view_names=("left", "centre", "right", "top")[:views],
    )
