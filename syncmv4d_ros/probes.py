"""What `syncmv4d bench ros` measures with, each in a process of its own: cameras, a bare subscriber, a client of the node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from syncmv4d.action import Generate
from syncmv4d.msg import MultiViewVideo, PointTracks, RigidTrajectory
from syncmv4d_ros.camera_streams import CameraStreams
from syncmv4d_ros.conversions import read_image
from syncmv4d_ros.extrinsics import RigExtrinsics
from syncmv4d_ros.parameters import GeneratorParameters
from syncmv4d_ros.qos import LATCHED
from syncmv4d_ros.sent_messages import camera_info_message, header_message, image_message
from syncmv4d_ros.stamps import nanoseconds

PATIENCE_S = 60.0
POLL_S = 0.02
NS = 1_000_000_000
Size = tuple[int, int]


class Probe:
    """A ROS node whose callbacks run in a thread of their own."""

    def __init__(self, name: str, namespace: str) -> None:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # a signal ends this process as any other
        self.node = rclpy.create_node(name, namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def _spin(self) -> None:
        while not self._closing.is_set():
            self._executor.spin_once(timeout_sec=0.2)

    def until(self, reached: Callable[[], Any], what: str) -> Any:
        """What `reached` answers, once it is true. ValueError after PATIENCE_S."""
        end = time.monotonic() + PATIENCE_S
        while not (found := reached()):
            if time.monotonic() > end:
                raise ValueError(f"no {what} within {PATIENCE_S:g} s")
            time.sleep(POLL_S)
        return found


def test_image(size: Size, seed: int) -> np.ndarray:
    """Smooth blobs of colour with some noise, [H W 3]: what an encoder meets in a camera's image."""
    rng, (width, height) = np.random.default_rng(seed), size
    coarse = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
    smooth = coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def camera_messages(names: Sequence[str], size: Size) -> dict[str, tuple[Any, Any]]:
    """(Image, CameraInfo) of each camera."""
    width, height = size
    k = np.array([[1.2 * width, 0, (width - 1) / 2], [0, 1.2 * width, (height - 1) / 2], [0, 0, 1]])
    made = {}
    for seed, name in enumerate(names):
        header = header_message(f"{name}_optical_frame")
        made[name] = (
            image_message(test_image(size, seed), header),
            camera_info_message(k, header, width=width, height=height),
        )
    return made


class Cameras(Probe):
    """Publishes rgb8 images of `size` (width, height) and their CameraInfo, all cameras at the same ticks."""

    def __init__(self, namespace: str, names: Sequence[str], size: Size, reliable: bool) -> None:
        super().__init__("cameras", namespace)
        qos = image_qos(reliable)
        self.messages = camera_messages(names, size)
        self.images = {name: self.node.create_publisher(Image, f"{name}/image", qos) for name in names}
        self.infos = {name: self.node.create_publisher(CameraInfo, f"{name}/camera_info", qos) for name in names}
        self._stop = threading.Event()
        self._sender: threading.Thread | None = None

    def heard(self) -> None:
        """Wait until somebody subscribes to every image."""
        self.until(lambda: all(each.get_subscription_count() for each in self.images.values()), "subscriber")

    def send(self, count: int, rate_hz: float) -> None:
        """Publish `count` sets at a rate, or until a stop."""
        started = time.monotonic()
        for tick in range(count):
            if self._stop.wait(max(0.0, started + tick / rate_hz - time.monotonic())):
                return
            for name, (image, info) in self.messages.items():
                image.header.stamp = info.header.stamp = self.node.get_clock().now().to_msg()
                self.infos[name].publish(info)
                self.images[name].publish(image)

    def keep_sending(self, rate_hz: float) -> None:
        """Publish in the background until `close`."""
        self._sender = threading.Thread(target=self.send, args=(10**9, rate_hz), daemon=True)
        self._sender.start()

    def close(self) -> None:
        self._stop.set()
        if self._sender is not None:
            self._sender.join()
        super().close()


class Subscriber(Probe):
    """Hears the images and does nothing but note when: what DDS and rclpy cost without the node."""

    def __init__(self, namespace: str, names: Sequence[str], reliable: bool) -> None:
        super().__init__("subscriber", namespace)
        self.delays_ms: dict[str, list[float]] = {name: [] for name in names}
        for name in names:
            self.node.create_subscription(Image, f"{name}/image", partial(self._note, name), image_qos(reliable))

    def counts(self) -> dict[str, int]:
        """Images so far, by camera."""
        return {name: len(delays) for name, delays in self.delays_ms.items()}

    def delays(self) -> dict[str, list[float]]:
        """Milliseconds from the stamp to the callback, of every image."""
        return self.delays_ms

    def _note(self, name: str, message: Any) -> None:
        self.delays_ms[name].append((self.node.get_clock().now().nanoseconds - nanoseconds(message.header.stamp)) / 1e6)


class Client(Probe):
    """Asks the generator node for results, and reads its diagnostics."""

    def __init__(self, namespace: str) -> None:
        super().__init__("client", namespace)
        self._diagnostics: Any = None
        self.node.create_subscription(DiagnosticArray, "diagnostics", partial(setattr, self, "_diagnostics"), 10)
        for topic, kind in (("tracks", PointTracks), ("trajectories", RigidTrajectory), ("videos", MultiViewVideo)):
            self.node.create_subscription(kind, topic, lambda message: None, LATCHED)
        self._generate = ActionClient(self.node, Generate, "generate")

    def diagnostics(self) -> dict[str, dict[str, str]]:
        """Values by status name of an array that was sent after this call."""
        now = self.node.get_clock().now().nanoseconds
        self.until(
            lambda: self._diagnostics is not None and nanoseconds(self._diagnostics.header.stamp) > now, "diagnostics"
        )
        return {
            each.name.removeprefix("syncmv4d: "): {pair.key: pair.value for pair in each.values}
            for each in self._diagnostics.status
        }

    def result(self, *, replaced: bool = False) -> str:
        """Ask once; why there was no result, empty if there was. `replaced`: another request follows at once, and it counts."""
        handles = [self._ask(steps=0) for _ in range(1 + replaced)]
        ends = [self._begin(handle.get_result_async) for handle in handles]
        outcomes = [self._wait(end, "result").result for end in ends]
        return "" if outcomes[-1].success else outcomes[-1].message

    def cancelled(self, steps: int) -> tuple[int, float]:
        """Denoising steps reported after the answer to a cancel, and milliseconds from the cancel to the request's end."""
        done: list[int] = []
        handle = self._ask(steps=steps, feedback=lambda told: told.stage == "denoise" and done.append(told.step))
        self.until(lambda: done, "denoising step")
        asked = time.monotonic()
        self._wait(self._begin(handle.cancel_goal_async), "answer to a cancel")
        before = len(done)
        ended = self._wait(self._begin(handle.get_result_async), "result").result
        milliseconds = 1e3 * (time.monotonic() - asked)
        if ended.success:
            raise ValueError(f"a request of {steps} steps was done before its cancel")
        return len(done) - before, milliseconds

    def _ask(self, *, steps: int, feedback: Callable[[Any], Any] = lambda told: None) -> Any:
        self.until(self._generate.server_is_ready, "action server")
        goal = Generate.Goal(task="bench", steps=steps)
        send = partial(self._generate.send_goal_async, goal, feedback_callback=lambda told: feedback(told.feedback))
        handle = self._wait(self._begin(send), "answer to a goal")
        if not handle.accepted:
            raise ValueError("the node rejected a request; its /diagnostics says why")
        return handle

    def _begin(self, call: Callable[[], Any]) -> Any:
        """The future of an action client's call. rclpy notes a request only after sending it: in the thread that takes answers,
        none can come in between.
        """
        return self._wait(self._executor.create_task(call), "turn of the executor")

    def _wait(self, future: Any, what: str) -> Any:
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        if not ended.wait(PATIENCE_S):
            raise ValueError(f"no {what} within {PATIENCE_S:g} s")
        return future.result()


class NodesWork(Probe):
    """The node's own code for an image, without DDS around it."""

    def __init__(self, namespace: str, names: Sequence[str], size: Size, rig_file: str) -> None:
        super().__init__("work", namespace)
        told = GeneratorParameters(cameras=list(names), rig_files=[rig_file])
        self.names, self.messages = tuple(names), camera_messages(names, size)
        self.streams = CameraStreams(self.node, told, RigExtrinsics(told.rig_paths, names), None)
        for name, (_, info) in self.messages.items():
            self.streams.states[name].info = info

    def seconds(self, count: int) -> dict[str, list[float]]:
        """Per image: its callback, its conversion, and everything that a request does to it."""
        spent: dict[str, list[float]] = {"store": [], "convert": [], "prepare": []}
        for _ in range(count):
            stamp = self.node.get_clock().now().to_msg()
            for name, (image, _) in self.messages.items():
                image.header.stamp = stamp
                started = time.perf_counter()
                self.streams.store_image(name, image)
                stored = time.perf_counter()
                read_image(image)
                spent["store"].append(stored - started)
                spent["convert"].append(time.perf_counter() - stored)
            started = time.perf_counter()
            self.streams.observe("bench")
            spent["prepare"].append((time.perf_counter() - started) / len(self.names))
        return spent


def image_qos(reliable: bool) -> QoSProfile:
    """Depth as the node's own queue_size."""
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=GeneratorParameters().queue_size, reliability=reliability)
