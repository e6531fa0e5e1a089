"""What a motion is planned from: the task and the tool's start, which frame 0 shows, and a choice,
which it hides.

In closed scenes the first image decides the motion. The tool starts at rest somewhere around the
target; where it must go follows from where tool and target are, how large the target is, how the
tool is held, and from which side it comes. Only a short delay, a few per cent of pace and the
sentence's wording are hidden from the image. In open scenes the choice also holds side, direction,
length and the like, all drawn apart from everything that frame 0 shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.objects import ObjectModel

VERBS = ("hit", "stir", "cut", "dust", "push", "pour in some", "smear")
START_ARC_DEG = 100.0  # either side of the operator, who stands at azimuth 90
SWEEP_ROOM_M = 0.012  # less room than this in a pan, and the tool sweeps over the rim instead
VESSELS = ("plate", "bowl", "pan")
UPRIGHT = -np.pi / 2  # pitch of a cup that is not tipped
TURN_SHARE = 0.87  # of the start's yaw that is left when the tool acts
STRIKES = 12  # more than a clip holds

ToolPath = Float[np.ndarray, "N 6"]
"""Work point x, y, z (world, metres), yaw, pitch (working end down), roll of the tool, radians."""


@dataclass(frozen=True)
class Task:
    """What is to be done, with what and to what."""

    verb: str
    tool: ObjectModel
    target: ObjectModel
    world_from_target: Float[np.ndarray, "4 4"]

    @property
    def centre(self) -> Float[np.ndarray, "3"]:
        return self.world_from_target[:3, 3]

    @property
    def top_m(self) -> float:
        """Height at which a tool meets the target: the rim of a vessel, the top of a solid."""
        return float(self.target.size_m[2] if self.target.name in VESSELS else self.target.work_point[2])


@dataclass(frozen=True)
class Start:
    """The tool in frame 0, at rest; all of it is to be seen there."""

    position: Float[np.ndarray, "3"]  # of the work point, world, metres
    yaw: float
    pitch: float
    roll: float
    act_yaw: float  # what the tool turns to when it acts; follows from yaw and pitch
    act_pitch: float

    def away(self, task: Task) -> Float[np.ndarray, "2"]:
        """Horizontal unit vector from the target to the tool."""
        offset = self.position[:2] - task.centre[:2]
        return offset / np.linalg.norm(offset)

    def side(self, task: Task) -> float:
        """+1 or -1: which side of the tool's own direction the tool stands on, seen from the
        target.
        """
        away = self.away(task)
        return float(np.sign(np.cos(self.act_yaw) * away[1] - np.sin(self.act_yaw) * away[0]) or 1.0)


@dataclass(frozen=True)
class Choice:
    """What frame 0 does not show. The defaults are what closed scenes do; what a number means
    depends on the verb.
    """

    delay_s: float = 0.0
    pace: float = 1.0
    side: float = 0.0  # +1 or -1: where a stroke begins, which way it goes round; 0: the side the tool comes from
    turn: float = 0.0  # radians, of the act's direction about the vertical
    length: float = 1.0  # of a stroke, a lift, a push, a tilt
    rhythm: float = 1.0  # how fast strokes follow each other
    shift: float = 0.0  # -1..1 across the target
    strikes: int = STRIKES
    stop_s: float = np.inf  # of acting; then the tool goes back, to its start turned about the target by `back_turn`
    back_turn: float = 0.0


@dataclass(frozen=True)
class _Ranges:
    """Uniform ranges of an open choice."""

    delay_s: tuple[float, float] = (0.0, 0.45)
    pace: tuple[float, float] = (0.85, 1.2)
    turn_deg: tuple[float, float] = (0.0, 0.0)
    length: tuple[float, float] = (1.0, 1.0)
    rhythm: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    stop_s: tuple[float, float] = (0.45, 1.2)


_OPEN = {
    "hit": _Ranges(length=(0.5, 1.5), rhythm=(0.55, 1.0)),
    "stir": _Ranges(turn_deg=(-150, 150), length=(0.7, 1.15), rhythm=(0.75, 1.25), stop_s=(0.6, 1.3)),
    "cut": _Ranges(length=(0.7, 1.7), rhythm=(0.6, 1.15), shift=(-1, 1)),
    "dust": _Ranges(turn_deg=(-50, 50), length=(0.7, 1.3), rhythm=(0.65, 1.2)),
    "push": _Ranges(turn_deg=(-60, 60), length=(0.5, 1.5), stop_s=(0.7, 1.1)),
    "pour in some": _Ranges(pace=(0.92, 1.2), delay_s=(0, 0.25), length=(0.88, 1.12), rhythm=(0.8, 1.3)),
    "smear": _Ranges(turn_deg=(-35, 35), length=(0.7, 1.3), rhythm=(0.65, 1.2)),
}
RETREAT_SHARE = 0.6  # of open choices of all verbs but pouring
HIT_PERIOD_S, HIT_S = 0.46, 0.4  # from strike to strike; from the beginning of one to the tool's being up again


def sample_choice(verb: str, rng: np.random.Generator, *, is_open: bool) -> Choice:
    """A closed choice is a short delay and a few per cent of pace."""
    if not is_open:
        return Choice(delay_s=float(rng.uniform(0, 0.15)), pace=float(rng.uniform(0.96, 1.04)))
    drawn = {name: float(rng.uniform(*span)) for name, span in vars(_OPEN[verb]).items()}
    turn, side, strikes = np.radians(drawn.pop("turn_deg")), rng.choice([-1.0, 1.0]), int(rng.integers(1, 5))
    if verb == "hit":
        drawn["stop_s"] = HIT_PERIOD_S / drawn["rhythm"] * (strikes - 1) + HIT_S
    if rng.random() > RETREAT_SHARE or verb == "pour in some":
        drawn["stop_s"] = np.inf
    back_turn = np.radians(rng.uniform(-70, 70))
    return Choice(**drawn, turn=float(turn), side=float(side), strikes=strikes, back_turn=float(back_turn))


def minimum_jerk(time_s: Float[np.ndarray, "N"], start_s: float, end_s: float) -> Float[np.ndarray, "N"]:
    """0 before start, 1 after end, smooth to the second derivative between."""
    s = np.clip((time_s - start_s) / (end_s - start_s), 0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)


def sample_start(task: Task, rng: np.random.Generator) -> Start:
    """10 to 23 cm from where such an act begins, anywhere but opposite the operator, mostly
    sideways.
    """
    distance, azimuth, elevation = (
        rng.uniform(0.10, 0.23),
        np.radians(90 + rng.uniform(-START_ARC_DEG, START_ARC_DEG)),
        np.radians(rng.uniform(2, 42)),
    )
    first_m, over_m = act_height(task)
    out = act_radius(task) + distance * np.cos(elevation)
    position = task.centre + np.array(
        [out * np.cos(azimuth), out * np.sin(azimuth), first_m + over_m + distance * np.sin(elevation)]
    )
    act_yaw, share, roll = np.radians(rng.uniform(-80, 80)), rng.uniform(), np.radians(rng.uniform(-16, 16))
    low, high = _act_pitch_range(task)
    if task.verb == "pour in some":
        return Start(position, float(act_yaw / TURN_SHARE), UPRIGHT, 0.0, float(act_yaw), UPRIGHT)
    act_pitch, pitch = np.interp(share, [0, 1], [low, high]), np.interp(share, [0, 1], [low - 0.38, high + 0.14])
    return Start(position, float(act_yaw / TURN_SHARE), float(pitch), float(roll), float(act_yaw), float(act_pitch))


def _act_pitch_range(task: Task) -> tuple[float, float]:
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
    return float(np.radians(low)), float(np.radians(high))


def act_height(task: Task) -> tuple[float, float]:
    """Height of the act's first point above the table, and how far above it the tool arrives before
    it comes down.
    """
    target, top = task.target, task.top_m
    if task.verb in ("dust", "smear"):
        height, _ = sweep(task)
        return height - 0.001, top - height + 0.015
    return {
        "hit": (max(float(target.work_point[2]) - 0.008, 0.001), 0.0),
        "stir": (float(target.work_point[2]) + 0.008, top + 0.012),
        "cut": (top - 0.003, 0.02),
        "push": (min(0.35 * top, 0.02), 0.0),
        "pour in some": (top + 0.075 + 0.5 * task.tool.handle_length_m, 0.0),
    }[task.verb]


def act_radius(task: Task) -> float:
    """How far from the target's centre the act begins, at most."""
    if task.verb in ("dust", "smear"):
        return sweep(task)[1]
    return {
        "stir": stir_radius(task) if task.verb == "stir" else 0.0,
        "push": 0.5 * float(task.target.size_m[:2].max()) + 0.03,
        "pour in some": 0.5 * task.tool.handle_length_m,
    }.get(task.verb, 0.0)


def stir_radius(task: Task) -> float:
    """Of the circles in a vessel."""
    return 0.52 * task.target.details["inner_radius"]


def sweep(task: Task) -> tuple[float, float]:
    """Height and half length of sweeps: a share of the target's width on its top or rim, or on a
    pan's floor.
    """
    share = 0.3 if task.verb == "smear" else 0.36
    half = float(np.clip(share * task.target.size_m[:2].min(), 0.02, 0.055))
    if task.target.name == "pan":
        room = task.target.details["inner_radius"] - 0.5 * float(task.tool.size_m[:2].max())
        if room > SWEEP_ROOM_M:
            return float(task.target.work_point[2]), min(half, room)
    return task.top_m, half
