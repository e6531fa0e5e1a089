"""`syncmv4d bench codec`: how much motion and picture survives encode-decode, for the ways of coding identity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

if TYPE_CHECKING:
    from syncmv4d_model.config import CodecConfig, ModelConfig
    from syncmv4d_model.data.sequence import Sequence
    from syncmv4d_model.networks.latents import PcaCodec


@dataclass(frozen=True)
class Codec:
    """Fit block codecs to DATA's training split and score them on another: the error of moving points, no network involved."""

    data: Path
    """Data set folder."""
    split: str = "test_1"
    """Where to score."""
    limit: int = 32
    """Sequences to score."""
    fit_sequences: int = 200
    """Training sequences to fit to."""
    motion_channels: tuple[int, ...] = (48, 128, 192)
    """Latent channels of the motion code to compare."""


@dataclass(frozen=True)
class Row:
    """Scores of one codec: means over sequences."""

    name: str
    error_cm: float
    ratio: float
    psnr: float


def bench_codec(options: Codec) -> None:
    """Print the table; the first row has no codec at all, only the 8-bit pseudo video."""
    from syncmv4d_model.config import NANO
    from syncmv4d_model.data.loader import truth_videos
    from syncmv4d_model.data.sequence import list_sequences, read_sequence
    from syncmv4d_model.networks.pca_fit import fit_pca_codec

    fitted = list_sequences(options.data, "train", limit=options.fit_sequences)
    scored = [read_sequence(path) for path in list_sequences(options.data, options.split, limit=options.limit)]
    rows = [score(None, NANO, scored, "8-bit pseudo video, no codec")]
    for identity in ("absolute", "relative"):
        for channels in options.motion_channels:
            codec_config: CodecConfig = replace(NANO.codec, identity=identity, motion_channels=channels)
            config = replace(NANO, codec=codec_config)
            name = f"{identity}, {channels} channels"
            videos = (truth_videos(read_sequence(path), config) for path in track(fitted, name, transient=True))
            codec = fit_pca_codec(videos, codec_config, motion=config.motion)
            rows.append(score(codec, config, scored, name))
    show(rows, f"{options.split}, {len(scored)} sequences, fitted to {len(fitted)}")


def score(codec: PcaCodec | None, config: ModelConfig, sequences: Iterable[Sequence], name: str) -> Row:
    """End-point error of moving points after encode-decode, as in evaluation.metrics, and the video's PSNR."""
    import torch

    from syncmv4d_model.data.loader import truth_videos
    from syncmv4d_model.evaluation import metrics
    from syncmv4d_model.evaluation.predicted import cameras_of
    from syncmv4d_model.motion.pseudo_video import EXACT, decode_denormalise

    errors, still, squared = [], [], []
    for sequence in sequences:
        video, pseudo_video = truth_videos(sequence, config)
        with torch.no_grad():
            if codec is None:
                decoded, noise = (pseudo_video * 255).round() / 255, EXACT
            else:
                decoded, noise = codec.decode_motion(codec.encode_motion(pseudo_video)), codec.motion_noise
                squared.append((codec.decode_video(codec.encode_video(video)) - video)[:, 1:].square().mean().item())
        coarse = decode_denormalise(
            decoded[None],
            torch.from_numpy(sequence.anchors_px)[None],
            cameras_of(sequence),
            torch.from_numpy(sequence.depth_scale)[None],
            motion=config.motion,
            splat_px=config.motion.dense_splat_px,
            noise=noise,
        )
        tracks = metrics.filled_in_time(
            coarse.points_world[0].numpy(), coarse.valid[0].numpy(), first_frame=sequence.positions[:, 0]
        )
        truth = sequence.positions.astype(np.float64)
        errors.append(metrics.end_point_error(tracks, truth, sequence.visible))
        still.append(metrics.end_point_error(np.broadcast_to(truth[:, :1], truth.shape), truth, sequence.visible))
    psnr = float(10 * np.log10(4 / np.mean(squared))) if squared else float("nan")
    return Row(name, 100 * float(np.mean(errors)), float(np.mean(errors) / np.mean(still)), psnr)


def show(rows: list[Row], title: str) -> None:
    """The table on the terminal."""
    table = Table(title=title)
    for column in ("codec", "error cm", "ratio to static", "video PSNR dB"):
        table.add_column(column, justify="left" if column == "codec" else "right")
    for row in rows:
        psnr = "-" if np.isnan(row.psnr) else f"{row.psnr:.1f}"
        table.add_row(row.name, f"{row.error_cm:.2f}", f"{row.ratio:.3f}", psnr)
    Console().print(table)
