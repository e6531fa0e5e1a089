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
