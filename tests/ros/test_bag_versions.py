"""Bags in every form that rosbag2 has written since its first release: rewritten, from what we write, as their sources say."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
import yaml

rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="rosbags is not installed here: pip install '.[eval]'")

from rosbags.rosbag2.metadata import dump_qos_v8, parse_qos  # noqa: E402

from syncmv4d_ros.recorder import write_bag  # noqa: E402
from syncmv4d_ros.recording import Recording  # noqa: E402
from tests.model.scene_folders import small_sequence  # noqa: E402
from tests.ros.recorded_scenes import START_NS  # noqa: E402


@dataclass(frozen=True)
class Written:
    """What a release of ROS 2 writes."""

    metadata: int
    schema: int  # of an sqlite3 file


RELEASES = {
    "dashing": Written(1, 1), "eloquent": Written(3, 1), "foxy": Written(4, 2), "humble": Written(5, 3),
    "humble, custom data": Written(6, 3), "iron": Written(7, 4), "iron, patched": Written(8, 4), "jazzy": Written(9, 4),
}  # fmt: skip


def older_qos(profiles):
    """As one string, policies by their numbers: until version 9."""
    return dump_qos_v8(parse_qos(profiles))


def older_metadata(bag, version):
    """What a version does not have yet is left out of metadata.yaml."""
    path = bag / "metadata.yaml"
    metadata = yaml.safe_load(path.read_text())
    told = metadata["rosbag2_bagfile_information"]
    told["version"] = version
    for since, key in ((8, "ros_distro"), (6, "custom_data"), (5, "files"), (3, "compression_mode")):
        if version < since:
            del told[key]
    if version < 3:
        del told["compression_format"]
    for topic in (entry["topic_metadata"] for entry in told["topics_with_message_count"]):
        if version < 9:
            topic["offered_qos_profiles"] = older_qos(topic["offered_qos_profiles"])
        if version < 7:
            del topic["type_description_hash"]
        if version < 4:
            del topic["offered_qos_profiles"]
    path.write_text(yaml.safe_dump(metadata))


def older_database(path, schema):
    """What a schema does not have yet is left out of an sqlite3 file."""
    gone = {
        4: ["DROP TABLE message_definitions", "ALTER TABLE topics DROP COLUMN type_description_hash"],
        3: ["DROP TABLE schema", "DROP TABLE metadata"],
        2: ["ALTER TABLE topics DROP COLUMN offered_qos_profiles"],
    }
    with closing(sqlite3.connect(path)) as database, database:
        for number, qos in database.execute("SELECT id, offered_qos_profiles FROM topics").fetchall():
            database.execute("UPDATE topics SET offered_qos_profiles = ? WHERE id = ?", (older_qos(qos), number))
        if schema == 3:
            database.execute("UPDATE schema SET schema_version = 3")
        for since, statements in gone.items():
            for statement in statements if schema < since else ():
                database.execute(statement)


def require_whole(bag, sequence):
    """Everything that was recorded comes back, bit for bit."""
    with Recording(bag) as recording:
        (request,) = recording.requests
        images, _ = recording.images(request, count=5, period_s=sequence.frame_period_s)
        order = [sequence.view_names.index(name) for name in recording.rig.view_names]
        assert np.array_equal(np.stack([np.stack(row) for row in images], axis=1), sequence.video[order])
        assert np.array_equal(request.truth.positions, sequence.positions[order])
        assert request.task == sequence.task


BEFORE_MCAP = ("dashing", "eloquent")


@pytest.mark.parametrize(
    ("storage", "release"),
    [(storage, name) for name in RELEASES for storage in ("sqlite3", "mcap")[: 1 if name in BEFORE_MCAP else 2]],
)
def test_a_bag_of_every_release_is_read(tmp_path, release, storage):
    written, sequence = RELEASES[release], small_sequence()
    bag = write_bag(tmp_path / "bag", sequence, storage=storage)
    older_metadata(bag, written.metadata)
    if storage == "sqlite3" and written.metadata < 9:
        older_database(bag / "bag.db3", written.schema)
    require_whole(bag, sequence)


def compressing(version, mode):
    """rosbags' writer as `ros2 bag record --compression-mode` has it."""

    class Compressing(rosbag2.Writer):
        def __init__(self, path, **options):
            super().__init__(path, **options | {"version": version})
            self.set_compression(rosbag2.CompressionMode[mode], rosbag2.CompressionFormat.ZSTD)

    return Compressing


@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize(
    ("storage", "mode"),
    [("sqlite3", "MESSAGE"), ("sqlite3", "FILE"), ("mcap", "MESSAGE"), ("mcap", "FILE"), ("mcap", "STORAGE")],
)
def test_a_compressed_bag_is_read(tmp_path, monkeypatch, version, storage, mode):
    monkeypatch.setattr(rosbag2, "Writer", compressing(version, mode))
    sequence = small_sequence()
    require_whole(write_bag(tmp_path / "bag", sequence, storage=storage), sequence)


class WithService(rosbag2.Writer):
    """As `ros2 bag record --all` leaves a bag where a service tells of its calls: a type that is no message."""

    def open(self):
        super().open()
        events = self.add_connection(
            "/add/_service_event", "example_interfaces/srv/AddTwoInts_Event",
            msgdef="int64 a\nint64 b\n---\nint64 sum\n", rihs01="RIHS01_" + 64 * "0",
        )  # fmt: skip
        self.write(events, START_NS, bytes(12))


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_bag_with_a_services_events_is_read(tmp_path, monkeypatch, storage):
    monkeypatch.setattr(rosbag2, "Writer", WithService)
    sequence = small_sequence()
    require_whole(write_bag(tmp_path / "bag", sequence, storage=storage), sequence)


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_a_bag_whose_metadata_tells_another_qos_than_its_file_is_read(tmp_path, storage):
    """People edit it so that `ros2 bag play` offers another; converting a bag changes it, too."""
    sequence = small_sequence()
    bag = write_bag(tmp_path / "bag", sequence, storage=storage)
    path = bag / "metadata.yaml"
    metadata = yaml.safe_load(path.read_text())
    for entry in metadata["rosbag2_bagfile_information"]["topics_with_message_count"]:
        entry["topic_metadata"]["offered_qos_profiles"] = []
    path.write_text(yaml.safe_dump(metadata))
    require_whole(bag, sequence)
