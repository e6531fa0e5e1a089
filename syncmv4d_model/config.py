"""What a model is: frozen dataclasses, and presets as Python values. Stored as JSON in every checkpoint."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from syncmv4d_model.config_json import build


@dataclass(frozen=True)
class SwitchConfig:
    """The paper's ablations (Tab. 3 and 4), one field each; the defaults are the full method."""

    multi_view: bool = True  # False: views one by one
    motion: bool = True  # False: video only
    aligner: bool = True  # False: coarse tracks are the result
    cycle: bool = True  # False: no guidance is fed back
    detach_coarse: bool = True  # False: the aligner's loss also reaches the joint denoiser
    tracking_video: bool = False  # True: depth frozen at frame 0, as in Diffusion-as-Shader


@dataclass(frozen=True)
class MotionConfig:
    """How tracks become a pseudo video (paper, section 2)."""

    foreground_floor: float = 0.1  # 0 = the literal paper
    dense_splat_px: int = 3
    sparse_splat_px: int = 7


@dataclass(frozen=True)
class CodecConfig:
    """Video <-> latents. `pca` is block-wise linear; `wan` is diffusers' AutoencoderKLWan."""

    kind: Literal["pca", "wan"] = "pca"
    identity: Literal["relative", "absolute"] = (
        "relative"  # motion channels that the pca codec sees; absolute = the paper's
    )
    video_channels: int = 128
    motion_channels: int = 192
    spatial_stride: int = 16
    temporal_stride: int = 4
    whitening: float = 0.5  # 0: one scale for all channels, 1: each channel to unit variance
    refiner_width: int = 0  # channels of the network that mends the pca codec's decoded frames; 0 = no such network


@dataclass(frozen=True)
class TextConfig:
    """`scratch` is a small umT5 encoder with our own tokenizer; `pretrained` is umT5-xxl."""

    kind: Literal["scratch", "pretrained"] = "scratch"
    width: int = 128
    layers: int = 2
    heads: int = 4
    max_tokens: int = 24
    vocabulary: int = 512


@dataclass(frozen=True)
class MotionPriorConfig:
    """The network whose expectation of the motion the joint denoiser predicts around; an addition to the paper."""

    conv_width: int = 0  # channels at half the image's size, doubling from level to level; 0 = no such network
    layers: int = 2
    heads: int = 4
    point_width: int = 0  # of the point prior, which reads this network's features at every anchor; 0 = no such network


@dataclass(frozen=True)
class JointDenoiserConfig:
    """Wan's transformer and what the paper adds to it (section 3)."""

    layers: int = 8
    heads: int = 4
    head_dim: int = 64
    ffn_dim: int = 768
    freq_dim: int = 128
    patch_size: tuple[int, int, int] = (1, 1, 1)
    scale_tokens: int = 2
    register_tokens: int = 6
    camera_rays: bool = True  # per-token Pluecker rays and camera pose on the scale tokens; False = the literal paper
    first_frame_added: bool = True  # reference latent added to every token at its place
    precondition: bool = (
        True  # network predicts around a still video and the expected motion; False = the literal paper
    )
    qk_norm: Literal["rms_norm_across_heads"] = "rms_norm_across_heads"  # Wan's, and the only one there is
    cross_attn_norm: bool = True
    eps: float = 1e-6


@dataclass(frozen=True)
class PointAlignerConfig:
    """Point Transformer V3 blocks conditioned on the coarse tracks (section 4)."""

    width: int = 64
    blocks: int = 2
    heads: int = 2
    patch_points: int = 64
    voxel_m: float = 0.02
    uncertainty_width: int = 0  # of the uncertainty head; 0 = no such network


@dataclass(frozen=True)
class FinderConfig:
    """The network that finds hand, tool and target in whole images; an addition to the paper."""

    width: int = 0  # channels at a quarter of the canvas's size; 0 = no such network
    text_width: int = 48
    max_tokens: int = 24
    vocabulary: int = 320
    canvas_height: int = 128  # images are fitted into the canvas, their aspect kept
    canvas_width: int = 160
    threshold: float = 0.5  # probability from which an object counts as found


@dataclass(frozen=True)
class LoopConfig:
    """Defaults of sampling; a request may override each, but for shift and rigid_bodies."""

    steps: int = 4
    shift: float = 3.0  # flow-matching schedule shift
    text_guidance: float = 1.0  # classifier-free guidance; 1 = off
    guidance_strength: float = 1.0  # scale of the fed-back motion latent
    feedback_interval: int = 1  # refresh the guidance every n-th step
    rigid_bodies: float = (
        0.0  # how far points labelled tool or target are moved to their body's rigid motion; 1 = there
    )
    temperature: float = 1.0  # of the noise that video and motion start from: 1 draws a future, 0 is near their mean


@dataclass(frozen=True)
class ModelConfig:
    """A whole model. `num_frames` is 4k+1, as the Wan VAE asks."""

    name: str = "nano"
    max_views: int = 4
    num_frames: int = 17
    height: int = 96
    width: int = 96
    frame_period_s: float = 0.125
    num_points: int = 96
    mean_depth_m: float = 0.8  # read from older checkpoints and not used: networks.camera_rays.WINDOW_SIDE_M
    switches: SwitchConfig = field(default_factory=SwitchConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    codec: CodecConfig = field(default_factory=CodecConfig)
    text: TextConfig = field(default_factory=TextConfig)
    motion_prior: MotionPriorConfig = field(default_factory=MotionPriorConfig)
    joint_denoiser: JointDenoiserConfig = field(default_factory=JointDenoiserConfig)
    point_aligner: PointAlignerConfig = field(default_factory=PointAlignerConfig)
    finder: FinderConfig = field(default_factory=FinderConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        _check_ranges(self)
        check_num_frames(self.num_frames, self.codec.temporal_stride)
        if self.num_frames == 1:
            raise ValueError("num_frames must be more than 1: nothing moves in a single frame")
        rows, columns = (self.codec.spatial_stride * patch for patch in self.joint_denoiser.patch_size[1:])
        if self.height % rows or self.width % columns:
            raise ValueError(
                f"height and width must be multiples of {rows} and {columns}, got {self.height} x {self.width}"
            )

    @property
    def has_motion_prior(self) -> bool:
        """A video-only model has no motion to expect."""
        return self.motion_prior.conv_width > 0 and self.switches.motion

    @property
    def has_point_prior(self) -> bool:
        """Only an aligner's answer can be told what is expected of its points."""
        return self.has_motion_prior and self.motion_prior.point_width > 0 and self.switches.aligner

    @property
    def has_finder(self) -> bool:
        """Without one the windows are the largest centred ones."""
        return self.finder.width > 0

    @property
    def has_aligner(self) -> bool:
        """A video-only model has nothing to align."""
        return self.switches.aligner and self.switches.motion

    @property
    def has_cycle(self) -> bool:
        """What is fed back is the aligner's answer."""
        return self.has_aligner and self.switches.cycle

    @property
    def latent_frames(self) -> int:
        return (self.num_frames - 1) // self.codec.temporal_stride + 1

    @property
    def latent_size(self) -> tuple[int, int]:
        return self.height // self.codec.spatial_stride, self.width // self.codec.spatial_stride


MOST_CANVAS_PX, MOST_TOKENS = 2048, 4096  # of a finder: what its weights do not limit
MOST = 1_000_000
"""Of any count: more is a mistake, not a model."""

COUNTS = (
    "max_views", "num_frames", "height", "width", "num_points",
    "codec.video_channels", "codec.motion_channels", "codec.spatial_stride", "codec.temporal_stride",
    "text.width", "text.layers", "text.heads", "text.max_tokens", "text.vocabulary",
    "joint_denoiser.layers", "joint_denoiser.heads", "joint_denoiser.head_dim", "joint_denoiser.ffn_dim",
    "joint_denoiser.freq_dim",
    "motion_prior.layers", "motion_prior.heads",
    "point_aligner.width", "point_aligner.blocks", "point_aligner.heads", "point_aligner.patch_points",
    "loop.steps", "loop.feedback_interval",
    "finder.text_width", "finder.max_tokens", "finder.vocabulary", "finder.canvas_height", "finder.canvas_width",
)  # fmt: skip
COUNTS_OR_NONE = (
    "joint_denoiser.scale_tokens",
    "joint_denoiser.register_tokens",
    "motion_prior.conv_width",
    "motion_prior.point_width",
    "point_aligner.uncertainty_width",
    "codec.refiner_width",
    "finder.width",
)
LENGTHS = ("frame_period_s", "mean_depth_m", "point_aligner.voxel_m", "loop.shift", "joint_denoiser.eps")
STRENGTHS = ("loop.text_guidance", "loop.guidance_strength")

RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (COUNTS, lambda x: 1 <= x <= MOST, f"must be at least 1 and at most {MOST}"),
    (COUNTS_OR_NONE, lambda x: 0 <= x <= MOST, f"must be at least 0 and at most {MOST}"),
    (LENGTHS, lambda x: 0 < x < math.inf, "must be positive and finite"),
    (STRENGTHS, lambda x: 0 <= x < math.inf, "must be a finite number, not negative"),
    (
        ("codec.whitening", "loop.temperature", "loop.rigid_bodies", "finder.threshold"),
        lambda x: 0 <= x <= 1,
        "must lie in [0, 1]",
    ),
    (("motion.foreground_floor",), lambda x: 0 <= x < 1, "must lie in [0, 1)"),
    (
        ("motion.dense_splat_px", "motion.sparse_splat_px"),
        lambda x: 1 <= x <= MOST and x % 2 == 1,
        "must be odd and positive",
    ),
    (("joint_denoiser.head_dim", "joint_denoiser.freq_dim"), lambda x: x % 2 == 0, "must be even"),
)
"""Fields, what their values must satisfy, and that in words."""


def _check_ranges(config: ModelConfig) -> None:
    for names, allowed, words in RANGES:
        for name in names:
            value = operator.attrgetter(name)(config)
            if not allowed(value):
                raise ValueError(f"{name} {words}, got {value}")
    denoiser = config.joint_denoiser
    if min(denoiser.patch_size) < 1:
        raise ValueError(f"joint_denoiser.patch_size must be at least 1 each way, got {denoiser.patch_size}")
    _check_motion_prior(config)
    _check_refiner(config.codec)
    _check_finder(config.finder)
    if config.switches.motion and not denoiser.scale_tokens:
        raise ValueError("joint_denoiser.scale_tokens must be at least 1 where motion is on, got 0")


def _check_refiner(codec: CodecConfig) -> None:
    if not codec.refiner_width:
        return
    if codec.kind != "pca":
        raise ValueError("codec.refiner_width is of the pca codec: the wan codec's own decoder needs no mending")
    if codec.refiner_width % 8:
        raise ValueError(f"codec.refiner_width must be a multiple of 8, got {codec.refiner_width}")
    if codec.spatial_stride % 4:
        raise ValueError(f"codec.refiner_width needs a codec.spatial_stride that 4 divides, got {codec.spatial_stride}")


def _check_finder(finder: FinderConfig) -> None:
    if max(finder.canvas_height, finder.canvas_width) > MOST_CANVAS_PX or finder.max_tokens > MOST_TOKENS:
        raise ValueError(
            f"finder.canvas_height and canvas_width must be at most {MOST_CANVAS_PX} and max_tokens {MOST_TOKENS},"
            f" got {finder.canvas_height} x {finder.canvas_width} and {finder.max_tokens}"
        )
    if finder.width % 8:
        raise ValueError(f"finder.width must be a multiple of 8, got {finder.width}")
    if finder.canvas_height % 16 or finder.canvas_width % 16:
        raise ValueError(
            "finder.canvas_height and canvas_width must be multiples of 16,"
            f" got {finder.canvas_height} x {finder.canvas_width}"
        )


def _check_motion_prior(config: ModelConfig) -> None:
    prior, stride = config.motion_prior, config.codec.spatial_stride
    if not prior.conv_width:
        if prior.point_width:
            raise ValueError("motion_prior.point_width needs motion_prior.conv_width: it reads that network's features")
        return
    if not config.joint_denoiser.precondition:
        raise ValueError("motion_prior.conv_width needs joint_denoiser.precondition: the denoiser predicts around it")
    if prior.conv_width % 8 or prior.conv_width % prior.heads:
        raise ValueError(f"motion_prior.conv_width must be a multiple of 8 and of its heads, got {prior.conv_width}")
    if (width := prior.conv_width * stride // 2) > MOST:
        raise ValueError(f"motion_prior.conv_width must give a cell at most {MOST} channels, got {width}")
    if stride < 2 or stride & (stride - 1) or config.joint_denoiser.patch_size != (1, 1, 1):
        raise ValueError("motion_prior.conv_width needs patches of 1 cell and codec.spatial_stride a power of two")


def check_num_frames(num_frames: int, temporal_stride: int = 4) -> None:
    """Raise ValueError unless num_frames is temporal_stride * k + 1."""
    if num_frames < 1 or (num_frames - 1) % temporal_stride:
        raise ValueError(f"num_frames must be {temporal_stride}k+1 for the Wan VAE, got {num_frames}")


NANO = ModelConfig(
    codec=CodecConfig(video_channels=192, refiner_width=96),
    motion_prior=MotionPriorConfig(conv_width=32, point_width=256),
    point_aligner=PointAlignerConfig(uncertainty_width=64),
    loop=LoopConfig(temperature=0.5, rigid_bodies=1.0),
)

WAN5B = ModelConfig(
    name="wan5b",
    num_frames=49,
    height=480,
    width=704,
    num_points=1600,
    mean_depth_m=1.5,
    codec=CodecConfig(kind="wan", identity="absolute", video_channels=48, motion_channels=48),
    text=TextConfig(kind="pretrained", width=4096, layers=24, heads=64, max_tokens=512, vocabulary=256384),
    joint_denoiser=JointDenoiserConfig(
        layers=30, heads=24, head_dim=128, ffn_dim=14336, freq_dim=256, patch_size=(1, 2, 2),
        camera_rays=False, first_frame_added=False, precondition=False,
    ),
    point_aligner=PointAlignerConfig(width=256, blocks=8, heads=8, patch_points=1024, voxel_m=0.01),
    loop=LoopConfig(steps=50, shift=5.0, text_guidance=5.0),
)  # fmt: skip

PRESETS: dict[str, ModelConfig] = {"nano": NANO, "wan5b": WAN5B}


def to_dict(config: ModelConfig) -> dict[str, Any]:
    """A JSON-ready dict of every field."""
    return dataclasses.asdict(config)


def from_dict(values: dict[str, Any]) -> ModelConfig:
    """Rebuild a ModelConfig; raises ValueError naming an unknown field or a value of the wrong kind."""
    return build(ModelConfig, values, "config")
