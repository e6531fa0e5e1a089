"""Write real bags (mcap or sqlite3) without ROS: any message, and whole sequences as three cameras would publish them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np

from syncmv4d_model.data.rig import Distortion
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.geometry import inverse
from syncmv4d_ros.definitions import POINT_TRACKS, typestore
from syncmv4d_ros.planning import flattened
from syncmv4d_ros.stamps import NS
from syncmv4d_ros.track_messages import track_fields

LATCHED = ("tf_static", "tracks", "tracks_truth", "trajectories", "videos", "outcome")
"""Last parts of topic names whose messages late subscribers get too: `ros2 bag play` needs to know."""

Storage = Literal["mcap", "sqlite3"]


class Recorder:
    """A bag being written: a folder with one storage file and, when closed, its metadata.yaml.

    with Recorder(Path("run")) as recorder:
        recorder.write("/task", recorder.message("std_msgs/msg/String", data="push the box"), time_ns)

    FileExistsError if the path is there already; after an error inside the block the unfinished folder is removed.
    """

    def __init__(self, path: Path, *, storage: Storage = "mcap", zstd: bool = False) -> None:
        """`zstd` compresses the chunks of an mcap file: images that hardly change take little room. ValueError for sqlite3."""
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        if zstd and storage != "mcap":
            raise ValueError(f"only mcap has compressed chunks, not {storage}")

        if path.exists():
            raise FileExistsError(f"{path} is there already: a bag is never overwritten")
        self.path = path
        self._writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
        if zstd:
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> Recorder:
        self._writer.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)

    def message(self, message_type: str, **fields: Any) -> Any:
        """A message of a ROS type by name, such as "std_msgs/msg/String". KeyError for a type that is not known."""
        return typestore().types[message_type](**fields)

    def write(self, topic: str, message: Any, time_ns: int) -> None:
        """Append a message made by `message`, as received at `time_ns`."""
        self.write_cdr(topic, message.__msgtype__, typestore().serialize_cdr(message, message.__msgtype__), time_ns)

    def write_cdr(self, topic: str, message_type: str, cdr: bytes | memoryview, time_ns: int) -> None:
        """Append an encoded message, such as a raw subscription of rclpy delivers."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, message_type, typestore=typestore(), offered_qos_profiles=[_qos(topic)]
            )
        self._writer.write(self._connections[topic], time_ns, cdr)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """A std_msgs/Header."""
        stamp = self.message("builtin_interfaces/msg/Time", sec=stamp_ns // NS, nanosec=stamp_ns % NS)
        return self.message("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def write_bag(
    path: Path,
    sequence: Sequence,
    *,
    storage: Storage = "mcap",
    start_ns: int = 1_700_000_000 * NS,
    world_frame: str = "world",
    compressed: bool = False,
    with_truth: bool = True,
) -> Path:
    """Record a sequence as a bag: its images and calibration, /tf_static, /task and /tracks_truth; returns `path`.

    Topics and frames as `record_sequence` and `record_rig`. FileExistsError if the path is there already.
    """
    with Recorder(path, storage=storage) as recorder:
        poses = dict(zip(sequence.view_names, sequence.camera_from_world, strict=True))
        record_rig(recorder, poses, start_ns, world_frame=world_frame)
        record_sequence(
            recorder, sequence, start_ns, world_frame=world_frame, compressed=compressed, with_truth=with_truth
        )
    return path


def record_rig(
    recorder: Recorder, camera_from_world: Mapping[str, np.ndarray], time_ns: int, *, world_frame: str = "world"
) -> None:
    """One message on /tf_static: each camera's frame `<name>_optical_frame` in the world."""
    from scipy.spatial.transform import Rotation

    transforms = []
    for name, pose in camera_from_world.items():
        world_from_camera = inverse(np.asarray(pose, dtype=np.float64))
        x, y, z, w = (float(q) for q in Rotation.from_matrix(world_from_camera[:3, :3]).as_quat())
        tx, ty, tz = (float(t) for t in world_from_camera[:3, 3])
        transforms.append(
            recorder.message(
                "geometry_msgs/msg/TransformStamped",
                header=recorder.header(time_ns, world_frame),
                child_frame_id=optical_frame(name),
                transform=recorder.message(
                    "geometry_msgs/msg/Transform",
                    translation=recorder.message("geometry_msgs/msg/Vector3", x=tx, y=ty, z=tz),
                    rotation=recorder.message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
                ),
            )
        )
    recorder.write("/tf_static", recorder.message("tf2_msgs/msg/TFMessage", transforms=transforms), time_ns)


def record_sequence(
    recorder: Recorder,
    sequence: Sequence,
    start_ns: int,
    *,
    world_frame: str = "world",
    compressed: bool = False,
    with_truth: bool = True,
) -> None:
    """Every frame on /<view>/image (or /<view>/image/compressed, PNG) with /<view>/camera_info; with frame 0, after its
    images, the task on /task and the tracks on /tracks_truth. Frame n is stamped start_ns + n frame periods.
    """
    period_ns = round(sequence.frame_period_s * NS)
    for n in range(sequence.video.shape[1]):
        stamp_ns = start_ns + n * period_ns
        for view, name in enumerate(sequence.view_names):
            record_image(recorder, name, sequence.video[view, n], stamp_ns, compressed=compressed)
            record_camera_info(recorder, name, sequence.intrinsics[view], stamp_ns, size=sequence.video.shape[3:1:-1])
        if n == 0:
            recorder.write("/task", recorder.message("std_msgs/msg/String", data=sequence.task), stamp_ns)
            if with_truth:
                record_truth(recorder, sequence, stamp_ns, world_frame=world_frame)


def record_image(recorder: Recorder, name: str, image: np.ndarray, stamp_ns: int, *, compressed: bool = False) -> None:
    """An image [H W 3] u8 RGB of the camera `name`."""
    from PIL import Image

    header = recorder.header(stamp_ns, optical_frame(name))
    if compressed:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG")
        data = np.frombuffer(buffer.getvalue(), np.uint8)
        message = recorder.message("sensor_msgs/msg/CompressedImage", header=header, format="rgb8; png", data=data)
        return recorder.write(f"/{name}/image/compressed", message, stamp_ns)
    height, width = image.shape[:2]
    message = recorder.message(
        "sensor_msgs/msg/Image", header=header, height=height, width=width, encoding="rgb8", is_bigendian=0,
        step=3 * width, data=np.ascontiguousarray(image).ravel(),
    )  # fmt: skip
    return recorder.write(f"/{name}/image", message, stamp_ns)


def record_camera_info(
    recorder: Recorder,
    name: str,
    intrinsics: np.ndarray,
    stamp_ns: int,
    *,
    size: tuple[int, ...],
    distortion: Distortion | None = None,
    binning: tuple[int, int] = (0, 0),
    roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    baseline: float = 0.0,
) -> None:
    """The calibration of the camera's full image (REP-104): K [3 3] px, (width, height) px, roi (x, y, width, height)
    and binning of the published images, and P's last column: -fx times the baseline (px m) of a stereo pair's second camera.
    """
    lens = distortion or Distortion("plumb_bob", (0.0,) * 5)
    x, y, width, height = roi
    message = recorder.message(
        "sensor_msgs/msg/CameraInfo",
        header=recorder.header(stamp_ns, optical_frame(name)),
        width=size[0],
        height=size[1],
        distortion_model=lens.model,
        d=np.array(lens.coefficients, dtype=np.float64),
        k=np.asarray(intrinsics, dtype=np.float64).ravel(),
        r=np.eye(3).ravel(),
        p=np.c_[intrinsics, [baseline, 0, 0]].astype(np.float64).ravel(),
        binning_x=binning[0],
        binning_y=binning[1],
        roi=recorder.message(
            "sensor_msgs/msg/RegionOfInterest", x_offset=x, y_offset=y, height=height, width=width, do_rectify=False
        ),
    )
    recorder.write(f"/{name}/camera_info", message, stamp_ns)


def record_truth(recorder: Recorder, sequence: Sequence, stamp_ns: int, *, world_frame: str = "world") -> None:
    """The sequence's exact tracks on /tracks_truth; their deviation is 0."""
    exactly = np.zeros(sequence.visible.shape, np.float32)
    points = flattened(
        sequence.positions, sequence.visible, exactly, sequence.label, frame_period_s=sequence.frame_period_s
    )
    fields = track_fields(points, view_names=sequence.view_names, task=sequence.task, plan_id=sequence.name)
    header = recorder.header(stamp_ns, world_frame)
    recorder.write("/tracks_truth", recorder.message(POINT_TRACKS, header=header, **fields), stamp_ns)


def optical_frame(name: str) -> str:
    """The tf frame (x right, y down, z forward) of a camera's images."""
    return f"{name}_optical_frame"


def _qos(topic: str) -> Any:
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    latched = topic.rpartition("/")[2] in LATCHED
    forever = QosTime(9_223_372_036, 854_775_807)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE, durability, forever, forever,
        QosLiveliness.AUTOMATIC, forever, False,
    )  # fmt: skip
