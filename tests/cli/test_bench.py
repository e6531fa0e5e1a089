"""`syncmv4d bench model`: rows take turns, and how far it is can be seen."""

import io

from rich.console import Console

from syncmv4d_cli.bench import time_interleaved


def test_rows_take_turns_the_warm_up_does_not_count_and_progress_is_shown():
    done: list[str] = []
    rows = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    seconds = time_interleaved(rows, runs=2, synchronise=lambda: done.append("-"), console=console)
    assert "".join(done) == "a-b-" * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}
    assert "runs" in screen.getvalue() and "100%" in screen.getvalue()
