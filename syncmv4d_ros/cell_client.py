"""Who asks the generator for a plan in the simulated cell: hears every topic, records it, and follows the request to its end."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

from syncmv4d.action import Generate
from syncmv4d.msg import MultiViewVideo, PointTracks, RigidTrajectory
from syncmv4d_ros.node_processes import NodeProcesses
from syncmv4d_ros.qos import LATCHED
from syncmv4d_ros.recorder import Recorder

OUTCOME, TRUTH_OUTCOME, TRUTH, TRAJECTORIES = "outcome", "truth/outcome", "tracks_truth", "trajectories"
RESULTS: dict[str, type] = {
    TRUTH: PointTracks, "tracks": PointTracks, TRAJECTORIES: RigidTrajectory, "videos": MultiViewVideo,
    OUTCOME: String, TRUTH_OUTCOME: String,
}  # fmt: skip
DIAGNOSTICS = "/diagnostics"
STREAM_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
SPIN_S = 0.1

Progress = Callable[[str, int, int], None]
"""Called with a stage, and how many of how many steps of it are done (0 of 0: nobody knows)."""


class CellClient:
    """A node that records and asks. TimeoutError when nothing is heard for patience_s; errors of NodeProcesses.check at any time."""

    def __init__(self, recorder: Recorder, processes: NodeProcesses, *, patience_s: float, progress: Progress) -> None:
        self._recorder, self._processes = recorder, processes
        self._patience_s, self._progress, self._last_news = patience_s, progress, time.monotonic()
        self._newest: dict[str, tuple[type, bytes]] = {}
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node("cell_client", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._generate = ActionClient(self.node, Generate, "generate")
        for topic, kind in RESULTS.items():
            self._hear(topic, kind, LATCHED)
        self._hear(DIAGNOSTICS, DiagnosticArray, STREAM_QOS)

    def close(self) -> None:
        """Leave the domain."""
        self._executor.shutdown()
        self._generate.destroy()
        self.node.destroy_node()
        self._context.try_shutdown()

    def hear_cameras(self, names: tuple[str, ...]) -> None:
        """Record these cameras from now on."""
        for name in names:
            self._hear(f"{name}/image", Image, STREAM_QOS)
            self._hear(f"{name}/camera_info", CameraInfo, STREAM_QOS)

    def hear_transforms(self) -> bool:
        """Record /tf_static from now on; False where its message is not installed, so that nobody publishes it either."""
        if importlib.util.find_spec("tf2_msgs") is None:
            return False
        from tf2_msgs.msg import TFMessage

        self._hear("/tf_static", TFMessage, LATCHED)
        return True

    def newest(self, topic: str) -> Any:
        """The newest message of a topic, or None."""
        kind, data = self._newest.get(topic, (None, b""))
        return None if kind is None else deserialize_message(data, kind)

    def outcome(self, topic: str, plan_id: str | None = None) -> dict[str, Any] | None:
        """The newest outcome on a topic, of a plan or of any; None while there is none."""
        message = self.newest(topic)
        told = None if message is None else json.loads(message.data)
        return told if told is not None and plan_id in (None, told["plan_id"]) else None

    def engine(self) -> str:
        """What answers, as /diagnostics names it; empty while nothing was heard."""
        message = self.newest(DIAGNOSTICS)
        statuses = [] if message is None else message.status
        values = [pair.value for status in statuses for pair in status.values if pair.key == "engine"]
        return values[0] if values else ""

    def until(self, reached: Callable[[], Any], *, what: str, node: str) -> None:
        """Hear until `reached()`; `what` is awaited of `node`."""
        self._last_news = time.monotonic()
        self._progress(what, 0, 0)
        while not reached():
            self._processes.check()
            if time.monotonic() - self._last_news > self._patience_s:
                domain = self._context.get_domain_id()
                raise TimeoutError(
                    f"waited {self._patience_s:g} s in vain for {what}, of the node {node} in ROS_DOMAIN_ID {domain}."
                    f" {self._processes.last_lines(node)}"
                )
            self._executor.spin_once(timeout_sec=SPIN_S)

    def ready(self, cameras: tuple[str, ...]) -> None:
        """Wait until images come, the generator takes tasks and the follower waits for plans."""
        self.until(lambda: all(f"{n}/image" in self._newest for n in cameras), what="images", node="sim_camera")
        self.until(lambda: self._listeners(TRAJECTORIES) > 1, what="the follower", node="plan_follower")
        self.until(
            lambda: self._generate.server_is_ready() and self._listeners("task") > 0 and self.engine(),
            what="the generator", node="syncmv4d",
        )  # fmt: skip

    def ask(self, task: str, *, seed: int, steps: int) -> Generate.Result:
        """Send a goal and follow it to its end. ValueError with the node's reason when it is refused or fails."""
        goal = Generate.Goal(task=task, seed=seed, steps=steps)
        self._recorder.write(
            self.node.resolve_topic_name("task"),
            self._recorder.message("std_msgs/msg/String", data=task),
            self.now_ns(),
        )  # the action's goal travels on no topic
        sent = self._generate.send_goal_async(goal, feedback_callback=self._feed)
        self.until(sent.done, what="an answer to the goal", node="syncmv4d")
        handle = sent.result()
        if handle is None or not handle.accepted:
            raise ValueError(f"the generator refused {task!r}. {self._processes.last_lines('syncmv4d')}")
        ended = handle.get_result_async()
        self.until(ended.done, what="the plan", node="syncmv4d")
        response = ended.result()
        assert response is not None
        if not response.result.success:
            raise ValueError(
                f"the generator has no plan for {task!r}: {response.result.message}. {self._processes.last_lines('syncmv4d')}"
            )
        return response.result

    def _feed(self, message: Any) -> None:
        self._last_news = time.monotonic()
        self._progress(message.feedback.stage, message.feedback.step, message.feedback.steps)

    def _hear(self, topic: str, kind: type, qos: QoSProfile) -> None:
        name, type_name = (
            self.node.resolve_topic_name(topic),
            f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}",
        )

        def store(data: bytes) -> None:
            self._newest[topic] = (kind, data)
            self._recorder.write_cdr(name, type_name, data, self.now_ns())

        self.node.create_subscription(kind, topic, store, qos, raw=True)

    def _listeners(self, topic: str) -> int:
        return self.node.count_subscribers(topic)

    def now_ns(self) -> int:
        """The clock that receptions are recorded by."""
        return self.node.get_clock().now().nanoseconds
