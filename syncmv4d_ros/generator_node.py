"""The generator node: three cameras and a task in; tracks, trajectories and videos out. A lifecycle node.

configure loads the checkpoint, activate subscribes. One worker computes; callbacks only store. Topics and the action are in
docs/guides/ros.md; parameters in parameters.py.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import CancelResponse, GoalResponse
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import String

from syncmv4d.action import Generate
from syncmv4d_model.types import Observation
from syncmv4d_ros import diagnostics, parameters
from syncmv4d_ros.camera_streams import CameraStreams
from syncmv4d_ros.engine import Engine, load_engine
from syncmv4d_ros.extrinsics import Extrinsics, RigExtrinsics, TfExtrinsics
from syncmv4d_ros.goals import Goals, GoalServer, Job, finish_goal, until_marked
from syncmv4d_ros.parameters import MAX_STEPS, GeneratorParameters
from syncmv4d_ros.publishing import ResultPublisher
from syncmv4d_ros.spinning import SplitExecutor, run_node, settle
from syncmv4d_ros.transitions import refuse_impossible_transitions
from syncmv4d_ros.worker import Outcome, Request, Result, Worker

MAX_TASK_CHARACTERS = 4096
NOT_TEXT = "\N{REPLACEMENT CHARACTER}"
"""What rclpy puts in place of bytes that are not UTF-8."""
EXECUTOR_THREADS = 4
ANSWERING_S = 1.0
RESULT_KEPT_S = 10
"""How long a finished goal's result is kept for clients that ask late; rclpy's 15 minutes would fill memory with results."""
POLL_S = 0.01


class GeneratorNode(LifecycleNode):
    """`load` makes the engine from the parameters; tests pass one without a network."""

    def __init__(self, *, load: Callable[[GeneratorParameters], Engine] | None = None, **options: Any) -> None:
        super().__init__("syncmv4d", **options)
        refuse_impossible_transitions(self)
        parameters.declare(self)
        self._load = load or (lambda told: load_engine(told.engine, told.checkpoint))
        self.sensors, self._requests = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
        self._tasks = MutuallyExclusiveCallbackGroup()  # in turn: the newest must be the last to be submitted
        self._goals = Goals()
        self._told: GeneratorParameters | None = None
        self._worker: Worker | None = None
        self._engine: Engine | None = None
        self._streams: CameraStreams | None = None
        self._results: ResultPublisher | None = None
        self._server: GoalServer | None = None
        self._subscription: Any = None
        self._started = datetime.now(timezone.utc).isoformat()  # of this process: another one knows none of its goals
        self._last_error = ""
        self._stages: dict[str, float] = {}
        self._extrinsics: Extrinsics | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        period_s = self.get_parameter("diagnostics_period_s").value
        clock = Clock(clock_type=ClockType.STEADY_TIME)  # simulated time stands still where nobody publishes it
        self._timer = self.create_timer(period_s, self._diagnose, callback_group=self._requests, clock=clock)

    # Lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load the engine, and say what went wrong in one line."""
        started = time.monotonic()
        try:
            self._told = parameters.read(self)
            self._extrinsics = self._find_extrinsics(self._told)  # before the engine, which may take minutes
            self.get_logger().info(
                f"loading {self._told.engine} {self._told.checkpoint or 'bundled nano checkpoint'} ..."
            )
            self._worker = Worker(self._load_engine, grace_s=self._told.grace_s)
            self._results = ResultPublisher(self, self._told, self.sensors)
            self._server = GoalServer(
                self, Generate, "generate", begin=self._begin_goal, goal_callback=self._take_goal,
                cancel_callback=self._cancel_goal, callback_group=self._requests, result_timeout=RESULT_KEPT_S,
            )  # fmt: skip
        except Exception as error:  # whatever it is, the node reports it and can be configured again
            self._last_error = f"cannot configure: {error}"
            self.get_logger().error(self._last_error)
            self._clean_up()
            return TransitionCallbackReturn.FAILURE
        self._last_error = ""
        self.get_logger().info(f"loaded in {time.monotonic() - started:.1f} s")
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._told is not None and self._extrinsics is not None
        self._streams = CameraStreams(self, self._told, self._extrinsics, self.sensors)
        self._subscription = self.create_subscription(String, "task", self._take_task, 10, callback_group=self._tasks)
        self.get_logger().info(f"listening to cameras {', '.join(self._told.camera_names)}")
        settle()  # configured by a lifecycle manager, it has grown since it was started
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_listening()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._answer_goals()
        self._clean_up()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_listening()
        self._answer_goals()
        self._clean_up()
        return super().on_shutdown(state)

    # Requests: callbacks store, the worker computes

    def _take_task(self, message: String) -> None:
        told, job = self._told, Job(message.data)
        refusal = self._refusal(job.task)
        if refusal or told is None:
            self._report(refusal)
            return
        self._submit(job, seed=told.seed, steps=told.steps, deadline_s=told.deadline_s, queue=False)

    def _take_goal(self, goal: Generate.Goal) -> GoalResponse:
        refusal = self._refusal(goal.task)
        if goal.steps > MAX_STEPS:
            refusal = f"{goal.steps} steps were refused; at most {MAX_STEPS}"
        self._report(refusal)
        if not refusal:
            self._goals.accept(goal)
        return GoalResponse.REJECT if refusal else GoalResponse.ACCEPT

    def _cancel_goal(self, handle: Any) -> CancelResponse:
        job, worker = self._goals.job(handle), self._worker
        if job is None or worker is None:
            return CancelResponse.REJECT
        request = self._goals.cancel(job)
        if request is not None:
            worker.cancel(request)
        return CancelResponse.ACCEPT

    def _begin_goal(self, handle: Any, end: Callable[[Callable[[Any], Any]], None]) -> None:
        """Give the goal to the worker; its client is told the end whatever happens."""
        goal, job = handle.request, self._goals.job(handle)
        if job is None:  # its server has gone
            return
        deadline = goal.deadline.sec + goal.deadline.nanosec * 1e-9

        def ended(result: Result) -> None:
            end(partial(self._finish_goal, job, result))

        try:
            request = self._submit(
                job, seed=int(goal.seed), steps=int(goal.steps), deadline_s=deadline or None, queue=goal.queue,
                feedback=partial(self._feed_back, handle, job), ended=ended,
            )  # fmt: skip
        except Exception as error:  # a goal that is accepted is answered
            self._ended(job, ended, Result(Outcome.FAILED, error=f"{type(error).__name__}: {error}"))
            return
        cancelled = self._goals.given(job, request)
        if cancelled and request is not None and self._worker is not None:  # before there was a request to cancel
            self._worker.cancel(request)

    async def _finish_goal(self, job: Job, result: Result, handle: Any) -> Generate.Result:
        try:
            if result.outcome is Outcome.CANCELLED and job.cancelled:
                await until_marked(handle, self.executor)
            return finish_goal(handle, job, result)
        finally:
            self._goals.end(handle, job)

    def _submit(
        self,
        job: Job,
        *,
        seed: int,
        steps: int,
        deadline_s: float | None,
        queue: bool,
        feedback: Callable[[str, int, int], None] = lambda stage, step, steps: None,
        ended: Callable[[Result], None] = lambda result: None,
    ) -> Request | None:
        worker, engine = self._worker, self._engine
        if worker is None or engine is None:  # cleaned up since the request was accepted
            self._ended(job, ended, Result(Outcome.REFUSED, error="the node is not active"))
            return None
        feedback("waiting", 0, steps or engine.steps)
        request = Request(
            observe=partial(self._observe, job, feedback, steps or engine.steps),
            seed=seed,
            steps=steps or None,
            deadline_s=deadline_s,
            progress=partial(feedback, "denoise"),
            finish=partial(self._finish, job, feedback),
            finished=partial(self._ended, job, ended),
            submitted=job.accepted,
        )
        worker.submit(request, queue=queue)
        return request

    def _observe(
        self, job: Job, feedback: Callable[[str, int, int], None], steps: int, stopped: Callable[[], bool]
    ) -> Observation:
        """The newest images, when the request starts: in the worker's thread."""
        streams = self._streams
        if streams is None:
            raise ValueError("the node is not active")
        feedback("condition", 0, steps)
        job.reference = streams.observe(job.task, stopped=stopped)
        for warning in job.reference.warnings:
            self.get_logger().warning(warning)
        return job.reference.observation

    def _finish(self, job: Job, feedback: Callable[[str, int, int], None], result: Result) -> None:
        """Messages of a finished prediction, published: in the worker's thread."""
        results, prediction = self._results, result.prediction
        assert results is not None and prediction is not None and job.reference is not None
        feedback("publish", 0, 0)
        job.messages, stages = results.publish(prediction, job.reference, plan_id=job.plan_id)
        self._stages = dict(prediction.timings_s) | stages
        for warning in prediction.warnings:
            self.get_logger().warning(warning)

    def _ended(self, job: Job, ended: Callable[[Result], None], result: Result) -> None:
        text = f"{job.task[:80]!r}: {result.outcome.value} after {time.monotonic() - job.accepted:.2f} s"
        if result.error:
            self._report(f"{text}: {result.error}")
        else:
            self.get_logger().info(text)
            if result.outcome is Outcome.DONE:
                self._last_error = ""
        ended(result)

    def _feed_back(self, handle: Any, job: Job, stage: str, step: int, steps: int) -> None:
        seconds = time.monotonic() - job.accepted
        handle.publish_feedback(Generate.Feedback(step=step, steps=steps, seconds_elapsed=seconds, stage=stage))

    def _refusal(self, task: str) -> str:
        if self._worker is None or self._streams is None:
            return "a task was refused: the node is not active"
        if len(task) > MAX_TASK_CHARACTERS:
            return f"a task of {len(task)} characters was refused; at most {MAX_TASK_CHARACTERS}"
        if not task.strip():
            return "an empty task was refused"
        if NOT_TEXT in task:
            return f"a task with bytes that are not UTF-8 was refused: {task[:80]!r}"
        return ""

    # Parts

    def _load_engine(self) -> Engine:
        assert self._told is not None
        engine = self._load(self._told)
        if len(self._told.camera_names) > engine.max_views:
            raise ValueError(
                f"{engine.name} takes 1 to {engine.max_views} views, cameras names {len(self._told.camera_names)}"
            )
        self._engine = engine
        return engine

    def _find_extrinsics(self, told: GeneratorParameters) -> Extrinsics:
        if told.rig_paths:
            return RigExtrinsics(told.rig_paths, told.camera_names)
        return TfExtrinsics(self, told.world_frame)

    def _report(self, error: str) -> None:
        if error:
            self._last_error = error
            self.get_logger().error(error)

    def _diagnose(self) -> None:
        engine, streams = self._engine, self._streams
        statuses = [
            diagnostics.worker_status(
                self._worker,
                engine=engine.name if engine is not None else "",
                started=self._started,
                last_error=self._last_error,
                stages=self._stages,
            )  # fmt: skip
        ]
        if streams is not None:
            statuses += diagnostics.camera_statuses(self, streams)
        self._diagnostics.publish(diagnostics.array(self.get_clock().now().to_msg(), statuses))

    def stop(self) -> None:
        """End requests, threads and topics, whatever the state."""
        self._stop_listening()
        self._clean_up()

    def _stop_listening(self) -> None:
        if self._worker is not None:
            self._worker.cancel_all()
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
        if self._streams is not None:
            self._streams.close()
        self._subscription = self._streams = None

    def _answer_goals(self) -> None:
        """Wait until clients have been told how their goals ended: other threads of the executor tell them."""
        if self._worker is not None:
            self._worker.close()
        end = time.monotonic() + ANSWERING_S
        while self._goals and time.monotonic() < end:
            time.sleep(POLL_S)

    def _clean_up(self) -> None:
        for part in (self._worker, self._results, self._extrinsics):
            if part is not None:
                part.close()
        if self._server is not None:
            self._server.destroy()
        self._worker = self._server = self._results = self._engine = self._extrinsics = None
        gc.unfreeze()  # an engine with reference cycles can go


def main(arguments: list[str] | None = None, *, load: Callable[[GeneratorParameters], Engine] | None = None) -> int:
    """`ros2 run syncmv4d generator_node`: until SIGINT or SIGTERM. Exit status 1, and one line, where it cannot start."""
    return run_node(
        "syncmv4d", partial(GeneratorNode, load=load), arguments=arguments, start=_autostart,
        executor_for=lambda node: SplitExecutor(node.sensors, threads=EXECUTOR_THREADS),
    )  # fmt: skip


def _autostart(node: GeneratorNode) -> bool:
    if not node.get_parameter("autostart").value:
        return True
    transitions = (node.trigger_configure, node.trigger_activate)
    return all(transition() is TransitionCallbackReturn.SUCCESS for transition in transitions)


if __name__ == "__main__":
    sys.exit(main())
