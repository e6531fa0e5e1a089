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


def demo_of(**given):
    """(context, included launch file's arguments, the cell's entities by name or executable)."""
    module, description = described(ROOT / "launch" / "demo.launch.py")
    context = context_of(description, **given)
    (included,) = (e for e in description.entities if isinstance(e, launch.actions.IncludeLaunchDescription))
    return context, included, module.cell(context)


def parameters_of(context, node):
    from launch_ros.utilities import evaluate_parameters

    node._perform_substitutions(context)
    (told,) = evaluate_parameters(context, node._Node__parameters)
    return told


def test_the_demo_includes_the_generator_and_gives_every_node_the_same_scene():
    context, included, (cameras, follower, truth, asker) = demo_of(scene="3", out="/tmp/cell")
    included.launch_description_source.get_launch_description(context)
    assert included.launch_description_source.location == str(ROOT / "launch" / "syncmv4d.launch.py")
    told = [parameters_of(context, node) for node in (cameras, follower, truth)]
    assert [(one["split"], one["scene"], one["seed"]) for one in told] == [("test_1", 3, 1)] * 3
    assert told[0]["rig_file"] == "/tmp/cell/rig.yaml"
    assert (told[2]["follow"], told[2]["exit_after"]) == ("tracks", 1)
    assert [one.get("film_dir") for one in told] == [None, "/tmp/cell/executed", "/tmp/cell/executed_truth"]
    names = [node.node_name.rpartition("/")[2] for node in (cameras, follower, truth)]
    assert names == ["sim_camera", "plan_follower", "truth_follower"]
    assert ("tracks", "tracks_truth") in truth.expanded_remapping_rules
    words = ["".join(part.text for part in word) for word in asker.cmd]
    assert words[:6] == ["syncmv4d", "demo", "--cell", "--attach", "--out", "/tmp/cell"]
    assert "--checkpoint" not in words and words[words.index("--scene") + 1] == "3"


def test_the_demos_nodes_are_told_what_the_command_tells_them():
    from syncmv4d_ros.cell_run import CellNodes

    context, _, (cameras, follower, truth, _) = demo_of(out="/tmp/cell")
    nodes = CellNodes({"split": "test_1", "scene": 0, "seed": 1})
    out = Path("/tmp/cell")
    for node, command in zip((cameras, follower, truth), (nodes.cameras(out), *nodes.followers(out)), strict=True):
        assert parameters_of(context, node) == command.parameters
        assert dict(node.expanded_remapping_rules or ()) == command.remappings
