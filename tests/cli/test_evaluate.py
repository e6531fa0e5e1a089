"""`syncmv4d evaluate` on a data set: the reference rows, a checkpoint, and what it refuses."""

import importlib.metadata
import json
import shutil
from dataclasses import replace

import pytest

from syncmv4d_cli.evaluate import Options, _without, score_split
from syncmv4d_cli.main import main
from syncmv4d_model.checkpoint_index import checkpoint_hash
from syncmv4d_model.config import NANO
from syncmv4d_model.data.sequence import write_sequence
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.training.time_limit import OutOfTime
from tests.model.counted_time import CountedTime
from tests.model.sliding_points import sliding_sequence
from tests.model.tiny_model import TINY, tiny_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    for split, name in (("test_1", "a"), ("test_1", "b"), ("train", "c")):
        write_sequence(directory / split / name, sliding_sequence(name))
    return directory


def test_baselines_are_scored_without_a_model_and_written(data, tmp_path, capsys):
    asked = ["evaluate", "--data", str(data), "--split", "test_1", "--baselines-only"]
    assert (
        main(
            [
                *asked,
                "--json",
                str(tmp_path / "report.json"),
                "--html",
                str(tmp_path / "page.html"),
                "--markdown",
                str(tmp_path / "table.md"),
            ]
        )
        == 0
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["sequences"] == 2
    assert report["metrics"]["text_mean_ratio"] == pytest.approx(0, abs=1e-5)
    assert report["metrics"]["end_point_error_ratio"] is None
    assert report["settings"]["checkpoint"] is None
    assert report["settings"]["text_mean"] == f"{data.name}/train"
    assert report["settings"]["versions"]["syncmv4d"] == importlib.metadata.version("syncmv4d")
    assert report["settings"]["device"] == "cpu"
    assert report["settings"]["versions"]["torch"] == importlib.metadata.version("torch")
    shown = capsys.readouterr().out
    assert "text_mean_ratio" in shown and f"{len(report['not_computed'])} not computed" in shown
    assert "label_recall" not in shown and "label_recall" in report["not_computed"]
    assert (tmp_path / "page.html").read_text().endswith("</html>\n")
    assert "| metric | mean | 95 % interval | better |" in (tmp_path / "table.md").read_text()


def test_baselines_take_the_text_mean_of_a_checkpoint_that_is_given(data, tmp_path, capsys):
    asked = ["evaluate", "--data", str(tmp_path / "data"), "--split", "test_1", "--baselines-only"]
    shutil.copytree(data / "test_1", tmp_path / "data" / "test_1")
    assert main([*asked, "--checkpoint", str(tmp_path / "nowhere")]) == 2
    assert "no checkpoint at" in capsys.readouterr().err
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "model_index.json").write_text('{"format": 1, "config": {}, "statistics": {}}')
    TextMean.fit([sliding_sequence("fast", speed_m=0.06)]).save(checkpoint / "text_mean.safetensors")
    assert main([*asked, "--checkpoint", str(checkpoint), "--json", str(tmp_path / "report.json")]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["metrics"]["text_mean_ratio"] == pytest.approx(1, abs=1e-5)  # as far too fast as nothing is too slow
    assert report["metrics"]["static_psnr"] > 0
    assert report["settings"]["checkpoint"].startswith("checkpoint@")
    assert report["settings"]["text_mean"] == report["settings"]["checkpoint"]


def test_a_missing_split_is_named_and_nothing_is_written(data, tmp_path, capsys):
    wanted = tmp_path / "report.json"
    asked = ["evaluate", "--data", str(data), "--split", "test_9", "--baselines-only", "--json", str(wanted)]
    assert main(asked) == 2
    assert "test_9" in capsys.readouterr().err
    assert not wanted.exists()


@pytest.mark.parametrize("split", [[], ["--split", "test_1"]])
def test_who_gives_a_split_for_the_data_set_is_told_what_to_give(data, capsys, monkeypatch, split):
    told = f"is one split of a data set: the data set is {data.resolve()}, the split 'test_1'"
    assert main(["evaluate", "--data", str(data / "test_1"), *split, "--baselines-only"]) == 2
    assert capsys.readouterr().err == f"syncmv4d: error: {data / 'test_1'} {told}\n"
    monkeypatch.chdir(data / "test_1")
    assert main(["evaluate", "--data", ".", *split, "--baselines-only"]) == 2
    assert capsys.readouterr().err == f"syncmv4d: error: . {told}\n"


def test_a_data_set_without_a_split_is_answered_with_those_that_it_has(data, capsys):
    assert main(["evaluate", "--data", str(data)]) == 2
    assert f"give --split beside --data; {data} has test_1, train" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["json", "html", "markdown"])
@pytest.mark.parametrize("place", ["folder", "file/report", "file/deep/report"])
def test_a_report_that_cannot_be_written_is_said_before_any_work(data, tmp_path, capsys, option, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    asked = ["evaluate", "--data", str(data), "--split", "test_1", "--checkpoint", "nowhere"]
    assert main([*asked, f"--{option}", str(tmp_path / place)]) == 2
    assert f"cannot write to {tmp_path / place}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_data_set_that_is_not_there_is_said_as_such(tmp_path, capsys):
    assert main(["evaluate", "--data", str(tmp_path / "nope"), "--split", "test_1"]) == 2
    assert capsys.readouterr().err == f"syncmv4d: error: no such folder: {tmp_path / 'nope'}\n"


@pytest.mark.parametrize(
    ("option", "value", "least"), [("limit", 0, 1), ("samples", 0, 1), ("steps", 0, 1), ("seed", -12345678, 0)]
)
def test_a_number_that_makes_no_sense_is_refused_before_any_work(data, capsys, option, value, least):
    asked = ["evaluate", "--data", str(data), "--split", "test_1", "--checkpoint", "nowhere", f"--{option}", str(value)]
    assert main(asked) == 2
    assert f"--{option} must be at least {least}, got {value}" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--steps", "2"], ["--samples", "3"], ["--without", "cycle"], ["--device", "meta"]])
def test_what_only_a_model_could_do_is_refused_where_none_is_run(data, capsys, option):
    assert main(["evaluate", "--data", str(data), "--split", "test_1", "--baselines-only", *option]) == 2
    assert (
        "--steps, --samples, --without and --device are of a model, and --baselines-only runs none"
        in capsys.readouterr().err
    )


def test_parts_of_a_checkpoint_can_be_left_out_and_the_report_says_so(tmp_path):
    data_dir, checkpoint, _ = tiny_checkpoint(tmp_path)
    asked = ["evaluate", "--data", str(data_dir), "--split", "val", "--limit", "1", "--checkpoint", str(checkpoint)]
    reports = []
    for without in ([], ["--without", "aligner"], ["--without", "cycle"]):
        page = tmp_path / "report.html"
        assert main([*asked, "--json", str(tmp_path / "report.json"), "--html", str(page), *without]) == 0
        reports.append(json.loads((tmp_path / "report.json").read_text()))
        left_out = f" without {without[1]}" if without else ""
        scored = f"{checkpoint.name}@{checkpoint_hash(checkpoint)}{left_out}"
        assert f"<title>SyncMV4D: val, 1 sequence, {scored}</title>" in page.read_text()
    assert [report["settings"]["without"] for report in reports] == [[], ["aligner"], ["cycle"]]
    assert [report["switches"]["aligner"] for report in reports] == [True, False, True]
    assert [report["switches"]["cycle"] for report in reports] == [True, True, False]
    whole, coarse = (report["metrics"] for report in reports[:2])
    assert whole["stddev_coverage_68"] is not None and coarse["stddev_coverage_68"] is None
    assert coarse["decoded_share"] < whole["decoded_share"] == 1
    assert whole["label_recall"] is not None and coarse["label_recall"] is None


def test_time_that_ends_with_the_last_sequence_costs_no_scores(tmp_path):
    data_dir, checkpoint, _ = tiny_checkpoint(tmp_path)
    report = tmp_path / "report.json"
    options = Options(data=data_dir, split="val", limit=1, checkpoint=checkpoint, json=report)
    with pytest.raises(OutOfTime, match="1 of 2 sequences of val scored"):
        score_split(replace(options, limit=2), CountedTime(questions=0))
    assert not report.exists()
    score_split(options, CountedTime(questions=0))
    assert json.loads(report.read_text())["sequences"] == 1


@pytest.mark.parametrize(("lacking", "part"), [("aligner", "aligner"), ("aligner", "cycle"), ("cycle", "cycle")])
def test_a_part_that_a_checkpoint_lacks_cannot_be_left_out(tmp_path, capsys, lacking, part):
    config = replace(TINY, switches=replace(TINY.switches, **{lacking: False}))
    data_dir, checkpoint, _ = tiny_checkpoint(tmp_path, config=config)
    asked = ["evaluate", "--data", str(data_dir), "--split", "val", "--checkpoint", str(checkpoint)]
    assert main([*asked, "--without", part]) == 2
    assert f"--without {part}: the checkpoint has no {part} to leave out" in capsys.readouterr().err


def test_what_is_left_out_is_left_out_of_the_configuration_and_nothing_else():
    parts = ("aligner", "cycle", "rigid_bodies", "refiner")
    left = {part: _without((part,))(NANO) for part in parts}
    assert left["rigid_bodies"] == replace(NANO, loop=replace(NANO.loop, rigid_bodies=0.0)) != NANO
    assert left["refiner"] == replace(NANO, codec=replace(NANO.codec, refiner_width=0)) != NANO
    assert left["cycle"] == replace(NANO, switches=replace(NANO.switches, cycle=False))
    for part, config in left.items():
        with pytest.raises(ValueError, match=f"has no {part} to leave out"):
            _without((part,))(config)
