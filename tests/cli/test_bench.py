"""`syncmv4d bench model`: rows take turns, and how far it is can be seen."""

import io

import pytest
from rich.console import Console

from syncmv4d_cli.bench import time_interleaved
from syncmv4d_cli.main import main


def test_rows_take_turns_the_warm_up_does_not_count_and_progress_is_shown():
    done: list[str] = []
    rows = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    seconds = time_interleaved(rows, runs=2, synchronise=lambda: done.append("-"), console=console)
    assert "".join(done) == "a-b-" * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}
    assert "runs" in screen.getvalue() and "100%" in screen.getvalue()


@pytest.mark.parametrize(("option", "least"), [("--steps", 1), ("--runs", 1)])
def test_numbers_that_time_nothing_are_refused(capsys, option, least):
    assert main(["bench", "model", option, "0"]) == 2
    assert f"{option} must be at least {least}, got 0" in capsys.readouterr().err
