"""What cameras reveal of a scene's future: do their rays explain any of the tool's motion that
frame 0 leaves unexplained?

Cameras that were framed on the whole action give its middle away; honest ones, fixed before it
begins, do not. Everything is expressed along the axes of the first camera, so that the world frame
does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.evaluation.statistics import CONFIDENCE, RESAMPLES
from syncmv4d_model.geometry import inverse
from syncmv4d_model.types import LABELS

Known = Literal["tool_target", "tool_target_hand", "shapes"]
Rays = Literal["image_centres", "window_centres"]
KNOWN: dict[Known, str] = {
    "tool_target": "tool, target",
    "tool_target_hand": "+ hand",
    "shapes": "+ extents",
}
"""What of frame 0 the rays must add to: places of the first two, of all three, places and extents
of all three. Windows are chosen by the extents of all three: what a window's ray tells of these is
no leak.
"""
RAYS: dict[Rays, str] = {
    "image_centres": "images",
    "window_centres": "windows",
}
FOLDS = 10
LEAST_SCENES = 2 * FOLDS
_PULL = 1e-3  # of the tool on the point where rays meet; of one ray, that is the nearest to the tool
_PENALTIES = np.geomspace(1e-3, 1e4, 22)


@dataclass(frozen=True)
class Scene:
    """Frame 0 and the tool's mean motion, metres, seen from the tool along the first camera's axes
    (right, down, forward).
    """

    name: str
    motion_m: Float[np.ndarray, "3"]  # of the tool's points, mean over points and frames
    places_m: dict[str, Float[np.ndarray, "3"]]  # of target and hand: means of their points
    middles_m: dict[str, Float[np.ndarray, "3"]]  # of all three: middles of their boxes, less means
    meeting_m: dict[Rays, Float[np.ndarray, "3"]]  # where the rays of all views meet best


@dataclass(frozen=True)
class Leak:
    """One question, answered by cross-validated ridge regression; shares of variance."""

    known: Known
    rays: Rays
    scenes: int
    r2_known: float
    r2_with_rays: float
    r2_rays_alone: float
    leak: float  # what the rays explain of what frame 0 leaves; below 0: less than nothing
    interval: tuple[float, float]


def read_scene(sequence: Sequence, sizes: Seq[tuple[int, int]], intrinsics: Float[np.ndarray, "V 3 3"]) -> Scene | None:
    """From a sequence that may have been read without video; `sizes` (width, height) and K are the
    whole images'. None where frame 0 shows no tool or no target.
    """
    points = np.moveaxis(sequence.positions, 1, 2).astype(np.float64)  # V K T 3
    own = {name: points[sequence.label == LABELS.index(name)] for name in LABELS[1:]}
    if not len(own["tool"]) or not len(own["target"]):
        return None
    axes = sequence.camera_from_world[0, :3, :3].astype(np.float64)
    start = own["tool"][:, 0].mean(0)
    seen = {name: (of[:, 0] - start) @ axes.T for name, of in own.items()}
    windows, whole = sequence.windows, np.array(sizes, dtype=np.float64)
    centres = {"image_centres": whole / 2, "window_centres": windows[:, :2] + windows[:, 2:] / 2}
    return Scene(
        name=sequence.name,
        motion_m=axes @ (own["tool"] - own["tool"][:, :1]).mean((0, 1)),
        places_m={name: of.mean(0) for name, of in seen.items() if len(of) and name != "tool"},
        middles_m={name: (of.min(0) + of.max(0)) / 2 - of.mean(0) for name, of in seen.items() if len(of)},
        meeting_m={
            name: axes @ (_meeting(sequence.camera_from_world, intrinsics, edges, start) - start)
            for name, edges in centres.items()
        },
    )


def _meeting(
    camera_from_world: Float[np.ndarray, "V 4 4"],
    intrinsics: Float[np.ndarray, "V 3 3"],
    edges_px: Float[np.ndarray, "V 2"],
    tool: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "3"]:
    """The world point nearest to the rays through places of the images, which are measured from the
    images' edges.
    """
    world_from_camera = inverse(camera_from_world.astype(np.float64))
    matrix, right = _PULL * np.eye(3), _PULL * tool
    for pose, k, edge in zip(world_from_camera, intrinsics, edges_px, strict=True):
        direction = pose[:3, :3] @ np.linalg.solve(k, [*(edge - 0.5), 1.0])
        direction /= np.linalg.norm(direction)
        across = np.eye(3) - np.outer(direction, direction)
        matrix, right = matrix + across, right + across @ pose[:3, 3]
    return np.linalg.solve(matrix, right)


def measure_leak(scenes: Seq[Scene], known: Known, rays: Rays, *, seed: int = 0) -> Leak:
    """Regress the tool's mean motion on what frame 0 shows, with and without the rays; folds and
    resamples are seeded.

    Scenes without a hand are left out if `known` needs it. ValueError for fewer than LEAST_SCENES
    scenes.
    """
    scenes = [scene for scene in scenes if known == "tool_target" or "hand" in scene.places_m]
    if len(scenes) < LEAST_SCENES:
        parts = "tool and target" if known == "tool_target" else "tool, target and hand"
        raise ValueError(f"a regression needs at least {LEAST_SCENES} scenes with {parts}, got {len(scenes)}")
    motion = np.stack([scene.motion_m for scene in scenes])
    if not motion.std(0).any():
        raise ValueError("the tools of all scenes move alike, or not at all: nothing is to be explained")
    places = np.stack([_features(scene, known) for scene in scenes])
    meeting = np.stack([scene.meeting_m[rays] for scene in scenes])
    fold = np.random.default_rng(seed).permutation(len(scenes)) % FOLDS
    total = _squared_errors(np.zeros((len(scenes), 1)), motion, fold)
    without, alone = _squared_errors(places, motion, fold), _squared_errors(meeting, motion, fold)
    with_rays = _squared_errors(np.concatenate([places, meeting], axis=1), motion, fold)
    draws = np.random.default_rng([seed, 1]).integers(len(scenes), size=(RESAMPLES, len(scenes)))
    resampled = 1 - with_rays[draws].sum(1) / without[draws].sum(1)
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Leak(
        known=known,
        rays=rays,
        scenes=len(scenes),
        r2_known=_explained(without, total),
        r2_with_rays=_explained(with_rays, total),
        r2_rays_alone=_explained(alone, total),
        leak=_explained(with_rays, without),
        interval=(float(low), float(high)),
    )


def _features(scene: Scene, known: Known) -> Float[np.ndarray, "N"]:
    names = ("target",) if known == "tool_target" else ("target", "hand")
    parts = [np.append(scene.places_m[name], np.linalg.norm(scene.places_m[name])) for name in names]
    parts += [scene.middles_m[name] for name in LABELS[1:]] if known == "shapes" else []
    return np.concatenate(parts)


def _explained(errors: Float[np.ndarray, "N"], of: Float[np.ndarray, "N"]) -> float:
    return float(1 - errors.sum() / of.sum())


def _squared_errors(
    features: Float[np.ndarray, "N F"], motion: Float[np.ndarray, "N 3"], fold: Int[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Of each scene, predicted from the scenes of the other folds."""
    predicted = np.empty_like(motion)
    for number in range(FOLDS):
        held_out = fold == number
        predicted[held_out] = _ridge(features, motion, held_out)
    return ((predicted - motion) ** 2).sum(1)


def _ridge(
    features: Float[np.ndarray, "N F"], motion: Float[np.ndarray, "N 3"], held_out: Bool[np.ndarray, "N"]
) -> Float[np.ndarray, "M 3"]:
    """Predictions for the scenes held out. The penalty is the one whose leave-one-out errors on the
    others are least.
    """
    fitted = features[~held_out]
    middle, spread = fitted.mean(0), np.maximum(fitted.std(0), 1e-9)
    mean = motion[~held_out].mean(0)
    left, values, right = np.linalg.svd((fitted - middle) / spread, full_matrices=False)
    projected = left.T @ (motion[~held_out] - mean)

    def left_out_error(penalty: float) -> float:
        share = values**2 / (values**2 + penalty)
        leverage = left**2 @ share + 1 / len(fitted)
        residual = motion[~held_out] - mean - left @ (share[:, None] * projected)
        return float(((residual / (1 - leverage)[:, None]) ** 2).sum())

    penalty = min(_PENALTIES, key=left_out_error)
    weights = right.T @ ((values / (values**2 + penalty))[:, None] * projected)
    return (features[held_out] - middle) / spread @ weights + mean


def in_first_camera(sequence: Sequence) -> Sequence:
    """The sequence with its tracks along the first camera's axes: what does not depend on where the
    world's axes point.
    """
    axes = sequence.camera_from_world[0, :3, :3]
    return replace(sequence, positions=(sequence.positions @ axes.T).astype(np.float32))
