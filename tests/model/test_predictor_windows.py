"""The predictor on whole images: what its windows are about, and the way there and back."""

from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_model.data.observation import cut_windows
from syncmv4d_model.data.window import OBJECTS, ROOM, FoundObjects
from syncmv4d_model.evaluation.case import observation_of
from syncmv4d_model.geometry import project, transform
from syncmv4d_model.predictor import Predictor
from syncmv4d_model.types import Observation
from tests.model.tiny_model import shaken, tiny_checkpoint, tiny_sequence

SIZE = {"height": 32, "width": 32}
OFFSETS = np.array([[20, 8], [3, 30], [41, 17]])
"""Where each view's 32 x 32 px lie in its whole image."""
WHOLE = ((80, 64), (60, 70), (90, 50))


@pytest.fixture(scope="module")
def components(tmp_path_factory):
    return shaken(tiny_checkpoint(tmp_path_factory.mktemp("tiny"))[2])


def inside_larger_images(sequence) -> Observation:
    """The sequence's first frames as parts of larger images."""
    plain, rng = observation_of(sequence), np.random.default_rng(0)
    images, intrinsics = [], plain.intrinsics.copy()
    for image, (left, top), (width, height) in zip(plain.images, OFFSETS, WHOLE, strict=True):
        whole = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        whole[top : top + 32, left : left + 32] = image
        images.append(whole)
    intrinsics[:, :2, 2] += OFFSETS
    return replace(plain, images=tuple(images), intrinsics=intrinsics)


class Told:
    """A finder that is told where the objects are."""

    def __init__(self, boxes_px):
        self.boxes_px, self.asked = boxes_px, []

    def __call__(self, images, task):
        self.asked.append(([image.shape for image in images], task))
        return FoundObjects(self.boxes_px, np.isfinite(self.boxes_px).all(-1).astype(float))


def boxes_for(offsets) -> np.ndarray:
    """Boxes whose windows are the 32 x 32 px at these offsets."""
    margin = 16 * (1 - 1 / ROOM)
    corners = np.concatenate([offsets + margin, offsets + 32 - margin], axis=1)
    return np.repeat(corners[:, None], 3, axis=1)


@pytest.fixture
def finder():
    return Told(boxes_for(OFFSETS))


def test_with_a_finder_a_part_of_the_images_gives_what_that_part_alone_gives(components, finder):
    sequence = tiny_sequence(7)
    anchors = sequence.anchors_px[:, ::16]
    alone = Predictor(components).predict(observation_of(sequence), seed=2, anchors_px=anchors)
    part = Predictor(components, finder=finder).predict(
        inside_larger_images(sequence), seed=2, anchors_px=anchors + OFFSETS[:, None]
    )
    assert finder.asked == [([(h, w, 3) for w, h in WHOLE], sequence.task)]
    assert np.array_equal(part.video, alone.video)
    for name in ("tracks", "coarse_tracks", "stddev"):
        assert np.allclose(getattr(part, name), getattr(alone, name), atol=1e-4), name
    assert np.allclose(part.windows_px, np.concatenate([OFFSETS, np.full((3, 2), 32)], axis=1))
    assert np.allclose(part.intrinsics, alone.intrinsics)
    assert np.array_equal(part.anchors_px, (anchors + OFFSETS[:, None]).astype(np.float32))


def test_anchors_that_the_model_chooses_are_pixels_of_the_whole_images(components, finder):
    observation = inside_larger_images(tiny_sequence(7))
    alone = Predictor(components).predict(observation_of(tiny_sequence(7)), seed=2)
    part = Predictor(components, finder=finder).predict(observation, seed=2)
    assert np.allclose(part.anchors_px, alone.anchors_px + OFFSETS[:, None], atol=1e-3)


def test_coarse_tracks_project_through_the_whole_images_to_their_anchors(components, finder):
    observation = inside_larger_images(tiny_sequence(7))
    prediction = Predictor(components, finder=finder).predict(observation, seed=2)
    in_camera = transform(observation.camera_from_world, prediction.coarse_tracks[:, 0].astype(float))
    off = project(observation.intrinsics, in_camera) - prediction.anchors_px
    found = np.isfinite(off).all(-1)
    in_video = project(prediction.intrinsics, in_camera)
    window_px = (project(observation.intrinsics, in_camera) - OFFSETS[:, None])[found]
    assert found.any() and np.allclose(in_video[found], window_px, atol=1e-3)


def test_without_a_finder_the_windows_are_the_largest_centred_ones(components):
    windows_px, warnings = Predictor(components).find_windows(inside_larger_images(tiny_sequence(7)))
    assert windows_px.tolist() == [[8, 0, 64, 64], [0, 5, 60, 60], [20, 0, 50, 50]] and warnings == []


def test_what_is_not_found_is_a_warning_of_the_result(components):
    boxes = boxes_for(OFFSETS)
    boxes[1, OBJECTS.index("tool")] = np.nan
    prediction = Predictor(components, finder=Told(boxes)).predict(inside_larger_images(tiny_sequence(7)), steps=1)
    assert any("the tool was not found in centre" in warning for warning in prediction.warnings)
    assert prediction.windows_px[1].tolist() == pytest.approx([3, 30, 32, 32])


def test_anchors_outside_the_window_are_claimed_nothing_of_and_counted(components, finder):
    sequence = tiny_sequence(7)
    anchors = (sequence.anchors_px[:, :4] + OFFSETS[:, None]).astype(np.float32)
    anchors[1, 2] = [50, 3]
    anchors[2, :2] = [[10, 20], [80, 40]]
    predictor = Predictor(components, finder=finder)
    prediction = predictor.predict(inside_larger_images(sequence), seed=2, anchors_px=anchors)
    assert np.array_equal(prediction.anchors_px, anchors)
    outside = np.isnan(prediction.stddev).all(1)
    assert outside.tolist() == [[False] * 4, [False, False, True, False], [True, True, False, False]]
    assert np.array_equal(np.isnan(prediction.stddev).any(1), outside)
    assert not prediction.visible[np.broadcast_to(outside[:, None], prediction.visible.shape)].any()
    assert np.isfinite(prediction.tracks).all()
    told = [warning for warning in prediction.warnings if "outside the part" in warning]
    assert [warning.partition(" anchors")[0] for warning in told] == ["view 'centre': 1 of 4", "view 'right': 2 of 4"]


def test_a_small_image_is_enlarged_as_a_whole(components):
    sequence = tiny_sequence(7)
    plain = observation_of(sequence)
    small = replace(plain, images=tuple(np.ascontiguousarray(image[:16, :16]) for image in plain.images))
    seen, _ = Predictor(components).look(small)
    assert seen.windows_px.tolist() == [[0, 0, 16, 16]] * 3 and seen.images.shape == (3, 32, 32, 3)
    assert np.allclose(seen.intrinsics[:, 0, 0], 2 * plain.intrinsics[:, 0, 0])


def test_a_window_that_reaches_beyond_the_image_is_black_there():
    plain = observation_of(tiny_sequence(7))
    seen = cut_windows(plain, np.tile([-16.0, 0, 32, 32], (3, 1)), **SIZE)
    assert not seen.images[:, :, :16].any()
    assert np.array_equal(seen.images[0, :, 16:], plain.images[0][:, :16])
