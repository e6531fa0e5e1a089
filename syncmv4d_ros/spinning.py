"""How a node of ours runs as a process: made, spun until a signal or its own end, stopped; one line and status 1 if it cannot start."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

import rclpy
from rclpy.action.server import RCLError
from rclpy.exceptions import InvalidHandle, ParameterException
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
GONE = (RCLError, InvalidHandle)
"""What rclpy raises where another thread has destroyed what it is about to use, or the other end of an exchange has gone."""
MAX_SPOILT_WAITS = 50


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

    Whatever a callback raises ends the spinning, but for what lies with its other end (GONE), which is logged.
    """

    def __init__(self, spinning_group: Any, *, threads: int, context: Any = None) -> None:
        super().__init__(context=context)
        self._spinning_group = spinning_group
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="syncmv4d-callback")
        self._handed: set[Any] = set()  # tasks that other threads have
        self._spoilt_waits = 0  # in a row

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """One callback: carried out, or handed to another thread. Raises what a callback has raised."""
        try:
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException, ConditionReachedException):
            return
        except GONE:
            self._spoilt_waits += 1
            if self._spoilt_waits > MAX_SPOILT_WAITS:
                raise
            time.sleep(HANDOVER_S)  # for the thread that destroys it
            return
        self._spoilt_waits = 0
        if entity is not None and entity.callback_group is self._spinning_group:
            task()
            _take_end(task)
        else:
            self._hand_over(task)

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """As Executor.shutdown; the threads end with their callbacks, and begin no other."""
        ended = super().shutdown(timeout_sec)
        self._threads.shutdown(wait=False, cancel_futures=True)
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
            _take_end(done)


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


def _take_end(task: Any) -> None:
    try:
        task.result()
    except GONE as error:
        rclpy.logging.get_logger("executor").warning(f"a callback came to nothing: {error}")


def _made(name: str, make: Callable[[], Made]) -> Made | None:
    try:
        return make()
    except (ValueError, OSError, ParameterException) as error:
        rclpy.logging.get_logger(name).fatal(f"cannot start: {error}")
        return None
