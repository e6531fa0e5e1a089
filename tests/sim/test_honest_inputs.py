"""No input of a predictor knows the future: the same frame 0 with another future gives the same bits."""

import numpy as np
import pytest

from syncmv4d_model.data.sequence import Sequence, read_sequence, rig_of_sequence, write_sequence
from syncmv4d_sim import sequences
from syncmv4d_sim.physics import Rollout, simulate
from syncmv4d_sim.scene import sample_scene
from syncmv4d_sim.sequences import BuildOptions, make_sequence

OPTIONS = {"seed": 6, "size": 48, "num_points": 64, "views": 3, "windows": "truth", "width": 160}


def what_a_predictor_gets(sequence: Sequence, folder) -> dict[str, bytes]:
    """Whole images as cameras deliver them, rig, windows, first images in them, and the task."""
    write_sequence(folder, sequence)
    again, rig = read_sequence(folder), rig_of_sequence(sequence)
    images = {f"image {name}": image.tobytes() for name, image in zip(again.view_names, again.reference, strict=True)}
    arrays = {"k": rig.intrinsics, "pose": rig.camera_from_world, "window": again.windows, "input": again.video[:, 0]}
    return images | {name: array.tobytes() for name, array in arrays.items()} | {"task": again.task.encode()}


def with_future(future: int, monkeypatch: pytest.MonkeyPatch, options: BuildOptions, index: int) -> Sequence:
    """The sequence of one attempt's scene with another draw of what is hidden, made anew before rig, window and centre."""

    def sample(split: str, number: int, seed: int, *, attempt: int = 0) -> object:
        return sample_scene(split, number, seed, attempt=attempt, future=future)

    with monkeypatch.context() as changed:
        changed.setattr(sequences, "sample_scene", sample)
        changed.setattr(sequences, "TRAINING_SPLITS", ("train", "val", options.split))  # without futures of its own
        return make_sequence(index, options).sequence


def futures_that_pass(split: str, index: int, count: int) -> list[int]:
    """Draws of what is hidden that quality control accepts at the first attempt."""
    passed = [
        f for f in range(8) if isinstance(simulate(sample_scene(split, index, OPTIONS["seed"], future=f)), Rollout)
    ]
    return passed[:count] if len(passed) >= count else []


@pytest.mark.parametrize(("split", "index"), [("open", 0), ("open", 2), ("open", 5), ("test_1", 1), ("hard", 0)])
@pytest.mark.parametrize("rig", ["split", "framed"])
def test_another_future_changes_no_input_unless_the_views_are_framed_on_the_action(
    tmp_path, monkeypatch, split, index, rig
):
    futures = futures_that_pass(split, index, 2)
    if not futures:
        pytest.skip(
            f"sequence {index} of {split}: fewer than two of eight futures pass quality control at the first attempt"
        )
    options = BuildOptions(split=split, rig=rig, **OPTIONS)
    one, other = (with_future(future, monkeypatch, options, index) for future in futures)
    assert not np.array_equal(one.positions, other.positions), "the futures do differ"
    given = [what_a_predictor_gets(made, tmp_path / name) for made, name in ((one, "one"), (other, "other"))]
    differing = {name for name in given[0] if given[0][name] != given[1][name]}
    assert differing == set() if rig == "split" else "k" in differing
