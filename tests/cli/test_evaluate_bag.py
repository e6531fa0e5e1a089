"""`syncmv4d evaluate --bag`: a real bag, a real (tiny) model; the same numbers as from a data set, and null where truth is missing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_cli.main import main
from syncmv4d_model.checkpoint import save_components
from syncmv4d_model.data.sequence import read_sequence
from syncmv4d_ros.recorder import Recorder, record_rig, record_sequence, write_bag
from syncmv4d_ros.stamps import NS
from tests.model.tiny_model import TINY, shaken, tiny_checkpoint, tiny_sequence

CAMERAS = ["--cameras", "left=/left/image", "centre=/centre/image", "right=/right/image"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(data folder, checkpoint folder) of a tiny model that predicts something."""
    every_anchor = replace(TINY, num_points=256)  # which of them are chosen depends on the last bit of their pixels
    data, checkpoint, components = tiny_checkpoint(tmp_path_factory.mktemp("model"), config=every_anchor)
    save_components(checkpoint.with_name("shaken"), shaken(components))
    return data, checkpoint.with_name("shaken")


def evaluated(model, out, *args):
    assert main(["evaluate", "--checkpoint", str(model[1]), "--json", str(out), *map(str, args)]) == 0
    return json.loads(out.read_text())


def test_a_recorded_sequence_has_the_numbers_of_the_data_set_it_came_from(model, tmp_path):
    one = tmp_path / "data" / "val"
    one.mkdir(parents=True)
    (one / "000006").symlink_to(model[0] / "val" / "000006")
    bag = write_bag(tmp_path / "bag", read_sequence(one / "000006"))
    from_data = evaluated(model, tmp_path / "data.json", "--data", tmp_path / "data", "--split", "val")
    from_bag = evaluated(model, tmp_path / "bag.json", "--bag", bag, *CAMERAS)
    assert from_data.keys() == from_bag.keys() - {"bag"}
    for name, value in from_data["metrics"].items():
        if name != "seconds_per_sequence" and not name.startswith("text_mean"):
            assert from_bag["metrics"][name] == (
                value if value is None else pytest.approx(value, rel=2e-3, abs=1e-4)
            ), name
    assert from_bag["metrics"]["end_point_error_cm"] > 0
    assert from_bag["rows"][0]["truth"] == "tracks_truth"
    assert from_bag["bag"]["cameras"]["left"]["images"] == "/left/image"
    assert from_bag["settings"]["checkpoint"] == from_data["settings"]["checkpoint"]


def test_a_bag_without_truth_is_scored_on_agreement_alone_and_has_its_page(model, tmp_path):
    bag = write_bag(tmp_path / "bag", tiny_sequence(6), with_truth=False, compressed=True, storage="sqlite3")
    report = evaluated(model, tmp_path / "r.json", "--bag", bag, "--html", tmp_path / "r.html", "--samples", 2)
    assert report["metrics"]["end_point_error_cm"] is None
    assert report["not_computed"]["end_point_error_cm"] == "the bag has no tracks_truth for this task"
    assert report["metrics"]["consistency_colour_ratio"] > 0
    assert report["metrics"]["psnr"] > 0
    assert report["not_computed"].keys() == {name for name, value in report["metrics"].items() if value is None}
    page = (tmp_path / "r.html").read_text()
    assert "colour difference over time" in page and "error over time" not in page.replace(
        "colour difference over time", ""
    )


def test_every_task_of_a_bag_is_a_row_and_the_limit_counts_them(model, tmp_path):
    first = tiny_sequence(6)
    second = replace(first, task="hit the box with a hammer")
    with Recorder(tmp_path / "bag") as recorder:
        record_rig(recorder, dict(zip(first.view_names, first.camera_from_world, strict=True)), NS)
        for index, sequence in enumerate((first, second)):
            record_sequence(recorder, sequence, (index + 1) * 10 * NS, with_truth=index == 1)
    report = evaluated(model, tmp_path / "r.json", "--bag", tmp_path / "bag")
    assert [row["task"] for row in report["rows"]] == [first.task, second.task]
    assert [row["end_point_error_cm"] is None for row in report["rows"]] == [True, False]
    assert [row["stamp_ns"] for row in report["rows"]] == [10 * NS, 20 * NS]
    limited = evaluated(model, tmp_path / "l.json", "--bag", tmp_path / "bag", "--limit", 1)
    assert limited["sequences"] == 1 and limited["bag"]["tasks"] == 2


def test_a_truncated_bag_a_missing_topic_and_a_bag_without_a_task_end_with_one_line(model, tmp_path, capsys):
    bag = write_bag(tmp_path / "bag", tiny_sequence(6))
    whole = (bag / "bag.mcap").read_bytes()
    (tmp_path / "cut.mcap").write_bytes(whole[: len(whole) // 2])
    for args, said in {
        (str(tmp_path / "cut.mcap"),): "cut.mcap is truncated",
        (str(bag), "--cameras", "left=/up/image"): "no message on the topic /up/image",
        (str(bag), "--task-topic", "/job"): "no message on the topic /job",
        (str(bag), "--world-frame", "map"): "no calibration: no pose of camera 'centre'",
    }.items():
        assert main(["evaluate", "--checkpoint", str(model[1]), "--bag", *args]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give a data set with --data and --split, or a recording with --bag"),
        (["--data", "d"], "no such folder: d"),
        (["--bag", "b", "--data", "d"], "--data is of a data set, not of --bag b"),
        (["--bag", "b", "--baselines-only"], "--baselines-only is of a data set"),
        (["--bag", "b", "--without", "cycle"], "--without is of a data set"),
        (["--data", "d", "--split", "s", "--world-frame", "map"], "--world-frame is of a bag"),
    ],
)
def test_a_source_that_contradicts_itself_is_refused_before_any_work(capsys, args, said):
    assert main(["evaluate", *args]) == 2
    assert said in capsys.readouterr().err


def test_a_report_of_a_bag_never_holds_a_number_that_json_has_not(model, tmp_path):
    sequence = tiny_sequence(6)
    black = replace(sequence, video=np.zeros_like(sequence.video))
    report = evaluated(model, tmp_path / "r.json", "--bag", write_bag(tmp_path / "bag", black, with_truth=False))
    assert report["metrics"]["consistency_colour_difference"] == 0
    assert report["metrics"]["consistency_colour_ratio"] is None
    assert "consistency_static_colour_difference is 0" in report["not_computed"]["consistency_colour_ratio"]
