"""The finder that chooses the windows of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from syncmv4d_model.data.window import ObjectFinder


def load_finder(
    windows: Literal["finder", "truth", "largest"], checkpoint: Path | None
) -> tuple[ObjectFinder | None, str]:
    """A checkpoint's finder (the bundled one's when none is given) and its identity for the record;
    none where windows are chosen otherwise. ValueError for a checkpoint without one.
    """
    if windows != "finder":
        return None, ""
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.networks.finder import CheckpointFinder

    finder = CheckpointFinder(checkpoint or BUNDLED_NANO)
    return finder, finder.identity
