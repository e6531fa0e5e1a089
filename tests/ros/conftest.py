"""A DDS domain per test process, on this machine only."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

DOMAINS = range(1, 101)  # ports of higher ones may be in use: Linux gives ports from 32768 on to anybody


@pytest.fixture(scope="session")
def ros_domain() -> Iterator[int]:
    """A domain number that no other test process holds, in the environment of this process and its children."""
    for domain in DOMAINS:
        with closing(open(Path(tempfile.gettempdir()) / f"syncmv4d_ros_domain_{domain}.lock", "w")) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            os.environ.update(ROS_DOMAIN_ID=str(domain), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
            yield domain
            return
    raise RuntimeError(f"all of the DDS domains {DOMAINS.start} to {DOMAINS.stop - 1} are taken by other test runs")


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
