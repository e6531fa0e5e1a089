"""How a node of ours runs as a process: made, spun until a signal or its own end, stopped; one line and status 1 if it cannot start."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import (
    ConditionReachedException,
    Executor,
    ExternalShutdownException,
    ShutdownException,
    SingleThreadedExecutor,
    TimeoutException,
)

WAKE_S = 0.2
"""A signal is now and then not enough to wake a wait without a time limit."""
SHUTDOWN_S = 2.0
HANDOVER_S = 0.02
"""How long the thread that spins waits for another to begin a callback; over when all others are busy."""


@runtime_checkable
class Stoppable(Protocol):
    """A node with something to end before its topics go."""

    def stop(self) -> None: ...


Made = TypeVar("Made", bound=Stoppable)


class SplitExecutor(Executor):
    """Callbacks of one group in the thread that spins, all others in `threads` more.

    For a node with a stream of small callbacks, which pass no border between threads here, beside a few that may take long.
    rclpy's MultiThreadedExecutor submits a callback to its threads over and over until one of them has begun it: at 180 callbacks
    a second the thread that spins takes the interpreter from those that it waits for.
    """

    def __init__(self, spinning_group: Any, *, threads: int, context: Any = None) -> None:
        super().__init__(context=context)
        self._spinning_group = spinning_group
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="syncmv4d-callback")
        self._handed: set[Any] = set()  # tasks that other threads have

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """One callback: carried out, or handed to another thread. Raises what a callback has raised."""
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException, ConditionReachedException):
            return
        if entity is not None and entity.callback_group is self._spinning_group:
            task()
            task.result()
        else:
            self._hand_over(task)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """As Executor.shutdown; the threads end with their callbacks."""
        ended = super().shutdown(timeout_sec)
        self._threads.shutdown(wait=False)
        return ended

    def _hand_over(self, task: Any) -> None:
        begun = threading.Event()

        def carry_out() -> None:
            begun.set()
            task()

        self._handed.add(task)
        self._threads.submit(carry_out)
        begun.wait(HANDOVER_S)  # a task that has not begun is ready again
        for done in [each for each in self._handed if each.done()]:
            self._handed.remove(done)
            done.result()


def run_node(
    name: str,
    make: Callable[[], Made],
    *,
    arguments: list[str] | None = None,
    executor_for: Callable[[Made], Executor] = lambda node: SingleThreadedExecutor(),
    start: Callable[[Made], bool] = lambda node: True,
    finished: Callable[[Made], bool] = lambda node: False,
) -> int:
    """Make a node and spin it, on an executor of its own, until SIGINT, SIGTERM or `finished(node)`; the exit status.

    1 where `make` raises ValueError, OSError or ParameterException, which is logged as one line of `name`, and where
    `start`, called once the node is on its executor, answers False, having said why.
    """
    rclpy.init(args=arguments)
    node: Any = None
    executor: Any = None
    try:
        node = _made(name, make)
        if node is None:
            return 1
        executor = executor_for(node)
        executor.add_node(node)
        if not start(node):
            return 1 if rclpy.ok() else 0  # a signal ends a start, too
        settle()
        while rclpy.ok() and not finished(node):
            executor.spin_once(timeout_sec=WAKE_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # else it met the end of its context, as SIGTERM leaves it
            raise
    finally:
        gc.unfreeze()
        if node is not None:
            node.stop()
        if executor is not None:
            executor.shutdown(timeout_sec=SHUTDOWN_S)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def settle() -> None:
    """What has been made so far stays: sweeps for reference cycles, which hold every thread up, leave it out from now on.

    A sweep of everything took 40 to 100 ms, every few seconds at 30 Hz x 3. Who lets go of something large calls gc.unfreeze().
    """
    gc.collect()
    gc.freeze()


def _made(name: str, make: Callable[[], Made]) -> Made | None:
    try:
        return make()
    except (ValueError, OSError, ParameterException) as error:
        rclpy.logging.get_logger(name).fatal(f"cannot start: {error}")
        return None
