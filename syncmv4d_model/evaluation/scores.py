"""The table of scores: name -> function of one case. A new score is one more entry.

Lengths are centimetres and time is seconds, as the names say. A score that refuses (ValueError) is null in its row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Seq
from typing import Literal

import numpy as np

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.baselines import static_tracks
from syncmv4d_model.evaluation.case import IDENTITIES, Case, by_frame
from syncmv4d_model.evaluation.metrics.multi_view import MINIMUM_PAIRS
from syncmv4d_model.evaluation.metrics.refusal import require_same_shape
from syncmv4d_model.evaluation.video_scores import VIDEO_SCORES, Score
from syncmv4d_model.types import LABELS

CM_PER_M = 100.0


def score(case: Case) -> tuple[dict[str, float | None], dict[str, str]]:
    """All scores of one case, null where not computed, and why for those."""
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name in SCORES:
        values[name], reason = score_of(case, name)
        if reason:
            reasons[name] = reason
    return values, reasons


def score_of(case: Case, name: str) -> tuple[float | None, str]:
    """One score of a case, or None and why."""
    try:
        if name not in NEED_NO_IDENTITIES and IDENTITIES in case.absent:
            raise ValueError(case.absent[IDENTITIES])
        value = SCORES[name](case)
        if not math.isfinite(value):
            raise ValueError(f"it comes out as {value}: the numbers that it is made of are too large or too small")
        return value, ""
    except ValueError as error:
        return None, str(error)


def _end_point_cm(case: Case, tracks: np.ndarray | None) -> float:
    if tracks is None:
        raise ValueError("these tracks were not made")
    return CM_PER_M * metrics.end_point_error(tracks, case.truth.positions, case.truth.visible)


def _displacement_cm(case: Case, tracks: np.ndarray) -> float:
    return CM_PER_M * metrics.displacement_error(tracks, case.truth.positions, case.truth.visible)


def _still_cm(case: Case, metric: Callable[..., float], tracks: np.ndarray) -> float:
    return CM_PER_M * metric(tracks, case.truth.positions, case.truth.visible)


def _mean_sample(case: Case) -> np.ndarray:
    if len(case.tracks) < 2:
        raise ValueError(f"the mean over samples needs at least 2, got {len(case.tracks)}")
    return np.mean(case.tracks, axis=0)


def _best_sample_cm(case: Case) -> float:
    if len(case.tracks) < 2:
        raise ValueError(f"the best of the samples needs at least 2, got {len(case.tracks)}")
    return min(_end_point_cm(case, tracks) for tracks in case.tracks)


def _scene_motions(case: Case) -> tuple[Mapping[int, np.ndarray], Mapping[int, np.ndarray]]:
    """Label motion predicted for this scene and for another of its triplet; ValueError unless there are both, with the
    same labels.
    """
    own = case.motion_by_label
    if case.other_scene is None:
        raise ValueError("no other scene of the same triplet came before")
    if lacking := set(own) - set(case.other_scene):
        raise ValueError(f"the other scene has no point of label {LABELS[min(lacking)]}")
    return own, case.other_scene


def _label_motion_cm(case: Case, motion: Mapping[int, np.ndarray]) -> float:
    moved = np.stack([np.stack([motion[int(label)] for label in view], axis=1) for view in case.truth.label])
    return _end_point_cm(case, case.truth.positions[:, :1] + moved)


def _tool_residual_cm(case: Case, tracks: np.ndarray | None) -> float:
    if tracks is None:
        raise ValueError("these tracks were not made")
    points = np.moveaxis(tracks, 1, 2)[case.truth.label == LABELS.index("tool")]
    return CM_PER_M * metrics.rigid_residual(np.swapaxes(points, 0, 1))


def _chamfer_cm(case: Case, trees: Seq[metrics.SearchTree]) -> float:
    return CM_PER_M * float(np.mean(metrics.chamfer_of_trees(trees, case.true_trees)))


def _cross_view_colours(case: Case, video: np.ndarray) -> float:
    """Mean over pairs of views of the colour error at true points that the harness could pair."""
    require_same_shape(predicted=video, target=case.truth.video)
    if not case.shared_places:
        raise ValueError(f"no two views share {MINIMUM_PAIRS} points within 5 mm")
    return float(np.mean([places.colour_error(video[i], video[j]) for i, j, places in case.shared_places]))


def _over_moving(case: Case, metric: Callable[..., float]) -> float:
    moving = metrics.moving_points(case.truth.positions)
    pick = [np.moveaxis(tracks, 1, 2)[moving] for tracks in (case.predicted, case.truth.positions)]
    return metric(*(np.swapaxes(tracks, 0, 1) for tracks in pick))


def _smoothness_cm(tracks: np.ndarray) -> float:
    return CM_PER_M * metrics.motion_smoothness(by_frame(tracks))


def _coverage(case: Case, sigmas: float) -> float:
    return metrics.stddev_coverage(*case.seen_errors_and_stddev, sigmas)


def _after_first_frame(case: Case, metric: Callable[..., float]) -> float:
    _require_tracks(case)
    return metric(*case.visible_after_first_frame)


def _label_recall(case: Case, label: int) -> float:
    _require_tracks(case)
    return metrics.label_recall(case.given("label"), case.truth.label, label)


def _mean_label_recall(case: Case) -> float:
    _require_tracks(case)
    return metrics.mean_label_recall(case.given("label"), case.truth.label)


def _depth_scale_cm(case: Case) -> float:
    _require_tracks(case)
    return CM_PER_M * metrics.depth_scale_error(case.given("depth_scale"), case.truth.depth_scale)


def _foreground_iou(case: Case) -> float:
    if case.foreground is None or case.true_foreground is None:
        raise ValueError("the method predicts no pseudo video")
    return metrics.foreground_iou(case.foreground, case.true_foreground)


def _decoded_share(case: Case) -> float:
    if case.decoded is None:
        raise ValueError("the method predicts no tracks")
    return float(case.decoded.mean())


def _seconds(case: Case) -> float:
    if case.seconds is None:
        raise ValueError("nothing was predicted")
    return case.seconds


def _require_tracks(case: Case) -> None:
    if not case.tracks:
        raise ValueError("the method predicts no tracks")


def _floor_scores(name: Literal["floor_mean", "floor_sample"]) -> dict[str, Score]:
    """The scores that the static row has, of a floor; it starts from the true frame 0: its displacement error is its end-point error."""

    def tracks(case: Case) -> np.ndarray:
        return getattr(case, name)

    def tool(case: Case) -> tuple[float, float]:
        return getattr(case, f"{name}_tool_motion_error")

    return {
        f"{name}_error_cm": lambda case: _end_point_cm(case, tracks(case)),
        f"{name}_still_point_drift_cm": lambda case: _still_cm(case, metrics.still_point_drift, tracks(case)),
        f"{name}_tool_rotation_error_deg": lambda case: tool(case)[0],
        f"{name}_tool_translation_error_cm": lambda case: CM_PER_M * tool(case)[1],
        f"{name}_chamfer_cm": lambda case: _chamfer_cm(case, metrics.search_trees(by_frame(tracks(case)))),
    }


SCORES: dict[str, Score] = {
    "end_point_error_cm": lambda case: _end_point_cm(case, case.predicted),
    "static_end_point_error_cm": lambda case: _end_point_cm(case, static_tracks(case.truth)),
    "displacement_error_cm": lambda case: _displacement_cm(case, case.predicted),
    "text_mean_error_cm": lambda case: _end_point_cm(case, case.text_mean_tracks),
    **_floor_scores("floor_mean"),
    **_floor_scores("floor_sample"),
    "frame0_error_cm": lambda case: CM_PER_M * metrics.first_frame_error(case.predicted, case.truth.positions),
    "still_point_error_cm": lambda case: _still_cm(case, metrics.still_point_error, case.predicted),
    "still_point_drift_cm": lambda case: _still_cm(case, metrics.still_point_drift, case.predicted),
    "static_still_point_drift_cm": lambda case: _still_cm(case, metrics.still_point_drift, static_tracks(case.truth)),
    "still_point_path_cm": lambda case: CM_PER_M * metrics.still_point_path(case.predicted, case.truth.positions),
    "codec_error_cm": lambda case: _end_point_cm(case, case.codec_tracks),
    "sample_mean_error_cm": lambda case: _end_point_cm(case, _mean_sample(case)),
    "sample_best_error_cm": _best_sample_cm,
    "own_motion_error_cm": lambda case: _label_motion_cm(case, _scene_motions(case)[0]),
    "other_scene_motion_error_cm": lambda case: _label_motion_cm(case, _scene_motions(case)[1]),
    "tool_residual_cm": lambda case: _tool_residual_cm(case, case.predicted),
    "codec_tool_residual_cm": lambda case: _tool_residual_cm(case, case.codec_tracks),
    "tool_rotation_error_deg": lambda case: case.tool_motion_error[0],
    "static_tool_rotation_error_deg": lambda case: case.static_tool_motion_error[0],
    "tool_translation_error_cm": lambda case: CM_PER_M * case.tool_motion_error[1],
    "static_tool_translation_error_cm": lambda case: CM_PER_M * case.static_tool_motion_error[1],
    "target_rotation_error_deg": lambda case: case.target_motion_error[0],
    "target_translation_error_cm": lambda case: CM_PER_M * case.target_motion_error[1],
    "chamfer_cm": lambda case: _chamfer_cm(case, metrics.search_trees(by_frame(case.predicted))),
    "static_chamfer_cm": lambda case: _chamfer_cm(case, case.true_trees[:1] * len(case.true_trees)),
    "rpe": lambda case: case.own_view_errors[0],
    "pi": lambda case: case.own_view_errors[1],
    "multi_view_rpe_a": lambda case: case.shared_view_errors_a[0],
    "multi_view_rpe_b": lambda case: case.shared_view_errors_b[0],
    "multi_view_pi_a": lambda case: case.shared_view_errors_a[1],
    "multi_view_pi_b": lambda case: case.shared_view_errors_b[1],
    "multi_view_point_pairs": lambda case: float(sum(len(first) for _, _, first, _ in case.paired_views)),
    "depth_scale_error_cm": _depth_scale_cm,
    **VIDEO_SCORES,
    "cross_view_colour_error": lambda case: _cross_view_colours(case, case.given("video")),
    "true_cross_view_colour_error": lambda case: _cross_view_colours(case, case.truth.video),
    "path_length_ratio": lambda case: _over_moving(case, metrics.path_length_ratio),
    "smoothness_cm": lambda case: _smoothness_cm(case.predicted),
    "true_smoothness_cm": lambda case: _smoothness_cm(case.truth.positions),
    "foreground_iou": _foreground_iou,
    "stddev_spearman": lambda case: case.ranked_deviations.within_groups(),
    "stddev_spearman_pooled": lambda case: case.ranked_deviations.pooled(),
    "stddev_spearman_trivial": lambda case: case.ranked_deviations.trivial(),
    "stddev_coverage_68": lambda case: _coverage(case, 1.0),
    "stddev_coverage_95": lambda case: _coverage(case, 2.0),
    "visibility_f1_occluded": lambda case: _after_first_frame(case, metrics.visibility_f1_occluded),
    "visibility_precision_occluded": lambda case: _after_first_frame(case, metrics.visibility_precision_occluded),
    "visibility_recall_occluded": lambda case: _after_first_frame(case, metrics.visibility_recall_occluded),
    "visibility_balanced_accuracy": lambda case: _after_first_frame(case, metrics.visibility_balanced_accuracy),
    "label_recall": _mean_label_recall,
    "label_recall_hand": lambda case: _label_recall(case, LABELS.index("hand")),
    "label_recall_tool": lambda case: _label_recall(case, LABELS.index("tool")),
    "label_recall_target": lambda case: _label_recall(case, LABELS.index("target")),
    "decoded_share": _decoded_share,
    "seconds_per_sequence": _seconds,
}

NEED_NO_IDENTITIES = frozenset(
    {
        *(
            name
            for name in SCORES
            if name.startswith(("static_", "text_mean_", "floor_", "true_", "codec_", "multi_view_"))
        ),
        *(
            "rpe",
            "pi",
            "chamfer_cm",
            "decoded_share",
            "psnr",
            "ssim",
            "video_mse",
            "gradient_energy",
            "cross_view_colour_error",
        ),
    }
)
"""Scores that points can have which are nobody's path over time."""

RATIOS: dict[str, tuple[str, str]] = {
    "end_point_error_ratio": ("end_point_error_cm", "static_end_point_error_cm"),
    "displacement_error_ratio": ("displacement_error_cm", "static_end_point_error_cm"),
    "text_mean_ratio": ("text_mean_error_cm", "static_end_point_error_cm"),
    "floor_mean_ratio": ("floor_mean_error_cm", "static_end_point_error_cm"),
    "floor_sample_ratio": ("floor_sample_error_cm", "static_end_point_error_cm"),
    "floor_mean_chamfer_ratio": ("floor_mean_chamfer_cm", "static_chamfer_cm"),
    "floor_sample_chamfer_ratio": ("floor_sample_chamfer_cm", "static_chamfer_cm"),
    "floor_mean_tool_rotation_ratio": ("floor_mean_tool_rotation_error_deg", "static_tool_rotation_error_deg"),
    "floor_sample_tool_rotation_ratio": ("floor_sample_tool_rotation_error_deg", "static_tool_rotation_error_deg"),
    "floor_mean_tool_translation_ratio": ("floor_mean_tool_translation_error_cm", "static_tool_translation_error_cm"),
    "floor_sample_tool_translation_ratio": (
        "floor_sample_tool_translation_error_cm",
        "static_tool_translation_error_cm",
    ),
    "codec_error_ratio": ("codec_error_cm", "static_end_point_error_cm"),
    "chamfer_ratio": ("chamfer_cm", "static_chamfer_cm"),
    "video_mse_ratio": ("video_mse", "static_video_mse"),
    "gradient_energy_ratio": ("gradient_energy", "codec_gradient_energy"),
    "tool_rotation_ratio": ("tool_rotation_error_deg", "static_tool_rotation_error_deg"),
    "tool_translation_ratio": ("tool_translation_error_cm", "static_tool_translation_error_cm"),
    "tool_residual_ratio": ("tool_residual_cm", "codec_tool_residual_cm"),
    "other_scene_ratio": ("other_scene_motion_error_cm", "own_motion_error_cm"),
}
"""Ratios of two scores' data-set means. The static row and the floors start from the true frame 0, so the displacement error of
each is its end-point error."""
