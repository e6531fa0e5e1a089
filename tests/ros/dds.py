"""Tests over real DDS: nodes in processes of their own, in a domain that nobody else on this machine uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
HANDSHAKE_S = 0.5
NOT_HERE = "is not installed here; `make test` runs this in .venv-ros, where pip install '.[ros]' has put it"


def require_ros() -> None:
    """Skip the calling module where rclpy or our messages are missing; a broken installation is an error, not a skip."""
    pytest.importorskip("rclpy", reason=f"rclpy {NOT_HERE}")
    pytest.importorskip("syncmv4d.msg", reason=f"the ROS 2 package syncmv4d {NOT_HERE}")


@contextmanager
def node_process(module: str, *args: str, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """`python -m module args` in a process of its own, until the block ends; it must still run then, and end well by SIGTERM.

    Raises AssertionError when it ended before, or by SIGTERM with another status than 0, TimeoutExpired when it does not end;
    what it wrote is printed, so that pytest shows it.
    """
    with TemporaryFile("w+") as output:  # a pipe that nobody reads would stop a process that says much
        process = subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
            assert process.poll() is None, f"{module} ended by itself with {process.returncode}"
            process.terminate()
            process.wait(TIMEOUT_S)
            assert process.returncode == 0, f"{module} ended by SIGTERM with {process.returncode}"
        finally:
            process.kill()
            process.wait()
            output.seek(0)
            print(output.read())


def reaches(executor, reached: Callable[[], bool], timeout_s: float) -> bool:
    """Let an executor work until `reached()`; False when the time is over before."""
    end = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > end:
            return False
        executor.spin_once(timeout_sec=0.1)
    return True


def found_by(node, executor, name: str) -> None:
    """Wait until the node `name` has found all that `node` has made so far.

    A client sees when it has found a server, never when that has found the client: until then Fast DDS drops what is sent to it.
    A process announces what it makes in the order of making, so that who is answered by one more service has been found.
    """
    from rcl_interfaces.srv import GetParameters

    service = node.create_client(GetParameters, f"{name}/get_parameters")
    spin_until(executor, service.service_is_ready, what=f"node {name}")
    calls, end = [], time.monotonic() + TIMEOUT_S
    while not any(call.done() for call in calls):
        assert time.monotonic() < end, f"{name} has not found {node.get_name()} within {TIMEOUT_S:.0f} s"
        calls.append(service.call_async(GetParameters.Request()))
        reaches(executor, calls[-1].done, HANDSHAKE_S)
    node.destroy_client(service)


def spin_until(executor, reached: Callable[[], bool], *, what: str) -> None:
    """Let an executor work until `reached()`; fails with `what` was awaited after TIMEOUT_S."""
    assert reaches(executor, reached, TIMEOUT_S), f"no {what} within {TIMEOUT_S:.0f} s"
