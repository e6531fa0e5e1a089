"""A DDS domain for the processes of one run, on this machine only; no ROS at import."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncmv4d_ros.definitions import PACKAGE

DOMAINS = range(1, 101)  # ports of higher ones may be in use: Linux gives ports from 32768 on to anybody
PROFILE = "config/fastdds_shared_memory.xml"
SEGMENT_BYTES = 128 * 2**20  # per process; as in PROFILE
SHARED_MEMORY = Path("/dev/shm")


@contextmanager
def private_domain() -> Iterator[dict[str, str]]:
    """Environment of a domain that no other holder on this machine has, until the block ends. RuntimeError if all are taken."""
    for domain in DOMAINS:
        try:
            lock = open(Path(tempfile.gettempdir()) / f"syncmv4d_ros_domain_{domain}.lock", "w")  # noqa: SIM115
        except PermissionError:  # another account's
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
            return
    raise RuntimeError(f"all of the DDS domains {DOMAINS.start} to {DOMAINS.stop - 1} are taken by other runs")


def shared_memory(processes: int) -> tuple[dict[str, str], str]:
    """(environment for images through shared memory, ""), or ({}, why not) where that many processes do not fit."""
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError as error:
        return {}, f"no {SHARED_MEMORY}: {error.strerror}"
    if free < processes * SEGMENT_BYTES:
        needed = processes * SEGMENT_BYTES // 2**20
        return {}, f"{SHARED_MEMORY} has {free // 2**20} MiB free, {processes} processes take {needed}"
    profile = next((path for path in _places() if path.is_file()), None)
    if profile is None:
        return {}, f"{PROFILE} is not installed"
    return {"FASTRTPS_DEFAULT_PROFILES_FILE": str(profile)}, ""


def _places() -> Iterator[Path]:
    """Of the checkout, of a sourced workspace, of this environment."""
    yield Path(__file__).parents[1] / PROFILE
    for prefix in [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]:
        yield Path(prefix) / "share" / PACKAGE / PROFILE
