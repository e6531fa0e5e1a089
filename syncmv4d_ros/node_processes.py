"""Nodes in processes of their own, which all end with the block that started them. No ROS at import."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

LAST_LINES = 12
ENDING_S = 10.0
"""Time that nodes have to end by themselves after SIGTERM."""


@dataclass(frozen=True)
class NodeCommand:
    """One node: `python -m module` with its name, parameters and remappings (from -> to)."""

    name: str
    module: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    remappings: Mapping[str, str] = field(default_factory=dict)
    leaves: bool = False  # an end with status 0 is what it is meant to do

    def words(self) -> list[str]:
        """The command line. Values that are strings stay strings, whatever YAML would make of them."""
        words = [sys.executable, "-m", self.module, "--ros-args", "-r", f"__node:={self.name}"]
        for name, value in self.parameters.items():
            words += ["-p", f"{name}:={_yaml(value)}"]
        for name, target in self.remappings.items():
            words += ["-r", f"{name}:={target}"]
        return words


class NodeProcesses:
    """Starts nodes, notices when one dies, and ends them all.

    Each node writes into `<logs>/<name>.log`. A node has its own process group: Ctrl-C reaches the caller alone, who ends them.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs, self.environment = logs, dict(environment)
        self._running: list[tuple[NodeCommand, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> NodeProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, command: NodeCommand) -> None:
        """Start a node. OSError if its log cannot be written."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self._log(command.name).open("wb") as log, signals_held():
            process = subprocess.Popen(
                command.words(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            self._running.append((command, process))

    def check(self) -> None:
        """ChildProcessError, with its last lines, if a node has ended that should not have."""
        for command, process in self._running:
            status = process.poll()
            if status is None or (status == 0 and command.leaves):
                continue
            ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            raise ChildProcessError(f"{command.name} {ended}. {self.last_lines(command.name)}")

    def last_lines(self, name: str) -> str:
        """What a node said last, for an error; nothing of a node that others started."""
        if not self._log(name).is_file():
            return ""
        text = self._log(name).read_text(encoding="utf-8", errors="replace").rstrip()
        lines = "\n".join(f"    {line}" for line in text.splitlines()[-LAST_LINES:])
        return f"Its last lines ({self._log(name)}):\n{lines or '    none'}"

    def stop(self) -> None:
        """SIGTERM for those that run, and SIGKILL for those that run ENDING_S later."""
        with signals_held():
            for _, process in self._running:
                if process.poll() is None:
                    process.terminate()
            end = time.monotonic() + ENDING_S
            for _, process in self._running:
                try:
                    process.wait(max(0.0, end - time.monotonic()))
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            self._running = []

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


@contextmanager
def signals_held() -> Iterator[None]:
    """SIGINT and SIGTERM that come in the block take effect at its end: no process is begun that nobody knows of, and no second
    Ctrl-C leaves one behind.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's alone
        yield
        return
    met: list[int] = []
    before: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not None:  # else it is not Python's to hold
                before[number] = signal.signal(number, lambda number, _: met.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in met:
            signal.raise_signal(number)


def _yaml(value: object) -> str:
    """A parameter's value on a command line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_yaml(one) for one in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) or not isinstance(value, (int, float)):
        return "'" + str(value).replace("'", "''") + "'"
    return repr(value)
