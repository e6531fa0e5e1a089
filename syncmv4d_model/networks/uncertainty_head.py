"""How far off each point of sampled tracks may be, from how the tracks hang together; an addition to the paper.

The point aligner judges every point by its own features. Where a point lies is as telling: far from the centre of a body whose rotation is
uncertain, away from its coarse point, or alone, where other views should have seen the same body.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.types import LABELS, AlignedTracks, CoarseTracks

NEIGHBOURS = 3
FARTHEST = 10.0
"""Normalised units (2.5 m): the distance to neighbours that do not exist."""

NEAREST = 0.01
"""Normalised units (2.5 mm), added to every distance before its logarithm."""

TYPICAL_LOG = -2.0
"""Of a distance; hints are relative to it, and so is half a log-variance."""


class UncertaintyHead(nn.Module):
    """Log-variance of every point's error, as a correction to the aligner's own. Untrained it changes nothing.

    It sees distances alone, which a turn of the world does not change; points of a view may come in any order, and so may views.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.point_aligner.uncertainty_width
        self.multi_view = config.switches.multi_view
        self.judge = nn.Sequential(
            nn.Linear(7 + len(LABELS), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )
        for parameter in self.judge[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, aligned: AlignedTracks, coarse: CoarseTracks) -> Float[Tensor, "B V T K"]:
        """`coarse` holds normalised points here, as `aligned` does."""
        with torch.no_grad():
            hints = self._hints(aligned, coarse)
        own = 0.5 * aligned.log_variance[..., None] - TYPICAL_LOG
        return aligned.log_variance + self.judge(torch.cat([own, hints], dim=-1)).float()[..., 0]

    def _hints(self, aligned: AlignedTracks, coarse: CoarseTracks) -> Float[Tensor, "B V T K C"]:
        points, label = aligned.clean.float(), aligned.label_logits.float().softmax(-1)
        views, frames = points.shape[1:3]
        # every view is a scene of its own where the model sees them one by one
        scene = (lambda x: x) if self.multi_view else (lambda x: x.flatten(0, 1)[:, None])
        distances = [
            (points - coarse.points_world.float()).norm(dim=-1),
            (points - points[:, :, :1]).norm(dim=-1),
            from_body_centre(scene(points), scene(label)).view(points.shape[:-1]),
            to_other_views(scene(points), scene(label)).view(points.shape[:-1]),
        ]
        passed = torch.linspace(-1, 1, frames, device=points.device)[:, None].expand(views, -1, points.shape[3])
        return torch.cat(
            [
                torch.stack([(distance + NEAREST).log() - TYPICAL_LOG for distance in distances], dim=-1),
                torch.stack([coarse.valid.to(points), passed.expand_as(distances[0])], dim=-1),
                label[:, :, None].expand(-1, -1, frames, -1, -1),
            ],
            dim=-1,
        )


def from_body_centre(points: Float[Tensor, "B V T K 3"], label: Float[Tensor, "B V K L"]) -> Float[Tensor, "B V T K"]:
    """Distance of every point from the mean of its body, over all views; who belongs to a body is a matter of probability."""
    total = label.sum((1, 2)).clamp_min(1e-3)[:, None, :, None]
    centre = torch.einsum("bvtkc,bvkl->btlc", points, label) / total
    away = (points[..., None, :] - centre[:, None, :, None]).norm(dim=-1)
    return (away * label[:, :, None]).sum(-1)


def to_other_views(points: Float[Tensor, "B V T K 3"], label: Float[Tensor, "B V K L"]) -> Float[Tensor, "B V T K"]:
    """Mean distance to the nearest points of the same label among those of the other views; FARTHEST for each that is missing."""
    views, count = points.shape[1], points.shape[3]
    kind = rearrange(label.argmax(-1), "b v k -> b (v k)")
    view = torch.arange(views, device=points.device).repeat_interleave(count)
    related = (kind[:, :, None] == kind[:, None]) & (view[:, None] != view)
    per_frame = []
    for frame in rearrange(
        points, "b v t k c -> t b (v k) c"
    ):  # one by one: of all, the distances would fill gigabytes
        distance = torch.cdist(frame, frame).clamp_max(FARTHEST).where(related, FARTHEST)
        per_frame.append(distance.topk(min(NEIGHBOURS, views * count), dim=-1, largest=False).values.mean(-1))
    return rearrange(torch.stack(per_frame), "t b (v k) -> b v t k", v=views)
