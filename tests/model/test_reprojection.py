"""Where what moves is projected, and where pictures change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_model.data.reprojection import reprojection_offset


def walking_square(rng: np.random.Generator, right: int, down: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of a textured square that walks, and its projected speed, `right` and `down` too far left and up."""
    frames, size, side = 7, 64, 10
    video = np.full((frames, size, size, 3), 90.0) + rng.normal(scale=2, size=(frames, size, size, 3))
    speed, texture = np.zeros((frames - 1, size, size), np.float32), rng.uniform(0, 255, (side, side, 3))
    places = 22 + np.cumsum(rng.integers(0, 4, (frames, 2)), axis=0)
    for n, (row, column) in enumerate(places):
        video[n, row : row + side, column : column + side] = texture
    for n in range(frames - 1):
        for row, column in places[n : n + 2]:
            up, left = row - down, column - right
            speed[n, up : up + side, left : left + side] = np.linalg.norm(places[n + 1] - places[n])
    return video.clip(0, 255).astype(np.uint8), speed


@given(seed=st.integers(0, 2**32 - 1), right=st.integers(-12, 12), down=st.integers(-12, 12))
def test_the_offset_is_how_far_the_projection_is_beside_the_motion(seed, right, down):
    rng = np.random.default_rng(seed)
    video, speed = walking_square(rng, right, down)
    x, y, likeness = reprojection_offset(video, speed)
    assert abs(x - right) <= 2 and abs(y - down) <= 2 and 0.4 < likeness <= 1


def test_what_does_not_move_has_no_offset():
    video, speed = walking_square(np.random.default_rng(0), 0, 0)
    still = np.repeat(video[:1], 7, 0)
    for pictures, projected in ((video, np.zeros_like(speed)), (still, speed)):
        with pytest.raises(ValueError, match="nothing moves"):
            reprojection_offset(pictures, projected)


def test_speed_of_other_frames_is_refused():
    video, speed = walking_square(np.random.default_rng(0), 0, 0)
    with pytest.raises(ValueError, match=r"must be \[6, 64, 64\] beside this video, got \[5, 64, 64\]"):
        reprojection_offset(video, speed[1:])
