"""The messages as other people meet them: generated, sent between processes over DDS, and the DDS profile that is shipped."""

import array
import re
from pathlib import Path

import pytest

from tests.ros.dds import ROOT, node_process, reaches, require_ros, spin_until

require_ros()

from rclpy.action import ActionClient  # noqa: E402

from syncmv4d.action import Generate  # noqa: E402
from syncmv4d.msg import PointTracks  # noqa: E402
from syncmv4d_model.types import LABELS  # noqa: E402
from tests.ros.message_server import LATCHED, STAGES, trajectories, videos  # noqa: E402
from tests.ros.message_server import tracks as expected_tracks  # noqa: E402

SERVER = "tests.ros.message_server"
ATTEMPTS = 8
ATTEMPT_S = 6.0
PROFILE = ROOT / "config" / "fastdds_shared_memory.xml"


def received(ros_node) -> PointTracks:
    """The first message on `tracks`."""
    node, executor = ros_node
    messages: list[PointTracks] = []
    subscription = node.create_subscription(PointTracks, "tracks", messages.append, LATCHED)
    spin_until(executor, lambda: bool(messages), what="message on tracks")
    node.destroy_subscription(subscription)
    return messages[0]


def test_labels_of_the_message_are_the_models():
    values = {name: getattr(PointTracks, f"LABEL_{name.upper()}") for name in LABELS}
    assert values == {name: value for value, name in enumerate(LABELS)}


def test_tracks_arrive_in_another_process_as_they_were_sent(ros_node):
    with node_process(SERVER):
        message = received(ros_node)
    assert message == expected_tracks("latched")
    assert isinstance(message.positions, array.array) and message.positions.typecode == "f"


def ask(ros_node, goal: Generate.Goal) -> tuple[list[Generate.Feedback], Generate.Result]:
    """Feedback and result of a goal, asked for until all of it has come.

    A client knows when it has found the server, never when the server has found the client: until then Fast DDS drops feedback,
    and drops an answer after 0.1 s.
    """
    node, executor = ros_node
    client = ActionClient(node, Generate, "generate")
    spin_until(executor, client.server_is_ready, what="action server")
    for _ in range(ATTEMPTS):
        feedback: list[Generate.Feedback] = []
        accepted = client.send_goal_async(goal, feedback_callback=lambda at, heard=feedback: heard.append(at.feedback))
        if not reaches(executor, accepted.done, ATTEMPT_S):
            continue
        answer = accepted.result().get_result_async()
        if reaches(executor, lambda got=answer, heard=feedback: got.done() and len(heard) == len(STAGES), ATTEMPT_S):
            client.destroy()
            return feedback, answer.result().result
    raise AssertionError(f"no complete answer in {ATTEMPTS} attempts of {ATTEMPT_S} s")


def test_an_action_passes_goal_feedback_and_result_between_processes(ros_node):
    goal = Generate.Goal(task="use a spoon to stir in a pan", seed=2**63 + 1, queue=True)
    goal.deadline.sec = 20
    with node_process(SERVER):
        feedback, result = ask(ros_node, goal)
    assert [(f.step, f.steps, f.seconds_elapsed, f.stage) for f in feedback] == [
        (step, len(STAGES), 0.5 * step, stage) for step, stage in enumerate(STAGES, start=1)
    ]
    assert (result.plan_id, result.success) == ("plan-1", True)
    assert result.message == f"seed {2**63 + 1}, deadline 20 s, queue True"
    assert result.tracks == expected_tracks(goal.task)
    assert result.trajectories == trajectories()
    assert result.videos == videos()


def shared_memory_bytes(pid: int) -> list[int]:
    """Sizes of the Fast DDS segments that a process has mapped."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if re.search(r"/dev/shm/fastrtps_[0-9a-f]{16}$", line)]
    return [int(end, 16) - int(start, 16) for start, end in spans]


def test_the_shipped_profile_gives_a_process_the_shared_memory_that_it_names(ros_node):
    (named,) = re.findall(r"<segment_size>(\d+)</segment_size>", PROFILE.read_text())
    with node_process(SERVER) as plain:
        received(ros_node)
        assert max(shared_memory_bytes(plain.pid)) < int(named)
    with node_process(SERVER, environment={"FASTRTPS_DEFAULT_PROFILES_FILE": str(PROFILE)}) as tuned:
        assert received(ros_node) == expected_tracks("latched")
        assert max(shared_memory_bytes(tuned.pid)) >= int(named)


def test_a_dead_server_is_reported_with_what_it_wrote(ros_domain, capsys):
    with pytest.raises(AssertionError, match="ended by itself"), node_process("tests.ros.no_such_module") as process:
        process.wait(timeout=30)
    assert "No module named tests.ros.no_such_module" in capsys.readouterr().out
