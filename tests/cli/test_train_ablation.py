"""`syncmv4d train ablation`: every variant is trained and scored once, however often the command is stopped."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from syncmv4d_cli.main import main
from syncmv4d_cli.train_ablation import Ablation, ablation, checked_queue
from syncmv4d_model.checkpoint import load_components
from syncmv4d_model.training.ablation import ALWAYS_KEPT, VARIANTS
from syncmv4d_model.training.plan import NANO_PLAN, TrainingPlan
from syncmv4d_model.training.time_limit import OutOfTime
from tests.model.counted_time import CountedTime
from tests.model.tiny_model import tiny_checkpoint


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    data, checkpoint, _ = tiny_checkpoint(tmp_path_factory.mktemp("ablation"))
    return data, checkpoint


def options_of(prepared, out, **changes) -> Ablation:
    data, start = prepared
    tiny = {"scale": 1e-4, "splits": ("val",), "limit": 2, "bf16": False, "compile": False}
    return Ablation(data=data, out=out, start=start, **(tiny | changes))


@pytest.fixture(scope="module", autouse=True)
def few_samples():
    """Stages that sample, and the moments of the motion, take a handful of sequences."""
    short = TrainingPlan(tuple(replace(stage, sampled_sequences=3) for stage in NANO_PLAN.stages))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("syncmv4d_model.training.ablation.NANO_PLAN", short)
        patch.setattr("syncmv4d_model.training.stages.MOMENT_SEQUENCES", 3)
        yield


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """An ablation of all variants, cut again and again."""
    options = options_of(prepared, tmp_path_factory.mktemp("out") / "ablation", seeds=1)
    stops = 0
    while True:
        try:
            ablation(options, CountedTime(questions=25))
            return options, stops
        except OutOfTime:
            stops += 1


def test_slices_train_and_score_every_variant(finished):
    options, stops = finished
    assert stops > 5
    for name, variant in VARIANTS.items():
        assert (
            load_components(options.out / "trainings" / f"{name}-0" / "checkpoint").config.switches == variant.switches
        )
        report = json.loads((options.out / "reports" / "val" / f"{name}-0.json").read_text())
        assert report["switches"] == vars(variant.switches) and report["sequences"] == 2
    assert not list(options.out.rglob("state.pt")) and not list(options.out.glob("trainings/*/untrained"))


def test_the_last_round_goes_on_from_the_joint_denoiser_that_was_trained_before(finished):
    options, _ = finished

    def weights(job: str, **kept) -> Tensor:
        folder = options.out / "trainings" / job / "checkpoint"
        return load_components(folder, change=lambda config: config, **kept).joint_denoiser.patch_embedding.weight

    for name, start in (("full", "multi_view"), ("no_aligner", "multi_view"), ("one_by_one", "one_by_one")):
        begun, ended = weights(f"joint-{start}-0"), weights(f"{name}-0")
        assert not ended.equal(begun)  # it took a step
        torch.testing.assert_close(ended, begun, rtol=0, atol=2e-3)  # and no more than that
    fresh = weights("full-0", keep=ALWAYS_KEPT, seed=2000)
    assert (fresh - weights("full-0")).abs().mean() > 0.01


def test_every_training_is_of_the_jobs_own_seed_plan_and_machine(finished):
    options, _ = finished
    for job in checked_queue(options):
        known = json.loads((options.out / "trainings" / job.name / "run.json").read_text())
        assert known["seed"] == job.seed
        assert [stage["stage"] for stage in known["plan"]["stages"]] == [stage.stage for stage in job.stages]
    report = json.loads((options.out / "reports" / "val" / "full-0.json").read_text())
    assert (report["settings"]["seed"], report["settings"]["limit"]) == (0, 2)


def test_what_is_there_is_not_done_again_and_seeds_may_be_added(finished, prepared):
    options, _ = finished
    before = {path: path.stat().st_mtime_ns for path in options.out.rglob("*.safetensors")}
    ablation(options_of(prepared, options.out, seeds=2, variants=("no_aligner",)), CountedTime(questions=10_000))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    added = options.out / "trainings" / "no_aligner-1" / "checkpoint"
    assert added.is_dir() and (options.out / "reports" / "val" / "no_aligner-1.json").is_file()
    seeds = [load_components(options.out / "trainings" / f"joint-multi_view-{seed}" / "checkpoint") for seed in (0, 1)]
    first, second = (parts.joint_denoiser.patch_embedding.weight for parts in seeds)
    assert not first.equal(second)
    priors = [parts.motion_prior.motion.weight for parts in seeds]
    assert priors[0].equal(priors[1])


def test_latents_are_encoded_once_but_for_the_tracking_video(finished):
    options, _ = finished
    assert sorted(path.name for path in options.out.glob("latents*")) == ["latents", "latents-tracking_video"]
    assert not list(options.out.glob("trainings/*/latents"))


def command(prepared, out, *more) -> int:
    data, start = prepared
    asked = ["--data", data, "--start", start, "--out", out, "--splits", "val", "--minutes", "0", *more]
    return main(["train", "ablation", *map(str, asked)])


def test_a_folder_of_another_ablation_is_refused(prepared, tmp_path, capsys):
    assert command(prepared, tmp_path) == 0
    assert "the same command continues" in capsys.readouterr().out
    for words, said in {
        ("--scale", "0.5"): "holds an ablation with another plan",
        ("--no-bf16",): "holds an ablation with bf16 True, asked for False",
        ("--seed", "3"): "holds an ablation with seed 0, asked for 3",
    }.items():
        assert command(prepared, tmp_path, *words) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    for broken, said in (("[]", "holds an ablation with data None"), ("{", "ablation.json is not JSON")):
        (tmp_path / "ablation.json").write_text(broken)
        assert command(prepared, tmp_path) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_training_sequences_that_were_added_make_it_another_ablation(prepared, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(prepared[0], data)
    assert command((data, prepared[1]), tmp_path / "out") == 0
    shutil.copytree(data / "train" / "000000", data / "train" / "000009")
    assert command((data, prepared[1]), tmp_path / "out") == 2
    assert "sequences {'train': 6, 'val': 2}, asked for {'train': 7" in " ".join(capsys.readouterr().err.split())


def test_what_a_killed_training_left_beside_its_checkpoint_is_cleared(finished):
    options, _ = finished
    folder = options.out / "trainings" / "full-0"
    (folder / "state.pt").write_bytes(b"left")
    (folder / "untrained").mkdir()
    ablation(options, CountedTime(questions=10_000))
    assert not (folder / "state.pt").exists() and not (folder / "untrained").exists()


WRONG = {
    "variant": (("--variants", "full", "no_views"), "--variants are of full, no_cycle"),
    "seeds": (("--seeds", "0"), "--seeds must be at least 1, got 0"),
    "split": (("--splits", "test_9"), "test_9"),
    "scale": (("--scale", "0"), "--scale must be positive and finite, got 0"),
    "start": (("--start", "nowhere"), "nowhere is no checkpoint of `syncmv4d train init`"),
    "device": (("--device", "tpu"), "--device tpu cannot be used"),
}


@pytest.mark.parametrize("words, said", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_done_is_refused_before_anything_is_written(prepared, tmp_path, capsys, words, said):
    assert command(prepared, tmp_path / "out", *words) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
