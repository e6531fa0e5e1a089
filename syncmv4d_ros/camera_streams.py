"""Subscriptions to V cameras. Callbacks store; everything else happens when a request asks for an observation."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from syncmv4d_model.data.observation import observe
from syncmv4d_model.data.rig_warnings import rig_warnings
from syncmv4d_model.types import Observation
from syncmv4d_ros.camera_info import Calibration, read_camera_info, require_own_frame, rig_of
from syncmv4d_ros.conversions import read_compressed_image, read_image
from syncmv4d_ros.engine import Cancelled
from syncmv4d_ros.extrinsics import Extrinsics
from syncmv4d_ros.parameters import GeneratorParameters
from syncmv4d_ros.stamps import NS, nanoseconds
from syncmv4d_ros.synchronizer import StreamCounts, SyncedSet, Synchronizer

DELAY_WINDOW = 300
"""Arrivals that delays are told of: ten seconds of 30 Hz."""
RATE_WINDOW = 30
"""Arrivals that a rate is measured over."""
POLL_S = 0.02


@dataclass
class CameraState:
    """What is known of one camera; callbacks write it, diagnostics read it."""

    info: Any = None  # the newest CameraInfo
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_WINDOW))  # monotonic seconds
    delays_s: deque[float] = field(default_factory=lambda: deque(maxlen=DELAY_WINDOW))  # from stamp to arrival
    last_error: str = ""

    def delay_s(self, share: float) -> float:
        """The delay that this share of the last images did not exceed, by the node's clock; NaN before the first."""
        delays = sorted(self.delays_s.copy())  # copied at once: callbacks append
        return delays[min(int(share * len(delays)), len(delays) - 1)] if delays else float("nan")

    @property
    def rate_hz(self) -> float:
        """Of the last arrivals; of a camera that has stopped it falls, as the wait for the next image counts too."""
        arrivals = list(self.arrivals)
        if len(arrivals) < 2 or arrivals[-1] == arrivals[0]:
            return 0.0
        period_s = (arrivals[-1] - arrivals[0]) / (len(arrivals) - 1)
        return 1 / max(period_s, time.monotonic() - arrivals[-1])

    @property
    def age_s(self) -> float:
        """Since the newest image arrived; infinite before the first."""
        arrivals = list(self.arrivals)
        return time.monotonic() - arrivals[-1] if arrivals else float("inf")


@dataclass(frozen=True)
class Reference:
    """What a result is published with: the moment and frames of the images that it continues."""

    observation: Observation
    stamp: Any  # builtin_interfaces/Time, the newest of the set
    frame_ids: tuple[str, ...]
    rectifications: tuple[np.ndarray, ...]  # 3 x 3, Calibration.rectification of each view
    warnings: tuple[str, ...]


class CameraStreams:
    """Subscribes on construction; `close` ends it. `observe` may be called by any thread."""

    def __init__(self, node: Any, parameters: GeneratorParameters, extrinsics: Extrinsics, callback_group: Any) -> None:
        self.node, self.parameters, self.extrinsics = node, parameters, extrinsics
        names = parameters.camera_names
        self.synchronizer = Synchronizer(names, slop_s=parameters.slop_s, queue_size=parameters.queue_size)
        self.states = {name: CameraState() for name in names}
        self.arrived = threading.Condition()
        self.subscriptions: list[Any] = []
        self.topics: dict[str, str] = {}
        for name in names:
            self._subscribe(name, callback_group)

    def close(self) -> None:
        for subscription in self.subscriptions:
            self.node.destroy_subscription(subscription)
        self.subscriptions.clear()
        self.synchronizer.clear()

    def observe(
        self,
        task: str,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Reference:
        """The newest synchronised images that can be used, once they are there.

        A spoilt set, and one that came before its calibration, costs nothing but the wait for the next. ValueError saying which
        camera lacks what after image_wait_s; Cancelled when `stopped` answers True before.
        """
        deadline = time.monotonic() + self.parameters.image_wait_s
        problem: ValueError | None = None
        while True:
            taken = self._take()
            if taken is not None:
                try:
                    return self._reference(taken, task)
                except ValueError as error:
                    self.synchronizer.refuse()
                    problem = error
            if time.monotonic() >= deadline:
                raise problem or ValueError(self._what_is_missing())
            if stopped():
                raise Cancelled("stopped while it waited for images")
            with self.arrived:
                self.arrived.wait(POLL_S)

    def store_image(self, name: str, message: Any) -> None:
        """What the callback of a camera's images does: note its arrival, and store it."""
        state, stamp_ns = self.states[name], nanoseconds(message.header.stamp)
        state.arrivals.append(time.monotonic())
        state.delays_s.append((self.node.get_clock().now().nanoseconds - stamp_ns) / NS)
        if self.synchronizer.add(name, stamp_ns, message):
            with self.arrived:
                self.arrived.notify_all()

    def counts(self) -> dict[str, StreamCounts]:
        return self.synchronizer.counts()

    def _subscribe(self, name: str, callback_group: Any) -> None:
        compressed = name in self.parameters.compressed
        reliable = self.parameters.reliable_images
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self.parameters.queue_size,
            durability=DurabilityPolicy.VOLATILE,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )
        self.topics[name] = f"{name}/image/compressed" if compressed else f"{name}/image"
        self.subscriptions += [
            self.node.create_subscription(
                CompressedImage if compressed else Image, self.topics[name],
                lambda message: self.store_image(name, message), qos, callback_group=callback_group,
            ),
            self.node.create_subscription(
                CameraInfo, f"{name}/camera_info",
                lambda message: setattr(self.states[name], "info", message), qos, callback_group=callback_group,
            ),
        ]  # fmt: skip

    def _take(self) -> SyncedSet | None:
        """A set that is young enough."""
        oldest_ns = self.node.get_clock().now().nanoseconds - round(self.parameters.max_age_s * NS)
        return self.synchronizer.take(oldest_ns=oldest_ns)

    def _reference(self, taken: SyncedSet, task: str) -> Reference:
        """ValueError saying what is wrong with which camera; its status says so too."""
        names = self.parameters.camera_names
        calibrations, images, poses = [], [], []
        for name, message in zip(names, taken.items, strict=True):
            try:
                calibrations.append(self._calibration(name))
                images.append(self._image(name, message))
                _require_size(images[-1], calibrations[-1])
                header = message.header
                poses.append(self.extrinsics.camera_from_world(name, header.frame_id, header.stamp))
            except ValueError as error:
                self.states[name].last_error = str(error)
                raise ValueError(f"camera {name}: {error}") from error
            self.states[name].last_error = ""
        rig = rig_of(names, calibrations, np.stack(poses))
        newest = int(np.argmax(taken.stamps_ns))
        observation, _ = observe(rig, images, task, stamp_s=taken.stamps_ns[newest] / NS)
        frame_ids = tuple(message.header.frame_id for message in taken.items)
        doubts = [self.extrinsics.doubt(*each) for each in zip(frame_ids, poses, strict=True)]
        return Reference(
            observation,
            stamp=taken.items[newest].header.stamp,
            frame_ids=frame_ids,
            rectifications=tuple(calibration.rectification for calibration in calibrations),
            warnings=(*rig_warnings(observation), *(doubt for doubt in doubts if doubt)),
        )

    def _what_is_missing(self) -> str:
        waited = self.parameters.image_wait_s
        silent = [name for name, state in self.states.items() if state.age_s > max(waited, self.parameters.max_age_s)]
        if silent:
            heard = ", ".join(f"{name} on {self.node.resolve_topic_name(self.topics[name])}" for name in silent)
            return f"no image within {waited:g} s from {heard}; /diagnostics says who publishes there"
        return (
            f"images arrive, but no set of all cameras within {self.parameters.slop_s:g} s of each other and younger than"
            f" {self.parameters.max_age_s:g} s: are the cameras' clocks synchronised?"
        )

    def _calibration(self, name: str) -> Calibration:
        info = self.states[name].info
        if info is None:
            raise ValueError(f"no CameraInfo on {self.node.resolve_topic_name(f'{name}/camera_info')}")
        rectified = name in self.parameters.rectified
        if rectified and self.extrinsics.by_frame:
            require_own_frame(info)
        return read_camera_info(info, rectified=rectified)

    def _image(self, name: str, message: Any) -> np.ndarray:
        return read_compressed_image(message) if name in self.parameters.compressed else read_image(message)


def _require_size(image: np.ndarray, calibration: Calibration) -> None:
    """ValueError for an image of another resolution than its calibration."""
    (height, width), size = image.shape[:2], calibration.size
    if (width, height) != size:
        raise ValueError(f"its image is {width} x {height} px, its CameraInfo is of {size[0]} x {size[1]}")
