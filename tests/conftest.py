"""Every test runs with shapes checked, one thread per process, headless rendering and repeatable examples."""

import ctypes.util
import os

# Before numpy, torch or mujoco are imported: each reads its variable once, at import.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MUJOCO_GL", "egl" if ctypes.util.find_library("EGL") else "osmesa")
if os.environ["MUJOCO_GL"] == "osmesa":
    os.environ.setdefault("PYOPENGL_PLATFORM", "osmesa")

import hypothesis
from jaxtyping import install_import_hook

# Before any of our modules is imported: the hook rewrites them while they load.
install_import_hook(["syncmv4d_model", "syncmv4d_sim"], "beartype.beartype")

hypothesis.settings.register_profile("repeatable", deadline=None, max_examples=20, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")
