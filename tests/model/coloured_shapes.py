"""First images of flat shapes, drawn for real: a fist on a forearm, a thin rod, and two boxes that the sentence tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from syncmv4d_model.data.rig import Rig, write_rig
from syncmv4d_model.data.window import OBJECTS
from syncmv4d_model.geometry import unproject

SIZES = ((128, 96), (128, 72), (96, 96))
RED, BLUE = (205, 40, 40), (45, 60, 210)
FRAMES, POINTS = 3, 12
BASELINE_M = 0.1


def write_shapes(split: Path, count: int, *, seed: int, views: int = 2) -> Path:
    """Sequences 0..count-1 in the layout of first images; in every fifth the rod is missing."""
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        is_red, has_rod, is_left = bool(rng.integers(2)), index % 5 != 4, bool(rng.integers(2))
        colours = (RED, BLUE) if is_red else (BLUE, RED)
        width, height = SIZES[index % len(SIZES)]
        folder = split / f"{index:06d}"
        folder.mkdir(parents=True)
        drawn = [draw_view(rng, (width, height), colours, has_rod=has_rod, is_left=is_left) for _ in range(views)]
        names = tuple(f"view{view}" for view in range(views))
        for name, (image, mask, _) in zip(names, drawn, strict=True):
            Image.fromarray(image).save(folder / f"{name}.png")
            Image.fromarray(mask).save(folder / f"{name}.mask0.png")
        k = np.array([[120.0, 0, (width - 1) / 2], [0, 120.0, (height - 1) / 2], [0, 0, 1]])
        poses = np.tile(np.eye(4), (views, 1, 1))
        poses[:, 0, 3] = -BASELINE_M * np.arange(views)
        sizes = ((width, height),) * views
        write_rig(
            folder / "rig.yaml", Rig(names, (None,) * views, sizes, np.stack([k] * views), poses, (None,) * views)
        )
        (folder / "task.txt").write_text(f"use the rod to push the {'red' if is_red else 'blue'} box\n")
        boxes_px = np.stack([boxes for _, _, boxes in drawn])
        positions = np.stack([move_target(boxes[2], k) for boxes in boxes_px])
        positions[..., 0] += BASELINE_M * np.arange(views, dtype=np.float32)[:, None, None]
        visible = np.ones(positions.shape[:3], bool)
        tags = "look_alikes" + ("" if has_rod else ",missing_tool")
        np.savez(folder / "truth.npz", boxes_px=boxes_px, positions=positions, visible=visible, tags=tags)
    return split


def draw_view(
    rng: np.random.Generator,
    size: tuple[int, int],
    colours: tuple[tuple[int, int, int], ...],
    *,
    has_rod: bool,
    is_left: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image, mask, boxes): forearm and fist above, the rod below them, the target at the left or at the right."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    image[:] = rng.integers(90, 190) + rng.integers(-12, 12, 3)
    mask = np.full((height, width), 255, np.uint8)
    boxes = np.full((len(OBJECTS), 4), np.nan, np.float32)
    x, y = int(rng.integers(width // 4, 3 * width // 4)), int(rng.integers(14, height // 4 + 8))

    def paint(low: tuple[int, int], extent: tuple[int, int], colour, label: int) -> tuple[int, int, int, int]:
        (left, top), (right, bottom) = low, (low[0] + extent[0], low[1] + extent[1])
        image[top:bottom, left:right], mask[top:bottom, left:right] = colour, label
        return left, top, right, bottom

    skin = np.array([215, 165, 130]) - rng.integers(0, 40)
    paint((x + 2, 0), (8, y), skin, 1)
    boxes[0] = paint((x, y), (12, 11), skin, 1)
    if has_rod:
        boxes[1] = paint((x + 3, y + 11), (7, 16), (235, 235, 70), 2)
    side = int(rng.integers(11, 17))
    low = int(rng.integers(height // 2 + 8, height - side))
    places = (int(rng.integers(2, width // 2 - side)), int(rng.integers(width // 2, width - side)))
    at_target, at_other = places if is_left else places[::-1]
    boxes[2] = paint((at_target, low), (side, side), colours[0], 3)
    paint((at_other, low), (side, side), colours[1], 255)
    image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    return image, mask, boxes


def move_target(box: np.ndarray, k: np.ndarray) -> np.ndarray:
    """[T K 3]: points of the target at 1 m, which moves 3 cm to the right from frame to frame."""
    u, v = np.meshgrid(np.linspace(box[0], box[2] - 1, 4), np.linspace(box[1], box[3] - 1, POINTS // 4))
    start = unproject(k, np.stack([u, v], -1).reshape(-1, 2), np.ones(POINTS))
    return np.stack([start + [0.03 * frame, 0, 0] for frame in range(FRAMES)]).astype(np.float32)
