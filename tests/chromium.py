"""A real browser, driven by its DevTools protocol: headless Chromium, one page, JavaScript evaluated in it."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_S = 15.0
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--autoplay-policy=no-user-gesture-required", "--remote-debugging-port=0",
)  # fmt: skip


def find_chromium() -> str | None:
    """The first browser of this family that is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page: commands, what it answered, and what it complained of."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what happens meanwhile is kept. RuntimeError for an answer that is an error."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (message := json.loads(self._socket.recv(timeout=PATIENCE_S))).get("id") != number:
            self._keep(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    def open(self, page: Path) -> None:
        """Load a file, to the end."""
        self.command("Page.navigate", url=page.resolve().as_uri())
        while (message := json.loads(self._socket.recv(timeout=PATIENCE_S))).get("method") != "Page.loadEventFired":
            self._keep(message)

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is in the page, awaited. RuntimeError where it throws."""
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """One key, as a hand presses it, where the focus is."""
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)

    def _keep(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif message["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(told["args"]))
        elif message["method"] == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(told["entry"]))
        elif message["method"] == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])


@contextlib.contextmanager
def chromium_tab(executable: str, profile: Path) -> Iterator[Tab]:
    """A browser of its own with one empty page; `profile` is an empty folder. TimeoutError where it does not start."""
    profile.mkdir(parents=True, exist_ok=True)
    command = [executable, *OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    with open(profile / "output.txt", "wb") as output:
        browser = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        port = _port(profile / "DevToolsActivePort", browser)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE_S) as answer:
            target = next(target for target in json.load(answer) if target["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            yield Tab(socket)
    finally:
        browser.terminate()
        browser.wait(timeout=PATIENCE_S)


def _port(file: Path, browser: subprocess.Popen[bytes]) -> int:
    """The browser writes it when it listens."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        lines = file.read_text().split() if file.is_file() else []
        if lines:
            return int(lines[0])
        if browser.poll() is not None:
            raise RuntimeError(f"the browser ended: {(file.parent / 'output.txt').read_text()[-2000:]}")
        time.sleep(0.05)
    raise TimeoutError(f"the browser did not listen within {PATIENCE_S:g} s")
