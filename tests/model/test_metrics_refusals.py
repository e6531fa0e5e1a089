"""No metric invents a number: what it cannot answer it refuses."""

import json
import subprocess
import sys
from pathlib import Path


def test_what_has_no_answer_is_refused_and_a_mask_may_be_written_as_numbers():
    command = [sys.executable, "-m", "tests.model.refused_questions"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"asked": 32, "answered": [], "masks": []}
