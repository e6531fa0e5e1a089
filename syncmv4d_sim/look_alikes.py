"""Objects of the target's kind that stand beside it, and the words that tell the target apart from
them.

Where they stand follows from what frame 0 shows: the target, and how the hand holds the tool. They
never move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import transform
from syncmv4d_sim.clearance import FOREARM_LENGTH_M, distance, surface_points
from syncmv4d_sim.families import Range
from syncmv4d_sim.objects import ObjectModel
from syncmv4d_sim.targets import make_target
from syncmv4d_sim.words import draw_colours, painted

BY_COLOUR_SHARE = 0.6
SIZE_STEP = (1.3, 1.45)  # between look-alikes that only their size tells apart
TWO_WORDS = {"smaller": ("small", "smaller"), "larger": ("large", "larger", "big", "bigger")}
THREE_WORDS = {"smaller": ("smallest",), "larger": ("largest", "biggest")}

OUT_M = (0.13, 0.34)  # from the target's origin
TARGET_GAP_M = 0.03
HAND_GAP_M = 0.10  # from the axis of hand and forearm, at the start and where the act is done
WAY_GAP_M = 0.05  # from the tool on its way
PLACE_TRIES = 60

Placed = tuple[ObjectModel, Float[np.ndarray, "4 4"]]


@dataclass(frozen=True)
class Alikes:
    """The target, its look-alikes, and what the sentence calls the target."""

    target: ObjectModel
    others: tuple[ObjectModel, ...]
    phrase: str


def draw_alikes(target: ObjectModel, rng: np.random.Generator, *, novel: bool, look: Range = "known") -> Alikes:
    """One or two more of the target's kind, of other colours, or of one colour and other sizes."""
    count = int(rng.integers(1, 3))
    if rng.random() < BY_COLOUR_SHARE:
        own, *colours = draw_colours(1 + count, rng)
        others = [painted(make_target(target.name, rng, novel=novel, look=look), colour, rng) for colour in colours]
        return Alikes(painted(target, own, rng), tuple(others), f"{own} {target.name}")
    way = "smaller" if rng.random() < 0.5 else "larger"
    words = (TWO_WORDS if count == 1 else THREE_WORDS)[way]
    steps = np.cumprod(rng.uniform(*SIZE_STEP, count))
    others = [scaled(target, float(step if way == "smaller" else 1 / step)) for step in steps]
    return Alikes(target, tuple(others), f"{words[rng.integers(len(words))]} {target.name}")


def scaled(model: ObjectModel, factor: float) -> ObjectModel:
    """The same object, larger or smaller; its mass follows its volume."""

    def scaled_pose(pose: np.ndarray) -> np.ndarray:
        result = pose.copy()
        result[:3, 3] *= factor
        return result

    return replace(
        model,
        parts=tuple(replace(part, vertices=part.vertices * factor) for part in model.parts),
        collision=tuple(
            replace(
                part,
                size=tuple(factor * side for side in part.size),
                body_from_part=scaled_pose(part.body_from_part),
            )
            for part in model.collision
        ),
        mass_kg=model.mass_kg * factor**3,
        size_m=model.size_m * factor,
        work_point=model.work_point * factor,
        details={name: value * factor for name, value in model.details.items()},
    )


def place_alikes(
    alikes: Alikes,
    world_from_target: Float[np.ndarray, "4 4"],
    rng: np.random.Generator,
    *,
    world_from_tool: Float[np.ndarray, "K 4 4"],
    world_from_grip: Float[np.ndarray, "G 4 4"],
    tool: ObjectModel,
    apart: Float[np.ndarray, "P 3"],
) -> tuple[Placed, ...] | None:
    """Stand the look-alikes on the table, clear of the target, of each other, of tool and arm in
    the given poses, and of the points `apart`.

    None where PLACE_TRIES places for one of them were all taken.
    """
    taken = surface_points(alikes.target, world_from_target)
    tool_points = np.concatenate([transform(pose, tool.vertices[::4]) for pose in world_from_tool] + [apart])
    reach = np.linspace(-0.06, FOREARM_LENGTH_M, 7)
    arm = (world_from_grip[:, None, :3, 3] + reach[:, None] * world_from_grip[:, None, :3, 2]).reshape(-1, 3)
    placed: list[Placed] = []
    for model in alikes.others:
        for _ in range(PLACE_TRIES):
            pose = _draw_pose(world_from_target[:3, 3], rng)
            points = surface_points(model, pose)
            is_free = (
                distance(points, taken) > TARGET_GAP_M
                and distance(points, arm) > HAND_GAP_M
                and distance(points, tool_points) > WAY_GAP_M
            )
            if is_free:
                placed.append((model, pose))
                taken = np.concatenate([taken, points])
                break
        else:
            return None
    return tuple(placed)


def _draw_pose(centre: Float[np.ndarray, "3"], rng: np.random.Generator) -> Float[np.ndarray, "4 4"]:
    azimuth, out, yaw, pose = rng.uniform(-np.pi, np.pi), rng.uniform(*OUT_M), rng.uniform(-np.pi, np.pi), np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:2, 3] = centre[:2] + out * np.array([np.cos(azimuth), np.sin(azimuth)])
    return pose
