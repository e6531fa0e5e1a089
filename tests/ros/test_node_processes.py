"""Processes of one run: their own domain, command lines that ROS reads as they were meant, and no silence about missing memory."""

import os
import signal
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_ros.node_processes import NodeCommand, NodeProcesses
from syncmv4d_ros.private_domain import private_domain, shared_memory

PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "))
VALUES = PLAIN | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(value=VALUES | st.lists(PLAIN))
def test_a_parameter_is_read_as_what_it_is(value):
    words = NodeCommand("n", "m", {"told": value}).words()
    read = yaml.safe_load(words[words.index("-p") + 1].removeprefix("told:="))
    assert read == value or float(read) == value  # YAML 1.1 takes 1e+16 for a word; ROS does not
    assert isinstance(read, str) or not isinstance(value, str)


class Ended(Exception):
    """What a signal's handler raises, as the command's does."""


@pytest.fixture
def begun(monkeypatch):
    """Every process that is begun; SIGTERM raises Ended here."""
    processes, begin = [], subprocess.Popen

    def noted(*args, **keywords):
        processes.append(begin(*args, **keywords))
        return processes[-1]

    def ended(*_):
        raise Ended

    monkeypatch.setattr(subprocess, "Popen", noted)
    before = signal.signal(signal.SIGTERM, ended)
    yield processes
    signal.signal(signal.SIGTERM, before)
    for process in processes:
        process.kill()
        process.wait()


def signalled_after(act):
    """The same act, at whose end SIGTERM comes."""

    def acting(*args, **keywords):
        done = act(*args, **keywords)
        os.kill(os.getpid(), signal.SIGTERM)
        return done

    return acting


def test_a_signal_between_a_nodes_birth_and_its_entry_leaves_no_node(tmp_path, begun, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", signalled_after(subprocess.Popen))
    with pytest.raises(Ended), NodeProcesses(tmp_path, {}) as nodes:
        nodes.start(NodeCommand("idle", "tests.ros.idle"))
    assert [process.poll() for process in begun] == [-signal.SIGTERM]


def test_a_second_signal_while_nodes_end_leaves_no_node(tmp_path, begun, monkeypatch):
    with pytest.raises(Ended), NodeProcesses(tmp_path, {}) as nodes:
        for name in ("one", "two"):
            nodes.start(NodeCommand(name, "tests.ros.idle"))
        monkeypatch.setattr(begun[0], "terminate", signalled_after(begun[0].terminate))
        raise Ended
    assert [process.poll() for process in begun] == [-signal.SIGTERM, -signal.SIGTERM]
    with pytest.raises(Ended):  # the handler that was there is there again
        os.kill(os.getpid(), signal.SIGTERM)


def test_two_runs_have_two_domains():
    with private_domain() as one, private_domain() as other:
        assert one["ROS_DOMAIN_ID"] != other["ROS_DOMAIN_ID"]
        assert one["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_shared_memory_that_does_not_suffice_is_not_used_and_said():
    environment, why_not = shared_memory(10**9)
    assert environment == {} and "MiB free" in why_not
