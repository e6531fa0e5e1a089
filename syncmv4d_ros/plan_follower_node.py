"""Carries plans out in the cell, as any planner would: hears `trajectories` (or `tracks`), moves the tool, says what came of it.

Publishes `outcome` (std_msgs/String, JSON, for late subscribers too): plan_id, plan_task, success, reason, and what was measured, and
a `warning` where the plan is for another task than the scene's; with `film_dir`, what the cameras saw of it is there before. One thread carries out; callbacks only store, and the newest plan wins.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.duration import Duration
from rclpy.node import Node
from std_msgs.msg import String

from syncmv4d.msg import PointTracks, RigidTrajectory
from syncmv4d_model.data.atomic import write_bytes
from syncmv4d_model.data.video import write_video
from syncmv4d_ros import parameters
from syncmv4d_ros.cell import Cell, CellParameters, FilmingCell, open_cell
from syncmv4d_ros.following import followable_motion, received_motion
from syncmv4d_ros.parameters import LARGEST, parameter
from syncmv4d_ros.planning import fit_body
from syncmv4d_ros.qos import LATCHED
from syncmv4d_ros.spinning import run_node
from syncmv4d_ros.track_messages import read_point_tracks

BODY = "tool"
HEARD_S, POLL_S = 10.0, 0.05
ACKNOWLEDGED_S = 2.0
SHOWN = 80
"""Characters of a task in a line of the log."""
SOURCES: dict[str, type] = {"trajectories": RigidTrajectory, "tracks": PointTracks}
"""Topics that plans come on; remap as you like."""


@dataclass(frozen=True)
class FollowerParameters(CellParameters):
    """The cell, and what to do in it."""

    follow: str = parameter("trajectories", "What to follow: trajectories as they come, or tracks, fitted here.")
    world_frame: str = parameter("world", "The cell's own frame; a plan in another one is refused.")
    exit_after: int = parameter(0, "Exit after so many plans. 0: never.", low=0, high=LARGEST)
    outcome_file: str = parameter("", "Where to write the newest outcome as JSON. Empty: nowhere.")
    film_dir: str = parameter("", "Folder for <camera>.mp4 of the newest execution. Empty: it is not filmed.")

    def __post_init__(self) -> None:
        """ValueError naming the parameter."""
        super().__post_init__()
        if self.follow not in SOURCES:
            raise ValueError(f"parameter follow must be one of {', '.join(SOURCES)}, got {self.follow!r}")


class PlanFollowerNode(Node):
    """Follows from construction until `stop`. `done` is set after exit_after plans. ValueError for parameters that make no cell."""

    def __init__(self, **options: Any) -> None:
        super().__init__("plan_follower", **options)
        parameters.declare(self, FollowerParameters)
        self.told = parameters.read(self, FollowerParameters)
        self.cell: Cell = open_cell(self.told)
        if self.told.film_dir and not isinstance(self.cell, FilmingCell):
            raise ValueError(f"parameter film_dir needs a cell with film(); {self.told.cell!r} makes one without")
        self.done = threading.Event()
        self._outcomes = self.create_publisher(String, "outcome", LATCHED)
        self._newest: Any = None
        self._stopping = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="follower", daemon=True)
        self._worker.start()
        self.create_subscription(SOURCES[self.told.follow], self.told.follow, self._store, LATCHED)
        self.get_logger().info(f"waiting for {self.told.follow} to do {self.cell.sequence.task!r}")

    def stop(self) -> None:
        """End the thread; a plan that is being carried out is finished first."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._worker.join()

    def _store(self, message: Any) -> None:
        with self._changed:
            self._newest = message
            self._changed.notify()

    def _work(self) -> None:
        count = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._newest is not None)
                if self._stopping:
                    return
                message, self._newest = self._newest, None
            self._publish(self._carry_out(message))
            count += 1
            if count == self.told.exit_after:
                end = time.monotonic() + HEARD_S
                while not self._outcomes.get_subscription_count() and time.monotonic() < end:
                    time.sleep(POLL_S)  # who asked for the outcome may not have been found yet
                self._outcomes.wait_for_all_acked(Duration(seconds=ACKNOWLEDGED_S))
                self.done.set()
                return

    def _carry_out(self, message: Any) -> dict[str, object]:
        """The outcome of one plan; a plan that cannot be followed has one too."""
        known = {"plan_id": str(message.plan_id), "plan_task": str(message.task)} | self._other_task(message)
        try:
            motion, period_s = self._motion(message)
            outcome = self.cell.execute(motion, frame_period_s=period_s)
        except ValueError as error:
            return known | {"success": False, "reason": f"no plan: {error}"}
        except Exception as error:  # whatever the cell does, the next plan is heard
            return known | {"success": False, "reason": f"the cell failed: {type(error).__name__}: {error}"}
        return known | outcome.as_dict() | self._film(period_s)

    def _other_task(self, message: Any) -> dict[str, object]:
        """A plan for another task than the scene's is carried out all the same, and judged by the scene's: said here."""
        asked, scenes = str(message.task).strip(), self.cell.sequence.task.strip()
        if asked == scenes:
            return {}
        warning = f"the plan is for {asked[:SHOWN]!r}, and is judged by the scene's task {scenes[:SHOWN]!r}"
        self.get_logger().warning(warning)
        return {"warning": warning}

    def _film(self, period_s: float) -> dict[str, object]:
        """Write what the cameras saw, if that was asked for; a film that fails leaves the outcome as it is, and says so."""
        if not self.told.film_dir:
            return {}
        assert isinstance(self.cell, FilmingCell)
        try:
            for name, video in zip(self.cell.sequence.view_names, self.cell.film(), strict=True):
                write_video(Path(self.told.film_dir) / f"{name}.mp4", video, frame_period_s=period_s)
        except Exception as error:
            self.get_logger().error(f"no film: {error}")
            return {"film": None, "why_no_film": f"{type(error).__name__}: {error}"}
        return {"film": self.told.film_dir}

    def _motion(self, message: Any) -> tuple[np.ndarray, float]:
        if (frame := str(message.header.frame_id)) != self.told.world_frame:
            raise ValueError(f"it is in frame {frame!r}, the cell in {self.told.world_frame!r}")
        if self.told.follow == "trajectories":
            return received_motion(message, BODY), float(message.frame_period_s)
        body = fit_body(read_point_tracks(message).points, BODY)
        return followable_motion(body.poses, body.valid, body.rotation_valid), body.frame_period_s

    def _publish(self, outcome: dict[str, object]) -> None:
        text = json.dumps(outcome, allow_nan=False)
        self._outcomes.publish(String(data=text))
        if self.told.outcome_file:
            write_bytes(Path(self.told.outcome_file), (text + "\n").encode())
        told = "done" if outcome["success"] else f"not done: {outcome['reason']}"
        self.get_logger().info(f"{str(outcome['plan_task'])[:SHOWN]!r}: {told}")


def main(arguments: list[str] | None = None) -> int:
    """`ros2 run syncmv4d plan_follower_node`: until exit_after plans, SIGINT or SIGTERM. Exit status 1 where there is no cell."""
    return run_node("plan_follower", PlanFollowerNode, arguments=arguments, finished=lambda node: node.done.is_set())


if __name__ == "__main__":
    sys.exit(main())
