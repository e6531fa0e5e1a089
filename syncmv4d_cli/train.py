"""`syncmv4d train init | run | nano | curves`: from a data set to a checkpoint, and what the run's log looks like."""

from __future__ import annotations

from typing import Annotated

import tyro
from rich.console import Console

from syncmv4d_cli.train_curves import Curves, curves
from syncmv4d_cli.train_nano import Nano, nano
from syncmv4d_cli.train_run import Init, Run, init, run
from syncmv4d_model.training.time_limit import OutOfTime, TimeLimit

Command = (
    Annotated[Init, tyro.conf.subcommand("init")]
    | Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Nano, tyro.conf.subcommand("nano")]
    | Annotated[Curves, tyro.conf.subcommand("curves")]
)


def main(args: list[str]) -> int:
    """Entry of `syncmv4d train`; 0 for a slice that stopped in time, too."""
    command = tyro.cli(Command, args=args, prog="syncmv4d train", description=__doc__)
    if isinstance(command, Init):
        init(command)
    elif isinstance(command, Curves):
        curves(command)
    else:
        _in_a_slice(command)
    return 0


def _in_a_slice(command: Run | Nano) -> None:
    """Do what fits into the command's minutes, and say how far it came."""
    limit = TimeLimit(command.minutes)
    try:
        if isinstance(command, Run):
            run(command, limit)
        else:
            nano(command, limit)
    except OutOfTime as stopped:
        Console().print(f"stopped after {command.minutes:g} minutes: {stopped}\nthe same command continues")
