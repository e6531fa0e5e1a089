"""The generator node's states over real DDS: what it refuses, what it says while it cannot work, and that nobody waits in vain."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.ros.dds import ROOT, TIMEOUT_S, require_ros

require_ros()

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402

from syncmv4d.action import Generate  # noqa: E402
from tests.ros.planner_client import ABORTED, CANCELED, SUCCEEDED, generator  # noqa: E402

ALL_ROUND = (
    Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP, Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
)  # fmt: skip
ROUNDS = 30
TURN = Rotation.from_rotvec([0.02, -0.01, 0.03]).as_matrix()


def lifecycle(client):
    """What asks the node for a lifecycle transition, and tells whether it was made."""
    service = client.node.create_client(ChangeState, "syncmv4d/change_state")
    client.until(service.service_is_ready, "lifecycle service")

    def change(transition):
        future = service.call_async(ChangeState.Request(transition=Transition(id=transition)))
        client.until(future.done, "transition")
        return future.result().success

    return change


def change(client, transition):
    return lifecycle(client)(transition)


def level(client, name):
    """The newest level of a status on /diagnostics, by the end of its name."""
    found = [s.level for array in client.heard["/diagnostics"][-1:] for s in array.status if s.name.endswith(name)]
    return found[0] if found else None


def test_goals_that_wait_are_cancelled_not_aborted(client):
    _, feedback, running = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    for _ in range(10):
        handle, _, waiting = client.ask(queue=True)
        handle.cancel_goal_async()
        client.until(waiting.done, "result of a cancelled goal")
        assert waiting.result().status == CANCELED
    assert not running.done()


def test_a_number_of_steps_that_would_never_end_is_refused(client):
    handle, _, _ = client.ask(steps=2**32 - 1)
    assert not handle.accepted
    client.says("4294967295 steps were refused; at most 1000")
    client.works()


def test_a_node_that_is_deactivated_answers_its_goal_and_works_again_when_activated(client):
    _, feedback, running = client.ask("slow down", steps=1000)
    client.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    assert change(client, Transition.TRANSITION_DEACTIVATE)
    client.until(running.done, "result of the goal that ran")
    assert running.result().status == ABORTED and running.result().result.message == "cancelled"
    handle, _, _ = client.ask()
    assert not handle.accepted
    client.says("the node is not active")
    assert change(client, Transition.TRANSITION_CLEANUP)
    assert change(client, Transition.TRANSITION_CONFIGURE)
    assert change(client, Transition.TRANSITION_ACTIVATE)
    client.ready()
    client.recovers()


@pytest.mark.parametrize("transition", [Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 99])
def test_a_transition_that_is_not_possible_now_is_refused_and_nothing_else_happens(client, transition):
    assert not change(client, transition)
    client.works()


def test_goals_and_images_that_come_during_transitions_end_no_node(client):
    """A transition destroys, in one thread, what another waits for."""
    client.node.create_timer(0.004, client.shoot)
    client.node.create_timer(0.02, lambda: client.generate.send_goal_async(Generate.Goal(task="push a box")))
    made = lifecycle(client)
    for _ in range(ROUNDS):
        assert all(made(transition) for transition in ALL_ROUND)
    client.recovers()


def test_diagnostics_go_on_where_simulated_time_stands_still(ros_node, parameters):
    """As where a node is told to use it, and nobody publishes /clock."""
    with generator(ros_node, parameters | {"use_sim_time": "true"}) as client:
        client.until(lambda: len(client.heard["/diagnostics"]) > 2, "diagnostics")


def test_a_node_that_cannot_be_configured_says_why_until_it_is(ros_node, parameters, tmp_path):
    rig = tmp_path / "rig.yaml"
    content = rig.read_text()
    rig.write_text("views: []")
    with generator(ros_node, parameters | {"autostart": "false"}) as client:
        client.until(lambda: level(client, "engine") == DiagnosticStatus.ERROR, "error on /diagnostics")
        assert not change(client, Transition.TRANSITION_CONFIGURE)
        client.says("cannot configure")
        rig.write_text(content)
        assert change(client, Transition.TRANSITION_CONFIGURE)
        assert change(client, Transition.TRANSITION_ACTIVATE)
        client.ready()
        client.recovers()


@pytest.mark.parametrize("wrong", ["slop_s:=-1.0", "slop_s:=soon", "slop_s:=.nan", "cameras:=[left, left]"])
def test_a_wrong_parameter_ends_the_node_with_one_line_that_names_it(ros_domain, wrong):
    command = [sys.executable, "-m", "tests.ros.trivial_generator", "--ros-args", "-p", wrong]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S)
    errors = [line for line in run.stderr.splitlines() if "[ERROR]" in line or "[FATAL]" in line]
    assert run.returncode == 1 and len(errors) == 1 and wrong.partition(":")[0] in errors[0], run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.usefixtures("impatient")
def test_a_camera_that_was_spoilt_once_is_well_again(client):
    def spoil(name, image, info):
        if name == "right":
            image.step = 7

    client.change = spoil
    client.until(lambda: client.answer()[0] == ABORTED, "a request that fails")
    client.until(lambda: level(client, "camera right") == DiagnosticStatus.WARN, "warning about the camera")
    client.change = lambda name, image, info: None
    client.recovers()
    client.until(lambda: level(client, "camera right") == DiagnosticStatus.OK, "camera that is well")


@pytest.mark.parametrize("rectified", [True, False])
def test_replayed_frames_are_turned_as_the_images_that_arrived(ros_node, parameters, rectified):
    with generator(ros_node, parameters | ({"rectified": "[left]"} if rectified else {})) as client:
        client.ready()
        client.change = lambda name, image, info: setattr(info, "r", TURN.ravel())
        expected = TURN if rectified else np.eye(3)

        def replayed():
            sent = client.heard["left/generated/camera_info"]
            return client.answer()[0] == SUCCEEDED and any(np.allclose(info.r.reshape(3, 3), expected) for info in sent)

        client.until(replayed, "replayed frame with the images' rotation")
