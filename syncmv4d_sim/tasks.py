"""What each verb does: the tool's planned path, and the sentences that ask for it.

The first image decides the motion. The tool starts at rest somewhere around the target; where it must go follows from
where tool and target are, how large the target is, and from which side the tool comes. Only a short delay, a few per
cent of pace and the sentence's wording are hidden from the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.objects import ObjectModel

VERBS = ("hit", "stir", "cut", "dust", "push", "pour in some", "smear")
START_ARC_DEG = 100.0  # either side of the operator, who stands at azimuth 90
SWEEP_ROOM_M = 0.012  # less room than this in a pan, and the tool sweeps over the rim instead
VESSELS = ("plate", "bowl", "pan")

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

ToolPath = Float[np.ndarray, "N 6"]
"""Work point x, y, z (world, metres), yaw, pitch (working end down), roll of the tool, radians."""


@dataclass(frozen=True)
class Task:
    """What a motion is planned from."""

    verb: str
    tool: ObjectModel
    target: ObjectModel
    world_from_target: Float[np.ndarray, "4 4"]
    rng: np.random.Generator

    @property
    def centre(self) -> Float[np.ndarray, "3"]:
        return self.world_from_target[:3, 3]

    @property
    def top_m(self) -> float:
        """Height at which a tool meets the target: the rim of a vessel, the top of a solid."""
        return float(self.target.size_m[2] if self.target.name in VESSELS else self.target.work_point[2])


@dataclass(frozen=True)
class Start:
    """The tool at rest in frame 0, relative to the place where the act begins."""

    offset: Float[np.ndarray, "3"]  # from the first point of the act to the work point
    yaw: float
    delay_s: float
    reach_s: float

    @property
    def away(self) -> Float[np.ndarray, "2"]:
        """Horizontal unit vector from the target to the tool."""
        return self.offset[:2] / np.linalg.norm(self.offset[:2])


def sentence(verb: str, tool: str, target: str, rng: np.random.Generator) -> str:
    """One English wording of the triplet."""
    article = "the" if rng.random() < 0.5 else "a"
    act = _PHRASES[verb][int(rng.random() < 0.3)].format(o=f"{article} {target}")
    template = _TEMPLATES[0] if rng.random() < 0.3 else _TEMPLATES[rng.integers(len(_TEMPLATES))]
    return template.format(act=act, tool=tool)


def minimum_jerk(time_s: Float[np.ndarray, "N"], start_s: float, end_s: float) -> Float[np.ndarray, "N"]:
    """0 before start, 1 after end, smooth to the second derivative between."""
    s = np.clip((time_s - start_s) / (end_s - start_s), 0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)


def sample_start(rng: np.random.Generator, yaw: float) -> Start:
    """10 to 23 cm away, anywhere but opposite the operator, mostly sideways; farther takes longer."""
    distance, azimuth, elevation = (
        rng.uniform(0.10, 0.23),
        np.radians(90 + rng.uniform(-START_ARC_DEG, START_ARC_DEG)),
        np.radians(rng.uniform(2, 42)),
    )
    horizontal = distance * np.cos(elevation)
    offset = np.array([horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), distance * np.sin(elevation)])
    reach = 0.5 + 0.4 * (distance - 0.10) / 0.18
    return Start(offset, yaw, float(rng.uniform(0, 0.15)), float(reach * rng.uniform(0.96, 1.04)))


def plan(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """The tool's path for the task, from rest at `start`."""
    return _ACTS[task.verb](task, start, time_s)


def act_pitch(task: Task) -> float:
    """How far the working end points down while acting, radians: enough to keep the fist clear."""
    verb, tool = task.verb, task.tool.name
    ranges = {
        "hit": (2, 14),
        "stir": (38, 55),
        "cut": (4, 11),
        "dust": (14, 28),
        "push": (28, 42),
        "smear": (16, 30),
        "pour in some": (-90, -90),
    }
    special = {
        ("cut", "spatula"): (42, 55),
        ("dust", "roller"): (25, 40),
        ("hit", "roller"): (10, 20),
        ("dust", "spatula"): (25, 40),
    }
    low, high = special.get((verb, tool), ranges[verb])
    if verb == "hit" and task.top_m < 0.05:
        low, high = low + 20, high + 20
    return float(np.radians(task.rng.uniform(low, high)))


def _reach(
    task: Task,
    start: Start,
    time_s: Float[np.ndarray, "N"],
    *,
    first: Float[np.ndarray, "3"],
    pitch: float,
    over_m: float,
) -> ToolPath:
    """Rest, then go from `start` to `first`, coming down over the rim only near the end (`over_m` above `first`)."""
    rng = task.rng
    begin, end = start.delay_s, start.delay_s + start.reach_s
    near, down = minimum_jerk(time_s, begin, end), minimum_jerk(time_s, begin + 0.7 * start.reach_s, end + 0.12)
    path = np.zeros((len(time_s), 6))
    path[:, :3] = first + np.array([0, 0, over_m]) + (1 - near)[:, None] * start.offset
    path[:, 2] -= over_m * down
    turn, dip, tilt = np.radians(rng.uniform([-12, -22, -16], [12, 8, 16]))
    path[:, 3] = start.yaw + turn * (1 - near)
    path[:, 4] = pitch + dip * (1 - near)
    path[:, 5] = tilt * (1 - near)
    return path


def _side(start: Start) -> float:
    """+1 or -1: which side of the tool's own direction the target lies on. Visible in the first image."""
    return float(np.sign(np.cos(start.yaw) * start.away[1] - np.sin(start.yaw) * start.away[0]) or 1.0)


def _hit(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Strikes from a raised pose; taller swings over taller targets."""
    pitch = act_pitch(task)
    swing = np.radians(24 + 160 * min(task.top_m, 0.1))
    first = task.centre + np.array([0, 0, max(task.target.work_point[2] - 0.008, 0.001)])
    path = _reach(task, start, time_s, first=first, pitch=pitch, over_m=0.0)
    begin = start.delay_s + start.reach_s
    lift = minimum_jerk(time_s, start.delay_s, begin)
    for strike in range(4):
        down = begin + 0.46 * strike
        lift = lift - minimum_jerk(time_s, down, down + 0.2) + minimum_jerk(time_s, down + 0.24, down + 0.46)
    arm = task.tool.work_point[0]
    path[:, 4] -= swing * lift
    path[:, 2] += arm * np.sin(swing * lift) * 0.9
    return path


def _stir(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Circles in a vessel, entered at the side the tool comes from."""
    pitch = act_pitch(task)
    radius = 0.52 * task.target.details["inner_radius"]
    phase, side = np.arctan2(start.away[1], start.away[0]), _side(start)
    floor = task.target.work_point[2] + 0.008
    begin = start.delay_s + start.reach_s
    first = task.centre + np.array([radius * np.cos(phase), radius * np.sin(phase), floor])
    path = _reach(task, start, time_s, first=first, pitch=pitch, over_m=task.top_m + 0.012)
    pace = 2 * np.pi * 1.05 * task.rng.uniform(0.96, 1.04)
    angle = phase + side * pace * _run_up(time_s - begin)
    path[:, 0] += radius * (np.cos(angle) - np.cos(phase))
    path[:, 1] += radius * (np.sin(angle) - np.sin(phase))
    return path


def _cut(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Saws along the blade on the target's top, as far as the target is wide."""
    pitch = act_pitch(task)
    first = task.centre + np.array([0, 0, task.top_m - 0.003])
    path = _reach(task, start, time_s, first=first, pitch=pitch, over_m=0.02)
    stroke = np.clip(0.38 * task.target.size_m[:2].min(), 0.015, 0.04)
    return _back_and_forth(path, time_s - start.delay_s - start.reach_s, start.yaw, stroke=-stroke, pace_hz=1.6)


def _dust(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Sweeps sideways over the target, starting from the side the tool comes from."""
    pitch = act_pitch(task)
    side, across = _side(start), start.yaw + np.pi / 2
    height, half = _sweep(task, 0.36)
    direction = np.array([np.cos(across), np.sin(across), 0])
    first = task.centre + side * half * direction + np.array([0, 0, height - 0.001])
    path = _reach(task, start, time_s, first=first, pitch=pitch, over_m=task.top_m - height + 0.015)
    return _back_and_forth(path, time_s - start.delay_s - start.reach_s, across, stroke=-side * half, pace_hz=1.15)


def _smear(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Long strokes along the tool while drifting sideways."""
    pitch = act_pitch(task)
    height, half = _sweep(task, 0.3)
    first = task.centre + np.array([0, 0, height - 0.001])
    path = _reach(task, start, time_s, first=first, pitch=pitch, over_m=task.top_m - height + 0.015)
    acting_s = time_s - start.delay_s - start.reach_s
    path = _back_and_forth(path, acting_s, start.yaw, stroke=half, pace_hz=1.0)
    drift, across = -_side(start) * half * np.clip(acting_s, 0, None) * 0.6, start.yaw + np.pi / 2
    path[:, :2] += drift[:, None] * np.array([np.cos(across), np.sin(across)])
    return path


def _sweep(task: Task, share: float) -> tuple[float, float]:
    """Height and half length of sweeps: `share` of the target's width on its top or rim, or on a pan's floor."""
    half = float(np.clip(share * task.target.size_m[:2].min(), 0.02, 0.055))
    if task.target.name == "pan":
        room = task.target.details["inner_radius"] - 0.5 * float(task.tool.size_m[:2].max())
        if room > SWEEP_ROOM_M:
            return float(task.target.work_point[2]), min(half, room)
    return task.top_m, half


def _push(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Straight on along the line from tool to target; farther away pushes farther."""
    pitch = act_pitch(task)
    away = np.array([*start.away, 0.0])
    half = 0.5 * float(task.target.size_m[:2].max())
    first = task.centre + away * (half + 0.03) + np.array([0, 0, min(0.35 * task.top_m, 0.02)])
    path = _reach(task, start, time_s, first=first, pitch=pitch, over_m=0.0)
    begin = start.delay_s + 0.72 * start.reach_s
    length = 0.03 + 0.05 + 0.35 * np.linalg.norm(start.offset[:2])
    path[:, :3] -= length * minimum_jerk(time_s, begin, begin + 0.55 + 2.2 * length)[:, None] * away
    return path


def _pour(task: Task, start: Start, time_s: Float[np.ndarray, "N"]) -> ToolPath:
    """Carries the cup upright beside the target, then tips it over the middle."""
    tip = np.radians(130)
    toward = np.array([np.cos(start.yaw), np.sin(start.yaw), 0.0])
    height = task.tool.handle_length_m
    first = task.centre - toward * 0.5 * height + np.array([0, 0, task.top_m + 0.075 + 0.5 * height])
    path = _reach(task, start, time_s, first=first, pitch=-np.pi / 2, over_m=0.0)
    path[:, 4:] = [-np.pi / 2, 0.0]
    begin = start.delay_s + 0.75 * start.reach_s
    path[:, 4] += tip * minimum_jerk(time_s, begin, begin + 0.75)
    return path


def _run_up(acting_s: Float[np.ndarray, "N"]) -> Float[np.ndarray, "N"]:
    """Time since the act began, with a soft start over 0.2 s."""
    t = np.clip(acting_s, 0, None)
    return np.where(t < 0.2, t**2 / 0.4, t - 0.1)


def _back_and_forth(
    path: ToolPath, acting_s: Float[np.ndarray, "N"], heading: float, *, stroke: float, pace_hz: float
) -> ToolPath:
    """Add strokes along `heading`: out by twice `stroke` and back, `pace_hz` times a second."""
    along = stroke * (1 - np.cos(2 * np.pi * pace_hz * _run_up(acting_s)))
    path[:, :2] += along[:, None] * np.array([np.cos(heading), np.sin(heading)])
    return path


_ACTS: dict[str, Callable[[Task, Start, Float[np.ndarray, "N"]], ToolPath]] = {
    "hit": _hit, "stir": _stir, "cut": _cut, "dust": _dust, "push": _push, "pour in some": _pour, "smear": _smear,
}  # fmt: skip
