"""What the node asks a model for, and where it gets one: an engine is loaded late, by name. Numpy only at import, no torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from syncmv4d_model.types import Observation, Prediction

if TYPE_CHECKING:
    from syncmv4d_model.predictor import Predictor


class Cancelled(Exception):
    """The caller asked an engine to stop, and it did."""


@runtime_checkable
class Engine(Protocol):
    """Answers one observation at a time; not for use by two threads at the same time."""

    @property
    def name(self) -> str:
        """What answers, for logs and diagnostics: engine and checkpoint."""
        ...

    @property
    def max_views(self) -> int:
        """The most views that an observation may have; the least is 1."""
        ...

    @property
    def steps(self) -> int:
        """Denoising steps when a request names none."""
        ...

    def generate(
        self,
        observation: Observation,
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Prediction:
        """Videos and tracks for whole images of any size; what it looks at of each is the engine's own choice, and
        Prediction.windows_px. steps = None takes `steps`.

        Calls progress(done, steps) after every denoising step, and asks cancelled() before each. Raises Cancelled when that
        answers True, and ValueError for an observation or a number of steps that it cannot take.
        """
        ...


class PredictorEngine:
    """The model in this process, by torch."""

    def __init__(self, predictor: Predictor, name: str) -> None:
        self._predictor = predictor
        self.name = f"{name} {predictor.name}"
        self.max_views = predictor.config.max_views
        self.steps = predictor.config.loop.steps

    def generate(
        self,
        observation: Observation,
        *,
        seed: int,
        steps: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> Prediction:
        """As Engine.generate; errors of Predictor.predict."""
        from syncmv4d_model.predictor import Cancelled as PredictorCancelled

        try:
            return self._predictor.predict(observation, seed=seed, steps=steps, progress=progress, cancelled=cancelled)
        except PredictorCancelled as error:
            raise Cancelled(str(error)) from error


def _load_predictor(name: str, checkpoint: Path | None) -> Engine:
    try:
        from syncmv4d_model.predictor import BUNDLED_NANO, Predictor
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the engine {name!r} needs the package {error.name!r}, which is not installed: pip install '.[model]' in SyncMV4D's folder"
        ) from error
    return PredictorEngine(Predictor.load(checkpoint or BUNDLED_NANO, engine=name), name)


LOADERS: dict[str, Callable[[str, Path | None], Engine]] = {"eager": _load_predictor, "compile": _load_predictor}
"""What loads an engine, by its name."""


def load_engine(name: str, checkpoint: Path | str | None = None) -> Engine:
    """Load an engine by name; the checkpoint is a folder, or None (or "") for the bundled one.

    Raises ValueError for a name that is not known and for an engine whose packages are not installed; for a checkpoint
    that cannot be read, what checkpoint.load_components raises.
    """
    if name not in LOADERS:
        raise ValueError(f"engine must be one of {', '.join(LOADERS)}, got {name!r}")
    return LOADERS[name](name, Path(checkpoint) if checkpoint else None)
