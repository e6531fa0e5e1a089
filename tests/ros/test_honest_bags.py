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
    """A predictor that keeps what it is given and gives nothing back."""

    config = CONFIG

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


def given_to_predictor(bag: Path) -> tuple[bytes, np.ndarray]:
    """(what a predictor is given, the images of all frames [V T H W 3] that it is scored against)."""
    spy = Spy()
    with Recording(bag, BagOptions()) as recording:
        (request,) = recording.requests
        scene = _scene(recording, request, CONFIG, name="000000")
        with pytest.raises(Asked):
            evaluate_scenes(spy, [scene], name="bag")
    return bits(spy.observation) + bits(spy.anchors_px), scene.frames


def windows_about_the_patch(frames: np.ndarray) -> np.ndarray:
    """Of what is bright in any of the frames [V T H W 3]."""
    boxes = []
    for view in frames:
        _, rows, columns = np.nonzero(view.min(-1) > 150)
        boxes.append([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]])
    return choose_windows(np.array(boxes, float), [(frames.shape[3], frames.shape[2])] * len(frames))


def test_images_after_the_reference_set_change_no_input(tmp_path):
    (one, frames), (other, other_frames) = (
        given_to_predictor(record_patch(tmp_path / name, step=step)) for name, step in (("slow", 1), ("fast", 4))
    )
    assert not np.array_equal(frames[:, 1:], other_frames[:, 1:]), "the futures do differ"
    assert one == other
    # What looks at all frames does tell them apart, and what looks at the first ones does not.
    assert not np.array_equal(windows_about_the_patch(frames), windows_about_the_patch(other_frames))
    np.testing.assert_array_equal(windows_about_the_patch(frames[:, :1]), windows_about_the_patch(other_frames[:, :1]))


def test_the_test_finds_another_reference_set(tmp_path):
    """Had it been asked of the second set, the two bags would differ."""
    given = []
    for name, step in (("slow", 1), ("fast", 4)):
        spy, bag = Spy(), record_patch(tmp_path / name, step=step)
        with Recording(bag, BagOptions()) as recording:
            (request,) = recording.requests
            later = replace(request, chosen=tuple(index + 1 for index in request.chosen))
            with pytest.raises(Asked):
                evaluate_scenes(spy, [_scene(recording, later, CONFIG, name="000000")], name="bag")
        given.append(bits(spy.observation))
    assert given[0] != given[1]
