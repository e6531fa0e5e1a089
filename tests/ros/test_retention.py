"""What the generator node lets go of, over real DDS: a prediction may hold hundreds of megabytes of frames."""

import gc
import weakref

import pytest

from tests.ros.dds import require_ros

require_ros()

from tests.ros.node_in_process import node_in_process  # noqa: E402
from tests.ros.planner_client import Client  # noqa: E402
from tests.ros.trivial_engine import TrivialEngine  # noqa: E402

REQUESTS = 4


class RememberingEngine(TrivialEngine):
    """Knows which of the images it was given, and of its predictions, anybody still holds."""

    given: list = []
    made: list = []

    def generate(self, observation, **options):
        prediction = super().generate(observation, **options)
        self.given.append(weakref.ref(observation))
        self.made.append(weakref.ref(prediction))
        return prediction


def held(references):
    return sum(each() is not None for each in references)


@pytest.fixture
def node_here(ros_domain, parameters):
    with node_in_process(parameters, load=lambda told: RememberingEngine()) as node:
        yield node


@pytest.fixture
def no_sweeps():
    """Reference cycles stay where they are."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("node_here", "no_sweeps")
def test_images_and_prediction_of_a_request_go_with_the_next_one_and_wait_for_no_sweep(ros_node):
    engine = RememberingEngine
    engine.given.clear()
    engine.made.clear()
    client = Client(*ros_node)
    client.ready()
    for _ in range(REQUESTS):
        client.works()
    assert len(engine.given) == len(engine.made) == REQUESTS
    client.until(lambda: held(engine.given) <= 1 and held(engine.made) <= 1, "end of all but the newest")


@pytest.mark.usefixtures("node_here")
def test_sweeps_leave_out_an_engine_that_came_after_the_start():
    """A lifecycle manager configures a node that spins already."""
    assert gc.get_freeze_count() > 1000
