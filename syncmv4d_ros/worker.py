"""One thread that computes, so that callbacks only store: requests, newest wins or queued, cancelled, and given up on.

A request ends exactly once, with an Outcome. An engine that neither answers nor heeds its cancel is abandoned with its
thread, and a fresh one is loaded: a thread cannot be killed, and the next request must not wait for it.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from syncmv4d_model.types import Observation, Prediction
from syncmv4d_ros.engine import Cancelled, Engine

MAX_QUEUED = 16
POLL_S = 0.05
"""How often the watchdog looks at the running request."""


class Outcome(Enum):
    """How a request ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    REPLACED = "replaced by a newer request"
    LATE = "not done by its deadline"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True)
class Result:
    """What a request came to; `prediction` only where it is DONE, `error` where it FAILED or was REFUSED."""

    outcome: Outcome
    prediction: Prediction | None = None
    error: str = ""
    seconds: float = 0.0


@dataclass(eq=False)
class Request:
    """One generation. `finished` is called once, from the worker's or the watchdog's thread; `progress` from the worker's."""

    observe: Callable[[Callable[[], bool]], Observation]
    """Called when the request starts, for the newest images then; heeds the given `stopped` where it waits, raising Cancelled."""
    seed: int = 0
    steps: int | None = None
    deadline_s: float | None = None  # seconds from submission
    finish: Callable[[Result], None] = lambda result: (
        None
    )  # makes use of a prediction, in the worker's thread; may fail
    finished: Callable[[Result], None] = lambda result: None
    progress: Callable[[int, int], None] = lambda step, steps: None
    submitted: float = field(default_factory=time.monotonic)
    _ending: Outcome | None = None  # why it was asked to stop
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, why: Outcome) -> None:
        """Ask the request to end; the first reason counts."""
        with self._lock:
            self._ending = self._ending or why

    @property
    def asked_to_stop(self) -> bool:
        return self._ending is not None

    @property
    def stopped(self) -> bool:
        """Whether nobody waits for the prediction any more."""
        return self.asked_to_stop or self.late

    @property
    def late(self) -> bool:
        return self.deadline_s is not None and time.monotonic() - self.submitted > self.deadline_s

    def claim_end(self) -> bool:
        """Whether the caller is the one to report the result: True once."""
        with self._lock:
            claimed, self._ended = not self._ended, True
        return claimed


class Worker:
    """Runs requests one at a time on an engine that it loads itself, in its own thread.

    `load` makes the engine; it is called again when an engine was abandoned. `grace_s` is how long an engine may take to
    heed a cancel. After `max_abandoned` abandoned engines requests are refused, because each may still hold memory.
    """

    def __init__(
        self,
        load: Callable[[], Engine],
        *,
        grace_s: float = 10.0,
        max_abandoned: int = 2,
        logger: logging.Logger | None = None,
    ) -> None:
        self.load, self.grace_s, self.max_abandoned = load, grace_s, max_abandoned
        self.logger = logger or logging.getLogger(__name__)
        self.abandoned = 0
        self.counts: dict[Outcome, int] = dict.fromkeys(Outcome, 0)
        self.last_error = ""
        self._condition = threading.Condition()
        self._pending: deque[Request] = deque()
        self._running: Request | None = None
        self._newest = float("-inf")  # when the last request without `queue` was submitted
        self._stop_asked_at: float | None = None
        self._closing = False
        self._generation = 0
        self._start_thread(load())
        self._watchdog = threading.Thread(target=self._watch, name="syncmv4d-watchdog", daemon=True)
        self._watchdog.start()

    @property
    def busy(self) -> bool:
        with self._condition:
            return self._running is not None or bool(self._pending)

    def submit(self, request: Request, *, queue: bool = False) -> None:
        """Take a request: after those that wait, or, without `queue`, in place of all that wait or run.

        The newest by `submitted` wins, whatever order threads come in.
        """
        replaced: list[Request] = []
        with self._condition:
            refusal = self._refusal(queue)
            if not refusal and not queue and request.submitted < self._newest:
                replaced = [request]
            elif not refusal:
                if not queue:
                    self._newest = request.submitted
                    replaced = list(self._pending)
                    self._pending.clear()
                    if self._running is not None:
                        self._ask_to_stop(self._running, Outcome.REPLACED)
                self._pending.append(request)
                self._condition.notify_all()
        for old in replaced:
            self._end(old, Result(Outcome.REPLACED))
        if refusal:
            self._end(request, Result(Outcome.REFUSED, error=refusal))

    def cancel(self, request: Request) -> None:
        """Stop one request, waiting or running; running, it ends within one denoising step."""
        with self._condition:
            if request is self._running:
                self._ask_to_stop(request, Outcome.CANCELLED)
                return
            if request not in self._pending:
                return
            self._pending.remove(request)
        self._end(request, Result(Outcome.CANCELLED))

    def cancel_all(self) -> None:
        """Stop what runs and what waits; new requests are taken."""
        with self._condition:
            waiting = list(self._pending)
            self._pending.clear()
            if self._running is not None:
                self._ask_to_stop(self._running, Outcome.CANCELLED)
        for request in waiting:
            self._end(request, Result(Outcome.CANCELLED))

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel everything and end the threads; an engine that hangs is left behind."""
        with self._condition:
            self._closing = True
        self.cancel_all()
        with self._condition:
            self._condition.notify_all()
        self._thread.join(timeout_s)
        self._watchdog.join(timeout_s)

    def _refusal(self, queue: bool) -> str:
        if self._closing:
            return "the node is shutting down"
        if self.abandoned > self.max_abandoned:
            return f"{self.abandoned} engines hang: restart the node"
        if queue and len(self._pending) >= MAX_QUEUED:
            return f"{MAX_QUEUED} requests wait already"
        return ""

    def _ask_to_stop(self, request: Request, why: Outcome) -> None:
        request.stop(why)
        if self._stop_asked_at is None:
            self._stop_asked_at = time.monotonic()

    def _end(self, request: Request, result: Result) -> None:
        if not request.claim_end():
            return
        with self._condition:
            self.counts[result.outcome] += 1
        if result.error:
            self.last_error = result.error
        try:
            request.finished(result)
        except Exception as error:  # whoever asked may be gone: the threads live on for the others
            self.last_error = f"a result could not be handed over: {error}"
            self.logger.exception("a result could not be handed over")

    def _start_thread(self, engine: Engine) -> None:
        self._generation += 1
        self._thread = threading.Thread(
            target=self._work, args=(engine, self._generation), name="syncmv4d-worker", daemon=True
        )
        self._thread.start()

    def _work(self, engine: Engine, generation: int) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._closing and generation == self._generation:
                    self._condition.wait()
                if self._closing or generation != self._generation:
                    return
                request = self._running = self._pending.popleft()
                self._stop_asked_at = None
            result = self._run(engine, request)
            with self._condition:
                if generation != self._generation:
                    return  # abandoned meanwhile; the watchdog has reported
                self._running = None
            self._end(request, result)

    def _run(self, engine: Engine, request: Request) -> Result:
        started = time.monotonic()
        if request.late:
            return Result(Outcome.LATE)
        try:
            prediction = engine.generate(
                request.observe(lambda: request.stopped),
                seed=request.seed,
                steps=request.steps,
                progress=request.progress,
                cancelled=lambda: request.stopped,
            )
            if request.stopped:  # during its last step, or by an engine that does not ask: a newer result may be out
                raise Cancelled("stopped before its result was used")
            done = Result(Outcome.DONE, prediction, seconds=time.monotonic() - started)
            request.finish(done)
        except Cancelled:
            return Result(request._ending or Outcome.LATE, seconds=time.monotonic() - started)
        except (
            Exception
        ) as error:  # the worker's: whatever an engine raises is reported, and the next request is served
            self.logger.exception("generation failed")
            return Result(Outcome.FAILED, error=f"{type(error).__name__}: {error}", seconds=time.monotonic() - started)
        return done

    def _watch(self) -> None:
        while True:
            with self._condition:
                self._condition.wait(POLL_S)
                if self._closing:
                    return
                late = [request for request in self._pending if request.late]
                self._pending = deque(request for request in self._pending if request not in late)
                hanging = self._hanging()
            for request in late:
                self._end(request, Result(Outcome.LATE))
            if hanging is not None:
                error = f"the engine did not stop within {self.grace_s:g} s"
                self._end(hanging, Result(hanging._ending or Outcome.FAILED, error=error))
                self._replace_engine()

    def _hanging(self) -> Request | None:
        """The running request, abandoned, if it was to stop and has not done so in time; called with the lock held."""
        request = self._running
        if request is not None and request.late:
            self._ask_to_stop(request, Outcome.LATE)
        if request is None or self._stop_asked_at is None or time.monotonic() - self._stop_asked_at <= self.grace_s:
            return None
        self._abandon()
        return request

    def _abandon(self) -> None:
        """Forget the thread that hangs; called with the lock held."""
        self.abandoned += 1
        self._generation += 1
        self._running = None
        self._stop_asked_at = None

    def _replace_engine(self) -> None:
        if self.abandoned > self.max_abandoned:
            self._refuse_waiting(f"{self.abandoned} engines hang: restart the node")
            return
        gc.unfreeze()  # spinning.settle: the one that hangs may end yet, and go
        try:
            engine = self.load()
        except Exception as error:  # loading may fail for any reason, above all memory: say so, refuse what waits
            self.abandoned = self.max_abandoned + 1
            self._refuse_waiting(f"no engine could be loaded in place of one that hangs: {error}")
            return
        with self._condition:
            self._start_thread(engine)

    def _refuse_waiting(self, why: str) -> None:
        self.logger.error(why)
        with self._condition:
            waiting = list(self._pending)
            self._pending.clear()
        for request in waiting:
            self._end(request, Result(Outcome.REFUSED, error=why))
