"""RAFT's large optical flow network (arXiv 2003.12039), named part for part as torchvision's `raft_large`, so that its weights load.

torchvision itself is not asked for: built for another torch it cannot be imported, and transformers beside it neither.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

STRIDE, LEVELS, RADIUS, HIDDEN = 8, 4, 4, 128
MINIMUM_SIDE_PX = STRIDE * 2**LEVELS
"""Below it the coarsest correlations are one cell wide, between which nothing can be interpolated."""


class Raft(nn.Module):
    """Optical flow from one image to another."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_encoder = Encoder(nn.InstanceNorm2d)
        self.context_encoder = Encoder(nn.BatchNorm2d)
        self.update_block = UpdateBlock()
        self.mask_predictor = MaskPredictor()

    def forward(
        self, first: Float[Tensor, "B 3 H W"], second: Float[Tensor, "B 3 H W"], *, updates: int
    ) -> Float[Tensor, "B 2 H W"]:
        """Flow (x, y) in pixels, from images in [-1, 1]. ValueError for sides that are no multiple of 8, or too short."""
        height, width = first.shape[-2:]
        if height % STRIDE or width % STRIDE or min(height, width) < MINIMUM_SIDE_PX:
            raise ValueError(
                f"RAFT takes images of {STRIDE}n px and at least {MINIMUM_SIDE_PX} px a side, got {height} x {width}"
            )
        pyramid = correlation_pyramid(*self.feature_encoder(torch.cat([first, second])).chunk(2))
        hidden, context = self.context_encoder(first).split(HIDDEN, dim=1)
        hidden, context = hidden.tanh(), context.relu()
        start = pixel_grid(height // STRIDE, width // STRIDE).to(first.device)
        flow = torch.zeros_like(hidden[:, :2])
        for _ in range(updates):
            hidden, change = self.update_block(hidden, context, look_up(pyramid, start + flow), flow)
            flow = flow + change
        return upsampled(flow, self.mask_predictor(hidden))


def pixel_grid(height: int, width: int) -> Float[Tensor, "2 h w"]:
    """(x, y) of every cell."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).float()


def correlation_pyramid(first: Float[Tensor, "B C h w"], second: Float[Tensor, "B C h w"]) -> list[Tensor]:
    """Products of every cell's features in `first` with all in `second` [B*h*w 1 h w], and their averages over 2, 4, 8 cells."""
    batch, channels, height, width = first.shape
    products = first.flatten(2).transpose(1, 2) @ second.flatten(2) / channels**0.5
    pyramid = [products.reshape(batch * height * width, 1, height, width)]
    for _ in range(LEVELS - 1):
        pyramid.append(functional.avg_pool2d(pyramid[-1], 2))
    return pyramid


def look_up(pyramid: list[Tensor], cells: Float[Tensor, "B 2 h w"]) -> Float[Tensor, "B D h w"]:
    """Correlations around where each cell is now, 9 x 9 at each level; outside the image they are 0.

    As in RAFT's code the offsets run along x first: the 81 values of a level are its window transposed.
    """
    batch, _, height, width = cells.shape
    reach = torch.arange(-RADIUS, RADIUS + 1, device=cells.device, dtype=cells.dtype)
    window = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1)
    centres = cells.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
    found = []
    for level, products in enumerate(pyramid):
        last = products.new_tensor([products.shape[-1] - 1, products.shape[-2] - 1])
        where = 2 * (centres / 2**level + window) / last - 1
        found.append(functional.grid_sample(products, where, align_corners=True).reshape(batch, height, width, -1))
    return torch.cat(found, dim=-1).permute(0, 3, 1, 2)


def upsampled(flow: Float[Tensor, "B 2 h w"], mask: Float[Tensor, "B M h w"]) -> Float[Tensor, "B 2 H W"]:
    """Flow of every pixel: a convex combination, by the mask, of the 3 x 3 cells around its own."""
    batch, _, height, width = flow.shape
    weights = mask.reshape(batch, 1, 9, STRIDE, STRIDE, height, width).softmax(2)
    around = functional.unfold(STRIDE * flow, 3, padding=1).reshape(batch, 2, 9, 1, 1, height, width)
    fine = (weights * around).sum(2).permute(0, 1, 4, 2, 5, 3)
    return fine.reshape(batch, 2, STRIDE * height, STRIDE * width)


def convolution(
    inside: int, outside: int, size: int, *, stride: int = 1, norm: type[nn.Module] | None = None, relu: bool = True
) -> nn.Sequential:
    """Convolution that keeps the size (over the stride), with a norm and a ReLU behind it."""
    layers: list[nn.Module] = [nn.Conv2d(inside, outside, size, stride=stride, padding=size // 2)]
    layers += [norm(outside)] if norm is not None else []
    layers += [nn.ReLU()] if relu else []
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.convnormrelu1 = convolution(inside, outside, 3, stride=stride, norm=norm)
        self.convnormrelu2 = convolution(outside, outside, 3, norm=norm)
        self.downsample = (
            convolution(inside, outside, 1, stride=stride, norm=norm, relu=False) if stride > 1 else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return (self.downsample(x) + self.convnormrelu2(self.convnormrelu1(x))).relu()


class Encoder(nn.Module):
    """Image -> 256 features per cell of 8 x 8 pixels."""

    def __init__(self, norm: type[nn.Module]) -> None:
        super().__init__()
        self.convnormrelu = convolution(3, 64, 7, stride=2, norm=norm)
        widths = ((64, 64, 1), (64, 96, 2), (96, 128, 2))
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(ResidualBlock(inside, outside, stride, norm), ResidualBlock(outside, outside, 1, norm))
            for inside, outside, stride in widths
        )
        self.conv = nn.Conv2d(128, 256, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.layer3(self.layer2(self.layer1(self.convnormrelu(x)))))


class MotionEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convcorr1 = convolution(LEVELS * (2 * RADIUS + 1) ** 2, 256, 1)
        self.convcorr2 = convolution(256, 192, 3)
        self.convflow1 = convolution(2, 128, 7)
        self.convflow2 = convolution(128, 64, 3)
        self.conv = convolution(192 + 64, HIDDEN - 2, 3)

    def forward(self, flow: Tensor, correlations: Tensor) -> Tensor:
        parts = [self.convcorr2(self.convcorr1(correlations)), self.convflow2(self.convflow1(flow))]
        return torch.cat([self.conv(torch.cat(parts, dim=1)), flow], dim=1)


class ConvGru(nn.Module):
    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        padding = (size[0] // 2, size[1] // 2)
        self.convz, self.convr, self.convq = (nn.Conv2d(3 * HIDDEN, HIDDEN, size, padding=padding) for _ in range(3))

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        both = torch.cat([hidden, x], dim=1)
        update, reset = self.convz(both).sigmoid(), self.convr(both).sigmoid()
        new = self.convq(torch.cat([reset * hidden, x], dim=1)).tanh()
        return (1 - update) * hidden + update * new


class RecurrentBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convgru1, self.convgru2 = ConvGru((1, 5)), ConvGru((5, 1))

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        return self.convgru2(self.convgru1(hidden, x), x)


class FlowHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(HIDDEN, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, 2, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.conv2(self.conv1(hidden).relu())


class UpdateBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.motion_encoder = MotionEncoder()
        self.recurrent_block = RecurrentBlock()
        self.flow_head = FlowHead()

    def forward(self, hidden: Tensor, context: Tensor, correlations: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """The next hidden state, and the change of the flow (cells)."""
        motion = self.motion_encoder(flow, correlations)
        hidden = self.recurrent_block(hidden, torch.cat([context, motion], dim=1))
        return hidden, self.flow_head(hidden)


class MaskPredictor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convrelu = convolution(HIDDEN, 256, 3)
        self.conv = nn.Conv2d(256, STRIDE * STRIDE * 9, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        return 0.25 * self.conv(self.convrelu(hidden))
