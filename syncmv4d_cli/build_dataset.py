"""`syncmv4d build-dataset`: sequences with exact tracks, simulated (here) or from recordings (build_taco.py)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from syncmv4d_cli.build_taco import Taco, build_taco
from syncmv4d_cli.choices import choose
from syncmv4d_cli.dataset_finder import load_finder
from syncmv4d_cli.least import check_least

TACO_WIDTH = 512
MOST_SIZE_PX, LEAST_WIDTH_PX, MOST_WIDTH_PX = 4096, 32, 4096
Split = Literal[
    "train", "val", "test_1", "test_2", "test_3", "test_4", "unseen_action", "open", "hard", "unseen_rig", "unseen_look"
]
LEAST = {"count": 1, "size": 32, "points": 1, "workers": 1, "seed": 0, "views": 0, "width": 0}


@dataclass(frozen=True)
class Sim:
    """Simulate sequences into DIR/<split>/; run it again to go on where it stopped.

    Cameras are bolted down before anything happens, and what the networks see of them, the window, is chosen from the first
    images alone: by the checkpoint's finder, or as --windows says.

    Splits, fixed by rule before any training: train and val hold 28 triplets (verb, tool, target) and all kinds of scenes; test_1 the
    same triplets in other, plain scenes; test_2 sizes and shapes outside the trained range; test_3 12 other triplets, and the target
    bowl, which training never shows; test_4 the tool spoon and unseen_action the verb smear, which training never shows; open futures
    that the first image leaves open; hard scenes that start in mid-action, take the tool up, are cut by the picture, lack an object, do
    not fit the sentence or show look-alikes; unseen_rig cameras and unseen_look textures, lights and shapes that training never shows.

    Example: syncmv4d build-dataset sim --out data/nano --count 64 --split test_1

    Example: syncmv4d build-dataset sim --out data/first --count 4000 --frames 1 --windows truth
    """

    out: Path
    """Data-set folder."""
    count: int
    """Sequences that the split shall hold."""
    seed: int = 0
    """Seed, split and number decide a sequence; another seed, other scenes."""
    split: Split = "train"
    """Which rule chooses triplets, sizes, shapes, kinds of scenes, rigs and looks (above)."""
    frames: Literal[1, 17] = 17
    """1: first images with masks and depth only, without videos."""
    size: int = 96
    """Width and height of the windows, pixels."""
    rig: Literal["split", "known", "unseen", "taco", "framed"] = "split"
    """Cameras: as the split's rule says; known or unseen ones; TACO's real calibration; framed: the old rule, which cuts every picture
    to where the action WILL be. Its data know the future and are for comparison only."""
    views: int = 0
    """Cameras of every scene; 0: 1 to 6 for train and val, 3 for the others, 6 for the first 64 of test_1."""
    windows: Literal["finder", "truth", "largest"] = "finder"
    """What chooses the windows: the checkpoint's finder; the true boxes of the first images (to train a finder with, never to score
    one); or the largest centred square."""
    checkpoint: Path | None = None
    """Checkpoint, or a finder's own folder, whose finder is used; the bundled checkpoint when not given. Refused if it has none."""
    width: int = 0
    """Width of the whole first images, pixels; 0: 320 for train, every tenth 640; 640 for the others."""
    points: int = 1024
    """Truth anchors per view."""
    workers: int = 2
    """Processes that simulate side by side; their number changes nothing in the data."""
    layout: Literal["syncmv4d", "taco"] = "syncmv4d"
    """Ours, or TACO's own: twelve cameras at 30 Hz, --width wide (512 when not given)."""


def main(args: list[str]) -> int:
    """Entry of `syncmv4d build-dataset`."""
    return choose(args, "syncmv4d build-dataset", {"sim": (Sim, build_sim), "taco": (Taco, build_taco)})


def build_sim(options: Sim) -> None:
    """Build, then say how many scenes were rejected and why. ValueError for a number below its least."""
    from syncmv4d_sim.dataset import build
    from syncmv4d_sim.sequences import BuildOptions

    check_least(options, LEAST)
    _check(options)
    others = {path.name for path in options.out.glob("options_*.json")} - {f"options_{options.split}.json"}
    if options.layout == "taco" and others:
        raise ValueError(
            f"TACO's layout tells no splits apart, and {options.out} holds {min(others)}: choose another folder"
        )
    uses_finder = options.windows == "finder" and options.rig != "framed" and options.layout == "syncmv4d"
    finder, identity = load_finder("finder" if uses_finder else "largest", options.checkpoint)
    chosen = BuildOptions(
        split=options.split,
        seed=options.seed,
        frames=options.frames,
        size=options.size,
        num_points=options.points,
        rig=options.rig,
        views=options.views,
        windows=options.windows,
        finder=identity,
        width=options.width or (TACO_WIDTH if options.layout == "taco" else 0),
        layout=options.layout,
    )
    reasons = build(options.out, chosen, count=options.count, finder=finder, workers=options.workers)
    print(f"{options.count} sequences of {options.split} in {options.out}; {reasons.total()} scenes rejected")
    for reason, number in reasons.most_common(5):
        print(f"  {number:4d}  {reason}")


def _check(options: Sim) -> None:
    """ValueError for numbers that are too large, and for options that would be ignored."""
    if options.size > MOST_SIZE_PX or options.width > MOST_WIDTH_PX:
        raise ValueError(f"--size must be at most {MOST_SIZE_PX} px and --width {MOST_WIDTH_PX}")
    if 0 < options.width < LEAST_WIDTH_PX:
        raise ValueError(f"--width must be at least {LEAST_WIDTH_PX} px, got {options.width}")
    default = Sim(options.out, options.count)
    ignored = {
        "--rig taco": ("views",) if options.rig == "taco" else (),
        "--rig framed": ("views", "windows") if options.rig == "framed" else (),
        "--layout taco": ("frames", "views", "rig", "windows", "points", "size") if options.layout == "taco" else (),
    }
    for reason, names in ignored.items():
        for name in names:
            if getattr(options, name) != getattr(default, name):
                raise ValueError(f"--{name} has no effect with {reason}")
