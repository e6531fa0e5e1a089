"""Scenes one by one: from a sequence and a method to a row of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from syncmv4d_model.data.sequence import TRUTH_FILE, Sequence, read_npz, read_sequence
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.anchors import choose_anchors
from syncmv4d_model.evaluation.baselines import TextMean, static_tracks
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.image_networks import ImageNetworks
from syncmv4d_model.evaluation.kept_rows import Motion, ScoredScene
from syncmv4d_model.evaluation.predicted import SupportsPrediction, make_case
from syncmv4d_model.evaluation.reference import Reference
from syncmv4d_model.evaluation.reliability import reliability_of
from syncmv4d_model.evaluation.scores import CM_PER_M, score
from syncmv4d_model.evaluation.written import WrittenPredictions

Make = Callable[[Sequence, int], Case]
"""A sequence, and its place in the split, as a case."""


@dataclass(frozen=True)
class Chain:
    """Sequences of one triplet, in name order, with their places in the split, and what is known already of some of them."""

    entries: tuple[tuple[int, Path], ...]
    known: Mapping[str, ScoredScene] = field(default_factory=dict)


def scene_seeds(seed: int, index: int, *, samples: int) -> list[int]:
    """Of the anchors, and of each sample, of the sequence at `index`: with them `make_case` makes again what was scored."""
    return np.random.SeedSequence([seed, index]).generate_state(samples + 1).tolist()


def made_cases(make: Make, directories: Seq[Path], known: Mapping[str, ScoredScene]) -> Iterator[Case]:
    """Cases of the sequences that are not known yet, each beside the motion predicted for the one before of its triplet."""
    motions: dict[str, Motion | None] = {}
    for index, directory in enumerate(directories):
        if (scene := known.get(directory.name)) is not None:
            motions[scene.triplet] = scene.motion or motions.get(scene.triplet)
            continue
        sequence = read_sequence(directory)
        case = replace(make(sequence, index), other_scene=motions.get(sequence.triplet))
        yield case
        if case.tracks:
            motions[sequence.triplet] = case.motion_by_label


def predicted_cases(
    predictor: SupportsPrediction | None,
    directories: Seq[Path],
    *,
    seed: int,
    steps: int | None = None,
    samples: int = 1,
    text_mean: TextMean | None = None,
    networks: ImageNetworks | None = None,
    known: Mapping[str, ScoredScene] | None = None,
) -> Iterator[Case]:
    """`made_cases` of a predictor, one by one as they are asked for. A seed fixes anchors and noise, whoever predicts in however
    many steps.
    """

    def make(sequence: Sequence, index: int) -> Case:
        seeds = scene_seeds(seed, index, samples=samples)
        case = make_case(predictor, sequence, seeds=seeds, steps=steps, text_mean=text_mean)
        return case if networks is None else replace(case, networks=networks)

    return made_cases(make, directories, known or {})


def scored_scene(case: Case) -> ScoredScene:
    """Score one case."""
    values, reasons = score(case)
    motion = case.motion_by_label if case.tracks else None
    return ScoredScene(row_of(case, values), values, reasons, case.truth.triplet, motion)


@dataclass(frozen=True)
class Written:
    """Scores what a method has written, or a reference row; everything that another process needs to do it."""

    predictions: WrittenPredictions | Reference
    seed: int
    points: int | None = None
    text_mean: TextMean | None = None
    networks: ImageNetworks | None = None

    def case(self, sequence: Sequence, index: int) -> Case:
        """The method's answer at the anchors that a model of so many points would be asked for; at all of them without."""
        anchor_seed = scene_seeds(self.seed, index, samples=1)[0]
        count = self.points or sequence.label.shape[1]
        chosen = choose_anchors(sequence, count, seed=anchor_seed)
        case = self.predictions.case(sequence, chosen, text_mean=self.text_mean)
        return case if self.networks is None else replace(case, networks=self.networks)

    def scored(self, chain: Chain) -> list[ScoredScene]:
        """Score the sequences of a chain that are not known."""
        return scored_chain(self.case, chain)

    @property
    def switches(self) -> dict[str, Any]:
        """None: the method's parts are its own affair."""
        return {}


@dataclass(frozen=True)
class Generated:
    """Scores what a checkpoint generates; everything that another process, of this or another machine, needs to do it."""

    load: Callable[[], SupportsPrediction]
    name: str  # of what `load` loads: once in each process
    switches: dict[str, Any]
    seed: int
    steps: int | None
    samples: int
    text_mean: TextMean | None
    threads: int  # of torch: another number would round otherwise

    def case(self, sequence: Sequence, index: int) -> Case:
        """As `predicted.make_case`."""
        import torch

        torch.set_num_threads(self.threads)
        if self.name not in _LOADED:
            _LOADED.clear()
            _LOADED[self.name] = self.load()
        seeds = scene_seeds(self.seed, index, samples=self.samples)
        return make_case(_LOADED[self.name], sequence, seeds=seeds, steps=self.steps, text_mean=self.text_mean)

    def scored(self, chain: Chain) -> list[ScoredScene]:
        """Score the sequences of a chain that are not known."""
        return scored_chain(self.case, chain)


_LOADED: dict[str, SupportsPrediction] = {}
"""The one predictor of this process, by name."""


def scored_chain(make: Make, chain: Chain) -> list[ScoredScene]:
    """One after the other, each beside the motion of the one before."""
    scenes, before = [], None
    for index, directory in chain.entries:
        scene = chain.known.get(directory.name)
        if scene is None:
            scene = scored_scene(replace(make(read_sequence(directory), index), other_scene=before))
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


def row_of(case: Case, values: dict[str, float | None]) -> dict[str, Any]:
    """A sequence's line of the report: who it is, its scores, and the error of each frame n >= 1 (cm)."""
    truth, lines = case.truth, {"static": static_tracks(case.truth)}
    lines |= {"predicted": case.tracks[0]} if case.tracks else {}
    lines |= {"text_mean": case.text_mean_tracks} if case.text_mean_tracks is not None else {}
    over_time = {}
    if values["static_end_point_error_cm"] is not None:
        for name, tracks in lines.items():
            errors = metrics.error_over_time(tracks, truth.positions, truth.visible)
            over_time[name] = [None if error is None else CM_PER_M * error for error in errors]
    return {
        "sequence": truth.name,
        "task": truth.task,
        "triplet": truth.triplet,
        **values,
        "error_over_time_cm": over_time,
        "reliability": reliability_of(case),
    }
