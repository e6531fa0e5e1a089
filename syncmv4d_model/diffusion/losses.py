"""Training losses (paper, eq. 3 and eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from syncmv4d_model.types import AlignedTracks, ExpectedError, ExpectedPoints, JointVelocity, State

MIN_SHARE = 0.02
"""Of the points; a class with fewer weighs as if it had so many."""


@dataclass(frozen=True)
class JointLoss:
    """Terms of eq. 3, each a scalar; weights are 1."""

    video: Tensor
    motion: Tensor
    depth_scale: Tensor

    @property
    def total(self) -> Tensor:
        return self.video + self.motion + self.depth_scale


@dataclass(frozen=True)
class AlignerLoss:
    """Terms of eq. 4, each a scalar."""

    velocity: Tensor
    chamfer: Tensor

    @property
    def total(self) -> Tensor:
        return self.velocity + self.chamfer


@dataclass(frozen=True)
class AttributeLoss:
    """What is learned of the points beside their motion, each a scalar; an addition to the paper."""

    visibility: Tensor
    label: Tensor


def joint_loss(
    velocity: JointVelocity,
    clean: State,
    noise: State,
    depth_scale: Float[Tensor, "B V 2"],
    *,
    expected: ExpectedError | None = None,
) -> JointLoss:
    """Eq. 3: velocity errors of video and motion, and the error of the standardised depth scale.

    The video's latent frame 0 is given (the reference), so it is masked out of its term. Without motion its two terms are 0.
    With `expected` a term is 1 at every time for a network that knows nothing; without, it is the paper's.
    """
    one = torch.ones(len(clean.video), device=clean.video.device)
    expected = expected or ExpectedError(one, one)
    video = _squared(velocity.video[:, :, :, 1:], (noise.video - clean.video)[:, :, :, 1:], expected.video)
    nothing = video.new_zeros(())
    if velocity.motion is None:
        return JointLoss(video, nothing, nothing)
    motion = _squared(velocity.motion, noise.motion - clean.motion, expected.motion)
    scale = nothing if velocity.depth_scale is None else functional.mse_loss(velocity.depth_scale, depth_scale)
    return JointLoss(video, motion, scale)


def _squared(predicted: Float[Tensor, "B *d"], target: Float[Tensor, "B *d"], expected: Float[Tensor, "B"]) -> Tensor:
    return ((predicted - target).square().flatten(1).mean(1) / expected).mean()


def aligner_loss(
    aligned: AlignedTracks, clean: Float[Tensor, "B V T K 3"], noise: Float[Tensor, "B V T K 3"], t: Float[Tensor, "B"]
) -> AlignerLoss:
    """Eq. 4: velocity error, and the chamfer distance of the clean estimate per view and frame weighted by (1 - t)."""
    velocity = functional.mse_loss(aligned.velocity, noise - clean)
    return AlignerLoss(velocity, weighted_chamfer(aligned, clean, t))


def aligner_loss_from(aligned: AlignedTracks, clean: Float[Tensor, "B V T K 3"], t: Float[Tensor, "B"]) -> AlignerLoss:
    """Eq. 4 for noisy tracks that lie on no line from the truth, as the sampler's do: the wanted velocity leads from where
    they are to the truth in the time that is left.
    """
    squared = (aligned.clean - clean).square().flatten(1).mean(1) / t**2
    return AlignerLoss(squared.mean(), weighted_chamfer(aligned, clean, t))


def weighted_chamfer(
    aligned: AlignedTracks, clean: Float[Tensor, "B V T K 3"], t: Float[Tensor, "B"]
) -> Float[Tensor, ""]:
    """Second term of eq. 4."""
    flat = [rearrange(points, "b v n k c -> b (v n) k c") for points in (aligned.clean, clean)]
    return torch.stack([(1 - t[i]) * squared_chamfer(flat[0][i], flat[1][i]) for i in range(len(t))]).mean()


def squared_chamfer(points_a: Float[Tensor, "N P 3"], points_b: Float[Tensor, "N Q 3"]) -> Float[Tensor, ""]:
    """Mean squared distance to the nearest neighbour, both ways summed, averaged over the N clouds.

    Neighbours are found without gradient; the distances to them carry it.
    """
    with torch.no_grad():
        distance = torch.cdist(points_a, points_b)
        to_b, to_a = distance.argmin(2), distance.argmin(1)
    forth = (points_a - _take(points_b, to_b)).square().sum(-1).mean()
    back = (points_b - _take(points_a, to_a)).square().sum(-1).mean()
    return forth + back


def _take(points: Float[Tensor, "N P 3"], index: Int[Tensor, "N Q"]) -> Float[Tensor, "N Q 3"]:
    return points.gather(1, index[..., None].expand(-1, -1, 3))


def attribute_loss(
    aligned: AlignedTracks | ExpectedPoints, *, visible: Bool[Tensor, "B V T K"], label: Int[Tensor, "B V K"]
) -> AttributeLoss:
    """Cross-entropy of visibility and label.

    Classes weigh alike however many points they have: few points are occluded, few are a tool's, and they are the ones that matter.
    """
    visibility = functional.binary_cross_entropy_with_logits(
        aligned.visible_logit, visible.float(), weight=_parity(visible.long(), 2)
    )
    logits = rearrange(aligned.label_logits, "b v k c -> b c v k")
    labels = functional.cross_entropy(logits, label, reduction="none") * _parity(label, aligned.label_logits.shape[-1])
    return AttributeLoss(visibility, labels.mean())


def _parity(classes: Int[Tensor, "*n"], count: int) -> Float[Tensor, "*n"]:
    """Weights of mean about 1 that give every class which is there the same sum; a rare one at most as if it had MIN_SHARE."""
    shares = torch.bincount(classes.flatten(), minlength=count) / classes.numel()
    present = (shares > 0).sum()
    return (1 / (present * shares.clamp_min(MIN_SHARE)))[classes]


def error_likelihood(aligned: AlignedTracks, clean: Float[Tensor, "B V T K 3"]) -> Tensor:
    """Per-axis Gaussian negative log-likelihood of the clean estimate's error, for the log-variance alone."""
    squared_error = (aligned.clean.detach() - clean).square().mean(-1)
    return 0.5 * (aligned.log_variance + squared_error * torch.exp(-aligned.log_variance)).mean()
