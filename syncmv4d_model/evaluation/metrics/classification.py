"""Visibility and labels of tracked points, judged as classifications."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from syncmv4d_model.evaluation.metrics.refusal import require_same_shape, require_some


def visibility_f1_occluded(predicted: Bool[np.ndarray, "*points"], target: Bool[np.ndarray, "*points"]) -> float:
    """F1 of the OCCLUDED class: most points are visible, so the usual F1 flatters a method that never says occluded.

    Raises ValueError when the truth has no occluded point.
    """
    require_same_shape(predicted=predicted, target=target)
    require_some(int((~target).sum()), "occluded points in the truth")
    hits = int((~predicted & ~target).sum())
    return 2 * hits / (int((~predicted).sum()) + int((~target).sum()))


def visibility_precision_occluded(predicted: Bool[np.ndarray, "*points"], target: Bool[np.ndarray, "*points"]) -> float:
    """Share of the points predicted occluded that are; ValueError when none is predicted so."""
    require_same_shape(predicted=predicted, target=target)
    require_some(int((~predicted).sum()), "points that are predicted occluded")
    return float((~target[~predicted]).mean())


def visibility_recall_occluded(predicted: Bool[np.ndarray, "*points"], target: Bool[np.ndarray, "*points"]) -> float:
    """Share of the occluded points that are predicted so; ValueError when the truth has none."""
    require_same_shape(predicted=predicted, target=target)
    require_some(int((~target).sum()), "occluded points in the truth")
    return float((~predicted[~target]).mean())


def visibility_balanced_accuracy(predicted: Bool[np.ndarray, "*points"], target: Bool[np.ndarray, "*points"]) -> float:
    """Mean of the recalls of the visible and of the occluded class; ValueError when the truth lacks one of them."""
    require_same_shape(predicted=predicted, target=target)
    require_some(int((~target).sum()), "occluded points in the truth")
    require_some(int(target.sum()), "visible points in the truth")
    return float((predicted[target].mean() + (~predicted[~target]).mean()) / 2)


def label_recall(predicted: UInt8[np.ndarray, "*points"], target: UInt8[np.ndarray, "*points"], label: int) -> float:
    """Share of the truth's points of `label` that the prediction labels so; ValueError when the truth has none."""
    require_same_shape(predicted=predicted, target=target)
    require_some(int((target == label).sum()), f"points of label {label} in the truth")
    return float((predicted[target == label] == label).mean())


def mean_label_recall(predicted: UInt8[np.ndarray, "*points"], target: UInt8[np.ndarray, "*points"]) -> float:
    """Mean of `label_recall` over the labels that the truth has, "unknown" (0) left out."""
    present = [int(label) for label in np.unique(target) if label != 0]
    require_some(len(present), "known labels in the truth")
    return float(np.mean([label_recall(predicted, target, label) for label in present]))
