"""Kinds of scenes, as tags: what a scene shows besides the plain case, and whether its future is
open.

Tags depend on split, seed and number alone, never on how many scenes were rejected: quality control
cannot change the shares.
"""

from __future__ import annotations

import numpy as np

from syncmv4d_sim.splits import (
    HARD_KINDS,
    LEFT_HAND_SHARE,
    LOOK_ALIKE_SHARE,
    OPEN_SHARE,
    PARTLY_OUTSIDE_SHARE,
    STORY_SHARES,
    SplitRule,
)

TAGS = {
    "closed": "frame 0 decides the motion, up to a short delay and a few per cent of pace",
    "open": "frame 0 and sentence leave side, direction, phase, length or number of strokes open",
    "mid_action": "the recording starts in the middle of the act, the hand moving",
    "take_up": "in frame 0 the tool is in a stand and the hand is open; the hand takes it",
    "partly_outside": "the hand or an object is to be cut by the border of the picture",
    "missing_tool": "the named tool is not there; nothing is to be done",
    "missing_target": "the named target is not there; nothing is to be done",
    "unfit_sentence": "the sentence names other objects than those that are there; nothing is to be done",
    "look_alike": "two or three objects of the target's kind; the sentence tells them apart",
    "left_hand": "a left hand acts: the scene is filmed in a mirror (filming.py)",
}
"""Every tag and what it says. A scene has exactly one of "open" and "closed"."""

IDLE_TAGS = frozenset({"missing_tool", "missing_target", "unfit_sentence"})
"""Kinds in which nothing sensible can be done: the hand stays about where it is."""
NEVER_TAKEN_UP = ("cup",)  # a full cup does not lie in a stand

_TAG_STREAM = 110


def draw_tags(rule: SplitRule, *, seed: int, index: int) -> tuple[str, ...]:
    """The tags of a split's sequence: "open" or "closed" first."""
    rng = np.random.default_rng([seed, rule.stream, index, 0, _TAG_STREAM])
    left = ("left_hand",) if rng.random() < LEFT_HAND_SHARE else ()
    _, tool, _ = rule.triplets[index % len(rule.triplets)]
    if rule.kinds == "hard":
        kind = HARD_KINDS[(index + index // len(rule.triplets)) % len(HARD_KINDS)]
        return ("closed", "mid_action" if kind == "take_up" and tool in NEVER_TAKEN_UP else kind, *left)
    if rule.kinds == "mix":
        return (*_draw_mixed(rng, tool), *left)
    return ("open" if rule.kinds == "open" else "closed", *left)


def _draw_mixed(rng: np.random.Generator, tool: str) -> tuple[str, ...]:
    stories, shares = list(STORY_SHARES), list(STORY_SHARES.values())
    story = [*stories, ""][rng.choice(len(stories) + 1, p=[*shares, 1 - sum(shares)])]
    if story == "take_up" and tool in NEVER_TAKEN_UP:
        story = ""
    may_be_open = 1 - sum(share for name, share in STORY_SHARES.items() if name != "take_up")
    is_open = rng.random() < OPEN_SHARE / may_be_open and story in ("", "take_up")
    outside, alike = rng.random() < PARTLY_OUTSIDE_SHARE, rng.random() < LOOK_ALIKE_SHARE
    extras = [story, "partly_outside" * outside, "look_alike" * (alike and story not in IDLE_TAGS)]
    return ("open" if is_open else "closed", *(tag for tag in extras if tag))
