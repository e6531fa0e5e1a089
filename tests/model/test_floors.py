"""Floors that hidden variables leave, on sequences whose futures are known, and the report by kind."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from syncmv4d_model.data.sequence import Truths, list_sequences, read_futures, read_sequence, write_sequence
from syncmv4d_model.evaluation.case import at_anchors
from syncmv4d_model.evaluation.harness import evaluate, evaluate_method
from syncmv4d_model.evaluation.kept_rows import KeptRows
from syncmv4d_model.evaluation.methods import Predicted, Written
from syncmv4d_model.evaluation.pages.kind_table import kind_table
from syncmv4d_model.evaluation.pages.report import html_page, markdown_table
from syncmv4d_model.evaluation.reference import REFERENCES
from tests.model.known_error import KnownError, same
from tests.model.sliding_points import K, T, sliding_sequence

PACES = (1.5, 0.9)  # of the futures over the truth's, mean 1.2
DRIFT_CM = (2.0, -1.0)  # of still points in the futures, a frame, mean 0.5
KINDS = {"a": ("closed",), "b": ("mid_action", "open"), "c": ("open",)}
SPEEDS_CM = {"a": 3.0, "b": 4.0, "c": 6.0}


def futures_of(sequence) -> np.ndarray:
    """Tools go as fast as PACES say, targets, which truly stay still, drift along y as DRIFT_CM
    says.
    """
    motion = sequence.positions - sequence.positions[:, :1]
    drift = 0.01 * np.arange(T)[:, None, None] * (sequence.label == 3)[:, None, :, None] * np.array([0, 1.0, 0])
    pairs = zip(PACES, DRIFT_CM, strict=True)
    return np.stack([pace * motion + cm * drift for pace, cm in pairs]).astype(np.float16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three sequences of other kinds, each with two futures; and one without any in its own split."""
    folder = tmp_path_factory.mktemp("floors")
    for name, tags in KINDS.items():
        sequence = replace(sliding_sequence(name, speed_m=SPEEDS_CM[name] / 100), tags=tags)
        write_sequence(folder / "test_1" / name, sequence, Truths(futures_m=futures_of(sequence)))
    write_sequence(folder / "plain" / "d", sliding_sequence("d"))
    return folder


def test_floors_err_by_what_the_futures_are_off(folder):
    report = evaluate(None, folder, "test_1")
    values = report.metrics
    assert values["floor_mean_ratio"] == pytest.approx(0.2, rel=2e-3)
    assert values["floor_sample_ratio"] == pytest.approx(0.5, rel=2e-3)
    for floor, off, drift_cm in (("floor_mean", 0.2, 0.5), ("floor_sample", 0.5, 2.0)):
        assert values[f"{floor}_error_cm"] == pytest.approx(off * values["static_end_point_error_cm"], rel=2e-3)
        assert values[f"{floor}_tool_translation_ratio"] == pytest.approx(off, rel=2e-3)
        assert values[f"{floor}_tool_rotation_error_deg"] == pytest.approx(0, abs=0.1)
        assert values[f"{floor}_chamfer_cm"] > 0
        seen = [sequence.visible[:, 1:] & (sequence.label == 3)[:, None] for sequence in sequences(folder)]
        frame = np.arange(1, T)[None, :, None]
        drift = np.mean([(drift_cm * frame * s).sum() / s.sum() for s in seen])
        assert values[f"{floor}_still_point_drift_cm"] == pytest.approx(drift, rel=2e-3)
    line = report.rows[0]["error_over_time_cm"]
    np.testing.assert_allclose(line["floor_mean"], 0.2 * SPEEDS_CM["a"] * np.arange(1, T), rtol=2e-3)


def sequences(folder):
    return [read_sequence(path) for path in list_sequences(folder, "test_1")]


def test_floors_stand_beside_a_model_at_its_own_anchors(folder):
    report = evaluate(KnownError(sequences(folder), same), folder, "test_1")
    assert report.metrics["end_point_error_cm"] == pytest.approx(0, abs=1e-5)
    assert report.metrics["floor_mean_ratio"] == pytest.approx(0.2, rel=2e-3)
    assert "mean future" in html_page(report) and "floor_mean_ratio" in html_page(report)


def test_futures_follow_the_chosen_points():
    sequence = sliding_sequence("a")
    futures = np.random.default_rng(0).normal(size=(3, *sequence.positions.shape)).astype(np.float32)
    chosen = np.array([[5, 1, K - 1], [0, 7, 3]])
    found = at_anchors(replace(sequence, futures_m=futures), chosen).futures_m
    for view, points in enumerate(chosen):
        np.testing.assert_array_equal(found[:, view], futures[:, view][:, :, points])


@pytest.mark.parametrize(("name", "ratio"), [("floor_mean", 0.2), ("floor_sample", 0.5)])
def test_a_floor_is_a_method_too(folder, name, ratio):
    report = evaluate_method(Written(REFERENCES[name], points=20), folder, "test_1")
    assert report.metrics["end_point_error_ratio"] == pytest.approx(ratio, rel=2e-3)
    assert report.metrics[f"{name}_ratio"] == pytest.approx(report.metrics["displacement_error_ratio"], rel=1e-5)
    assert report.metrics["frame0_error_cm"] == 0
    assert "draws no video" in report.not_computed["psnr"]
    with pytest.raises(ValueError, match=f"the reference {name} needs redrawn futures: d has no futures.npz"):
        evaluate_method(Written(REFERENCES[name]), folder, "plain")


def test_a_sequence_without_futures_has_no_floor_and_says_why(folder):
    report = evaluate(None, folder, "plain")
    assert report.metrics["floor_mean_error_cm"] is report.metrics["floor_sample_ratio"] is None
    assert report.not_computed["floor_mean_error_cm"] == "the sequence has no redrawn futures (futures.npz)"
    assert "no redrawn futures" in report.not_computed["floor_sample_ratio"]
    assert "floor_mean" not in report.rows[0]["error_over_time_cm"]


@pytest.mark.parametrize(("frames", "said"), [(T - 1, "has displacements"), (T, "not a finite number")])
def test_futures_that_do_not_fit_are_refused(tmp_path, frames, said):
    sequence = sliding_sequence("a")
    futures = futures_of(sequence)[:, :, :frames]
    futures[0, 0, 1, 0, 0] = np.nan
    write_sequence(tmp_path / "test_1" / "a", sequence, Truths(futures_m=futures))
    assert read_futures(tmp_path / "test_1" / "a").shape[2] == frames
    with pytest.raises(ValueError, match=said):
        evaluate(None, tmp_path, "test_1")


def test_the_report_says_the_same_scores_of_each_kind(folder, tmp_path):
    report = evaluate(KnownError(sequences(folder), halved), folder, "test_1")
    report.write_json(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    rows = {row["sequence"]: row for row in written["rows"]}
    assert {name: tuple(row["tags"]) for name, row in rows.items()} == KINDS
    assert {tag: kind["sequences"] for tag, kind in written["by_tag"].items()} == {
        "closed": 1, "mid_action": 1, "open": 2,
    }  # fmt: skip
    opened = written["by_tag"]["open"]
    for score in ("end_point_error_cm", "displacement_error_cm", "static_end_point_error_cm", "floor_sample_error_cm"):
        expected = (rows["b"][score] + rows["c"][score]) / 2
        assert opened["metrics"][score] == pytest.approx(expected)
    share = opened["metrics"]["end_point_error_cm"] / opened["metrics"]["static_end_point_error_cm"]
    assert opened["metrics"]["end_point_error_ratio"] == pytest.approx(share)
    assert 0.1 < share < 0.3
    assert written["by_tag"]["closed"]["metrics"]["end_point_error_ratio"] == pytest.approx(0.5)
    low, high = opened["intervals"]["end_point_error_ratio"]
    assert low == pytest.approx(0, abs=1e-6) and high == pytest.approx(0.5)
    assert written["by_tag"]["closed"]["intervals"]["end_point_error_ratio"] is None


def halved(truth, seed):
    """Half the motion of a and b, all of c's."""
    share = {"a": 0.5, "b": 0.5, "c": 1.0}[truth.name]
    return {"tracks": truth.positions[:, :1] + np.float32(share) * (truth.positions - truth.positions[:, :1])}


def test_the_kinds_are_shown_and_a_split_without_tags_shows_none(folder):
    report = evaluate(None, folder, "test_1")
    console = Console(width=120)
    with console.capture() as shown:
        console.print(kind_table(report))
    assert [line.split()[1] for line in shown.get().splitlines() if " 0.2 " in line] == ["open", "closed", "mid_action"]
    table = markdown_table(report)
    assert "| open | 2 | 0.2 (0.2 .. 0.2) |" in table.replace("0.200", "0.2")
    plain = evaluate(None, folder, "plain")
    assert plain.by_tag == {} and kind_table(plain) is None and "By kind" not in html_page(plain)


def test_rows_that_were_kept_have_their_kinds_and_floors(folder, tmp_path):
    method, whole = Predicted(None), evaluate(None, folder, "test_1")
    evaluate_method(method, folder, "test_1", limit=2, kept=KeptRows(tmp_path / "rows", {}))
    kept = KeptRows(tmp_path / "rows", {})
    assert sorted(kept.scenes) == ["a", "b"]
    resumed = evaluate_method(method, folder, "test_1", kept=kept)
    assert resumed.to_json() == whole.to_json()
