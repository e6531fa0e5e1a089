"""The report page of a run of the robot cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncmv4d_cli.cell_pictures import COLUMNS, verdict
from syncmv4d_model.evaluation.pages.page import film, page, paragraph, picture, table

if TYPE_CHECKING:
    from syncmv4d_ros.cell_run import CellRun

MEASURED = {
    "touched": "the tool touched the target",
    "target_moved_m": "the target moved, m",
    "target_tilt_deg": "the target leaned, degrees",
    "stirred_deg": "stirred, degrees",
    "stroke_m": "stroke on the target, m",
    "balls_landed": "balls that landed in the target",
    "slip_m": "the tool slipped in the hand, m",
    "path_error_m": "tool from its commanded path, mean, m",
    "path_error_max_m": "tool from its commanded path, most, m",
    "turn_error_deg": "tool from its commanded turn, mean, degrees",
    "turn_error_max_deg": "tool from its commanded turn, most, degrees",
}
"""What the simulated cell measures; another cell's own figures are shown under their own names."""
NO_FIGURES = ("plan_id", "plan_task", "success", "reason", "film", "why_no_film", "verb", "task")
SCORES = (
    "end_point_error_cm",
    "static_end_point_error_cm",
    "displacement_error_ratio",
    "stddev_coverage_68",
    "consistency_view_disagreement_ratio",
)
STILL = (
    "The arm moves only when the plan is there, so the images after the request show a still scene: scores against later images"
    " (psnr, consistency_colour_*) favour standing still here. Those against tracks_truth are what counts."
)


def cell_page(run: CellRun, still_png: bytes, film_mp4: bytes, scored: dict[str, Any] | str) -> str:
    """One page that needs no other file. `scored` is the report of `evaluate --bag`, or why there is none."""
    parts = [
        paragraph(_summary(run)),
        picture(f"a row per camera: {', '.join(COLUMNS)}", still_png),
        film(film_mp4),
        "<h2>What the arm did</h2>",
        _outcomes(run),
        "<h2>The run</h2>",
        table(("", ""), _facts(run)),
        "<h2>The bag</h2>",
        *_scores(scored),
    ]
    return page(run.task, "\n".join(parts))


def _summary(run: CellRun) -> str:
    """What happened, without mercy."""
    text = (
        f"Nodes that share nothing but DDS: simulated cameras, the generator ({run.engine}), and an arm that holds the tool by friction."
        f" The arm carried out the generated plan: {verdict(run.outcome)}. A second arm in the same scene was given the true motion:"
        f" {verdict(run.truth_outcome)}."
    )
    if run.truth_outcome["success"] and not run.outcome["success"]:
        text += " So what failed is the generated plan, not the cell."
    return text


def _outcomes(run: CellRun) -> str:
    known = [name for name in dict.fromkeys((*MEASURED, *run.outcome, *run.truth_outcome)) if name not in NO_FIGURES]
    rows = [("task", verdict(run.outcome), verdict(run.truth_outcome))]
    rows += [
        (MEASURED.get(name, name), _shown(run.outcome.get(name)), _shown(run.truth_outcome.get(name)))
        for name in known
        if name in run.outcome or name in run.truth_outcome
    ]
    return table(("", "this plan", "true plan"), rows)


def _facts(run: CellRun) -> list[tuple[str, str]]:
    frames, points = run.tracks.points.visible.shape
    facts = [
        ("engine", run.engine),
        ("seed", str(run.seed)),
        ("plan", run.tracks.plan_id),
        ("tracks", f"{points} points over {frames} frames of {run.tracks.points.frame_period_s:g} s"),
        ("cameras", ", ".join(run.rig.view_names)),
    ]
    facts += [(f"seconds: {stage}", f"{seconds:.1f}") for stage, seconds in run.seconds.items()]
    return facts + [("warning", warning) for warning in run.warnings]


def _scores(scored: dict[str, Any] | str) -> list[str]:
    """What was recorded, and what `evaluate --bag` made of it."""
    about = (
        "Everything that the cameras, the generator and the arms published is in bag/ (mcap), as received. Two messages are the recorder's"
        " own: /task, as the goal of an action travels on no topic, and /tf_static where tf2_msgs is not installed."
    )
    if isinstance(scored, str):
        return [paragraph(about), paragraph(f"Not evaluated: {scored}")]
    metrics, why = scored["metrics"], scored["not_computed"]
    rows = [
        (name, _shown(metrics[name]) if metrics[name] is not None else f"not computed: {why[name]}") for name in SCORES
    ]
    asked = paragraph(
        "syncmv4d evaluate --bag bag asked the checkpoint again, of the recorded images; evaluation.html has all of it."
    )
    return [paragraph(about), asked, table(("score", "value"), rows), paragraph(STILL)]


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{round(value, 4):g}" if isinstance(value, float) else str(value)
