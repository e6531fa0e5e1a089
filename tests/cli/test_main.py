"""The `syncmv4d` command itself: help, mistakes, exit codes."""

import contextlib
import importlib.metadata
import subprocess
import sys

import pytest

from syncmv4d_cli import main as command_line
from syncmv4d_cli.main import COMMANDS, Command, main
from syncmv4d_model.config import PRESETS


@pytest.fixture
def failing_command(tmp_path, monkeypatch):
    """A real module on disk, registered as the command `fail`, that runs the source given to it."""

    def register(source: str) -> None:
        (tmp_path / "failing_command.py").write_text(f"def main(args):\n    {source}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "failing_command", raising=False)
        monkeypatch.setattr(command_line, "COMMANDS", (Command("fail", "failing_command", "fails"),))

    return register


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(command.name in shown and command.help in shown for command in COMMANDS)


def test_no_command_shows_the_help_and_is_a_mistake(capsys):
    assert main([]) == 2
    assert "usage: syncmv4d" in capsys.readouterr().out


def test_an_unknown_command_is_named_beside_the_known_ones(capsys):
    assert main(["generat"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("syncmv4d: error: unknown command 'generat'")
    assert "build-dataset" in shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_its_options(command):
    run = subprocess.run(
        [sys.executable, "-m", "syncmv4d_cli.main", command.name, "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert f"syncmv4d {command.name}" in run.stdout


HELPS = {
    "bench": ["model  Time the model", "steps  Sample quality", "codec  Fit block codecs", "cell   Carry out tracks"],
    "build-dataset": ["sim   Simulate sequences", "taco  Take recordings"],
    "build-dataset sim": [
        "test_3 12 other triplets",
        "unseen_action the verb smear",
        "Processes that simulate",
        "Seed, split",
    ],
    "evaluate": ["syncmv4d evaluate --data data/nano --split test_1", "syncmv4d evaluate --bag my_bag"],
    "train": ["init  Fit codec", "run   Train every stage", "nano  Train a nano checkpoint"],
    "train init": [*PRESETS, "Of the untrained weights"],
    "train run": ["Steps between saved states", "cpu, or cuda", "gives the same bits"],
    "bench model": ["cpu, or cuda", "eager, or compile"],
}


@pytest.mark.parametrize(("command", "told"), HELPS.items(), ids=HELPS.keys())
def test_help_teaches(command, told, capsys):
    with contextlib.suppress(SystemExit):
        assert main([*command.split(), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert [words for words in told if " ".join(words.split()) not in shown] == []


SUBCOMMANDS = {"bench": "model", "build-dataset": "sim", "train": "init"}


@pytest.mark.parametrize(("command", "first"), SUBCOMMANDS.items(), ids=SUBCOMMANDS.keys())
def test_a_command_that_lacks_its_subcommand_shows_what_there_is(command, first, capsys):
    assert main([command]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: syncmv4d {command} {{") and f"\n  {first} " in shown


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_what_is_no_subcommand_is_a_mistake_and_the_choices_are_shown(command, capsys):
    assert main([command, "everything"]) == 2
    assert "no 'everything'; one of" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"syncmv4d {importlib.metadata.version('syncmv4d')}\n"


@pytest.mark.parametrize("error", ["ValueError('num_frames must be 4k+1, got 16')", "FileNotFoundError('no rig.yaml')"])
def test_a_mistake_in_what_was_asked_is_one_line_without_traceback(error, failing_command, capsys):
    failing_command(f"raise {error}")
    assert main(["fail"]) == 2
    assert capsys.readouterr().err == f"syncmv4d: error: {error.split(chr(39))[1]}\n"


def test_an_error_of_the_file_system_is_told_in_its_own_words(failing_command, capsys):
    failing_command("raise OSError(28, 'could not write out: No space left on device')")
    assert main(["fail"]) == 2
    assert capsys.readouterr().err == "syncmv4d: error: could not write out: No space left on device\n"


def test_a_terminated_command_cleans_up_behind_itself(failing_command, tmp_path):
    failing_command(
        "import os, pathlib, signal; from syncmv4d_model.data.atomic import atomic_file\n"
        f"    with atomic_file(pathlib.Path({str(tmp_path)!r}) / 'out' / 'file') as partial:\n"
        "        partial.write_text('half'); os.kill(os.getpid(), signal.SIGTERM)"
    )
    with pytest.raises(SystemExit, match="143"):
        main(["fail"])
    assert list((tmp_path / "out").iterdir()) == []


def test_debug_shows_where_an_error_came_from(failing_command):
    failing_command("raise ValueError('wrong')")
    with pytest.raises(ValueError, match="wrong"):
        main(["--debug", "fail"])


def test_an_error_of_our_own_is_not_hidden(failing_command):
    failing_command("assert False, 'ours'")
    with pytest.raises(AssertionError, match="ours"):
        main(["fail"])


def test_a_missing_extra_is_named_with_the_way_to_install_it(failing_command, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rerun", None)
    failing_command("import rerun")
    assert main(["fail"]) == 2
    assert (
        "fail needs rerun, which is not installed: pip install '.[viewer]' in SyncMV4D's folder"
        in capsys.readouterr().err
    )


def test_a_missing_package_of_our_own_is_an_error_of_ours(failing_command):
    failing_command("import syncmv4d_model.no_such_room")
    with pytest.raises(ModuleNotFoundError):
        main(["fail"])


def test_a_command_gets_its_arguments_and_its_exit_code_comes_back(failing_command):
    failing_command("return len(args)")
    assert main(["fail", "a", "--b", "c"]) == 3
