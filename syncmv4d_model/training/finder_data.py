"""What the finder learns from: all first images of a split on its canvas in memory, and how they are varied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from syncmv4d_model.config import FinderConfig
from syncmv4d_model.data.first_images import FirstImages, read_first_images
from syncmv4d_model.data.sequence import BACKGROUND
from syncmv4d_model.data.window import OBJECTS, cut_window
from syncmv4d_model.networks.finder import fit_canvas, to_canvas
from syncmv4d_model.networks.text import words_of
from syncmv4d_model.types import LABELS

COLOUR_WORDS = frozenset(
    (
        "red", "green", "blue", "yellow", "orange", "purple", "violet", "pink", "magenta", "cyan", "turquoise", "teal",
        "lime", "brown", "beige", "black", "white", "grey", "gray", "silver", "gold", "golden", "dark", "light",
        "bright", "pale", "coloured", "colored", "colour", "color",
    )
)  # fmt: skip
"""With one of these in the sentence a picture's hues stay as they are."""
SIDE_WORDS = frozenset(("left", "right", "leftmost", "rightmost"))
"""With one of these a picture is not mirrored."""
LABEL_OF_OBJECT = tuple(LABELS.index(name) for name in OBJECTS)
LEAST_BOX_PX = 1.0  # of the canvas; less of an object in the picture does not count as seen


@dataclass(frozen=True)
class FinderBatch:
    """Views on the canvas; lengths in canvas pixels."""

    colour: UInt8[Tensor, "B H W 3"]
    mask: UInt8[Tensor, "B H W"]
    extent: Float[Tensor, "B 4"]  # left, top, right, bottom of the image
    boxes: Float[Tensor, "B 3 4"]  # NaN: not seen
    ids: Int[Tensor, "B L"]

    def inside(self) -> Bool[Tensor, "B H W"]:
        """The pixels whose centre lies in the image."""
        height, width = self.mask.shape[1:]
        x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
        left, top, right, bottom = self.extent[:, :, None].unbind(1)
        return ((y > top) & (y < bottom))[:, :, None] & ((x > left) & (x < right))[:, None]


@dataclass(frozen=True)
class FinderViews:
    """All views of a split, and what their sentences forbid to vary."""

    batch: FinderBatch
    keeps_colour: Bool[Tensor, "N"]
    keeps_sides: Bool[Tensor, "N"]

    def __len__(self) -> int:
        return len(self.keeps_colour)

    def take(self, index: Int[Tensor, "B"]) -> FinderBatch:
        """Some of the views."""
        batch = self.batch
        return FinderBatch(
            batch.colour[index], batch.mask[index], batch.extent[index], batch.boxes[index], batch.ids[index]
        )


Tokenize = Callable[[Sequence[str]], Int[Tensor, "B L"]]


def read_views(
    paths: Sequence[Path],
    config: FinderConfig,
    tokenize: Tokenize,
    *,
    progress: Callable[[int, int], None],
) -> FinderViews:
    """Read and fit to the canvas; `progress(done, total)` counts sequences. Errors as `read_first_images`."""
    rows: list[list[tuple[np.ndarray, ...]]] = []
    texts: list[str] = []

    def read(path: Path) -> tuple[str, list[tuple[np.ndarray, ...]]]:
        first = read_first_images(path)
        return first.task, [_fitted(first, view, config) for view in range(len(first.images))]

    with ThreadPoolExecutor(2) as readers:
        for task, views in readers.map(read, paths):
            rows.append(views)
            texts.append(task)
            progress(len(rows), len(paths))
    of_view = np.repeat(np.arange(len(rows)), [len(views) for views in rows])
    colour, mask, extent, boxes = (
        torch.from_numpy(np.stack(part)) for part in zip(*(view for views in rows for view in views), strict=True)
    )
    words = [{part for word in words_of(text) for part in word.split("-")} for text in texts]
    return FinderViews(
        FinderBatch(colour, mask, extent, boxes, tokenize(texts)[of_view]),
        torch.tensor([bool(words[text] & COLOUR_WORDS) for text in of_view]),
        torch.tensor([bool(words[text] & SIDE_WORDS) for text in of_view]),
    )


def _fitted(first: FirstImages, view: int, config: FinderConfig) -> tuple[np.ndarray, ...]:
    """(colour, mask, extent, boxes) of one view on the canvas."""
    height, width = config.canvas_height, config.canvas_width
    image, mask = first.images[view], first.masks[view]
    rows, columns = image.shape[:2]
    fit = fit_canvas(columns, rows, width=width, height=height)
    colour = cut_window(image, fit, height=height, width=width)
    x = np.floor(fit[0] + (np.arange(width) + 0.5) * fit[2] / width).astype(int)
    y = np.floor(fit[1] + (np.arange(height) + 0.5) * fit[3] / height).astype(int)
    nearest = mask[np.clip(y, 0, rows - 1)[:, None], np.clip(x, 0, columns - 1)]
    inside = ((y >= 0) & (y < rows))[:, None] & ((x >= 0) & (x < columns))
    extent = to_canvas(np.array([0.0, 0, columns, rows]), fit, width=width)
    boxes = to_canvas(first.boxes_px[view], fit, width=width)
    return (
        colour,
        np.where(inside, nearest, BACKGROUND).astype(np.uint8),
        extent.astype(np.float32),
        boxes.astype(np.float32),
    )


def vary(views: FinderViews, index: Int[Tensor, "B"], generator: torch.Generator) -> FinderBatch:
    """Some of the views, each cropped, moved, mirrored and lit anew."""
    batch = _move(views.take(index), views.keeps_sides[index], generator)
    return FinderBatch(
        _relight(batch.colour, views.keeps_colour[index], generator), batch.mask, batch.extent, batch.boxes, batch.ids
    )


def _move(batch: FinderBatch, keeps_sides: Bool[Tensor, "B"], generator: torch.Generator) -> FinderBatch:
    """Half of the views are scaled by 0.77 to 1.35 and shifted by up to an eighth; half are mirrored."""
    count, height, width = batch.mask.shape
    size = torch.tensor([width, height])
    is_moved = torch.rand(count, generator=generator) < 0.5
    scale = torch.where(is_moved, _uniform(count, -0.26, 0.3, generator).exp(), 1.0)
    shift = torch.where(is_moved[:, None], _uniform((count, 2), -0.125, 0.125, generator) * size, 0.0)
    mirrored = (torch.rand(count, generator=generator) < 0.5) & ~keeps_sides
    factor = torch.stack([torch.where(mirrored, -scale, scale), scale], 1)
    linear = torch.diag_embed(1 / factor)
    theta = torch.cat([linear, (-2 * shift / size / factor)[..., None]], 2)
    grid = F.affine_grid(theta, [count, 1, height, width], align_corners=False)
    colour = F.grid_sample(batch.colour.permute(0, 3, 1, 2).float(), grid, align_corners=False)
    mask = (batch.mask + 1).float()[:, None]  # 0 outside: background 255 wraps to it
    mask = F.grid_sample(mask, grid, mode="nearest", align_corners=False)[:, 0].to(torch.uint8) - 1
    middle = size / 2

    def move(boxes: Tensor) -> Tensor:
        between = [1] * (boxes.dim() - 2)
        to = (middle + shift).view(count, *between, 2)
        corners = (boxes.unflatten(-1, (2, 2)) - middle) * factor.view(count, *between, 1, 2) + to[..., None, :]
        return torch.cat([corners.amin(-2), corners.amax(-2)], -1)

    limit = torch.cat([torch.zeros(2), size])
    extent = move(batch.extent)
    extent = torch.cat([extent[:, :2].clamp_min(limit[:2]), torch.minimum(extent[:, 2:], limit[2:])], 1)
    boxes = _cut_boxes(move(batch.boxes), extent, mask)
    return FinderBatch(colour.permute(0, 2, 3, 1).round().to(torch.uint8), mask, extent, boxes, batch.ids)


def _cut_boxes(
    boxes: Float[Tensor, "B 3 4"], extent: Float[Tensor, "B 4"], mask: UInt8[Tensor, "B H W"]
) -> Float[Tensor, "B 3 4"]:
    """Boxes of what is left in the picture: those that its edge cuts end where the mask ends."""
    low, high = extent[:, None, :2], extent[:, None, 2:]
    cut = torch.cat([torch.maximum(boxes[..., :2], low), torch.minimum(boxes[..., 2:], high)], -1)
    seen = pixels_of_objects(mask, cut)
    columns, rows = seen.any(2), seen.any(3)
    shown = torch.cat(
        [torch.stack([_first(columns), _first(rows)], -1), torch.stack([_last(columns), _last(rows)], -1)], -1
    )
    shown = torch.cat([torch.maximum(cut[..., :2], shown[..., :2]), torch.minimum(cut[..., 2:], shown[..., 2:])], -1)
    is_cut = (cut - boxes).abs().amax(-1, keepdim=True) > 1e-3
    is_left = ((cut[..., 2:] - cut[..., :2]) >= LEAST_BOX_PX).all(-1, keepdim=True) & columns.any(-1, keepdim=True)
    return torch.where(is_cut, torch.where(is_left, shown, torch.nan), boxes)


def pixels_of_objects(mask: UInt8[Tensor, "B H W"], boxes: Float[Tensor, "B 3 4"]) -> Bool[Tensor, "B 3 H W"]:
    """Each object's pixels inside its box: of the hand's mask, which has the forearm, the fist alone. None for NaN."""
    height, width = mask.shape[1:]
    x, y = torch.arange(width) + 0.5, torch.arange(height) + 0.5
    left, top, right, bottom = boxes[..., None].unbind(2)
    within = ((y > top) & (y < bottom))[..., None] & ((x > left) & (x < right))[:, :, None]
    labels = torch.tensor(LABEL_OF_OBJECT, dtype=torch.uint8)
    return (mask[:, None] == labels[:, None, None]) & within


def _first(flags: Bool[Tensor, "B 3 N"]) -> Float[Tensor, "B 3"]:
    return flags.float().argmax(-1).float()


def _last(flags: Bool[Tensor, "B 3 N"]) -> Float[Tensor, "B 3"]:
    return flags.shape[-1] - _first(flags.flip(-1))


def _relight(
    colour: UInt8[Tensor, "B H W 3"], keeps_colour: Bool[Tensor, "B"], generator: torch.Generator
) -> UInt8[Tensor, "B H W 3"]:
    """Exposure, white balance, hue, gamma, blur, coarse chroma and noise; hues stay where the sentence names one."""
    count = len(colour)

    def choose(share: float) -> Int[Tensor, "C"]:
        return (torch.rand(count, generator=generator) < share).nonzero()[:, 0]

    def strengths(chosen: Tensor, low: float, high: float) -> Float[Tensor, "C 1 1 1"]:
        return _uniform((len(chosen), 1, 1, 1), low, high, generator)

    image = colour.float().div(255).permute(0, 3, 1, 2)
    image = (_colour_matrix(keeps_colour, generator) @ image.flatten(2)).unflatten(-1, image.shape[-2:]).clamp_(0, 1)
    chosen = choose(0.5)
    image[chosen] = image[chosen].pow(strengths(chosen, -0.35, 0.35).exp())
    chosen = choose(0.4)
    blurred = F.avg_pool2d(image[chosen], 3, 1, 1, count_include_pad=False)
    image[chosen] = image[chosen].lerp(blurred, strengths(chosen, 0, 1))
    chosen = choose(0.2)
    luma = image[chosen].mean(1, keepdim=True)
    image[chosen] = luma + F.interpolate(F.avg_pool2d(image[chosen] - luma, 4), scale_factor=4.0)
    chosen = choose(0.3)
    noise = torch.randn(len(chosen), *image.shape[1:], generator=generator)
    image[chosen] += strengths(chosen, 0, 0.06) * noise
    return image.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _colour_matrix(keeps_colour: Bool[Tensor, "B"], generator: torch.Generator) -> Float[Tensor, "B 3 3"]:
    """Exposure and white balance, and for sentences without a colour also a turn of the hues and less of them."""
    count = len(keeps_colour)
    gain = _uniform(count, -0.5, 0.4, generator).exp()[:, None]
    spread = torch.where(keeps_colour, 0.04, 0.12)[:, None]
    balance = (spread * torch.randn(count, 3, generator=generator)).exp()
    is_turned = (torch.rand(count, generator=generator) < 0.3) & ~keeps_colour
    angle = torch.where(is_turned, _uniform(count, -torch.pi, torch.pi, generator), 0.0)[:, None, None]
    is_grey = (torch.rand(count, generator=generator) < 0.15) & ~keeps_colour
    saturation = torch.where(is_grey, _uniform(count, 0, 0.3, generator), _uniform(count, 0.75, 1.2, generator))
    grey = torch.full((3, 3), 1 / 3)
    across = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5  # a quarter turn about grey
    hues = (torch.eye(3) - grey) * angle.cos() + across * angle.sin()
    return torch.diag_embed(gain * balance) @ (grey + saturation[:, None, None] * hues)


def _uniform(size: int | tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(size, generator=generator)
