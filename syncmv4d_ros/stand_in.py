"""The generator node with a stand-in for the model: no network, no torch, made-up motion. `python -m syncmv4d_ros.stand_in`.

For measuring (`syncmv4d bench ros`) and for trying the wiring of cameras, topics and planner. It is no engine of the node's table,
because nobody should be able to choose by a parameter that a robot is sent motion that nothing has seen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from syncmv4d_model.data.observation import cut_windows, image_sizes
from syncmv4d_model.data.window import from_window, largest_windows
from syncmv4d_model.types import LABELS, Observation, Prediction
from syncmv4d_ros.engine import Cancelled

CENTRE_M = np.array([0.0, 0.0, 0.8])
NOISE_M, OUTLIERS, OUTLIER_M = 0.002, 0.05, 0.3
SHARES = {"hand": 0.42, "tool": 0.33, "target": 0.25}
SCROLL_PX = 2  # per frame, so that a video is not one picture


@dataclass(frozen=True)
class StandIn:
    """An Engine: a hand leads a tool around over a target, tracked with noise and outliers; videos, of `height` x `width`
    pixels, scroll the largest centred part of the images.

    Every denoising step takes `step_s` seconds. The same seed gives the same tracks.
    """

    height: int = 112
    width: int = 112
    num_frames: int = 17
    num_points: int = 96  # per view
    steps: int = 4
    step_s: float = 0.0
    max_views: int = 8
    name: str = "stand-in"

    def generate(
        self,
        observation: Observation,
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Prediction:
        """As Engine.generate."""
        views, size = len(observation.images), {"height": self.height, "width": self.width}
        if not 1 <= views <= self.max_views:
            raise ValueError(f"{self.name} takes 1 to {self.max_views} views, got {views}")
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        for done in range(steps):
            if cancelled():
                raise Cancelled(f"cancelled before step {done + 1} of {steps}")
            time.sleep(self.step_s)
            progress(done + 1, steps)
        tracks, label = made_up_tracks(views, self.num_frames, self.num_points, seed=seed)
        shape, rng = tracks.shape[:3], np.random.default_rng(seed)
        windows_px = largest_windows(image_sizes(observation), aspect=self.width / self.height)
        seen = cut_windows(observation, windows_px, **size)
        pixels = rng.uniform(0, [self.width - 1, self.height - 1], (views, self.num_points, 2))
        video = np.stack([np.roll(seen.images, SCROLL_PX * n, axis=2) for n in range(self.num_frames)], axis=1)
        return Prediction(
            video=video,
            pseudo_video=np.broadcast_to(np.float32(0), video.shape),
            tracks=tracks,
            coarse_tracks=tracks,
            visible=rng.random(shape) < 0.8,
            stddev=np.full(shape, NOISE_M, np.float32),
            label=label,
            anchors_px=from_window(pixels, windows_px, **size),
            windows_px=windows_px,
            intrinsics=seen.intrinsics,
            depth_scale=np.tile(np.array([0.3, 1.3], np.float32), (views, 1)),
            frame_period_s=0.1,
            seed=seed,
        )


def made_up_tracks(views: int, frames: int, points: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(tracks [V T K 3] metres, label [V K]): each view's points are spread over hand, tool and target alike."""
    rng = np.random.default_rng(seed)
    names = rng.choice(list(SHARES), size=(views, points), p=list(SHARES.values()))
    start = np.empty((views, points, 3))
    for name, shape in {"hand": _hand, "tool": _tool, "target": _target}.items():
        start[names == name] = shape(rng, int((names == name).sum()))
    share = np.linspace(0, 1, frames)[:, None]
    turn = Rotation.from_rotvec(share * [0, 0, 1.2]).as_matrix()
    carried = (names != "target")[:, None, :, None]
    moved = np.einsum("tij,vkj->vtki", turn, start) + (share * [0.1, 0.05, -0.05])[:, None]
    tracks = np.where(carried, moved, start[:, None]) + CENTRE_M + rng.normal(0, NOISE_M, moved.shape)
    wrong = rng.random(tracks.shape[:3]) < OUTLIERS
    wrong[:, 0] = False
    tracks += wrong[..., None] * rng.uniform(-OUTLIER_M, OUTLIER_M, tracks.shape)
    label = np.vectorize(LABELS.index, otypes=[np.uint8])(names)
    return tracks.astype(np.float32), label


def _hand(rng: np.random.Generator, count: int) -> np.ndarray:
    """Skin of a forearm, a palm, and five stretched fingers across the tool, which lies along x through the origin."""
    part = rng.choice(7, size=count, p=[0.3, 0.3, 0.08, 0.08, 0.08, 0.08, 0.08])
    along, around = rng.random(count), rng.uniform(0, 2 * np.pi, count)
    first = np.where(part == 0, 0.08, np.where(part == 1, 0.0, -0.01))
    last = np.where(part == 0, 0.28, np.where(part == 1, 0.08, -0.09))
    wide, thick = np.where(part == 0, 0.035, np.where(part == 1, 0.06, 0.008)), np.where(part < 2, 0.03, 0.008)
    middle = np.where(part < 2, 0.0, (part - 4) * 0.032)
    y = first + along * (last - first)
    return np.stack([middle + wide * np.cos(around), y, thick * np.sin(around)], axis=1)


def _tool(rng: np.random.Generator, count: int) -> np.ndarray:
    """A flat bar."""
    return rng.uniform(-0.5, 0.5, (count, 3)) * [0.24, 0.03, 0.015]


def _target(rng: np.random.Generator, count: int) -> np.ndarray:
    """A box beside the tool."""
    return rng.uniform(-0.5, 0.5, (count, 3)) * [0.12, 0.08, 0.06] + [0.2, 0.1, 0.05]


def told_stand_in(words: list[str]) -> StandIn:
    """A StandIn with these fields, each as `name=value`. ValueError for another name or value."""
    told = dict(word.split("=", 1) for word in words)
    kinds = {name: type(getattr(StandIn(), name)) for name in StandIn.__dataclass_fields__}
    if unknown := told.keys() - kinds.keys():
        raise ValueError(f"{sorted(unknown)[0]!r} is none of {', '.join(kinds)}")
    return StandIn(**{name: kinds[name](value) for name, value in told.items()})


def main(arguments: list[str] | None = None) -> int:
    """The node, as generator_node.main; `key=value` words before ROS's own arguments are fields of StandIn."""
    from syncmv4d_ros.generator_node import main as run_node

    words = list(sys.argv[1:] if arguments is None else arguments)
    cut = words.index("--ros-args") if "--ros-args" in words else len(words)
    engine = told_stand_in(words[:cut])
    return run_node(["stand_in", *words[cut:]], load=lambda parameters: engine)


if __name__ == "__main__":
    sys.exit(main())
