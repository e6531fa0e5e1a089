"""`syncmv4d evaluate --bag`: every task of a recorded bag, asked of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from syncmv4d_ros.recording import BagOptions, Recording, Request

if TYPE_CHECKING:
    from syncmv4d_model.config import ModelConfig
    from syncmv4d_model.evaluation.harness import Report
    from syncmv4d_model.evaluation.image_networks import ImageNetworks
    from syncmv4d_model.evaluation.recorded import Scene
    from syncmv4d_model.predictor import Predictor


def evaluate_bag(
    bag: Path,
    reading: BagOptions,
    *,
    checkpoint: Path,
    device: str,
    limit: int | None,
    seed: int,
    steps: int | None,
    samples: int,
    networks: ImageNetworks | None,
    progress: Callable[[int, int], None],
) -> Report:
    """Score a checkpoint on the tasks of a bag. Errors as Recording, checkpoint.load_components and recorded.make_scene."""
    from syncmv4d_model.checkpoint_index import read_index
    from syncmv4d_model.config import from_dict

    config = from_dict(read_index(checkpoint)["config"])
    with Recording(bag, reading) as recording:  # its mistakes are said before the networks are loaded
        requests = recording.requests[:limit]
        warnings: list[str] = []
        _check_first(recording, requests, config)

        from syncmv4d_model.evaluation.recorded import evaluate_scenes
        from syncmv4d_model.predictor import Predictor

        predictor = Predictor.load(checkpoint, device=device)
        report = evaluate_scenes(
            predictor,
            _scenes(recording, requests, predictor, warnings=warnings, progress=progress),
            name=bag.name,
            seed=seed,
            steps=steps,
            samples=samples,
            networks=networks,
            settings={"bag": str(bag), "limit": limit},
            recording=recording.describe() | {"tasks": len(recording.requests)},
        )
    assert report.bag is not None
    report.bag["warnings"] = sorted(set(warnings))
    return report


def _check_first(recording: Recording, requests: tuple[Request, ...], config: ModelConfig) -> None:
    """ValueError where the first request's images cannot be an observation."""
    from syncmv4d_model.data.observation import observe

    for request in requests[:1]:
        images, _ = recording.images(request, count=1, period_s=config.frame_period_s)
        first = [image for image in images[0] if image is not None]
        observe(recording.rig, first, request.task, max_views=config.max_views)


def _scenes(
    recording: Recording,
    requests: tuple[Request, ...],
    predictor: Predictor,
    *,
    warnings: list[str],
    progress: Callable[[int, int], None],
) -> Iterator[Scene]:
    """The scene of each request, its images decoded one request at a time."""
    from syncmv4d_model.data.rig_warnings import rig_warnings

    for index, request in enumerate(requests):
        progress(index, len(requests))
        scene = _scene(recording, request, predictor, name=f"{index:06d}")
        warnings += rig_warnings(scene.observation)
        yield scene
    progress(len(requests), len(requests))


def _scene(recording: Recording, request: Request, predictor: Predictor, *, name: str) -> Scene:
    from dataclasses import replace

    from syncmv4d_model.evaluation.recorded import make_scene, with_truth

    config = predictor.config
    images, late_s = recording.images(request, count=config.num_frames, period_s=config.frame_period_s)
    scene = make_scene(
        recording.rig, images, request.task, name=name, config=config, stamp_s=request.stamp_ns / 1e9,
        find_windows=predictor.find_windows,
    )  # fmt: skip
    if request.truth is None:
        scene = replace(scene, why_no_truth=request.why_no_truth)
    else:
        truth = request.truth
        scene = with_truth(
            scene,
            truth.positions,
            visible=truth.visible,
            label=truth.label,
            frame_period_s=truth.frame_period_s,
            config=config,
        )
    return replace(scene, notes=_notes(request, scene, late_s))


def _notes(request: Request, scene: Scene, late_s: np.ndarray) -> dict[str, Any]:
    return {
        "stamp_ns": request.stamp_ns,
        "age_of_images_when_asked_s": request.age_s,
        "missing_images": int((~scene.found).sum()),
        "largest_time_offset_s": float(np.nanmax(np.abs(late_s))),
        "truth": "tracks_truth" if scene.truth is not None else None,
        "why_no_truth": None if scene.truth is not None else scene.why_no_truth,
    }
