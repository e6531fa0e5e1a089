"""Score a predictor, or the baselines alone, on one split of a data set.

The truth's anchors are given to the predictor: both are compared on the same points. Rules that decide what a number
means are part of the report.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from syncmv4d_model.data.atomic import write_bytes
from syncmv4d_model.data.sequence import list_sequences
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.image_networks import NETWORK_RULES, ImageNetworks
from syncmv4d_model.evaluation.kept_rows import KeptRows, ScoredScene
from syncmv4d_model.evaluation.kinds import summarise_by_tag
from syncmv4d_model.evaluation.methods import Method, Predicted
from syncmv4d_model.evaluation.parallel import mapped
from syncmv4d_model.evaluation.predicted import SupportsPrediction
from syncmv4d_model.evaluation.reliability import RULE as RELIABILITY_RULE
from syncmv4d_model.evaluation.scenes import chains_of, made_cases, scored_chain, scored_scene
from syncmv4d_model.evaluation.scores import RATIOS
from syncmv4d_model.evaluation.statistics import CONFIDENCE, RESAMPLES, summarise

RULES = {
    "anchors": "a seeded subset of the truth's anchors, evenly spread over each view, given to the predictor",
    "track errors": "points whose truth moves more than 2 cm, at frames n >= 1 where the truth is visible; a position "
    "that was not decoded is interpolated in time, held at the ends, or the true frame 0",
    "still_point": "the same over points whose truth moves at most 2 cm: error against the truth, drift from the point's own "
    "predicted frame 0 (of the static guess, the truth's own small motion), and the length of the predicted path",
    "rpe, pi": "camera frame, fractions; frames where a view sees none of its points are left out",
    "multi_view": "mutual nearest true frame-0 points within 5 mm, same label; view pairs with fewer than 4 are left out",
    "own_motion, other_scene_motion": "the true frame 0, every label moved by the mean displacement predicted for its points; "
    "predicted for this scene, or for the one before of the same triplet; scenes that have one before them only",
    "floor_mean, floor_sample": "the true frame 0, moved by the mean of the scene's redrawn futures (the least expected squared error "
    "that an answer can have, times 1 + 1 / F for F futures), or by the first of them (one honest sample)",
    "by_tag": "the sequences that carry a tag; one with several tags counts for each",
    "tool_residual": "what one rigid motion from frame 0 leaves of the points that truly are the tool's",
    "rotation, translation errors": "of the rigid motion from frame 0 that fits the points of a body best, all views together, against "
    "the one that fits the true points best; of the points that truly are the body's, mean over frames n >= 1",
    "cross_view_colour_error": "8-bit values, at the projections of true points that both views see, paired as for multi_view",
    "chamfer_cm": "distance, both ways summed, all views' points of a frame together",
    "video": "8-bit values, all views, frames n >= 1",
    "visibility, stddev": "of the points that the method says anything of: all of them, but for written predictions that lack an "
    "anchor (decoded_share); stddev not where no position is written",
    "reliability": RELIABILITY_RULE,
    **NETWORK_RULES,
    "mean": "over points and frames of a sequence, then over the sequences that have the score; a ratio is the ratio of "
    "the two means",
    "intervals": f"{CONFIDENCE:.0%}, {RESAMPLES} bootstrap resamples over sequences, seeded",
}


@dataclass(frozen=True)
class Report:
    """The result of an evaluation; `to_json` is the file that `syncmv4d evaluate --json` writes."""

    split: str
    sequences: int
    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    switches: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    not_computed: dict[str, str] = field(default_factory=dict)
    partial: dict[str, int] = field(default_factory=dict)  # scores that not every sequence has, and how many have
    rows: list[dict[str, Any]] = field(default_factory=list)
    by_tag: dict[str, dict[str, Any]] = field(default_factory=dict)  # kinds.OneKind of each tag that a sequence has
    bag: dict[str, Any] | None = None  # of a recording: what was read as what

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None} | {"rules": RULES}

    def write_json(self, path: Path) -> None:
        """Write the file whole or not at all; errors as atomic.write_bytes."""
        write_bytes(path, (json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n").encode())


def evaluate(
    predictor: SupportsPrediction | None,
    data_dir: Path,
    split: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    samples: int = 1,
    text_mean: TextMean | None = None,
    networks: ImageNetworks | None = None,
    workers: int = 1,
    kept: KeptRows | None = None,
) -> Report:
    """`evaluate_method` of what `predictor` predicts in this process; None scores the reference rows alone, on all anchors."""
    method = Predicted(predictor, seed, steps, samples, text_mean, networks)
    return evaluate_method(method, data_dir, split, limit=limit, workers=workers, kept=kept)


def evaluate_method(
    method: Method,
    data_dir: Path,
    split: str,
    *,
    limit: int | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    kept: KeptRows | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Score a method on the sequences of a split, in name order.

    `workers` processes, or those of an `executor`, score, and make the cases too where the method is portable. What `kept` holds
    is not scored again. `progress(done, total)` is called after each sequence. Raises ValueError for a split that is missing or
    empty, and for sequences whose frame count or size is not the method's; as the method's own `case`.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    directories = list_sequences(data_dir, split, limit=limit)
    if not directories:
        raise ValueError(f"split {split!r} of {data_dir} has no sequence")
    known = kept.scenes if kept is not None else {}
    if method.portable:
        chains = chains_of(directories, known)
        scored = mapped(functools.partial(scored_chain, method), chains, workers=workers, executor=executor)
        results = itertools.chain.from_iterable(scored)
    else:
        results = mapped(scored_scene, made_cases(method, directories, known), workers=workers)
    scenes = dict(known)
    for scene in results:
        scenes[scene.row["sequence"]] = scene
        if kept is not None:
            kept.add(scene)
        if progress is not None:
            progress(len(scenes), len(directories))
    return report_rows(
        (scenes[directory.name] for directory in directories),
        RATIOS,
        split=split,
        switches=method.switches,
        settings={"data": str(data_dir), "limit": limit} | method.settings,
    )


def report_cases(
    cases: Iterable[Case], *, split: str, switches: dict[str, Any], settings: dict[str, Any] | None = None
) -> Report:
    """Score cases one by one and summarise; `settings["seed"]` (default 0) draws the intervals.

    Raises ValueError when there is no case.
    """
    return report_rows(map(scored_scene, cases), RATIOS, split=split, switches=switches, settings=settings)


def report_rows(
    scored: Iterable[ScoredScene],
    ratios: Mapping[str, tuple[str, str]],
    *,
    split: str,
    switches: dict[str, Any],
    settings: dict[str, Any] | None = None,
) -> Report:
    """Summarise what was scored already; as `report_cases`."""
    settings = settings or {}
    rows, scores, reasons = [], [], {}
    for scene in scored:
        rows.append(scene.row)
        scores.append(scene.values)
        reasons = scene.reasons | reasons
    seed = settings.get("seed", 0)
    means, intervals = summarise(scores, ratios, seed=seed)
    return Report(
        split=split,
        sequences=len(rows),
        metrics=means,
        intervals=intervals,
        switches=switches,
        settings=settings,
        not_computed=_reasons(means, reasons, ratios),
        partial=_partial(scores),
        rows=rows,
        by_tag=summarise_by_tag([row.get("tags", ()) for row in rows], scores, ratios, seed=seed),
    )


def _partial(scores: list[dict[str, float | None]]) -> dict[str, int]:
    have = {name: sum(one[name] is not None for one in scores) for name in (scores[0] if scores else {})}
    return {name: count for name, count in have.items() if 0 < count < len(scores)}


def _reasons(
    means: Mapping[str, float | None], refused: Mapping[str, str], ratios: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Why each mean that is null is null; a ratio for the reason of its first part that has one."""
    reasons = {name: reason for name, reason in refused.items() if means[name] is None}
    for ratio, parts in ratios.items():
        if means[ratio] is None:
            why = [f"{part}: {reasons[part]}" for part in parts if part in reasons]
            reasons[ratio] = why[0] if why else f"{parts[1]} is 0, or no row has both {parts[0]} and {parts[1]}"
    return reasons
