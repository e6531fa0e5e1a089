"""Networks and maps with one condition bound: how the closed loop, which knows no network, is given a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor

from syncmv4d_model.checkpoint import Components
from syncmv4d_model.diffusion.closed_loop import LoopFunctions
from syncmv4d_model.motion.anchors import point_colours, stratified_anchors
from syncmv4d_model.motion.projection import depth_min_max
from syncmv4d_model.motion.pseudo_video import decode_denormalise, foreground, project_normalise
from syncmv4d_model.motion.rigid_bodies import moved_rigidly
from syncmv4d_model.networks.camera_rays import view_centres
from syncmv4d_model.networks.point_aligner import velocity_to
from syncmv4d_model.networks.text import TokenizedText
from syncmv4d_model.types import (
    LABELS,
    TRACK_UNIT_M,
    AlignedTracks,
    Anchors,
    Cameras,
    CoarseTracks,
    Condition,
    ExpectedMotion,
    ExpectedPoints,
    JointVelocity,
    ModelInput,
    State,
)


def stack_cameras(inputs: Sequence[ModelInput]) -> Cameras:
    """Calibration of inputs of equal size and view count, as float32 tensors."""
    height, width = inputs[0].images.shape[1:3]
    intrinsics = np.stack([each.intrinsics for each in inputs])
    camera_from_world = np.stack([each.camera_from_world for each in inputs])
    return Cameras(torch.from_numpy(intrinsics).float(), torch.from_numpy(camera_from_world).float(), height, width)


def normalised(points_world: Tensor, centres: Float[Tensor, "B V 3"]) -> Tensor:
    """World metres -> the frame that the point aligner and its diffusion state live in."""
    return (points_world - centres[:, :, None, None]) / TRACK_UNIT_M


def world(points: Tensor, centres: Float[Tensor, "B V 3"]) -> Tensor:
    """Inverse of `normalised`."""
    return points * TRACK_UNIT_M + centres[:, :, None, None]


@dataclass(frozen=True)
class Binding:
    """The networks and maps of `components` with one condition bound: what the closed loop calls.

    `seed` decides which foreground pixels become anchors when the caller gives none; `images` colour them.
    """

    components: Components
    condition: Condition
    images: Float[Tensor, "B V H W 3"]  # [-1, 1]
    seed: int = 0
    text_guidance: float = 1.0
    without_task: Condition | None = None  # the same condition with an empty task, for text guidance

    def loop(self) -> LoopFunctions:
        aligner = self.components.point_aligner
        return LoopFunctions(
            joint_denoiser=self.joint_denoiser,
            hold_reference=self.hold_reference,
            choose_anchors=self.choose_anchors,
            decode_denormalise=self.decode_denormalise,
            point_aligner=self.point_aligner if aligner is not None else None,
            keep_bodies_rigid=self.keep_bodies_rigid,
            project_encode=self.project_encode,
        )

    def joint_denoiser(self, state: State, t: Tensor, guidance: Tensor | None) -> JointVelocity:
        with_text = self.velocity(self.condition, state, t, guidance)
        if self.text_guidance == 1.0 or self.without_task is None:
            return with_text
        without = self.velocity(self.without_task, state, t, guidance)
        strength = self.text_guidance
        motion = with_text.motion
        if motion is not None:
            motion = without.motion + strength * (motion - without.motion)
        return JointVelocity(
            without.video + strength * (with_text.video - without.video), motion, with_text.depth_scale
        )

    def velocity(self, condition: Condition, state: State, t: Tensor, guidance: Tensor | None) -> JointVelocity:
        """The joint denoiser's answer under one condition; around its expectation where it is trained so."""
        expected, preconditioner = condition.expected, self.components.preconditioner
        output = self.components.joint_denoiser(
            state.video, state.motion, t=t, text=condition.text, text_mask=condition.text_mask,
            reference=condition.reference, cameras=condition.cameras,
            prior_features=None if expected is None else expected.features, guidance=guidance,
        )  # fmt: skip
        if preconditioner is None:
            return output
        assert condition.still is not None
        return preconditioner(output, state, t=t, still=condition.still, expected=expected)

    def hold_reference(self, video: Tensor) -> Tensor:
        return torch.cat([self.condition.reference, video[:, :, :, 1:]], dim=3)

    def pseudo_video(self, motion: Tensor) -> Float[Tensor, "B V T H W 3"]:
        with full_precision(motion):
            decoded = self.components.codec.decode_motion(rearrange(motion.float(), "b v c f h w -> (b v) c f h w"))
        return rearrange(decoded, "(b v) t h w c -> b v t h w c", b=len(motion))

    def choose_anchors(self, clean_motion: Tensor) -> Anchors:
        first = self.pseudo_video(clean_motion[:, :, :, :1])  # the codec is causal: latent frame 0 is frame 0
        mask = foreground(first, self.components.config.motion)[:, :, 0]
        pixels, duplicate = stratified_anchors(mask, self.components.config.num_points, seed=self.seed)
        return self.anchors(pixels, duplicate)

    def anchors(self, pixels: Float[Tensor, "B V K 2"], duplicate: Bool[Tensor, "B V K"] | None = None) -> Anchors:
        """Anchors at these pixels, and what the point prior expects of them, which is asked once."""
        duplicate = torch.zeros_like(pixels[..., 0], dtype=torch.bool) if duplicate is None else duplicate
        colours, condition = point_colours(self.images, pixels), self.condition
        with torch.no_grad():  # it is trained in a stage of its own
            expected = expect_points(self.components, condition.expected, pixels, colours, condition.cameras)
        return Anchors(pixels, colours, duplicate, expected)

    def decode_denormalise(self, clean_motion: Tensor, depth_scale: Tensor, anchors: Anchors) -> CoarseTracks:
        config = self.components.config.motion
        with full_precision(clean_motion):
            return decode_denormalise(
                self.pseudo_video(clean_motion), anchors.pixels, self.condition.cameras,
                self.metric_scale(depth_scale.float()), motion=config, splat_px=config.dense_splat_px,
                noise=self.components.codec.motion_noise,
            )  # fmt: skip

    def point_aligner(self, tracks: Tensor, coarse: CoarseTracks, anchors: Anchors, t: Tensor) -> AlignedTracks:
        cameras = self.condition.cameras
        assert self.components.point_aligner is not None
        aligned = self.components.point_aligner(
            tracks, normalised(coarse.points_world, self.condition.centres), coarse.valid, t=t,
            anchor_pixels=scaled_pixels(anchors.pixels, cameras), anchor_colours=anchors.colours,
        )  # fmt: skip
        expected = anchors.expected
        if expected is None:
            return aligned
        return replace(  # the heads say how the sample differs from what the images alone tell
            aligned,
            visible_logit=aligned.visible_logit + expected.visible_logit,
            label_logits=aligned.label_logits + expected.label_logits,
        )

    def keep_bodies_rigid(self, aligned: AlignedTracks, tracks: Tensor, t: Tensor) -> AlignedTracks:
        """The aligner's answer with the points that it labels tool or target moved rigidly, as far as the configuration asks."""
        share = self.components.config.loop.rigid_bodies
        if not share:
            return aligned
        label, clean = aligned.label_logits.argmax(-1), aligned.clean
        member = torch.stack([label == LABELS.index(name) for name in ("tool", "target")], dim=1)
        with full_precision(clean):
            if self.components.config.switches.multi_view:
                clean = moved_rigidly(clean, member, share=share)
            else:  # every view is a scene of its own
                views = rearrange(clean, "b v t k c -> (b v) 1 t k c"), rearrange(member, "b l v k -> (b v) l 1 k")
                clean = moved_rigidly(*views, share=share).view_as(clean)
        return replace(aligned, clean=clean, velocity=velocity_to(clean, tracks, t))

    def judge(self, aligned: AlignedTracks, coarse: CoarseTracks) -> AlignedTracks:
        """The last step's answer with the uncertainty head's say on its log-variance."""
        head = self.components.uncertainty_head
        if head is None:
            return aligned
        coarse = replace(coarse, points_world=normalised(coarse.points_world, self.condition.centres))
        return replace(aligned, log_variance=head(aligned, coarse))

    def project_encode(self, clean: Tensor, anchors: Anchors) -> Tensor:
        config, cameras = self.components.config, self.condition.cameras
        with full_precision(clean):
            points_world = world(clean.float(), self.condition.centres)
            pseudo_video = project_normalise(
                points_world, anchors.pixels, cameras, depth_min_max(points_world, cameras), motion=config.motion,
                splat_px=config.motion.sparse_splat_px, tracking_video=config.switches.tracking_video,
            )  # fmt: skip
            latents = self.components.codec.encode_motion(rearrange(pseudo_video, "b v t h w c -> (b v) t h w c"))
        return rearrange(latents, "(b v) c f h w -> b v c f h w", b=len(clean))

    def metric_scale(self, depth_scale: Float[Tensor, "B V 2"]) -> Float[Tensor, "B V 2"]:
        """Standardised depth scale -> metres, near before far by at least 1 cm and in front of the camera."""
        statistics = self.components.statistics
        scale = depth_scale * depth_scale.new_tensor(statistics.depth_scale_std_m)
        near, far = (scale + depth_scale.new_tensor(statistics.depth_scale_mean_m)).unbind(-1)
        near = near.clamp_min(0.01)
        return torch.stack([near, torch.maximum(far, near + 0.01)], dim=-1)


def full_precision(like: Tensor) -> torch.autocast:
    """Geometry and the codec keep float32 where networks run in bfloat16: there, a pixel would be a quarter of one off."""
    return torch.autocast(like.device.type, enabled=False)


def images_to_unit(images: np.ndarray) -> Tensor:
    """u8 images -> float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).float() / 127.5 - 1


def make_condition(
    components: Components,
    texts: list[str],
    images: Float[Tensor, "B V H W 3"],
    cameras: Cameras,
    *,
    reference: Float[Tensor, "B V C 1 h w"] | None = None,
) -> tuple[Condition, TokenizedText]:
    """Encode text, reference images (unless their latent is given) and cameras once; also returns what the tokenizer
    made of the texts.
    """
    tokens = components.text_encoder.tokenize(texts)
    text = components.text_encoder(tokens.ids, tokens.mask)
    config, still = components.config, None
    if components.preconditioner is not None:
        still = _encode_still(components, images, config.num_frames)
    if reference is None:
        reference = _encode_still(components, images, 1) if still is None else still[:, :, :, :1]
    centres = view_centres(cameras, multi_view=config.switches.multi_view)
    expected = expect_motion(components, tokens, images, cameras)
    return Condition(text, tokens.mask, reference, still, expected, cameras, centres), tokens


def without_task(components: Components, condition: Condition, images: Float[Tensor, "B V H W 3"]) -> Condition:
    """The same condition for the empty task: what text guidance leads away from."""
    tokens = components.text_encoder.tokenize([""] * len(images))
    text = components.text_encoder(tokens.ids, tokens.mask)
    expected = expect_motion(components, tokens, images, condition.cameras)
    return replace(condition, text=text, text_mask=tokens.mask, expected=expected)


def expect_motion(
    components: Components, tokens: TokenizedText, images: Float[Tensor, "B V H W 3"], cameras: Cameras
) -> ExpectedMotion | None:
    """The motion prior's answer, without gradient: it is trained in a stage of its own."""
    if components.motion_prior is None:
        return None
    with torch.no_grad():
        return components.motion_prior(images, cameras, tokens.ids, tokens.mask)


def expect_points(
    components: Components,
    expected: ExpectedMotion | None,
    pixels: Float[Tensor, "B V K 2"],
    colours: Float[Tensor, "B V K 3"],
    cameras: Cameras,
) -> ExpectedPoints | None:
    """The point prior's answer at anchors of these pixels."""
    if components.point_prior is None:
        return None
    assert expected is not None
    return components.point_prior(expected, scaled_pixels(pixels, cameras), colours)


def scaled_pixels(pixels: Float[Tensor, "B V K 2"], cameras: Cameras) -> Float[Tensor, "B V K 2"]:
    """Pixels in [0, 1] of the image: their centres are integers, its border lies half a pixel outside."""
    return (pixels + 0.5) / pixels.new_tensor([cameras.width, cameras.height])


def _encode_still(
    components: Components, images: Float[Tensor, "B V H W 3"], frames: int
) -> Float[Tensor, "B V C F h w"]:
    """Latents of the images held still; the first latent frame is that of one image alone, for the codec is causal."""
    with full_precision(images):
        latents = components.codec.encode_video(repeat(images, "b v h w c -> (b v) t h w c", t=frames))
    return rearrange(latents, "(b v) c f h w -> b v c f h w", b=len(images))


def task_warnings(task: str, tokens: TokenizedText) -> list[str]:
    """What the user should know about a task that the text encoder could not read in full."""
    warnings = []
    if not task.strip():
        warnings.append("the task is empty: the motion is guessed from the images alone")
    if tokens.truncated[0]:
        warnings.append(
            f"the task has more tokens than the {tokens.ids.shape[1] - 1} that the model reads beside the end token: its end was dropped"
        )
    return warnings + [f"the text encoder has never seen {word!r}" for word in tokens.unknown_words[0]]
