"""Names of all families of looks: what training may draw, and what only the split of unseen looks draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Range = Literal["known", "unseen"]


@dataclass(frozen=True)
class Family:
    """The members of one kind; `unseen` ones are never drawn for training."""

    known: tuple[str, ...]
    unseen: tuple[str, ...]
    unseen_share: float = 1.0  # of draws for an unseen look; the rest is known, where few members would make all alike


FAMILIES: dict[str, Family] = {
    "texture": Family(
        (
            "noise", "wood", "marble", "weave", "brushed", "stains", "gradient", "stripes", "checker", "dots", "speckle",
            "label", "photo",
        ),
        ("cells", "terrazzo", "zigzag", "contours", "collage"),
    ),
    "light": Family(("sun", "window", "lamp", "overcast"), ("low_sun", "two_lamps")),
    "room": Family(("open", "corner", "backdrop"), ("panels",), 0.5),
    "handle": Family(("turned", "bulged", "waisted", "faceted", "flat"), ("knobbed", "squared"), 0.6),
    "hammer": Family(("ball", "mallet", "club"), ("claw",)),
    "spatula": Family(("plain", "flared", "rounded"), ("slotted",)),
    "knife": Family(("utility", "chef", "cleaver"), ("clip",)),
    "brush": Family(("block", "oval", "round"), ("tufted",)),
    "roller": Family(("drum", "barrel"), ("ribbed",)),
    "spoon": Family(("oval", "round"), ("pointed",)),
    "cup": Family(("straight", "tapered", "curved"), ("waisted",)),
    "box": Family(("plain", "banded", "parcel", "lidded"), ("rounded",)),
    "toy": Family(("animal", "duck", "car", "blocks"), ("house", "robot")),
    "vessel": Family(("flared", "curved", "rimmed", "footed"), ("square", "oval")),
    "skin": Family(("smooth", "blotchy", "freckled", "hairy"), ("tattooed",), 0.5),
    "cover": Family(("bare", "long_sleeve", "short_sleeve", "cuffed", "glove"), ("gauntlet",), 0.4),
    "clutter": Family(("bottle", "book", "fruit", "can", "cable", "pen", "slab", "jar"), ("vase", "bricks"), 0.5),
}  # fmt: skip
"""By kind."""


def draw_family(kind: str, rng: np.random.Generator, look: Range, *, weights: dict[str, float] | None = None) -> str:
    """A member of that kind; known ones are drawn by `weights` (1 where none is named). KeyError for an unknown kind."""
    family = FAMILIES[kind]
    is_known = look == "known" or (family.unseen_share < 1 and rng.random() >= family.unseen_share)
    names = family.known if is_known else family.unseen
    share = np.array([(weights or {}).get(name, 1.0) for name in names])
    return names[int(rng.choice(len(names), p=share / share.sum()))]
