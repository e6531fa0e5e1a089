"""The worker: every request ends once, the newest wins, a cancel is heeded within a step, and nothing blocks the next."""

import gc
import queue
import threading
import time
import weakref

import pytest

from syncmv4d_ros.engine import Cancelled
from syncmv4d_ros.worker import MAX_QUEUED, Outcome, Request, Worker
from tests.ros.behaviour import Behaviour
from tests.ros.trivial_engine import TrivialEngine, observation_for

PATIENCE_S = 20.0


class Ending:
    """Collects how a request ends, and its progress."""

    def __init__(self):
        self.results = queue.Queue()
        self.steps = queue.Queue()

    def request(self, **options):
        return Request(
            observe=lambda stopped: observation_for(TrivialEngine()), finished=self.results.put,
            progress=lambda step, steps: self.steps.put((step, steps)), **options,
        )  # fmt: skip

    def result(self):
        return self.results.get(timeout=PATIENCE_S)


@pytest.fixture
def engines():
    """The behaviour of every engine that was loaded, the newest last."""
    return []


@pytest.fixture
def start(engines):
    workers = []

    def make(*, gated=False, mode="go", **options):
        def load():
            engines.append(Behaviour(gated=gated, mode="go" if engines else mode))
            return TrivialEngine(before_step=engines[-1])

        workers.append(Worker(load, **options))
        return workers[-1]

    yield make
    for engine in engines:
        engine.let_go()
    for worker in workers:
        worker.close()


def test_a_request_is_answered_with_its_seed_and_every_step_is_reported(start):
    worker, ending = start(), Ending()
    worker.submit(ending.request(seed=7, steps=3))
    result = ending.result()
    assert result.outcome is Outcome.DONE and result.prediction.seed == 7
    assert [ending.steps.get() for _ in range(3)] == [(1, 3), (2, 3), (3, 3)]
    assert not worker.busy and worker.counts[Outcome.DONE] == 1


def test_a_newer_request_replaces_the_one_that_runs_and_all_that_wait(start, engines):
    worker = start(gated=True)
    first, waiting, newest = Ending(), Ending(), Ending()
    worker.submit(first.request())
    engines[0].allow_step.release()
    assert first.steps.get(timeout=PATIENCE_S) == (1, 4)
    worker.submit(waiting.request(), queue=True)
    worker.submit(newest.request())
    assert waiting.result().outcome is Outcome.REPLACED
    engines[0].allow_step.release(100)
    assert first.result().outcome is Outcome.REPLACED
    assert newest.result().outcome is Outcome.DONE


def test_the_newest_is_the_one_that_was_submitted_last_whatever_thread_comes_first(start, engines):
    worker = start(gated=True)
    newer, older = Ending(), Ending()
    worker.submit(newer.request(submitted=time.monotonic()))
    worker.submit(older.request(submitted=time.monotonic() - 1))
    assert older.result().outcome is Outcome.REPLACED
    engines[0].allow_step.release(100)
    assert newer.result().outcome is Outcome.DONE


def test_queued_requests_run_in_order_and_too_many_are_refused(start, engines):
    worker = start(gated=True)
    endings = [Ending() for _ in range(MAX_QUEUED + 2)]
    worker.submit(endings[0].request())
    engines[0].allow_step.release()
    endings[0].steps.get(timeout=PATIENCE_S)
    for seed, ending in enumerate(endings[1:], start=1):
        worker.submit(ending.request(seed=seed, steps=1), queue=True)
    refused = endings[-1].result()
    assert refused.outcome is Outcome.REFUSED and f"{MAX_QUEUED} requests wait already" in refused.error
    engines[0].allow_step.release(1000)
    assert [ending.result().prediction.seed for ending in endings[:-1]] == list(range(MAX_QUEUED + 1))


def test_a_cancel_is_heeded_within_one_step(start, engines):
    worker, ending = start(gated=True), Ending()
    request = ending.request(steps=50)
    worker.submit(request)
    engines[0].allow_step.release()
    ending.steps.get(timeout=PATIENCE_S)
    worker.cancel(request)
    engines[0].allow_step.release(100)
    assert ending.result().outcome is Outcome.CANCELLED
    assert engines[0].steps_begun <= 2


def test_a_waiting_request_can_be_cancelled_and_the_running_one_goes_on(start, engines):
    worker, running, waiting = start(gated=True), Ending(), Ending()
    worker.submit(running.request())
    engines[0].allow_step.release()
    running.steps.get(timeout=PATIENCE_S)
    request = waiting.request()
    worker.submit(request, queue=True)
    worker.cancel(request)
    assert waiting.result().outcome is Outcome.CANCELLED
    engines[0].allow_step.release(100)
    assert running.result().outcome is Outcome.DONE


def test_a_request_past_its_deadline_is_late_running_or_waiting(start, engines):
    worker, running, waiting = start(gated=True), Ending(), Ending()
    worker.submit(running.request(deadline_s=0.2))
    worker.submit(waiting.request(deadline_s=0.2), queue=True)
    engines[0].allow_step.release()
    assert running.steps.get(timeout=PATIENCE_S)
    engines[0].released.wait(0.3)
    engines[0].allow_step.release(100)
    assert running.result().outcome is Outcome.LATE
    assert waiting.result().outcome is Outcome.LATE


def test_a_request_that_waits_is_late_at_its_deadline_while_another_runs(start, engines):
    worker, running, waiting = start(gated=True), Ending(), Ending()
    worker.submit(running.request())
    worker.submit(waiting.request(deadline_s=0.1), queue=True)
    assert waiting.result().outcome is Outcome.LATE
    engines[0].allow_step.release(100)
    assert running.result().outcome is Outcome.DONE


def test_a_prediction_that_comes_after_its_cancel_is_not_used(start, engines):
    worker, ending, used = start(gated=True), Ending(), queue.Queue()
    request = ending.request(steps=1, finish=used.put)
    worker.submit(request)
    while not engines[0].steps_begun:
        engines[0].released.wait(0.01)
    worker.cancel(request)  # during the last step, after which an engine does not ask
    engines[0].allow_step.release()
    assert ending.result().outcome is Outcome.CANCELLED and used.empty()


def test_a_request_that_waits_for_images_heeds_its_cancel_and_no_engine_is_blamed(start):
    worker, ending, looking = start(grace_s=5.0), Ending(), queue.Queue()

    def observe(stopped):
        looking.put(True)
        while not stopped():
            looking_for_images.wait(0.01)
        raise Cancelled("no image yet")

    looking_for_images = threading.Event()
    request = Request(observe=observe, finished=ending.results.put)
    worker.submit(request)
    looking.get(timeout=PATIENCE_S)
    worker.cancel(request)
    assert ending.result().outcome is Outcome.CANCELLED and worker.abandoned == 0


def test_a_result_that_nobody_can_take_costs_nobody_else(start):
    worker, next_one = start(), Ending()
    taken = queue.Queue()

    def gone(result):
        taken.put(result)
        raise RuntimeError("the client is gone")

    worker.submit(Request(observe=lambda stopped: observation_for(TrivialEngine()), finished=gone))
    taken.get(timeout=PATIENCE_S)
    worker.submit(next_one.request(), queue=True)
    assert next_one.result().outcome is Outcome.DONE and "the client is gone" in worker.last_error


def test_an_engine_that_raises_fails_its_request_only(start, engines):
    worker, failing, good = start(mode="fail"), Ending(), Ending()
    worker.submit(failing.request())
    result = failing.result()
    assert result.outcome is Outcome.FAILED and result.error == "RuntimeError: CUDA out of memory"
    assert worker.last_error == result.error
    engines[0].mode = "go"
    worker.submit(good.request())
    assert good.result().outcome is Outcome.DONE


def test_an_engine_that_hangs_is_replaced_and_the_next_request_served(start, engines):
    worker, hanging, good = start(mode="hang", grace_s=0.1), Ending(), Ending()
    worker.submit(hanging.request(deadline_s=0.1))
    result = hanging.result()
    assert result.outcome is Outcome.LATE and "did not stop within 0.1 s" in result.error
    worker.submit(good.request(seed=3), queue=True)
    assert good.result().prediction.seed == 3
    assert len(engines) == 2 and worker.abandoned == 1
    engines[0].released.set()  # the abandoned engine wakes: its answer reaches nobody
    worker.submit(good.request(seed=4))
    assert good.result().prediction.seed == 4 and hanging.results.empty()


class CyclicEngine(TrivialEngine):
    """Only a sweep for reference cycles frees it."""

    def __init__(self, before_step):
        super().__init__(before_step=before_step)
        object.__setattr__(self, "itself", self)


def test_an_abandoned_engine_goes_once_it_ends_though_sweeps_leave_out_what_is_settled():
    behaviours, loaded = [], []

    def load():
        behaviours.append(Behaviour(mode="go" if behaviours else "hang"))
        engine = CyclicEngine(behaviours[-1])
        loaded.append(weakref.ref(engine))
        return engine

    worker, hanging, good = Worker(load, grace_s=0.1), Ending(), Ending()
    gc.freeze()  # as a node does that is made (spinning.settle)
    abandoned = worker._thread
    worker.submit(hanging.request(deadline_s=0.1))
    hanging.result()
    worker.submit(good.request(), queue=True)
    assert good.result().outcome is Outcome.DONE
    behaviours[0].let_go()
    abandoned.join()
    gc.collect()
    assert loaded[0]() is None and loaded[1]() is not None
    worker.close()
    gc.unfreeze()


def test_after_too_many_hangs_requests_are_refused_with_the_reason(start, engines):
    worker, ending = start(mode="hang", grace_s=0.05, max_abandoned=0), Ending()
    worker.submit(ending.request(deadline_s=0.05))
    assert ending.result().outcome is Outcome.LATE
    for _ in range(2):
        worker.submit(ending.request(), queue=True)
        result = ending.result()
        assert result.outcome is Outcome.REFUSED and "1 engines hang: restart the node" in result.error


def test_closing_ends_what_runs_and_what_waits(start, engines):
    worker, running, waiting = start(gated=True), Ending(), Ending()
    worker.submit(running.request())
    engines[0].allow_step.release()
    running.steps.get(timeout=PATIENCE_S)
    worker.submit(waiting.request(), queue=True)
    engines[0].allow_step.release(100)
    worker.close()
    assert waiting.result().outcome is Outcome.CANCELLED
    assert running.result().outcome in (Outcome.CANCELLED, Outcome.DONE)
    late = Ending()
    worker.submit(late.request())
    assert late.result().outcome is Outcome.REFUSED


def test_a_thousand_replaced_requests_leave_nothing_behind(start):
    worker, last = start(), Ending()
    remembered = []
    for _ in range(1000):
        request = Ending().request(steps=1)
        remembered.append(weakref.ref(request))
        worker.submit(request)
    del request
    worker.submit(last.request())
    assert last.result().outcome is Outcome.DONE
    gc.collect()
    assert sum(reference() is not None for reference in remembered) == 0
    assert sum(worker.counts.values()) == 1001
