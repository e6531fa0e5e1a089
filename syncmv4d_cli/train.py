"""`syncmv4d train init | run | nano | finder | ablation | curves`: from a data set to checkpoints, and what a run's log looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from syncmv4d_cli.choices import choose
from syncmv4d_cli.train_ablation import Ablation, ablation
from syncmv4d_cli.train_curves import Curves, curves
from syncmv4d_cli.train_finder import TrainFinder, train_finder
from syncmv4d_cli.train_nano import Nano, nano
from syncmv4d_cli.train_run import Init, Run, init, run
from syncmv4d_model.training.time_limit import OutOfTime, TimeLimit

_Command = TypeVar("_Command", Run, Nano, TrainFinder, Ablation)


def main(args: list[str]) -> int:
    """Entry of `syncmv4d train`; 0 for a slice that stopped in time, too."""
    return choose(
        args,
        "syncmv4d train",
        {
            "init": (Init, init),
            "run": (Run, in_slices(run)),
            "nano": (Nano, in_slices(nano)),
            "finder": (TrainFinder, in_slices(train_finder)),
            "ablation": (Ablation, in_slices(ablation)),
            "curves": (Curves, curves),
        },
    )


def in_slices(action: Callable[[_Command, TimeLimit], None]) -> Callable[[_Command], None]:
    """The action as far as it comes in the command's minutes; where these end it, it says so."""

    def slice_of(command: _Command) -> None:
        try:
            action(command, TimeLimit(command.minutes))
        except OutOfTime as stopped:
            Console().print(f"stopped after {command.minutes:g} minutes: {stopped}\nthe same command continues")

    return slice_of
