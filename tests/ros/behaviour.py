"""What a trivial engine is to do before each of its steps: go on, wait for leave, fail, or hang."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """Passed as `before_step`; `steps_begun` counts."""

    gated: bool = False  # every step waits for `allow_step`
    mode: str = "go"  # or "fail", "hang"
    steps_begun: int = 0
    allow_step: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    released: threading.Event = field(default_factory=threading.Event)  # ends a hang

    def __call__(self, done: int) -> None:
        self.steps_begun += 1
        if self.mode == "fail":
            raise RuntimeError("CUDA out of memory")
        if self.mode == "hang":
            self.released.wait()
        if self.gated:
            self.allow_step.acquire()

    def let_go(self) -> None:
        """Let everything end, at a test's end."""
        self.released.set()
        self.allow_step.release(1000)
