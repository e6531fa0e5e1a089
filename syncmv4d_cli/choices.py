"""A command that has subcommands: runs the one that is named, or shows a line for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tyro

Choices = Mapping[str, tuple[type, Callable[[Any], None]]]
"""Name of a subcommand -> its option class, and what is done with its options."""


def choose(args: Sequence[str], prog: str, choices: Choices) -> int:
    """Read the options of the subcommand that is named and carry it out; else say what there is to choose from, the first line
    of each option class's docstring. The exit code: 2 where none was named, or what is no choice.
    """
    if args and args[0] in choices:
        options, action = choices[args[0]]
        action(tyro.cli(options, args=list(args[1:]), prog=f"{prog} {args[0]}"))
        return 0
    asked = bool(args) and args[0] in ("-h", "--help")
    if args and not asked:
        print(f"{prog}: no {args[0]!r}; one of {', '.join(choices)}")
    width = max(map(len, choices))
    print(f"usage: {prog} {{{','.join(choices)}}} ...\n")
    for name, (options, _) in choices.items():
        print(f"  {name:<{width}}  {(options.__doc__ or '').strip().splitlines()[0]}")
    print(f"\n`{prog} {next(iter(choices))} --help` lists its options.")
    return 0 if asked else 2
