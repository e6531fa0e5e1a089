"""The cell's nodes over real DDS, each in a process of its own: cameras that can be relied on, and plans that are carried out."""

import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest

from syncmv4d_model.data.video import read_video
from syncmv4d_model.types import LABELS
from syncmv4d_ros.planning import fit_body, flattened
from syncmv4d_ros.rig import read_rig_files
from tests.ros.dds import ROOT, TIMEOUT_S, node_process, require_ros, spin_until
from tests.ros.trivial_cell import FRAMES, PERIOD_S, open_cell

require_ros()

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from syncmv4d.msg import PointTracks, RigidTrajectory  # noqa: E402
from syncmv4d_ros.camera_info import read_camera_info  # noqa: E402
from syncmv4d_ros.conversions import read_image  # noqa: E402
from syncmv4d_ros.result_messages import trajectory_message  # noqa: E402
from syncmv4d_ros.sent_messages import header_message  # noqa: E402
from syncmv4d_ros.track_messages import read_point_tracks  # noqa: E402

LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TRIVIAL = {"cell": "tests.ros.trivial_cell:open_cell", "scene": 3, "height": 48, "width": 64}
CELL = open_cell(split="test_1", scene=3, seed=1, height=48, width=64)
ONE_THREAD = {"LP_NUM_THREADS": "1"}  # Mesa's software renderer would take every core
CAMERAS, FOLLOWER = "syncmv4d_ros.sim_camera_node", "syncmv4d_ros.plan_follower_node"


def told(**parameters):
    return ["--ros-args", *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))]


def trajectory(plan_id="plan", frame="world", change=lambda message: None):
    """What the generator publishes for the trivial cell's true tracks."""
    s = CELL.sequence
    exact = np.zeros(s.visible.shape, np.float32)
    points = flattened(s.positions, s.visible, exact, s.label, frame_period_s=s.frame_period_s)
    header = header_message(frame)
    message = trajectory_message([fit_body(points, "tool")], header, points=points, task=s.task, plan_id=plan_id)
    change(message)
    return message


class Listener:
    """Somebody in the cell's domain."""

    def __init__(self, node, executor):
        self.node, self.executor, self.heard = node, executor, {}

    def hear(self, kind, topic, qos=LATCHED):
        self.heard[topic] = []
        self.node.create_subscription(kind, topic, self.heard[topic].append, qos)
        return self.heard[topic]

    def until(self, reached, what):
        spin_until(self.executor, reached, what=what)


@pytest.fixture
def listener(ros_node):
    return Listener(*ros_node)


@contextlib.contextmanager
def following(listener, **parameters):
    """A follower that is ready for plans: ask(message) -> its outcome."""
    outcomes = listener.hear(String, "outcome")
    plans = listener.node.create_publisher(RigidTrajectory, "trajectories", LATCHED)

    def ask(message):
        before = len(outcomes)
        plans.publish(message)
        listener.until(lambda: len(outcomes) > before, "outcome")
        return json.loads(outcomes[-1].data)

    with node_process(FOLLOWER, *told(**TRIVIAL, **parameters)):
        listener.until(lambda: plans.get_subscription_count() > 0, "follower")
        yield ask


def test_a_recorder_that_comes_late_gets_the_truth_at_the_stamp_of_images_that_it_has(listener):
    images = listener.hear(Image, "left/image", qos_profile_sensor_data)
    truths = listener.hear(PointTracks, "tracks_truth")

    def known():
        return {(m.header.stamp.sec, m.header.stamp.nanosec) for m in images} & {
            (m.header.stamp.sec, m.header.stamp.nanosec) for m in truths
        }

    with node_process(CAMERAS, *told(**TRIVIAL, rate_hz=20.0, truth_period_s=0.2)):
        listener.until(lambda: len(known()) > 1, "truth with images")
    np.testing.assert_array_equal(read_point_tracks(truths[-1]).by_view().positions, CELL.sequence.positions)


def test_every_camera_shows_the_cell_with_its_calibration_at_the_same_stamps(listener, tmp_path):
    names, s = CELL.sequence.view_names, CELL.sequence
    images = {name: listener.hear(Image, f"{name}/image", qos_profile_sensor_data) for name in names}
    infos = {name: listener.hear(CameraInfo, f"{name}/camera_info", qos_profile_sensor_data) for name in names}
    with node_process(CAMERAS, *told(**TRIVIAL, rate_hz=20.0, rig_file=tmp_path / "rig.yaml")):
        listener.until(lambda: all(len(heard) >= 5 for heard in (*images.values(), *infos.values())), "images")
    for view, name in enumerate(names):
        image, info = images[name][-1], infos[name][-1]
        np.testing.assert_array_equal(read_image(image), s.video[view, 0])
        np.testing.assert_allclose(read_camera_info(info).intrinsics, s.intrinsics[view])
        assert image.header.frame_id == info.header.frame_id == f"{name}_optical_frame"
    stamps = [{(m.header.stamp.sec, m.header.stamp.nanosec) for m in images[name]} for name in names]
    assert len(stamps[0] & stamps[1]) >= 3
    times_s = [m.header.stamp.sec + 1e-9 * m.header.stamp.nanosec for m in images["left"]]
    assert (np.diff(times_s) > 0).all()
    assert times_s[-1] - times_s[0] > 0.05 * (len(times_s) - 2), "a camera is never faster than it was told to be"
    rig = read_rig_files([tmp_path / "rig.yaml"])
    assert rig.view_names == names
    np.testing.assert_allclose(rig.camera_from_world, s.camera_from_world)


def test_the_truth_reaches_those_who_come_late(listener):
    images = listener.hear(Image, "left/image", qos_profile_sensor_data)
    with node_process(CAMERAS, *told(**TRIVIAL)):
        listener.until(lambda: images, "image")  # the truth was published before the first image
        truth = listener.hear(PointTracks, "tracks_truth")
        listener.until(lambda: truth, "truth")
    received = read_point_tracks(truth[0])
    assert (received.task, received.frame_id) == (CELL.sequence.task, "world")
    np.testing.assert_array_equal(received.by_view().positions, CELL.sequence.positions)


def test_a_true_plan_is_carried_out_and_the_follower_leaves_with_its_outcome_written(listener, tmp_path):
    outcomes = listener.hear(String, "outcome")
    plans = listener.node.create_publisher(RigidTrajectory, "trajectories", LATCHED)
    plans.publish(trajectory("first"))  # before anybody listens: latched
    process = subprocess.Popen(
        [sys.executable, "-m", FOLLOWER, *told(**TRIVIAL, exit_after=1, outcome_file=tmp_path / "outcome.json")],
        cwd=ROOT,
    )
    try:
        listener.until(lambda: outcomes and process.poll() is not None, "outcome and the follower's end")
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    outcome = json.loads(outcomes[0].data)
    assert outcome["success"] and outcome["reason"] == "" and outcome["error_m"] < 1e-3
    assert (outcome["plan_id"], outcome["plan_task"]) == ("first", CELL.sequence.task)
    assert outcome["frame_period_s"] == PERIOD_S
    assert json.loads((tmp_path / "outcome.json").read_text()) == outcome


def another_frame(message):
    message.header.frame_id = "base_link"


def no_tool(message):
    message.bodies[0].name = "target"


def too_short(message):
    message.bodies[0].valid = message.bodies[0].valid[:2]


def never_valid(message):
    message.bodies[0].valid = [False] * FRAMES


def no_quaternion(message):
    message.bodies[0].poses[1].orientation.w = 7.0


def not_finite(message):
    message.bodies[0].poses[1].position.x = float("nan")


def far_away(message):
    message.bodies[0].poses[FRAMES - 1].position.x = 1e6


FAULTS = {
    another_frame: "no plan: it is in frame 'base_link'",
    no_tool: "no plan: the plan has 0 paths of 'tool'; its bodies: target",
    too_short: f"no plan: the plan claims {FRAMES} frames",
    never_valid: f"no plan: 0 of {FRAMES} poses are valid",
    no_quaternion: "no plan: pose 1 is at",
    not_finite: "no plan: pose 1 is at [nan",
    far_away: "the cell failed: RuntimeError: the arm is on fire",
}


def test_a_plan_that_cannot_be_followed_is_answered_why_and_the_next_good_one_works(listener):
    with following(listener) as ask:
        for change, reason in FAULTS.items():
            outcome = ask(trajectory(change.__name__, change=change))
            assert not outcome["success"] and outcome["reason"].startswith(reason), outcome
            assert outcome["plan_id"] == change.__name__
        assert ask(trajectory("good"))["success"]


def test_what_the_cameras_saw_of_an_execution_is_there_with_its_outcome(listener, tmp_path):
    with following(listener, film_dir=tmp_path / "film") as ask:
        assert "film" not in ask(trajectory("no plan", change=no_tool)) and not (tmp_path / "film").exists()
        assert ask(trajectory("good"))["film"] == str(tmp_path / "film")
        assert read_video(tmp_path / "film" / "left.mp4").shape == (FRAMES, 48, 64, 3)
        (tmp_path / "film" / "left.mp4").unlink()
        (tmp_path / "film" / "left.mp4").mkdir()  # nothing can be written there
        outcome = ask(trajectory("again"))
    assert outcome["success"] and outcome["film"] is None and "left.mp4" in outcome["why_no_film"]


def test_a_wrong_plan_is_carried_out_and_does_not_succeed(listener):
    def stand_still(message):
        message.bodies[0].poses = [message.bodies[0].poses[0]] * FRAMES

    with following(listener) as ask:
        outcome = ask(trajectory(change=stand_still))
    assert not outcome["success"] and outcome["reason"] == "the box went elsewhere"


def test_a_plan_for_another_task_than_the_scenes_is_carried_out_and_said_to_be_so(listener):
    def other_task(message):
        message.task = "lift the box"

    with following(listener) as ask:
        outcome = ask(trajectory("other", change=other_task))
        assert outcome["success"]
        assert (
            outcome["warning"]
            == f"the plan is for 'lift the box', and is judged by the scene's task {CELL.sequence.task!r}"
        )
        assert "warning" not in ask(trajectory("its own"))


@pytest.mark.parametrize("module", [CAMERAS, FOLLOWER])
@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"cell": "no_such_module:cell"}, "parameter cell names 'no_such_module:cell', which cannot be imported"),
        (TRIVIAL | {"split": "nowhere"}, "unknown split 'nowhere'"),
        (TRIVIAL | {"scene": "soon"}, "Trying to set parameter 'scene' to 'soon'"),
    ],
    ids=["no module", "no split", "no number"],
)
def test_a_cell_that_cannot_be_made_ends_the_node_with_one_line(ros_domain, module, parameters, line):
    command = [sys.executable, "-m", module, *told(**parameters)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert run.returncode == 1
    assert line in run.stderr and "Traceback" not in run.stderr


def test_a_film_is_refused_of_a_cell_that_makes_none(ros_domain, tmp_path):
    blind = TRIVIAL | {"cell": "tests.ros.trivial_cell:open_blind", "film_dir": tmp_path}
    command = [sys.executable, "-m", FOLLOWER, *told(**blind)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert run.returncode == 1
    assert (
        "parameter film_dir needs a cell with film(); 'tests.ros.trivial_cell:open_blind' makes one without"
        in run.stderr
    )


def test_a_task_goes_from_the_cells_cameras_through_the_generator_to_its_arm(listener, tmp_path):
    outcomes, tracks = listener.hear(String, "outcome"), listener.hear(PointTracks, "tracks")
    seen, tasks = listener.hear(PointTracks, "tracks_truth"), listener.node.create_publisher(String, "task", 10)
    rig = tmp_path / "rig.yaml"
    generator = [
        "tests.ros.trivial_generator",
        *told(cameras="[left, right]", rig_files=f"[{rig}]", image_wait_s="30.0"),
    ]
    with node_process(CAMERAS, *told(**TRIVIAL, rig_file=rig)):
        listener.until(lambda: seen, "truth")
        with node_process(*generator), node_process(FOLLOWER, *told(**TRIVIAL)):
            listener.until(lambda: tasks.get_subscription_count() > 0, "generator")
            tasks.publish(String(data="lift the box"))
            listener.until(lambda: outcomes, "outcome")
    outcome = json.loads(outcomes[0].data)
    assert outcome["reason"] == "the box went elsewhere", "the trivial generator lifts whatever it sees"
    assert (outcome["plan_task"], outcome["plan_id"]) == ("lift the box", tracks[0].plan_id)
    assert outcome["frame_period_s"] == 0.125


def test_the_truth_of_the_simulated_cell_is_carried_out_by_physics(listener):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed here: pip install '.[sim]'")
    scene = {"scene": 1, "height": 64, "width": 64}
    outcomes, truth = listener.hear(String, "outcome"), listener.hear(PointTracks, "tracks_truth")
    follower = [FOLLOWER, *told(**scene, follow="tracks"), "-r", "tracks:=tracks_truth"]
    with node_process(CAMERAS, *told(**scene), environment=ONE_THREAD):
        listener.until(lambda: truth, "truth")
        with node_process(*follower, environment=ONE_THREAD):
            listener.until(lambda: outcomes, "outcome")
    outcome = json.loads(outcomes[0].data)
    assert outcome["success"], outcome["reason"]
    assert outcome["verb"] == "push" and outcome["target_moved_m"] > 0.02 and outcome["path_error_m"] < 0.02
    assert outcome["task"] == outcome["plan_task"]


def test_the_trivial_cells_points_are_a_tools():
    assert set(CELL.sequence.label.ravel()) == {LABELS.index("tool")}
