"""Training batches: sequences are encoded once into a cache of latents, then drawn by step number.

What a step sees is a function of (seed, step) alone, so a resumed run continues bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from syncmv4d_model.binding import images_to_unit
from syncmv4d_model.checkpoint import Components
from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.atomic import atomic_file
from syncmv4d_model.data.sequence import Sequence, first_views
from syncmv4d_model.motion.pseudo_video import project_normalise
from syncmv4d_model.types import Cameras


@dataclass(frozen=True)
class Batch:
    """One training step's data: latents, true tracks of K sampled anchors, cameras, text."""

    video: Float[Tensor, "B V C F h w"]
    motion: Float[Tensor, "B V Cm F h w"]
    images: Float[Tensor, "B V H W 3"]  # [-1, 1]
    points_world: Float[Tensor, "B V T K 3"]  # metres
    visible: Bool[Tensor, "B V T K"]
    label: Int64[Tensor, "B V K"]
    anchors_px: Float[Tensor, "B V K 2"]
    depth_scale: Float[Tensor, "B V 2"]  # metres
    cameras: Cameras
    texts: list[str]

    def to(self, device: torch.device | str) -> Batch:
        """The batch with every tensor on `device`."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved, cameras=self.cameras.to(device))


def truth_videos(
    sequence: Sequence, config: ModelConfig
) -> tuple[Float[Tensor, "V T H W 3"], Float[Tensor, "V T H W 3"]]:
    """(video in [-1, 1], pseudo video in [0, 1]) of a sequence, the latter drawn from all its true tracks."""
    cameras = Cameras(
        torch.from_numpy(sequence.intrinsics)[None].float(),
        torch.from_numpy(sequence.camera_from_world)[None].float(),
        *sequence.video.shape[2:4],
    )
    pseudo_video = project_normalise(
        torch.from_numpy(sequence.positions)[None],
        torch.from_numpy(sequence.anchors_px)[None].float(),
        cameras,
        torch.from_numpy(sequence.depth_scale)[None].float(),
        motion=config.motion,
        splat_px=config.motion.dense_splat_px,
        tracking_video=config.switches.tracking_video,
    )
    return images_to_unit(sequence.video), pseudo_video[0]


@torch.no_grad()
def encode_sequence(components: Components, sequence: Sequence) -> dict[str, Tensor]:
    """A sequence as the tensors that training needs; latents in float16. Lines 1 to 3 of Algorithm 1."""
    video, pseudo_video = truth_videos(sequence, components.config)
    return {
        "video": components.codec.encode_video(video).half(),
        "motion": components.codec.encode_motion(pseudo_video).half(),
        "image": torch.from_numpy(np.ascontiguousarray(sequence.video[:, 0])),
        "points_world": torch.from_numpy(sequence.positions).float(),
        "visible": torch.from_numpy(sequence.visible),
        "label": torch.from_numpy(sequence.label),
        "anchors_px": torch.from_numpy(sequence.anchors_px).float(),
        "depth_scale": torch.from_numpy(sequence.depth_scale).float(),
        "intrinsics": torch.from_numpy(sequence.intrinsics).float(),
        "camera_from_world": torch.from_numpy(sequence.camera_from_world).float(),
    }


def cache_sequence(path: Path, tensors: dict[str, Tensor], task: str) -> None:
    """Write one encoded sequence, whole or not at all."""
    with atomic_file(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, partial, metadata={"task": task})


class LatentCache:
    """Encoded sequences, one file each; `read_video` gives the video that one was made from, for a stage that needs pixels."""

    def __init__(
        self, paths: list[Path], read_video: Callable[[int], UInt8[np.ndarray, "V T H W 3"]] | None = None
    ) -> None:
        if not paths:
            raise ValueError("a cache needs at least one encoded sequence, got none")
        self.paths, self.read_video = paths, read_video

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> tuple[dict[str, Tensor], str]:
        """Tensors and task text of one sequence."""
        path = self.paths[index]
        with safe_open(path, framework="pt") as file:
            task = file.metadata()["task"]
        return load_file(path), task

    def batches(
        self, *, batch_size: int, num_points: int, seed: int, first_step: int, augment: bool = True
    ) -> Iterator[Batch]:
        """Endless batches from `first_step` on; epochs are reshuffled."""
        drawn = self.indices(batch_size=batch_size, seed=seed, first_step=first_step)
        for step, indices in enumerate(drawn, start=first_step):
            rng = np.random.default_rng([seed, step])
            yield collate([_view(*self.read(i), num_points=num_points, rng=rng, augment=augment) for i in indices])

    def video(self, index: int) -> Float[Tensor, "V T H W 3"]:
        """The true video of a sequence, in [-1, 1]; ValueError where the cache was built without."""
        if self.read_video is None:
            raise ValueError("this cache was built without its sequences' videos")
        return images_to_unit(self.read_video(index))

    def indices(self, *, batch_size: int, seed: int, first_step: int) -> Iterator[list[int]]:
        """Which sequences each step from `first_step` on sees; epochs are reshuffled."""
        step = first_step
        while True:
            yield [self._index(seed, step * batch_size + row) for row in range(batch_size)]
            step += 1

    def _index(self, seed: int, draw: int) -> int:
        epoch, place = divmod(draw, len(self))
        return int(np.random.default_rng([seed, 1, epoch]).permutation(len(self))[place])


def _view(
    tensors: dict[str, Tensor], task: str, *, num_points: int, rng: np.random.Generator, augment: bool
) -> tuple[dict[str, Tensor], str]:
    """One sequence as a training example: K of its anchors per view, views reordered, world turned about z."""
    views, available = tensors["label"].shape
    chosen = np.stack([rng.choice(available, num_points, replace=num_points > available) for _ in range(views)])
    index = torch.from_numpy(chosen)
    points = torch.gather(tensors["points_world"], 2, _spread(index, tensors["points_world"]))
    visible = torch.gather(tensors["visible"], 2, index[:, None].expand(-1, points.shape[1], -1))
    images = images_to_unit(tensors["image"].numpy())
    anchors = torch.gather(tensors["anchors_px"], 1, index[..., None].expand(-1, -1, 2))
    example = {
        "video": tensors["video"].float(),
        "motion": tensors["motion"].float(),
        "images": images,
        "points_world": points,
        "visible": visible,
        "label": torch.gather(tensors["label"].long(), 1, index),
        "anchors_px": anchors,
        "depth_scale": tensors["depth_scale"],
        "intrinsics": tensors["intrinsics"],
        "camera_from_world": tensors["camera_from_world"],
    }
    if augment:
        order = torch.from_numpy(rng.permutation(views))
        example = {name: value[order] for name, value in example.items()}
        example = _turn_world(example, angle=float(rng.uniform(-math.pi, math.pi)))
    return example, task


def _spread(index: Int64[Tensor, "V K"], points: Float[Tensor, "V T P 3"]) -> Int64[Tensor, "V T K 3"]:
    return index[:, None, :, None].expand(-1, points.shape[1], -1, 3)


def _turn_world(example: dict[str, Tensor], *, angle: float) -> dict[str, Tensor]:
    """The same scene in a world frame turned about z: where a rig's zero azimuth lies is its owner's choice."""
    cos, sin = math.cos(angle), math.sin(angle)
    turned_from_world = torch.tensor([[cos, -sin, 0, 0], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    return example | {
        "points_world": example["points_world"] @ turned_from_world[:3, :3].T,
        "camera_from_world": example["camera_from_world"] @ turned_from_world.T,
    }


def collate(examples: list[tuple[dict[str, Tensor], str]]) -> Batch:
    """Stack examples of equal shape, but for the number of views: all keep as many as the one with the fewest."""
    fewest = min(len(example["images"]) for example, _ in examples)
    stacked = {name: torch.stack([example[name][:fewest] for example, _ in examples]) for name in examples[0][0]}
    height, width = stacked["images"].shape[2:4]
    cameras = Cameras(stacked.pop("intrinsics"), stacked.pop("camera_from_world"), height, width)
    return Batch(**stacked, cameras=cameras, texts=[task for _, task in examples])


def build_cache(
    sequences: list[Path],
    read: Callable[[Path], Sequence],
    components: Components,
    cache_dir: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> LatentCache:
    """Encode every sequence that the cache does not hold yet. progress(done, total) may raise to stop: what is done is kept."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    targets = [cache_dir / f"{directory.name}.safetensors" for directory in sequences]
    for done, (directory, target) in enumerate(zip(sequences, targets, strict=True), start=1):
        if not target.exists():
            sequence = first_views(read(directory), components.config.max_views)
            cache_sequence(target, encode_sequence(components, sequence), sequence.task)
        if progress is not None:
            progress(done, len(sequences))
    return LatentCache(targets, lambda index: read(sequences[index]).video)
