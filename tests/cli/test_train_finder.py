"""`syncmv4d train finder` and `syncmv4d bench finder`, run for real on drawn shapes."""

import json
import shutil

import numpy as np
import pytest
import torch

from syncmv4d_cli.main import main
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.finder_files import load_finder
from tests.model.coloured_shapes import write_shapes
from tests.model.tiny_model import tiny_checkpoint


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    for seed, split in enumerate(("train", "val", "test_1")):
        write_shapes(folder / split, 5, seed=seed)
    return folder


def arguments(data, out, *more):
    return [
        "train",
        "finder",
        "--data",
        f"{data}",
        "--out",
        f"{out}",
        "--steps",
        "3",
        "--batch",
        "2",
        "--width",
        "8",
        *more,
    ]


def test_a_trained_finder_is_put_into_the_checkpoint_and_its_windows_are_scored(data, tmp_path, capsys):
    _, checkpoint, _ = tiny_checkpoint(tmp_path)
    assert main(arguments(data, tmp_path / "run", "--checkpoint", f"{checkpoint}")) == 0
    finder = load_components(checkpoint).finder
    assert finder is not None and torch.equal(
        finder.stem[0][0].weight, load_finder(tmp_path / "run" / "finder").stem[0][0].weight
    )
    told = tmp_path / "figures.json"
    threads = torch.get_num_threads()
    asked = ["--data", f"{data}", "--split", "test_1", "val", "--room", "1.2", "3", "--checkpoint", f"{checkpoint}"]
    assert main(["bench", "finder", *asked, "--json", f"{told}"]) == 0
    assert torch.get_num_threads() == threads
    assert "windows of the finder" in capsys.readouterr().out
    rows = json.loads(told.read_text())
    assert [(row["split"], row["room"]) for row in rows] == [
        ("test_1", 1.2), ("test_1", 3.0), ("val", 1.2), ("val", 3.0),
    ]  # fmt: skip
    for near, far in (rows[:2], rows[2:]):
        assert near["views"] == 10 and near["points_inside_percent"] <= far["points_inside_percent"] <= 100
        assert near["contained_percent"] <= far["contained_percent"] <= 100
        assert near["milliseconds_per_view"] > 0 and near["mm_per_px_median"] > 0


def test_a_stopped_run_leaves_a_finder_and_goes_on_to_the_same_bits(data, tmp_path, capsys):
    assert main(arguments(data, tmp_path / "sliced", "--minutes", "0")) == 0
    assert "0 of 3 steps" in " ".join(capsys.readouterr().out.split())
    load_finder(tmp_path / "sliced" / "finder")
    for name in ("sliced", "whole"):
        assert main(arguments(data, tmp_path / name)) == 0
    weights = [load_finder(tmp_path / name / "finder").state_dict() for name in ("sliced", "whole")]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_a_run_folder_of_other_data_is_refused(data, tmp_path, capsys):
    assert main(arguments(data, tmp_path / "run")) == 0
    assert main(arguments(data, tmp_path / "run", "--seed", "1")) == 2
    assert "holds a run with seed 0, asked for 1" in capsys.readouterr().err


def test_data_without_boxes_and_checkpoints_without_a_finder_are_refused(data, tmp_path, capsys):
    copy = shutil.copytree(data, tmp_path / "data")
    path = copy / "train" / "000001" / "truth.npz"
    with np.load(path) as truth:
        np.savez(path, positions=truth["positions"], visible=truth["visible"])
    assert main(arguments(copy, tmp_path / "run")) == 2
    assert "it lacks boxes_px" in capsys.readouterr().err
    _, checkpoint, _ = tiny_checkpoint(tmp_path / "tiny")
    assert main(["bench", "finder", "--data", f"{data}", "--checkpoint", f"{checkpoint}"]) == 2
    assert "has no finder" in capsys.readouterr().err
