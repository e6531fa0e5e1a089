"""Finding identities again in a pseudo video, without comparing every point to every pixel.

Pixels are scattered into the first frame's pixel grid by their identity; an anchor looks at the cells around its own,
then at cells two, four ... times as large, until something is found or the tolerance is passed. The exact best match
and the pixels that tie with it are then taken from a small window of the image around what was found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float

from syncmv4d_model.motion.places import places, taken

WINDOW_VALUES_PER_PASS = 1 << 23
"""Frames are decoded in groups that look at about this many pixels, which bounds memory."""


@dataclass(frozen=True)
class Matches:
    """Where each wanted identity was found, in N frames."""

    pixels: Float[torch.Tensor, "N K 2"]  # (u, v); the anchor itself where nothing was found
    depth: Float[torch.Tensor, "N K"]  # normalised, 0.5 where nothing was found
    valid: Bool[torch.Tensor, "N K"]


@dataclass(frozen=True)
class _Window:
    """A square of pixels around a found one: which frame-raster index each pixel has and whether it is drawn."""

    place: torch.Tensor  # [M, S, S] index into the flattened frames
    member: torch.Tensor  # [M, S, S]


def match_identities(
    identity_px: Float[torch.Tensor, "N H W 2"],
    depth: Float[torch.Tensor, "N H W"],
    member: Bool[torch.Tensor, "N H W"],
    wanted_px: Float[torch.Tensor, "N K 2"],
    *,
    levels_per_px: Float[torch.Tensor, "2"],
    tolerance_levels: Float[torch.Tensor, "2"],
    tie_levels: float,
    reach_px: int,
) -> Matches:
    """Match every wanted identity (a frame-0 pixel) to the foreground pixels (`member`) of its frame.

    `identity_px` and `depth` are the decoded channels of each pixel; a window of `reach_px` around the first hit is
    searched for the best match. Each channel of the best match must be within its tolerance. Connected pixels within
    `tie_levels` of the best are averaged, each corrected by how far its identity is from the wanted one (neighbours
    move alike). Only `depth` carries gradients.
    """
    height, width = member.shape[1:]
    per_frame = height * width + wanted_px.shape[1] * (2 * reach_px + 1) ** 2
    group = max(1, WINDOW_VALUES_PER_PASS // per_frame)
    parts = [slice(start, start + group) for start in range(0, len(member), group)]
    done = [
        _match_group(
            identity_px[part], depth[part], member[part], wanted_px[part],
            levels_per_px=levels_per_px, tolerance_levels=tolerance_levels, tie_levels=tie_levels, reach_px=reach_px,
        )
        for part in parts
    ]  # fmt: skip
    return Matches(
        pixels=torch.cat([part.pixels for part in done]),
        depth=torch.cat([part.depth for part in done]),
        valid=torch.cat([part.valid for part in done]),
    )


def _match_group(
    identity_px: torch.Tensor,
    depth: torch.Tensor,
    member: torch.Tensor,
    wanted_px: torch.Tensor,
    *,
    levels_per_px: torch.Tensor,
    tolerance_levels: torch.Tensor,
    tie_levels: float,
    reach_px: int,
) -> Matches:
    frames, height, width = member.shape
    points = wanted_px.shape[1]
    identity = torch.where(member[..., None], identity_px, torch.inf).reshape(-1, 2)
    wanted = wanted_px.reshape(-1, 2)
    largest_px = float((tolerance_levels / levels_per_px).max())
    first = _first_hits(identity, member, wanted, levels_per_px=levels_per_px, largest_px=largest_px)
    hit = torch.nonzero(first >= 0)[:, 0]
    window = _window(first[hit], member, reach_px)
    error = (taken(identity, window.place) - taken(wanted, hit)[:, None, None]).abs() * levels_per_px
    distance = torch.where(window.member, error.square().sum(-1).sqrt(), torch.inf).flatten(1)
    best = distance.argmin(-1)
    best_error = error.flatten(1, 2)[torch.arange(len(hit), device=best.device), best]
    chosen = _connected((distance <= distance.amin(-1, keepdim=True) + tie_levels).view_as(window.member), best)
    row, place = torch.nonzero(chosen.flatten(1), as_tuple=True)
    raster = window.place.flatten(1)[row, place]
    count = torch.bincount(row, minlength=len(hit)).clamp(min=1)
    position = torch.stack([raster % width, raster // width % height], dim=-1).to(wanted)
    position = position + taken(wanted, hit[row]) - taken(identity, raster)
    mean_position = torch.zeros_like(wanted[hit]).index_add(0, row, position) / count[:, None]
    mean_depth = depth.new_zeros(len(hit)).index_add(0, row, depth.reshape(-1)[raster]) / count
    valid = torch.zeros(len(wanted), dtype=torch.bool, device=member.device)
    valid[hit] = (best_error <= tolerance_levels).all(-1)
    return Matches(
        pixels=wanted.index_put((hit,), mean_position).view(frames, points, 2),
        depth=depth.new_full((len(wanted),), 0.5).index_put((hit,), mean_depth).view(frames, points),
        valid=valid.view(frames, points),
    )


def _first_hits(
    identity: torch.Tensor,
    member: torch.Tensor,
    wanted: torch.Tensor,
    *,
    levels_per_px: torch.Tensor,
    largest_px: float,
) -> torch.Tensor:
    """For each wanted identity, the flattened index of a foreground pixel of its frame with nearly that identity, or -1."""
    frames, height, width = member.shape
    size = torch.tensor([width, height], device=member.device)
    pixel = places(member)
    cell = (taken(identity, pixel) + 0.5).long().clamp(min=torch.zeros_like(size), max=size - 1)
    frame = pixel // (height * width)
    grid = torch.zeros(frames * height * width, dtype=torch.float32, device=member.device)
    # One pixel stands for all of a cell; as a float it is exact below 2^24 and can be max-pooled.
    number = (pixel % (height * width) + 1).float()
    grid.scatter_reduce_(0, (frame * height + cell[:, 1]) * width + cell[:, 0], number, "amax")
    grid = grid.view(frames, 1, height, width)
    wanted_cell = torch.floor(wanted + 0.5).long()
    wanted_frame = torch.arange(frames, device=member.device).repeat_interleave(len(wanted) // max(frames, 1))
    found = torch.full((len(wanted),), -1, dtype=torch.int64, device=member.device)
    missing = torch.arange(len(wanted), device=member.device)
    level = 0
    while len(missing):
        candidate = _around(grid[:, 0], wanted_frame[missing], wanted_cell[missing] >> level)
        place = wanted_frame[missing, None] * (height * width) + (candidate - 1).clamp(min=0)
        error = ((taken(identity, place) - taken(wanted, missing)[:, None]) * levels_per_px).square().sum(-1)
        error = torch.where(candidate > 0, error, torch.inf)
        best = error.argmin(-1, keepdim=True)
        hit = (candidate > 0).any(-1)
        found[missing[hit]] = place.gather(1, best)[hit, 0]
        missing = missing[~hit]
        if 1 << level >= largest_px:
            break
        grid = torch.nn.functional.max_pool2d(grid, 2, ceil_mode=True)
        level += 1
    return found


def _around(grid: torch.Tensor, frame: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
    """The 3 x 3 entries of each frame's grid around a cell, 0 outside: [M, 9]."""
    height, width = grid.shape[1:]
    step = torch.arange(-1, 2, device=grid.device)
    column = (cell[:, 0, None, None] + step).expand(-1, 3, 3)
    row = (cell[:, 1, None, None] + step[:, None]).expand(-1, 3, 3)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = (frame[:, None, None] * height + row.clamp(0, height - 1)) * width + column.clamp(0, width - 1)
    return torch.where(inside, grid.reshape(-1)[place], 0).long().flatten(1)


def _window(centre: torch.Tensor, member: torch.Tensor, reach_px: int) -> _Window:
    height, width = member.shape[1:]
    step = torch.arange(-reach_px, reach_px + 1, device=member.device)
    column = centre[:, None] % width + step
    row = centre[:, None] // width % height + step
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    frame = centre // (height * width)
    rows = frame[:, None] * height + row.clamp(0, height - 1)
    place = rows[:, :, None] * width + column.clamp(0, width - 1)[:, None, :]
    return _Window(place=place, member=inside & member.reshape(-1)[place])


def _connected(mask: torch.Tensor, seed: torch.Tensor) -> torch.Tensor:
    """The part of each [S, S] mask that is 8-connected to its seed (an index into S*S). S is at most 62.

    A row of the mask is one integer, so that growing the seed by a pixel is a few shifts.
    """
    size = mask.shape[-1]
    bit = torch.arange(size, device=mask.device)
    allowed = (mask.long() << bit).sum(-1)
    grown = torch.zeros_like(allowed)
    grown.scatter_(1, (seed // size)[:, None], (1 << seed % size)[:, None])
    for _ in range(size * size):
        wide = grown | grown << 1 | grown >> 1
        spread = wide.clone()
        spread[:, 1:] |= wide[:, :-1]
        spread[:, :-1] |= wide[:, 1:]
        spread &= allowed
        if torch.equal(spread, grown):
            break
        grown = spread
    return (grown[..., None] >> bit & 1).bool()
