"""What the node may expect of every engine, and how engines are found."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_ros.engine import LOADERS, Cancelled, load_engine
from tests.ros.trivial_engine import TrivialEngine, observation_for

ROOT = Path(__file__).parents[2]
NO_TORCH = "torch is not installed here: the tests of the model's own engine run where it is"


@pytest.fixture(scope="module", params=["trivial", "eager"])
def engine_and_observation(request, tmp_path_factory):
    if request.param == "trivial":
        return TrivialEngine(), observation_for(TrivialEngine())
    pytest.importorskip("torch", reason=NO_TORCH)
    from syncmv4d_model.evaluation.case import observation_of
    from tests.model.tiny_model import tiny_checkpoint, tiny_sequence

    _, checkpoint, _ = tiny_checkpoint(tmp_path_factory.mktemp("tiny"))
    return load_engine("eager", checkpoint), observation_of(tiny_sequence(7))


def generate(engine, observation, *, steps=None, cancelled=lambda: False):
    """The prediction, and what was reported on the way."""
    reported = []
    prediction = engine.generate(
        observation, seed=3, steps=steps, progress=lambda *at: reported.append(at), cancelled=cancelled
    )
    return prediction, reported


def test_an_engine_says_what_it_takes_and_answers_it(engine_and_observation):
    engine, observation = engine_and_observation
    assert engine.name and len(observation.images) <= engine.max_views
    prediction, _ = generate(engine, observation)
    views, frames = prediction.tracks.shape[:2]
    assert (views, prediction.seed) == (len(observation.images), 3)
    size = observation.images[0].shape  # of exactly the engine's size: seen whole
    assert prediction.video.shape == (views, frames, *size)
    assert prediction.windows_px.tolist() == [[0, 0, size[1], size[0]]] * views
    assert np.allclose(prediction.intrinsics, observation.intrinsics)
    assert np.isfinite(prediction.tracks).all()


def test_an_engine_takes_whole_images_each_of_its_size_and_says_what_it_saw(engine_and_observation):
    engine, observation = engine_and_observation
    large = np.pad(observation.images[1], ((10, 30), (80, 60), (0, 0)))
    mixed = replace(observation, images=(observation.images[0], large, *observation.images[2:]))
    prediction, _ = generate(engine, mixed, steps=1)
    left, top, width, height = prediction.windows_px[1]
    video_height, video_width = prediction.video.shape[2:4]
    assert left >= 0 and top >= 0 and left + width <= large.shape[1] and top + height <= large.shape[0]
    assert width / height == pytest.approx(video_width / video_height)
    k = mixed.intrinsics[1]
    assert prediction.intrinsics[1, 0, 0] == pytest.approx(k[0, 0] * video_width / width)
    assert prediction.intrinsics[1, 1, 2] == pytest.approx((k[1, 2] - top + 0.5) * video_height / height - 0.5)
    anchors = prediction.anchors_px[1]
    assert ((anchors >= [left - 0.5, top - 0.5]) & (anchors <= [left + width - 0.5, top + height - 0.5])).all()


@pytest.mark.parametrize("steps", [None, 3])
def test_every_step_is_reported(engine_and_observation, steps):
    engine, observation = engine_and_observation
    count = steps or engine.steps
    assert generate(engine, observation, steps=steps)[1] == [(done + 1, count) for done in range(count)]


def test_a_cancelled_request_ends_before_its_next_step(engine_and_observation):
    engine, observation = engine_and_observation
    reported = []
    with pytest.raises(Cancelled):
        engine.generate(
            observation, seed=0, steps=4, progress=lambda *at: reported.append(at), cancelled=lambda: len(reported) == 2
        )
    assert reported == [(1, 4), (2, 4)]


def test_no_steps_at_all_are_refused(engine_and_observation):
    engine, observation = engine_and_observation
    with pytest.raises(ValueError, match="steps.*0"):
        generate(engine, observation, steps=0)


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="eager, compile.*'warp'"):
        load_engine("warp")


def test_every_engine_of_the_model_has_a_loader():
    pytest.importorskip("torch", reason=NO_TORCH)
    from syncmv4d_model.predictor import ENGINES

    assert set(ENGINES) <= set(LOADERS)


def test_a_missing_checkpoint_is_named(tmp_path):
    pytest.importorskip("torch", reason=NO_TORCH)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_engine("eager", tmp_path / "nowhere")


def test_without_torch_a_local_engine_is_refused_with_what_to_install():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from syncmv4d_ros.engine import load_engine\n"
        "try: load_engine('eager')\n"
        "except ValueError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "'eager' needs the package 'torch'" in run.stdout and ".[model]" in run.stdout
