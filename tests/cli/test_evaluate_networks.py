"""`syncmv4d evaluate --networks`: published networks beside the model's own scores, or the reason why not."""

import json

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from syncmv4d_cli.main import main
from syncmv4d_model.data.sequence import read_sequence, write_sequence
from syncmv4d_ros.recorder import write_bag
from tests.model.sliding_points import sliding_sequence
from tests.model.tiny_model import tiny_checkpoint

NETWORK_SCORES = ("subject_consistency", "dynamic_degree", "clip_v", "matching_pixels", "matching_pixels_total_k")
WITHOUT = {"subject_consistency": "dino", "dynamic_degree": "raft", "clip_v": "clip"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=48, projection_dim=24
    )
    folder = tmp_path_factory.mktemp("weights") / "clip"
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


@pytest.fixture
def nothing_here(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path / "torch"))


def evaluated(tmp_path, *args):
    assert main(["evaluate", *map(str, args), "--json", str(tmp_path / "report.json")]) == 0
    return json.loads((tmp_path / "report.json").read_text())


def test_networks_are_off_unless_asked_for_and_the_report_says_how_to_ask(tmp_path):
    write_sequence(tmp_path / "data" / "test_1" / "a", sliding_sequence("a"))
    report = evaluated(tmp_path, "--data", tmp_path / "data", "--split", "test_1", "--baselines-only")
    for name in NETWORK_SCORES:
        assert report["metrics"][name] is None and report["metrics"][f"true_{name}"] is None
    for name, network in WITHOUT.items():
        assert report["not_computed"][f"true_{name}"] == f"not asked for: --networks {network}"
    assert "networks" not in report["settings"]


def test_the_truth_is_scored_without_a_model_and_what_is_missing_is_said_at_once(tmp_path, clip, nothing_here, capsys):
    write_sequence(tmp_path / "data" / "test_1" / "a", sliding_sequence("a"))
    asked = ["--data", tmp_path / "data", "--split", "test_1", "--baselines-only"]
    report = evaluated(tmp_path, *asked, "--networks", f"clip={clip}", "dino")
    assert 0 < report["metrics"]["true_clip_v"] <= 100
    assert report["not_computed"]["clip_v"] == "nothing was predicted"
    missing = "no scores of dino: facebook/dino-vitb16 is neither a folder nor in the local hub cache; fetch it with: "
    assert missing + "hf download facebook/dino-vitb16" in capsys.readouterr().out
    assert report["not_computed"]["true_subject_consistency"].endswith("hf download facebook/dino-vitb16")
    assert report["not_computed"]["true_dynamic_degree"] == "not asked for: --networks raft"
    assert report["settings"]["networks"]["clip"].startswith("clip@")
    assert "SynCamMaster" in report["rules"]["matching_pixels"]


def test_a_bag_without_truth_is_scored_with_them_too(tmp_path, clip):
    data, checkpoint, _ = tiny_checkpoint(tmp_path)
    bag = write_bag(tmp_path / "bag", read_sequence(data / "val" / "000006"), with_truth=False)
    report = evaluated(tmp_path, "--bag", bag, "--checkpoint", checkpoint, "--networks", f"clip={clip}")
    assert 0 < report["metrics"]["clip_v"] <= 100
    assert 0 < report["metrics"]["true_clip_v"] <= 100
    assert report["not_computed"]["dynamic_degree"] == "not asked for: --networks raft"


def test_a_network_that_does_not_exist_is_refused_before_any_work(tmp_path, capsys):
    write_sequence(tmp_path / "data" / "test_1" / "a", sliding_sequence("a"))
    asked = [
        "evaluate",
        "--data",
        str(tmp_path / "data"),
        "--split",
        "test_1",
        "--baselines-only",
        "--networks",
        "sift",
    ]
    assert main(asked) == 2
    assert "no network 'sift', only dino, raft, clip, matcher and all" in capsys.readouterr().err
