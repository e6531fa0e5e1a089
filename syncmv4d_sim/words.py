"""Sentences that ask for an action, and the colour and size words that tell objects apart."""

from __future__ import annotations

import numpy as np

from syncmv4d_sim.objects import ObjectModel, with_colour

NAMED_COLOURS = {
    "red": (0.80, 0.07, 0.07), "green": (0.08, 0.50, 0.13), "blue": (0.08, 0.20, 0.78), "yellow": (0.95, 0.83, 0.08),
    "orange": (0.97, 0.45, 0.03), "purple": (0.46, 0.10, 0.62), "white": (0.95, 0.95, 0.94), "black": (0.05, 0.05, 0.06),
    "brown": (0.36, 0.20, 0.09), "grey": (0.48, 0.49, 0.50),
}  # fmt: skip
CONFUSABLE = (
    {"white", "grey"},
    {"black", "grey"},
    {"orange", "red"},
    {"orange", "yellow"},
    {"brown", "black"},
    {"brown", "red"},
)
"""Pairs that one light or another makes alike: never both among look-alikes."""

_PHRASES = {
    "hit": ("hit {o}", "strike {o}"),
    "stir": ("stir in {o}", "stir {o}"),
    "cut": ("cut {o}", "slice {o}"),
    "dust": ("dust {o}", "wipe {o}"),
    "push": ("push {o}", "push {o} away"),
    "pour in some": ("pour some into {o}", "pour in some to {o}"),
    "smear": ("smear {o}", "smear over {o}"),
}
_TEMPLATES = (
    "use a {tool} to {act}", "{act} with a {tool}", "take the {tool} and {act}", "with the {tool}, {act}",
    "please {act} using the {tool}", "{act} using a {tool}",
)  # fmt: skip


def sentence(verb: str, tool: str, target: str, rng: np.random.Generator, *, is_one_of_many: bool = False) -> str:
    """One English wording of the triplet; `target` may carry an adjective. One of many is always
    "the".
    """
    article = "the" if rng.random() < 0.5 or is_one_of_many else "an" if target[0] in "aeiou" else "a"
    act = _PHRASES[verb][int(rng.random() < 0.3)].format(o=f"{article} {target}")
    template = _TEMPLATES[0] if rng.random() < 0.3 else _TEMPLATES[rng.integers(len(_TEMPLATES))]
    return template.format(act=act, tool=tool)


def draw_colours(count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Names of that many colours that nobody confuses."""
    while True:
        names = tuple(str(name) for name in rng.choice(list(NAMED_COLOURS), count, replace=False))
        if not any(pair <= set(names) for pair in CONFUSABLE):
            return names


def painted(model: ObjectModel, colour: str, rng: np.random.Generator) -> ObjectModel:
    """The object with its main parts in a shade of a named colour."""
    return with_colour(model, np.clip(np.array(NAMED_COLOURS[colour]) * rng.uniform(0.85, 1.1), 0, 1))
