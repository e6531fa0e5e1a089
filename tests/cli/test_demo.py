"""`syncmv4d demo`: mistakes in what was asked, and a machine without ROS 2, are one line before any work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from syncmv4d_cli.main import main
from syncmv4d_model.checkpoint_index import BUNDLED_NANO, checkpoint_hash

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--attach"], "--attach is of --cell"),
        (["--scene=-1"], "--scene must be at least 0, got -1"),
        (["--cell", "--sample-seed=-1"], "--sample-seed must be at least 0, got -1"),
        (["--cell", "--steps", "0"], "--steps must be at least 1, got 0"),
    ],
)
def test_a_mistake_is_said_before_any_work(capsys, args, said):
    assert main(["demo", *args]) == 2
    assert capsys.readouterr().err == f"syncmv4d: error: {said}\n"


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert f"cannot write to {tmp_path / 'file'}: it is a file" in capsys.readouterr().err


def test_the_demos_figures_and_page_name_their_checkpoint(tmp_path):
    pytest.importorskip("mujoco", reason="MuJoCo is not installed here: pip install '.[sim]'")
    assert main(["demo", "--steps", "1", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "prediction.json").read_text())["checkpoint_sha256"] == checkpoint_hash(BUNDLED_NANO)
    settings = json.loads((tmp_path / "metrics.json").read_text())["settings"]
    assert settings["checkpoint"] == f"nano@{checkpoint_hash(BUNDLED_NANO)}"
    assert settings["versions"].keys() >= {"syncmv4d", "torch"}
    assert f"1 sequence, {settings['checkpoint']}</title>" in (tmp_path / "report.html").read_text()


def test_without_ros_the_cell_says_what_to_install(tmp_path):
    program = f"import sys; sys.modules['rclpy'] = None; from syncmv4d_cli.main import main; sys.exit(main(['demo', '--cell', '--out', {str(tmp_path)!r}]))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "needs rclpy, which is not installed: pip install '.[ros]'" in run.stderr
    assert list(tmp_path.iterdir()) == []
