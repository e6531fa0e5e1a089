"""What a bag is understood as: calibration, synchronised sets, tasks and their truth; and what is refused, by name."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from syncmv4d_model.data.rig import Distortion, write_rig
from syncmv4d_model.geometry import inverse
from syncmv4d_ros.definitions import POINT_TRACKS
from syncmv4d_ros.recorder import record_camera_info, record_truth
from syncmv4d_ros.recording import BagOptions, Recording
from syncmv4d_ros.stamps import NS
from tests.model.scene_folders import small_rig, small_sequence
from tests.ros.recorded_scenes import PERIOD_NS, START_NS, moments, record, transform_message

RIG = small_rig(2, width=16, height=12)


def greens(images):
    """Which recorded image (see painted) each one is, [T][V]."""
    return [[None if image is None else int(image[0, 0, 1]) for image in row] for row in images]


def test_later_images_are_those_of_the_right_times_and_missing_ones_are_none(tmp_path):
    fast = [START_NS + n * NS // 30 for n in range(12)]  # 0.37 s of a camera at 30 Hz
    slow = moments(5)[:2] + moments(5)[3:]  # one lost
    with Recording(record(tmp_path / "bag", stamps={"left": fast, "centre": slow})) as recording:
        images, late_s = recording.images(recording.requests[0], count=5, period_s=0.125)
    assert list(recording.cameras) == ["centre", "left"]
    assert greens(images) == [[0, 0], [1, 4], [None, 8], [2, 11], [3, None]]
    assert late_s[1, 1] == pytest.approx(4 / 30 - 0.125)
    assert np.isnan(late_s[0, 2])


def test_a_task_is_asked_of_the_newest_images_that_a_node_would_have_had(tmp_path):
    first, second, third = moments(3)

    def received(recorder):
        for time_ns, task in ((START_NS - 5, "before"), (second + 5, "in the midst"), (third - 5, "in the midst")):
            recorder.write("/task", recorder.message("std_msgs/msg/String", data=task), time_ns)

    with Recording(
        record(tmp_path / "bag", stamps={"left": moments(3), "centre": moments(3)}, tasks={}, more=received)
    ) as r:
        asked = [(request.task, request.stamp_ns, request.age_s) for request in r.requests]
    assert asked == [("before", first, -5e-9), ("in the midst", second, 5e-9)]


def truths(*stamped, world_frame="world", **changes):
    def more(recorder):
        for stamp_ns, task in stamped:
            sequence = replace(small_sequence(), task=task, **changes)
            record_truth(recorder, sequence, stamp_ns, world_frame=world_frame)

    return more


def two_views(sequence):
    """The first two views of a sequence, which the recorded rig has too."""
    per_view = (
        "video",
        "intrinsics",
        "camera_from_world",
        "positions",
        "visible",
        "label",
        "anchors_px",
        "depth_scale",
    )
    return {"view_names": sequence.view_names[:2]} | {key: getattr(sequence, key)[:2] for key in per_view}


TWO = two_views(small_sequence())


def spoilt(**changes):
    """A truth whose message says something impossible."""

    def more(recorder):
        fields = {
            "task": "push the box", "plan_id": "p", "views": ["left", "centre"], "frame_period_s": 0.125, "num_frames": 1,
            "num_points": 2, "positions": np.zeros(6, np.float32), "visible": np.ones(2, np.uint8),
            "stddev": np.zeros(2, np.float32), "label": np.ones(2, np.uint8), "source_view": np.arange(2, dtype=np.uint8),
        }  # fmt: skip
        changed = {
            name: np.array(value, fields[name].dtype) if value == [] else value for name, value in changes.items()
        }
        header = recorder.header(START_NS, "world")
        recorder.write("/tracks_truth", recorder.message(POINT_TRACKS, header=header, **fields | changed), START_NS)

    return more


def test_each_truth_belongs_to_its_own_task_and_brings_the_images_of_its_stamp(tmp_path):
    times = moments(9)
    tasks = {times[0] + 1: "push", times[3] + 1: "pull", times[6] + 1: "push"}
    more = truths((times[4], "pull"), (times[7], "push"), **TWO)
    path = record(tmp_path / "bag", stamps={"left": times, "centre": times}, tasks=tasks, more=more)
    with Recording(path) as recording:
        push, pull, again = recording.requests
        images, _ = recording.images(again, count=1, period_s=0.125)
    assert (push.stamp_ns, push.truth, push.why_no_truth) == (
        times[0],
        None,
        "the bag has no tracks_truth for this task",
    )
    assert (pull.stamp_ns, again.stamp_ns) == (times[4], times[7])
    assert pull.truth is not None and again.truth.view_names == ("centre", "left")
    assert greens(images) == [[7, 7]]
    assert again.age_s == pytest.approx(-0.125, abs=1e-8)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (truths((START_NS, "push the box"), world_frame="map", **TWO), "frame 'map', the world is 'world'"),
        (truths((START_NS, "push the box")), "the views are left, centre, right, not centre, left"),
        (
            truths((START_NS + NS, "push the box"), **TWO),
            "no synchronised images within the slop of tracks_truth: 0.500 s off",
        ),
        (truths((START_NS, "another task"), **TWO), "no tracks_truth for this task"),
        (spoilt(frame_period_s=0.0), "frame_period_s must be positive, got 0"),
        (spoilt(num_points=0, positions=[], visible=[], stddev=[], label=[], source_view=[]), "it holds no point"),
    ],
)
def test_a_truth_that_cannot_be_used_says_why_and_the_task_stays(tmp_path, more, why):
    with Recording(record(tmp_path / "bag", more=more)) as recording:
        (request,) = recording.requests
    assert request.truth is None
    assert why in request.why_no_truth


def test_a_rig_file_gives_the_poses_and_where_there_is_no_camera_info_the_rest(tmp_path):
    write_rig(tmp_path / "rig.yaml", RIG)
    for infos in (True, False):
        path = record(tmp_path / f"bag_{infos}", tf=False, infos=infos)
        with Recording(path, BagOptions(rig=(tmp_path / "rig.yaml",))) as recording:
            assert recording.rig.view_names == RIG.view_names
            assert np.allclose(recording.rig.camera_from_world, RIG.camera_from_world)
            assert np.allclose(recording.rig.intrinsics, RIG.intrinsics)
            assert recording.rig.sizes == RIG.sizes


def test_a_rectified_camera_is_turned_by_r(tmp_path):
    path = record(tmp_path / "bag", info_changes={"left": {"distortion": Distortion("plumb_bob", (0.1, 0, 0, 0, 0))}})
    with Recording(path) as raw, Recording(path, BagOptions(rectified=("left",))) as rectified:
        assert [lens is None for lens in raw.rig.distortion] == [True, False]
        assert [lens is None for lens in rectified.rig.distortion] == [True, True]
    with Recording(path, BagOptions(cameras=("left=/left/image", "centre=/centre/image"))) as named:
        assert not any(camera["rectified"] for camera in named.describe()["cameras"].values())
    with pytest.raises(ValueError, match="rectified names up; the cameras are centre, left"):
        Recording(path, BagOptions(rectified=("up",)))


def test_a_topic_called_image_rect_is_rectified_without_saying(tmp_path):
    def more(recorder):
        for topic, message in rectified:
            recorder.write(topic, message, START_NS)

    with Recording(record(tmp_path / "raw")) as raw:
        rectified = [
            (topic.replace("/image", "/image_rect"), message) for topic, _, message in raw.bag.messages(["/left/image"])
        ]
    path = record(tmp_path / "bag", stamps={"centre": moments(), "left": []}, more=more, tasks={START_NS + NS: "push"})
    options = BagOptions(cameras=("left=/left/image_rect,/centre/camera_info", "centre=/centre/image"))
    with Recording(path, options) as recording:
        cameras = recording.describe()["cameras"]
    assert [cameras[name]["rectified"] for name in ("left", "centre")] == [True, False]


def test_options_choose_the_cameras_their_order_and_the_task(tmp_path):
    options = BagOptions(cameras=("b=/left/image", "a=/centre/image"), task="  pull ")
    with Recording(record(tmp_path / "bag", tasks={}), options) as recording:
        assert recording.rig.view_names == ("b", "a")
        assert [request.task for request in recording.requests] == ["pull"]


def test_two_cameras_may_share_one_calibration_topic(tmp_path):
    options = BagOptions(cameras=("left=/left/image", "centre=/centre/image,/left/camera_info"))
    with Recording(
        record(tmp_path / "bag", info_changes={"centre": {"intrinsics": 2 * RIG.intrinsics[1]}}), options
    ) as recording:
        assert np.array_equal(recording.rig.intrinsics[0], recording.rig.intrinsics[1])


def extra(topic, kind, **fields):
    def more(recorder):
        recorder.write(topic, recorder.message(kind, **fields), START_NS)

    return more


def circle(recorder):
    message = transform_message(recorder, "world", "left_optical_frame", translation=(0, 0, 0), rotation=(0, 0, 0, 3))
    recorder.write("/tf_static", message, START_NS + 9)


FAULTS = {
    "no camera": ({"infos": False}, {}, r"no calibration: no image topic has a camera_info beside it; .* /centre/image, /left/image"),
    "no camera_info": ({"infos": False}, {"cameras": ("left=/left/image",)}, "no calibration of camera 'left': no sensor_msgs"),
    "zeros in camera_info": ({"info_changes": {"left": {"intrinsics": np.zeros((3, 3))}}}, {}, "camera 'left': CameraInfo's K is all zeros: the camera is not calibrated"),
    "NaN in camera_info": ({"info_changes": {"left": {"intrinsics": np.full((3, 3), np.nan)}}}, {}, "camera 'left': CameraInfo's K holds a number that is not finite"),
    "no tf": ({"tf": False}, {}, "no calibration: no pose of camera 'centre'.*they know no frame"),
    "another world": ({}, {"world_frame": "map"}, "do not connect 'centre_optical_frame' with 'map'; they know centre_optical"),
    "a quaternion of length 3": ({"more": circle}, {}, "'left_optical_frame' is not rigid: .* length 3"),
    "a focal length in metres": ({"info_changes": {"left": {"intrinsics": np.diag([0.01, 0.01, 1])}}}, {}, "'left'.*not in pixels"),
    "no task": ({"tasks": {}}, {}, r"no task: it has no topic called task"),
    "only empty tasks": ({"tasks": {START_NS: " ", START_NS + 1: ""}}, {}, "no task: 2 on /task, all empty"),
    "an empty task given": ({}, {"task": " "}, "no task: 1 on the command line, all empty"),
    "a task topic that is not there": ({}, {"task_topic": "/job"}, "no message on the topic /job; .* it has /task"),
    "a task topic of another type": ({}, {"task_topic": "/left/image"}, "/left/image is sensor_msgs/msg/Image, not std_msgs"),
    "two task topics": ({"more": extra("/b/task", "std_msgs/msg/String", data="x")}, {}, "several topics are called task: /b/task, /task"),
    "a truth topic that is not there": ({}, {"truth_topic": "/truth"}, "no message on the topic /truth"),
    "unsynchronised cameras": (
        {"stamps": {"left": moments(), "centre": moments(start_ns=START_NS + PERIOD_NS // 2)}}, {},
        "centre, left are not synchronised: .* never less than 0.06[23] s apart, and the slop is 0.05 s",
    ),
    "a camera without images": ({"stamps": {"left": moments()}}, {"cameras": ("l=/left/image", "c=/centre/image")}, "no message on the topic /centre/image"),
    "no stamps": ({"stamps": {"left": [0, 0], "centre": [0, 0]}}, {}, "2 images on /centre/image carry no capture times"),
    "no slop": ({}, {"slop_s": 0.0}, "slop must be positive, got 0.0 s"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_bag_lacks_is_said(tmp_path, fault):
    made, options, said = FAULTS[fault]
    path = record(tmp_path / "bag", **made)
    with pytest.raises(ValueError, match=said):
        Recording(path, BagOptions(**options))


def test_a_rig_file_that_misses_a_view_or_has_one_that_the_bag_lacks_is_refused(tmp_path):
    write_rig(tmp_path / "three.yaml", small_rig(3, width=16, height=12))
    write_rig(tmp_path / "one.yaml", small_rig(1, width=16, height=12))
    path = record(tmp_path / "bag")
    with pytest.raises(
        ValueError, match=r"no images of the rig's views right; its image topics are /centre/image, /left"
    ):
        Recording(path, BagOptions(rig=(tmp_path / "three.yaml",)))
    with pytest.raises(ValueError, match="the rig file has no view called centre"):
        Recording(path, BagOptions(rig=(tmp_path / "one.yaml",), cameras=("left=/left/image", "centre=/centre/image")))
    with Recording(path, BagOptions(rig=(tmp_path / "one.yaml",))) as recording:
        assert recording.rig.view_names == ("left",)


def test_the_rig_may_be_what_ros_and_kalibr_write(tmp_path):
    files = []
    for view, name in enumerate(RIG.view_names):
        k, (width, height) = RIG.intrinsics[view], RIG.sizes[view]
        content = {
            "camera_name": name, "image_width": width, "image_height": height, "distortion_model": "plumb_bob",
            "camera_matrix": {"rows": 3, "cols": 3, "data": k.ravel().tolist()},
            "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
            "camera_from_world": RIG.camera_from_world[view].tolist(),
        }  # fmt: skip
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump(content))
    chain, below = {}, np.eye(4)
    for view, name in enumerate(RIG.view_names):
        k, pose = RIG.intrinsics[view], RIG.camera_from_world[view]
        key = "T_cn_cnm1" if view else "camera_from_world"
        chain[f"cam{view}"] = {
            "rostopic": f"/{name}/image", "resolution": list(RIG.sizes[view]),
            "intrinsics": [k[0, 0], k[1, 1], k[0, 2], k[1, 2]], key: (pose @ inverse(below)).tolist(),
        }  # fmt: skip
        chain[f"cam{view}"]["intrinsics"] = [float(number) for number in chain[f"cam{view}"]["intrinsics"]]
        below = pose
    (tmp_path / "camchain.yaml").write_text(yaml.safe_dump(chain))
    path = record(tmp_path / "bag", tf=False, infos=False)
    for rig in (tuple(files), (tmp_path / "camchain.yaml",)):
        with Recording(path, BagOptions(rig=rig)) as recording:
            assert sorted(recording.rig.view_names) == sorted(RIG.view_names)
            order = [RIG.view_names.index(name) for name in recording.rig.view_names]
            assert np.allclose(recording.rig.camera_from_world, RIG.camera_from_world[order])
            assert np.allclose(recording.rig.intrinsics, RIG.intrinsics[order])


def test_a_rig_file_of_distorted_images_is_not_taken_for_rectified_ones(tmp_path):
    lens = Distortion("plumb_bob", (0.1, 0, 0, 0, 0))
    write_rig(tmp_path / "rig.yaml", replace(RIG, distortion=(lens, None)))
    path = record(tmp_path / "bag", infos=False)
    name = RIG.view_names[0]
    with pytest.raises(ValueError, match=f"camera '{name}': its images are rectified, and the rig file's"):
        Recording(path, BagOptions(rig=(tmp_path / "rig.yaml",), rectified=(name,)))


def test_a_stereo_pairs_second_camera_takes_its_pose_from_a_rig_file_only(tmp_path):
    write_rig(tmp_path / "rig.yaml", RIG)
    path = record(tmp_path / "bag", info_changes={"left": {"baseline": -57.6}})
    with pytest.raises(ValueError, match="camera 'left': P's last column is .*-57.6.* give a rig file"):
        Recording(path, BagOptions(rectified=("left",)))
    with Recording(path, BagOptions(rectified=("left",), rig=(tmp_path / "rig.yaml",))) as recording:
        assert np.allclose(recording.rig.camera_from_world, RIG.camera_from_world)


def test_a_calibration_that_changes_within_the_bag_is_refused(tmp_path):
    def more(recorder):
        record_camera_info(recorder, "left", 2 * RIG.intrinsics[0], START_NS + NS, size=RIG.sizes[0])

    with pytest.raises(ValueError, match="the calibration on /left/camera_info changes within the bag"):
        Recording(record(tmp_path / "bag", more=more))


def test_a_broken_image_is_named_with_its_topic_and_time(tmp_path):
    fields = {"encoding": "rgb8", "is_bigendian": 0, "data": np.zeros(100, np.uint8)}

    def more(recorder):
        for name in ("left", "centre"):
            header = recorder.header(START_NS + 10 * NS, "left_optical_frame")
            message = recorder.message("sensor_msgs/msg/Image", header=header, height=12, width=16, step=48, **fields)
            recorder.write(f"/{name}/image", message, START_NS + 10 * NS)

    path = record(tmp_path / "bag", tasks={START_NS + 11 * NS: "push"}, more=more)
    with (
        Recording(path) as recording,
        pytest.raises(ValueError, match=r"/centre/image at 1700000010.000 s: data has 100 bytes"),
    ):
        recording.images(recording.requests[0], count=1, period_s=0.125)
