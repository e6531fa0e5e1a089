"""Tracks <-> motion pseudo video (paper, section 2, and its decisions).

A point's colour is (u_0, v_0, z_n): the pixel of its anchor in the first frame, which is its identity, and its depth
now; it is drawn where the point is now. Decoding looks every identity up again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float

from syncmv4d_model.config import MotionConfig
from syncmv4d_model.motion.matching import match_identities
from syncmv4d_model.motion.places import placed, places, taken
from syncmv4d_model.motion.projection import project_points, unproject_pixels
from syncmv4d_model.motion.splatting import splat
from syncmv4d_model.types import Cameras, CoarseTracks

LEVELS = 255.0
"""Steps of an 8-bit channel; tolerances are given in them."""

MIN_TOLERANCE_LEVELS = 2.0
RECEDE_PX = 3.0
"""A drawn square recedes by this many pixels' worth of depth per pixel away from its centre."""

TIE_LEVELS = 0.5
"""Pixels whose identity is this near the best one's belong to the match; so do those within the codec's noise."""


@dataclass(frozen=True)
class IdentityNoise:
    """How far identities that went through a codec are off, in 8-bit levels of a channel."""

    rms_levels: float = 0.0
    usual_levels: float = 0.0  # four in five are no further off; the rest lie at edges, and would hide occlusion


EXACT = IdentityNoise()


def project_normalise(
    points_world: Float[torch.Tensor, "B V T K 3"],
    anchors_px: Float[torch.Tensor, "B V K 2"],
    cameras: Cameras,
    depth_scale: Float[torch.Tensor, "B V 2"],
    *,
    motion: MotionConfig,
    splat_px: int,
    tracking_video: bool = False,
    visible: Bool[torch.Tensor, "B V T K"] | None = None,
) -> Float[torch.Tensor, "B V T H W 3"]:
    """Draw world tracks (m) as a pseudo video with values in [0, 1], background 0 (paper, "Project and normalise").

    `anchors_px` are frame-0 pixels (u, v), `depth_scale` is (near, far) in metres. Where `visible` is False nothing is
    drawn; elsewhere the nearest point wins. `tracking_video` freezes the depth channel at frame 0, as in
    Diffusion-as-Shader (paper, Tab. 4). Differentiable with respect to depth and scale, not to pixels.
    """
    pixels, depth = project_points(points_world, cameras)
    batch, views, frames, points = depth.shape
    near, far = depth_scale[:, :, None, :1], depth_scale[:, :, None, 1:]
    shown_depth = depth[:, :, :1].expand_as(depth) if tracking_video else depth
    normalised_depth = ((shown_depth - near) / (far - near)).clamp(0, 1)
    size = anchors_px.new_tensor([cameras.width, cameras.height])
    identity = ((anchors_px + 0.5) / size)[:, :, None].expand(batch, views, frames, points, 2)
    colour = torch.cat([identity.to(normalised_depth), normalised_depth[..., None]], dim=-1)
    drawn_colour = motion.foreground_floor + (1 - motion.foreground_floor) * colour
    drawn = torch.ones_like(depth, dtype=torch.bool) if visible is None else visible
    flat = splat(
        pixels.flatten(0, 2),
        depth.flatten(0, 2),
        drawn_colour.flatten(0, 2),
        drawn.flatten(0, 2),
        height=cameras.height,
        width=cameras.width,
        splat_px=splat_px,
        recede_m=(RECEDE_PX * depth / cameras.intrinsics[:, :, None, :1, 0].to(depth)).flatten(0, 2),
    )
    return flat.unflatten(0, (batch, views, frames))


def foreground(pseudo_video: Float[torch.Tensor, "*n H W 3"], motion: MotionConfig) -> Bool[torch.Tensor, "*n H W"]:
    """Where something is drawn: every channel exceeds half the foreground floor (paper, section 2)."""
    above = pseudo_video > motion.foreground_floor / 2
    return above[..., 0] & above[..., 1] & above[..., 2]  # a reduction over three would take five times as long


def without_floor(values: Float[torch.Tensor, "*n"], motion: MotionConfig) -> Float[torch.Tensor, "*n"]:
    """Drawn values -> (u_0, v_0, z) in [0, 1]: x = clip((value - f) / (1 - f), 0, 1)."""
    return ((values - motion.foreground_floor) / (1 - motion.foreground_floor)).clamp(0, 1)


def decode_denormalise(
    pseudo_video: Float[torch.Tensor, "B V T H W 3"],
    anchors_px: Float[torch.Tensor, "B V K 2"],
    cameras: Cameras,
    depth_scale: Float[torch.Tensor, "B V 2"],
    *,
    motion: MotionConfig,
    splat_px: int,
    noise: IdentityNoise = EXACT,
) -> CoarseTracks:
    """Read world tracks (m) off a pseudo video (paper, "Decode and denormalise").

    For each anchor (u, v) and frame the pixel whose identity fits best is looked up; the point's pixel and depth are
    the mean over the connected pixels within half a level of it, or within the codec's rms noise where that is more. A
    point whose best identity is off by more than max(2 levels, the splat's radius, the codec's usual noise) on a channel
    is not visible in that frame: `valid` is False and the position is finite but arbitrary. Levels are 1/255 of a drawn
    channel.
    Differentiable with respect to the depth channel and `depth_scale` (near, far; m).
    """
    batch, views, frames, height, width, _ = pseudo_video.shape
    member = foreground(pseudo_video, motion)
    drawn = places(member)
    values = placed(without_floor(taken(pseudo_video, drawn), motion), drawn, member.shape)
    size = anchors_px.new_tensor([width, height])
    levels_per_px = LEVELS * (1 - motion.foreground_floor) / size
    tolerance = (splat_px // 2 * levels_per_px).clamp(min=max(MIN_TOLERANCE_LEVELS, noise.usual_levels))
    matches = match_identities(
        (values[..., :2].detach() * size - 0.5).flatten(0, 2),
        values[..., 2].flatten(0, 2),
        member.flatten(0, 2),
        anchors_px[:, :, None].expand(batch, views, frames, -1, 2).flatten(0, 2),
        levels_per_px=levels_per_px,
        tolerance_levels=tolerance,
        tie_levels=max(TIE_LEVELS, noise.rms_levels),
        reach_px=max(2, splat_px - 1),
    )
    shape = (batch, views, frames)
    near, far = depth_scale[:, :, None, :1], depth_scale[:, :, None, 1:]
    depth_m = matches.depth.unflatten(0, shape) * (far - near) + near
    points_world = unproject_pixels(matches.pixels.unflatten(0, shape).to(depth_m), depth_m, cameras)
    return CoarseTracks(points_world=points_world, valid=matches.valid.unflatten(0, shape))
