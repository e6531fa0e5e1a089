"""Quality control: whether a run is fit to be a sequence."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from syncmv4d_model.geometry import inverse
from syncmv4d_sim import hand
from syncmv4d_sim.rollout import TARGET, TOOL, Observed, Rollout, angle_deg, body_poses

DRIFT_LIMIT_M = 0.015
DRIFT_LIMIT_DEG = 15.0
PENETRATION_LIMIT_M = 0.012
LAG_LIMIT_M = 0.03  # of the palm behind its path: more means that it hit something
TILT_LIMIT_DEG = 35.0  # of the target
TAKEN_SETTLE_S = 0.12  # for a tool that was taken from its stand to settle in the hand
PUSH_MIN_M = 0.02
POUR_MIN_BALLS = 5
ANSWERING_VERBS = ("hit", "cut", "dust", "push")  # the tool must touch the target


def flaw(rollout: Rollout, observed: Observed) -> str | None:
    """Quality control; the first reason to reject, or None. Of a run of one frame: whether that
    frame is sound.
    """
    if not np.isfinite(rollout.qpos).all():
        return "the simulation diverged"
    checks = [
        *(_grasp_checks(rollout) if TOOL not in rollout.scene.hidden_bodies else ()),
        (
            observed.deepest_m > PENETRATION_LIMIT_M,
            f"{observed.deepest_pair} overlap by {observed.deepest_m * 1e3:.0f} mm",
        ),
        (observed.lag_m > LAG_LIMIT_M, f"the palm fell {observed.lag_m * 1e3:.0f} mm behind its path"),
        (bool(observed.disturbed), f"{observed.disturbed} touched what is not to be touched"),
    ]
    return next((reason for failed, reason in checks if failed), None) or _act_flaw(rollout, observed)


def _grasp_checks(rollout: Rollout) -> list[tuple[bool, str]]:
    """Whether the tool is held as planned in the first frame in which it is held at all, and stays
    so.
    """
    scene = rollout.scene
    first = int(np.ceil((scene.take_up.held_s + TAKEN_SETTLE_S) / rollout.frame_period_s)) if scene.take_up else 0
    if first >= rollout.num_frames:
        return []
    palm_from_tool = (inverse(body_poses(rollout, hand.PALM)) @ body_poses(rollout, TOOL))[first:]
    slip_m = float(np.linalg.norm(palm_from_tool[:, :3, 3] - palm_from_tool[0, :3, 3], axis=-1).max())
    palm_from_grip = hand.palm_from_grip(scene.hand, handle_radius_m=scene.tool.handle_radius_m)
    start_m = float(np.linalg.norm(palm_from_tool[0, :3, 3] - (palm_from_grip @ scene.grip_from_tool)[:3, 3]))
    turn_deg = max(angle_deg(palm_from_tool[0].T[:3, :3] @ pose[:3, :3]) for pose in palm_from_tool)
    when = "when it was taken" if scene.take_up else "before the first frame"
    return [
        (bool(start_m > DRIFT_LIMIT_M), f"the tool fell out of the grasp: {start_m * 1e3:.0f} mm {when}"),
        (bool(slip_m > DRIFT_LIMIT_M), f"the tool slipped {slip_m * 1e3:.0f} mm in the hand"),
        (bool(turn_deg > DRIFT_LIMIT_DEG), f"the tool turned {turn_deg:.0f} deg in the hand"),
    ]


def _act_flaw(rollout: Rollout, observed: Observed) -> str | None:
    world_from_target, verb = body_poses(rollout, TARGET), rollout.scene.verb
    tilt_deg = np.degrees(np.arccos(np.clip(world_from_target[:, 2, 2], -1, 1))).max()
    moved_m = np.linalg.norm(world_from_target[-1, :3, 3] - world_from_target[0, :3, 3])
    if tilt_deg > TILT_LIMIT_DEG:
        return f"the target tilted by {tilt_deg:.0f} deg"
    if rollout.num_frames == 1:
        return None
    if rollout.scene.is_idle:
        return "the tool touched the target, with nothing to be done" if observed.touched else None
    if verb in ANSWERING_VERBS and not observed.touched:
        return "the tool never touched the target"
    if verb == "push" and moved_m < PUSH_MIN_M:
        return f"the push moved the target by {moved_m * 1e3:.0f} mm only"
    landed = balls_in_target(rollout, world_from_target[-1]) if rollout.scene.balls else POUR_MIN_BALLS
    if landed < POUR_MIN_BALLS:
        return f"{landed} of {len(rollout.scene.balls)} balls landed in the target"
    return None


def balls_in_target(rollout: Rollout, world_from_target: Float[np.ndarray, "4 4"]) -> int:
    """How many balls lie in the target in the last frame; 0 where the scene has none."""
    if not rollout.scene.balls:
        return 0
    positions = np.stack([body_poses(rollout, f"ball_{i}")[-1, :3, 3] for i in range(len(rollout.scene.balls))])
    size = rollout.scene.target.size_m
    in_target = (positions - world_from_target[:3, 3]) @ world_from_target[:3, :3]
    inside = np.hypot(in_target[:, 0] / size[0], in_target[:, 1] / size[1]) < 0.5
    return int((inside & (in_target[:, 2] > -0.005) & (in_target[:, 2] < size[2] + 0.02)).sum())
