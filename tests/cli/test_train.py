"""`syncmv4d train`: what would go wrong hours later is refused at once, and no folder is mistaken for another's."""

import json
import shutil
from dataclasses import replace

import pytest

from syncmv4d_cli.main import main
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.training.plan import NEED_ALIGNER
from syncmv4d_model.training.time_limit import OutOfTime
from tests.model.tiny_model import TINY, tiny_checkpoint, tiny_data


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data, checkpoint, _ = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return data, checkpoint


def train_run(data, checkpoint, out, *more) -> int:
    return main(["train", "run", *map(str, ("--data", data, "--checkpoint", checkpoint, "--out", out, *more))])


def test_a_run_out_of_time_keeps_what_it_has_and_says_how_to_go_on(prepared, tmp_path, capsys):
    assert train_run(*prepared, tmp_path / "run", "--minutes", "0") == 0
    assert [path.name for path in (tmp_path / "run").rglob("*.safetensors")] == ["000000.safetensors"]
    said = capsys.readouterr().out
    assert "stopped after 0 minutes: 1 of 6 sequences of train encoded" in said and "the same command continues" in said


MISASKED = {
    "no steps": (("--scale", "0"), "--scale must be positive and finite, got 0"),
    "no time": (("--minutes", "nan"), "--minutes must be at least 0, got nan"),
    "no such seed": (("--seed", "-1"), "--seed must be at least 0, got -1"),
    "nothing saved": (("--save-every", "0"), "--save-every must be at least 1, got 0"),
    "no such device": (("--device", "toaster"), "--device toaster cannot be used"),
}


@pytest.mark.parametrize(("words", "message"), MISASKED.values(), ids=MISASKED.keys())
def test_a_run_that_cannot_end_well_is_refused_before_any_work(prepared, tmp_path, capsys, words, message):
    assert train_run(*prepared, tmp_path / "run", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_start_whose_writer_was_killed_is_refused(prepared, tmp_path, capsys):
    data, checkpoint = prepared
    half = shutil.copytree(checkpoint, tmp_path / "half")
    (half / "text_mean.safetensors").unlink()
    assert train_run(data, half, tmp_path / "run") == 2
    assert "half lacks text_mean.safetensors" in capsys.readouterr().err


def test_a_folder_that_is_no_checkpoint_is_called_so(prepared, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "empty"):
        assert train_run(prepared[0], tmp_path / name, tmp_path / "run") == 2
        assert f"no checkpoint at {tmp_path / name}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_data_set_without_validation_split_is_refused(prepared, tmp_path, capsys):
    data, checkpoint = prepared
    shutil.copytree(data / "train", tmp_path / "data" / "train")
    assert train_run(tmp_path / "data", checkpoint, tmp_path / "run") == 2
    assert "no split 'val'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_folder_with_another_runs_latents_is_refused(prepared, tmp_path, capsys):
    data, checkpoint = prepared
    assert train_run(data, checkpoint, tmp_path / "run", "--minutes", "0") == 0
    other = tiny_data(tmp_path / "other", train=1, val=1)
    assert train_run(other, checkpoint, tmp_path / "run", "--minutes", "0") == 2
    assert f"holds a run with data {data}" in capsys.readouterr().err
    assert train_run(data, checkpoint, tmp_path / "run", "--minutes", "0", "--seed", "1") == 2
    assert "holds a run with seed 0, asked for 1" in capsys.readouterr().err


def test_a_run_does_not_go_on_from_another_start(prepared, tmp_path, capsys):
    """Tokenizer and statistics are read from the start each time, not from the run's state."""
    data, checkpoint = prepared
    assert train_run(data, checkpoint, tmp_path / "run", "--minutes", "0") == 0
    other = shutil.copytree(checkpoint, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    index["statistics"]["depth_scale_mean_m"] = [1.0, 2.0]
    (other / "model_index.json").write_text(json.dumps(index))
    assert train_run(data, other, tmp_path / "run", "--minutes", "0") == 2
    assert "holds a run with checkpoint " in capsys.readouterr().err


def test_a_run_does_not_go_on_with_more_sequences_than_it_began_with(tmp_path, capsys):
    """Its steps would draw others, and what was sampled for one sequence would be taken for another's."""
    data, checkpoint, _ = tiny_checkpoint(tmp_path)
    assert train_run(data, checkpoint, tmp_path / "run", "--minutes", "0") == 0
    shutil.copytree(data / "train" / "000000", data / "train" / "000009")
    assert train_run(data, checkpoint, tmp_path / "run", "--minutes", "0") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "holds a run with sequences 6 of train, 2 of val, asked for 7 of train, 2 of val" in said


def test_a_log_that_cannot_be_drawn_does_not_hide_why_a_run_ended(prepared, tmp_path, monkeypatch, capsys):
    def out_of_time(*_, run_dir, **__):
        (run_dir / "log.jsonl").write_text('{"stage": "motion_pr')  # as a killed writer leaves it
        raise OutOfTime("motion_prior: 19 of 4,000 steps")

    monkeypatch.setattr("syncmv4d_model.training.train.train", out_of_time)
    assert train_run(*prepared, tmp_path / "run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "motion_prior: 19 of 4,000 steps the same command continues" in said
    assert "no curves.png" in said and "holds no line of a run" in said


def test_a_checkpoint_is_not_overwritten_by_an_untrained_one(prepared, capsys):
    data, checkpoint = prepared
    before = {path: path.stat().st_mtime_ns for path in checkpoint.rglob("*")}
    assert main(["train", "init", "--data", str(data), "--out", str(checkpoint)]) == 2
    assert "holds a checkpoint already" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in checkpoint.rglob("*")} == before


def test_an_unknown_preset_is_named_beside_the_known_ones(prepared, tmp_path, capsys):
    assert main(["train", "init", "--data", str(prepared[0]), "--out", str(tmp_path / "x"), "--preset", "big"]) == 2
    assert "preset must be one of nano, wan5b, got 'big'" in capsys.readouterr().err


ABLATIONS = {"full": {}, "no aligner": {"aligner": False, "cycle": False}, "video only": {"motion": False}}


@pytest.mark.parametrize("switches", ABLATIONS.values(), ids=ABLATIONS.keys())
def test_every_stage_that_a_switch_leaves_runs_and_ends_in_a_checkpoint(tmp_path, switches):
    config = replace(TINY, switches=replace(TINY.switches, **switches))
    data, checkpoint, _ = tiny_checkpoint(tmp_path, config=config)
    assert train_run(data, checkpoint, tmp_path / "run", "--scale", "0.0004", "--save-every", "1") == 0
    stages = {json.loads(line)["stage"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()}
    prior = {"motion_prior"} if config.switches.motion else set()
    of_points = set() if switches else {"point_prior", *NEED_ALIGNER}
    assert stages == {"joint_denoiser", "video_refiner"} | prior | of_points
    assert list((tmp_path / "run" / "pictures").glob("*.png")) and (tmp_path / "run" / "curves.png").is_file()
    assert load_components(tmp_path / "run" / "checkpoint").config == config


def test_a_run_stopped_before_its_deviations_are_calibrated_leaves_no_checkpoint(prepared, tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    run, short = tmp_path / "run", ("--scale", "0.0004", "--save-every", "1")
    with monkeypatch.context() as patch:
        patch.setattr("syncmv4d_model.training.rollouts.stddev_temperature", stopped)
        assert train_run(*prepared, run, *short) == 130
    assert not (run / "checkpoint").exists()
    assert train_run(*prepared, run, *short) == 0
    assert load_components(run / "checkpoint").statistics.stddev_temperature != 1
    assert (run / "checkpoint" / "text_mean.safetensors").is_file()


def test_a_run_folder_is_not_taken_over_by_another_plan_or_without_its_note(prepared, tmp_path, capsys):
    run = tmp_path / "run"
    assert train_run(*prepared, run, "--minutes", "0") == 0
    assert train_run(*prepared, run, "--minutes", "0", "--scale", "0.5") == 2
    assert "holds a run with another plan" in capsys.readouterr().err
    assert train_run(*prepared, run, "--minutes", "0", "--guidance-source", "noisy") == 2
    (run / "run.json").unlink()
    assert train_run(*prepared, run, "--minutes", "0") == 2
    assert "but no run.json" in capsys.readouterr().err
