"""Videos as the networks behind the appearance scores take them, resized as VBench does: never antialiased, neither rounded nor clamped."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from syncmv4d_model.networks.raft import MINIMUM_SIDE_PX, STRIDE

DINO_SIDE_PX = 224
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation of the colours, in [0, 1], that the network was trained on."""
LUMINANCE = (0.299, 0.587, 0.114)


def dino_input(video: UInt8[Tensor, "T H W 3"]) -> Float[Tensor, "T 3 h w"]:
    """Short side 224, bilinear, nothing cropped (VBench, subject_consistency)."""
    resized = _resized(_channels_first(video), DINO_SIDE_PX, mode="bilinear")
    return _normalised(resized, *IMAGENET)


def clip_input(video: UInt8[Tensor, "T H W 3"], side: int) -> Float[Tensor, "T 3 side side"]:
    """Short side to `side`, bicubic, the square in the middle (VBench's transform for CLIP)."""
    resized = _resized(_channels_first(video), side, mode="bicubic")
    top, left = (round((size - side) / 2) for size in resized.shape[-2:])
    return _normalised(resized[..., top : top + side, left : left + side], *CLIP)


def raft_input(video: UInt8[Tensor, "T H W 3"]) -> tuple[Float[Tensor, "T 3 h w"], int, int]:
    """Frames in [-1, 1], padded to multiples of 8 by repeating the border as RAFT does, and (height, width) before padding.

    A video with a side shorter than RAFT can take is scaled up first, bilinearly, until its short side has 128 px.
    """
    frames = _channels_first(video)
    if min(frames.shape[-2:]) < MINIMUM_SIDE_PX:
        frames = _resized(frames, MINIMUM_SIDE_PX, mode="bilinear")
    height, width = frames.shape[-2:]
    down, right = -height % STRIDE, -width % STRIDE
    padding = (right // 2, right - right // 2, down // 2, down - down // 2)
    return functional.pad(2 * frames / 255 - 1, padding, mode="replicate"), height, width


def matcher_input(video: UInt8[Tensor, "T H W 3"]) -> Float[Tensor, "T 3 h w"]:
    """Grey in [0, 1] in all three channels, of its own size rounded down to multiples of 8 (GIM's demo, lightglue)."""
    weights = torch.tensor(LUMINANCE, device=video.device)[:, None, None]
    grey = (_channels_first(video) * weights).sum(1, keepdim=True) / 255
    size = [side // 8 * 8 for side in grey.shape[-2:]]
    if list(grey.shape[-2:]) != size:
        grey = functional.interpolate(grey, size=size, mode="bilinear", antialias=True)
    return grey.expand(-1, 3, -1, -1)


def _channels_first(video: UInt8[Tensor, "T H W 3"]) -> Float[Tensor, "T 3 H W"]:
    return video.permute(0, 3, 1, 2).float()


def _resized(frames: Float[Tensor, "T 3 H W"], short: int, *, mode: str) -> Float[Tensor, "T 3 h w"]:
    """Short side to `short` px, the long side in proportion, rounded down."""
    height, width = frames.shape[-2:]
    size = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    if size == (height, width):
        return frames
    return functional.interpolate(frames, size=size, mode=mode, align_corners=False)


def _normalised(
    frames: Float[Tensor, "T 3 h w"], mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Float[Tensor, "T 3 h w"]:
    centre, spread = (torch.tensor(values, device=frames.device)[:, None, None] for values in (mean, deviation))
    return (frames / 255 - centre) / spread
