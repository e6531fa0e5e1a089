"""Approximate time synchronisation: within the slop, newest wins, and every image is accounted for."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_ros.parameters import GeneratorParameters
from syncmv4d_ros.stamps import NS
from syncmv4d_ros.synchronizer import Drop, Synchronizer

MS = NS // 1000
SLOP_MS = 20
NAMES = ("left", "centre", "right")
ARRIVALS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.booleans()), max_size=120)
"""(stream, stamp in ms, whether somebody takes the newest set afterwards), in order of arrival."""


def fed(arrivals, *, names=NAMES, **options):
    """A synchroniser after these (name, ms) arrivals; an item is (name, ms)."""
    sync = Synchronizer(names, slop_s=SLOP_MS / 1000, **options)
    for name, ms in arrivals:
        sync.add(name, ms * MS, (name, ms))
    return sync


def at(ms, *, names=NAMES):
    return [(name, ms) for name in names]


def drops(sync, name):
    """Reasons that occurred, with their counts."""
    return {reason: count for reason, count in sync.counts()[name].dropped.items() if count}


@given(ARRIVALS, st.integers(2, 6), st.integers(1, 3))
@settings(max_examples=200)
def test_no_set_is_wider_than_the_slop_and_every_image_is_accounted_for(arrivals, queue_size, streams):
    sync = Synchronizer(NAMES[:streams], slop_s=SLOP_MS / 1000, queue_size=queue_size, jump_s=0.1)
    received, taken = dict.fromkeys(NAMES[:streams], 0), []
    for stream, ms, takes in arrivals:
        name = NAMES[stream % streams]
        sync.add(name, ms * MS, (name, ms))
        received[name] += 1
        if takes and (synced := sync.take()) is not None:
            taken.append(synced)
            assert max(synced.stamps_ns) - min(synced.stamps_ns) <= SLOP_MS * MS
            assert synced.items == tuple((n, ns // MS) for n, ns in zip(sync.names, synced.stamps_ns, strict=True))
        for stream_name, counts in sync.counts().items():
            assert (
                counts.received == counts.used + sum(counts.dropped.values()) + counts.waiting == received[stream_name]
            )
            assert counts.waiting <= queue_size
            assert counts.used == len(taken)


def newest_by_trying_all(arrivals):
    """The newest set by brute force: the newest latest stamp, then each stream's newest."""
    stamps = [[ms for name, ms in arrivals if name == stream] for stream in NAMES]
    sets = [s for s in itertools.product(*stamps) if max(s) - min(s) <= SLOP_MS]
    return max(sets, key=lambda s: (max(s), sorted(s)), default=None)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 30)), max_size=15))
@settings(max_examples=200)
def test_of_all_sets_that_fit_the_newest_is_taken(steps):
    clock, arrivals = dict.fromkeys(NAMES, 0), []
    for name, step in steps:
        clock[name] += step
        arrivals.append((name, clock[name]))
    synced = fed(arrivals, queue_size=20).take()
    expected = newest_by_trying_all(arrivals)
    assert (synced is None) == (expected is None)
    if synced is not None and expected is not None:
        assert max(synced.stamps_ns) == max(expected) * MS
        assert sorted(synced.stamps_ns) == sorted(ms * MS for ms in expected)


def test_a_set_is_taken_once():
    sync = fed(at(100))
    assert sync.take().items == tuple(at(100))
    assert sync.take() is None


def test_a_set_of_no_use_is_dropped_not_used():
    sync = fed(at(100))
    sync.take()
    sync.refuse()
    assert all(drops(sync, name) == {Drop.UNUSABLE: 1} for name in NAMES)
    assert all(counts.used == 0 for counts in sync.counts().values())


def test_add_says_when_a_new_set_waits():
    sync = Synchronizer(NAMES, slop_s=0.02)
    assert [sync.add(name, ms * MS, None) for name, ms in at(100)] == [False, False, True]


def test_a_set_that_nobody_took_is_superseded():
    sync = fed(at(100) + at(133))
    assert sync.take().stamps_ns == (133 * MS,) * 3
    assert all(drops(sync, name) == {Drop.SUPERSEDED: 1} for name in NAMES)


def test_an_image_stays_in_the_set_when_only_its_partners_are_newer():
    sync = fed([*at(100), ("left", 110), ("centre", 110)])
    assert sync.take().items == (("left", 110), ("centre", 110), ("right", 100))


def test_an_image_whose_partners_never_come_is_counted():
    sync = fed([("left", 0), *at(100)])
    assert drops(sync, "left") == {Drop.NO_PARTNER: 1}


def test_a_camera_that_is_alone_fills_no_memory():
    sync = fed([("left", 33 * frame) for frame in range(1000)], queue_size=8)
    counts = sync.counts()["left"]
    assert (counts.waiting, counts.dropped[Drop.NO_PARTNER]) == (8, 992)


def test_cameras_that_disagree_by_a_second_never_make_a_set():
    sync = fed([(name, ms + 1000 * (name == "right")) for ms in range(0, 900, 33) for name in NAMES])
    assert sync.take() is None
    assert drops(sync, "right").keys() == {Drop.NO_PARTNER}


def test_an_image_from_before_its_streams_last_is_too_old():
    sync = fed([*at(100), ("left", 90), ("left", 100)])
    assert drops(sync, "left") == {Drop.TOO_OLD: 2}
    assert sync.take().items == tuple(at(100))


def test_a_set_older_than_the_taker_accepts_is_too_old():
    sync = fed(at(100))
    assert sync.take(oldest_ns=101 * MS) is None
    assert all(drops(sync, name) == {Drop.TOO_OLD: 1} for name in NAMES)


def test_after_stamps_jump_back_sets_form_again():
    sync = fed([*at(10_000), *at(20), *at(53)])
    assert drops(sync, "left") == {Drop.JUMPED_BACK: 1, Drop.SUPERSEDED: 1}
    assert sync.take().items == tuple(at(53))


def test_no_set_mixes_images_from_before_and_after_a_jump():
    sync = fed([*at(10_000), ("left", 20), ("centre", 20)])
    assert sync.take() is None


def test_one_camera_makes_a_set_of_every_image():
    sync = fed([("only", 5)], names=("only",))
    assert sync.take().items == (("only", 5),)


def test_clearing_lets_go_of_everything_and_allows_any_clock():
    sync = fed(at(10_000))
    sync.clear()
    assert sync.take() is None
    assert all(counts.waiting == 0 for counts in sync.counts().values())
    sync.add("left", 1, None)
    assert drops(sync, "left") == {Drop.SUPERSEDED: 1}


def test_threads_lose_no_image():
    sync = Synchronizer(NAMES, slop_s=0.02)
    taken, stop = [], threading.Event()

    def produce(name):
        for frame in range(2000):
            sync.add(name, frame * 33 * MS, (name, frame))

    def consume():
        while not stop.is_set():
            if (synced := sync.take()) is not None:
                taken.append(synced)

    taker = threading.Thread(target=consume)
    producers = [threading.Thread(target=produce, args=(name,)) for name in NAMES]
    for thread in (taker, *producers):
        thread.start()
    for thread in producers:
        thread.join()
    stop.set()
    taker.join()
    assert all(max(s.stamps_ns) - min(s.stamps_ns) <= SLOP_MS * MS for s in taken)
    for counts in sync.counts().values():
        assert counts.received == 2000 == counts.used + sum(counts.dropped.values()) + counts.waiting
        assert counts.used == len(taken)


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "distinct names, got \\[\\]"),
        (["a", "a"], {}, "distinct names"),
        (["a"], {"slop_s": -0.1}, "slop_s must be .* got -0.1"),
        (["a"], {"slop_s": float("nan")}, "slop_s must be .* got nan"),
        (["a"], {"jump_s": -1.0}, "jump_s must be .* got -1.0"),
        (["a"], {"queue_size": 1}, "queue_size must be at least 2.* got 1"),
    ],
)
def test_refused(names, options, message):
    with pytest.raises(ValueError, match=message):
        Synchronizer(names, **({"slop_s": 0.02} | options))


def test_an_unknown_stream_is_a_mistake():
    with pytest.raises(KeyError, match="top"):
        Synchronizer(NAMES, slop_s=0.02).add("top", 0, None)


@given(st.lists(st.booleans(), min_size=10, max_size=60))
def test_with_the_nodes_slop_a_neighbour_in_time_is_never_taken_for_the_partner(order):
    """Two triggered cameras at 30 Hz, whose images arrive in any order, and somebody who takes whatever is there."""
    synchronizer, sent = Synchronizer(("left", "right"), slop_s=GeneratorParameters().slop_s), {"left": 0, "right": 0}
    for is_left in order:
        name = "left" if is_left else "right"
        synchronizer.add(name, sent[name] * NS // 30, None)
        sent[name] += 1
        taken = synchronizer.take()
        assert taken is None or len(set(taken.stamps_ns)) == 1
