"""`syncmv4d bench steps`: the same scenes from the same noise, in turns; what the cycle changes, and what is refused."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image
from rich.console import Console

from syncmv4d_cli.bench_steps import SCORED, SECONDS, Steps, cycle_changes, scored_in_turns
from syncmv4d_cli.evaluate import load_predictor
from syncmv4d_cli.main import main
from syncmv4d_cli.provenance import name_and_digest
from syncmv4d_cli.step_curves import Curve, draw
from syncmv4d_model.checkpoint import save_components
from syncmv4d_model.config import to_dict
from syncmv4d_model.data.sequence import list_sequences, read_sequence, write_sequence
from syncmv4d_model.evaluation.harness import evaluate
from tests.model.known_error import KnownError, same, shifted
from tests.model.sliding_points import sliding_sequence
from tests.model.tiny_model import TINY, shaken, tiny_checkpoint


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """(data folder, folder of a checkpoint whose cycle has an effect)."""
    data_dir, checkpoint, components = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    save_components(checkpoint, shaken(components))
    return data_dir, checkpoint


@pytest.fixture(scope="module")
def benched(tiny, tmp_path_factory):
    """What the command wrote: (JSON, Markdown, picture's path)."""
    out = tmp_path_factory.mktemp("out")
    asked = ["--data", str(tiny[0]), "--split", "val", "--checkpoint", str(tiny[1]), "--steps", "2", "1"]
    files = ["--save-json", str(out / "s.json"), "--markdown", str(out / "s.md"), "--plot", str(out / "s.png")]
    assert main(["bench", "steps", *asked, *files, "--samples", "2"]) == 0
    return json.loads((out / "s.json").read_text()), (out / "s.md").read_text(), out / "s.png"


def scores(row):
    """All that a row holds but its times."""
    sequences = [{name: value for name, value in one.items() if name != SECONDS} for one in row["sequences"]]
    return row["metrics"], row["intervals"], sequences


def test_one_step_has_nothing_to_feed_back_and_two_have(benched):
    rows = {(row["steps"], row["cycle"]): row for row in benched[0]["rows"]}
    assert list(rows) == [(1, True), (1, False), (2, True), (2, False)]
    assert scores(rows[1, True]) == scores(rows[1, False])
    assert scores(rows[2, True]) != scores(rows[2, False])
    one, two = benched[0]["cycle_ratios"]
    assert (one["steps"], two["steps"]) == (1, 2)
    assert [name for name, ratio in one["metrics"].items() if ratio is None] == ["multi_view_rpe_b"]  # no shared points
    for name in one["metrics"].keys() - {"multi_view_rpe_b"}:
        assert one["metrics"][name] == 1.0 and one["intervals"][name] == [1.0, 1.0]
    assert two["metrics"]["end_point_error"] != 1.0


def test_the_file_says_whose_numbers_they_are_and_holds_every_sequence(benched, tiny):
    settings = benched[0]["settings"]
    assert settings["checkpoint"] == name_and_digest(tiny[1])
    assert settings["data"] == str(tiny[0].resolve()) and settings["split"] == "val"
    assert (settings["steps"], settings["samples"], settings["seed"]) == ([2, 1], 2, 0)
    assert {"torch", "syncmv4d"} <= set(settings["versions"])
    for row in benched[0]["rows"]:
        assert row["metrics"]["sample_mean_error_cm"] > 0 and row["seconds_per_request"] > 0
        assert [list(sequence) for sequence in row["sequences"]] == [["sequence", *SCORED]] * 2


def test_a_row_is_what_evaluate_says_of_those_steps_with_or_without_the_cycle(benched, tiny):
    for row in benched[0]["rows"][2:]:
        predictor = load_predictor(tiny[1], () if row["cycle"] else ("cycle",), "cpu")
        report = evaluate(predictor, tiny[0], "val", steps=2, samples=2)
        assert {name: report.metrics[name] for name in row["metrics"]} == row["metrics"]
        assert {name: report.intervals[name] for name in row["intervals"]} == row["intervals"]


def test_the_tables_have_a_line_for_each_row_and_for_each_number_of_steps(benched):
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in benched[1].splitlines() if line[:1] == "|"]
    assert lines[0][:3] == ["steps", "cycle", "end point error ratio"]
    assert [line[:2] for line in lines[2:6]] == [["1", "yes"], ["1", "no"], ["2", "yes"], ["2", "no"]]
    assert lines[6][:2] == ["steps", "end point error"]
    assert [line[:2] for line in lines[8:9]] == [["1", "1 [1, 1]"]] and lines[9][0] == "2"


def test_the_picture_is_a_png(benched):
    with Image.open(benched[2]) as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_sequences_take_turns_from_the_same_noise_and_progress_is_shown(tmp_path):
    for name in "abc":
        write_sequence(tmp_path / "test_1" / name, sliding_sequence(name))
    folders = list_sequences(tmp_path, "test_1")
    sequences = [read_sequence(folder) for folder in folders]
    done: list[tuple[str, str, int]] = []

    def noted(way, change):
        return KnownError(sequences, lambda truth, seed: done.append((way, truth.name, seed)) or change(truth, seed))

    screen = io.StringIO()
    rows = scored_in_turns(
        {True: noted("with", same), False: noted("without", shifted)},
        folders,
        Steps(tmp_path, steps=(3, 2)),
        console=Console(file=screen, force_terminal=True, width=80),
    )
    assert [(way, name) for way, name, _ in done[:2]] == [("with", "a"), ("without", "a")]  # the warm-up
    ways = ["with", "without"] * 2
    turns = [*ways, *reversed(ways), *ways]
    assert [(way, name) for way, name, _ in done[2:]] == list(zip(turns, "aaaabbbbcccc", strict=True))
    assert len({(name, seed) for _, name, seed in done}) == 3
    assert [(row.steps, row.cycle) for row in rows] == [(2, True), (2, False), (3, True), (3, False)]
    assert "predictions" in screen.getvalue() and "100%" in screen.getvalue()
    for pair in cycle_changes(rows, seed=0):  # nothing is off where the cycle is, two centimetres where it is not
        assert pair.metrics["end_point_error"] == pytest.approx(0, abs=1e-5)
        assert pair.metrics["video_mse"] is None  # no error is no measure
    assert rows[1].report.metrics["end_point_error_cm"] == pytest.approx(2, rel=1e-4)


def test_the_picture_draws_the_error_against_steps_and_against_seconds():
    closed = Curve("with", [1, 4], [0.5, 2.0], [0.4, 0.3], [[0.35, 0.45], [0.25, 0.35]])
    alone = Curve("without", [1, 4], [0.5, 1.5], [0.4, 0.32], [None, None])
    panels = draw([closed, alone], title="a checkpoint", ylabel="error").get_axes()
    drawn = [[list(zip(*line.get_data(), strict=True)) for line in panel.lines] for panel in panels]
    assert drawn[0] == [[(1, 0.4), (4, 0.3)], [(1, 0.4), (4, 0.32)]]
    assert drawn[1] == [[(0.5, 0.4), (2.0, 0.3)], [(0.5, 0.4), (1.5, 0.32)]]
    for panel in panels:
        assert len(panel.collections) == 1  # a band for what has intervals
        assert panel.get_xscale() == "log" and panel.xaxis.get_transform().base == 2
        assert panel.get_xlabel()
    assert [text.get_text() for text in panels[1].get_legend().get_texts()] == ["with", "without"]


REFUSED = {
    ("--steps", "0", "2"): "--steps must be at least 1 each, got 0",
    ("--steps", "4", "2", "4"): "--steps must differ from each other, got 4 2 times",
    ("--steps",): "--steps must name at least 1 number of steps, got 0",
    ("--limit", "0"): "--limit must be at least 1, got 0",
    ("--samples", "0"): "--samples must be at least 1, got 0",
    ("--plot", "curve.pdf"): "--plot must end in .png, got curve.pdf",
    (): "no checkpoint at nowhere",
}


@pytest.mark.parametrize(("asked", "told"), REFUSED.items(), ids=map(" ".join, REFUSED))
def test_what_compares_nothing_is_refused_before_any_work(tmp_path, capsys, asked, told):
    assert main(["bench", "steps", "--data", str(tmp_path), "--checkpoint", "nowhere", *asked]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--save-json", "--markdown", "--plot"])
def test_a_file_that_cannot_be_written_is_said_before_any_work(tmp_path, capsys, option):
    (tmp_path / "file").write_text("mine")
    place = tmp_path / "file" / "curve.png"
    assert main(["bench", "steps", "--data", str(tmp_path), "--checkpoint", "nowhere", option, str(place)]) == 2
    assert f"cannot write to {place}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lacking", "named"), [("cycle", "cycle"), ("aligner", "point aligner"), ("motion", "aligner")]
)
def test_a_checkpoint_without_a_cycle_has_nothing_to_compare(tmp_path, capsys, lacking, named):
    config = replace(TINY, switches=replace(TINY.switches, **{lacking: False}))
    index = {"format": 1, "config": to_dict(config), "statistics": {}}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    assert main(["bench", "steps", "--data", str(tmp_path), "--checkpoint", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert f"compared with and without the cycle, and {tmp_path} has no " in told and named in told.partition("no ")[2]
