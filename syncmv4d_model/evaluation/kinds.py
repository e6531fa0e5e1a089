"""The sequences of a split by kind: what a report says of all of them, of those with each tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Sequence as Seq
from dataclasses import asdict, dataclass
from typing import Any

from syncmv4d_model.evaluation.statistics import Row, summarise

SCORES_BY_TAG = (
    "end_point_error_cm",
    "displacement_error_cm",
    "static_end_point_error_cm",
    "text_mean_error_cm",
    "floor_mean_error_cm",
    "floor_sample_error_cm",
)


@dataclass(frozen=True)
class OneKind:
    """The sequences that carry one tag; a sequence with several tags counts for each."""

    sequences: int
    metrics: dict[str, float | None]
    intervals: dict[str, list[float] | None]


def summarise_by_tag(
    tags: Iterable[Seq[str]], scores: Seq[Row], ratios: Mapping[str, tuple[str, str]], *, seed: int
) -> dict[str, dict[str, Any]]:
    """statistics.summarise of SCORES_BY_TAG and their ratios for each tag, in the tags' order;
    nothing where no sequence has one.
    """
    members: dict[str, list[Row]] = {}
    for own, row in zip(tags, scores, strict=True):
        for tag in own:
            members.setdefault(tag, []).append({name: row[name] for name in SCORES_BY_TAG if name in row})
    kinds = {}
    for tag, rows in sorted(members.items()):
        of_them = {name: parts for name, parts in ratios.items() if all(part in rows[0] for part in parts)}
        kinds[tag] = asdict(OneKind(len(rows), *summarise(rows, of_them, seed=seed)))
    return kinds
