"""No input of a predictor that comes from a bag knows the future: images after the reference set
change nothing.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from syncmv4d_cli.evaluate_bag import _scene
from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.window import choose_windows
from syncmv4d_model.evaluation.recorded import evaluate_scenes
from syncmv4d_ros.recorder import Recorder, record_camera_info, record_image, record_rig
from syncmv4d_ros.recording import BagOptions, Recording
from tests.model.honest_inputs import bits
from tests.model.scene_folders import small_rig
from tests.ros.recorded_scenes import PERIOD_NS, START_NS, moments

RIG = small_rig(2, width=32, height=24)
FRAMES, PATCH = 5, 6
CONFIG = replace(ModelConfig(), num_frames=FRAMES, height=16, width=16, num_points=8, frame_period_s=PERIOD_NS / 1e9)


class Asked(Exception):
    """The predictor has what it is given."""


class Spy:
    """A predictor that keeps what it is given and gives nothing back; its windows lie about the bright patch."""

    config = CONFIG

    def find_windows(self, observation):
        return windows_about_the_patch([observation.images]), []

    def predict(self, observation, *, steps, seed, anchors_px):
        self.observation, self.anchors_px = observation, anchors_px
        raise Asked


def image(view: int, n: int, step: int) -> np.ndarray:
    """A bright patch that goes `step` pixels to the right from image to image."""
    picture = np.random.default_rng([view, 7]).integers(0, 60, (24, 32, 3)).astype(np.uint8)
    picture[8 : 8 + PATCH, 3 + step * n : 3 + step * n + PATCH] = 220
    return picture


def record_patch(path: Path, *, step: int) -> Path:
    """A bag that is asked once its first images are there."""
    with Recorder(path) as recorder:
        record_rig(recorder, dict(zip(RIG.view_names, RIG.camera_from_world, strict=True)), START_NS)
        for view, name in enumerate(RIG.view_names):
            for n, stamp_ns in enumerate(moments(FRAMES, start_ns=START_NS)):
                record_image(recorder, name, image(view, n, step), stamp_ns)
                record_camera_info(
                    recorder, name, stamp_ns=stamp_ns, intrinsics=RIG.intrinsics[view], size=RIG.sizes[view]
                )
        recorder.write("/task", recorder.message("std_msgs/msg/String", data="push the box"), START_NS + 1)
    return path


def given_to_predictor(bag: Path, *, later: int = 0) -> tuple[bytes, list[list[np.ndarray]]]:
    """(what a predictor is given, the images [T][V] of all frames); of the set that is `later` than the one that was asked of."""
    spy = Spy()
    with Recording(bag, BagOptions()) as recording:
        (request,) = recording.requests
        request = replace(request, chosen=tuple(index + later for index in request.chosen))
        scene = _scene(recording, request, spy, name="000000")
        with pytest.raises(Asked):
            evaluate_scenes(spy, [scene], name="bag")
        images, _ = recording.images(request, count=FRAMES, period_s=CONFIG.frame_period_s)
    return bits((spy.observation, spy.anchors_px, scene.seen)), images


def windows_about_the_patch(frames) -> np.ndarray:
    """Of what is bright in any of the images [T][V] of a view."""
    boxes, sizes = [], []
    for view in zip(*frames, strict=True):
        _, rows, columns = np.nonzero(np.stack(view).min(-1) > 150)
        boxes.append([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
        sizes.append(view[0].shape[1::-1])
    return choose_windows(np.array(boxes, float), sizes)


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """Two bags with the same first set of images."""
    folder = tmp_path_factory.mktemp("bags")
    return [record_patch(folder / name, step=step) for name, step in (("slow", 1), ("fast", 4))]


def test_images_after_the_reference_set_change_no_input(bags):
    (one, images), (other, other_images) = map(given_to_predictor, bags)
    assert not np.array_equal(images[1:], other_images[1:]), "the futures do differ"
    assert one == other


def test_the_test_finds_windows_that_know_later_images_and_another_reference_set(bags):
    images, others = (given_to_predictor(bag)[1] for bag in bags)
    np.testing.assert_array_equal(windows_about_the_patch(images[:1]), windows_about_the_patch(others[:1]))
    assert not np.array_equal(windows_about_the_patch(images), windows_about_the_patch(others))
    one, other = (given_to_predictor(bag, later=1)[0] for bag in bags)
    assert one != other
