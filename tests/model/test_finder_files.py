"""The finder in a checkpoint and alone: what is saved is what is loaded, and a bad folder is refused by name."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from syncmv4d_model.checkpoint import load_components, save_components
from syncmv4d_model.config import FinderConfig
from syncmv4d_model.finder_files import add_finder, load_finder, save_finder
from syncmv4d_model.networks.finder import Finder
from syncmv4d_model.networks.text import train_tokenizer
from tests.model.tiny_model import tiny_checkpoint

FINDER_CONFIG = FinderConfig(width=8, text_width=16, max_tokens=8, vocabulary=80, canvas_height=32, canvas_width=48)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))[1]


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def small_finder(seed=0):
    torch.manual_seed(seed)
    return Finder(FINDER_CONFIG, train_tokenizer(["push the red box with a rod"], FINDER_CONFIG.vocabulary)).eval()


def files_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finder_is_put_into_a_checkpoint_without_touching_the_other_parts(copy, tmp_path):
    assert load_components(copy).finder is None
    before = files_of(copy)
    for seed in (0, 1):  # the second takes the first one's place
        add_finder(copy, small_finder(seed))
        after = files_of(copy)
        index = next(path for path in before if path.name == "model_index.json")
        assert {path: after[path] for path in before if path != index} == {
            path: content for path, content in before.items() if path != index
        }
        assert {path.parts[0] for path in set(after) - set(before)} == {"finder"}
        loaded = load_components(copy)
        assert loaded.config.has_finder and loaded.finder is not None
        for key, value in small_finder(seed).state_dict().items():
            assert torch.equal(loaded.finder.state_dict()[key], value.half().float()), key
    save_components(tmp_path / "again", loaded)
    assert files_of(tmp_path / "again")[index] == files_of(copy)[index]
    image = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8).numpy()
    found = [load_finder(path).find([image], ["push the box"]).confidence for path in (copy, tmp_path / "again")]
    assert (found[0] == found[1]).all()


def test_a_checkpoint_from_before_the_finder_has_none(copy):
    index = json.loads((copy / "model_index.json").read_text())
    del index["config"]["finder"]
    (copy / "model_index.json").write_text(json.dumps(index))
    assert load_components(copy).finder is None
    with pytest.raises(ValueError, match="has no finder: train one with"):
        load_finder(copy)


@pytest.mark.parametrize("alone", [False, True])
def test_a_bad_finder_is_named(copy, tmp_path, alone):
    folder = tmp_path / "alone" if alone else copy / "finder"

    def put():
        save_finder(folder, small_finder()) if alone else add_finder(copy, small_finder())

    def load():
        return load_finder(folder) if alone else load_components(copy)

    put()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="model.safetensors is truncated or not safetensors"):
        load()
    put()
    weights = load_file(path)
    save_file(weights | {"stem.0.1.bias": weights["stem.0.1.bias"] * float("nan")}, path)
    with pytest.raises(ValueError, match="stem.0.1.bias holds 4 numbers that are not finite"):
        load()
    save_file(weights | {"stem.0.1.bias": weights["stem.0.1.bias"][:3].clone()}, path)
    with pytest.raises(ValueError, match=r"stem.0.1.bias should have shape \(4,\), found \(3,\)"):
        load()
    put()
    (folder / "words.json").write_text("[1]")
    with pytest.raises(ValueError, match="words.json is not a list of words"):
        load()


@pytest.mark.parametrize("text", ["{", "[" * 200_000, "3", '{"width": "wide"}'])
def test_a_foreign_configuration_of_a_finder_is_refused(tmp_path, text):
    save_finder(tmp_path / "finder", small_finder())
    (tmp_path / "finder" / "config.json").write_text(text)
    with pytest.raises(ValueError, match="config.json"):
        load_finder(tmp_path / "finder")


def test_a_finder_that_does_not_fit_its_numbers_is_not_written(copy):
    finder, before = small_finder(), files_of(copy)
    with torch.no_grad():
        finder.stem[0][1].bias[0] = 1e6
    with pytest.raises(ValueError, match="finder: stem.0.1.bias holds 1 numbers"):
        add_finder(copy, finder)
    assert files_of(copy) == before
