"""Sequence number i of a split: scene, physics, rig, film. The same arguments give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float, Float16

from syncmv4d_model.data.sequence import Sequence, Truths
from syncmv4d_model.data.surface_tracks import SurfacePoints
from syncmv4d_model.data.window import ObjectFinder, choose_windows, largest_windows
from syncmv4d_sim.cameras import RigKind, sample_rig, sample_world
from syncmv4d_sim.filming import FilmOptions, WindowChooser, film, scene_surface
from syncmv4d_sim.physics import NUM_FRAMES, Rejection, Rollout, settle, simulate
from syncmv4d_sim.scene import sample_scene
from syncmv4d_sim.splits import rule_of
from syncmv4d_sim.taco_layout import FRAME_PERIOD_S as TACO_FRAME_PERIOD_S

MAX_ATTEMPTS = 60
RIG_STREAM, ANCHOR_STREAM, VIEWS_STREAM, WORLD_STREAM, SIZE_STREAM = 101, 102, 103, 104, 105
FUTURE_TRIES = 4 * 8
MIXED_SPLITS = ("train", "val")  # of 1 to 6 views
TRAINING_SPLIT = "train"  # nothing is scored on it: it keeps few whole frames and no futures
VIEW_SHARES = {1: 0.1, 2: 0.2, 3: 0.4, 4: 0.12, 5: 0.09, 6: 0.09}
"""Of sequences of mixed splits, by number of views."""
EVALUATION_VIEWS = 3
MANY_VIEWS, MANY_VIEWS_SPLIT, MANY_VIEWS_COUNT = 6, "test_1", 64
"""The first sequences of one split have more views; evaluations take the first three unless asked."""
NUM_FUTURES = 8
"""Redrawn futures stored with every sequence that is scored."""
SMALL_WIDTH_PX, LARGE_WIDTH_PX = 320, 640
LARGE_SHARE, WHOLE_SHARE = 0.1, 0.05
"""Of training sequences: large first images, and whole later frames beside them."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class MadeSequence:
    """A sequence, what is stored beside it, and where it comes from."""

    sequence: Sequence
    truths: Truths
    rejections: tuple[str, ...]  # of the scenes before it
    rollout: Rollout
    world_from_table: Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class BuildOptions:
    """What every sequence of a split shares."""

    split: str = "train"
    seed: int = 0
    frames: Literal[1, 17] = NUM_FRAMES  # 1: first images with masks and depth only
    size: int = 96  # side of the windows, px
    num_points: int = 1024
    rig: RigKind | Literal["split"] = "split"  # split: what the split's rule says
    views: int = 0  # 0: by the split's rule
    windows: Literal["finder", "truth", "largest"] = "finder"
    finder: str = ""  # which one, for the record
    width: int = 0  # of whole first images, px; 0: by the split's rule
    height: int = 0  # of whole first images, px; 0: drawn, 4:3, 16:9 or square
    shadows: bool = True
    layout: Literal["syncmv4d", "taco"] = "syncmv4d"  # taco heeds split, seed, width and shadows only

    def __post_init__(self) -> None:
        if self.layout == "taco" and not self.width:
            raise ValueError("TACO's layout needs the width of its pictures")


def make_sequence(index: int, options: BuildOptions, finder: ObjectFinder | None = None) -> MadeSequence:
    """Simulate, check, film and track sequence `index` of a split.

    ValueError without the finder that the options ask for. RuntimeError after MAX_ATTEMPTS rejections.
    """
    choose = window_chooser(options, finder)
    made, rejections = _first_accepted(lambda attempt: _attempt(index, options, attempt, choose))
    return replace(made, rejections=rejections)


def make_taco_rollout(index: int, options: BuildOptions) -> tuple[Rollout, tuple[str, ...]]:
    """Simulate and check sequence `index` at TACO's frame rate; returns and raises as `make_sequence`."""

    def attempt(number: int) -> Rollout | Rejection:
        scene = sample_scene(options.split, index, options.seed, attempt=number)
        return simulate(scene, frame_period_s=TACO_FRAME_PERIOD_S)

    return _first_accepted(attempt)


def sequence_name(index: int) -> str:
    """Folder name of a sequence within its split."""
    return f"{index:06d}"


def window_chooser(options: BuildOptions, finder: ObjectFinder | None) -> WindowChooser:
    """What decides about windows under these options; ValueError where that is a finder and none is given."""
    if options.rig == "framed" or options.windows == "largest":
        return lambda question: largest_windows([(im.shape[1], im.shape[0]) for im in question.images])
    if options.windows == "truth":
        return lambda question: choose_windows(
            question.boxes_px, [(im.shape[1], im.shape[0]) for im in question.images]
        )
    if finder is None:
        raise ValueError("windows are chosen by a finder, and none was given")
    return lambda question: choose_windows(
        finder(question.images, question.task).boxes_px, [(im.shape[1], im.shape[0]) for im in question.images]
    )


def num_views(index: int, options: BuildOptions) -> int:
    """How many views sequence `index` has."""
    if options.views:
        return options.views
    if options.split in MIXED_SPLITS:
        rng = np.random.default_rng([options.seed, rule_of(options.split).stream, index, VIEWS_STREAM])
        return int(rng.choice(list(VIEW_SHARES), p=list(VIEW_SHARES.values())))
    is_many = options.split == MANY_VIEWS_SPLIT and index < MANY_VIEWS_COUNT and options.frames > 1
    return MANY_VIEWS if is_many else EVALUATION_VIEWS


def image_width(index: int, options: BuildOptions) -> int:
    """Width of the whole first images of sequence `index`, px."""
    if options.width:
        return options.width
    return LARGE_WIDTH_PX if _size_draw(index, options) < LARGE_SHARE else SMALL_WIDTH_PX


def keeps_whole_frames(index: int, options: BuildOptions) -> bool:
    """Whether sequence `index` keeps whole later frames."""
    return _size_draw(index, options) < WHOLE_SHARE


def _size_draw(index: int, options: BuildOptions) -> float:
    """Uniform in 0 to 1 for a training sequence; 0 for others, which are large and keep all."""
    if options.split != TRAINING_SPLIT:
        return 0.0
    return float(np.random.default_rng([options.seed, rule_of(options.split).stream, index, SIZE_STREAM]).random())


def _first_accepted(attempt: Callable[[int], Made | Rejection]) -> tuple[Made, tuple[str, ...]]:
    rejections: list[str] = []
    for number in range(MAX_ATTEMPTS):
        made = attempt(number)
        if not isinstance(made, Rejection):
            return made, tuple(rejections)
        rejections.append(made.reason)
    raise RuntimeError(f"{MAX_ATTEMPTS} scenes in a row rejected, the last because {rejections[-1]}")


def _attempt(index: int, options: BuildOptions, attempt: int, choose: WindowChooser) -> MadeSequence | Rejection:
    try:
        scene = sample_scene(options.split, index, options.seed, attempt=attempt)
    except RuntimeError as error:
        return Rejection(str(error))
    rollout = settle(scene) if options.frames == 1 else simulate(scene)
    if isinstance(rollout, Rejection):
        return Rejection(f"{scene.triplet}: {rollout.reason}")
    rule = rule_of(options.split)
    key = [options.seed, rule.stream, index, attempt]
    body = scene_surface(rollout)
    kind: RigKind = rule.rig if options.rig == "split" else options.rig
    try:
        rig = sample_rig(
            kind,
            body,
            np.random.default_rng([*key, RIG_STREAM]),
            views=num_views(index, options),
            width=image_width(index, options),
            height=options.height,
            cut="partly_outside" in scene.tags,
        )
        world_from_table = (
            np.eye(4) if kind == "framed" else sample_world(np.random.default_rng([*key, WORLD_STREAM]), rig)
        )
        filmed = film(
            rollout,
            body,
            rig,
            world_from_table=world_from_table,
            choose=choose,
            options=FilmOptions(
                options.size,
                options.num_points,
                keeps_whole_frames=keeps_whole_frames(index, options),
                shadows=options.shadows,
            ),
            name=sequence_name(index),
            seed=int(np.random.SeedSequence(key).generate_state(1)[0]),
            rng=np.random.default_rng([*key, ANCHOR_STREAM]),
        )
    except (ValueError, RuntimeError) as error:
        return Rejection(f"{scene.triplet}: {error}")
    truths = filmed.truths
    if options.split != TRAINING_SPLIT and options.frames > 1:
        futures = _redraw_futures(index, options, attempt, filmed.points, world_from_table)
        if futures is None:
            return Rejection(f"{scene.triplet}: fewer than {NUM_FUTURES} of {FUTURE_TRIES} futures pass")
        truths = replace(truths, futures_m=futures)
    return MadeSequence(filmed.sequence, truths, (), rollout, world_from_table)


def _redraw_futures(
    index: int,
    options: BuildOptions,
    attempt: int,
    points: tuple[SurfacePoints, ...],
    world_from_table: np.ndarray,
) -> Float16[np.ndarray, "F V T K 3"] | None:
    """Displacements of the points from frame 0 (world axes) in NUM_FUTURES redrawn futures; None where too few pass."""
    displacements = []
    for future in range(1, FUTURE_TRIES + 1):
        try:
            scene = sample_scene(options.split, index, options.seed, attempt=attempt, future=future)
        except RuntimeError:  # no plan of that future keeps clear
            continue
        rollout = simulate(scene)
        if isinstance(rollout, Rejection):
            continue
        body = scene_surface(rollout)
        positions = np.stack([view.positions(body) for view in points])
        moved = (positions - positions[:, :1]).reshape(-1, 3) @ world_from_table[:3, :3].T
        displacements.append(moved.reshape(positions.shape).astype(np.float16))
        if len(displacements) == NUM_FUTURES:
            return np.stack(displacements)
    return None
