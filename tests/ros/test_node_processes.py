"""Processes of one run: their own domain, command lines that ROS reads as they were meant, and no silence about missing memory."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from syncmv4d_ros.node_processes import NodeCommand
from syncmv4d_ros.private_domain import private_domain, shared_memory

PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "))
VALUES = PLAIN | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(value=VALUES | st.lists(PLAIN))
def test_a_parameter_is_read_as_what_it_is(value):
    words = NodeCommand("n", "m", {"told": value}).words()
    read = yaml.safe_load(words[words.index("-p") + 1].removeprefix("told:="))
    assert read == value or float(read) == value  # YAML 1.1 takes 1e+16 for a word; ROS does not
    assert isinstance(read, str) or not isinstance(value, str)


def test_two_runs_have_two_domains():
    with private_domain() as one, private_domain() as other:
        assert one["ROS_DOMAIN_ID"] != other["ROS_DOMAIN_ID"]
        assert one["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_shared_memory_that_does_not_suffice_is_not_used_and_said():
    environment, why_not = shared_memory(10**9)
    assert environment == {} and "MiB free" in why_not
