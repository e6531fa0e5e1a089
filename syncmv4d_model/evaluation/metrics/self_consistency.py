"""Does a prediction agree with later images and with itself? No truth is needed, so none of these is an error in metres.

A point that follows the same piece of surface keeps its colour; the ratio to what a still scene would give is what counts.
Two views that track the same piece of surface should move it alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from syncmv4d_model.evaluation.metrics.lengths import lengths
from syncmv4d_model.evaluation.metrics.multi_view import MINIMUM_PAIRS, corresponding_points
from syncmv4d_model.evaluation.metrics.refusal import require_finite, require_same_shape, require_some


def colour_differences(
    images: UInt8[np.ndarray, "V T H W 3"], pixels: Float[np.ndarray, "V T K 2"], anchors_px: Float[np.ndarray, "V K 2"]
) -> Float[np.ndarray, "V T K"]:
    """Mean over channels of |colour at the point's pixel in frame n - colour at its anchor in frame 0|, 8-bit values.

    Bilinear, clamped to the image: mask by `inside`.
    """
    views, frames = images.shape[:2]
    result = np.empty(pixels.shape[:-1])
    for v in range(views):
        reference = bilinear(images[v, 0], anchors_px[v])
        for n in range(frames):
            result[v, n] = np.abs(bilinear(images[v, n], pixels[v, n]) - reference).mean(-1)
    return result


def cross_view_colour_error(
    video_a: UInt8[np.ndarray, "T H W 3"],
    video_b: UInt8[np.ndarray, "T H W 3"],
    pixels_a: Float[np.ndarray, "T K 2"],
    pixels_b: Float[np.ndarray, "T K 2"],
    visible: Bool[np.ndarray, "T K"],
) -> float:
    """Mean over visible places at frames n >= 1 and channels of |colour in view a - colour in view b| of the same true point,
    8-bit values: do two generated videos show the same thing where both should see it?

    `visible`: by both views. Bilinear. ValueError where there is no such place.
    """
    require_same_shape(video_a=video_a, video_b=video_b)
    return SharedPlaces.of(pixels_a, pixels_b, visible, size=video_a.shape[1:3]).colour_error(video_a, video_b)


@dataclass(frozen=True)
class SharedPlaces:
    """Where two views see the same points, for the colours there in several pairs of videos."""

    places_a: _Places
    places_b: _Places

    @classmethod
    def of(
        cls,
        pixels_a: Float[np.ndarray, "T K 2"],
        pixels_b: Float[np.ndarray, "T K 2"],
        visible: Bool[np.ndarray, "T K"],
        *,
        size: tuple[int, ...],
    ) -> SharedPlaces:
        """As `cross_view_colour_error`, and its errors; `size` is (height, width)."""
        require_same_shape(pixels_a=pixels_a[..., 0], pixels_b=pixels_b[..., 0], visible=visible)
        height, width = size
        seen = visible & inside(pixels_a, height=height, width=width) & inside(pixels_b, height=height, width=width)
        seen[0] = False
        require_some(int(seen.sum()), "places that two views see")
        frames = np.nonzero(seen)[0]
        return cls(_Places.of(frames, pixels_a[seen], size), _Places.of(frames, pixels_b[seen], size))

    def colour_error(self, video_a: UInt8[np.ndarray, "T H W 3"], video_b: UInt8[np.ndarray, "T H W 3"]) -> float:
        """`cross_view_colour_error` of these two."""
        return float(np.abs(self.places_a.colours(video_a) - self.places_b.colours(video_b)).mean())


def mean_where(values: Float[np.ndarray, "*n"], where: Bool[np.ndarray, "*n"], *, what: str) -> float:
    """Mean under the mask; ValueError, saying what there is none of, for an empty mask or values that are not finite."""
    require_same_shape(values=values, where=where)
    require_some(int(where.sum()), what)
    require_finite(values=values[where])
    return float(values[where].mean())


def view_disagreement(
    tracks: Float[np.ndarray, "V T K 3"], visible: Bool[np.ndarray, "V T K"], label: UInt8[np.ndarray, "V K"]
) -> tuple[float, float]:
    """(mean |(p_n - p_0) - (q_n - q_0)|, mean |p_n - p_0|) in metres over pairs of points p, q of two views that are the same
    piece of surface by the prediction's own frame 0 (as corresponding_points: 5 mm, same label), frames n >= 1, both visible.

    A frozen prediction disagrees by 0 and moves by 0: read one beside the other. ValueError for one view, for fewer than 4
    pairs in every two views, and where no pair is visible in both.
    """
    require_some(len(tracks), "views", at_least=2)
    moved = tracks.astype(np.float64) - tracks[:, :1]
    apart, length = [], []
    for i, j in combinations(range(len(tracks)), 2):
        first, second = corresponding_points(tracks[i, 0], tracks[j, 0], first_label=label[i], second_label=label[j])
        if len(first) < MINIMUM_PAIRS:
            continue
        seen = (visible[i][:, first] & visible[j][:, second])[1:]
        one, other = moved[i][1:, first][seen], moved[j][1:, second][seen]
        apart.append(lengths(one - other))
        length += [lengths(one), lengths(other)]
    if not apart:
        raise ValueError(f"no two views share {MINIMUM_PAIRS} predicted points within 5 mm at frame 0")
    require_some(sum(map(len, apart)), "places where two views see the same predicted point")
    return float(np.concatenate(apart).mean()), float(np.concatenate(length).mean())


def inside(pixels: Float[np.ndarray, "*n 2"], *, height: int, width: int) -> Bool[np.ndarray, "*n"]:
    """Which pixels (integer centres) lie in an image of this size; NaN does not."""
    return np.asarray(((pixels >= -0.5) & (pixels < np.array([width, height]) - 0.5)).all(-1))


def bilinear(image: UInt8[np.ndarray, "H W 3"], pixels: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, "K 3"]:
    """Colours at fractional pixels; outside the image those of its edge, at NaN those of the first pixel."""
    return _Places.of(np.zeros(len(pixels), np.intp), pixels, image.shape[:2]).colours(image[None])


@dataclass(frozen=True)
class _Places:
    """Fractional pixels in frames of a video: the pixels about each of them, numbered through all frames, and their shares."""

    corners: tuple[Int[np.ndarray, "N"], ...]  # upper left, upper right, lower left, lower right
    right: Float[np.ndarray, "N 1"]
    down: Float[np.ndarray, "N 1"]
    size: tuple[int, ...]  # height, width

    @classmethod
    def of(cls, frames: Int[np.ndarray, "N"], pixels: Float[np.ndarray, "N 2"], size: tuple[int, ...]) -> _Places:
        """One pixel for each of these frames."""
        height, width = size
        limit = np.array([width - 1, height - 1])
        where = np.clip(np.nan_to_num(pixels.astype(np.float64)), 0, limit)
        low = np.floor(where).astype(np.intp)
        high = np.minimum(low + 1, limit)
        right, down = ((where - low)[:, i, None] for i in (0, 1))
        rows = ((frames * height + y[:, 1]) * width for y in (low, high))
        return cls(tuple(row + x[:, 0] for row in rows for x in (low, high)), right, down, tuple(size))

    def colours(self, video: UInt8[np.ndarray, "T H W 3"]) -> Float[np.ndarray, "N 3"]:
        """Bilinear. ValueError for pictures of another size."""
        if video.shape[1:3] != self.size:
            raise ValueError(f"the places are of pictures of {list(self.size)} pixels, got {list(video.shape[1:3])}")
        ones = [video.reshape(-1, 3).take(corner, axis=0) for corner in self.corners]
        upper, lower = (left * (1 - self.right) + right * self.right for left, right in (ones[:2], ones[2:]))
        return upper * (1 - self.down) + lower * self.down
