"""Real bags, written and read without ROS: what goes in comes out, and what is broken says so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_ros import definitions
from syncmv4d_ros.bag import COMPRESSED, IMAGE, Bag, guess_cameras, image_array, mapped_cameras
from syncmv4d_ros.definitions import POINT_TRACKS, message_folder, typestore
from syncmv4d_ros.recorder import Recorder, record_image, write_bag
from syncmv4d_ros.recording import Recording
from syncmv4d_ros.track_messages import track_fields, unpack_tracks
from tests.model.scene_folders import small_sequence
from tests.ros.recorded_scenes import START_NS, record

ROOT = Path(__file__).parents[2]
TYPES = typestore().types


def header():
    return TYPES["std_msgs/msg/Header"](stamp=TYPES["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id="")


def image(*, height, width, encoding, step, data):
    return TYPES[IMAGE](header(), height, width, encoding, 0, step, np.asarray(data, np.uint8))


def compressed(data, form="png"):
    return TYPES[COMPRESSED](header(), form, np.frombuffer(bytes(data), np.uint8))


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
    assert request.truth.views == recording.rig.view_names
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


def test_static_transforms_are_latched_for_players(bags):
    from rosbags.interfaces import QosDurability

    with Bag(bags[0] / "mcap") as bag:
        durable = {c.topic: c.ext.offered_qos_profiles[0].durability for c in bag._reader.connections}
    assert durable["/tf_static"] == QosDurability.TRANSIENT_LOCAL
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


@given(
    encoding=st.sampled_from(["rgb8", "bgr8", "rgba8", "bgra8", "mono8"]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    padding=st.integers(0, 5),
    seed=st.integers(0, 99),
)
def test_every_encoding_is_read_as_the_same_colours(encoding, size, padding, seed):
    height, width = size
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    rgb = np.repeat(rgb[..., :1], 3, axis=-1) if encoding == "mono8" else rgb
    alpha = np.full((height, width, 1), 7, np.uint8)
    stored = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], -1),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], -1),
        "mono8": rgb[..., :1],
    }[encoding]
    rows = np.pad(stored.reshape(height, -1), ((0, 0), (0, padding)), constant_values=99)
    message = image(height=height, width=width, encoding=encoding, step=rows.shape[1], data=rows.ravel())
    assert np.array_equal(image_array(message), rgb)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"height": 0}, "no pixels: 4 x 0"),
        ({"width": 0, "step": 0, "data": []}, "no pixels: 0 x 2"),
        ({"encoding": "16UC1"}, "encoding '16UC1' is not one of rgb8"),
        ({"step": 11}, "step 11 is shorter than a row of 4 rgb8 pixels, 12 bytes"),
        ({"data": np.zeros(23)}, "23 bytes of data, but step 12 x height 2 is 24"),
        ({"data": np.zeros(25)}, "25 bytes of data, but step 12 x height 2 is 24"),
    ],
)
def test_an_image_that_contradicts_itself_is_refused_with_the_numbers(fields, said):
    good = {"height": 2, "width": 4, "encoding": "rgb8", "step": 12, "data": np.zeros(24)}
    assert image_array(image(**good)).shape == (2, 4, 3)
    with pytest.raises(ValueError, match=said):
        image_array(image(**{**good, **fields}))


def encoded(form, mode="RGB"):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.effect_noise((24, 16), 60).convert(mode).save(buffer, format=form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_compressed_images_are_read_whole_or_refused(form):
    data = encoded(form)
    assert image_array(compressed(data)).shape == (16, 24, 3)
    for cut in (0, 1, len(data) // 2):
        with pytest.raises(ValueError, match=rf"\b{cut} bytes"):
            image_array(compressed(data[:cut]))


def test_compressed_images_of_16_bits_and_of_other_kinds_are_refused():
    with pytest.raises(ValueError, match="I;16, not 8 bits"):
        image_array(compressed(encoded("PNG", mode="I;16")))
    with pytest.raises(ValueError, match="no whole JPEG or PNG"):
        image_array(compressed(encoded("BMP")))


def test_the_messages_fields_are_those_that_planners_were_promised():
    fields = [line.split("#")[0].split() for line in (message_folder() / "PointTracks.msg").read_text().splitlines()]
    assert [" ".join(field) for field in fields if field] == [
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


def tracks_message(recorded_views=("a", "b"), **changes):
    rng = np.random.default_rng(0)
    fields = {
        "task": "t", "plan_id": "p", "views": list(recorded_views), "frame_period_s": 0.125, "num_frames": 3,
        "num_points": 8, "positions": rng.normal(size=72).astype(np.float32), "visible": rng.integers(0, 2, 24, np.uint8),
        "stddev": np.ones(24, np.float32), "label": rng.integers(0, 4, 8, np.uint8),
        "source_view": np.repeat(np.arange(2, dtype=np.uint8), 4),
    }  # fmt: skip
    return TYPES[POINT_TRACKS](header=header(), **(fields | changes))


def test_tracks_survive_unpacking_and_packing_and_lie_where_the_message_says():
    message = tracks_message()
    tracks = unpack_tracks(message)
    assert tracks.positions.shape == (2, 3, 4, 3)
    n, view, k = 2, 1, 3
    place = 3 * (n * 8 + view * 4 + k)
    assert np.array_equal(tracks.positions[view, n, k], message.positions[place : place + 3])
    for name, value in track_fields(tracks).items():
        assert np.array_equal(value, getattr(message, name)), name


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"views": []}, "8 points in 3 frames cannot be the same number in each of 0 views"),
        ({"num_points": 7}, "7 points"),
        ({"num_frames": 0}, "0 frames"),
        ({"visible": np.ones(23, np.uint8)}, "visible must have 3 x 8 = 24 elements, got 23"),
        ({"source_view": np.zeros(8, np.uint8)}, "source_view"),
        ({"label": np.full(8, 4, np.uint8)}, "label 4"),
        ({"positions": np.full(72, np.nan, np.float32)}, "not finite"),
        ({"frame_period_s": 0.0}, "frame_period_s must be positive, got 0"),
    ],
)
def test_tracks_that_contradict_themselves_are_refused_with_the_numbers(changes, said):
    with pytest.raises(ValueError, match=said):
        unpack_tracks(tracks_message(**changes))


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
