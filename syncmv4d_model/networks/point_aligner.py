"""The diffusion points aligner (DPA): noisy tracks and coarse tracks -> velocity of the tracks (paper, section 4, eq. 4)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import nn

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.networks.point_transformer import (
    Modulation,
    PointTransformerBlock,
    Surroundings,
    modulated,
    patch_order,
)
from syncmv4d_model.networks.serialization import CURVES, Curve, curve_order
from syncmv4d_model.networks.submanifold_conv import voxelise
from syncmv4d_model.types import LABELS, TRACK_UNIT_M, AlignedTracks

SMALLEST_T = 0.02
"""v = (M_t - M0) / max(t, SMALLEST_T)."""

COARSE_POOL = 8
"""Neighbours along a Hilbert curve that share one key and value of the attention to the coarse points."""

CELLS_PER_VOXEL = 16
"""Curves run through cells this much finer than voxels, so that hardly two points tie."""

COORDINATE_OCTAVES = 5
START_LOG_VARIANCE = 2 * math.log(0.1)


def velocity_to(
    clean: Float[torch.Tensor, "B V T K 3"], tracks: Float[torch.Tensor, "B V T K 3"], t: Float[torch.Tensor, "B"]
) -> Float[torch.Tensor, "B V T K 3"]:
    """v that leads from noisy tracks at time t to clean ones."""
    return (tracks - clean) / t.float().clamp(min=SMALLEST_T)[:, None, None, None, None]


def fill_coarse(
    coarse: Float[torch.Tensor, "B V T K 3"], valid: Bool[torch.Tensor, "B V T K"]
) -> Float[torch.Tensor, "B V T K 3"]:
    """Give every invalid coarse point a place.

    From the nearest valid time of the same point, the earlier of two at equal distance. A point never valid: the mean of
    its view's other points in that frame, filled likewise. A view without any: the mean of the other views in that frame.
    Nothing valid at all: zero, the centre of the scene.
    """
    num_frames = coarse.shape[2]
    frame = torch.arange(num_frames, device=coarse.device)[:, None]
    before = torch.where(valid, frame, -1).cummax(dim=2).values
    after = torch.where(valid, frame, 2 * num_frames).flip(2).cummin(dim=2).values.flip(2)
    # A missing neighbour is further away than any that exists.
    distance_before = torch.where(before < 0, 2 * num_frames, frame - before)
    nearest = torch.where(distance_before <= after - frame, before, after).clamp(0, num_frames - 1)
    own = coarse.gather(2, nearest[..., None].expand_as(coarse))

    seen = valid.any(dim=2, keepdim=True)[..., None]  # [B V 1 K 1]
    view_mean = _mean(own, seen, dim=3)
    any_seen = seen.any(dim=3, keepdim=True)
    view_mean = torch.where(any_seen, view_mean, _mean(view_mean, any_seen, dim=1))
    return torch.where(seen, own, view_mean)


def _mean(values: torch.Tensor, mask: torch.Tensor, *, dim: int) -> torch.Tensor:
    """Mean over `dim` where the mask holds; zero where it holds nowhere."""
    total = torch.where(mask, values, 0.0).sum(dim, keepdim=True)
    return total / mask.sum(dim, keepdim=True).clamp(min=1)


class PointHeads(nn.Module):
    """Visibility and log-variance per point and frame, label per point; trained last, with everything else frozen."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.per_frame = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))
        self.per_point = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, len(LABELS)))
        for last in (*self.per_frame[2].parameters(), *self.per_point[2].parameters()):
            nn.init.zeros_(last)

    def forward(
        self, features: Float[torch.Tensor, "B T N D"]
    ) -> tuple[Float[torch.Tensor, "B T N"], Float[torch.Tensor, "B N C"], Float[torch.Tensor, "B T N"]]:
        """Visible logit, label logits (mean over time of the features), log-variance."""
        visible, log_variance = self.per_frame(features).unbind(-1)
        return visible, self.per_point(features.mean(dim=1)), log_variance + START_LOG_VARIANCE


class PointAligner(nn.Module):
    """v = DPA(M_t, coarse, t) as a residual on the coarse tracks; coordinates are normalised (world - centre) / 0.25 m.

    Points of a view may come in any order, and so may views: neither is numbered. With `switches.multi_view` False each view
    is a scene of its own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        aligner = config.point_aligner
        width = aligner.width
        self.multi_view = config.switches.multi_view
        self.patch_points = aligner.patch_points
        self.voxel = aligner.voxel_m / TRACK_UNIT_M
        self.width = width

        self.embed_state = nn.Linear(6, width)
        self.embed_coarse = nn.Linear(4 + 6 * COORDINATE_OCTAVES, width)
        self.embed_anchor = nn.Linear(5 + 4 * COORDINATE_OCTAVES, width)
        self.embed_frame = nn.Linear(width, width)
        self.embed_t = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(PointTransformerBlock(width, aligner.heads) for _ in range(aligner.blocks))
        self.coarse_norm = nn.LayerNorm(width)
        self.last_modulation = Modulation(width, 1)
        self.displacement = nn.Linear(width, 4)
        nn.init.zeros_(self.displacement.weight)
        nn.init.zeros_(self.displacement.bias)
        self.heads = PointHeads(width)

    def forward(
        self,
        tracks: Float[torch.Tensor, "B V T K 3"],
        coarse: Float[torch.Tensor, "B V T K 3"],
        valid: Bool[torch.Tensor, "B V T K"],
        *,
        t: Float[torch.Tensor, "B"],
        anchor_pixels: Float[torch.Tensor, "B V K 2"],
        anchor_colours: Float[torch.Tensor, "B V K 3"],
    ) -> AlignedTracks:
        """Clean tracks and their velocity; pixels are scaled to [0, 1], colours to [-1, 1]."""
        views = tracks.shape[1]
        arrays = (tracks, coarse, valid, anchor_pixels, anchor_colours)
        if not self.multi_view and views > 1:
            arrays = tuple(array.flatten(0, 1)[:, None] for array in arrays)
            t = t.repeat_interleave(views)
        tracks, coarse, valid, anchor_pixels, anchor_colours = arrays
        filled = fill_coarse(coarse.float(), valid)
        features, innovation = self._features(
            _frames_first(tracks.float()),
            _frames_first(filled),
            _frames_first(valid[..., None]),
            t=t,
            anchors=torch.cat([anchor_pixels, anchor_colours], dim=-1).flatten(1, 2),
        )
        aligned = self._read_out(features, innovation, tracks=tracks.float(), filled=filled, t=t)
        if views == aligned.clean.shape[1]:
            return aligned
        return AlignedTracks(**{name: value.view(-1, views, *value.shape[2:]) for name, value in vars(aligned).items()})

    def _features(
        self, tracks: torch.Tensor, filled: torch.Tensor, valid: torch.Tensor, *, t: torch.Tensor, anchors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[B T N 3] points of all views -> features [B T N D] and the innovation M_t - (1 - t) coarse [B T N 3]."""
        t_each = t.float()[:, None, None, None]
        innovation = tracks - (1 - t_each) * filled
        frame = self.embed_frame(_sinusoid(torch.arange(tracks.shape[1], device=t.device), self.width))[:, None]
        anchor = self.embed_anchor(torch.cat([anchors, _fourier(anchors[..., :2])], dim=-1))[:, None]
        coarse = self.embed_coarse(torch.cat([filled, valid.float(), _fourier(filled)], dim=-1)) + anchor
        points = self.embed_state(torch.cat([tracks, innovation], dim=-1)) + coarse + frame
        timestep = self.embed_t(_sinusoid(1000 * t, self.width))
        # Noise has no neighbours: once it exceeds a voxel, neighbourhoods are those of the coarse points.
        places = torch.where(t_each > self.voxel, filled, tracks).detach()
        for block, around in zip(self.blocks, self._surroundings(places, filled, coarse), strict=True):
            points = block(points, timestep, around=around)
        (scale, shift, _gate) = self.last_modulation(timestep)[0]
        return modulated(points, scale, shift), innovation

    def _surroundings(self, places: torch.Tensor, filled: torch.Tensor, coarse: torch.Tensor) -> list[Surroundings]:
        """One per block: they share the voxels and the pooled coarse points, and take turns with the curves."""
        cell = self.voxel / CELLS_PER_VOXEL
        frames = places.flatten(0, 1)
        grid = voxelise(frames, self.voxel)
        along = curve_order(filled.detach().flatten(0, 1), "hilbert", cell=cell)
        pooled = self.coarse_norm(_pool_along(coarse.flatten(0, 1), along)).unflatten(0, places.shape[:2])
        curves: list[Curve] = [CURVES[i % len(CURVES)] for i in range(len(self.blocks))]
        patches = {
            curve: patch_order(curve_order(frames, curve, cell=cell), patch_points=self.patch_points)
            for curve in dict.fromkeys(curves)
        }
        return [Surroundings(grid, patches[curve], pooled) for curve in curves]

    def _read_out(
        self,
        features: torch.Tensor,
        innovation: torch.Tensor,
        *,
        tracks: torch.Tensor,
        filled: torch.Tensor,
        t: torch.Tensor,
    ) -> AlignedTracks:
        views = tracks.shape[1]
        # Three numbers move the point freely; the fourth says how much of the noisy track to believe.
        moved = self.displacement(features).float()
        residual = _views_first(moved[..., :3] + moved[..., 3:] * innovation, views)
        clean = filled + residual
        visible, label, log_variance = self.heads(features)
        return AlignedTracks(
            clean=clean,
            velocity=velocity_to(clean, tracks, t),
            visible_logit=_views_first(visible[..., None].float(), views)[..., 0],
            label_logits=label.float().unflatten(1, (views, -1)),
            log_variance=_views_first(log_variance[..., None].float(), views)[..., 0],
        )


def _frames_first(points: torch.Tensor) -> torch.Tensor:
    """[B V T K C] -> [B T V*K C]."""
    return points.transpose(1, 2).flatten(2, 3)


def _views_first(points: torch.Tensor, views: int) -> torch.Tensor:
    """[B T V*K C] -> [B V T K C]."""
    return points.unflatten(2, (views, -1)).transpose(1, 2)


def _pool_along(features: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Mean of every COARSE_POOL consecutive points of a frame: [G N D], [G N] -> [G ceil(N / COARSE_POOL) D]."""
    groups, count, width = features.shape
    start = torch.arange(groups, device=order.device)[:, None] * count
    spare = -count % COARSE_POOL
    rows = torch.cat([order, order[:, -1:].expand(-1, spare)], dim=1) + start
    return features.flatten(0, 1).index_select(0, rows.flatten()).view(groups, -1, COARSE_POOL, width).mean(dim=2)


def _fourier(coordinates: torch.Tensor) -> torch.Tensor:
    """Sines and cosines of pi * 2**i times every coordinate: C -> 2 * C * COORDINATE_OCTAVES."""
    octaves = math.pi * 2.0 ** torch.arange(COORDINATE_OCTAVES, device=coordinates.device)
    angles = (coordinates[..., None] * octaves).flatten(-2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _sinusoid(values: torch.Tensor, width: int) -> torch.Tensor:
    """Sinusoidal embedding with wavelengths from 2 pi to 2 pi * 10^4: [n] -> [n width]."""
    rates = torch.exp(-math.log(1e4) / (width // 2) * torch.arange(width // 2, device=values.device))
    angles = values.float()[:, None] * rates
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, width % 2))
