"""The generator node in a process of its own, with the trivial engine. Arguments of ROS, then of the engine.

`--task-behaviour` lets a task's first word decide what the engine does: "fail", "hang" or "slow".
"""

from __future__ import annotations

import sys
import time

from syncmv4d_model.types import Observation, Prediction
from syncmv4d_ros.generator_node import main
from tests.ros.trivial_engine import TrivialEngine

SLOW_STEP_S = 0.3


class ObedientEngine(TrivialEngine):
    """Does what the task's first word says."""

    def generate(self, observation: Observation, **options) -> Prediction:
        word = observation.task.split()[0]
        if word == "fail":
            raise MemoryError("CUDA out of memory")
        if word == "hang":
            while True:
                time.sleep(1)
        if word == "slow":
            progress = options["progress"]

            def slowly(step: int, steps: int) -> None:
                progress(step, steps)
                time.sleep(SLOW_STEP_S)

            options["progress"] = slowly
        return super().generate(observation, **options)


if __name__ == "__main__":
    sys.exit(main(sys.argv, load=lambda told: ObedientEngine()))
