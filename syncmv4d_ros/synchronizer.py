"""Sets of images taken at about the same time, from streams that arrive whenever they like. Pure Python, no ROS.

Newest wins: a complete set waits until it is taken or a newer one replaces it. Each image that comes to nothing is counted
with its reason, so that per stream `received = used + dropped + waiting` at any moment.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from syncmv4d_ros.stamps import NS


class Drop(Enum):
    """Why an image came to nothing."""

    TOO_OLD = "too old"  # not newer than its stream's last, or older than the taker accepts
    NO_PARTNER = "no partner within slop"
    SUPERSEDED = "superseded"  # it was in a complete set, which a newer one replaced before it was taken
    UNUSABLE = "unusable"  # it was taken, and an image of its set, its calibration or its pose was of no use
    JUMPED_BACK = "stamps jumped back"  # it was waiting when its stream's clock went back, as when a bag starts again


@dataclass(frozen=True)
class SyncedSet:
    """One image per stream, whose stamps differ by at most the slop."""

    stamps_ns: tuple[int, ...]
    items: tuple[Any, ...]  # in the order of the streams' names


@dataclass(frozen=True)
class StreamCounts:
    """What became of one stream's images."""

    received: int
    used: int
    dropped: Mapping[Drop, int]
    waiting: int


@dataclass(eq=False)
class _Entry:
    stamp_ns: int
    item: Any


class Synchronizer:
    """Approximate time synchronisation of V >= 1 named streams. Any thread may call any method."""

    def __init__(self, names: Sequence[str], *, slop_s: float, queue_size: int = 8, jump_s: float = 0.5) -> None:
        """Stamps of a set differ by at most `slop_s`; each stream keeps at most `queue_size` images; a stamp more than `jump_s`
        behind its stream's last is a clock that was set back. ValueError for numbers or names that make no sense.
        """
        if not names or len(set(names)) != len(names):
            raise ValueError(f"streams need distinct names, got {list(names)}")
        if not 0 <= slop_s < float("inf"):
            raise ValueError(f"slop_s must be a number of seconds, not negative, got {slop_s}")
        if not 0 <= jump_s < float("inf"):
            raise ValueError(f"jump_s must be a number of seconds, not negative, got {jump_s}")
        if queue_size < 2:
            raise ValueError(
                f"queue_size must be at least 2, one that waits to be taken and one newer, got {queue_size}"
            )
        self.names = tuple(names)
        self._slop_ns, self._jump_ns, self._queue_size = round(slop_s * NS), round(jump_s * NS), queue_size
        self._waiting: dict[str, deque[_Entry]] = {name: deque() for name in names}  # stamps rise
        self._last_ns: dict[str, int | None] = dict.fromkeys(names)
        self._ready: tuple[_Entry, ...] | None = None  # entries that also wait, each the oldest of its stream
        self._received: Counter[str] = Counter()
        self._used: Counter[str] = Counter()
        self._dropped: dict[str, Counter[Drop]] = {name: Counter() for name in names}
        self._lock = threading.Lock()

    def add(self, name: str, stamp_ns: int, item: Any) -> bool:
        """Store an image. Whether a new complete set now waits to be taken. KeyError for an unknown stream."""
        with self._lock:
            waiting, last = self._waiting[name], self._last_ns[name]
            self._received[name] += 1
            if last is not None and stamp_ns <= last:
                if last - stamp_ns <= self._jump_ns:
                    self._dropped[name][Drop.TOO_OLD] += 1
                    return False
                self._forget(name)
            self._last_ns[name] = stamp_ns
            waiting.append(_Entry(stamp_ns, item))
            if len(waiting) > self._queue_size:
                oldest = 1 if self._ready is not None else 0  # the first belongs to the set that waits to be taken
                del waiting[oldest]
                self._dropped[name][Drop.NO_PARTNER] += 1
            return self._match()

    def take(self, *, oldest_ns: int | None = None) -> SyncedSet | None:
        """The newest complete set, once; None if there is none. One with a stamp before `oldest_ns` is dropped as too old."""
        with self._lock:
            if self._ready is None:
                return None
            taken, self._ready = self._ready, None
            too_old = oldest_ns is not None and min(entry.stamp_ns for entry in taken) < oldest_ns
            for name, entry in zip(self.names, taken, strict=True):
                self._waiting[name].remove(entry)
                if too_old:
                    self._dropped[name][Drop.TOO_OLD] += 1
                else:
                    self._used[name] += 1
            if too_old:
                return None
            return SyncedSet(tuple(entry.stamp_ns for entry in taken), tuple(entry.item for entry in taken))

    def refuse(self) -> None:
        """A set that was taken has come to nothing: its images count as dropped, not as used."""
        with self._lock:
            for name in self.names:
                self._used[name] -= 1
                self._dropped[name][Drop.UNUSABLE] += 1

    def clear(self) -> None:
        """Let go of every image, as when the node is deactivated: counted as superseded; clocks may start anywhere again."""
        with self._lock:
            self._ready = None
            for name, waiting in self._waiting.items():
                self._dropped[name][Drop.SUPERSEDED] += len(waiting)
                waiting.clear()
                self._last_ns[name] = None

    def counts(self) -> dict[str, StreamCounts]:
        """What became of each stream's images so far."""
        with self._lock:
            return {
                name: StreamCounts(
                    received=self._received[name],
                    used=self._used[name],
                    dropped={reason: self._dropped[name][reason] for reason in Drop},
                    waiting=len(self._waiting[name]),
                )
                for name in self.names
            }

    def _forget(self, name: str) -> None:
        """A stream's clock went back: nothing of it that waits will find a partner."""
        self._dropped[name][Drop.JUMPED_BACK] += len(self._waiting[name])
        self._waiting[name].clear()
        self._ready = None

    def _match(self) -> bool:
        """Make the newest complete set the one to take; whether it is another than before."""
        newest = self._newest_set()
        if newest is None or newest == self._ready:
            return False
        replaced = self._ready or ()
        for name, entry in zip(self.names, newest, strict=True):
            waiting = self._waiting[name]
            while waiting[0] is not entry:
                reason = Drop.SUPERSEDED if waiting[0] in replaced else Drop.NO_PARTNER
                self._dropped[name][reason] += 1
                waiting.popleft()
        self._ready = newest
        return True

    def _newest_set(self) -> tuple[_Entry, ...] | None:
        """Of the sets within the slop, the one whose newest image is the newest, each of its images as new as can be."""
        if not all(self._waiting.values()):
            return None
        stamps = sorted((entry.stamp_ns for waiting in self._waiting.values() for entry in waiting), reverse=True)
        for latest in stamps:
            found = [next((e for e in reversed(w) if e.stamp_ns <= latest), None) for w in self._waiting.values()]
            entries = tuple(entry for entry in found if entry is not None and latest - entry.stamp_ns <= self._slop_ns)
            if len(entries) == len(found):
                return entries
        return None
