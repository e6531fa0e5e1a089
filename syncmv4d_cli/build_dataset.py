"""`syncmv4d build-dataset`: sequences with exact tracks, simulated (here) or from recordings (build_taco.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from syncmv4d_cli.build_taco import Taco, build_taco
from syncmv4d_cli.choices import choose
from syncmv4d_cli.least import check_least

LEAST = {"count": 1, "size": 32, "points": 1, "workers": 1, "seed": 0}  # smaller pictures show too little of a hand


@dataclass(frozen=True)
class Sim:
    """Simulate sequences into DIR/<split>/; run it again to go on where it stopped.

    Splits, fixed by rule before any training: train and val hold 28 triplets (verb, tool, target); test_1 the same triplets in other
    scenes; test_2 the same triplets in sizes and shapes outside the trained range; test_3 12 other triplets, and the target bowl, which
    training never shows; test_4 the tool spoon and unseen_action the verb smear, which training never shows.

    Example: syncmv4d build-dataset sim --out data/nano --count 64 --split test_1
    """

    out: Path
    """Data-set folder."""
    count: int
    """Sequences that the split shall hold."""
    seed: int = 0
    """Seed, split and number decide a sequence; another seed, other scenes."""
    split: Literal["train", "val", "test_1", "test_2", "test_3", "test_4", "unseen_action"] = "train"
    """Which rule chooses triplets, sizes and shapes (above)."""
    size: int = 96
    """Picture width and height, pixels."""
    rig: Literal["random", "taco"] = "random"
    """Cameras: random clusters, or TACO's real calibration."""
    points: int = 1024
    """Truth anchors per view."""
    workers: int = 2
    """Processes that simulate side by side; their number changes nothing in the data."""
    layout: Literal["syncmv4d", "taco"] = "syncmv4d"
    """Ours, or TACO's own: twelve cameras at 30 Hz, --size wide (--rig and --points do not apply)."""


def main(args: list[str]) -> int:
    """Entry of `syncmv4d build-dataset`."""
    return choose(args, "syncmv4d build-dataset", {"sim": (Sim, build_sim), "taco": (Taco, build_taco)})


def build_sim(options: Sim) -> None:
    """Build, then say how many scenes were rejected and why. ValueError for a number below its least."""
    from syncmv4d_sim.dataset import BuildOptions, build

    check_least(options, LEAST)
    others = {path.name for path in options.out.glob("options_*.json")} - {f"options_{options.split}.json"}
    if options.layout == "taco" and others:
        raise ValueError(
            f"TACO's layout tells no splits apart, and {options.out} holds {min(others)}: choose another folder"
        )
    chosen = BuildOptions(
        split=options.split,
        seed=options.seed,
        height=options.size,
        width=options.size,
        num_points=options.points,
        rig=options.rig,
        layout=options.layout,
    )
    reasons = build(options.out, chosen, count=options.count, workers=options.workers)
    print(f"{options.count} sequences of {options.split} in {options.out}; {reasons.total()} scenes rejected")
    for reason, number in reasons.most_common(5):
        print(f"  {number:4d}  {reason}")
