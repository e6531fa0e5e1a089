"""PointTracks as arrays: nothing is lost on the way to a planner, and a message that contradicts itself is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_model.types import LABELS
from syncmv4d_ros.definitions import POINT_TRACKS, typestore
from syncmv4d_ros.planning import TrackedPoints, flattened
from syncmv4d_ros.track_messages import read_point_tracks, track_fields

VIEWS = ("left", "right")


def random_points(seed=0, *, views=2, frames=4, per_view=5, known=True):
    rng = np.random.default_rng(seed)
    shape = (views, frames, per_view)
    stddev = rng.uniform(0, 0.1, shape) if known else np.full(shape, np.nan)
    return flattened(
        rng.normal(size=(*shape, 3)).astype(np.float32),
        rng.random(shape) < 0.5,
        stddev.astype(np.float32),
        rng.integers(0, 4, (views, per_view)).astype(np.uint8),
        frame_period_s=0.125,
    )


def filled(points, views=VIEWS, **changes):
    """A duck-typed PointTracks; `changes` overrule its fields."""
    header = SimpleNamespace(frame_id="table", stamp=SimpleNamespace(sec=0, nanosec=0))
    fields = track_fields(points, view_names=views, task="stir", plan_id="plan-7")
    return SimpleNamespace(header=header, **fields | changes)


def assert_same(one: TrackedPoints, other: TrackedPoints):
    for name in ("positions", "visible", "stddev", "label"):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "stddev"), name
    assert one.frame_period_s == other.frame_period_s


@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 6), st.integers(0, 9), st.booleans())
def test_tracks_come_back_as_they_were(seed, views, frames, per_view, known):
    points = random_points(seed, views=views, frames=frames, per_view=per_view, known=known)
    names = tuple(f"camera_{view}" for view in range(views))
    received = read_point_tracks(filled(points, names))
    assert_same(received.points, points)
    assert (received.view_names, received.task, received.plan_id, received.frame_id) == (
        names,
        "stir",
        "plan-7",
        "table",
    )


def test_the_arrays_of_a_prediction_come_back_view_by_view_in_any_order():
    rng = np.random.default_rng(0)
    positions, label = rng.normal(size=(2, 4, 5, 3)).astype(np.float32), rng.integers(0, 4, (2, 5), np.uint8)
    visible, stddev = rng.random((2, 4, 5)) < 0.5, rng.random((2, 4, 5)).astype(np.float32)
    received = read_point_tracks(filled(flattened(positions, visible, stddev, label, frame_period_s=0.1)))
    for names, order in ((None, [0, 1]), (("right", "left"), [1, 0])):
        arrays = received.by_view(names)
        assert arrays.view_names == tuple(VIEWS[i] for i in order)
        for name, sent in {"positions": positions, "visible": visible, "stddev": stddev, "label": label}.items():
            assert np.array_equal(getattr(arrays, name), sent[order]), name
    with pytest.raises(ValueError, match="the views are left, right, not left, top"):
        received.by_view(("left", "top"))


def test_a_message_that_was_recorded_is_read_like_a_live_one():
    """Not every class of the message holds the same kinds of arrays."""
    pytest.importorskip("rosbags", reason="rosbags is not installed: the eval extra")
    points, store = random_points(), typestore()
    fields = track_fields(points, view_names=VIEWS, task="stir", plan_id="plan-7")
    stamp = store.types["builtin_interfaces/msg/Time"](sec=3, nanosec=5)
    header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="table")
    written = store.serialize_cdr(store.types[POINT_TRACKS](header=header, **fields), POINT_TRACKS)
    received = read_point_tracks(store.deserialize_cdr(written, POINT_TRACKS))
    assert_same(received.points, points)
    assert received.stamp_ns == 3_000_000_005


REFUSED = {
    "short positions": ({"positions": [0.0] * 119}, r"positions has 119 numbers, \[4, 10, 3\] needs 120"),
    "short visible": ({"visible": b""}, "visible has 0 numbers"),
    "short label": ({"label": [0] * 9}, r"label has 9 numbers, \[10\] needs 10"),
    "no frames": ({"num_frames": 0}, "claims 0 frames of 10 points"),
    "absurd": ({"num_points": 2**32 - 1}, "claims 4 frames of 4294967295 points"),
    "NaN": ({"positions": [float("nan")] * 120}, "40 of 40 positions are not finite"),
    "unknown label": ({"label": [4] * 10}, "label 4 is unknown"),
    "unknown view": ({"source_view": [2] * 10}, "source_view 2, but 2 views"),
    "no time": ({"frame_period_s": 0.0}, "frame_period_s must be positive, got 0"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_tracks_that_contradict_themselves_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        read_point_tracks(filled(random_points(), **changes))


def arrays(dtype, values):
    return st.lists(values, max_size=24).map(lambda numbers: np.array(numbers, dtype))


counts = st.one_of(st.integers(0, 4), st.integers(0, 2**32 - 1))
bytes_or_bits = arrays(np.uint8, st.one_of(st.integers(0, 3), st.integers(0, 255)))
floats32 = arrays(np.float32, st.one_of(st.floats(-1, 1, width=32), st.floats(width=32)))
CHANGES = {
    "num_frames": counts, "num_points": counts, "frame_period_s": st.floats(width=32), "positions": floats32,
    "visible": bytes_or_bits, "stddev": floats32, "label": bytes_or_bits, "source_view": bytes_or_bits,
    "views": st.lists(st.text(max_size=4), max_size=3), "task": st.text(), "plan_id": st.text(),
}  # fmt: skip


@given(st.integers(0, 2), st.integers(1, 2), st.integers(0, 2), st.fixed_dictionaries({}, optional=CHANGES))
@settings(max_examples=400)
def test_any_tracks_are_read_whole_or_refused(seed, frames, per_view, changes):
    message = SimpleNamespace(**vars(filled(random_points(seed, frames=frames, per_view=per_view))) | changes)
    try:
        received = read_point_tracks(message)
    except ValueError as error:
        assert len(str(error)) < 300
        return
    points = received.points
    assert points.positions.shape == (message.num_frames, message.num_points, 3) == (*points.visible.shape, 3)
    assert points.visible.shape == points.stddev.shape and len(points.label) == message.num_points
    assert np.isfinite(points.positions).all() and not (points.label >= len(LABELS)).any()
    assert 0 < points.frame_period_s < np.inf and (received.source_view < max(len(received.view_names), 1)).all()
    try:
        views = received.by_view()
    except ValueError:
        return
    assert views.positions.shape[0] == len(received.view_names)


def test_views_with_unequal_points_have_no_arrays_by_view():
    received = read_point_tracks(filled(random_points(), source_view=[0] * 4 + [1] * 6))
    with pytest.raises(ValueError, match=r"\[4, 6\] of 2 views"):
        received.by_view()


def test_points_that_do_not_divide_among_the_views_are_refused():
    with pytest.raises(ValueError, match="10 points cannot come from 3 views"):
        filled(random_points(), ("a", "b", "c"))
