"""`syncmv4d train nano`: from nothing to an evaluated checkpoint, however often it is stopped."""

import json
from dataclasses import replace

import pytest

from syncmv4d_cli.main import main
from syncmv4d_cli.provenance import is_report_of, provenance
from syncmv4d_cli.train_nano import Nano, nano
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.config import NANO, PRESETS, MotionPriorConfig
from syncmv4d_model.training.plan import NANO_PLAN, PLANS, TrainingPlan
from syncmv4d_model.training.time_limit import OutOfTime
from tests.model.counted_time import CountedTime
from tests.model.tiny_model import TINY

SMALL = replace(
    NANO,
    num_points=24,
    codec=TINY.codec,
    text=TINY.text,
    motion_prior=MotionPriorConfig(conv_width=8, layers=1, heads=2),
    joint_denoiser=TINY.joint_denoiser,
    point_aligner=TINY.point_aligner,
    loop=TINY.loop,
)
"""Networks as narrow as the tests', for pictures as the simulator makes them."""


@pytest.fixture
def small_networks(monkeypatch):
    """Two of the stages, one that samples first."""
    short = {"steps": 1, "batch_size": 1, "warmup_steps": 0, "sampled_sequences": 3}
    stages = (replace(stage, **short) for stage in NANO_PLAN.stages if stage.stage in ("motion_prior", "rollouts"))
    monkeypatch.setitem(PRESETS, "nano", SMALL)
    monkeypatch.setitem(PLANS, "nano", TrainingPlan(tuple(stages)))


def test_slices_simulate_encode_train_and_evaluate_until_all_is_done(small_networks, tmp_path, capsys):
    options = Nano(
        work=tmp_path / "nano", first_images=2, finder_steps=2, sequences=1, evaluate=1, bf16=False, compile=False
    )
    said = []
    while True:
        try:
            nano(options, CountedTime(questions=9))
            break
        except OutOfTime as stopped:
            said.append(str(stopped))
    assert len(said) >= 2
    trained = load_components(options.work / "run" / "checkpoint")
    assert replace(trained.config, finder=SMALL.finder) == SMALL and trained.finder is not None
    assert max(path.stat().st_size for path in (options.work / "run" / "checkpoint").rglob("*")) < 16e6
    assert not (options.work / "run" / "sampled").exists()
    for split in ("test_1", "test_3"):
        report = json.loads((options.work / "evaluation" / f"{split}.json").read_text())
        assert report["sequences"] == 1 and report["settings"]["checkpoint"].startswith("checkpoint@")
        assert all((options.work / "evaluation" / f"{split}.{end}").is_file() for end in ("html", "md", "png"))
    assert (options.work / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    before = {path: path.stat().st_mtime_ns for path in options.work.rglob("*") if path.is_file()}
    capsys.readouterr()
    nano(options, CountedTime(questions=1000))
    assert "which was there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_report_of_other_weights_or_of_fewer_scenes_is_not_taken_for_the_one_that_is_asked_for(tmp_path):
    checkpoint, report = tmp_path / "checkpoint", tmp_path / "test_1.json"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    assert not is_report_of(report, checkpoint, sequences=8)
    content = {"sequences": 8, "settings": provenance(checkpoint), "metrics": {}, "intervals": {}}
    report.write_text(json.dumps(content))
    assert is_report_of(report, checkpoint, sequences=8)
    assert not is_report_of(report, checkpoint, sequences=64)
    (checkpoint / "model.safetensors").write_bytes(b"other weights")
    assert not is_report_of(report, checkpoint, sequences=8)
    report.write_text(json.dumps(content)[:-9])
    with pytest.raises(ValueError, match=r"test_1.json is not JSON"):
        is_report_of(report, checkpoint, sequences=8)


def test_a_slice_without_time_does_nothing_and_says_how_to_go_on(tmp_path, capsys):
    asked = ["train", "nano", "--work", str(tmp_path / "nano"), "--first-images", "3", "--minutes", "0"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "stopped after 0 minutes: 0 of 3 first images simulated" in said and "the same command continues" in said
    assert not list((tmp_path / "nano").rglob("*.png"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sequences", "0"), "--sequences must be at least 1, got 0"),
        (("--evaluate", "-1"), "--evaluate must be at least 0, got -1"),
        (("--minutes", "nan"), "--minutes must be at least 0, got nan"),
        (("--scale", "0"), "--scale must be positive and finite, got 0"),
        (("--device", "toaster"), "--device toaster cannot be used"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_end_well_is_refused_before_anything_is_simulated(tmp_path, capsys, words, message):
    assert main(["train", "nano", "--work", str(tmp_path / "nano"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "nano").exists()
