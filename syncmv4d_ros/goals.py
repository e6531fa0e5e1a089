"""Goals of the Generate action: what is known of one on its way, and how its client is told the end."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rclpy.action import ActionServer
from rclpy.action.server import RCLError
from rclpy.task import Future

from syncmv4d.action import Generate
from syncmv4d_ros.camera_streams import Reference
from syncmv4d_ros.publishing import ResultMessages
from syncmv4d_ros.worker import Outcome, Request, Result

MARKING_S = 1.0


@dataclass
class Job:
    """One request on its way through the node."""

    task: str
    reference: Reference | None = None  # set when the request starts: the newest images then
    messages: ResultMessages | None = None
    request: Request | None = None  # once the worker has it
    cancelled: bool = False  # by its client
    plan_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    accepted: float = field(default_factory=time.monotonic)


class Goals:
    """The jobs of goals from acceptance to end. Any thread may ask."""

    def __init__(self) -> None:
        self._jobs: dict[bytes, Job] = {}
        self._accepted: dict[int, float] = {}  # when, by the identity of goals that have no job yet
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._jobs)

    def accept(self, goal: Generate.Goal) -> None:
        """Before its client knows: threads may begin to execute goals in another order."""
        with self._lock:
            self._accepted[id(goal)] = time.monotonic()  # the handle keeps this very goal

    def job(self, handle: Any) -> Job | None:
        """The goal's job; None once it has ended, as a cancel may find that was on its way."""
        key, now = bytes(handle.goal_id.uuid), time.monotonic()
        with self._lock:
            if key not in self._jobs and not handle.is_active:
                return None
            accepted = self._accepted.pop(id(handle.request), now)
            return self._jobs.setdefault(key, Job(handle.request.task, accepted=accepted))

    def cancel(self, job: Job) -> Request | None:
        """Note it; what the worker is to stop, if it has it."""
        with self._lock:
            job.cancelled = True
            return job.request

    def given(self, job: Job, request: Request | None) -> bool:
        """Note what the worker has; whether the goal was cancelled before."""
        with self._lock:
            job.request = request
            return job.cancelled

    def end(self, handle: Any, job: Job) -> None:
        """Once the goal's final state is set."""
        with self._lock:
            del self._jobs[bytes(handle.goal_id.uuid)]
            job.request = None  # it knows the job: each would keep the other, and the result, until the next sweep


class GoalServer(ActionServer):
    """An action server whose goals are begun, and end when somebody says so: `begin(handle, end)` returns at once, and `end(finish)`,
    called once by any thread, answers with what `finish(handle)` returns, called by the executor.

    rclpy resumes a coroutine that waits with every callback of the node, images included, and tells it of its end with the next one.
    """

    def __init__(
        self, node: Any, *args: Any, begin: Callable[[Any, Callable[[Callable], None]], None], **options: Any
    ) -> None:
        self._begin, self._context = begin, node.context
        super().__init__(node, *args, execute_callback=begin, handle_accepted_callback=self._execute, **options)

    def _execute(self, goal_handle: Any) -> None:
        try:
            goal_handle.execute()
        except RCLError:  # its client has cancelled it since rclpy looked: it is begun all the same, and told so
            self.notify_execute(goal_handle, None)

    def notify_execute(self, goal_handle: Any, execute_callback: Any) -> None:
        """The goal is accepted and its state says so; rclpy would schedule what computes it."""
        self._begin(goal_handle, partial(self._end, goal_handle))

    def _end(self, goal_handle: Any, finish: Callable) -> None:
        if self._context.ok():  # else the node is ending, and no executor carries anything out
            super().notify_execute(goal_handle, finish)


async def until_marked(handle: Any, executor: Any) -> None:
    """The server marks a goal as being cancelled only after the cancel callback has returned, maybe after the worker's answer."""
    end = time.monotonic() + MARKING_S
    while not handle.is_cancel_requested and time.monotonic() < end:
        turn: Future = Future(executor=executor)
        executor.create_task(turn.set_result, None)
        await turn


def finish_goal(handle: Any, job: Job, result: Result) -> Generate.Result:
    """Set the goal's final state, and what its client is told."""
    if result.outcome is Outcome.DONE and job.messages is not None:
        handle.succeed()
        made = job.messages
        return Generate.Result(
            plan_id=job.plan_id,
            success=True,
            tracks=made.tracks,
            trajectories=made.trajectories,
            videos=made.videos,
        )
    message = result.outcome.value + (f": {result.error}" if result.error else "")
    if result.outcome is Outcome.CANCELLED and handle.is_cancel_requested:
        handle.canceled()
    else:
        handle.abort()
    return Generate.Result(plan_id=job.plan_id, success=False, message=message)
