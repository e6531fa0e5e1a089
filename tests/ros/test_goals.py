"""Goals whose cancel arrives at the worst moment, over real DDS: each ends, and nothing is left of it."""

import threading

import pytest

from tests.ros.behaviour import Behaviour
from tests.ros.dds import require_ros

require_ros()

from rclpy.action.server import CancelResponse, ServerGoalHandle  # noqa: E402

from syncmv4d_ros.generator_node import GeneratorNode  # noqa: E402
from tests.ros.node_in_process import node_in_process  # noqa: E402
from tests.ros.planner_client import CANCELED, SUCCEEDED, Client  # noqa: E402
from tests.ros.trivial_engine import TrivialEngine  # noqa: E402

POLL_S = 0.01


class SlowToCancel(GeneratorNode):
    """Its client's cancel is carried out once the goal has ended: rclpy found it active when the cancel came."""

    def __init__(self, **options):
        super().__init__(**options)
        self.asked, self.never, self.answers = threading.Event(), threading.Event(), []

    def _cancel_goal(self, handle):
        self.asked.set()
        while handle.is_active:
            self.never.wait(POLL_S)
        self.answers.append(super()._cancel_goal(handle))
        return self.answers[-1]


def test_a_cancel_that_finds_its_goal_ended_leaves_nothing_behind(ros_node, parameters):
    behaviour = Behaviour(gated=True)
    load = lambda told: TrivialEngine(before_step=behaviour)  # noqa: E731
    with node_in_process(parameters, load=load, kind=SlowToCancel) as node:
        client = Client(*ros_node)
        client.ready()
        handle, _, future = client.ask()
        answered = handle.cancel_goal_async()
        client.until(node.asked.is_set, "cancel")
        behaviour.let_go()
        client.until(lambda: future.done() and answered.done(), "result and answer to the cancel")
        assert future.result().status == SUCCEEDED
        assert node.answers == [CancelResponse.REJECT] and not answered.result().goals_canceling
        assert len(node._goals) == 0


@pytest.fixture
def long_look(monkeypatch):
    """rclpy looks whether a new goal was cancelled, then marks it as executing: a cancel comes in between."""
    look = ServerGoalHandle.is_cancel_requested.fget
    looked = threading.Event()

    def look_long(handle):
        seen = look(handle)
        while not looked.is_set() and not look(handle):
            looked.wait(POLL_S)
        looked.set()
        return seen

    monkeypatch.setattr(ServerGoalHandle, "is_cancel_requested", property(look_long))


@pytest.mark.usefixtures("long_look")
def test_a_cancel_between_acceptance_and_execution_ends_its_goal(ros_node, parameters):
    with node_in_process(parameters, load=lambda told: TrivialEngine()) as node:
        client = Client(*ros_node)
        client.ready()
        handle, _, future = client.ask()
        handle.cancel_goal_async()
        client.until(future.done, "result")
        assert future.result().status == CANCELED
        client.works()
        assert len(node._goals) == 0
