"""The finder: boxes of hand, tool and target in whole first images, named by the sentence; an addition to the paper.

An image is fitted into a small canvas. A convolutional encoder and decoder describe its cells; one
attention layer lets every coarse cell read all others and the sentence, so that "the small blue
plate" can be told from its neighbours. Each object asks the cells with the words that belong to it:
every cell says how much it belongs to the object and how far away the four edges of the object's
box are (as FCOS, Tian et al. 2019). The box is the mean of the cells' answers, weighted by a softmax
over the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int, UInt8
from torch import Tensor, nn

from syncmv4d_model.config import FinderConfig
from syncmv4d_model.data.window import OBJECTS, FoundObjects, cut_window
from syncmv4d_model.networks.text import TaskTokenizer

STRIDE = 4  # canvas pixels of a cell
DISTANCE_PX = 16.0  # canvas pixels that one unit of a cell's answer is worth
END = 1  # id of the end token: a sentence without words has one token, too


@dataclass(frozen=True)
class CellAnswers:
    """What the cells say of each object, and the boxes that follow. Lengths in canvas pixels."""

    logits: Float[Tensor, "B 3 h w"]  # that a cell belongs to the object
    edges: Float[Tensor, "B 3 4 h w"]  # left, top, right, bottom as each cell sees them
    boxes: Float[Tensor, "B 3 4"]
    presence: Float[Tensor, "B 3"]  # logit


class Finder(nn.Module):
    """Finds a task's objects, view by view."""

    def __init__(self, config: FinderConfig, tokenizer: TaskTokenizer):
        super().__init__()
        if tokenizer.vocabulary > config.vocabulary:
            raise ValueError(
                f"the finder's tokenizer has {tokenizer.vocabulary} pieces,"
                f" the configuration allows {config.vocabulary}"
            )
        self.config, self.tokenizer = config, tokenizer
        width = config.width
        self.stem = nn.Sequential(_convolution(4, width // 2, 3, 2), nn.GELU())
        self.quarter = nn.Sequential(_convolution(width // 2, width, 3, 2), nn.GELU())
        self.eighth = nn.Sequential(_convolution(width, 2 * width, 2, 2), _Block(2 * width))
        self.sixteenth = nn.Sequential(_convolution(2 * width, 5 * width // 2, 2, 2))
        self.sentence = _SentenceEncoder(config)
        self.context = _Context(5 * width // 2, config.text_width)
        self.settle = _Block(5 * width // 2)
        self.up_eighth = _Up(5 * width // 2, 2 * width)
        self.up_quarter = _Up(2 * width, width)
        self.asked = _Asked(width, config.text_width)

    def forward(
        self, canvas: UInt8[Tensor, "B H W 3"], inside: Bool[Tensor, "B H W"], ids: Int[Tensor, "B L"]
    ) -> CellAnswers:
        """Answers for canvases, of which `inside` says where the image is, and their tokens (0: none)."""
        colour = canvas.permute(0, 3, 1, 2).float().div(127.5).sub(1)
        image = torch.cat([colour, torch.ones_like(colour[:, :1])], 1) * inside[:, None]
        image = image.contiguous(memory_format=torch.channels_last)  # a fifth faster on CPUs
        quarter = self.quarter(self.stem(image))
        eighth = self.eighth(quarter)
        tokens, roles = self.sentence(ids)
        coarse = self.settle(self.context(self.sixteenth(eighth), tokens, ids > 0))
        cells = self.up_quarter(self.up_eighth(coarse, eighth), quarter)
        return self.asked(cells, roles)

    @torch.inference_mode()
    def find(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], texts: Sequence[str]) -> FoundObjects:
        """Boxes in pixels of the images, any size each; an object less probable than the threshold has NaN.

        ValueError for another number of texts than of images.
        """
        if len(images) != len(texts):
            raise ValueError(f"{len(images)} images need as many texts, got {len(texts)}")
        device = next(self.parameters()).device
        height, width = self.config.canvas_height, self.config.canvas_width
        fits = [fit_canvas(image.shape[1], image.shape[0], width=width, height=height) for image in images]
        answers = []
        for image, fit, text in zip(images, fits, texts, strict=True):  # one by one: the same bits for any number
            canvas = torch.from_numpy(cut_window(image, fit, height=height, width=width))
            inside = torch.from_numpy(mark_inside(image.shape[1], image.shape[0], fit, width=width, height=height))
            answers.append(self(*(x[None].to(device) for x in (canvas, inside, self.tokenize([text])[0]))))
        presence = torch.cat([answer.presence for answer in answers]).sigmoid().cpu().numpy()
        boxes = torch.cat([answer.boxes for answer in answers]).double().cpu().numpy()
        boxes_px = np.stack(
            [
                from_canvas(box, fit, (image.shape[1], image.shape[0]), width=width)
                for box, fit, image in zip(boxes, fits, images, strict=True)
            ]
        )
        boxes_px[presence < self.config.threshold] = np.nan
        return FoundObjects(boxes_px, presence.astype(np.float64))

    def find_task(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], task: str) -> FoundObjects:
        """An ObjectFinder: the objects of one task in the first images of all its views."""
        return self.find(images, [task] * len(images))

    def tokenize(self, texts: Sequence[str]) -> Int[Tensor, "B L"]:
        """Token ids, 0 beyond a text's end; a text longer than max_tokens loses its end."""
        ids = torch.zeros(len(texts), self.config.max_tokens, dtype=torch.long)
        for row, text in enumerate(texts):
            kept = [*self.tokenizer.pieces(text[: 64 * self.config.max_tokens]), END][: self.config.max_tokens]
            ids[row, : len(kept)] = torch.tensor(kept)
        return ids


def fit_canvas(image_width: int, image_height: int, *, width: int, height: int) -> Float64[np.ndarray, "4"]:
    """The window (data/window.py) that shows the whole image in the middle of a canvas, aspect kept."""
    scale = max(image_width / width, image_height / height)
    extent = np.array([width, height]) * scale
    return np.array([*((np.array([image_width, image_height]) - extent) / 2), *extent])


def mark_inside(
    image_width: int, image_height: int, fit: Float64[np.ndarray, "4"], *, width: int, height: int
) -> np.ndarray:
    """[H W] bool: the canvas pixels whose centre lies in the image."""
    x = fit[0] + (np.arange(width) + 0.5) * fit[2] / width
    y = fit[1] + (np.arange(height) + 0.5) * fit[3] / height
    return ((y > 0) & (y < image_height))[:, None] & ((x > 0) & (x < image_width))


def to_canvas(
    boxes_px: Float[np.ndarray, "*n 4"], fit: Float64[np.ndarray, "4"], *, width: int
) -> Float64[np.ndarray, "*n 4"]:
    """Image boxes in canvas pixels; both are measured from the border."""
    return (boxes_px - np.tile(fit[:2], 2)) * (width / fit[2])


def from_canvas(
    boxes: Float[np.ndarray, "*n 4"], fit: Float64[np.ndarray, "4"], size: tuple[int, int], *, width: int
) -> Float64[np.ndarray, "*n 4"]:
    """Inverse of `to_canvas`, cut to an image of `size` (width, height); right and bottom never before left and top."""
    boxes_px = np.clip(boxes * (fit[2] / width) + np.tile(fit[:2], 2), 0, np.tile(size, 2))
    return np.concatenate([boxes_px[..., :2], np.maximum(boxes_px[..., :2], boxes_px[..., 2:])], -1)


def _convolution(channels_in: int, channels_out: int, size: int, stride: int) -> nn.Sequential:
    """Batch normalisation behind it: with layer normalisation the network learns several times more slowly."""
    convolution = nn.Conv2d(channels_in, channels_out, size, stride, size // 2 if size % 2 else 0, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out))


class _Block(nn.Module):
    """Depthwise 5 x 5, then two pointwise layers, added to the input (as ConvNeXt, Liu et al. 2022)."""

    def __init__(self, width: int):
        super().__init__()
        self.spread = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.widen, self.narrow = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return x + self.narrow(F.gelu(self.widen(self.norm(self.spread(x)))))


class _Up(nn.Module):
    """Twice the resolution, with what the encoder knew there."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.narrow = nn.Conv2d(channels_in, channels_out, 1)
        self.skip = nn.Conv2d(channels_out, channels_out, 1)
        self.block = _Block(channels_out)

    def forward(
        self, coarse: Float[Tensor, "B C h w"], fine: Float[Tensor, "B D 2*h 2*w"]
    ) -> Float[Tensor, "B D 2*h 2*w"]:
        return self.block(F.interpolate(self.narrow(coarse), scale_factor=2.0) + self.skip(fine))


class _SentenceEncoder(nn.Module):
    """Words with their neighbours, and what the sentence says of each object."""

    def __init__(self, config: FinderConfig):
        super().__init__()
        width = config.text_width
        self.embedding = nn.Embedding(config.vocabulary, width, padding_idx=0)
        self.neighbours = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.questions = nn.Parameter(torch.randn(len(OBJECTS), width) * width**-0.5)
        self.keys = nn.Linear(width, width)

    def forward(self, ids: Int[Tensor, "B L"]) -> tuple[Float[Tensor, "B L E"], Float[Tensor, "B 3 E"]]:
        """Tokens (zero where there is none) and one vector per object."""
        mask = (ids > 0)[..., None]
        tokens = self.embedding(ids)
        for norm, neighbours in zip(self.norms, self.neighbours, strict=True):
            tokens = (tokens + F.gelu(neighbours((norm(tokens) * mask).mT).mT)) * mask
        scores = self.questions @ self.keys(tokens).mT
        weights = scores.masked_fill(~mask.mT, -torch.inf).softmax(-1)
        return tokens, weights @ tokens + self.questions


class _Context(nn.Module):
    """Every coarse cell reads all cells and all words."""

    HEADS = 4

    def __init__(self, width: int, text_width: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.words = nn.Linear(text_width, width)
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, cells: Float[Tensor, "B C h w"], tokens: Float[Tensor, "B L E"], is_word: Bool[Tensor, "B L"]
    ) -> Float[Tensor, "B C h w"]:
        flat = self.norm(cells).flatten(2).mT
        readable = torch.cat([flat, self.words(tokens)], 1)
        mask = torch.cat([is_word.new_ones(flat.shape[:2]), is_word], 1)
        query, key, value = (
            x.unflatten(-1, (self.HEADS, -1)).transpose(1, 2)
            for x in (self.query(flat), *self.key_value(readable).chunk(2, -1))
        )
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        return cells + self.out(read.transpose(1, 2).flatten(2)).mT.unflatten(-1, cells.shape[-2:])


class _Asked(nn.Module):
    """Each object's words choose how the cells' channels are mixed; the mixed cells answer for it."""

    def __init__(self, width: int, text_width: int):
        super().__init__()
        objects = len(OBJECTS)
        self.norm = nn.BatchNorm2d(width)
        self.modulation = nn.Linear(text_width, 2 * width)
        self.mix = nn.Linear(width, width)
        self.spread = nn.Conv2d(objects * width, objects * width, 3, padding=1, groups=objects * width)
        self.answer = nn.Conv2d(objects * width, objects * 5, 1, groups=objects)
        with torch.no_grad():  # at first no cell belongs to anything, as is true of most
            self.answer.bias.view(objects, 5)[:, 0] = -4.0
        self.presence = nn.Sequential(nn.Linear(width + 1, width), nn.GELU(), nn.Linear(width, 1))
        self.sharpness = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("prior", torch.tensor([-1.0, -1.0, 1.0, 1.0])[:, None, None], persistent=False)

    def forward(self, cells: Float[Tensor, "B C h w"], roles: Float[Tensor, "B 3 E"]) -> CellAnswers:
        objects, size = len(OBJECTS), cells.shape[-2:]
        scale, shift = self.modulation(roles).chunk(2, -1)
        mixing = self.mix.weight * (1 + scale)[:, :, None]  # the same as scaling and shifting the cells first
        asked = mixing.flatten(1, 2) @ self.norm(cells).flatten(2) + self.mix(shift).flatten(1)[..., None]
        asked = F.relu(self.spread(F.relu(asked.unflatten(-1, size))))
        answer = self.answer(asked).unflatten(1, (objects, 5))
        logits, edges = answer[:, :, 0], (answer[:, :, 1:] + self.prior) * DISTANCE_PX + self._centres(answer)
        weights = (self.sharpness * logits).flatten(2).softmax(-1)
        boxes = (edges.flatten(3) @ weights[..., None])[..., 0]
        seen = (asked.unflatten(1, (objects, -1)).flatten(3) @ weights[..., None])[..., 0]
        surest = logits.flatten(2).amax(-1, keepdim=True)
        presence = surest + self.presence(torch.cat([seen, surest], -1))
        return CellAnswers(logits, edges, boxes, presence[..., 0])

    @staticmethod
    def _centres(answer: Float[Tensor, "B 3 5 h w"]) -> Float[Tensor, "4 h w"]:
        """x, y, x, y of the cells' centres."""
        rows, columns = (torch.arange(count, device=answer.device) for count in answer.shape[-2:])
        x, y = torch.meshgrid(columns, rows, indexing="xy")
        return (torch.stack([x, y, x, y]) + 0.5) * STRIDE
