"""How a node of ours runs as a process: made, spun until a signal or its own end, stopped; one line and status 1 if it cannot start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor

WAKE_S = 0.2
"""A signal is now and then not enough to wake a wait without a time limit."""
SHUTDOWN_S = 2.0


@runtime_checkable
class Stoppable(Protocol):
    """A node with something to end before its topics go."""

    def stop(self) -> None: ...


Made = TypeVar("Made", bound=Stoppable)


def run_node(
    name: str,
    make: Callable[[], Made],
    *,
    arguments: list[str] | None = None,
    threads: int = 1,
    start: Callable[[Made], bool] = lambda node: True,
    finished: Callable[[Made], bool] = lambda node: False,
) -> int:
    """Make a node and spin it until SIGINT, SIGTERM or `finished(node)`; the exit status.

    1 where `make` raises ValueError, OSError or ParameterException, which is logged as one line of `name`, and where
    `start`, called once the node is on its executor, answers False, having said why.
    """
    rclpy.init(args=arguments)
    executor = MultiThreadedExecutor(num_threads=threads) if threads > 1 else SingleThreadedExecutor()
    node: Any = None
    try:
        node = _made(name, make)
        if node is None:
            return 1
        executor.add_node(node)
        if not start(node):
            return 1 if rclpy.ok() else 0  # a signal ends a start, too
        while rclpy.ok() and not finished(node):
            executor.spin_once(timeout_sec=WAKE_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # else it met the end of its context, as SIGTERM leaves it
            raise
    finally:
        if node is not None:
            node.stop()
        executor.shutdown(timeout_sec=SHUTDOWN_S)
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _made(name: str, make: Callable[[], Made]) -> Made | None:
    try:
        return make()
    except (ValueError, OSError, ParameterException) as error:
        rclpy.logging.get_logger(name).fatal(f"cannot start: {error}")
        return None
