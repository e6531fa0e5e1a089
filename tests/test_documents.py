"""What the documents promise is there: linked files, commands, make targets and the demo's Python names."""

import ast
import importlib
import re
from pathlib import Path

import pytest

from syncmv4d_cli.demo import Options
from syncmv4d_cli.main import COMMANDS
from syncmv4d_model.checkpoint_index import BUNDLED_NANO
from syncmv4d_model.evaluation.recorded import CONSISTENCY_RATIOS, CONSISTENCY_RULES
from syncmv4d_model.evaluation.scores import RATIOS, SCORES
from syncmv4d_ros.parameters import GeneratorParameters

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_linked_file_exists(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(document):
    text = re.sub(r"ros2 (launch|run) syncmv4d \S+", "", document.read_text())  # the package's files, no commands
    shown = set(re.findall(r"(?<!/)syncmv4d ([a-z][a-z-]+)", text)) - {"package"}
    assert shown <= {command.name for command in COMMANDS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_ros_launch_file_and_node_that_is_shown_exists(document):
    files = re.findall(r"ros2 launch syncmv4d (\S+)", document.read_text())
    assert [name for name in files if not (ROOT / "launch" / name).exists()] == []
    nodes = re.findall(r"ros2 run syncmv4d (\w+)", document.read_text())
    assert [name for name in nodes if not (ROOT / "syncmv4d_ros" / f"{name}.py").exists()] == []


def test_the_ros_guide_names_every_parameter_of_the_node_and_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", (ROOT / "docs/guides/ros.md").read_text(), re.MULTILINE))
    told = GeneratorParameters()
    written = {name: shown(getattr(told, name)) for name in vars(told)}
    assert {name: rows.get(name) for name in written} == written


def shown(value: object) -> str:
    """A parameter as YAML has it, an empty one as nothing."""
    if isinstance(value, list):
        value = ", ".join(value)
        return f"`[{value}]`" if value else ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_shown_exists(document):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        word
        for line in re.findall(r"`?make ((?:[a-z-]+ ?)+)(?:`|$| *#)", document.read_text(), re.MULTILINE)
        for word in line.split()
    }
    assert shown <= targets


def test_the_readme_names_the_system_packages_that_make_installs():
    packages = re.search(r"^SYSTEM_PACKAGES \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert packages
    assert [package for package in packages[1].split() if f"`{package}`" not in README] == []


def test_the_readme_example_imports_names_that_exist():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    imported = [node for node in ast.parse(example).body if isinstance(node, ast.ImportFrom) and node.module]
    assert imported
    for node in imported:
        module = importlib.import_module(str(node.module))
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_readme_uses_a_folder_that_the_demo_leaves():
    told = Options()
    folder = f"out/demo/data/seed_{told.seed}_scene_{told.scene}/{told.split}/000000"
    assert "default: out/demo," in (ROOT / "syncmv4d_cli/demo.py").read_text()
    assert f"--input {folder} " in README and f'Path("{folder}")' in README


def test_the_files_guide_names_every_part_of_a_checkpoint():
    told = (ROOT / "docs/guides/files.md").read_text().partition("## A checkpoint")[2]
    parts = {path.name for path in BUNDLED_NANO.iterdir()} - {"README.md"}
    assert {part for part in parts if f"`{part}`" not in told} == set()


def test_the_evaluation_guide_names_scores_that_exist():
    told = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", (ROOT / "docs/guides/evaluation.md").read_text()))
    scores = {name for name in told if name.endswith(("_cm", "_deg", "_ratio", "_px", "_68", "_95", "_spearman"))}
    assert len(scores) > 10
    assert scores <= {*SCORES, *RATIOS, *CONSISTENCY_RULES, *CONSISTENCY_RATIOS}
