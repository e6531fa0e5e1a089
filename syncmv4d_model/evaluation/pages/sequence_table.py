"""The table of a report page that has a line per sequence: every score there is, the important ones first."""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from syncmv4d_model.evaluation.pages.meanings import HEADLINES
from syncmv4d_model.evaluation.pages.page import film_anchor, row_anchor
from syncmv4d_model.evaluation.scores import RATIOS

IMPORTANT = (
    "end_point_error_ratio",
    "end_point_error_cm",
    "static_end_point_error_cm",
    "text_mean_error_cm",
    "floor_mean_error_cm",
    "displacement_error_cm",
    "still_point_drift_cm",
    "path_length_ratio",
    "chamfer_cm",
    "tool_residual_cm",
    "psnr",
    "stddev_spearman",
    "stddev_coverage_68",
    "label_recall",
)
IMPORTANT_OF_A_RECORDING = (
    "consistency_colour_difference",
    "consistency_static_colour_difference",
    "consistency_view_disagreement_cm",
    "consistency_anchor_px",
    "psnr",
    "end_point_error_ratio",
    "end_point_error_cm",
    "static_end_point_error_cm",
)
NO_SCORES = ("sequence", "task", "triplet", "stamp_ns")
NOTHING = "–"

TOOLS = """<div class="tools" hidden>
<input type="search" placeholder="filter by task, for example: pour cup" aria-label="filter sequences by task" list="tasks">
<label><input type="checkbox"> all columns</label>
<output aria-live="polite"></output>
</div>"""


def sequence_table(rows: Sequence[Mapping[str, Any]], *, of_a_recording: bool, filmed: Collection[str] = ()) -> str:
    """A line per sequence, as HTML that page.js makes sortable; the sequences in `filmed` link to their videos.

    A number carries its full value for sorting and shows four digits. A column that no row has a number for is left out.
    """
    lines = [{**row, **ratios(row)} for row in rows]
    important = [name for name in (IMPORTANT_OF_A_RECORDING if of_a_recording else IMPORTANT) if _is_there(name, lines)]
    others = [
        name for line in lines for name in line if name not in (*important, *NO_SCORES) and _is_there(name, lines)
    ]
    more = tuple(dict.fromkeys(others))
    head = _heading("sequence", "") + _heading("task", "task") + "".join(_heading(name, "") for name in important)
    head += "".join(_heading(name, "more") for name in more)
    body = "\n".join(_line(line, important, more, filmed) for line in lines)
    foot = _means([*important, *more], first_more=len(important))
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>\n<tfoot>{foot}</tfoot></table>"
    words = sorted({row["task"] for row in rows})
    tasks = "".join(f'<option value="{html.escape(word)}">' for word in words)
    return f'{TOOLS}<div class="sequences" tabindex="0">{table}</div><datalist id="tasks">{tasks}</datalist>'


def ratios(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The ratios of one sequence; None where a part is missing or the second is 0."""
    made: dict[str, float | None] = {}
    for name, parts in RATIOS.items():
        above, below = (row.get(part) for part in parts)
        made[name] = above / below if above is not None and below else None
    return made


def _is_there(name: str, lines: Sequence[Mapping[str, Any]]) -> bool:
    return any(_is_number(line.get(name)) for line in lines)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _means(columns: Sequence[str], *, first_more: int) -> str:
    """The last line, which page.js fills: the columns that a mean, or a ratio of two, is taken of."""
    place = {name: index + 2 for index, name in enumerate(columns)}  # after the sequence and its task
    cells = ['<td>mean</td><td class="task"></td>']
    for index, name in enumerate(columns):
        kind = "more" if index >= first_more else ""
        parts = " ".join(str(place[part]) for part in RATIOS.get(name, (name,)))
        cells.append(f'<td class="{kind}" data-of="{parts}"></td>')
    return f"<tr>{''.join(cells)}</tr>"


def _heading(name: str, kind: str) -> str:
    told = f' title="{html.escape(HEADLINES[name])}"' if name in HEADLINES else ""
    shown = html.escape(name).replace("_", "_<wbr>")
    return f'<th scope="col" class="{kind}" aria-sort="none"{told}><button type="button">{shown}</button></th>'


def _line(row: Mapping[str, Any], important: Sequence[str], more: Sequence[str], filmed: Collection[str]) -> str:
    name = html.escape(row["sequence"])
    if row["sequence"] in filmed:
        name = f'<a href="#{film_anchor(row)}" title="to its video">{name}</a>'
    cells = [f'<td>{name}</td><td class="task">{html.escape(row["task"])}</td>']
    cells += [_cell(row.get(column), "") for column in important]
    cells += [_cell(row.get(column), "more") for column in more]
    words = " ".join(str(row.get(part, "")) for part in ("sequence", "task", "triplet"))
    words = " ".join((words, *row.get("tags", ())))
    return f'<tr id="{row_anchor(row)}" data-words="{html.escape(words)}">{"".join(cells)}</tr>'


def _cell(value: Any, kind: str) -> str:
    if not _is_number(value):
        return f'<td class="{kind} missing">{NOTHING}</td>'
    shown = f"{value:.4g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.0e}"  # no digits of what is nearly 0
    return f'<td class="{kind}" data-value="{value!r}">{shown}</td>'
