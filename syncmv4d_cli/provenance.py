"""Whose numbers a report holds: weights, versions, and the text mean beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.baselines import TextMean


def provenance(checkpoint: Path | None, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """For a report's settings: name and digest of the weights that its numbers belong to (None: of none), which of their parts
    were left out, and the versions of what computed them.
    """
    from syncmv4d_model.results import versions

    return {
        "checkpoint": None if checkpoint is None else name_and_digest(checkpoint),
        "without": list(without),
        "versions": versions(),
    }


def name_and_digest(checkpoint: Path) -> str:
    """`nano@0123456789abcdef`."""
    from syncmv4d_model.checkpoint_index import checkpoint_hash

    return f"{checkpoint.resolve().name}@{checkpoint_hash(checkpoint)}"


def load_text_mean(
    checkpoint: Path, data: Path, *, num_frames: int | None = None
) -> tuple[TextMean, str] | tuple[None, None]:
    """The checkpoint's text mean, unless it has another number of frames; else one fitted on DIR/train, else None; and whose it is."""
    from syncmv4d_model.data.sequence import list_sequences, read_sequence
    from syncmv4d_model.evaluation.baselines import TextMean

    if (checkpoint / "text_mean.safetensors").is_file():
        text_mean = TextMean.load(checkpoint / "text_mean.safetensors")
        if num_frames is None or text_mean.means.shape[2] == num_frames:
            return text_mean, name_and_digest(checkpoint)
    if not (data / "train").is_dir():
        return None, None
    training = (read_sequence(directory, with_video=False) for directory in list_sequences(data, "train"))
    return TextMean.fit(training), f"{data.resolve().name}/train"


def num_frames_of(data: Path, split: str) -> int:
    """Of the split's first sequence."""
    from syncmv4d_model.data.sequence import list_sequences, read_sequence

    return read_sequence(list_sequences(data, split, limit=1)[0], with_video=False).positions.shape[1]


def is_report_of(report: Path, checkpoint: Path, *, sequences: int) -> bool:
    """Whether a report is there, of these weights and of so many sequences; ValueError for a file that is no report."""
    from syncmv4d_cli.compare import read_report

    if not report.is_file():
        return False
    known = read_report(report)
    same_weights = known["settings"].get("checkpoint") == provenance(checkpoint)["checkpoint"]
    return same_weights and known.get("sequences") == sequences
