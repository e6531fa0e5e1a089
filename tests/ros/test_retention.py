"""What the generator node lets go of, over real DDS: a prediction may hold hundreds of megabytes of frames."""

import gc
import threading
import weakref

import pytest

from tests.ros.dds import require_ros

require_ros()

import rclpy  # noqa: E402

from syncmv4d_ros.generator_node import GeneratorNode, _autostart  # noqa: E402
from syncmv4d_ros.spinning import SplitExecutor  # noqa: E402
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
    """The generator node in this process, spun by a thread of its own."""
    context = rclpy.Context()
    told = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["test", "--ros-args", *told], context=context)
    node = GeneratorNode(load=lambda told: RememberingEngine(), context=context)
    executor = SplitExecutor(node.sensors, threads=4, context=context)
    executor.add_node(node)
    assert _autostart(node)
    ended = threading.Event()

    def spin():
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    yield node
    ended.set()
    thread.join()
    node.stop()
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


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
