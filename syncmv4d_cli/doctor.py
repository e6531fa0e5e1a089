"""`syncmv4d doctor`: what this machine has, what it lacks, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

BASE_PACKAGES = ("numpy", "scipy", "jaxtyping", "yaml", "av", "PIL", "tyro", "rich")
MODEL_PACKAGES = ("diffusers", "transformers", "accelerate", "safetensors", "tokenizers", "einops")
GL_BACKENDS = ("egl", "osmesa", "glfw")
GL_PACKAGES = "apt-get install libegl1 libopengl0 libgl1-mesa-dri libosmesa6"
MIN_MEMORY_GIB = 3.0  # one nano request stays below
MIN_DISK_GIB = 2.0
TIMEOUT_S = 120
BUNDLED_CHECKPOINT = Path("checkpoints") / "nano"  # inside syncmv4d_model

RENDER_PROGRAM = """
import mujoco
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1'/>"
    "<camera name='front' pos='0 -4 0' xyaxes='1 0 0 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 32, 32) as renderer:
    renderer.update_scene(data, camera="front")
    pixels = renderer.render()
assert pixels[16, 16].sum() > pixels[0, 0].sum(), "the sphere is not in the picture"
"""
CHECKPOINT_PROGRAM = """
import sys
from pathlib import Path
from syncmv4d_model.checkpoint import load_components
load_components(Path(sys.argv[1]))
"""


@dataclass(frozen=True)
class Finding:
    """One line of the report. `hint` says how to get what is lacking."""

    name: str
    status: Literal["ok", "missing", "optional"]
    detail: str
    hint: str = ""


@dataclass(frozen=True)
class DoctorOptions:
    """What this machine has and lacks. Exit code 0 if the base installation works, 1 if not."""

    json: bool = False
    """Print JSON instead of a table."""


def main(args: list[str]) -> int:
    options = tyro.cli(DoctorOptions, args=args, prog="syncmv4d doctor")
    findings = examine()
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        show(findings)
    return int(any(finding.status == "missing" for finding in findings))


def examine() -> list[Finding]:
    """Every check, in the order of the report. "missing" is part of the base; "optional" is not."""
    checks: tuple[Callable[[], Finding], ...] = (
        check_python,
        check_base,
        check_h264,
        check_torch,
        check_model_packages,
        check_checkpoint,
        check_rendering,
        lambda: check_package(
            "spconv", "spconv", "pip install spconv-cu126", use="a faster point aligner on an NVIDIA GPU"
        ),
        lambda: check_package(
            "rclpy",
            "ROS 2 (rclpy)",
            "source your ROS 2 distribution, or pip install '.[ros]'",
            use="the nodes on a robot",
        ),
        lambda: check_package("rosbags", "rosbags", "pip install '.[eval]'", use="syncmv4d evaluate --bag"),
        lambda: check_package("matplotlib", "matplotlib", "pip install '.[eval]'", use="syncmv4d evaluate --html"),
        lambda: check_package(
            "rerun", "rerun", "pip install '.[viewer]'", use="syncmv4d generate --rerun", distribution="rerun-sdk"
        ),
        check_cores,
        check_memory,
        check_disk,
    )
    return [check() for check in checks]


def show(findings: list[Finding]) -> None:
    """Print the findings as a table, and below it one line of verdict."""
    style = {"ok": "green", "missing": "bold red", "optional": "yellow"}
    mark = {"ok": "ok", "missing": "MISSING", "optional": "lacks"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "what", "found", "how to get it"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        status = Text(mark[finding.status], style=style[finding.status])
        table.add_row(status, finding.name, Text(finding.detail), Text(finding.hint))
    console = Console()
    console.print(table)
    if any("pip install ." in finding.hint or "pip install '." in finding.hint for finding in findings):
        console.print("`pip install` with a dot: in SyncMV4D's folder.")
    missing = [finding.name for finding in findings if finding.status == "missing"]
    console.print(f"The base does not work: {', '.join(missing)}." if missing else "The base works.")


def installed(module: str) -> bool:
    """Whether a package can be found, without importing it."""
    return importlib.util.find_spec(module) is not None


def version(distribution: str) -> str:
    """The installed version; "installed" for a package that carries no metadata, as in a sourced ROS distribution."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def check_package(module: str, name: str, hint: str, *, use: str, distribution: str | None = None) -> Finding:
    """A package that only `use` needs."""
    if not installed(module):
        return Finding(name, "optional", f"not installed; only for {use}", hint)
    return Finding(name, "ok", version(distribution or module))


def check_python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def check_base() -> Finding:
    lacking = [package for package in BASE_PACKAGES if not installed(package)]
    if lacking:
        return Finding("base packages", "missing", f"no {', '.join(lacking)}", "pip install .")
    return Finding("base packages", "ok", ", ".join(BASE_PACKAGES))


def check_h264() -> Finding:
    """PyAV can be built without x264; then no video can be written."""
    hint = "pip install --force-reinstall --only-binary av av"
    if not installed("av"):
        return Finding("H.264 video", "missing", "PyAV is not installed", hint)
    import av

    lacking = [codec for codec in ("libx264", "libx264rgb") if codec not in av.codecs_available]
    if lacking:
        return Finding("H.264 video", "missing", f"PyAV {av.__version__} without {', '.join(lacking)}", hint)
    return Finding("H.264 video", "ok", f"PyAV {av.__version__} with libx264")


def check_torch() -> Finding:
    if not installed("torch"):
        return Finding(
            "torch",
            "optional",
            "not installed; generate, evaluate, train and the node's engines need it",
            "pip install torch, then pip install '.[model]'",
        )
    import torch

    if not torch.cuda.is_available():
        return Finding("torch", "ok", f"{torch.__version__} on the CPU, {torch.get_num_threads()} threads")
    device = torch.cuda.get_device_properties(0)
    return Finding("torch", "ok", f"{torch.__version__} on {device.name}, {device.total_memory / 2**30:.0f} GiB")


def check_model_packages() -> Finding:
    lacking = [package for package in MODEL_PACKAGES if not installed(package)]
    if lacking:
        return Finding("model packages", "optional", f"no {', '.join(lacking)}", "pip install '.[model]'")
    return Finding("model packages", "ok", f"diffusers {version('diffusers')}, transformers {version('transformers')}")


def run_program(program: str, *args: str, environment: dict[str, str] | None = None) -> str:
    """Run a Python program in a process of its own, where a crash is only a finding.

    Returns "" if it ended well, else the last line of what it wrote.
    """
    command = [sys.executable, "-c", program, *args]
    environment = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]


def check_rendering() -> Finding:
    """Render a small picture with each of MuJoCo's GL backends, the asked-for one (MUJOCO_GL) first, until one works."""
    if not installed("mujoco"):
        return Finding(
            "simulator",
            "optional",
            "MuJoCo is not installed; only for demo, build-dataset and bench cell",
            "pip install '.[sim]'",
        )
    asked = os.environ.get("MUJOCO_GL")
    backends = (asked, *GL_BACKENDS) if asked else GL_BACKENDS
    failures = []
    for backend in dict.fromkeys(backends):
        environment = {"MUJOCO_GL": backend}
        if backend in ("egl", "osmesa"):
            environment["PYOPENGL_PLATFORM"] = backend
        failure = run_program(RENDER_PROGRAM, environment=environment)
        if not failure:
            return Finding("simulator", "ok", f"MuJoCo {version('mujoco')} renders with {backend}")
        failures.append(f"{backend}: {failure}")
    return Finding(
        "simulator", "optional", f"MuJoCo {version('mujoco')} does not render; {'; '.join(failures)}", GL_PACKAGES
    )


def check_checkpoint() -> Finding:
    """Load the bundled checkpoint; without torch, only see that it is there."""
    package = importlib.util.find_spec("syncmv4d_model")
    places = list(package.submodule_search_locations or []) if package else []
    directory = Path(places[0]) / BUNDLED_CHECKPOINT if places else BUNDLED_CHECKPOINT
    hint = "reinstall syncmv4d, or train it: make train-nano"
    weights = sorted(directory.rglob("*.safetensors"))
    if not weights:
        return Finding("bundled checkpoint", "optional", f"no weights in {directory}", hint)
    size = f"{sum(path.stat().st_size for path in weights) / 1e6:.0f} MB"
    if not all(installed(package) for package in ("torch", *MODEL_PACKAGES)):
        return Finding("bundled checkpoint", "ok", f"{size}; not loaded, as the model packages are not installed")
    failure = run_program(CHECKPOINT_PROGRAM, str(directory))
    if failure:
        return Finding("bundled checkpoint", "optional", failure, hint)
    return Finding("bundled checkpoint", "ok", f"{size}, loads")


def check_cores() -> Finding:
    return Finding("cores", "ok", str(len(os.sched_getaffinity(0))))


def check_memory() -> Finding:
    page = os.sysconf("SC_PAGE_SIZE") / 2**30
    total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    detail = f"{total:.1f} GiB, {free:.1f} GiB unused"
    if total < MIN_MEMORY_GIB:
        return Finding("memory", "optional", detail, f"one nano request needs up to {MIN_MEMORY_GIB:.0f} GiB")
    return Finding("memory", "ok", detail)


def check_disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    detail = f"{free:.1f} GiB free in {Path.cwd()}"
    if free < MIN_DISK_GIB:
        return Finding("disk", "optional", detail, f"data sets and results want {MIN_DISK_GIB:.0f} GiB or more")
    return Finding("disk", "ok", detail)
