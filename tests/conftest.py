"""Every test runs with shapes checked, one thread per process, headless rendering and repeatable examples."""

import os
import sys
from pathlib import Path

# Before numpy and torch are imported: they read these once.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import hypothesis
from jaxtyping import install_import_hook

sys.path.insert(0, str(Path(__file__).parent))  # for the checker, which the hook imports by name

# Before any of our modules is imported: the hook rewrites them while they load.
install_import_hook(["syncmv4d_model", "syncmv4d_sim", "syncmv4d_ros"], "shape_checker.check")

import syncmv4d_sim  # noqa: F401  (chooses the GL backend; a test may import mujoco before any of our modules)

hypothesis.settings.register_profile("repeatable", deadline=None, max_examples=20, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")
