"""Whatever is evaluated, in one shape: asked for a sequence, it answers with a case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from syncmv4d_model.data.sequence import Sequence, first_views, read_sequence
from syncmv4d_model.evaluation.anchors import choose_anchors
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.image_networks import ImageNetworks
from syncmv4d_model.evaluation.predicted import SupportsPrediction, make_case, read_as_seen
from syncmv4d_model.evaluation.reference import Reference
from syncmv4d_model.evaluation.written import WrittenPredictions


@runtime_checkable
class Method(Protocol):
    """A model, written files or a reference row."""

    @property
    def switches(self) -> dict[str, Any]:
        """The model's parts; none where they are the method's own affair."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """For the report; its `seed` is the seed of the intervals too."""
        ...

    @property
    def portable(self) -> bool:
        """Whether other processes can make its cases, from a pickled copy."""
        ...

    def one_sample(self) -> Method:
        """The same method with the first of its samples alone: enough to look at."""
        ...

    def read(self, directory: Path) -> Sequence:
        """A sequence's truth, in the windows that the method sees. Errors as data.sequence.read_sequence."""
        ...

    def case(self, sequence: Sequence, index: int) -> Case:
        """The answer for the sequence at `index` of its split, as `read` reads it. A seed fixes anchors and noise, whoever asks and in whatever order."""
        ...


def scene_seeds(seed: int, index: int, *, samples: int) -> list[int]:
    """Of the anchors, and of each sample, of the sequence at `index`: with them `make_case` makes again what was scored."""
    return np.random.SeedSequence([seed, index]).generate_state(samples + 1).tolist()


@dataclass(frozen=True)
class Predicted:
    """What a predictor of this process predicts; None: nothing, so that the reference rows alone are scored, on all anchors."""

    predictor: SupportsPrediction | None
    seed: int = 0
    steps: int | None = None
    samples: int = 1
    text_mean: TextMean | None = None
    networks: ImageNetworks | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, got {self.samples}")

    @property
    def switches(self) -> dict[str, Any]:
        return {} if self.predictor is None else dict(vars(self.predictor.config.switches))

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "steps": self.steps, "samples": self.samples} | _of(self.networks)

    @property
    def portable(self) -> bool:
        return False

    def one_sample(self) -> Method:
        return replace(self, samples=1)

    def read(self, directory: Path) -> Sequence:
        return read_sequence(directory) if self.predictor is None else read_as_seen(self.predictor, directory)

    def case(self, sequence: Sequence, index: int) -> Case:
        """As `predicted.make_case`."""
        seeds = scene_seeds(self.seed, index, samples=self.samples)
        case = make_case(self.predictor, sequence, seeds=seeds, steps=self.steps, text_mean=self.text_mean)
        return _asking(self.networks, case)


@dataclass(frozen=True)
class Written:
    """What a method has written, or a reference row."""

    predictions: WrittenPredictions | Reference
    seed: int = 0
    points: int | None = None
    text_mean: TextMean | None = None
    networks: ImageNetworks | None = None

    def one_sample(self) -> Method:
        return self

    def read(self, directory: Path) -> Sequence:
        return self.predictions.read(directory)

    def case(self, sequence: Sequence, index: int) -> Case:
        """The method's answer at the anchors that a model of so many points would be asked for; at all of them without."""
        anchor_seed = scene_seeds(self.seed, index, samples=1)[0]
        count = self.points or sequence.label.shape[1]
        chosen = choose_anchors(sequence, count, seed=anchor_seed)
        return _asking(self.networks, self.predictions.case(sequence, chosen, text_mean=self.text_mean))

    @property
    def switches(self) -> dict[str, Any]:
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "steps": None, "samples": 1} | _of(self.networks)

    @property
    def portable(self) -> bool:
        return self.networks is None


@dataclass(frozen=True)
class Generated:
    """What a checkpoint predicts, in whichever process of whichever machine it is asked."""

    load: Callable[[], SupportsPrediction]
    name: str  # of what `load` loads: once in each process
    switches: dict[str, Any]
    seed: int
    steps: int | None
    samples: int
    text_mean: TextMean | None
    threads: int  # of torch: another number would round otherwise

    def one_sample(self) -> Method:
        return replace(self, samples=1)

    def read(self, directory: Path) -> Sequence:
        return self._predicted().read(directory)

    def case(self, sequence: Sequence, index: int) -> Case:
        """As `predicted.make_case`."""
        return self._predicted().case(sequence, index)

    def _predicted(self) -> Predicted:
        """The method in this process, its predictor loaded once."""
        import torch

        torch.set_num_threads(self.threads)
        if self.name not in _LOADED:
            _LOADED.clear()
            _LOADED[self.name] = self.load()
        return Predicted(_LOADED[self.name], self.seed, self.steps, self.samples, self.text_mean)

    @property
    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "steps": self.steps, "samples": self.samples}

    @property
    def portable(self) -> bool:
        return True


@dataclass(frozen=True)
class FirstViews:
    """A method that sees, and is scored on, the first views of every sequence."""

    method: Method
    views: int

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"views must be at least 1, got {self.views}")

    @property
    def switches(self) -> dict[str, Any]:
        return self.method.switches

    @property
    def settings(self) -> dict[str, Any]:
        return self.method.settings | {"views": self.views}

    @property
    def portable(self) -> bool:
        return self.method.portable

    def one_sample(self) -> Method:
        return replace(self, method=self.method.one_sample())

    def read(self, directory: Path) -> Sequence:
        return first_views(self.method.read(directory), self.views)

    def case(self, sequence: Sequence, index: int) -> Case:
        return self.method.case(sequence, index)


_LOADED: dict[str, SupportsPrediction] = {}
"""The one predictor of this process, by name."""


def _asking(networks: ImageNetworks | None, case: Case) -> Case:
    return case if networks is None else replace(case, networks=networks)


def _of(networks: ImageNetworks | None) -> dict[str, Any]:
    return {} if networks is None else {"networks": networks.settings()}
