"""Which triplets and sizes each split may use: fixed here, before any training.

test_1: seen triplets, new seeds. test_2: seen triplets, unseen sizes and shapes. test_3: unseen triplets, and the
target "bowl" that training never shows. test_4: also the tool "spoon" that training never shows. unseen_action: the
verb "smear".
"""

from __future__ import annotations

from dataclasses import dataclass

SPLITS = ("train", "val", "test_1", "test_2", "test_3", "test_4", "unseen_action")

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


RULES: dict[str, SplitRule] = {
    "train": SplitRule(SEEN, False, 0),
    "val": SplitRule(SEEN, False, 1),
    "test_1": SplitRule(SEEN, False, 2),
    "test_2": SplitRule(SEEN, True, 3),
    "test_3": SplitRule(UNSEEN, False, 4),
    "test_4": SplitRule(UNSEEN_TOOL, False, 5),
    "unseen_action": SplitRule(UNSEEN_ACTION, False, 6),
}


def rule_of(split: str) -> SplitRule:
    """The rule of a split; ValueError names the known splits."""
    if split not in RULES:
        raise ValueError(f"unknown split {split!r}; known: {', '.join(SPLITS)}")
    return RULES[split]


def triplet_name(triplet: Triplet) -> str:
    """TACO's folder name, e.g. "(pour in some, cup, pan)"."""
    return f"({', '.join(triplet)})"
