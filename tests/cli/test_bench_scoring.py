"""`syncmv4d bench scoring`: made-up sequences that all scores without a network can answer; no test asks how fast."""

import json

import numpy as np
import pytest

from syncmv4d_cli.bench_scoring import PAIRING, READING, ROW, Scoring, made_up_sequence, sequence_seconds
from syncmv4d_cli.main import main
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.scores import SCORES

SMALL = Scoring(sequences=2, views=2, frames=3, points=40, size=16)


def test_every_score_and_step_has_a_time_for_every_sequence():
    seconds = sequence_seconds(SMALL)
    assert set(seconds) == {*SCORES, READING, PAIRING, ROW}
    assert {len(values) for values in seconds.values()} == {2}


def test_made_up_targets_stand_still_and_the_rest_moves():
    sequence = made_up_sequence(SMALL, seed=3)
    moved = np.ptp(sequence.positions, axis=1).max(-1)
    assert (moved[sequence.label == 3] == 0).all() and (moved[sequence.label != 3] > 0).all()
    assert Case(sequence).true_in_cameras[..., 2].min() > 0


def test_the_command_shows_the_slowest_parts_and_writes_all_of_them(tmp_path, capsys):
    file = tmp_path / "figures.json"
    sizes = ["--views", "2", "--frames", "3", "--points", "40", "--size", "16", "--many-points", "50"]
    command = ["bench", "scoring", "--sequences", "1", *sizes, "--whole", "2", "--rows", "3", "--save-json", str(file)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "all of it" in shown and "Chamfer distance of 50 points" in shown and "matching of 50 points" in shown
    assert "evaluate --predictions of 2 sequences" in shown
    figures = json.loads(file.read_text())
    assert figures["total"] == pytest.approx(sum(figures["medians"].values()))
    assert set(figures["many_points"]) == {"Chamfer distance", "matching"} and figures["whole"] > 0


@pytest.mark.parametrize(("option", "value", "message"), [("--size", "97", "even"), ("--frames", "2", "at least 3")])
def test_what_cannot_be_scored_is_refused(capsys, option, value, message):
    assert main(["bench", "scoring", option, value]) == 2
    assert message in capsys.readouterr().err
