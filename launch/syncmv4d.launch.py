"""The generator node. `ros2 launch syncmv4d syncmv4d.launch.py cameras:=[left,right] rig_files:=[/path/rig.yaml]`

Whatever is not given here comes from config/syncmv4d.yaml, or from the file that `params_file` names. Other launch files include
this one and add to it (demo.launch.py).
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushRosNamespace

SHARE = Path(__file__).resolve().parents[1]  # share/syncmv4d, or the source tree
LISTS = {
    "cameras": "Camera names, as a list: [left,centre,right]. Empty: as in params_file.",
    "rig_files": "Where the cameras stand: [rig.yaml], a kalibr camchain, or camera_info files. Empty: as in params_file, or TF.",
    "rectified": "Cameras whose images are rectified already.",
    "compressed": "Cameras that publish CompressedImage.",
}
WORDS = {
    "checkpoint": "Checkpoint folder. Empty: as in params_file.",
    "engine": "What computes: eager or compile. Empty: as in params_file.",
    "world_frame": "Frame of the tracks. Empty: as in params_file.",
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, then the node."""
    arguments = [
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and of the camera topics."),
        DeclareLaunchArgument("params_file", default_value=str(SHARE / "config" / "syncmv4d.yaml"), description="Parameters."),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error."),
        DeclareLaunchArgument(
            "shared_memory", default_value="false",
            description="Fast DDS through shared memory on this machine only: large images without loss.",
        ),
        *(
            DeclareLaunchArgument(name, default_value="", description=description)
            for name, description in (LISTS | WORDS).items()
        ),
    ]  # fmt: skip
    profile = SetEnvironmentVariable(
        "FASTRTPS_DEFAULT_PROFILES_FILE", str(SHARE / "config" / "fastdds_shared_memory.xml"),
        condition=IfCondition(LaunchConfiguration("shared_memory")),
    )  # fmt: skip
    return LaunchDescription([*arguments, profile, OpaqueFunction(function=generator)])


def generator(context: LaunchContext) -> list[GroupAction]:
    """The node with what was given on the command line over the parameter file."""
    given = {name: context.launch_configurations[name] for name in LISTS | WORDS}
    told = {name: split(text) if name in LISTS else text for name, text in given.items() if text}
    node = Node(
        package="syncmv4d",
        executable="generator_node",
        name="syncmv4d",
        output="screen",
        emulate_tty=True,
        parameters=[context.launch_configurations["params_file"], *([told] if told else [])],
        arguments=["--ros-args", "--log-level", context.launch_configurations["log_level"]],
    )
    return [GroupAction([PushRosNamespace(context.launch_configurations["namespace"]), node])]


def split(text: str) -> list[str]:
    """[a, b] or a,b -> ["a", "b"]."""
    return [word.strip().strip("'\"") for word in text.strip().strip("[]").split(",") if word.strip()]
