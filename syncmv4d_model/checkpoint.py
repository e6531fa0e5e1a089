"""A model's parts together, and their folder on disk: safetensors and JSON only, one sub-folder per part.

model_index.json                     format version, configuration, statistics
joint_denoiser/  motion_prior/  point_prior/  preconditioner/  point_aligner/  uncertainty_head/  video_refiner/  finder/  codec/  text_encoder/     *.safetensors (+ index when sharded), tokenizer.json
text_mean.safetensors                mean training displacement per triplet: the evaluation's reference row
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from syncmv4d_model.checkpoint_index import FINDER, FORMAT, read_index
from syncmv4d_model.checkpoint_weights import check_layers, check_shapes, load_part, save_part
from syncmv4d_model.config import ModelConfig, from_dict, to_dict
from syncmv4d_model.data.atomic import atomic_directory
from syncmv4d_model.networks.finder import Finder
from syncmv4d_model.networks.initialisation import init_from_nothing
from syncmv4d_model.networks.joint_denoiser import JointDenoiser
from syncmv4d_model.networks.latents import PcaCodec
from syncmv4d_model.networks.motion_prior import MotionPrior
from syncmv4d_model.networks.point_aligner import PointAligner
from syncmv4d_model.networks.point_prior import PointPrior
from syncmv4d_model.networks.preconditioning import Preconditioner
from syncmv4d_model.networks.text import TaskTokenizer, TextEncoder
from syncmv4d_model.networks.uncertainty_head import UncertaintyHead
from syncmv4d_model.networks.video_refiner import VideoRefiner


@dataclass(frozen=True)
class Statistics:
    """Numbers measured on the training set that the networks' inputs and outputs are standardised with."""

    depth_scale_mean_m: tuple[float, float] = (0.6, 1.0)
    depth_scale_std_m: tuple[float, float] = (0.1, 0.1)
    stddev_temperature: float = 1.0  # multiplies the predicted standard deviation; from validation


@dataclass(frozen=True)
class Components:
    """Everything that a checkpoint holds."""

    config: ModelConfig
    codec: PcaCodec
    text_encoder: TextEncoder
    joint_denoiser: JointDenoiser
    motion_prior: MotionPrior | None
    point_prior: PointPrior | None
    preconditioner: Preconditioner | None
    point_aligner: PointAligner | None
    uncertainty_head: UncertaintyHead | None
    video_refiner: VideoRefiner | None
    finder: Finder | None
    statistics: Statistics

    @property
    def device(self) -> torch.device:
        return next(self.joint_denoiser.parameters()).device

    def networks(self) -> dict[str, nn.Module]:
        """The parts with parameters, by folder name."""
        parts: dict[str, Any] = {
            "codec": self.codec,
            "text_encoder": self.text_encoder,
            "joint_denoiser": self.joint_denoiser,
            "motion_prior": self.motion_prior,
            "point_prior": self.point_prior,
            "preconditioner": self.preconditioner,
            "point_aligner": self.point_aligner,
            "uncertainty_head": self.uncertainty_head,
            "video_refiner": self.video_refiner,
            FINDER: self.finder,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def decode_video(
        self, latents: Float[Tensor, "N C F h w"], first: Float[Tensor, "N H W 3"]
    ) -> Float[Tensor, "N T H W 3"]:
        """Colour video in [-1, 1] of latents whose first images are given."""
        video = self.codec.decode_video(latents)
        return video if self.video_refiner is None else self.video_refiner(video, first)

    def to(self, device: torch.device | str) -> Components:
        for part in self.networks().values():
            part.to(device)
        return self

    def eval(self) -> Components:
        for part in self.networks().values():
            part.eval()
        return self


def build_components(
    config: ModelConfig,
    *,
    seed: int,
    tokenizer: TaskTokenizer,
    codec: PcaCodec | None = None,
    finder_tokenizer: TaskTokenizer | None = None,
) -> Components:
    """Untrained networks of this configuration, the same for the same seed; the codec is blank unless given.

    A finder without a tokenizer of its own takes `tokenizer`.

    Raises ValueError for a configuration whose codec or text encoder is pretrained: those are not stored in our folders yet.
    """
    if config.codec.kind != "pca" or config.text.kind != "scratch":
        raise ValueError(
            f"{config.name} takes its {config.codec.kind} codec and {config.text.kind} text encoder from Wan's own weights,"
            " which checkpoint folders do not hold: build its parts with syncmv4d_model.networks.pretrained"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        joint_denoiser = JointDenoiser(config)
        init_from_nothing(joint_denoiser)
        return Components(
            config=config,
            codec=codec if codec is not None else PcaCodec(config.codec, config.motion),
            text_encoder=TextEncoder(config.text, tokenizer),
            joint_denoiser=joint_denoiser,
            motion_prior=MotionPrior(config) if config.has_motion_prior else None,
            point_prior=PointPrior(config) if config.has_point_prior else None,
            preconditioner=_preconditioner(config),
            point_aligner=PointAligner(config) if config.has_aligner else None,
            uncertainty_head=UncertaintyHead(config)
            if config.has_aligner and config.point_aligner.uncertainty_width
            else None,
            video_refiner=VideoRefiner(config.codec) if config.codec.refiner_width else None,
            finder=Finder(config.finder, finder_tokenizer or tokenizer) if config.has_finder else None,
            statistics=Statistics(),
        )


def _preconditioner(config: ModelConfig) -> Preconditioner | None:
    codec = config.codec
    return Preconditioner(codec.video_channels, codec.motion_channels) if config.joint_denoiser.precondition else None


def save_components(
    directory: Path, components: Components, *, dtype: torch.dtype = torch.float16, beside: Sequence[Path] = ()
) -> None:
    """Write the folder whole or not at all, with copies of the files `beside`; files there that are not ours are kept.
    Floats are stored as `dtype`.

    Raises ValueError, and writes nothing, if a weight is not finite or does not fit `dtype`.
    """
    with atomic_directory(directory) as partial:
        for name, part in components.networks().items():
            save_part(part, partial / name, dtype=dtype, shown=directory / name)
        assert isinstance(components.text_encoder.tokenizer, TaskTokenizer)  # see build_components
        components.text_encoder.tokenizer.save(partial / "text_encoder")
        if components.finder is not None:
            components.finder.tokenizer.save(partial / FINDER)
        index = {"format": FORMAT, "config": to_dict(components.config), "statistics": vars(components.statistics)}
        (partial / "model_index.json").write_text(json.dumps(index, indent=1) + "\n")
        for extra in beside:
            shutil.copy2(extra, partial)
        for extra in directory.glob("*") if directory.exists() else ():
            if extra.is_file() and not (partial / extra.name).exists():
                shutil.copy2(extra, partial / extra.name)


def load_components(
    directory: Path,
    *,
    change: Callable[[ModelConfig], ModelConfig] | None = None,
    keep: Collection[str] | None = None,
    seed: int = 0,
) -> Components:
    """Read a checkpoint folder. `change` may alter the configuration first (an ablation's switches); parts that are not in `keep`
    (None: all are) are not read but untrained ones of this seed.

    Raises FileNotFoundError for a missing folder or file, ValueError for one that is truncated or not ours; both name it.
    """
    index = read_index(directory)
    config = from_dict(index["config"])
    config = change(config) if change is not None else config
    tokenizer = TaskTokenizer.load(directory / "text_encoder")
    finder_tokenizer = TaskTokenizer.load(directory / FINDER) if config.has_finder else None
    for name, layers in _layers(config).items():
        if keep is None or name in keep:
            check_layers(directory / name, layers)
    with torch.device("meta"):  # shapes alone: a foreign configuration may ask for more memory than there is
        built = build_components(config, seed=0, tokenizer=tokenizer, finder_tokenizer=finder_tokenizer)
        parts = built.networks()
    kept = set(parts) if keep is None else set(parts) & set(keep)
    for name in sorted(kept):
        check_shapes(parts[name], directory / name)
    if change is None:
        _check_all_are_known(directory, set(parts))
    components = build_components(config, seed=seed, tokenizer=tokenizer, finder_tokenizer=finder_tokenizer)
    for name in sorted(kept):
        load_part(components.networks()[name], directory / name)
    if components.preconditioner is not None:
        _check_moments(components.preconditioner, directory / "preconditioner")
    return replace(components, statistics=_statistics(index["statistics"], directory)).eval()


def _check_all_are_known(directory: Path, parts: set[str]) -> None:
    """ValueError for weights that the configuration would leave unused: it is not the one that they were stored with."""
    for folder in sorted({path.parent.name for path in directory.glob("*/*.safetensors")} - parts):
        raise ValueError(
            f"{directory / folder} holds weights, but the configuration in model_index.json has no such part"
        )


def _statistics(values: dict[str, Any], directory: Path) -> Statistics:
    try:
        (near, far), (near_std, far_std) = values["depth_scale_mean_m"], values["depth_scale_std_m"]
        numbers = [float(value) for value in (near, far, near_std, far_std, values["stddev_temperature"])]
        if not all(0 < number < math.inf for number in numbers):
            raise ValueError(f"each must be positive and finite, got {numbers}")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{directory / 'model_index.json'} has unusable statistics: {error!r}") from error
    return Statistics((numbers[0], numbers[1]), (numbers[2], numbers[3]), numbers[4])


def _layers(config: ModelConfig) -> dict[str, int]:
    """How often a part repeats its block, by folder name."""
    layers = {"text_encoder": config.text.layers, "joint_denoiser": config.joint_denoiser.layers}
    if config.has_motion_prior:
        layers["motion_prior"] = config.motion_prior.layers
    if config.has_aligner:
        layers["point_aligner"] = config.point_aligner.blocks
    return layers


def _check_moments(preconditioner: Preconditioner, folder: Path) -> None:
    for key, moment in preconditioner.state_dict().items():
        if not (moment > 0).all():
            raise ValueError(f"{folder}: {key} must be positive, its least is {moment.min().item():g}")
