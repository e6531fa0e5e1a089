"""The `syncmv4d` command: finds the subcommand's module, imports it late and turns a caller's mistake into one line."""

from __future__ import annotations

import importlib
import importlib.metadata
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One subcommand; its module's `main(args: list[str]) -> int` reads its own options."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command(
        "generate",
        "syncmv4d_cli.generate",
        "one to four views and a task in; synchronised videos and metric tracks out",
    ),
    Command("evaluate", "syncmv4d_cli.evaluate", "score a checkpoint on a split of a data set, or on a recorded bag"),
    Command("compare", "syncmv4d_cli.compare", "reports of evaluate side by side, as a Markdown table"),
    Command(
        "tables",
        "syncmv4d_cli.tables",
        "the paper's Tab. 1 to 4 with our numbers, from reports of evaluate and train ablation",
    ),
    Command("train", "syncmv4d_cli.train", "train a checkpoint, or every variant of the paper's ablations"),
    Command("build-dataset", "syncmv4d_cli.build_dataset", "simulate a data set, or take recordings of TACO"),
    Command(
        "bench",
        "syncmv4d_cli.bench",
        "measure speed and memory, of the ROS 2 node too, quality against steps, and how often plans work in the simulated cell",
    ),
    Command(
        "demo",
        "syncmv4d_cli.demo",
        "generate for one unseen scene and compare with the truth; --cell: carry it out by a robot arm, over ROS 2",
    ),
    Command("doctor", "syncmv4d_cli.doctor", "what this machine has and lacks"),
)

EXTRA_OF_PACKAGE = {
    "torch": "model",
    "diffusers": "model",
    "transformers": "model",
    "accelerate": "model",
    "safetensors": "model",
    "mujoco": "sim",
    "matplotlib": "eval",
    "rosbags": "eval",
    "rclpy": "ros",
    "diagnostic_msgs": "ros",
    "syncmv4d": "ros",
    "rerun": "viewer",
}


def usage() -> str:
    """The text of `syncmv4d --help`."""
    width = max(len(command.name) for command in COMMANDS)
    lines = [f"  {command.name:<{width}}  {command.help}" for command in COMMANDS]
    return "\n".join(
        [
            "usage: syncmv4d [--debug] COMMAND ...",
            "       syncmv4d --version",
            "",
            *lines,
            "",
            "`syncmv4d COMMAND --help` lists a command's options; --debug shows where an error came from.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code: 0 done, 1 the command's own no, 2 a mistake in what was asked."""
    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else 2
    if args[0] == "--version":
        print(f"syncmv4d {importlib.metadata.version('syncmv4d')}")
        return 0
    command = next((command for command in COMMANDS if command.name == args[0]), None)
    if command is None:
        return _fail(f"unknown command {args[0]!r}; one of {', '.join(c.name for c in COMMANDS)}")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
    try:
        return importlib.import_module(command.module).main(args[1:])
    except ModuleNotFoundError as error:
        extra = EXTRA_OF_PACKAGE.get((error.name or "").partition(".")[0])
        if debug or extra is None:
            raise
        return _fail(
            f"{command.name} needs {error.name}, which is not installed: pip install '.[{extra}]' in SyncMV4D's folder"
        )
    except (ValueError, OSError) as error:
        if debug:
            raise
        return _fail(_message(error))
    except KeyboardInterrupt:
        print("syncmv4d: stopped", file=sys.stderr)
        return 130


def _message(error: Exception) -> str:
    ours = isinstance(error, OSError) and error.filename is None and error.strerror
    return str(ours or error)


def _terminated(*_: object) -> None:
    """Leave by the way of an error, so that partial files are removed and worker processes end with this one."""
    raise SystemExit(128 + signal.SIGTERM)


def _fail(message: str) -> int:
    print(f"syncmv4d: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
