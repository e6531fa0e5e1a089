"""First images of a data set's sequences with what is known of their objects: what the finder learns from and is scored on.

A folder holds per view `<view>.png` and `<view>.mask0.png` (values of label, 255: background), `task.txt`, `rig.yaml` (cameras
of the pngs) and `truth.npz` with `boxes_px` [V 3 4] (hand without forearm, tool, target; edges in px of the png, of the
visible part; NaN where an object is not seen or absent), `positions` and `visible` (of one frame where only first images are stored).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from syncmv4d_model.data.degradation import degrade, draw_degradation
from syncmv4d_model.data.image_file import read_mask, read_png
from syncmv4d_model.data.npz import read_npz
from syncmv4d_model.data.rig import RIG_FILE, read_rig
from syncmv4d_model.data.sequence import TASK_FILE, TRUTH_FILE
from syncmv4d_model.data.truth_checks import NO_SEED, check_boxes
from syncmv4d_model.data.window import OBJECTS


@dataclass(frozen=True)
class FirstImages:
    """The first images of one sequence, any size each."""

    name: str
    task: str
    tags: tuple[str, ...]
    view_names: tuple[str, ...]
    images: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    masks: tuple[UInt8[np.ndarray, "_ _"], ...]  # empty when read without
    boxes_px: Float32[np.ndarray, "V 3 4"]  # edges by OBJECTS; NaN: not seen
    intrinsics: Float64[np.ndarray, "V 3 3"]  # px of the images
    camera_from_world: Float64[np.ndarray, "V 4 4"]
    positions: Float[np.ndarray, "V T K 3"]  # world, metres
    visible: Bool[np.ndarray, "V T K"]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(width, height) of the images."""
        return [(image.shape[1], image.shape[0]) for image in self.images]


def read_first_images(directory: Path, *, with_masks: bool = True, degraded: bool = True) -> FirstImages:
    """Read a sequence's first images; `degraded` does to them what cameras do (data.degradation).

    FileNotFoundError naming what is missing; ValueError for a file that is broken or that contradicts the others.
    """
    rig = read_rig(directory / RIG_FILE)
    truth = read_npz(directory / TRUTH_FILE, ("positions", "visible", "boxes_px"), optional=("tags", "seed"))
    views = len(rig.view_names)
    _check_boxes(directory / TRUTH_FILE, truth["boxes_px"], views)
    if len(truth["positions"]) != views:
        raise ValueError(f"{directory}: {TRUTH_FILE} has {len(truth['positions'])} views, {RIG_FILE} has {views}")
    images = tuple(
        read_png(directory / f"{name}.png", size) for name, size in zip(rig.view_names, rig.sizes, strict=True)
    )
    seed = int(truth.get("seed", NO_SEED))
    if degraded and seed != NO_SEED:
        images = tuple(degrade(image, draw_degradation(seed, view)) for view, image in enumerate(images))
    masks = tuple(read_mask(directory / f"{name}.mask0.png") for name in rig.view_names) if with_masks else ()
    for name, mask, image in zip(rig.view_names, masks, images, strict=False):
        if mask.shape != image.shape[:2]:
            raise ValueError(f"{directory / name}.mask0.png is not of the same size as {name}.png")
    return FirstImages(
        name=directory.name,
        task=(directory / TASK_FILE).read_text(encoding="utf-8").strip(),
        tags=tuple(tag for tag in str(truth.get("tags", "")).split(",") if tag),
        view_names=rig.view_names,
        images=images,
        masks=masks,
        boxes_px=truth["boxes_px"].astype(np.float32),
        intrinsics=rig.intrinsics,
        camera_from_world=rig.camera_from_world,
        positions=truth["positions"],
        visible=truth["visible"].astype(bool),
    )


def _check_boxes(path: Path, boxes_px: np.ndarray, views: int) -> None:
    """ValueError unless every box is one, or wholly NaN."""
    if boxes_px.shape != (views, len(OBJECTS), 4) or boxes_px.dtype.kind != "f":
        raise ValueError(f"{path}: boxes_px must be [{views} {len(OBJECTS)} 4] numbers, got {list(boxes_px.shape)}")
    check_boxes(path, boxes_px)
