"""Tests over real DDS: nodes in processes of their own, in a domain that nobody else on this machine uses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 30.0
NOT_HERE = "is not installed here; `make test` runs this in .venv-ros, where pip install '.[ros]' has put it"


def require_ros() -> None:
    """Skip the calling module where rclpy or our messages are missing; a broken installation is an error, not a skip."""
    pytest.importorskip("rclpy", reason=f"rclpy {NOT_HERE}")
    pytest.importorskip("syncmv4d.msg", reason=f"the ROS 2 package syncmv4d {NOT_HERE}")


@contextmanager
def node_process(module: str, *args: str, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """`python -m module args` in a process of its own, until the block ends; it must still run then, and end by SIGTERM.

    Raises AssertionError with what the process wrote when it died before, or did not end.
    """
    command = [sys.executable, "-m", module, *args]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )  # fmt: skip
    try:
        yield process
        assert process.poll() is None, f"{module} ended by itself with {process.returncode}"
    finally:
        process.terminate()
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            output += f"\n{module} did not end within {TIMEOUT_S:.0f} s of SIGTERM"
        print(output)  # pytest shows it with a failed test


def spin_until(executor, reached: Callable[[], bool], *, what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Let an executor work until `reached()`; fails with `what` was awaited after the time limit."""
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end, f"no {what} within {timeout_s:.0f} s"
        executor.spin_once(timeout_sec=0.1)
