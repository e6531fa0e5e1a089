"""`--device`: refused before any work where it is not there, and carried to the networks where it is."""

import pytest

from syncmv4d_cli.evaluate import load_predictor
from syncmv4d_cli.main import main
from tests.model.tiny_model import tiny_checkpoint

COMMANDS = {
    "evaluate": ("evaluate", "--data", "DATA", "--split", "val", "--checkpoint", "CHECKPOINT"),
    "evaluate a bag": ("evaluate", "--bag", "DATA"),
    "generate": ("generate", "--input", "DATA/val/000000", "--task", "stir", "--out", "OUT"),
    "bench steps": ("bench", "steps", "--data", "DATA", "--split", "val", "--checkpoint", "CHECKPOINT"),
    "bench model": ("bench", "model", "--checkpoint", "CHECKPOINT"),
    "bench cell": ("bench", "cell", "--scenes", "1", "--checkpoint", "CHECKPOINT"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_device_that_is_not_there_is_refused_before_any_work(tiny, tmp_path, capsys, words):
    places = {"DATA": str(tiny[0]), "CHECKPOINT": str(tiny[1]), "OUT": str(tmp_path / "out")}
    for place, path in places.items():
        words = tuple(word.replace(place, path) for word in words)
    assert main([*words, "--device", "toaster"]) == 2
    assert "--device toaster cannot be used" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_networks_lie_on_the_device_that_is_asked_for(tiny):
    predictor = load_predictor(tiny[1], ("cycle",), "meta")
    assert {part.device.type for part in predictor.components.networks()["joint_denoiser"].parameters()} == {"meta"}


def test_an_evaluation_computes_on_the_device_that_is_asked_for(tiny, tmp_path):
    asked = ["evaluate", "--data", str(tiny[0]), "--split", "val", "--checkpoint", str(tiny[1]), "--limit", "1"]
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):  # which has no numbers to give back
        main([*asked, "--device", "meta"])
