"""An object in a process of its own, for measuring: what one process does must not slow the other one's clock."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

_made: Any = None  # in the process of its own


class Remote:
    """`make(*args)` in a new process with these environment variables (None: unset); `call` runs its methods there, one at a time.

    Leaving the block calls its `close` and ends the process.
    """

    def __init__(self, make: Callable[..., Any], *args: Any, environment: Mapping[str, str | None]) -> None:
        self._pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_make,
            initargs=(make, args, dict(environment)),
        )

    def __enter__(self) -> Remote:
        self._pool.submit(os.getpid).result()  # a pool starts its process with the first thing to do
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.call("close")
        except BrokenProcessPool:
            if kind is None:
                raise
        finally:
            self._pool.shutdown(cancel_futures=True)

    def begin(self, method: str, *args: Any, **options: Any) -> Future:
        """Its method's result, some time; arguments and results are pickled."""
        return self._pool.submit(_call, method, args, options)

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        """Its method's result; raises what it raised."""
        return self.begin(method, *args, **options).result()


def _make(make: Callable[..., Any], args: tuple, environment: Mapping[str, str | None]) -> None:
    global _made
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _made = make(*args)


def _call(method: str, args: tuple, options: dict[str, Any]) -> Any:
    return getattr(_made, method)(*args, **options)
