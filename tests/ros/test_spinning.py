"""How a node's callbacks are carried out, over real DDS: whose thread, how often, and that a goal that is computed is no work for it."""

import gc
import threading

import pytest

from tests.ros.dds import require_ros, spin_until

require_ros()

import rclpy  # noqa: E402
from rclpy.action import GoalResponse  # noqa: E402
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup  # noqa: E402
from rclpy.executors import TimeoutException  # noqa: E402
from rclpy.node import Node  # noqa: E402
from std_msgs.msg import String  # noqa: E402

from syncmv4d.action import Generate  # noqa: E402
from syncmv4d_ros.goals import GoalServer  # noqa: E402
from syncmv4d_ros.spinning import SplitExecutor, run_node  # noqa: E402
from tests.ros.planner_client import SUCCEEDED, Planner  # noqa: E402

PATIENCE = 200
ENOUGH = 20
SERVERS = 50


class Split:
    """A node on a SplitExecutor, in a context of its own; the thread of the test spins it."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("syncmv4d", context=self.context)
        self.group, self.others = MutuallyExclusiveCallbackGroup(), ReentrantCallbackGroup()
        self.executor = SplitExecutor(self.group, threads=2, context=self.context)
        self.executor.add_node(self.node)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def split(ros_domain):
    made = Split()
    yield made
    made.close()


def publish_often(node, topic):
    publisher = node.create_publisher(String, topic, 10)
    node.create_timer(0.005, lambda: publisher.publish(String()))


def heard_by(split, topic, group):
    """The threads in which a topic's messages arrive, one for each."""
    threads = []
    split.node.create_subscription(
        String, topic, lambda message: threads.append(threading.get_ident()), 10, callback_group=group
    )
    return threads


def test_one_group_is_heard_in_the_thread_that_spins_and_the_others_in_others(split):
    images, tasks = heard_by(split, "images", split.group), heard_by(split, "tasks", split.others)
    for topic in ("images", "tasks"):
        publish_often(split.node, topic)
    spin_until(split.executor, lambda: min(len(images), len(tasks)) > ENOUGH, what="messages")
    assert set(images) == {threading.get_ident()} and threading.get_ident() not in tasks


def test_callbacks_that_fill_every_other_thread_hold_up_no_image(split):
    release, blocked = threading.Event(), []

    def block():
        blocked.append(threading.get_ident())
        release.wait()

    timers = [split.node.create_timer(0.005, block, callback_group=split.others) for _ in range(3)]
    try:
        spin_until(split.executor, lambda: len(blocked) >= 2, what="blocked threads")
        images = heard_by(split, "images", split.group)
        publisher = split.node.create_publisher(String, "images", 10)

        def heard():
            publisher.publish(String())
            return len(images) > ENOUGH

        spin_until(split.executor, heard, what="messages")
        assert len(blocked) == 2
    finally:
        release.set()
    assert len(timers) == 3


def test_each_callback_is_handed_to_the_threads_once(split):
    handed, carried_out = [], []
    submit = split.executor._threads.submit
    split.executor._threads.submit = lambda call: handed.append(call) or submit(call)
    timer = split.node.create_timer(0.001, lambda: carried_out.append(1), callback_group=split.others)
    spin_until(split.executor, lambda: len(carried_out) >= 100, what="callbacks")
    timer.cancel()
    assert len(handed) <= 1.5 * len(carried_out)


@pytest.mark.parametrize("own", [True, False])
def test_what_a_callback_raises_ends_the_spinning(split, own):
    def fail():
        raise KeyError("of a callback")

    split.node.create_timer(0.005, fail, callback_group=split.group if own else split.others)
    with pytest.raises(KeyError, match="of a callback"):
        for _ in range(PATIENCE):
            split.executor.spin_once(timeout_sec=0.1)


def test_an_end_that_is_gone_costs_its_callback_only(split):
    publisher = split.node.create_publisher(String, "nowhere", 10)
    split.node.destroy_publisher(publisher)
    tried, images = [], heard_by(split, "images", split.group)
    publish_often(split.node, "images")
    for group in (split.group, split.others):
        split.node.create_timer(
            0.005, lambda group=group: tried.append(group) or publisher.publish(String()), callback_group=group
        )
    spin_until(split.executor, lambda: len(set(tried)) == 2 and len(images) > ENOUGH, what="callbacks of both groups")


def test_what_another_thread_destroys_ends_no_spinning(split):
    """rclpy adds to its wait set what was there a moment ago: it raises where that is gone."""
    made = []

    def come_and_go():
        for _ in range(SERVERS):
            server = GoalServer(
                split.node, Generate, "generate", begin=lambda handle, end: None, callback_group=split.others
            )
            made.append(server)
            server.destroy()

    images = heard_by(split, "images", split.group)
    publish_often(split.node, "images")
    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        spin_until(split.executor, lambda: not thread.is_alive(), what="end of the servers")
    finally:
        thread.join()
    before = len(images)
    spin_until(split.executor, lambda: len(images) > before + ENOUGH, what="messages")
    assert len(made) == SERVERS


def test_a_callback_that_has_not_begun_when_the_executor_ends_never_begins(split):
    release, blocked, begun = threading.Event(), threading.Semaphore(0), []

    def block():
        blocked.release()
        release.wait()

    pool = split.executor._threads
    try:
        for _ in range(2):
            split.executor.create_task(block)
            split.executor.spin_once(timeout_sec=1)
            blocked.acquire()
        split.executor.create_task(begun.append, 1)
        split.executor.spin_once(timeout_sec=1)
        split.executor.shutdown()
    finally:
        release.set()
    pool.shutdown(wait=True)
    assert not begun


def rests(executor):
    """Whether an executor ever finds nothing to do twice in a row."""
    quiet = 0
    for _ in range(PATIENCE):
        try:
            task, _, _ = executor.wait_for_ready_callbacks(timeout_sec=0.1)
            task()
            quiet = 0
        except TimeoutException:
            quiet += 1
        if quiet == 2:
            return True
    return False


def test_an_executor_rests_while_a_goal_is_computed_and_the_goal_ends_from_any_thread(split, ros_node):
    begun = []
    server = GoalServer(
        split.node, Generate, "generate", begin=lambda handle, end: begun.append(end), callback_group=split.others,
        goal_callback=lambda goal: GoalResponse.ACCEPT,
    )  # fmt: skip
    planner = Planner(*ros_node)
    spinning = threading.Event()

    def spin():
        while not spinning.is_set():
            split.executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    planner.ready()
    _, _, future = planner.ask()
    spinning.set()
    thread.join()
    assert begun and rests(split.executor) and not future.done()

    def finish(handle):
        handle.succeed()
        return Generate.Result(plan_id="of another thread")

    ending = threading.Thread(target=begun[0], args=(finish,))
    ending.start()
    ending.join()
    spinning.clear()
    thread = threading.Thread(target=spin)
    thread.start()
    planner.until(future.done, "result")
    spinning.set()
    thread.join()
    assert future.result().status == SUCCEEDED and future.result().result.plan_id == "of another thread"
    server.destroy()


class Started(Node):
    """Ends as soon as it spins, and knows how many objects are left out of sweeps then."""

    frozen = 0

    def seen(self):
        self.frozen = gc.get_freeze_count()
        return True

    def stop(self):
        pass


def test_sweeps_leave_out_what_a_node_is_made_of_until_it_ends(ros_domain):
    made = []

    def make():
        made.append(Started("started"))
        return made[0]

    assert run_node("started", make, finished=Started.seen) == 0
    assert made[0].frozen > 1000 and gc.get_freeze_count() == 0
