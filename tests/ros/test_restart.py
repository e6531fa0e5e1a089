"""The generator node is killed while a planner waits, and started again: what the planner sees, over real DDS."""

import subprocess
import sys

import pytest

from tests.ros.dds import ROOT, node_process, require_ros

require_ros()

from tests.ros.planner_client import UNKNOWN, Client, generator, generator_command  # noqa: E402


@pytest.fixture
def doomed(ros_node, parameters):
    """(client, process) of a generator node that nobody ends well."""
    process = subprocess.Popen([sys.executable, "-m", *generator_command(parameters)], cwd=ROOT)
    client = Client(*ros_node)
    client.ready()
    yield client, process
    process.kill()
    process.wait()


def test_a_goal_that_died_with_its_node_is_unknown_to_the_next_one_which_serves(doomed, parameters):
    client, process = doomed
    handle, feedback, lost = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    client.until(lambda: client.heard["/diagnostics"], "diagnostics")
    before = client.values("started")[-1]
    process.kill()
    process.wait()
    with node_process(*generator_command(parameters)):
        client.ready()
        client.until(lambda: client.values("started")[-1] != before, "diagnostics of another process")
        asked_again = handle.get_result_async()
        client.until(asked_again.done, "answer about the lost goal")
        assert asked_again.result().status == UNKNOWN
        client.works()
    assert not lost.done(), "ROS 2 completes no future whose server is gone: a planner needs a time limit of its own"
    assert not any(tracks.task == "slow down" for tracks in client.heard["tracks"])


def test_a_node_that_is_ended_mid_goal_ends_without_alarm(ros_node, parameters, capsys):
    with generator(ros_node, parameters) as client:
        client.ready()
        _, feedback, _ = client.ask("slow down", steps=1000)
        client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    said = capsys.readouterr().out
    assert "'slow down': cancelled" in said and "Warning" not in said and "Traceback" not in said


def test_a_task_that_died_with_its_node_is_not_begun_again_and_the_next_is_served(doomed, parameters):
    """The topic keeps nothing for a node that comes later: a robot that starts again does not move by an old order."""
    from std_msgs.msg import String

    client, process = doomed
    client.task.publish(String(data="slow down"))
    client.until(lambda: "True" in client.values("busy"), "request that runs")
    process.kill()
    process.wait()
    with node_process(*generator_command(parameters)):
        client.ready()
        client.works()
        client.task.publish(String(data="stir in a pan"))
        client.until(lambda: any(tracks.task == "stir in a pan" for tracks in client.heard["tracks"]), "tracks")
    assert not any(tracks.task == "slow down" for tracks in client.heard["tracks"])
