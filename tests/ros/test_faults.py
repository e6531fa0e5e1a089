"""Faults of clients and cameras over real DDS that the generator node survives: it says why, and the next good request works."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from syncmv4d_model.geometry import resized_intrinsics
from tests.ros.camera_rig import K
from tests.ros.dds import ROOT, TIMEOUT_S, require_ros

require_ros()

import rclpy  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from tests.ros.planner_client import (  # noqa: E402
    ABORTED,
    CANCELED,
    SUCCEEDED,
    Planner,
    generator,
    generator_command,
)


def as_sent(text: bytes, *, claimed: int | None = None) -> bytes:
    """A std_msgs/String as a peer in C++ may send it: little-endian CDR of any bytes, which may claim another length."""
    length = len(text) + 1 if claimed is None else claimed
    return b"\x00\x01\x00\x00" + length.to_bytes(4, "little") + text + b"\0"


NO_TASKS = {
    "not UTF-8": (as_sent(b"push the caf\xe9 \xff\xfe"), "not UTF-8 was refused: 'push the caf"),
    "half a character": (as_sent("push the café".encode()[:-1]), "not UTF-8 was refused"),
    "empty": (String(data=""), "an empty task was refused"),
    "nothing before the NUL": (as_sent(b"\0push"), "an empty task was refused"),
    "blank": (String(data=" \n\t"), "an empty task was refused"),
    "1 MB": (String(data="x" * 1_000_000), "a task of 1000000 characters was refused; at most 4096"),
}


@pytest.mark.parametrize(("message", "reason"), NO_TASKS.values(), ids=NO_TASKS)
def test_a_task_on_the_topic_that_is_no_sentence_is_refused_aloud(client, message, reason):
    client.task.publish(message)
    client.says(reason)
    assert not client.heard["tracks"]
    client.works()


@pytest.mark.parametrize("claimed", [2**31 - 1, 2**32 - 1, 0, 3])
def test_a_message_that_lies_about_its_length_costs_nothing(client, claimed):
    client.task.publish(as_sent(b"push a box", claimed=claimed))
    client.task.publish(as_sent(b"stir in a pan"))  # the same writer to the same reader: it arrives after the other
    client.until(
        lambda: any(tracks.task == "stir in a pan" for tracks in client.heard["tracks"]), "the good task's tracks"
    )
    assert not any(tracks.task == "push a box" for tracks in client.heard["tracks"])
    client.works()


@pytest.fixture
def second_planner(client):
    """Another planner beside `client`, with a node of its own."""
    node = rclpy.create_node("second_planner", context=client.node.context)
    client.executor.add_node(node)
    planner = Planner(node, client.executor)
    planner.ready()
    yield planner
    client.executor.remove_node(node)
    node.destroy_node()


def test_two_planners_are_each_told_how_their_own_goals_ended(client, second_planner):
    _, feedback, replaced = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    _, _, newest = second_planner.ask("slow again", steps=3, seed=1)
    _, _, queued = client.ask("wait for it", queue=True, seed=2)
    for future in (replaced, newest, queued):
        client.until(future.done, "results of both")
    assert replaced.result().status == ABORTED and "newer request" in replaced.result().result.message
    assert newest.result().status == queued.result().status == SUCCEEDED
    results = newest.result().result, queued.result().result
    assert [result.tracks.task for result in results] == ["slow again", "wait for it"]
    plans = [result.plan_id for result in results]
    client.until(
        lambda: [tracks.plan_id for tracks in client.heard["tracks"]] == plans, "tracks of both, and no others"
    )


def test_a_planner_that_cancels_does_not_stop_the_others_goal(client, second_planner):
    handle, feedback, running = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    waiting_handle, _, waiting = second_planner.ask(queue=True)
    waiting_handle.cancel_goal_async()
    client.until(waiting.done, "result of the cancelled goal")
    assert waiting.result().status == CANCELED
    steps = len(feedback)
    client.until(lambda: len(feedback) > steps, "another step of the other goal")
    assert not running.done()
    handle.cancel_goal_async()
    client.until(running.done, "result of the other goal")
    assert running.result().status == CANCELED


@pytest.mark.parametrize(("steps", "end"), [(5, "requests done"), (1000, "requests replaced")])
def test_a_planner_that_vanishes_mid_goal_leaves_the_node_to_others(client, tmp_path, steps, end):
    begun = tmp_path / "begun"
    command = [sys.executable, "-m", "tests.ros.asking_planner", "slow down", str(steps), str(begun)]
    with subprocess.Popen(command, cwd=ROOT) as lost:
        try:
            client.until(begun.exists, "goal of another planner")
        finally:
            lost.kill()
    if end == "requests done":
        client.until(lambda: client.values(end)[-1:] == ["1"], "end of the goal that nobody waits for")
    client.works()
    client.until(lambda: client.values(end)[-1:] != ["0"], "count of that goal's end")
    client.works()


def larger_image(name, image, info):
    """A camera at twice its resolution, with the calibration it had."""
    image.width, image.height, image.step = 2 * image.width, 2 * image.height, 2 * image.step
    image.data = bytes(image.height * image.step)


def larger(name, image, info):
    larger_image(name, image, info)
    info.width, info.height = image.width, image.height
    info.k = resized_intrinsics(K, 2.0, 2.0).ravel()


@pytest.mark.usefixtures("impatient")
def test_a_camera_that_changes_its_resolution_is_used_at_the_new_one_once_it_is_calibrated(client):
    """The larger images show the same, so that the intrinsics of what is generated stay as they were."""
    before = client.recovers()
    client.change = larger_image
    refusal = "its image is 160 x 120 px, its CameraInfo is of 80 x 60"
    client.until(lambda: refusal in client.answer()[1].message, "refusal")
    client.says(refusal)
    client.change = larger
    after = client.recovers()
    for one, other in zip(before.videos.videos, after.videos.videos, strict=True):
        assert (other.width, other.height) == (64, 48)
        np.testing.assert_allclose(one.k, other.k, atol=1e-9)


def refused_for_now(client):
    return any("its CameraInfo is of 80 x 60" in status.message for status in client.statuses())


def test_images_of_a_new_resolution_wait_for_their_calibration(client):
    client.works()
    client.change = larger_image
    ends = []
    while not refused_for_now(client):
        _, _, future = client.ask()  # the first may still meet an image of before
        ends.append(future)
        client.until(lambda: ends[-1].done() or refused_for_now(client), "answer, or what it waits for")
    client.change = larger
    client.until(ends[-1].done, "result")
    assert [end.result().status for end in ends] == [SUCCEEDED] * len(ends)


def test_a_request_before_the_first_calibration_waits_for_it(ros_node, parameters):
    with generator(ros_node, parameters) as client:
        client.calibrated = False
        client.ready()
        _, _, future = client.ask()
        client.says("no CameraInfo on /left/camera_info")
        client.calibrated = True
        client.until(future.done, "result")
        assert future.result().status == SUCCEEDED


def test_a_bag_that_starts_again_is_followed_back(client):
    ahead_s = 100

    def now_s():
        return client.node.get_clock().now().to_msg().sec

    def shifted():
        stamp = client.node.get_clock().now().to_msg()
        stamp.sec += ahead_s
        return stamp

    def used_s():
        result = client.answer()[1]
        assert result.success, result.message
        return result.tracks.header.stamp.sec

    client.stamp = shifted
    client.until(lambda: used_s() > now_s() + 10, "a result of the bag's first pass")
    heard = len(client.heard["/diagnostics"])  # what comes next may have been on its way before the set was taken
    client.until(lambda: len(client.heard["/diagnostics"]) > heard + 1, "diagnostics since then")
    superseded = client.values("dropped: superseded")[-1]
    client.until(lambda: client.values("dropped: superseded")[-1] != superseded, "sets that nobody takes")
    ahead_s = 0
    client.counts("stamps jumped back")
    client.until(lambda: used_s() < now_s() + 10, "a result of its second")


def test_extrinsics_that_are_not_finite_end_the_node_with_one_line(ros_domain, parameters, tmp_path):
    path = tmp_path / "rig.yaml"
    rig = yaml.safe_load(path.read_text())
    rig["views"][1]["camera_from_world"][0][3] = float("nan")
    path.write_text(yaml.safe_dump(rig))
    command = [sys.executable, "-m", *generator_command(parameters)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    errors = [line for line in run.stderr.splitlines() if "[ERROR]" in line or "[FATAL]" in line]
    assert run.returncode == 1 and len(errors) == 1 and "Traceback" not in run.stderr, run.stderr
    assert "cannot configure" in errors[0] and "rig.yaml" in errors[0]
    assert "'right'" in errors[0] and "not finite" in errors[0]
    assert "loading" not in run.stderr, "an engine may take minutes: what is wrong is said before"
