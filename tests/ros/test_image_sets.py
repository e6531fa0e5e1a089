"""Which recorded images belong together: never farther apart than allowed, and never missed where they are exact."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_ros.image_sets import following, smallest_spread, synchronised

stamp_lists = st.lists(
    st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True).map(sorted), min_size=1, max_size=4
)


@given(stamps=stamp_lists, slop=st.integers(0, 60))
def test_a_set_is_never_wider_than_the_slop_and_exact_moments_are_never_missed(stamps, slop):
    arrays = [np.array(row, dtype=np.int64) for row in stamps]
    sets = synchronised(arrays, slop)
    chosen = np.array([[arrays[v][i] for v, i in enumerate(row)] for row in sets]).reshape(-1, len(arrays))
    assert (np.ptp(chosen, axis=1) <= slop).all()
    common = set(stamps[0]).intersection(*map(set, stamps))
    assert common <= {row[0] for row in chosen.tolist() if len(set(row)) == 1}
    assert (len(sets) == 0) == (smallest_spread(arrays) > slop)


@given(stamps=stamp_lists, start=st.integers(0, 300), period=st.integers(1, 60), tolerance=st.integers(0, 30))
def test_the_following_images_are_the_nearest_in_time_and_missing_beyond_the_tolerance(
    stamps, start, period, tolerance
):
    arrays = [np.array(row, dtype=np.int64) for row in stamps]
    indices, found = following(arrays, start, count=4, period_ns=period, tolerance_ns=tolerance)
    for row, array, there in zip(indices, arrays, found, strict=True):
        for n in range(4):
            off = np.abs(array - (start + n * period))
            assert off[row[n]] == off.min()
            assert there[n] == (off.min() <= tolerance)
