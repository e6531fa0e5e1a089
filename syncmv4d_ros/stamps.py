"""builtin_interfaces/Time as whole nanoseconds, in which stamps are compared."""

from __future__ import annotations

from typing import Any

NS = 1_000_000_000


def nanoseconds(stamp: Any) -> int:
    """A builtin_interfaces/Time of any class."""
    return int(stamp.sec) * NS + int(stamp.nanosec)
