"""`syncmv4d bench cell`: the truth does its tasks, standing still does none, and what cannot be followed counts as a failure."""

import json
from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_cli.bench_cell import Trial, carry_out, summary
from syncmv4d_cli.main import main
from syncmv4d_model.types import LABELS
from syncmv4d_ros.planning import flattened
from syncmv4d_sim.cell import open_cell


def test_the_truth_succeeds_and_standing_still_fails(tmp_path, capsys):
    out = tmp_path / "made" / "cell.json"
    asked = ["--scenes", "3", "--first", "3", "--methods", "truth", "static", "--save-json", str(out)]
    assert main(["bench", "cell", *asked]) == 0
    written = json.loads(out.read_text())
    assert written["summary"]["truth"]["all"] == {"scenes": 3, "successes": 3}
    assert written["summary"]["static"]["all"] == {"scenes": 3, "successes": 0}
    assert written["checkpoint"] is None and written["versions"]["syncmv4d"]  # none was asked
    verbs = [trial["verb"] for trial in written["trials"] if trial["method"] == "truth"]
    assert verbs == ["cut", "dust", "pour in some"] and set(written["summary"]["truth"]) == {"all", *verbs}
    assert all(trial["outcome"]["path_error_m"] < 0.02 for trial in written["trials"])
    printed = capsys.readouterr().out
    assert "3 of 3" in printed and "0 of 3" in printed and "static: the tool never touched the target" in printed


def test_tracks_without_a_tool_are_a_failure_that_says_why():
    cell = open_cell(split="test_1", scene=1, seed=1, height=120, width=160)
    s = cell.sequence
    points = flattened(
        s.positions, s.visible, np.zeros(s.visible.shape, np.float32), s.label, frame_period_s=s.frame_period_s
    )
    assert carry_out(cell, points)[0]
    hand = replace(points, label=np.full_like(points.label, LABELS.index("hand")))
    assert carry_out(cell, hand) == (False, "no plan: no point is labelled 'tool'", None)


def test_successes_are_counted_by_method_and_verb():
    trials = [
        Trial(i, "(hit, hammer, box)", verb, method, success, "", None)
        for i, (verb, method, success) in enumerate(
            [("hit", "truth", True), ("hit", "truth", False), ("cut", "truth", True), ("cut", "static", False)]
        )
    ]
    assert summary(trials) == {
        "truth": {
            "all": {"scenes": 3, "successes": 2},
            "hit": {"scenes": 2, "successes": 1},
            "cut": {"scenes": 1, "successes": 1},
        },
        "static": {"all": {"scenes": 1, "successes": 0}, "cut": {"scenes": 1, "successes": 0}},
    }


@pytest.mark.parametrize(("option", "value", "least"), [("scenes", 0, 1), ("first", -1, 0), ("seed", -1, 0)])
def test_numbers_that_make_no_scene_are_refused(capsys, option, value, least):
    assert main(["bench", "cell", f"--{option}={value}"]) == 2
    assert f"{option} must be at least {least}, got {value}" in capsys.readouterr().err
