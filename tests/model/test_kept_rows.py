"""Scored sequences that are kept until the report is written."""

import numpy as np

from syncmv4d_model.evaluation.harness import evaluate
from syncmv4d_model.evaluation.kept_rows import KeptRows, ScoredScene
from tests.model.known_error import KnownError, shifted


def scene(name: str) -> ScoredScene:
    motion = {2: np.random.default_rng(0).normal(size=(5, 3))}
    return ScoredScene({"sequence": name, "x": 1 / 3}, {"x": 1 / 3, "y": None}, {"y": "nothing"}, "(a, b, c)", motion)


def test_what_is_kept_is_read_back_as_it_was(tmp_path):
    KeptRows(tmp_path / "rows", {"seed": 1}).add(scene("a"))
    read = KeptRows(tmp_path / "rows", {"seed": 1}).scenes["a"]
    kept = scene("a")
    assert (read.row, read.values, read.reasons, read.triplet) == (kept.row, kept.values, kept.reasons, kept.triplet)
    assert np.array_equal(read.motion[2], kept.motion[2])


def test_another_question_begins_anew(tmp_path):
    KeptRows(tmp_path / "rows", {"seed": 1}).add(scene("a"))
    assert KeptRows(tmp_path / "rows", {"seed": 2}).scenes == {}
    assert KeptRows(tmp_path / "rows", {"seed": 1}).scenes == {}


def test_a_line_that_was_cut_off_is_scored_again(tmp_path):
    rows = KeptRows(tmp_path / "rows", {})
    rows.add(scene("a"))
    rows.add(scene("b"))
    content = (tmp_path / "rows").read_text()
    (tmp_path / "rows").write_text(content[:-20])
    again = KeptRows(tmp_path / "rows", {})
    assert list(again.scenes) == ["a"]
    again.add(scene("b"))
    assert list(KeptRows(tmp_path / "rows", {}).scenes) == ["a", "b"]


def test_a_predictor_is_not_asked_again_for_what_is_kept(data, tmp_path):
    directory, sequences = data
    whole = evaluate(KnownError(sequences, shifted), directory, "test_1", seed=2)
    evaluate(KnownError(sequences, shifted), directory, "test_1", seed=2, limit=2, kept=KeptRows(tmp_path / "rows", {}))
    late = KnownError(sequences, shifted)
    report = evaluate(late, directory, "test_1", seed=2, kept=KeptRows(tmp_path / "rows", {}))
    assert len(late.seeds) == 1
    timeless = [
        [{name: value for name, value in row.items() if name != "seconds_per_sequence"} for row in rows]
        for rows in (report.rows, whole.rows)
    ]
    assert timeless[0] == timeless[1]


def test_scores_of_a_predictor_are_the_same_from_other_processes(data):
    directory, sequences = data
    one, two = (evaluate(KnownError(sequences, shifted), directory, "test_1", workers=workers) for workers in (1, 2))
    for name, value in one.metrics.items():
        if name != "seconds_per_sequence":
            assert two.metrics[name] == value, name
