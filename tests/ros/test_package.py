"""What the package says of itself in several places is the same in all of them. Reads files only; needs no ROS."""

import ast
import re
from xml.etree import ElementTree

import pytest

from tests.ros.dds import ROOT

tomllib = pytest.importorskip("tomllib", reason="this Python has no tomllib (3.11 and newer have)")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MESSAGES = tomllib.loads((ROOT / "ros_messages" / "pyproject.toml").read_text())
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()
INTERFACES = sorted([*ROOT.glob("msg/*.msg"), *ROOT.glob("action/*.action")])


def extra_ros() -> list[str]:
    """What setup.py pins in the extra `ros`, without the folder of the messages."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROS" and isinstance(node.value, ast.List):
            return [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
    raise AssertionError("setup.py has no list ROS")


def pins(requirements: list[str]) -> dict[str, str]:
    """Version of every ROS wheel in a list of requirements."""
    return dict(requirement.split("==") for requirement in requirements if requirement.startswith("ros-"))


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.name)
def test_every_field_says_what_it_holds(path):
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#") and line != "---"]
    fields = [line for line in lines if "=" not in line.split("#")[0]]
    assert fields
    assert [line for line in fields if not re.search(r"\S +# \S", line)] == []


def test_every_interface_is_generated():
    listed = re.findall(r'"((?:msg|action)/\w+\.\w+)"', (ROOT / "CMakeLists.txt").read_text())
    assert sorted(listed) == sorted(str(path.relative_to(ROOT)) for path in INTERFACES)


def test_versions_agree():
    assert {PROJECT["version"], MESSAGES["project"]["version"], MANIFEST.findtext("version")} == {PROJECT["version"]}


def test_the_wheels_are_one_set_wherever_they_are_pinned():
    built = pins(MESSAGES["build-system"]["requires"])
    for requirements in (MESSAGES["project"]["dependencies"], extra_ros()):
        pinned = pins(requirements)
        assert pinned
        assert {name: built[name] for name in pinned.keys() & built.keys()} == {
            name: pinned[name] for name in pinned.keys() & built.keys()
        }
    assert pins(MESSAGES["project"]["dependencies"]).items() <= pins(extra_ros()).items()


def test_every_ros_package_that_pip_installs_is_declared_to_a_distribution():
    installed = {name.removeprefix("ros-jazzy-").replace("-", "_") for name in pins(extra_ros()) if "jazzy" in name}
    declared = {str(element.text) for element in MANIFEST if element.tag in ("depend", "exec_depend")}
    assert installed <= declared


def test_every_node_is_a_command_of_pip_as_it_is_an_executable_of_colcon():
    nodes = {path.stem: f"syncmv4d_ros.{path.stem}:main" for path in (ROOT / "syncmv4d_ros").glob("*_node.py")}
    commands = {name: target for name, target in PROJECT["scripts"].items() if target.startswith("syncmv4d_ros.")}
    assert commands == nodes
