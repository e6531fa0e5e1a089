"""Real bags, written and read without ROS: what goes in comes out, and what is broken says so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_ros import definitions
from syncmv4d_ros.bag import Bag, guess_cameras, mapped_cameras
from syncmv4d_ros.definitions import POINT_TRACKS, message_folder, typestore
from syncmv4d_ros.recorder import Recorder, record_image, write_bag
from syncmv4d_ros.recording import Recording
from tests.model.scene_folders import small_sequence
from tests.ros.recorded_scenes import START_NS, record

ROOT = Path(__file__).parents[2]
TYPES = typestore().types


@pytest.fixture(scope="module")
def bags(tmp_path_factory):
    """The same sequence in every form, and the sequence."""
    directory, sequence = tmp_path_factory.mktemp("bags"), small_sequence()
    write_bag(directory / "mcap", sequence)
    write_bag(directory / "sqlite3", sequence, storage="sqlite3")
    write_bag(directory / "png", sequence, compressed=True)
    return directory, sequence


@pytest.mark.parametrize("form", ["mcap", "sqlite3", "png", "mcap/mcap.mcap", "sqlite3/sqlite3.db3"])
def test_a_recorded_sequence_comes_back_bit_for_bit(bags, form):
    directory, sequence = bags
    with Recording(directory / form) as recording:
        (request,) = recording.requests
        images, late_s = recording.images(request, count=5, period_s=sequence.frame_period_s)
    order = [sequence.view_names.index(name) for name in recording.rig.view_names]
    assert np.array_equal(np.stack([np.stack(row) for row in images], axis=1), sequence.video[order])
    assert (late_s == 0).all()
    assert request.task == sequence.task
    assert np.allclose(recording.rig.camera_from_world, sequence.camera_from_world[order], atol=1e-9)
    assert np.array_equal(recording.rig.intrinsics, sequence.intrinsics[order])
    assert request.truth.view_names == recording.rig.view_names
    for key in ("positions", "visible", "label"):
        assert np.array_equal(getattr(request.truth, key), getattr(sequence, key)[order]), key
    assert request.truth.frame_period_s == sequence.frame_period_s


def storage_file(bag: Path) -> Path:
    return next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@given(share=st.floats(0, 0.999))
def test_a_truncated_bag_is_named(bags, tmp_path_factory, storage, share):
    directory, sequence = bags
    whole = storage_file(directory / storage)
    cut = tmp_path_factory.mktemp("cut") / whole.name
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    with (
        pytest.raises(ValueError, match=rf"{whole.name} is truncated or not a ROS 2 bag: \S"),
        Recording(cut) as recording,
    ):
        recording.images(recording.requests[0], count=5, period_s=sequence.frame_period_s)
        list(recording.bag.messages(list(recording.bag.topics)))


def test_a_database_whose_journal_was_never_merged_is_refused(tmp_path):
    bag = record(tmp_path / "bag", storage="sqlite3")
    (bag / "bag.db3-wal").write_bytes(b"messages")
    with pytest.raises(ValueError, match="bag.db3 is not a whole bag: bag.db3-wal was never merged"):
        Recording(bag)


def test_a_bag_whose_recorder_was_killed_a_ros_1_bag_and_no_bag_are_told_apart(bags, tmp_path):
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "killed.mcap").write_bytes(storage_file(bags[0] / "mcap").read_bytes()[:999])
    with pytest.raises(ValueError, match="killed is not a whole bag: metadata.yaml is missing"):
        Recording(tmp_path / "killed")
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(ValueError, match=r"old.bag: .* ROS 1"):
        Recording(tmp_path / "old.bag")
    (tmp_path / "notes.txt").write_text("no bag")
    with pytest.raises(ValueError, match=r"notes.txt .* not a ROS 2 bag: Unrecognized storage"):
        Recording(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Recording(tmp_path / "nowhere")


def test_a_bag_is_never_overwritten_and_an_unfinished_one_is_removed(tmp_path):
    with pytest.raises(RuntimeError), Recorder(tmp_path / "run") as recorder:
        record_image(recorder, "left", np.zeros((2, 2, 3), np.uint8), 1)
        raise RuntimeError
    assert not (tmp_path / "run").exists()
    record(tmp_path / "run")
    with pytest.raises(FileExistsError, match="run is there already"):
        Recorder(tmp_path / "run")


def test_a_compressed_bag_is_smaller_and_holds_the_same(tmp_path):
    sizes = {}
    for zstd in (False, True):
        with Recorder(tmp_path / str(zstd), zstd=zstd) as recorder:
            for n in range(8):
                record_image(recorder, "left", np.full((64, 64, 3), n, np.uint8), n + 1)
        with Bag(tmp_path / str(zstd)) as bag:
            assert [message.data[0] for _, _, message in bag.messages(["/left/image"])] == list(range(8))
        sizes[zstd] = storage_file(tmp_path / str(zstd)).stat().st_size
    assert sizes[True] < sizes[False] / 10
    with pytest.raises(ValueError, match="only mcap has compressed chunks, not sqlite3"):
        Recorder(tmp_path / "no", storage="sqlite3", zstd=True)


def test_what_players_must_latch_is_latched(bags):
    from rosbags.interfaces import QosDurability

    with Bag(bags[0] / "mcap") as bag:
        durable = {c.topic: c.ext.offered_qos_profiles[0].durability for c in bag._reader.connections}
    assert durable["/tf_static"] == QosDurability.TRANSIENT_LOCAL
    assert durable["/tracks_truth"] == QosDurability.TRANSIENT_LOCAL
    assert durable["/left/image"] == QosDurability.VOLATILE


def test_cameras_are_guessed_by_their_camera_info_and_our_own_videos_are_not_cameras(tmp_path):
    def more(recorder):
        for name in ("left/generated", "cell/top", "depth_without_calibration"):
            record_image(recorder, name, np.zeros((6, 8, 3), np.uint8), START_NS)
        for name in ("left/generated", "cell/top"):
            info = recorder.message(
                "sensor_msgs/msg/CameraInfo", header=recorder.header(START_NS, "x"), height=6, width=8,
                distortion_model="", d=np.zeros(0), k=np.eye(3).ravel(), r=np.eye(3).ravel(), p=np.eye(3, 4).ravel(),
                binning_x=0, binning_y=0, roi=TYPES["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
            )  # fmt: skip
            recorder.write(f"/{name}/camera_info", info, START_NS)
        record_image(recorder, "left", np.zeros((6, 8, 3), np.uint8), START_NS, compressed=True)

    with Bag(record(tmp_path / "bag", more=more)) as bag:
        cameras = guess_cameras(bag)
        assert set(cameras) == {"left", "centre", "top"}
        assert cameras["left"].image == "/left/image"
        assert (cameras["top"].image, cameras["top"].info) == ("/cell/top/image", "/cell/top/camera_info")
        mapped = mapped_cameras(bag, ["a=/left/image/compressed", "b=/cell/top/image,/left/camera_info"])
        assert (mapped["a"].info, mapped["b"].info) == ("/left/camera_info", "/left/camera_info")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("left", "NAME=IMAGE_TOPIC"),
        ("left=", "NAME=IMAGE_TOPIC"),
        ("left=/nowhere/image", r"no message on the topic /nowhere/image; .* it has /centre/image, /left/image"),
        ("left=/task", "/task is std_msgs/msg/String, not sensor_msgs/msg/Image or"),
        ("left=/left/image,/nowhere", "no message on the topic /nowhere; with sensor_msgs/msg/CameraInfo it has"),
    ],
)
def test_a_topic_that_is_not_there_is_named_with_what_there_is(tmp_path, entry, said):
    with Bag(record(tmp_path / "bag")) as bag, pytest.raises(ValueError, match=said):
        mapped_cameras(bag, [entry])


def test_the_messages_fields_are_those_that_planners_were_promised():
    lines = [line.split("#")[0].split() for line in (message_folder() / "PointTracks.msg").read_text().splitlines()]
    assert [" ".join(words) for words in lines if words and "=" not in words] == [
        "std_msgs/Header header", "string task", "string plan_id", "string[] views", "float32 frame_period_s",
        "uint32 num_frames", "uint32 num_points", "float32[] positions", "uint8[] visible", "float32[] stddev",
        "uint8[] label", "uint8[] source_view",
    ]  # fmt: skip


def test_all_our_messages_can_be_recorded_and_are_found_where_a_workspace_installs_them(tmp_path, monkeypatch):
    names = {f"syncmv4d/msg/{path.stem}" for path in message_folder().glob("*.msg")}
    assert POINT_TRACKS in names <= set(TYPES)
    installed = tmp_path / "share" / "syncmv4d" / "msg"
    installed.mkdir(parents=True)
    (installed / "PointTracks.msg").write_text("string task\n")
    monkeypatch.setattr(definitions, "__file__", str(tmp_path / "nowhere" / "syncmv4d_ros" / "definitions.py"))
    monkeypatch.setattr(definitions, "files", lambda package: [])
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/elsewhere:{tmp_path}")
    assert message_folder() == installed
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    with pytest.raises(
        FileNotFoundError, match=r"PointTracks.msg is neither beside the code, nor .* AMENT_PREFIX_PATH"
    ):
        message_folder()


BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("rclpy", "torch", "tf2_ros", "mujoco", "matplotlib"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""
PROGRAM = """
from pathlib import Path
import syncmv4d_ros.definitions
syncmv4d_ros.definitions._places = lambda: iter(())
import syncmv4d_ros.recorder
from syncmv4d_ros.recording import Recording
print(Recording(Path(sys.argv[1])).requests[0].truth.positions.shape)
"""


def test_a_bag_is_read_by_its_own_definitions_without_ros_torch_and_our_message_files(bags):
    command = [sys.executable, "-c", BLOCKED + PROGRAM, str(bags[0] / "mcap")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "(3, 5, 30, 3)", run.stderr
