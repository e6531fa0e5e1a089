"""`syncmv4d evaluate --predictions` and unfinished reports: real folders, written by the command itself."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_cli.evaluate import Options, score_split
from syncmv4d_cli.evaluate_written import MethodName, default_workers, rows_beside
from syncmv4d_cli.main import main
from syncmv4d_model.data.sequence import FUTURES_FILE, list_sequences, read_sequence
from syncmv4d_model.evaluation.anchors import choose_anchors
from syncmv4d_model.evaluation.methods import scene_seeds
from syncmv4d_model.evaluation.reference import REFERENCES
from syncmv4d_model.evaluation.written import METHODS
from syncmv4d_model.training.time_limit import OutOfTime
from tests.model.counted_time import CountedTime
from tests.model.tiny_model import TINY, tiny_checkpoint, tiny_data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(data set, checkpoint, folder of what `generate` wrote for its split val at the anchors that `evaluate` asks for)."""
    folder = tmp_path_factory.mktemp("made")
    data, checkpoint, _ = tiny_checkpoint(folder)
    for index, directory in enumerate(list_sequences(data, "val")):
        sequence, seeds = read_sequence(directory), scene_seeds(0, index, samples=1)
        chosen = choose_anchors(sequence, TINY.num_points, seed=seeds[0])
        np.savez(folder / "anchors.npz", anchors_px=sequence.anchors_px[np.arange(3)[:, None], chosen])
        asked = ["generate", "--input", str(directory), "--task", sequence.task, "--checkpoint", str(checkpoint)]
        asked += ["--anchors", str(folder / "anchors.npz"), "--seed", str(seeds[1])]
        assert main([*asked, "--out", str(folder / "written" / directory.name)]) == 0
    return data, checkpoint, folder / "written"


@pytest.fixture(scope="module")
def ray():
    """Skips where Ray is missing, or where it can start no cluster of its own (no shared memory, no writable home ...)."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[cluster]'")
    program = (
        "import ray; ray.init(include_dashboard=False, num_cpus=1); print(ray.get(ray.remote(lambda x: -x).remote(-7)))"
    )
    try:
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("Ray starts no cluster on this machine within two minutes")
    if run.returncode or "7" not in run.stdout:
        pytest.skip(f"Ray starts no cluster on this machine: {run.stderr.strip().splitlines()[-1:]}")


def test_what_generate_wrote_scores_as_the_checkpoint_does(made, tmp_path):
    data, checkpoint, written = made
    asked = ["evaluate", "--data", str(data), "--split", "val"]
    assert main([*asked, "--checkpoint", str(checkpoint), "--json", str(tmp_path / "model.json")]) == 0
    read = [*asked, "--predictions", str(written), "--points", str(TINY.num_points), "--workers", "2"]
    assert main([*read, "--json", str(tmp_path / "written.json"), "--html", str(tmp_path / "page.html")]) == 0
    model, files = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("model", "written"))
    for name in (
        "end_point_error_cm",
        "displacement_error_cm",
        "rpe",
        "stddev_coverage_68",
        "label_recall",
        "chamfer_cm",
    ):
        assert files["metrics"][name] == pytest.approx(model["metrics"][name], rel=1e-4), name
    assert files["metrics"]["psnr"] == pytest.approx(model["metrics"]["psnr"], abs=3)  # videos are written with loss
    assert files["settings"]["predictions"] == str(written) and files["settings"]["alignment"] == "none"
    assert not rows_beside(tmp_path / "written.json").exists()
    assert "written" in (tmp_path / "page.html").read_text()


def test_an_interrupted_evaluation_goes_on_where_it_stopped(made, tmp_path, capsys):
    data, checkpoint, _ = made
    report = tmp_path / "report.json"
    options = Options(data=data, split="val", checkpoint=checkpoint, json=report)
    with pytest.raises(OutOfTime, match="1 of 2 sequences"):
        score_split(options, CountedTime(questions=0))
    assert not report.exists() and rows_beside(report).exists()
    score_split(options, CountedTime(questions=9))
    assert "1 sequences were scored before" in capsys.readouterr().out
    assert not rows_beside(report).exists()
    score_split(replace(options, json=tmp_path / "whole.json"), CountedTime(questions=9))
    resumed, whole = (json.loads(path.read_text())["metrics"] for path in (report, tmp_path / "whole.json"))
    assert {**resumed, "seconds_per_sequence": 0} == {**whole, "seconds_per_sequence": 0}


@pytest.mark.usefixtures("ray")
def test_a_cluster_says_the_same_to_the_last_digit(made, tmp_path):
    data, checkpoint, written = made
    asked = ["evaluate", "--data", str(data), "--split", "val"]
    ways = {"model": ["--checkpoint", str(checkpoint)], "written": ["--predictions", str(written)]}
    for name, words in ways.items():
        reports = []
        for where in ([], ["--cluster", "local"]):
            path = tmp_path / f"{name}{len(where)}.json"
            assert main([*asked, *words, *where, "--json", str(path)]) == 0
            reports.append(json.loads(path.read_text()))
        for report in reports:
            for row in (*report["rows"], report["metrics"], report["intervals"]):
                row["seconds_per_sequence"] = None
        one, cluster = reports
        for part in ("rows", "metrics", "intervals", "switches", "settings"):
            assert cluster[part] == one[part], (name, part)


@pytest.mark.usefixtures("ray")
def test_what_fails_on_a_cluster_is_said_as_it_is_here(made, tmp_path, capsys):
    asked = ["evaluate", "--data", str(made[0]), "--split", "val", "--predictions", str(tmp_path), "--cluster", "local"]
    assert main(asked) == 2
    assert "no prediction of sequence" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["seed", "data"])
def test_what_was_kept_for_another_question_is_not_used(made, tmp_path, capsys, change):
    _, checkpoint, _ = made
    data, report = tiny_data(tmp_path / "data"), tmp_path / "report.json"
    options = Options(data=data, split="val", checkpoint=checkpoint, json=report)
    with pytest.raises(OutOfTime):
        score_split(options, CountedTime(questions=0))
    if change == "data":
        (list_sequences(data, "val")[1] / "task.txt").write_text("hit the box with a hammer, twice\n")
    score_split(replace(options, seed=1) if change == "seed" else options, CountedTime(questions=9))
    assert "scored before" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "das"], "--method is of --predictions"),
        (["--points", "5"], "--points is of --predictions"),
        (["--predictions", "nowhere"], "no folder nowhere"),
        (["--predictions", ".", "--steps", "3"], "--steps is of a model"),
        (["--predictions", ".", "--without", "cycle"], "--without is of a model"),
        (["--predictions", ".", "--points", "0"], "points must be at least 1"),
        (["--workers", "0"], "workers must be at least 1"),
        (["--workers", "2", "--cluster", "local"], "--cluster has workers of its own"),
        (["--networks", "dino", "--workers", "2"], "--networks are asked in one process"),
    ],
)
def test_options_that_contradict_each_other_are_refused(made, capsys, words, message):
    assert main(["evaluate", "--data", str(made[0]), "--split", "val", *words]) == 2
    assert message in capsys.readouterr().err


def test_every_method_can_be_asked_for():
    assert {*METHODS, *REFERENCES} == set(MethodName.__args__)


def test_a_model_is_not_disturbed_by_scorers_unless_they_are_asked_for():
    assert default_workers(model=True) == 1 <= default_workers(model=False)


def test_a_reference_row_is_scored_without_predictions(made, tmp_path, capsys):
    _, checkpoint, written = made
    data = shutil.copytree(made[0], tmp_path / "data")
    for folder in list_sequences(data, "val"):
        positions = read_sequence(folder).positions
        np.savez(folder / FUTURES_FILE, displacement_m=(positions - positions[:, :1]).astype(np.float16)[None])
    asked = ["evaluate", "--data", str(data), "--split", "val", "--checkpoint", str(checkpoint)]
    for name in REFERENCES:
        report, page = tmp_path / f"{name}.json", tmp_path / f"{name}.html"
        assert main([*asked, "--method", name, "--points", "24", "--json", str(report), "--html", str(page)]) == 0
        settings = json.loads(report.read_text())["settings"]
        assert settings["method"] == name and settings["points"] == 24 and "predictions" not in settings
        assert page.is_file()
    assert main(["compare", *(str(tmp_path / f"{name}.json") for name in REFERENCES)]) == 0
    assert "| metric | static, val | text_mean, val | floor_mean, val | floor_sample, val |" in capsys.readouterr().out
    assert main([*asked, "--method", "static", "--predictions", str(written)]) == 2
    assert "--method static is computed from the data set" in capsys.readouterr().err
    assert main([*asked, "--method", "static", "--steps", "2"]) == 2
    assert "--steps is of a model, and --method static runs none" in capsys.readouterr().err


def test_a_picture_of_what_has_no_video_is_refused_and_the_report_is_written_all_the_same(made, tmp_path, capsys):
    data, checkpoint, _ = made
    asked = [
        "evaluate",
        "--data",
        str(data),
        "--split",
        "val",
        "--checkpoint",
        str(checkpoint),
        "--method",
        "text_mean",
    ]
    sheet, report = tmp_path / "sheet.png", tmp_path / "report.json"
    assert main([*asked, "--sheet", str(sheet), "--json", str(report)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no sheet: the text mean moves points and draws no video" in said and "val, 2 sequences, text_mean" in said
    assert report.is_file() and not sheet.exists()
    assert main([*asked[:-1], "static", "--sheet", str(sheet)]) == 0
    assert sheet.is_file()
