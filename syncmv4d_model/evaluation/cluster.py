"""A Ray cluster where an executor of concurrent.futures is expected. The only module that imports Ray."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

HERE = "local"
"""The address that starts a cluster of this machine alone."""


class RayExecutor(Executor):
    """Runs functions as Ray tasks of `cores` cores each.

    `address` is a running cluster's (`auto`, `host:6379`, `ray://host:10001`) or HERE. ImportError without Ray; ConnectionError where
    no cluster answers.
    """

    def __init__(self, address: str, *, cores: int) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would tell its makers
        ray: Any = importlib.import_module("ray")
        self.ray, self.cores = ray, cores
        ray.init(
            address=None if address == HERE else address,
            include_dashboard=False if address == HERE else None,
            log_to_driver=False,
        )

    @property
    def workers(self) -> int:
        """How many tasks the cluster can run at once."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)) // self.cores)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A task's result, or what the function raised there."""
        answer: Future[Any] = Future()
        reference = self.ray.remote(num_cpus=self.cores)(_called).remote(function, args, kwargs)
        reference.future().add_done_callback(lambda done: _pass_on(done, answer))
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.ray.shutdown()


def _called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Ray runs functions, and methods bound to something are none."""
    return function(*args, **kwargs)


def _pass_on(done: Future[Any], answer: Future[Any]) -> None:
    """Ray wraps what a task raises in an error of its own, the traceback in its message."""
    error = done.exception()
    if error is None:
        answer.set_result(done.result())
    else:
        answer.set_exception(getattr(error, "cause", None) or error)
