"""Work in several processes: in order, and each in one thread."""

import ctypes

import numpy as np
import pykdtree.kdtree
import pytest
from threadpoolctl import threadpool_limits

from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.parallel import mapped
from tests.model.counted_threads import threads_here


def test_processes_that_work_side_by_side_compute_in_one_thread_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # what they would take without being told
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    answers = list(mapped(threads_here, range(3), workers=2))
    assert [item for item, _, _ in answers] == [0, 1, 2]
    for _, later, found in answers:
        assert later == "1" and set(found.values()) == {1}
        assert any("openblas" in path for path in found) and any("gomp" in path for path in found)


def test_chamfer_looks_up_in_one_thread_and_leaves_the_number_as_it_was(monkeypatch):
    during = []
    looked_up = metrics.SearchTree.distances

    def watched(tree, queries):
        during.append(trees_threads())
        return looked_up(tree, queries)

    monkeypatch.setattr(metrics.SearchTree, "distances", watched)
    points = np.random.default_rng(0).random((40, 3))
    with threadpool_limits(2, user_api="openmp"):
        before = trees_threads()
        metrics.chamfer_distance(points, points + 0.1)
        assert trees_threads() == before == 2
    assert during == [1, 1]


def trees_threads() -> int:
    """Of the OpenMP that the search trees were linked to: a process may hold several more, each with its own number."""
    return ctypes.CDLL(pykdtree.kdtree.__file__).omp_get_max_threads()


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(TypeError):
        list(mapped(len, [1, 2, 3], workers=2))
