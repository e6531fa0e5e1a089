"""Which triplets, sizes, kinds of scenes, rigs and looks each split may use: fixed here, before any training.

test_1: seen triplets, new seeds. test_2: seen triplets, unseen sizes and shapes. test_3: unseen triplets, and the
target "bowl" that training never shows. test_4: also the tool "spoon" that training never shows. unseen_action: the
verb "smear". open: seen triplets, futures that frame 0 leaves open. hard: the kinds in HARD_KINDS, one after the other.
unseen_rig, unseen_look: seen triplets through cameras, or with textures, lights and shapes, that training never draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SPLITS = (
    "train", "val", "test_1", "test_2", "test_3", "test_4", "unseen_action",
    "open", "hard", "unseen_rig", "unseen_look",
)  # fmt: skip

STORY_SHARES = {
    "mid_action": 0.20, "take_up": 0.10, "missing_tool": 0.04, "missing_target": 0.04, "unfit_sentence": 0.04,
}  # fmt: skip
"""What a scene of a mixed split may be, at most one of these; the rest are plain: at rest, the tool in the hand."""
OPEN_SHARE = 1 / 3  # of all scenes of a mixed split
PARTLY_OUTSIDE_SHARE = 0.10
LOOK_ALIKE_SHARE = 0.10
LEFT_HAND_SHARE = 0.25  # of every split
HARD_KINDS = (
    "mid_action", "take_up", "partly_outside", "missing_tool", "missing_target", "unfit_sentence", "look_alike",
)  # fmt: skip

HELD_OUT_TARGET = "bowl"
HELD_OUT_TOOL = "spoon"
HELD_OUT_VERB = "smear"

Triplet = tuple[str, str, str]
"""(verb, tool, target), TACO's order."""

SEEN: tuple[Triplet, ...] = (
    ("hit", "hammer", "box"),
    ("push", "spatula", "box"),
    ("stir", "spatula", "pan"),
    ("cut", "knife", "box"),
    ("dust", "brush", "box"),
    ("pour in some", "cup", "pan"),
    ("hit", "hammer", "toy"),
    ("push", "roller", "toy"),
    ("stir", "knife", "pan"),
    ("cut", "knife", "toy"),
    ("dust", "roller", "box"),
    ("hit", "hammer", "pan"),
    ("push", "brush", "plate"),
    ("stir", "brush", "pan"),
    ("cut", "spatula", "box"),
    ("dust", "brush", "plate"),
    ("pour in some", "cup", "plate"),
    ("hit", "spatula", "toy"),
    ("push", "hammer", "box"),
    ("stir", "spatula", "plate"),
    ("cut", "knife", "plate"),
    ("dust", "roller", "plate"),
    ("hit", "roller", "box"),
    ("push", "brush", "toy"),
    ("stir", "knife", "plate"),
    ("dust", "spatula", "box"),
    ("push", "hammer", "toy"),
    ("hit", "spatula", "plate"),
)
UNSEEN: tuple[Triplet, ...] = (
    ("hit", "hammer", "plate"), ("push", "spatula", "toy"), ("stir", "spatula", "bowl"), ("cut", "spatula", "toy"),
    ("dust", "brush", "pan"), ("pour in some", "cup", "bowl"), ("push", "roller", "box"), ("stir", "brush", "bowl"),
    ("hit", "roller", "toy"), ("push", "hammer", "bowl"), ("dust", "roller", "pan"), ("stir", "brush", "plate"),
)  # fmt: skip
UNSEEN_TOOL: tuple[Triplet, ...] = (
    ("stir", "spoon", "pan"), ("stir", "spoon", "bowl"), ("hit", "spoon", "box"), ("push", "spoon", "toy"),
    ("stir", "spoon", "plate"), ("push", "spoon", "box"), ("hit", "spoon", "plate"), ("push", "spoon", "plate"),
)  # fmt: skip
UNSEEN_ACTION: tuple[Triplet, ...] = (
    ("smear", "brush", "plate"), ("smear", "spatula", "pan"), ("smear", "brush", "box"), ("smear", "roller", "box"),
    ("smear", "roller", "plate"), ("smear", "knife", "plate"),
)  # fmt: skip


@dataclass(frozen=True)
class SplitRule:
    """What a split draws from; `stream` keeps the splits' random numbers apart."""

    triplets: tuple[Triplet, ...]
    novel_sizes: bool
    stream: int
    kinds: Literal["plain", "mix", "open", "hard"] = "plain"
    rig: Literal["known", "unseen"] = "known"
    look: Literal["known", "unseen"] = "known"


RULES: dict[str, SplitRule] = {
    "train": SplitRule(SEEN, False, 0, kinds="mix"),
    "val": SplitRule(SEEN, False, 1, kinds="mix"),
    "test_1": SplitRule(SEEN, False, 2),
    "test_2": SplitRule(SEEN, True, 3),
    "test_3": SplitRule(UNSEEN, False, 4),
    "test_4": SplitRule(UNSEEN_TOOL, False, 5),
    "unseen_action": SplitRule(UNSEEN_ACTION, False, 6),
    "open": SplitRule(SEEN, False, 7, kinds="open"),
    "hard": SplitRule(SEEN, False, 8, kinds="hard"),
    "unseen_rig": SplitRule(SEEN, False, 9, rig="unseen"),
    "unseen_look": SplitRule(SEEN, False, 10, look="unseen"),
}


def rule_of(split: str) -> SplitRule:
    """The rule of a split; ValueError names the known splits."""
    if split not in RULES:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    return RULES[split]


def triplet_name(triplet: Triplet) -> str:
    """TACO's folder name, e.g. "(pour in some, cup, pan)"."""
    return f"({', '.join(triplet)})"
