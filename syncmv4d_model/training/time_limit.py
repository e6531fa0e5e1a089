"""How long a slice of a run may take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

FRESH_SHARE, FRESH_S = 0.1, 60.0
"""Of a slice, and its first seconds: work that begins in one of them has as good as the whole slice. A short slice may be a
tenth over before anything is loaded.
"""


class OutOfTime(Exception):
    """The slice is over; its words say how far it came, and everything up to there is kept."""


@dataclass(frozen=True)
class TimeLimit:
    """From its making on, so many minutes; one limit for everything that a command does."""

    minutes: float = math.inf
    started: float = field(default_factory=time.monotonic)

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() - self.started >= 60 * self.minutes

    def check(self, done: str) -> None:
        """Asked between two things that are kept, with what is `done` so far; OutOfTime with these words once the time is up."""
        if self.over():
            raise OutOfTime(done)

    def for_the_whole(self) -> TimeLimit:
        """The limit of work that begins anew when it is cut: none where the slice has only just begun, for what is longer
        than a slice would never end.
        """
        fresh_s = max(FRESH_SHARE * 60 * self.minutes, FRESH_S)
        fresh = time.monotonic() - self.started < fresh_s and not self.over()
        return TimeLimit() if fresh else self
