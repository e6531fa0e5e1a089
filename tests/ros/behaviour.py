"""What a trivial engine is to do before each of its steps: go on, wait for leave, fail, or hang."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from syncmv4d_model.types import Observation


@dataclass
class Behaviour:
    """Passed as `before_step`; `steps_begun` counts."""

    gated: bool = False  # every step waits for `allow_step`
    mode: str = "go"  # or "fail", "hang"
    steps_begun: int = 0
    allow_step: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    released: threading.Event = field(default_factory=threading.Event)  # ends a hang

    def __call__(self, done: int) -> None:
        self.steps_begun += 1
        if self.mode == "fail":
            raise RuntimeError("CUDA out of memory")
        if self.mode == "hang":
            self.released.wait()
        if self.gated:
            self.allow_step.acquire()

    def let_go(self) -> None:
        """Let everything end, at a test's end."""
        self.released.set()
        self.allow_step.release(1000)


def grey_observation(task: str = "stir", *, views: int = 2, height: int = 48, width: int = 64) -> Observation:
    """Grey images from cameras in a row."""
    poses = np.tile(np.eye(4), (views, 1, 1))
    poses[:, 0, 3] = -0.1 * np.arange(views)
    intrinsics = np.tile(np.array([[60.0, 0, (width - 1) / 2], [0, 60.0, (height - 1) / 2], [0, 0, 1]]), (views, 1, 1))
    images = np.full((views, height, width, 3), 128, np.uint8)
    return Observation(images, intrinsics, poses, task, tuple(f"camera_{i}" for i in range(views)))
