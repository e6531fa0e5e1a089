"""What `syncmv4d evaluate` can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from syncmv4d_cli.device import CPU
from syncmv4d_cli.evaluate_written import WrittenOptions
from syncmv4d_ros.recording import BagOptions


@dataclass(frozen=True)
class Options:
    """Score a checkpoint on a split of a data set, or on the tasks of a ROS 2 bag; prints a table and, with --json, writes all of it.

    A bag needs no ROS. It is scored against its ground-truth tracks if it has any; else by the agreement of the predicted tracks
    with the later images and with each other (consistency_*, which are no errors).

    Example: syncmv4d evaluate --data data/nano --split test_1 --json report.json --html report.html

    Example: syncmv4d evaluate --data data/nano --split test_1 --predictions out/other_method --json report.json

    Example: syncmv4d evaluate --bag my_bag --world-frame base --json report.json
    """

    data: Path | None = None
    """Data set DIR, which holds DIR/<split>/<sequence>/."""
    split: str | None = None
    """Which split, for example test_1: the folder's name in DIR."""
    bag: Path | None = None
    """Instead of a data set: a ROS 2 bag, its folder or its .mcap or .db3 file (needs the eval extra)."""
    reading: Annotated[BagOptions, tyro.conf.arg(name="")] = BagOptions()
    written: Annotated[WrittenOptions, tyro.conf.arg(name="")] = WrittenOptions()
    json: Path | None = None
    """Where to write the report. What is scored is kept beside it until then: the same command goes on after an interruption."""
    limit: int | None = None
    """Score only the first N sequences, or tasks of a bag."""
    checkpoint: Path | None = None
    """Checkpoint folder; the bundled one when not given."""
    views: int = 3
    """Cameras of a data set that the method sees and is scored on: the first N of each sequence, or all where there are fewer."""
    without: tuple[Literal["aligner", "cycle", "rigid_bodies", "refiner"], ...] = ()
    """Score the checkpoint without its point aligner (the coarse tracks are the answer), without feeding tracks back, without
    keeping tools and targets rigid, or without mending decoded frames."""
    steps: int | None = None
    """Denoising steps; the checkpoint's default when not given."""
    samples: int = 1
    """Predictions per sequence: the first is scored, mean and best of all are reported beside it."""
    seed: int = 0
    """Seed of noise, anchors and intervals."""
    device: str = CPU
    """Where the model computes: cpu, or cuda, cuda:1 ... (NVIDIA GPUs); the noise is the same on all."""
    networks: tuple[str, ...] = ()
    """Also score the videos with published networks, which is slow: any of dino, raft, clip, matcher, or all; NAME=SOURCE takes
    its weights from a local folder, file or cached hub id. Nothing is downloaded: the report says what is missing."""
    workers: int | None = None
    """Processes that score; when not given, all cores for --predictions and --baselines-only, and one beside a model."""
    cluster: str | None = None
    """Score on a Ray cluster (needs the cluster extra): local starts one here, auto or HOST:PORT joins one that runs. All its machines
    see DATA, and the checkpoint, under the same paths. The result is the same to the last digit."""
    html: Path | None = None
    """Also write a self-contained HTML page here."""
    html_videos: int = 3
    """How many of the best and how many of the worst sequences of a data set --html shows as videos; 0 = none."""
    markdown: Path | None = None
    """Also write the metrics as a Markdown table here."""
    sheet: Path | None = None
    """Also draw the scenes of the split that are predicted best and worst here, as a PNG."""
    sheet_scenes: int = 10
    """How many scenes --sheet shows."""
    baselines_only: bool = False
    """Score the static and text-mean rows only; needs no model, but takes the text mean of --checkpoint where one is given."""
