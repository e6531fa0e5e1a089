"""The tool's planned path for each verb: pure functions of task, start, choice and time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from syncmv4d_sim.tasks import (
    HIT_PERIOD_S,
    Choice,
    Start,
    Task,
    ToolPath,
    act_height,
    minimum_jerk,
    stir_radius,
    sweep,
)

Times = Float[np.ndarray, "N"]
TIP_DEG = 130.0
RETREAT_S = 0.55
CHANGE_S = 0.3  # in which the pace changes after frame 0 of a scene that starts in the middle of its act


def plan(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """The tool's path, from rest at `start`: first the delay, then the act at the chosen pace."""
    time_s = choice.pace * np.clip(time_s - choice.delay_s, 0, None)
    path = _ACTS[task.verb](task, start, choice, time_s)
    return _go_back(path, task, start, choice, time_s) if np.isfinite(choice.stop_s) else path


def plan_from_middle(task: Task, start: Start, choice: Choice, time_s: Times, *, lead_s: float) -> ToolPath:
    """As `plan`, but what is hidden acts only after `lead_s`: from there on the pace changes
    smoothly to the chosen one.
    """
    after = np.clip(time_s - lead_s, 0, None)
    eased = np.where(after < CHANGE_S, after**2 / (2 * CHANGE_S), after - CHANGE_S / 2)
    return _ACTS[task.verb](task, start, choice, time_s + (choice.pace - 1) * eased)


def reach_s(task: Task, start: Start) -> float:
    """How long the tool takes to where the act begins, about; farther takes longer."""
    first, over = act_height(task)
    gap = start.position - task.centre - np.array([0, 0, first + over])
    return _reach_time(float(np.linalg.norm(gap)))


def _reach_time(distance_m: float) -> float:
    return float(np.clip(0.5 + 0.4 * (distance_m - 0.10) / 0.18, 0.42, 0.95))


def _reach(
    task: Task, start: Start, time_s: Times, *, to: Float[np.ndarray, "2"]
) -> tuple[ToolPath, float, Float[np.ndarray, "3"]]:
    """Go from `start` to the point `to` (relative to the target's centre), coming down over the rim
    only near the end.

    Returns the path, the time of arrival, and how far the start is from there.
    """
    first_m, over_m = act_height(task)
    above = task.centre + np.array([*to, first_m + over_m])
    offset = start.position - above
    end = _reach_time(float(np.linalg.norm(offset)))
    near, down = minimum_jerk(time_s, 0, end), minimum_jerk(time_s, 0.7 * end, end + 0.12)
    path = np.zeros((len(time_s), 6))
    # written from the start on, so that its first pose is the start to the bit
    path[:, :3] = start.position - near[:, None] * offset
    path[:, 2] -= over_m * down
    path[:, 3] = start.yaw + (start.act_yaw - start.yaw) * near
    path[:, 4] = start.pitch + (start.act_pitch - start.pitch) * near
    path[:, 5] = start.roll - start.roll * near
    return path, end, offset


def _go_back(path: ToolPath, task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """After the act go back, up first, to where the tool started from, turned about the target by
    `back_turn`.
    """
    end = reach_s(task, start) + choice.stop_s
    cosine, sine = np.cos(choice.back_turn), np.sin(choice.back_turn)
    x, y, z = start.position - task.centre
    place = task.centre + np.array([cosine * x - sine * y, sine * x + cosine * y, z])
    goal = np.array([*place, start.yaw, start.pitch, start.roll])
    gone = np.tile(minimum_jerk(time_s, end, end + RETREAT_S)[:, None], (1, 6))
    gone[:, 2] = minimum_jerk(time_s, end, end + 0.6 * RETREAT_S)
    return (1 - gone) * path + gone * goal


def _hit(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Strikes from a raised pose; taller swings over taller targets."""
    swing = choice.length * np.radians(24 + 160 * min(task.top_m, 0.1))
    path, begin, _ = _reach(task, start, time_s, to=np.zeros(2))
    lift, period = minimum_jerk(time_s, 0, begin), HIT_PERIOD_S / choice.rhythm
    for strike in range(choice.strikes):
        down = begin + period * strike
        lift = lift - minimum_jerk(time_s, down, down + 0.2) + minimum_jerk(time_s, down + 0.24, down + 0.46)
    arm = task.tool.work_point[0]
    path[:, 4] -= swing * lift
    path[:, 2] += arm * np.sin(swing * lift) * 0.9
    return path


def _stir(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Circles in a vessel, entered at the side the tool comes from."""
    radius, away = choice.length * stir_radius(task), start.away(task)
    phase, side = np.arctan2(away[1], away[0]) + choice.turn, choice.side or start.side(task)
    path, begin, _ = _reach(task, start, time_s, to=radius * np.array([np.cos(phase), np.sin(phase)]))
    angle = phase + side * choice.rhythm * 2 * np.pi * 1.05 * _run_up(time_s - begin)
    path[:, 0] += radius * (np.cos(angle) - np.cos(phase))
    path[:, 1] += radius * (np.sin(angle) - np.sin(phase))
    return path


def _cut(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Saws along the blade on the target's top, as far as the target is wide."""
    width = float(task.target.size_m[:2].min())
    across = start.act_yaw + np.pi / 2
    room = 0.3 if task.target.name != "toy" else 0.12
    to = room * width * choice.shift * np.array([np.cos(across), np.sin(across)])
    path, begin, _ = _reach(task, start, time_s, to=to)
    stroke = (choice.side or -1.0) * choice.length * np.clip(0.38 * width, 0.015, 0.04)
    return _back_and_forth(path, time_s - begin, start.act_yaw, stroke=stroke, pace_hz=1.6 * choice.rhythm)


def _dust(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Sweeps sideways over the target, starting from the side the tool comes from."""
    side, across = choice.side or start.side(task), start.act_yaw + np.pi / 2 + choice.turn
    half = choice.length * sweep(task)[1]
    path, begin, _ = _reach(task, start, time_s, to=side * half * np.array([np.cos(across), np.sin(across)]))
    return _back_and_forth(path, time_s - begin, across, stroke=-side * half, pace_hz=1.15 * choice.rhythm)


def _smear(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Long strokes along the tool while drifting sideways."""
    path, begin, _ = _reach(task, start, time_s, to=np.zeros(2))
    half, heading = choice.length * sweep(task)[1], start.act_yaw + choice.turn
    first = choice.side or 1.0
    path = _back_and_forth(path, time_s - begin, heading, stroke=first * half, pace_hz=choice.rhythm)
    side = choice.side or start.side(task)
    drift, across = -side * half * np.clip(time_s - begin, 0, None) * 0.6, heading + np.pi / 2
    path[:, :2] += drift[:, None] * np.array([np.cos(across), np.sin(across)])
    return path


def _push(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Straight on along the line from tool to target; farther away pushes farther."""
    away, cosine, sine = start.away(task), np.cos(choice.turn), np.sin(choice.turn)
    way = np.array([cosine * away[0] - sine * away[1], sine * away[0] + cosine * away[1]])
    half = 0.5 * float(task.target.size_m[:2].max())
    path, begin, offset = _reach(task, start, time_s, to=way * (half + 0.03))
    length = 0.03 + choice.length * (0.05 + 0.35 * np.linalg.norm(offset[:2]))
    pushed = minimum_jerk(time_s, 0.72 * begin, 0.72 * begin + 0.55 + 2.2 * length)
    path[:, :2] -= length * pushed[:, None] * way
    return path


def _pour(task: Task, start: Start, choice: Choice, time_s: Times) -> ToolPath:
    """Carries the cup upright beside the target, then tips it over the middle."""
    side = choice.side or 1.0
    toward = side * np.array([np.cos(start.act_yaw), np.sin(start.act_yaw)])
    path, begin, _ = _reach(task, start, time_s, to=-0.5 * task.tool.handle_length_m * toward)
    tipped = minimum_jerk(time_s, 0.75 * begin, 0.75 * begin + 0.75 / choice.rhythm)
    path[:, 4] += side * choice.length * np.radians(TIP_DEG) * tipped
    return path


def _run_up(acting_s: Times) -> Times:
    """Time since the act began, with a soft start over 0.2 s."""
    t = np.clip(acting_s, 0, None)
    return np.where(t < 0.2, t**2 / 0.4, t - 0.1)


def _back_and_forth(path: ToolPath, acting_s: Times, heading: float, *, stroke: float, pace_hz: float) -> ToolPath:
    """Add strokes along `heading`: out by twice `stroke` and back, `pace_hz` times a second."""
    along = stroke * (1 - np.cos(2 * np.pi * pace_hz * _run_up(acting_s)))
    path[:, :2] += along[:, None] * np.array([np.cos(heading), np.sin(heading)])
    return path


_ACTS: dict[str, Callable[[Task, Start, Choice, Times], ToolPath]] = {
    "hit": _hit, "stir": _stir, "cut": _cut, "dust": _dust, "push": _push, "pour in some": _pour, "smear": _smear,
}  # fmt: skip
