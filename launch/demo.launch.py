"""A robot cell in simulation, asked for one plan. `ros2 launch syncmv4d demo.launch.py scene:=3 out:=/tmp/cell`

Includes syncmv4d.launch.py and adds the cell's cameras, two arms (one follows the generated plan, one the true one) and
`syncmv4d demo --cell --attach`, which asks, records and leaves videos, tracks, a bag, a picture and report.html in `out`. The nodes go on.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

GENERATOR = Path(__file__).resolve().with_name("syncmv4d.launch.py")
SCENE = {
    "split": ("test_1", "Split of the simulator's scenes."),
    "scene": ("0", "Which scene of the split."),
    "seed": ("1", "Seed of the scenes."),
}
OPTIONS = SCENE | {
    "out": ("out/demo/cell", "Folder for everything that is made."),
    "sample_seed": ("0", "Seed of the generation."),
    "checkpoint": ("", "Checkpoint folder. Empty: the bundled one."),
    "engine": ("eager", "What computes: eager or compile."),
}
TRUTH = [("tracks", "tracks_truth"), ("outcome", "truth/outcome")]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the generator, then the cell. Extrinsics come from TF, which the cell's cameras publish."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in OPTIONS.items()
    ]
    generator = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(GENERATOR)),
        launch_arguments={"namespace": "", "cameras": "", "rig_files": ""}.items(),
    )
    return LaunchDescription([*arguments, generator, OpaqueFunction(function=cell)])


def cell(context: LaunchContext) -> list[Node | ExecuteProcess]:
    """Cameras, arms, and who asks."""
    given = context.launch_configurations
    out = Path(given["out"]).resolve()
    scene = {"split": given["split"], "scene": int(given["scene"]), "seed": int(given["seed"])}
    images = {"rate_hz": 8.0, "truth_period_s": 2.0, "rig_file": str(out / "rig.yaml")}
    truth = {"follow": "tracks", "exit_after": 1, "film_dir": str(out / "executed_truth")}
    options = [word for name in ("out", "split", "scene", "seed") for word in (f"--{name}", given[name])]
    options += ["--sample-seed", given["sample_seed"]]
    options += ["--checkpoint", given["checkpoint"]] if given["checkpoint"] else []
    return [
        _node("sim_camera_node", "sim_camera", scene | images),
        _node("plan_follower_node", "plan_follower", scene | {"film_dir": str(out / "executed")}),
        _node("plan_follower_node", "truth_follower", scene | truth, remappings=TRUTH),
        ExecuteProcess(cmd=["syncmv4d", "demo", "--cell", "--attach", *options], output="screen"),
    ]


def _node(executable: str, name: str, told: dict[str, object], **more: object) -> Node:
    return Node(package="syncmv4d", executable=executable, name=name, output="screen", parameters=[told], **more)
