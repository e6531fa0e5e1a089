"""Every metric is one pure function: arrays in, a float (or the values of a curve) out, ValueError where the answer would be invented."""

from syncmv4d_model.evaluation.metrics.appearance import clip_views, subject_consistency
from syncmv4d_model.evaluation.metrics.chamfer import SearchTree, chamfer_distance, chamfer_of_trees, search_trees
from syncmv4d_model.evaluation.metrics.classification import (
    label_recall,
    mean_label_recall,
    visibility_balanced_accuracy,
    visibility_f1_occluded,
    visibility_precision_occluded,
    visibility_recall_occluded,
)
from syncmv4d_model.evaluation.metrics.dynamic_degree import (
    dynamic_degree,
    dynamic_degree_thresholds,
    flow_score,
    is_dynamic,
    is_dynamic_from_scores,
    sampled_frames,
)
from syncmv4d_model.evaluation.metrics.liveliness import motion_smoothness, path_length_ratio
from syncmv4d_model.evaluation.metrics.matching import matching_pixels, matching_pixels_total, mutual_matches
from syncmv4d_model.evaluation.metrics.multi_view import (
    corresponding_points,
    multi_view_percentage_of_inliers,
    multi_view_relative_point_error,
)
from syncmv4d_model.evaluation.metrics.point_maps import (
    least_squares_scale,
    percentage_of_inliers,
    relative_point_error,
)
from syncmv4d_model.evaluation.metrics.rigidity import rigid_motion_error, rigid_residual
from syncmv4d_model.evaluation.metrics.self_consistency import (
    colour_differences,
    cross_view_colour_error,
    inside,
    mean_where,
    view_disagreement,
)
from syncmv4d_model.evaluation.metrics.tracks import (
    displacement_error,
    end_point_error,
    error_over_time,
    filled_in_time,
    first_frame_error,
    moving_points,
    still_point_drift,
    still_point_error,
    still_point_path,
)
from syncmv4d_model.evaluation.metrics.uncertainty import (
    RankedDeviations,
    coverage_curve,
    reliability_curve,
    stddev_coverage,
    stddev_spearman,
    stddev_spearman_pooled,
    stddev_spearman_trivial,
)
from syncmv4d_model.evaluation.metrics.video import (
    depth_scale_error,
    foreground_iou,
    gradient_energy,
    psnr,
    ssim,
    video_mean_squared_error,
)

__all__ = [
    "RankedDeviations",
    "SearchTree",
    "chamfer_distance",
    "chamfer_of_trees",
    "clip_views",
    "colour_differences",
    "corresponding_points",
    "coverage_curve",
    "cross_view_colour_error",
    "depth_scale_error",
    "displacement_error",
    "dynamic_degree",
    "dynamic_degree_thresholds",
    "end_point_error",
    "error_over_time",
    "filled_in_time",
    "first_frame_error",
    "flow_score",
    "foreground_iou",
    "gradient_energy",
    "inside",
    "is_dynamic",
    "is_dynamic_from_scores",
    "label_recall",
    "least_squares_scale",
    "matching_pixels",
    "matching_pixels_total",
    "mean_label_recall",
    "mean_where",
    "motion_smoothness",
    "moving_points",
    "multi_view_percentage_of_inliers",
    "multi_view_relative_point_error",
    "mutual_matches",
    "path_length_ratio",
    "percentage_of_inliers",
    "psnr",
    "relative_point_error",
    "reliability_curve",
    "rigid_motion_error",
    "rigid_residual",
    "sampled_frames",
    "search_trees",
    "ssim",
    "stddev_coverage",
    "stddev_spearman",
    "stddev_spearman_pooled",
    "stddev_spearman_trivial",
    "still_point_drift",
    "still_point_error",
    "still_point_path",
    "subject_consistency",
    "video_mean_squared_error",
    "view_disagreement",
    "visibility_balanced_accuracy",
    "visibility_f1_occluded",
    "visibility_precision_occluded",
    "visibility_recall_occluded",
]
