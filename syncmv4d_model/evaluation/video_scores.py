"""Scores of the generated videos alone: part of scores.SCORES."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.metrics.refusal import require_same_shape

Score = Callable[[Case], float]


def _codec_video(case: Case) -> np.ndarray:
    if case.codec_video is None:
        raise ValueError("the method has no codec")
    return case.codec_video


def _ssim(case: Case) -> float:
    require_same_shape(predicted=case.given("video"), target=case.truth.video)
    return case.ssims[1]


def _dynamic_degree(case: Case, video: np.ndarray) -> float:
    return case.networks.dynamic_degree(video, frame_period_s=case.truth.frame_period_s)


VIDEO_SCORES: dict[str, Score] = {
    "psnr": lambda case: metrics.psnr_of_error(case.video_mse),
    "static_psnr": lambda case: metrics.psnr_of_error(case.static_video_mse),
    "video_mse": lambda case: case.video_mse,
    "static_video_mse": lambda case: case.static_video_mse,
    "ssim": _ssim,
    "static_ssim": lambda case: case.ssims[0],
    "codec_psnr": lambda case: metrics.psnr(_codec_video(case), case.truth.video),
    "gradient_energy": lambda case: metrics.gradient_energy(case.given("video")),
    "codec_gradient_energy": lambda case: metrics.gradient_energy(_codec_video(case)),
    "subject_consistency": lambda case: case.networks.subject_consistency(case.given("video")),
    "true_subject_consistency": lambda case: case.networks.subject_consistency(case.truth.video),
    "dynamic_degree": lambda case: _dynamic_degree(case, case.given("video")),
    "true_dynamic_degree": lambda case: _dynamic_degree(case, case.truth.video),
    "clip_v": lambda case: case.networks.clip_v(case.given("video")),
    "true_clip_v": lambda case: case.networks.clip_v(case.truth.video),
    "matching_pixels": lambda case: case.networks.matching_pixels(case.given("video")),
    "matching_pixels_total_k": lambda case: case.networks.matching_pixels_total_k(case.given("video")),
    "true_matching_pixels": lambda case: case.networks.matching_pixels(case.truth.video),
    "true_matching_pixels_total_k": lambda case: case.networks.matching_pixels_total_k(case.truth.video),
}
