"""What the paper reports (arXiv 2511.19319 v1, Tab. 1 to 4, on TACO), and what it claims of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from syncmv4d_model.training.ablation import (
    FULL,
    NO_ALIGNER,
    NO_CYCLE,
    NO_PRIOR,
    ONE_BY_ONE,
    TRACKING_VIDEO,
    VIDEO_ONLY,
    Variant,
)


@dataclass(frozen=True)
class Column:
    """A metric as a table shows it."""

    title: str
    metric: str
    scale: float = 1.0
    better: Literal["up", "down"] = "down"

    @property
    def heading(self) -> str:
        return f"{self.title} {'↑' if self.better == 'up' else '↓'}"


VIDEO_COLUMNS = (
    Column("Subj. Cons.", "subject_consistency", better="up"),
    Column("Dyn. Deg.", "dynamic_degree", better="up"),
    Column("Mat. Pix.", "matching_pixels_total_k", better="up"),
    Column("CLIP-V", "clip_v", better="up"),
    Column("PSNR, dB", "psnr", better="up"),
    Column("SSIM", "ssim", better="up"),
    Column("colours across views", "cross_view_colour_error"),
)
VIDEO_ROWS = {
    "WAN2.2, one view": (0.9562, 0.4521, 33.8, 76.78),
    "SViMo, one view": (0.9285, 0.9601, 137.5, 82.88),
    "DaS, one view": (0.8828, 0.9962, 182.3, 83.34),
    "SV4D 2.0": (0.7988, 0.8628, 108.7, 79.31),
    "SyncMV4D": (0.9351, 0.9877, 529.4, 83.67),
}
"""Tab. 1: the first columns; the others are ours."""

MOTION_COLUMNS = (
    Column("RPE, %", "rpe", 100),
    Column("PI, %", "pi", 100, better="up"),
    Column("Chamfer, m", "chamfer_cm", 0.01),
    Column("Smooth., m", "smoothness_cm", 0.01),
    Column("MV RPE (a), %", "multi_view_rpe_a", 100),
    Column("MV RPE (b), %", "multi_view_rpe_b", 100),
    Column("MV PI (a), %", "multi_view_pi_a", 100, better="up"),
    Column("MV PI (b), %", "multi_view_pi_b", 100, better="up"),
    Column("end point, cm", "end_point_error_cm"),
    Column("displacement, cm", "displacement_error_cm"),
)
MOTION_ROWS = {
    "Geo4D, scaled": (21.7, 71.5, 0.0134, 0.0228, 81.1, 81.1, 1.56, 1.56),
    "GeometryCrafter, scaled": (17.0, 87.3, 0.0115, 0.0222, 67.3, 67.3, 4.16, 4.16),
    "SyncMV4D": (15.2, 98.2, 0.0103, 0.0152, 32.7, 32.7, 39.1, 39.1),
}
"""Tab. 2; which reading of the multi-view errors the paper has is not published, so its number stands in both columns."""

ABLATION_COLUMNS = (
    Column("MV RPE (a), %", "multi_view_rpe_a", 100),
    Column("MV RPE (b), %", "multi_view_rpe_b", 100),
    Column("end point, cm", "end_point_error_cm"),
    Column("displacement, cm", "displacement_error_cm"),
    Column("Chamfer, m", "chamfer_cm", 0.01),
    Column("PSNR, dB", "psnr", better="up"),
    Column("colours across views", "cross_view_colour_error"),
)
ABLATION_ROWS: dict[str, tuple[float | None, float | None]] = {
    ONE_BY_ONE.name: (122.7, 75.3),
    VIDEO_ONLY.name: (462.6, None),
    TRACKING_VIDEO.name: (483.8, None),
    NO_PRIOR.name: (None, None),
    NO_ALIGNER.name: (501.3, 46.3),
    NO_CYCLE.name: (498.2, 33.5),
    FULL.name: (529.4, 32.7),
}
"""Tab. 3 and 4: matching pixels and multi-view RPE in %. The supplement, whose row the tracking video is, has 503.1 for the joint
denoiser alone. The paper has no motion prior: the row without one is there to stand beside the video-only one, which has none either.
"""


@dataclass(frozen=True)
class Claim:
    """That a part helps: one variant against another, judged by these scores."""

    words: str
    ours: Variant
    against: Variant | None  # None: the scene that stands still in its true frame 0, which its own reports know
    columns: tuple[Column, ...]


STATIC = {
    "end_point_error_cm": "static_end_point_error_cm",
    "displacement_error_cm": "static_end_point_error_cm",
    "chamfer_cm": "static_chamfer_cm",
    "psnr": "static_psnr",
}
"""Scores, and the same of the scene that stands still: it starts from the true frame 0, so that its displacement error is its end-point error."""


_BY_METRIC = {column.metric: column for column in ABLATION_COLUMNS}
_VIDEO = (_BY_METRIC["psnr"], _BY_METRIC["cross_view_colour_error"])
_TRACKS = tuple(
    _BY_METRIC[name]
    for name in ("multi_view_rpe_a", "multi_view_rpe_b", "end_point_error_cm", "displacement_error_cm", "chamfer_cm")
)
CLAIMS = (
    Claim("views together beat views one by one", FULL, ONE_BY_ONE, (*_TRACKS, *_VIDEO)),
    Claim("motion helps the video", NO_PRIOR, VIDEO_ONLY, _VIDEO),
    Claim("its depth over time beats a tracking video's", NO_ALIGNER, TRACKING_VIDEO, _VIDEO),
    Claim("the aligner lowers the error between views", NO_CYCLE, NO_ALIGNER, _TRACKS),
    Claim("the cycle helps", FULL, NO_CYCLE, (*_TRACKS, *_VIDEO)),
    Claim("the whole beats standing still", FULL, None, tuple(_BY_METRIC[name] for name in STATIC)),
)
