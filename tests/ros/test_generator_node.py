"""The generator node over real DDS, in a process of its own: what it promises, and the faults that it survives."""

import numpy as np
import pytest

from tests.ros.dds import require_ros

require_ros()

from std_msgs.msg import String  # noqa: E402

from syncmv4d.action import Generate  # noqa: E402
from syncmv4d_ros.track_messages import read_point_tracks  # noqa: E402
from tests.ros.planner_client import ABORTED, CANCELED, OUT, SUCCEEDED  # noqa: E402


def test_a_goal_is_answered_with_everything_that_is_published_too(client):
    _, feedback, future = client.ask(seed=3, steps=3)
    client.until(future.done, "result")
    status, result = future.result().status, future.result().result
    assert status == SUCCEEDED and result.success and not result.message
    client.until(lambda: all(client.heard[topic] for topic in OUT), "message on every topic")
    tracks = client.heard["tracks"][-1]
    assert result.tracks == tracks and result.trajectories == client.heard["trajectories"][-1]
    assert tracks.plan_id == result.plan_id == client.heard["videos"][-1].plan_id
    received = read_point_tracks(tracks)
    assert received.view_names == ("left", "right") and received.frame_id == "world"
    assert received.points.positions.shape == (5, 16, 3) and np.isfinite(received.points.positions).all()
    assert tracks.header.stamp.sec > 0
    denoised = [(f.step, f.steps) for f in feedback if f.stage == "denoise"]
    assert denoised == [(1, 3), (2, 3), (3, 3)]
    assert feedback[0].stage == "waiting" and feedback[-1].stage == "publish"
    video = client.heard["videos"][-1].videos[0]
    assert (video.width, video.height, video.frame_id) == (64, 48, "left_optical") and bytes(video.data[4:8]) == b"ftyp"
    client.until(lambda: len(client.heard["left/generated/image"]) >= 5, "replayed frames")
    info = client.heard["left/generated/camera_info"][0]
    assert (info.width, info.height, info.roi.width, info.binning_x) == (64, 48, 0, 0)


def test_a_task_on_the_topic_is_answered_on_the_topics(client):
    client.task.publish(String(data="stir the pan"))
    client.until(lambda: client.heard["tracks"], "tracks")
    assert client.heard["tracks"][0].task == "stir the pan"


def test_a_cancel_takes_effect_within_one_step(client):
    handle, feedback, future = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    cancelled = handle.cancel_goal_async()
    client.until(cancelled.done, "answer to the cancel")
    steps_before = sum(f.stage == "denoise" for f in feedback)
    client.until(future.done, "result")
    assert future.result().status == CANCELED and not future.result().result.success
    assert sum(f.stage == "denoise" for f in feedback) <= steps_before + 1 and not client.heard["tracks"]
    client.works()


def test_a_deadline_ends_a_request(client):
    goal = Generate.Goal(task="slow down", steps=1000)
    goal.deadline.nanosec = 400_000_000
    status, result = client.answer("slow down", steps=1000, deadline=goal.deadline)
    assert status == ABORTED and "deadline" in result.message
    client.works()


def test_the_newest_request_wins_and_a_queued_one_waits(client):
    _, feedback, first = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    _, _, second = client.ask("slow again", steps=2)
    _, _, queued = client.ask(queue=True, seed=9)
    for future in (first, second, queued):
        client.until(future.done, "all results")
    assert first.result().status == ABORTED and "newer request" in first.result().result.message
    assert second.result().status == queued.result().status == SUCCEEDED


def test_an_engine_that_runs_out_of_memory_costs_its_request_only(client):
    status, result = client.answer("fail now")
    assert status == ABORTED and "MemoryError: CUDA out of memory" in result.message
    client.says("MemoryError: CUDA out of memory")
    client.works()


def test_an_engine_that_hangs_past_the_deadline_costs_its_request_only(client):
    client.works()  # images flow: the engine is what is late
    goal = Generate.Goal()
    goal.deadline.sec = 5
    status, result = client.answer("hang on", deadline=goal.deadline)
    assert status == ABORTED and "the engine did not stop within 3 s" in result.message
    client.says("the engine did not stop within 3 s")
    client.works()


@pytest.mark.parametrize("task", ["", "   ", "x" * 1_000_000])
def test_a_task_that_is_no_sentence_is_refused(client, task):
    handle, _, _ = client.ask(task)
    assert not handle.accepted
    client.says("refused")
    client.works()


def spoil_step(name, image, info):
    image.step = 7


def truncate(name, image, info):
    image.data = image.data[:100]


def unknown_encoding(name, image, info):
    image.encoding = "bayer_rggb8"


def no_size(name, image, info):
    image.width = image.height = 0


def no_calibration(name, image, info):
    info.k, info.p = [0.0] * 9, [0.0] * 12


def nothing_set(name, image, info):
    info.width = info.height = 0
    info.k, info.r, info.p, info.d, info.distortion_model = [0.0] * 9, [0.0] * 9, [0.0] * 12, [], ""


def not_finite(name, image, info):
    info.k[0] = float("nan")


def other_size(name, image, info):
    image.width, image.height, image.step, image.data = 8, 6, 24, bytes(144)


FAULTS = {
    spoil_step: "step is 7", truncate: "data has 100 bytes", unknown_encoding: "bayer_rggb8", no_size: "0 x 0",
    no_calibration: "all zeros", nothing_set: "CameraInfo is of a 0 x 0 image", not_finite: "not finite", other_size: "8 x 6",
}  # fmt: skip


@pytest.mark.usefixtures("impatient")
def test_a_spoilt_image_or_calibration_is_named_and_the_next_good_one_works(client):
    for spoil, message in FAULTS.items():
        client.change = spoil
        answers = []

        def refused(answers=answers, message=message):
            status, result = client.answer()
            answers.append(result.message)
            return status == ABORTED and message in result.message

        client.until(refused, f"{message!r}")
    assert not any("Traceback" in text for text in answers)
    client.change = lambda name, image, info: None
    client.recovers()


@pytest.mark.usefixtures("impatient")
def test_a_camera_that_stops_is_named_and_works_again_when_it_comes_back(client):
    client.recovers()
    client.only = ("left",)

    def named():
        message = client.answer()[1].message
        return "right on /right/image" in message and "left on" not in message

    client.until(named, "a request without images of one camera")
    client.says("no image for")
    client.only = ("left", "right")
    client.recovers()


@pytest.mark.usefixtures("impatient")
def test_stamps_that_disagree_by_a_second_are_never_joined(client):
    def later(name, image, info):
        if name == "right":
            image.header.stamp.sec += 1

    client.recovers()
    client.change = later
    client.until(lambda: client.answer()[0] == ABORTED, "a request without a set")
    client.counts("no partner within slop")
    client.change = lambda name, image, info: None
    client.recovers()
