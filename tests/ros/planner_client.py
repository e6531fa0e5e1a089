"""A planner and its cameras, as the generator node meets them. Needs rclpy and our messages."""

from contextlib import contextmanager

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from syncmv4d.action import Generate
from syncmv4d.msg import MultiViewVideo, PointTracks, RigidTrajectory
from tests.ros.camera_rig import Cameras
from tests.ros.dds import found_by, node_process, spin_until

OUT = {
    "tracks": PointTracks, "trajectories": RigidTrajectory, "videos": MultiViewVideo, "points": PointCloud2,
    "markers": MarkerArray, "left/generated/image": Image, "left/generated/camera_info": CameraInfo,
    "right/generated/image": Image,
    "/diagnostics": DiagnosticArray,
}  # fmt: skip
UNKNOWN, SUCCEEDED, CANCELED, ABORTED = 0, 4, 5, 6  # action_msgs/GoalStatus


class Planner:
    """Asks the generator by its action."""

    def __init__(self, node, executor):
        self.node, self.executor = node, executor
        self.generate = ActionClient(node, Generate, "generate")

    def until(self, reached, what):
        spin_until(self.executor, reached, what=what)

    def ready(self):
        """Wait until each side has found the other."""
        self.until(self.generate.server_is_ready, "action server")
        found_by(self.node, self.executor, "syncmv4d")

    def ask(self, task="use a hammer to hit a box", **goal):
        """(goal handle, feedback so far, result future)."""
        feedback = []
        sent = self.generate.send_goal_async(
            Generate.Goal(task=task, **goal), feedback_callback=lambda message: feedback.append(message.feedback)
        )
        self.until(sent.done, "answer to the goal")
        handle = sent.result()
        return handle, feedback, handle.get_result_async() if handle.accepted else None

    def answer(self, task="use a hammer to hit a box", **goal):
        _, _, future = self.ask(task, **goal)
        assert future is not None, "the goal was rejected"
        self.until(future.done, f"result of {task!r}")
        return future.result().status, future.result().result

    def works(self):
        status, result = self.answer()
        assert status == SUCCEEDED and result.success, result.message

    def recovers(self):
        """The result of the first request that succeeds."""
        results = []

        def succeeded():
            status, result = self.answer()
            results.append(result)
            return status == SUCCEEDED

        self.until(succeeded, "a good result")
        return results[-1]


class Client(Planner):
    """A planner, the cameras, and what they have heard."""

    def __init__(self, node, executor, *, cameras=Cameras):
        self.cameras = cameras(node)
        self.heard = {topic: [] for topic in OUT}
        for topic, kind in OUT.items():
            node.create_subscription(kind, topic, self.heard[topic].append, QoSProfile(depth=100))
        self.task = node.create_publisher(String, "task", 10)
        super().__init__(node, executor)
        self.change = lambda name, image, info: None
        self.only = ("left", "right")
        self.stamp = lambda: None
        self.shooting, self.calibrated = True, True
        node.create_timer(0.05, self.shoot)

    def shoot(self):
        if self.shooting:
            self.cameras.shoot(only=self.only, stamp=self.stamp(), change=self.change, calibrated=self.calibrated)

    def ready(self):
        self.until(lambda: self.task.get_subscription_count() > 0, "task subscription")
        super().ready()

    def statuses(self):
        """Every status that was heard on /diagnostics."""
        return [status for array in self.heard["/diagnostics"] for status in array.status]

    def values(self, key):
        """All that /diagnostics has said by this name."""
        return [pair.value for status in self.statuses() for pair in status.values if pair.key == key]

    def says(self, text):
        """Wait until /diagnostics carries a text."""

        def said():
            return any(
                text in status.message or any(text in pair.value for pair in status.values)
                for status in self.statuses()
            )

        self.until(said, f"{text!r} in /diagnostics")

    def counts(self, text):
        """Wait until /diagnostics counts something of this name."""

        def said():
            return any(text in pair.key and pair.value != "0" for status in self.statuses() for pair in status.values)

        self.until(said, f"{text!r} in /diagnostics")


@contextmanager
def generator(ros_node, parameters, **options):
    """A client of the generator node, which runs with these parameters in a process of its own."""
    with node_process(*generator_command(parameters)):
        yield Client(*ros_node, **options)


def generator_command(parameters):
    """Module and arguments of the generator node with the trivial engine."""
    told = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return ["tests.ros.trivial_generator", "--ros-args", *told]
