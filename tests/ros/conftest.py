"""A DDS domain per test process, on this machine only."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from syncmv4d_ros.private_domain import private_domain


@pytest.fixture(scope="session")
def ros_domain() -> Iterator[int]:
    """A domain number that no other test process holds, in the environment of this process and its children."""
    with private_domain() as environment:
        os.environ.update(environment)
        yield int(environment["ROS_DOMAIN_ID"])


@pytest.fixture
def ros_node(ros_domain):
    """(node, executor) in this process."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("test", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    yield node, executor
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def parameters(tmp_path):
    """Of the generator node under test; a test may change them before it asks for `client`. Patient: the machine may be busy."""
    from tests.ros.camera_rig import write_rig

    return {
        "cameras": "[left, right]", "rig_files": f"[{write_rig(tmp_path / 'rig.yaml')}]", "image_wait_s": "20.0",
        "grace_s": "3.0", "diagnostics_period_s": "0.1", "max_age_s": "0.5",
    }  # fmt: skip


@pytest.fixture
def impatient(parameters):
    """For tests whose requests are to be refused: the node does not wait long for images that can be used."""
    parameters["image_wait_s"] = "1.0"


@pytest.fixture
def client(ros_node, parameters):
    """A planner with cameras, once the generator node listens to it."""
    from tests.ros.planner_client import generator

    with generator(ros_node, parameters) as made:
        made.ready()
        yield made
