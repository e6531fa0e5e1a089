"""No input of a predictor knows the future: the same frame 0 with another future gives the same bits."""

from pathlib import Path

import numpy as np
import pytest

from syncmv4d_model.data.sequence import read_sequence, write_sequence
from syncmv4d_sim import sequences
from syncmv4d_sim.scene import Scene, sample_scene
from syncmv4d_sim.sequences import BuildOptions, MadeSequence, make_sequence
from tests.model.honest_inputs import changed, find_bright, inputs_of

SEED = 6
OPTIONS = {"seed": SEED, "size": 48, "num_points": 64, "views": 3, "width": 160}
KINDS = {"mid_action": 0, "take_up": 1, "partly_outside": 2, "missing_tool": 3, "unfit_sentence": 5, "look_alike": 6}
CASES = [("open", 0), ("open", 1), ("open", 2), ("test_1", 0), ("train", 4), *(("hard", i) for i in KINDS.values())]
"""Sequences of which quality control accepts futures 0 and 1 at the first attempt."""


def make_with_future(future: int, monkeypatch: pytest.MonkeyPatch, options: BuildOptions, index: int) -> MadeSequence:
    """The sequence with another draw of what is hidden, made anew before rig, window and centre are chosen."""

    def sample(split: str, number: int, seed: int, *, attempt: int = 0, **asked: int) -> Scene:
        return sample_scene(split, number, seed, attempt=attempt, **({"future": future} | asked))

    with monkeypatch.context() as patched:
        patched.setattr(sequences, "sample_scene", sample)
        made = make_sequence(index, options, find_bright)
    assert not made.rejections, "both futures must be those of the first attempt"
    return made


def given_inputs(made: MadeSequence, folder: Path) -> dict[str, bytes]:
    """What an evaluation reads of it and gives to a predictor."""
    write_sequence(folder, made.sequence, made.truths)
    return inputs_of(read_sequence(folder))


@pytest.mark.parametrize(("split", "index"), CASES)
def test_another_future_changes_no_input(tmp_path, monkeypatch, split, index):
    options = BuildOptions(split=split, windows="finder", **OPTIONS)
    one, other = (make_with_future(future, monkeypatch, options, index) for future in (0, 1))
    assert not np.array_equal(one.sequence.positions, other.sequence.positions), "the futures must differ"
    assert changed(given_inputs(one, tmp_path / "one"), given_inputs(other, tmp_path / "other")) == set()


def test_true_boxes_of_the_first_images_know_no_future_either(tmp_path, monkeypatch):
    options = BuildOptions(split="open", windows="truth", **OPTIONS)
    one, other = (make_with_future(future, monkeypatch, options, 0) for future in (0, 1))
    assert changed(given_inputs(one, tmp_path / "one"), given_inputs(other, tmp_path / "other")) == set()


@pytest.mark.parametrize("index", [0, 1, 2])
def test_views_that_are_framed_on_the_action_do_know_it(tmp_path, monkeypatch, index):
    options = BuildOptions(split="open", rig="framed", **OPTIONS)
    one, other = (make_with_future(future, monkeypatch, options, index) for future in (0, 1))
    assert {"rig", "images"} <= changed(given_inputs(one, tmp_path / "one"), given_inputs(other, tmp_path / "other"))


@pytest.mark.parametrize(("tag", "index"), KINDS.items())
def test_the_cases_are_of_the_kinds_that_they_stand_for(tag, index):
    assert tag in sample_scene("hard", index, SEED).tags
