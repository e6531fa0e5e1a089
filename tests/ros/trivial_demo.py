"""`syncmv4d demo --cell` with the trivial cell and the trivial engine, in a process and a DDS domain of its own.

Arguments: OUT, then NAME=VALUE of what is to be different: `cell`, `generator_module`, `checkpoint`, `patience_s`.
"""

from __future__ import annotations

import sys
from pathlib import Path

SCENE = 3


def main(args: list[str]) -> int:
    """What the command does once it has read its options."""
    from syncmv4d_cli.demo_cell import demo_cell
    from syncmv4d_ros.cell_run import CellNodes

    changed = dict(arg.split("=", 1) for arg in args[1:])
    nodes = CellNodes(
        {"cell": changed.get("cell", "tests.ros.trivial_cell:open_cell"), "scene": SCENE, "height": 48, "width": 64},
        generator_module=changed.get("generator_module", "tests.ros.trivial_generator"),
        checkpoint=changed.get("checkpoint", ""),
    )
    patience_s = float(changed.get("patience_s", "60"))
    return demo_cell(nodes, Path(args[0]), seed=1, steps=0, checkpoint=None, patience_s=patience_s)


if __name__ == "__main__":
    from syncmv4d_cli import main as command_line

    command_line.COMMANDS = (command_line.Command("demo", "tests.ros.trivial_demo", ""),)
    sys.exit(command_line.main(["demo", *sys.argv[1:]]))
