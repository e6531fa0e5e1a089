"""The generator node in the process of a test, spun by a thread of its own, for what no topic tells. Needs rclpy and our messages."""

import threading
from contextlib import contextmanager

import rclpy

from syncmv4d_ros.generator_node import GeneratorNode, _autostart
from syncmv4d_ros.spinning import SplitExecutor


@contextmanager
def node_in_process(parameters, *, load, kind=GeneratorNode):
    """The node, configured and active; what its callbacks raise is raised where the block ends."""
    context = rclpy.Context()
    told = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    rclpy.init(args=["test", "--ros-args", *told], context=context)
    node = kind(load=load, context=context)
    executor = SplitExecutor(node.sensors, threads=4, context=context)
    executor.add_node(node)
    assert _autostart(node)
    ended, raised = threading.Event(), []

    def spin():
        try:
            while not ended.is_set():
                executor.spin_once(timeout_sec=0.1)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield node
    finally:
        ended.set()
        thread.join()
        node.stop()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown(context=context)
    assert not raised, raised
