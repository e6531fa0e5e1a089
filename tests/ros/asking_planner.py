"""A planner in a process of its own, which a test may kill: TASK STEPS FILE. Makes the file once its goal has begun, and waits."""

import sys
from pathlib import Path

import rclpy
from rclpy.executors import SingleThreadedExecutor

from tests.ros.planner_client import Planner

if __name__ == "__main__":
    rclpy.init()
    node, executor = rclpy.create_node("asking_planner"), SingleThreadedExecutor()
    executor.add_node(node)
    planner = Planner(node, executor)
    planner.ready()
    _, feedback, result = planner.ask(sys.argv[1], steps=int(sys.argv[2]))
    planner.until(lambda: any(f.stage == "denoise" for f in feedback), "first step")
    Path(sys.argv[3]).touch()
    planner.until(result.done, "result")
