"""The help of a command that has subcommands: one line for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def choose(args: Sequence[str], prog: str, choices: Mapping[str, type]) -> int:
    """Say what there is to choose from, the first line of each option class's docstring; the exit code.

    0 when help was asked for, else 2, beside what is no choice.
    """
    asked = bool(args) and args[0] in ("-h", "--help")
    if args and not asked:
        print(f"{prog}: no {args[0]!r}; one of {', '.join(choices)}")
    width = max(map(len, choices))
    print(f"usage: {prog} {{{','.join(choices)}}} ...\n")
    for name, options in choices.items():
        print(f"  {name:<{width}}  {(options.__doc__ or '').strip().splitlines()[0]}")
    print(f"\n`{prog} {next(iter(choices))} --help` lists its options.")
    return 0 if asked else 2
