"""Scenes one by one: from a sequence and a method to a row of the report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from syncmv4d_model.data.npz import read_npz
from syncmv4d_model.data.sequence import FUTURES_FILE, TRUTH_FILE, Sequence, read_futures
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.baselines import static_tracks
from syncmv4d_model.evaluation.case import Case, whole_anchors
from syncmv4d_model.evaluation.kept_rows import Motion, ScoredScene
from syncmv4d_model.evaluation.methods import Method
from syncmv4d_model.evaluation.reliability import reliability_of
from syncmv4d_model.evaluation.scores import CM_PER_M, score


@dataclass(frozen=True)
class Chain:
    """Sequences of one triplet, in name order, with their places in the split, and what is known already of some of them."""

    entries: tuple[tuple[int, Path], ...]
    known: Mapping[str, ScoredScene] = field(default_factory=dict)


def with_futures(sequence: Sequence, directory: Path) -> Sequence:
    """The sequence with its folder's redrawn futures, where it has any. ValueError for futures of other points or frames."""
    futures = read_futures(directory)
    if futures is None or not len(futures):
        return sequence
    futures = futures[:, : len(sequence.positions)]  # a method may see the first views only
    path, wanted = directory / FUTURES_FILE, list(sequence.positions.shape)
    if list(futures.shape[1:]) != wanted:
        raise ValueError(f"{path} has displacements {list(futures.shape)}, not of positions {wanted}")
    if not np.isfinite(futures).all():
        raise ValueError(f"{path} holds something that is not a finite number")
    return replace(sequence, futures_m=futures)


def made_cases(
    method: Method, directories: Seq[Path], known: Mapping[str, ScoredScene] | None = None
) -> Iterator[Case]:
    """Cases of the sequences that are not known yet, one by one as they are asked for, each beside the motion predicted for the one
    before of its triplet.
    """
    known = known or {}
    motions: dict[str, Motion | None] = {}
    for index, directory in enumerate(directories):
        if (scene := known.get(directory.name)) is not None:
            motions[scene.triplet] = scene.motion or motions.get(scene.triplet)
            continue
        sequence = with_futures(method.read(directory), directory)
        case = replace(method.case(sequence, index), other_scene=motions.get(sequence.triplet))
        yield case
        if case.tracks:
            motions[sequence.triplet] = case.motion_by_label


def scored_scene(case: Case) -> ScoredScene:
    """Score one case."""
    values, reasons = score(case)
    motion = case.motion_by_label if case.tracks else None
    return ScoredScene(row_of(case, values), values, reasons, case.truth.triplet, motion)


def scored_chain(method: Method, chain: Chain) -> list[ScoredScene]:
    """One after the other, each beside the motion of the one before."""
    scenes, before = [], None
    for index, directory in chain.entries:
        scene = chain.known.get(directory.name)
        if scene is None:
            sequence = with_futures(method.read(directory), directory)
            scene = scored_scene(replace(method.case(sequence, index), other_scene=before))
            scenes.append(scene)
        before = scene.motion or before
    return scenes


def chains_of(directories: Seq[Path], known: Mapping[str, ScoredScene]) -> list[Chain]:
    """The sequences by triplet, without the triplets that are known altogether."""
    entries: dict[str, list[tuple[int, Path]]] = {}
    for index, directory in enumerate(directories):
        scene = known.get(directory.name)
        triplet = str(read_npz(directory / TRUTH_FILE, ("triplet",))["triplet"]) if scene is None else scene.triplet
        entries.setdefault(triplet, []).append((index, directory))
    chains = []
    for chain in entries.values():
        done = {directory.name: known[directory.name] for _, directory in chain if directory.name in known}
        if len(done) < len(chain):
            chains.append(Chain(tuple(chain), done))
    return chains


def anchors_digest(anchors_px: np.ndarray) -> str:
    """`96@0123456789ab`: points a view, and a digest of where they are in frame 0. Scores at other points are not comparable one by one."""
    return f"{anchors_px.shape[1]}@{hashlib.sha256((np.round(anchors_px, 2) + 0.0).tobytes()).hexdigest()[:12]}"


def row_of(case: Case, values: dict[str, float | None]) -> dict[str, Any]:
    """A sequence's line of the report: who it is, its scores, and the error of each frame n >= 1 (cm)."""
    truth, lines = case.truth, {"static": static_tracks(case.truth)}
    lines |= {"predicted": case.tracks[0]} if case.tracks else {}
    lines |= {"text_mean": case.text_mean_tracks} if case.text_mean_tracks is not None else {}
    lines |= {"floor_mean": case.floor_mean} if case.truth.futures_m is not None else {}
    over_time = {}
    if values["static_end_point_error_cm"] is not None:
        for name, tracks in lines.items():
            errors = metrics.error_over_time(tracks, truth.positions, truth.visible)
            over_time[name] = [None if error is None else CM_PER_M * error for error in errors]
    return {
        "sequence": truth.name,
        "task": truth.task,
        "triplet": truth.triplet,
        "tags": list(truth.tags),
        "anchors": anchors_digest(whole_anchors(truth)),
        **values,
        "error_over_time_cm": over_time,
        "reliability": reliability_of(case),
    }
