"""Simulated hand-object sequences with exact tracks, on MuJoCo, rendered without a screen."""

import ctypes.util
import os

# MuJoCo reads MUJOCO_GL once, when it is imported, and otherwise wants a display. EGL also serves GPUs; OSMesa is the fallback.
_has_egl = all(ctypes.util.find_library(library) for library in ("EGL", "OpenGL"))
os.environ.setdefault("MUJOCO_GL", "egl" if _has_egl else "osmesa")
