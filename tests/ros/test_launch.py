"""Launch files: they load, and turn their arguments into the node's parameters. Needs ROS's own launch, which PyPI lacks."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))


launch = pytest.importorskip("launch", reason="ROS's launch is not installed (it is not on PyPI)")
pytest.importorskip("launch_ros", reason="ROS's launch_ros is not installed (it is not on PyPI)")


def described(path):
    spec = importlib.util.spec_from_file_location(path.stem.replace(".", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.generate_launch_description()


def context_of(description, **given):
    context = launch.LaunchContext()
    for entity in description.entities:
        if isinstance(entity, launch.actions.DeclareLaunchArgument):
            if entity.name in given:
                context.launch_configurations[entity.name] = given[entity.name]
            elif entity.default_value is not None:
                entity.visit(context)
    return context


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_launch_file_loads_and_describes_every_argument(path):
    _, description = described(path)
    arguments = [e for e in description.entities if isinstance(e, launch.actions.DeclareLaunchArgument)]
    assert arguments and all(argument.description for argument in arguments)


def node_of(**given):
    module, description = described(ROOT / "launch" / "syncmv4d.launch.py")
    context = context_of(description, **given)
    (group,) = module.generator(context)
    (node,) = (e for e in group.get_sub_entities() if type(e).__name__ == "Node")
    node._perform_substitutions(context)
    return context, node


def test_lists_given_on_the_command_line_reach_the_node():
    from launch_ros.utilities import evaluate_parameters

    context, node = node_of(cameras="[front, back]", rig_files="/a/rig.yaml", engine="compile")
    _, told = evaluate_parameters(context, node._Node__parameters)
    assert told == {"cameras": ("front", "back"), "rig_files": ("/a/rig.yaml",), "engine": "compile"}


def test_without_arguments_the_parameter_file_alone_counts():
    _, node = node_of()
    assert len(node._Node__parameters) == 1
    assert str(ROOT / "config" / "syncmv4d.yaml") in str(node._Node__expanded_parameter_arguments)


def test_several_calibration_files_reach_the_evaluation():
    module, description = described(ROOT / "launch" / "evaluate.launch.py")
    (process,) = module.evaluate(context_of(description, bag="/b", rig="[/l.yaml, /r.yaml]"))
    words = ["".join(part.text for part in word) for word in process.cmd]
    assert words[-3:] == ["--rig", "/l.yaml", "/r.yaml"]


def test_evaluate_runs_the_command_with_what_was_given():
    module, description = described(ROOT / "launch" / "evaluate.launch.py")
    (process,) = module.evaluate(context_of(description, bag="/b", json="/j.json"))
    words = ["".join(part.text for part in word) for word in process.cmd]
    assert words == ["syncmv4d", "evaluate", "--bag", "/b", "--json", "/j.json"]
