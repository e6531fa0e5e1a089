"""Data sets: the same seed gives the same bits, and a builder may be killed and started again at any moment."""

import filecmp
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_cli.build_dataset import main
from syncmv4d_model.data.sequence import list_sequences, read_sequence
from syncmv4d_sim.dataset import build, number_built
from syncmv4d_sim.sequences import BuildOptions, make_sequence, sequence_name

ROOT = Path(__file__).parents[2]
SMALL = BuildOptions(split="test_1", seed=4, size=48, num_points=40, views=3, windows="truth", width=240, height=180)

KILLED_WHILE_WRITING_THE_SECOND = """
import os, signal, sys
from pathlib import Path
import syncmv4d_sim.dataset as dataset
from tests.sim.test_dataset import SMALL
def hook(event, arguments):
    if event == "open" and "000001" in str(arguments[0]) and str(arguments[0]).endswith("truth.npz"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
dataset.build(Path(sys.argv[1]), SMALL, count=3, workers=1, show_progress=False)
"""


class DyingWorker:
    def __call__(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class DyingFirstWorker:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self) -> None:
        if not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of three sequences, built by two processes without interruption."""
    out = tmp_path_factory.mktemp("whole")
    build(out, SMALL, count=3, workers=2, show_progress=False)
    return out


def test_sequences_keep_the_data_set_contract(whole):
    for path in list_sequences(whole, "test_1"):
        sequence = read_sequence(path)
        assert sequence.video.shape == (3, 17, 48, 48, 3)
        assert sequence.positions.shape == (3, 17, 40, 3)
        assert sequence.frame_period_s == 0.125
        assert sequence.visible[:, 0].all()
        assert np.isfinite(sequence.positions).all()
        assert sequence.triplet.startswith("(") and sequence.task


def test_the_same_seed_gives_the_same_bits_in_another_process(whole):
    sequence = make_sequence(1, SMALL).sequence
    stored = read_sequence(whole / "test_1" / sequence_name(1), degraded=False)
    for name in (
        "video",
        "positions",
        "visible",
        "label",
        "depth_scale",
        "camera_from_world",
        "windows_px",
    ):
        assert getattr(sequence, name).tobytes() == getattr(stored, name).tobytes(), name


def test_a_killed_build_leaves_no_half_sequence_and_goes_on_to_the_same_data_set(whole, tmp_path):
    command = [sys.executable, "-c", KILLED_WHILE_WRITING_THE_SECOND, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert [path.name for path in list_sequences(tmp_path, "test_1")] == [sequence_name(0)]
    build(tmp_path, SMALL, count=3, workers=1, show_progress=False)
    there = list_sequences(tmp_path, "test_1")
    assert len(there) == 3
    for path in there:
        names = [file.name for file in path.iterdir()]
        _, differing, missing = filecmp.cmpfiles(path, whole / "test_1" / path.name, names, shallow=False)
        assert not missing
        assert set(differing) <= {"truth.npz"}, "zip archives carry the time of day"
        assert (
            read_sequence(path).positions.tobytes() == read_sequence(whole / "test_1" / path.name).positions.tobytes()
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_out_of_time_ends_early_and_goes_on_to_the_same_data_set(whole, tmp_path, workers):
    asked = iter([False, False, True])
    build(
        tmp_path, SMALL, count=12, workers=workers, show_progress=False, out_of_time=lambda: next(asked, True)
    )  # as a slice whose time is over once something is built
    there = number_built(tmp_path, SMALL, count=12)
    assert 1 <= there < 12
    build(tmp_path, SMALL, count=3, workers=1, show_progress=False)
    for index in range(3):
        path = Path("test_1") / sequence_name(index)
        assert read_sequence(tmp_path / path).video.tobytes() == read_sequence(whole / path).video.tobytes()


def test_a_build_without_any_time_simulates_nothing(tmp_path):
    build(tmp_path, SMALL, count=2, workers=2, show_progress=False, out_of_time=lambda: True)
    assert number_built(tmp_path, SMALL, count=2) == 0


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost(whole, tmp_path, capfd):
    def kill_a_worker_after_the_first_sequence() -> None:
        while not list(tmp_path.glob("test_1/00*")):
            time.sleep(0.01)
        multiprocessing.active_children()[0].kill()

    killer = threading.Thread(target=kill_a_worker_after_the_first_sequence, daemon=True)
    killer.start()
    build(tmp_path, SMALL, count=5, workers=2, show_progress=False)
    killer.join()
    assert "a worker crashed" in capfd.readouterr().err
    assert len(list_sequences(tmp_path, "test_1")) == 5
    for index in range(3):
        path = Path("test_1") / sequence_name(index)
        assert read_sequence(tmp_path / path).video.tobytes() == read_sequence(whole / path).video.tobytes()


def test_a_worker_that_dies_before_anything_is_built_is_replaced_too(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("syncmv4d_sim.dataset._start_worker", DyingFirstWorker(tmp_path / "died"))
    build(tmp_path / "data", SMALL, count=1, workers=2, show_progress=False)
    assert "a worker crashed; another goes on with the 1 sequences left" in capfd.readouterr().err
    assert len(list_sequences(tmp_path / "data", "test_1")) == 1


def test_workers_that_die_at_once_end_the_build_with_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr("syncmv4d_sim.dataset._start_worker", DyingWorker())
    with pytest.raises(ChildProcessError, match="before any of the sequences 0 to 2 of split test_1"):
        build(tmp_path, SMALL, count=3, workers=2, show_progress=False)


def test_a_finished_split_is_left_alone(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.mp4")}
    assert not build(whole, SMALL, count=3, workers=1, show_progress=False)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.mp4")} == before


def test_a_folder_built_with_other_options_is_refused(whole):
    with pytest.raises(ValueError, match="was built with seed 4, asked for 5"):
        build(whole, replace(SMALL, seed=5), count=4, workers=1, show_progress=False)


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("count", 0, 1), ("size", 31, 32), ("points", 0, 1), ("workers", 0, 1), ("seed", -1, 0)],
)
def test_the_command_refuses_numbers_that_make_no_data_set(tmp_path, option, value, least):
    asked = {"count": 1, "windows": "truth"} | {option: value}
    with pytest.raises(ValueError, match=f"--{option} must be at least {least}, got {value}"):
        main(["sim", "--out", str(tmp_path), *(f"--{name}={number}" for name, number in asked.items())])
    assert list(tmp_path.iterdir()) == []


def test_tacos_layout_takes_one_split_per_folder(tmp_path):
    (tmp_path / "options_train.json").write_text("{}")
    with pytest.raises(ValueError, match="holds options_train.json: choose another folder"):
        main(["sim", "--out", str(tmp_path), "--count", "1", "--split", "val", "--layout", "taco"])


def test_the_command_builds_with_tacos_rig_and_says_how_many(tmp_path, capsys):
    options = ["--count", "1", "--split", "test_4", "--size", "48", "--points", "8", "--rig", "taco", "--workers", "1"]
    options += ["--windows", "truth", "--width", "320"]
    assert main(["sim", "--out", str(tmp_path), *options]) == 0
    assert "1 sequences of test_4" in capsys.readouterr().out
    (path,) = list_sequences(tmp_path, "test_4")
    assert read_sequence(path).triplet == "(stir, spoon, pan)"


def test_the_command_names_its_sources(capsys):
    assert main([]) == 2
    assert "build-dataset {sim,taco}" in capsys.readouterr().out
