"""The borders of the house, read off the import statements (docs/guides/architecture.md draws them)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("syncmv4d_model", "syncmv4d_sim", "syncmv4d_cli", "syncmv4d_ros")

LEAVES = (
    "syncmv4d_model.types",
    "syncmv4d_model.config",
    "syncmv4d_model.config_json",
    "syncmv4d_model.geometry",
    "syncmv4d_model.checkpoint_index",
    "syncmv4d_model.data.sequence",
    "syncmv4d_model.data.rig",
    "syncmv4d_model.data.video",
    "syncmv4d_model.data.raster",
    "syncmv4d_model.data.surface_tracks",
    "syncmv4d_model.data.taco",
    "syncmv4d_model.data.atomic",
    "syncmv4d_model.data.build_options",
    "syncmv4d_model.data.window",
    "syncmv4d_model.data.degradation",
    "syncmv4d_model.data.image_file",
    "syncmv4d_model.data.npz",
    "syncmv4d_model.data.truth_checks",
)
LAYERS = (
    ("syncmv4d_cli",),
    ("syncmv4d_model.training", "syncmv4d_model.evaluation", "syncmv4d_model.export", "syncmv4d_model.serving"),
    ("syncmv4d_model.predictor", "syncmv4d_model.checkpoint", "syncmv4d_model.results", "syncmv4d_model.data"),
    ("syncmv4d_model.networks", "syncmv4d_model.diffusion"),
    ("syncmv4d_model.motion",),
    LEAVES,
)
"""From the top down: a room imports itself and rooms below it."""

BEHIND_THE_DOOR = (
    "networks", "diffusion", "motion", "binding", "training", "evaluation", "export",
)  # fmt: skip
"""Rooms of the model that a robot does not enter: it takes the leaves, results, observations and the predictor."""
WITHOUT_ROS = (
    "bag", "camera_info", "cell", "conversions", "definitions", "following", "hand_planning", "image_sets", "planning", "procrustes", "recorder",
    "recording", "rig", "stamps", "static_transforms", "symmetry", "synchronizer", "track_messages",
)  # fmt: skip
"""Modules of syncmv4d_ros that bags and planners need where no ROS is: neither rclpy nor a message class."""

NEVER = (
    ("syncmv4d_model.networks", "syncmv4d_model.diffusion"),
    ("syncmv4d_model.diffusion", "syncmv4d_model.networks"),
    ("syncmv4d_model", "syncmv4d_sim"),
    ("syncmv4d_model", "syncmv4d_ros"),
    ("syncmv4d_model", "syncmv4d_cli"),
    ("syncmv4d_sim", "syncmv4d_cli"),
    ("syncmv4d_sim", "syncmv4d_ros"),
    ("syncmv4d_sim", "torch"),
    ("syncmv4d_ros", "syncmv4d_sim"),
    ("syncmv4d_ros", "syncmv4d_cli"),
    ("syncmv4d_ros", "torch"),
    *(("syncmv4d_ros", f"syncmv4d_model.{room}") for room in BEHIND_THE_DOOR),
    *((f"syncmv4d_ros.{name}", ros) for name in WITHOUT_ROS for ros in ("rclpy", "syncmv4d")),
)
"""(room, what it may not import)."""

HOMES = {
    "diffusers": ("syncmv4d_model.networks",),
    "spconv": ("syncmv4d_model.networks.submanifold_conv",),
    "tensorrt": ("syncmv4d_model.export.tensorrt",),
    "mujoco": ("syncmv4d_sim",),
    "rclpy": ("syncmv4d_ros",),
    "syncmv4d": ("syncmv4d_ros",),
    "rosbags": ("syncmv4d_ros",),
}
"""The only rooms that import a back-end; messages (`*_msgs`, and ours: `syncmv4d`) belong to syncmv4d_ros."""

FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc", "base", "manager"}
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60


def sources() -> dict[str, Path]:
    """Every module of ours, by its dotted name."""
    modules = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


SOURCES = sources()
OURS = [*SOURCES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")]


def imports(module: str, text: str) -> set[str]:
    """What a module's source imports, anywhere in it, as absolute dotted names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            is_package = module in SOURCES and SOURCES[module].name == "__init__.py"
            parents = module.split(".") + ["__init__"] * is_package
            package = parents[: -node.level] if node.level else []
            source = ".".join([*package, *([node.module] if node.module else [])])
            found |= {f"{source}.{a.name}" if f"{source}.{a.name}" in SOURCES else source for a in node.names}
    return found


def inside(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def layer_of(module: str) -> int | None:
    """Index into LAYERS; the longest matching room decides, so that data.rig is a leaf and data.loader is not."""
    matches = [(len(room), i) for i, rooms in enumerate(LAYERS) for room in rooms if inside(module, room)]
    return max(matches)[1] if matches else None


def broken_borders(module: str, text: str) -> list[str]:
    """Every border that a module's source crosses, as readable lines."""
    wrong = []
    for name in sorted(imports(module, text)):
        here, there = layer_of(module), layer_of(name)
        if here is not None and there is not None and there < here:
            wrong.append(f"{module} imports {name}, which is above it")
        wrong += [f"{module} may not import {name}" for room, no in NEVER if inside(module, room) and inside(name, no)]
        if (
            inside(module, "syncmv4d_sim")
            and inside(name, "syncmv4d_model")
            and not any(inside(name, x) for x in LEAVES)
        ):
            wrong.append(f"{module} imports {name}, which is not a leaf")
        top = name.partition(".")[0]
        if top.endswith("_msgs") and any(inside(module, f"syncmv4d_ros.{room}") for room in WITHOUT_ROS):
            wrong.append(f"{module} imports {name}, and must run without ROS")
        homes = ("syncmv4d_ros",) if top.endswith("_msgs") else HOMES.get(top)
        if homes and not any(inside(module, home) for home in homes):
            wrong.append(f"{module} imports {name}, whose home is {' or '.join(homes)}")
    return wrong


@pytest.mark.parametrize("module", SOURCES)
def test_module_keeps_the_borders(module):
    assert broken_borders(module, SOURCES[module].read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("syncmv4d_model.geometry", "from syncmv4d_model.motion import anchors"),
        ("syncmv4d_model.motion.anchors", "from ..networks import latents"),
        ("syncmv4d_model.networks.latents", "import syncmv4d_model.diffusion.losses"),
        ("syncmv4d_model.diffusion.losses", "def late():\n    from syncmv4d_model.networks import latents"),
        ("syncmv4d_model.data.loader", "from syncmv4d_model.training import train"),
        ("syncmv4d_model.motion.anchors", "import mujoco"),
        ("syncmv4d_model.predictor", "from sensor_msgs.msg import Image"),
        ("syncmv4d_sim.dataset", "from syncmv4d_model.predictor import Predictor"),
        ("syncmv4d_sim.dataset", "import torch.nn"),
        ("syncmv4d_model.training.train", "import diffusers"),
        ("syncmv4d_model.training.train", "import syncmv4d_cli.main"),
        ("syncmv4d_ros.bag", "import rclpy.node"),
        ("syncmv4d_ros.camera_info", "def late():\n    from sensor_msgs.msg import CameraInfo"),
        ("syncmv4d_ros.engine", "import torch"),
        ("syncmv4d_ros.engine", "def late():\n    from syncmv4d_model.diffusion.closed_loop import Cancelled"),
        ("syncmv4d_cli.demo", "from syncmv4d.msg import PointTracks"),
    ],
)
def test_a_crossed_border_is_noticed(module, source):
    assert broken_borders(module, source)


def test_modules_import_each_other_without_cycles():
    graph = {module: imports(module, path.read_text()) & SOURCES.keys() for module, path in SOURCES.items()}
    while True:
        free = [module for module, needs in graph.items() if not needs & graph.keys() - {module}]
        if not free:
            break
        graph = {module: needs for module, needs in graph.items() if module not in free}
    assert not graph, f"import cycle among {sorted(graph)}"


def test_leaves_and_the_command_start_without_torch_and_mujoco():
    modules = [leaf for leaf in LEAVES if leaf in SOURCES] + [
        "syncmv4d_ros.engine",
        "syncmv4d_ros.cell",
        "syncmv4d_cli.main",
    ]
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in ("torch", "mujoco", "diffusers", "transformers"))
    program = f"import sys; {blocked}import {', '.join(modules)}; sys.exit(syncmv4d_cli.main.main(['--help']))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_no_module_has_a_name_that_says_nothing():
    assert [module for module in SOURCES if FORBIDDEN_NAMES & set(module.split("."))] == []


def test_files_are_short_enough_to_know_your_way_in():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in OURS}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_functions_fit_on_one_screen():
    long = []
    for path in OURS:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.end_lineno is None:
                continue
            if (lines := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES:
                long.append(f"{path.relative_to(ROOT)}: {node.name} has {lines} lines")
    assert long == []
