"""What the scores mean, for people: which direction is better, and the headline ones in one line each."""

from __future__ import annotations

LOWER, HIGHER = "lower", "higher"

BETTER = {
    "end_point_error_cm": LOWER,
    "displacement_error_cm": LOWER,
    "frame0_error_cm": LOWER,
    "still_point_error_cm": LOWER,
    "still_point_drift_cm": LOWER,
    "still_point_path_cm": LOWER,
    "codec_error_cm": LOWER,
    "sample_mean_error_cm": LOWER,
    "sample_best_error_cm": LOWER,
    "chamfer_cm": LOWER,
    "rpe": LOWER,
    "pi": HIGHER,
    "multi_view_rpe_a": LOWER,
    "multi_view_rpe_b": LOWER,
    "multi_view_pi_a": HIGHER,
    "multi_view_pi_b": HIGHER,
    "depth_scale_error_cm": LOWER,
    "psnr": HIGHER,
    "video_mse": LOWER,
    "path_length_ratio": "near 1",
    "foreground_iou": HIGHER,
    "stddev_spearman": HIGHER,
    "stddev_spearman_pooled": HIGHER,
    "stddev_coverage_68": "near 0.68",
    "stddev_coverage_95": "near 0.95",
    "visibility_f1_occluded": HIGHER,
    "visibility_balanced_accuracy": HIGHER,
    "label_recall": HIGHER,
    "label_recall_hand": HIGHER,
    "label_recall_tool": HIGHER,
    "label_recall_target": HIGHER,
    "decoded_share": HIGHER,
    "seconds_per_sequence": LOWER,
    "end_point_error_ratio": LOWER,
    "displacement_error_ratio": LOWER,
    "codec_error_ratio": LOWER,
    "chamfer_ratio": LOWER,
    "video_mse_ratio": LOWER,
    "consistency_colour_difference": LOWER,
    "consistency_colour_ratio": LOWER,
    "consistency_anchor_px": LOWER,
    "consistency_view_disagreement_cm": LOWER,
    "consistency_view_disagreement_ratio": LOWER,
}
"""Which direction of a score is better. What describes the data or a reference guess has none and is left out."""

HEADLINES = {
    "end_point_error_ratio": "mean distance from the truth, over points that move more than 2 cm; 1 = the static guess (nothing moves)",
    "displacement_error_ratio": "the same for the motion alone: each point's displacement from its own frame 0",
    "text_mean_ratio": "what moving the true frame 0 as the sentence's training scenes moved on average leaves; a model should be below",
    "still_point_drift_cm": "how far points that truly stay still (at most 2 cm) are moved; beside static_still_point_drift_cm",
    "video_mse_ratio": "squared error of the generated videos; 1 = the still first image",
    "path_length_ratio": "length of the predicted paths over the true ones; 0 = frozen",
    "label_recall": "share of points whose label (hand, tool, target) is right, mean over labels",
    "consistency_colour_ratio": "do later images show the anchors' colours where points are predicted; 1 = a still scene",
}
"""One line each for the scores to read first."""
