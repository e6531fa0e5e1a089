"""The made-up rig of the benchmarks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def arc_rig(views: int, *, height: int, width: int) -> tuple[Float[np.ndarray, "V 3 3"], Float[np.ndarray, "V 4 4"]]:
    """(intrinsics, camera_from_world) of plausible cameras on an arc that look at the origin."""
    from syncmv4d_model.geometry import look_at

    azimuths = np.linspace(-0.9, 0.9, views) if views > 1 else np.zeros(1)
    eyes = [np.array([0.8 * np.sin(a), -0.8 * np.cos(a), 0.5]) for a in azimuths]
    intrinsics = np.array([[1.3 * width, 0, (width - 1) / 2], [0, 1.3 * width, (height - 1) / 2], [0, 0, 1.0]])
    return np.stack([intrinsics] * views), np.stack([look_at(eye, np.zeros(3), np.array([0, 0, 1.0])) for eye in eyes])
