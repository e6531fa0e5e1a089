"""A robot cell without a simulator: real arrays of a real cell's shapes, and an arm that says whether it was sent the right way."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace

import numpy as np

from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.geometry import look_at
from syncmv4d_model.types import LABELS
from tests.ros.moving_bodies import box_cloud, moved, random_path

FRAMES, POINTS, PERIOD_S = 5, 60, 0.25
NAMES, EYES = ("left", "right"), ([-0.4, -1.0, 0.8], [0.4, -1.0, 0.8])


@dataclass(frozen=True)
class Outcome:
    """How far the commanded motion is from the true one."""

    success: bool
    reason: str
    error_m: float
    frame_period_s: float

    def as_dict(self):
        return asdict(self)


@dataclass
class TrivialCell:
    """A box that moves along a random path is the tool; `motion` is what it does."""

    sequence: Sequence
    motion: np.ndarray
    executed: list[np.ndarray] = field(default_factory=list)

    def execute(self, motion, *, frame_period_s):
        if np.linalg.norm(motion[-1, :3, 3]) > 100:
            raise RuntimeError("the arm is on fire")
        self.executed.append(motion)
        error = float(np.abs(motion - self.motion).max()) if motion.shape == self.motion.shape else float("inf")
        success = error < 1e-3
        return Outcome(success, "" if success else "the box went elsewhere", error, frame_period_s)

    def film(self):
        return self.sequence.video if self.executed else self.sequence.video[:, :0]


def open_cell(*, split, scene, seed, height, width):
    """One random path per scene and seed. ValueError for the split "nowhere"."""
    if split == "nowhere":
        raise ValueError("unknown split 'nowhere'")
    rng = np.random.default_rng([scene, seed])
    motion, views = random_path(rng, FRAMES), len(NAMES)
    positions = np.stack([moved(motion, box_cloud(rng, POINTS)) for _ in NAMES])
    intrinsics = np.array([[1.2 * width, 0, (width - 1) / 2], [0, 1.2 * width, (height - 1) / 2], [0, 0, 1]])
    sequence = Sequence(
        name=f"{scene:06d}",
        task="use a box to do nothing",
        triplet="(nothing, box, air)",
        view_names=NAMES,
        video=rng.integers(0, 256, (views, FRAMES, height, width, 3), dtype=np.uint8),
        intrinsics=np.stack([intrinsics] * views),
        camera_from_world=np.stack([look_at(np.array(e), np.zeros(3), np.array([0.0, 0, 1])) for e in EYES]),
        positions=positions.astype(np.float32),
        visible=np.ones((views, FRAMES, POINTS), bool),
        label=np.full((views, POINTS), LABELS.index("tool"), np.uint8),
        anchors_px=np.zeros((views, POINTS, 2), np.float32),
        depth_scale=np.array([[0.5, 2.0]] * views, np.float32),
        frame_period_s=PERIOD_S,
    )
    return TrivialCell(sequence, motion)


def open_never(**asked):
    """A cell that takes for ever."""
    print(f"opening {asked} ...", flush=True)
    threading.Event().wait()


def open_blind(**asked):
    """A cell without a film."""
    cell = open_cell(**asked)
    return SimpleNamespace(sequence=cell.sequence, execute=cell.execute)


NOT_A_CELL = 3
