"""Draw docs/pictures/looks.png: first images of looks that training draws, and of those kept for unseen looks.

Run from the repository's root, with a renderer: MUJOCO_GL=egl python scripts/draw_looks.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from syncmv4d_model.data.surface_tracks import SceneRig
from syncmv4d_model.geometry import look_at
from syncmv4d_sim.physics import grasped
from syncmv4d_sim.render import render
from syncmv4d_sim.scene import sample_scene

OUT = Path("docs/pictures/looks.png")
COLUMNS, ROWS, SIDE_PX, HEAD_PX, STEP = 6, 2, 200, 18, 6
TITLES = {"test_1": "looks that training draws", "unseen_look": "looks of families that training never draws"}
SEED = 5


@dataclass(frozen=True)
class Still:
    """One state, to be rendered."""

    model: mujoco.MjModel
    qpos: np.ndarray
    num_frames: int = 1

    def set_frame(self, data: mujoco.MjData, frame: int) -> None:
        data.qpos[:] = self.qpos
        mujoco.mj_forward(self.model, data)


def draw_image(split: str, index: int) -> np.ndarray:
    """The first image of a scene, from a camera anywhere across from the operator."""
    scene, rng = sample_scene(split, index, SEED), np.random.default_rng([SEED, index])
    model, data = grasped(scene)
    azimuth, height = np.radians(rng.uniform(-165, -15)), np.radians(rng.uniform(22, 50))
    middle = (scene.world_from_tool_start[:3, 3] + scene.world_from_target_start[:3, 3]) / 2
    away = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    pose = look_at(middle + rng.uniform(0.7, 1.1) * away, middle, np.array([0.0, 0, 1]))
    focal, centre = 1.35 * SIDE_PX, SIDE_PX / 2 - 0.5
    intrinsics = np.array([[focal, 0, centre], [0, focal, centre], [0, 0, 1.0]])
    rig = SceneRig(("camera",), intrinsics[None], pose[None], SIDE_PX, SIDE_PX)
    return render(Still(model, data.qpos.copy()), rig).rgb[0, 0]


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    block = HEAD_PX + ROWS * SIDE_PX
    sheet = Image.new("RGB", (COLUMNS * SIDE_PX, len(TITLES) * block), "white")
    for i, (split, title) in enumerate(TITLES.items()):
        ImageDraw.Draw(sheet).text((4, i * block + 3), title, fill="black")
        for place in range(ROWS * COLUMNS):
            row, column = divmod(place, COLUMNS)
            image = Image.fromarray(draw_image(split, 5 * place + i)).filter(ImageFilter.MedianFilter(3))  # saves bytes
            sheet.paste(image, (column * SIDE_PX, i * block + HEAD_PX + row * SIDE_PX))
    Image.fromarray(np.asarray(sheet) // STEP * STEP).save(out, optimize=True)
    print(f"{out}: {out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
