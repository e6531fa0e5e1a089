"""What a velocity is expected to be before the network says anything, so that the network need not carry noise through itself.

Latents are modelled as independent Gaussians: the video's around the reference held still, the motion's around what a motion prior
expects, or around zero (background) without one.
Given z_t, the velocity z_1 - z_0 then has a known mean and spread; the network's output is added to the mean in units of the spread.
At t = 1 an untrained network thus answers "nothing moves", where it otherwise first has to learn to copy its input. The idea is
that of the preconditioning in "Elucidating the Design Space of Diffusion-Based Generative Models" (Karras et al., 2022), for rectified flow.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from syncmv4d_model.types import ExpectedError, ExpectedMotion, JointVelocity, State

SMALLEST_MOMENT = 1e-3


class Preconditioner(nn.Module):
    """Mean squares of latents about their prior mean, per channel, for the first latent frame and for the later ones."""

    video_moment: Tensor
    motion_moment: Tensor

    def __init__(self, video_channels: int, motion_channels: int) -> None:
        super().__init__()
        self.register_buffer("video_moment", torch.ones(video_channels, 2))
        self.register_buffer("motion_moment", torch.ones(motion_channels, 2))

    @torch.no_grad()
    def fit(self, video_residual: Float[Tensor, "N C F h w"], motion: Float[Tensor, "N Cm F h w"]) -> None:
        """Measure the moments on latents: of the video minus its still reference, and of the motion."""
        self.video_moment.copy_(_moments(video_residual))
        self.fit_motion(motion)

    @torch.no_grad()
    def fit_motion(self, residual: Float[Tensor, "N Cm F h w"]) -> None:
        """Measure the motion's moments on what is left of it when its expectation has been taken off."""
        self.motion_moment.copy_(_moments(residual))

    def expected_error(self, t: Float[Tensor, "B"], *, frames: int) -> ExpectedError:
        """The error of an output of zero at time t, for `frames` latent frames; the video's first is given."""
        return ExpectedError(
            unexplained(self.video_moment, t, frames=frames, first=False),
            unexplained(self.motion_moment, t, frames=frames, first=True),
        )

    def forward(
        self,
        output: JointVelocity,
        state: State,
        *,
        t: Float[Tensor, "B"],
        still: Float[Tensor, "B V C F h w"],
        expected: ExpectedMotion | None = None,
    ) -> JointVelocity:
        """Velocities and depth scale from the network's `output` at the noisy `state`. Without an expectation that of the
        motion is nothing, and the output's depth scale is the answer.
        """
        video = velocity_about(output.video, state.video, mean=still, moment=self.video_moment, t=t)
        if output.motion is None or state.motion is None:
            return replace(output, video=video)
        mean = torch.zeros_like(state.motion) if expected is None else expected.motion
        motion = velocity_about(output.motion, state.motion, mean=mean, moment=self.motion_moment, t=t)
        if expected is None or output.depth_scale is None:
            return replace(output, video=video, motion=motion)
        return JointVelocity(video, motion, expected.depth_scale + output.depth_scale)


def _moments(residual: Float[Tensor, "N C F h w"]) -> Float[Tensor, "C 2"]:
    square = residual.float().square().mean(dim=(0, 3, 4))
    later = square[:, 1:].mean(1) if square.shape[1] > 1 else square[:, 0]
    return torch.stack([square[:, 0], later], dim=1).clamp(min=SMALLEST_MOMENT)


def unexplained(moment: Float[Tensor, "C 2"], t: Float[Tensor, "B"], *, frames: int, first: bool) -> Float[Tensor, "B"]:
    """Var[z_1 - z_0 | z_t] averaged over channels and `frames` latent frames, with or without the first: the squared
    error of an output of zero.
    """
    time = t[:, None, None]
    per_frame = (moment / (time**2 + (1 - time) ** 2 * moment)).mean(1)  # [B 2]
    later = frames - 1
    return (first * per_frame[:, 0] + later * per_frame[:, 1]) / (first + later)


def velocity_about(
    output: Float[Tensor, "B V C F h w"],
    noisy: Float[Tensor, "B V C F h w"],
    *,
    mean: Float[Tensor, "B V C F h w"],
    moment: Float[Tensor, "C 2"],
    t: Float[Tensor, "B"],
) -> Float[Tensor, "B V C F h w"]:
    """E[z_1 - z_0 | z_t] + sd[z_1 - z_0 | z_t] * output, for z_0 ~ N(mean, moment) and z_1 ~ N(0, 1)."""
    frames = noisy.shape[3]
    first, later = moment.unbind(1)
    spread = torch.cat([first[:, None], later[:, None].expand(-1, frames - 1)], dim=1)[:, :, None, None]
    t = t.view(-1, 1, 1, 1, 1, 1)
    variance = t**2 + (1 - t) ** 2 * spread  # of z_t
    gain = (t - (1 - t) * spread) / variance
    return gain * (noisy - (1 - t) * mean) - mean + (spread / variance).sqrt() * output
