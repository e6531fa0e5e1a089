"""The same results from several processes, in the same order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AHEAD = 2
"""Items a worker that wait to be computed or fetched: enough to keep it busy, few enough to keep in memory."""


def mapped(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int,
    executor: Executor | None = None,
) -> Iterator[_Result]:
    """function(item) for every item, in order; in this process where `workers` is 1 and there is no executor.

    Items are drawn as they are needed. What `function` raises is raised here.
    """
    if workers == 1 and executor is None:
        yield from map(function, items)
    elif executor is not None:
        yield from _submitted(function, items, workers=workers, executor=executor)
    else:  # spawned: a fork of a process that has threads, as torch's, may hang
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn, initializer=one_thread) as pool:
            yield from _submitted(function, items, workers=workers, executor=pool)


def one_thread() -> None:
    """Let this process compute in one thread, for it is one of as many as there are cores: libraries of C that are loaded, and those
    that will be.
    """
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    threadpool_limits(1)


def _submitted(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int, executor: Executor
) -> Iterator[_Result]:
    waiting: deque[Future[_Result]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # an error, or a caller that has enough
        for future in waiting:
            future.cancel()
