"""Any ROS 2 bag, read without ROS: its topics, and which of them are cameras."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from syncmv4d_ros.definitions import reading_types

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
USUAL_NAMES = ("image", "image_raw", "image_color", "image_mono", "image_rect", "image_rect_color")
"""Last parts of image topics, the preferred first, where a camera has several."""
OUR_OUTPUT = "generated"
"""Namespace of the videos that the generator replays beside a camera: no camera itself."""

_DATABASE_FIELDS = ((16, 18), (24, 28), (28, 32), (92, 96))  # of SQLite's header: page size, changes, pages, valid for


@dataclass(frozen=True)
class CameraTopics:
    """Where a camera's images are, and its calibration; None where no topic has it."""

    image: str
    info: str | None


class Bag:
    """An open bag: a folder with metadata.yaml, or one .mcap or .db3 file.

    FileNotFoundError if there is none; ValueError, naming it, if it is truncated, unindexed or no bag.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(f"no bag {path}")
        self.path = path
        self._reader: Any = None
        self._connections: list[Any] = []
        self.topics: dict[str, str] = {}  # name -> message type
        self.counts: dict[str, int] = {}  # name -> messages

    def __enter__(self) -> Bag:
        from rosbags.highlevel import AnyReader

        if self.path.is_dir() and not (self.path / "metadata.yaml").is_file():
            raise ValueError(f"{self.path} is not a whole bag: metadata.yaml is missing (was its recorder killed?)")
        if self.path.suffix == ".bag":
            raise ValueError(f"{self.path}: a name ending in .bag is that of a ROS 1 bag; this reads ROS 2 bags")
        for database in [self.path] if self.path.is_file() else sorted(self.path.iterdir()):
            _check_database(database)
        try:
            self._reader = AnyReader([self.path], default_typestore=reading_types())
            self._reader.readers = [_reader_of_messages(self.path)]
            self._reader.open()
        except Exception as error:  # a cut file can end its parser in any way
            raise self._damaged(error) from error
        for connection in self._reader.connections:
            self.topics[connection.topic] = connection.msgtype
            self.counts[connection.topic] = self.counts.get(connection.topic, 0) + connection.msgcount
        self._connections = _as_stored(self._reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None and self._reader.stack:
            self._reader.close()

    def messages(
        self, topics: Collection[str], *, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """(topic, when it was received, message) in the order of reception. ValueError where the file is damaged."""
        connections = [c for c in self._connections if c.topic in topics]
        if not connections:
            return
        try:
            for connection, time_ns, data in self._reader.messages(connections, start=start_ns, stop=stop_ns):
                yield connection.topic, time_ns, self._reader.deserialize(data, connection.msgtype)
        except Exception as error:  # as in __enter__; what the caller does with a message is not raised in here
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ValueError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return ValueError(f"{self.path} is truncated or not a ROS 2 bag: {reason}")


def _reader_of_messages(path: Path) -> Any:
    """A reader that passes over the events of services: their definitions are none of a message, and AnyReader ends at the first."""
    from rosbags.rosbag2 import Reader

    class MessageReader(Reader):
        def open(self) -> None:
            super().open()
            topics = self.storage.connections
            topics[:] = [connection for connection in topics if "/srv/" not in connection.msgtype]

    return MessageReader(path)


def _as_stored(reader: Any) -> list[Any]:
    """A reader's connections with the QoS of each storage file: it skips, in silence, what its metadata.yaml tells another QoS of,
    as after a conversion, or after an edit for `ros2 bag play`.
    """
    files = [file for one in reader.readers for file in getattr(one.storage, "storages", [])]
    stored: dict[str, list[Any]] = {}
    for connection in (connection for file in files for connection in file.connections):
        told = stored.setdefault(connection.topic, [])
        if connection.ext not in told:
            told.append(connection.ext)
    return [c._replace(ext=ext) for c in reader.connections for ext in stored.get(c.topic, [c.ext])]


def _check_database(path: Path) -> None:
    """ValueError for an SQLite file that is shorter than its header says, or whose journal was never merged into it: SQLite
    itself may notice neither, and the last messages would be missing in silence.
    """
    if path.suffix != ".db3" or not path.is_file():
        return
    with path.open("rb") as file:
        header = file.read(100)
    page, counter, pages, valid_for = (int.from_bytes(header[a:b], "big") for a, b in _DATABASE_FIELDS)
    size, needed = path.stat().st_size, (65536 if page == 1 else page) * pages
    if counter == valid_for and size < needed:
        raise ValueError(f"{path} is truncated or not a ROS 2 bag: {size} bytes of {needed}")
    journal = path.with_name(f"{path.name}-wal")
    if journal.is_file() and journal.stat().st_size:
        raise ValueError(
            f"{path} is not a whole bag: {journal.name} was never merged into it (was its recorder killed?)"
        )


def guess_cameras(bag: Bag, names: Sequence[str] | None = None) -> dict[str, CameraTopics]:
    """The cameras of a bag: each namespace with a camera_info and images, by its last part ("/cell/left" is "left").

    `names` (a rig file's views) asks for these, with or without camera_info. ValueError when there is none, when one of
    `names` is missing, when two have one name, and when a camera has several image topics of which none is usual.
    """
    images: dict[str, list[str]] = {}
    for topic in sorted(topic for topic, kind in bag.topics.items() if kind in (IMAGE, COMPRESSED)):
        images.setdefault(namespace(topic, bag.topics[topic]), []).append(topic)
    cameras: dict[str, CameraTopics] = {}
    for room, topics in images.items():
        info = f"{room}/camera_info"
        calibrated = bag.topics.get(info) == CAMERA_INFO
        name = room.rpartition("/")[2] or "camera"
        if name == OUR_OUTPUT or (names is None and not calibrated) or (names is not None and name not in names):
            continue
        if name in cameras:
            raise ValueError(
                f"{bag.path}: {cameras[name].image} and {topics[0]} are both {name!r}: give NAME=IMAGE_TOPIC"
            )
        cameras[name] = CameraTopics(_usual(topics, bag), info if calibrated else None)
    there = ", ".join(topic for topics in images.values() for topic in topics) or "none"
    if names is not None and (missing := [name for name in names if name not in cameras]):
        raise ValueError(f"{bag.path}: no images of the rig's views {', '.join(missing)}; its image topics are {there}")
    if not cameras:
        raise ValueError(
            f"{bag.path}: no calibration: no image topic has a camera_info beside it; its image topics are {there}"
        )
    return cameras if names is None else {name: cameras[name] for name in names}


def mapped_cameras(bag: Bag, mapping: Sequence[str]) -> dict[str, CameraTopics]:
    """Cameras as `NAME=IMAGE_TOPIC` or `NAME=IMAGE_TOPIC,CAMERA_INFO_TOPIC`; else camera_info is sought beside the images.

    ValueError for a topic that is missing or is not of that kind, naming what there is.
    """
    cameras = {}
    for entry in mapping:
        name, _, topics = entry.partition("=")
        image, _, info = topics.partition(",")
        if not name or not image or name in cameras:
            raise ValueError(f"a camera is NAME=IMAGE_TOPIC, each name once, got {entry!r}")
        require_topic(bag, image, (IMAGE, COMPRESSED))
        if info:
            require_topic(bag, info, (CAMERA_INFO,))
        beside = f"{namespace(image, bag.topics[image])}/camera_info"
        cameras[name] = CameraTopics(image, info or (beside if bag.topics.get(beside) == CAMERA_INFO else None))
    return cameras


def require_topic(bag: Bag, topic: str, kinds: Sequence[str]) -> None:
    """ValueError unless the bag has the topic with a message of one of these types."""
    kind = bag.topics.get(topic)
    if kind is None or not bag.counts[topic]:
        there = sorted(name for name, other in bag.topics.items() if other in kinds and bag.counts[name])
        raise ValueError(
            f"{bag.path}: no message on the topic {topic}; with {' or '.join(kinds)} it has {', '.join(there) or 'none'}"
        )
    if kind not in kinds:
        raise ValueError(f"{bag.path}: {topic} is {kind}, not {' or '.join(kinds)}")


def namespace(topic: str, kind: str) -> str:
    """What an image topic shares with its camera_info: /left/image/compressed -> /left."""
    plain = topic.removesuffix("/compressed") if kind == COMPRESSED else topic
    return plain.rpartition("/")[0]


def _usual(topics: Sequence[str], bag: Bag) -> str:
    """The topic to read of a camera that has several."""

    def rank(topic: str) -> tuple[int, bool]:
        compressed = bag.topics[topic] == COMPRESSED
        last = (topic.removesuffix("/compressed") if compressed else topic).rpartition("/")[2]
        return (USUAL_NAMES.index(last) if last in USUAL_NAMES else len(USUAL_NAMES), compressed)

    ranked = sorted((topic for topic in topics if bag.counts[topic]), key=rank) or list(topics)
    if len(ranked) > 1 and rank(ranked[0]) == rank(ranked[1]):
        raise ValueError(f"{bag.path}: which of {', '.join(ranked)} are the camera's images? Give NAME=IMAGE_TOPIC")
    return ranked[0]
