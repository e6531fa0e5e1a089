"""Score a recorded bag. `ros2 launch syncmv4d evaluate.launch.py bag:=/path/to/bag json:=/path/report.json`"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction

OPTIONS = {
    "json": "Where to write the report.",
    "html": "Where to write the report page.",
    "rig": "Calibration files, where the bag has no TF: [rig.yaml], a kalibr camchain, or [left.yaml,right.yaml] of camera_info.",
    "checkpoint": "Checkpoint folder (default: the bundled one).",
    "task": "The task, where the bag has no task topic.",
}


def generate_launch_description() -> LaunchDescription:
    """One process: `syncmv4d evaluate --bag`, with the options that were given."""
    arguments = [DeclareLaunchArgument("bag", description="Bag folder, or .mcap or .db3 file.")]
    arguments += [DeclareLaunchArgument(name, default_value="", description=text) for name, text in OPTIONS.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=evaluate)])


def evaluate(context: LaunchContext) -> list[ExecuteProcess]:
    """The command line; an empty option is left out."""
    given = context.launch_configurations
    values = {name: [given[name]] for name in OPTIONS if given[name]}
    if "rig" in values:
        values["rig"] = [path.strip() for path in given["rig"].strip("[] ").split(",")]
    options = [word for name, words in values.items() for word in (f"--{name}", *words)]
    return [ExecuteProcess(cmd=["syncmv4d", "evaluate", "--bag", given["bag"], *options], output="screen")]
