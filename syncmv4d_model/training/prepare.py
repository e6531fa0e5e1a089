"""Before the first step: codec, tokenizer, statistics, reference rows and the latent cache, all from the training split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from syncmv4d_model.checkpoint import Components, Statistics, build_components, save_components
from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.loader import truth_videos
from syncmv4d_model.data.sequence import Sequence, list_sequences, read_sequence
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.networks.pca_fit import fit_pca_codec
from syncmv4d_model.networks.text import train_tokenizer

Progress = Callable[[str, int, int], None]


def prepare(
    config: ModelConfig, data_dir: Path, out: Path, *, seed: int, codec_sequences: int, progress: Progress
) -> Components:
    """Write an untrained checkpoint whose codec, tokenizer and statistics are fitted to the training split.

    A configuration with the Wan codec needs its weights from `train init --wan DIR` instead: ValueError.
    """
    if config.codec.kind != "pca":
        raise ValueError(f"codec {config.codec.kind!r} is pretrained: only the pca codec is fitted")
    paths = list_sequences(data_dir, "train")
    light = [read_sequence(path, with_video=False) for path in _tracked(paths, "read", progress)]
    tokenizer = train_tokenizer(sorted({sequence.task for sequence in light}), config.text.vocabulary)
    fitted = paths[:: max(1, len(paths) // codec_sequences)][:codec_sequences]
    codec = fit_pca_codec(
        (truth_videos(read_sequence(path), config) for path in _tracked(fitted, "codec", progress)),
        config.codec,
        motion=config.motion,
        seed=seed,
    )
    components = build_components(config, seed=seed, tokenizer=tokenizer, codec=codec)
    components = replace(components, statistics=measure_statistics(light))
    if components.preconditioner is not None:
        fit_preconditioner(components, fitted[:: max(1, len(fitted) // 64)])
    save_components(out, components, dtype=torch.float32)
    TextMean.fit(light).save(out / "text_mean.safetensors")
    return components


@torch.no_grad()
def fit_preconditioner(components: Components, paths: list[Path]) -> None:
    """Measure how far latents lie from a still video and from no motion."""
    assert components.preconditioner is not None
    codec, residuals, motions = components.codec, [], []
    for path in paths:
        video, pseudo_video = truth_videos(read_sequence(path), components.config)
        still = codec.encode_video(video[:, :1].expand_as(video))
        residuals.append(codec.encode_video(video) - still)
        motions.append(codec.encode_motion(pseudo_video))
    components.preconditioner.fit(torch.cat(residuals), torch.cat(motions))


def measure_statistics(sequences: list[Sequence]) -> Statistics:
    """Mean and standard deviation of the depth scale over the training set."""
    scales = np.concatenate([sequence.depth_scale for sequence in sequences]).astype(np.float64)
    near, far = scales.mean(0)
    near_std, far_std = np.maximum(scales.std(0), 1e-3)
    return Statistics((float(near), float(far)), (float(near_std), float(far_std)))


def _tracked(paths: list[Path], what: str, progress: Progress) -> Iterator[Path]:
    for done, path in enumerate(paths, start=1):
        yield path
        progress(what, done, len(paths))
