"""What a run of the physics leaves: its states at the recorded frames, or why it is not fit to be a
sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Bool, Float

from syncmv4d_sim.scene import Scene

NUM_FRAMES = 17
FRAME_PERIOD_S = 0.125
TOOL, TARGET = "tool", "target"


@dataclass(frozen=True)
class Rejection:
    """Why a scene's run is not fit to be a sequence."""

    reason: str


@dataclass(frozen=True)
class Rollout:
    """A run's states at the recorded frames; `data_at` replays one for rendering."""

    scene: Scene
    model: mujoco.MjModel
    qpos: Float[np.ndarray, "T nq"]
    mocap_pos: Float[np.ndarray, "T 1 3"]
    mocap_quat: Float[np.ndarray, "T 1 4"]
    contact_tool_target: Bool[np.ndarray, "T"]
    contact_hand_tool: Bool[np.ndarray, "T"]
    frame_period_s: float = FRAME_PERIOD_S

    @property
    def num_frames(self) -> int:
        return len(self.qpos)

    def set_frame(self, data: mujoco.MjData, frame: int) -> None:
        """Put a recorded frame's poses into `data` (made from `model`); velocities stay as they
        are.
        """
        data.qpos[:] = self.qpos[frame]
        data.mocap_pos[:] = self.mocap_pos[frame]
        data.mocap_quat[:] = self.mocap_quat[frame]
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_comPos(self.model, data)
        mujoco.mj_camlight(self.model, data)


@dataclass
class Observed:
    """What quality control needs to know about a run."""

    deepest_m: float = 0.0
    deepest_pair: str = ""
    lag_m: float = 0.0
    touched: bool = False  # the tool, the target
    disturbed: str = ""  # what touched a look-alike, if anything did


def body_poses(rollout: Rollout, name: str) -> Float[np.ndarray, "T 4 4"]:
    """world_from_body of a free body at every frame."""
    body = rollout.model.body(name)
    address = rollout.model.jnt_qposadr[body.jntadr[0]]
    poses = np.tile(np.eye(4), (rollout.num_frames, 1, 1))
    rotation = np.zeros(9)
    for pose, qpos in zip(poses, rollout.qpos, strict=True):
        mujoco.mju_quat2Mat(rotation, qpos[address + 3 : address + 7])
        pose[:3, :3], pose[:3, 3] = rotation.reshape(3, 3), qpos[address : address + 3]
    return poses


def angle_deg(rotation: Float[np.ndarray, "3 3"]) -> float:
    """How far a rotation matrix turns, degrees."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
