"""Sequences that an evaluation has scored already, kept beside its report until that is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from syncmv4d_model.evaluation.scores import SCORES

Motion = Mapping[int, np.ndarray]
"""baselines.label_motion of a scene's prediction, [T 3] metres a label."""


@dataclass(frozen=True)
class ScoredScene:
    """One sequence: its row of the report, its scores, why those that are null are, and the motion that it was predicted."""

    row: dict[str, Any]
    values: dict[str, float | None]
    reasons: dict[str, str]
    triplet: str = ""
    motion: Motion | None = None


@dataclass
class KeptRows:
    """Lines of JSON in a file, the first of which says what was asked; another question begins anew.

    A number in JSON is read back as the same number, so a resumed report is the whole one's equal.
    """

    path: Path
    asked: Mapping[str, Any]
    scenes: dict[str, ScoredScene] = field(default_factory=dict)  # by the sequence's name

    def __post_init__(self) -> None:
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        if lines and lines[0] == self._question:
            for line in lines[1:]:
                scene = _read(line)
                if scene is None:  # cut off where the writer was killed
                    break
                self.scenes[scene.row["sequence"]] = scene
        with self.path.open("w", encoding="utf-8") as file:
            file.write(self._question + "\n")
            file.writelines(_line(scene) for scene in self.scenes.values())

    def add(self, scene: ScoredScene) -> None:
        """Keep one more."""
        self.scenes[scene.row["sequence"]] = scene
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(scene))

    def discard(self) -> None:
        """Once the report holds them."""
        self.path.unlink(missing_ok=True)

    @property
    def _question(self) -> str:
        content = json.dumps([dict(self.asked), sorted(SCORES)], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()


def _line(scene: ScoredScene) -> str:
    motion = None if scene.motion is None else {label: moved.tolist() for label, moved in scene.motion.items()}
    return json.dumps(vars(scene) | {"motion": motion}, allow_nan=False) + "\n"


def _read(line: str) -> ScoredScene | None:
    try:
        content = json.loads(line)
        motion = content.pop("motion")
        moved = None if motion is None else {int(label): np.array(value) for label, value in motion.items()}
        return ScoredScene(**content, motion=moved)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
