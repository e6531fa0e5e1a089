"""Goals of the Generate action: what is known of one on its way, and how its client is told the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rclpy.action import ActionServer
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


class GoalServer(ActionServer):
    """An action server whose goals are begun, and end when somebody says so: `begin(handle, end)` returns at once, and `end(finish)`,
    called once by any thread, answers with what `finish(handle)` returns, called by the executor.

    rclpy resumes a coroutine that waits with every callback of the node, images included, and tells it of its end with the next one.
    """

    def __init__(self, *args: Any, begin: Callable[[Any, Callable[[Callable], None]], None], **options: Any) -> None:
        self._begin = begin
        super().__init__(*args, execute_callback=begin, **options)

    def notify_execute(self, goal_handle: Any, execute_callback: Any) -> None:
        """The goal is accepted and its state says so; rclpy would schedule what computes it."""
        self._begin(goal_handle, partial(super().notify_execute, goal_handle))


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
