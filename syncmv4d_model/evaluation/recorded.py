"""Score a predictor on recordings of real time: what the cameras saw later, and ground-truth tracks only where there are any.

Without truth, tracks are scored by their agreement with the later images and with each other. These scores begin with
`consistency_`: none of them is an error against the truth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.observation import cut_windows, image_sizes, observe
from syncmv4d_model.data.rig import Rig
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.data.window import largest_windows, to_window
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.harness import Report, report_rows
from syncmv4d_model.evaluation.image_networks import ImageNetworks
from syncmv4d_model.evaluation.kept_rows import ScoredScene
from syncmv4d_model.evaluation.methods import scene_seeds
from syncmv4d_model.evaluation.predicted import SupportsCodec, SupportsPrediction, make_case
from syncmv4d_model.evaluation.scenes import row_of
from syncmv4d_model.evaluation.scores import CM_PER_M, RATIOS, SCORES, score
from syncmv4d_model.geometry import project, transform
from syncmv4d_model.types import ModelInput, Observation, Prediction

CONSISTENCY_RULES = {
    "consistency_": "no score of this name is an error against the truth",
    "consistency_colour_difference": "8-bit values: colour of the later image where a predicted point projects into its own "
    "view, against its anchor's colour in frame 0; over frames n >= 1 that the bag has, points predicted visible and inside",
    "consistency_static_colour_difference": "the same points, frames and images, each looked up at its anchor: nothing moves",
    "consistency_colour_ratio": "below 1: the predicted motion explains the later images better than a still scene",
    "consistency_anchor_px": "distance of a point's predicted frame 0, projected, from its own anchor; the model's pixels",
    "consistency_displacement_cm": "mean distance of visible predicted points from their own frame 0; 0 = frozen",
    "consistency_view_disagreement_cm": "difference of the displacements that two views predict for the same surface point "
    "(mutual nearest predicted frame-0 points within 5 mm, same label); a frozen prediction has 0",
    "consistency_view_displacement_cm": "mean displacement of those points",
}
CONSISTENCY_RATIOS = {
    "consistency_colour_ratio": ("consistency_colour_difference", "consistency_static_colour_difference"),
    "consistency_view_disagreement_ratio": ("consistency_view_disagreement_cm", "consistency_view_displacement_cm"),
}
OF_VIDEO = (
    "psnr", "static_psnr", "ssim", "static_ssim", "video_mse", "static_video_mse", "codec_psnr", "codec_gradient_energy",
    "true_subject_consistency", "true_dynamic_degree", "true_clip_v", "true_matching_pixels", "true_matching_pixels_total_k",
)  # fmt: skip
"""Scores that need the later images and no true tracks."""

OF_PREDICTION = (
    "gradient_energy", "seconds_per_sequence", "subject_consistency", "dynamic_degree", "clip_v", "matching_pixels",
    "matching_pixels_total_k",
)  # fmt: skip
"""Scores that need neither."""

_PERIOD_TOLERANCE_S = 1e-4
_MIN_DEPTH_M = 1e-3


@dataclass(frozen=True)
class Scene:
    """One task: what the cameras saw then, and that and the frames after it in the windows that the model sees."""

    name: str
    observation: Observation
    seen: ModelInput
    frames: UInt8[np.ndarray, "V T H W 3"]  # black where not found; frame 0 is that of `seen`
    found: Bool[np.ndarray, "V T"]
    truth: Sequence | None = None
    why_no_truth: str = "the recording has no ground-truth tracks"
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)  # into the scene's row


FindWindows = Callable[[Observation], tuple[Float64[np.ndarray, "V 4"], list[str]]]


def make_scene(
    rig: Rig,
    images: Seq[Seq[np.ndarray | None]],
    task: str,
    *,
    name: str,
    config: ModelConfig,
    stamp_s: float,
    find_windows: FindWindows | None = None,
) -> Scene:
    """Cut [T][V] images of a rig to the windows that `find_windows` finds in the first ones (None: the largest centred ones);
    None where the recording has no image. ValueError as data.observation.
    """
    options = {"max_views": config.max_views, "stamp_s": stamp_s}
    first, _ = observe(rig, [image for image in images[0] if image is not None], task, **options)
    if find_windows is None:
        windows_px = largest_windows(image_sizes(first), aspect=config.width / config.height)
    else:
        windows_px, _ = find_windows(first)
    frames, found = [], np.array([[image is not None for image in row] for row in images]).T
    black = [np.zeros((height, width, 3), np.uint8) for width, height in rig.sizes]
    for row in images:
        whole = [empty if image is None else image for image, empty in zip(row, black, strict=True)]
        observation, _ = observe(rig, whole, task, **options)
        frames.append(cut_windows(observation, windows_px, height=config.height, width=config.width))
    video = np.stack([frame.images for frame in frames], axis=1)
    return Scene(name=name, observation=first, seen=frames[0], frames=video, found=found)


def with_truth(
    scene: Scene,
    positions: Float[np.ndarray, "V T K 3"],
    *,
    visible: Bool[np.ndarray, "V T K"],
    label: UInt8[np.ndarray, "V K"],
    frame_period_s: float,
    config: ModelConfig,
) -> Scene:
    """The scene with true tracks (world, metres). Points that frame 0 does not show cannot be anchors and are left out, the
    same number in every view; with other frames than the model's, or no point left, there is no truth, for that reason.
    """
    frames = positions.shape[1]
    if frames != config.num_frames or abs(frame_period_s - config.frame_period_s) > _PERIOD_TOLERANCE_S:
        reason = (
            f"the truth has {frames} frames {frame_period_s:.4g} s apart, the model makes {config.num_frames}"
            f" {config.frame_period_s:.4g} s apart"
        )
        return dataclasses.replace(scene, why_no_truth=reason)
    seen, pixels, depth = _projected(scene.seen, positions)
    visible = visible & seen
    chosen = _evenly(visible[:, 0])
    if not chosen.shape[1]:
        return dataclasses.replace(scene, why_no_truth="a view shows no true point in frame 0")
    rows = np.arange(len(chosen))[:, None]
    in_front = np.where(depth > _MIN_DEPTH_M, depth, np.nan)
    truth = dataclasses.replace(
        empty_truth(scene, config),
        positions=np.moveaxis(positions[rows, :, chosen], 1, 2).astype(np.float32),
        visible=np.moveaxis(visible[rows, :, chosen], 1, 2),
        label=label[rows, chosen],
        anchors_px=pixels[:, 0][rows, chosen].astype(np.float32),
        depth_scale=np.stack([np.nanmin(in_front, (1, 2)), np.nanmax(in_front, (1, 2))], 1).astype(np.float32),
    )
    return dataclasses.replace(scene, truth=truth)


def evaluate_scenes(
    predictor: SupportsPrediction,
    scenes: Iterable[Scene],
    *,
    name: str,
    seed: int = 0,
    steps: int | None = None,
    samples: int = 1,
    networks: ImageNetworks | None = None,
    settings: dict[str, Any] | None = None,
    recording: dict[str, Any] | None = None,
) -> Report:
    """Score `predictor` on scenes; the report has every score of harness.evaluate, null with its reason where there is no
    truth, the consistency scores, and `recording` with their rules as its `bag` section. ValueError without a scene.
    """

    def rows() -> Iterator[ScoredScene]:
        for index, scene in enumerate(scenes):
            seeds = scene_seeds(seed, index, samples=samples)
            yield _scored(predictor, scene, seeds=seeds, steps=steps, networks=networks or ImageNetworks({}))

    report = report_rows(
        rows(),
        RATIOS | CONSISTENCY_RATIOS,
        split=name,
        switches=dict(vars(predictor.config.switches)),
        settings={"seed": seed, "steps": steps, "samples": samples}
        | ({"networks": networks.settings()} if networks is not None else {})
        | (settings or {}),
    )
    return dataclasses.replace(report, bag=(recording or {}) | {"rules": CONSISTENCY_RULES})


def empty_truth(scene: Scene, config: ModelConfig) -> Sequence:
    """A truth without a track: the images alone, black where the recording has none."""
    observation, views = scene.observation, len(scene.found)
    return Sequence(
        name=scene.name,
        task=observation.task,
        triplet="",
        view_names=observation.view_names,
        video=scene.frames,
        intrinsics=scene.seen.intrinsics,
        camera_from_world=observation.camera_from_world,
        positions=np.zeros((views, config.num_frames, 0, 3), np.float32),
        visible=np.zeros((views, config.num_frames, 0), bool),
        label=np.zeros((views, 0), np.uint8),
        anchors_px=np.zeros((views, 0, 2), np.float32),
        depth_scale=np.zeros((views, 2), np.float32),
        frame_period_s=config.frame_period_s,
        reference=observation.images,
        reference_intrinsics=observation.intrinsics,
        windows_px=scene.seen.windows_px,
    )


def _scored(
    predictor: SupportsPrediction, scene: Scene, *, seeds: list[int], steps: int | None, networks: ImageNetworks
) -> ScoredScene:
    """The row of one scene."""
    case = make_case(predictor, scene.truth, seeds=seeds, steps=steps) if scene.truth else None
    if case is not None:
        case = dataclasses.replace(case, networks=networks)
        values, reasons = score(case)
        reasons["text_mean_error_cm"] = "a recording names no triplet to look the text mean up by"
        for key in ("own_motion_error_cm", "other_scene_motion_error_cm"):
            reasons[key] = "a recording names no triplet to look another scene up by"
    else:
        case = dataclasses.replace(_without_truth(predictor, scene, seeds=seeds, steps=steps), networks=networks)
        values, reasons = score(case)
        for key in set(SCORES) - {*OF_VIDEO, *OF_PREDICTION}:
            values[key], reasons[key] = None, scene.why_no_truth
    if lost := int((~scene.found).sum()):
        for key in OF_VIDEO:
            values[key] = None
            reasons[key] = f"{lost} of {scene.found.size} images of the predicted time are not in the recording"
    found, refused, over_time = consistency(case.prediction, scene, aligner=predictor.config.switches.aligner)
    row = row_of(case, values | found) | {"colour_difference_over_time": over_time} | scene.notes
    return ScoredScene(row, values | found, reasons | refused)


def _without_truth(predictor: SupportsPrediction, scene: Scene, *, seeds: list[int], steps: int | None) -> Case:
    """Predict with the model's own anchors."""
    import time

    started = time.perf_counter()
    samples = tuple(
        predictor.predict(scene.observation, steps=steps, seed=int(seed), anchors_px=None) for seed in seeds[1:]
    )
    seconds = (time.perf_counter() - started) / len(samples)
    codec_video = predictor.codec_video(scene.frames) if isinstance(predictor, SupportsCodec) else None
    return Case(empty_truth(scene, predictor.config), samples=samples, codec_video=codec_video, seconds=seconds)


def consistency(
    prediction: Prediction, scene: Scene, *, aligner: bool = True
) -> tuple[dict[str, float | None], dict[str, str], dict[str, list[float | None]]]:
    """The consistency scores of one prediction, why those that are null are, and the colour differences of each frame n >= 1.

    Without an aligner, positions mean something only where they are visible, in frame 0 too.
    """
    tracks, (height, width) = prediction.tracks, scene.frames.shape[2:4]
    anchors_px = to_window(prediction.anchors_px, scene.seen.windows_px, height=height, width=width)
    usable = prediction.visible & np.isfinite(tracks).all(-1)
    usable = usable if aligner else usable & prediction.visible[:, :1]
    seen, pixels, _ = _projected(scene.seen, tracks)
    later = usable & seen & scene.found[:, :, None]
    later[:, 0] = False
    still = np.broadcast_to(anchors_px[:, None], pixels.shape)
    lines = {
        name: metrics.colour_differences(scene.frames, where, anchors_px)
        for name, where in {"predicted": pixels, "static": still}.items()
    }
    moved = np.linalg.norm(tracks.astype(np.float64) - tracks[:, :1], axis=-1)[:, 1:]
    off_anchor = np.linalg.norm(pixels[:, 0] - anchors_px, axis=-1)

    def view(index: int) -> float:
        return CM_PER_M * metrics.view_disagreement(tracks, usable, prediction.label)[index]

    def colour(name: str) -> float:
        if not scene.found[:, 1:].any():
            raise ValueError("the recording has no image at the times of the predicted frames")
        return metrics.mean_where(lines[name], later, what="places where a visible predicted point is in a later image")

    scores: dict[str, Callable[[], float]] = {
        "consistency_colour_difference": lambda: colour("predicted"),
        "consistency_static_colour_difference": lambda: colour("static"),
        "consistency_anchor_px": lambda: metrics.mean_where(
            off_anchor, usable[:, 0] & seen[:, 0], what="predicted points visible in frame 0"
        ),
        "consistency_displacement_cm": lambda: (
            CM_PER_M * metrics.mean_where(moved, usable[:, 1:], what="visible predicted points")
        ),
        "consistency_view_disagreement_cm": lambda: view(0),
        "consistency_view_displacement_cm": lambda: view(1),
    }
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, function in scores.items():
        try:
            values[name] = function()
        except ValueError as error:
            values[name], reasons[name] = None, str(error)
    return values, reasons, {name: _by_frame(line, later) for name, line in lines.items()}


def _by_frame(line: np.ndarray, where: np.ndarray) -> list[float | None]:
    frames = range(1, line.shape[1])
    return [float(line[:, n][where[:, n]].mean()) if where[:, n].any() else None for n in frames]


def _projected(view: ModelInput, points_world: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(in the picture of its own view [V T K], pixels [V T K 2], depth [V T K] m) of world points."""
    in_camera = transform(view.camera_from_world[:, None], points_world.astype(np.float64))
    pixels = project(view.intrinsics[:, None], in_camera)
    height, width = view.images.shape[1:3]
    seen = metrics.inside(pixels, height=height, width=width) & (in_camera[..., 2] > _MIN_DEPTH_M)
    return seen, pixels, in_camera[..., 2]


def _evenly(usable: Bool[np.ndarray, "V K"]) -> np.ndarray:
    """Indices [V N] of usable points: all of the view that has fewest, as many of the others, evenly spread."""
    count = int(usable.sum(1).min())
    rows = [np.flatnonzero(row) for row in usable]
    return np.stack([row[np.arange(count) * len(row) // max(count, 1)] for row in rows])
