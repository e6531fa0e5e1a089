"""Pickles of data sets: arrays come out, nothing is run."""

import collections
import contextlib
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from syncmv4d_model.data import pickles
from syncmv4d_model.data.pickles import as_array, read_pickle


def written(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


class Runs:
    """What a hostile file would hold."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_in_containers_come_back(tmp_path, protocol):
    content = {
        "floats": np.arange(6.0).reshape(2, 3),
        "one": np.float64(2.5),
        "order": collections.OrderedDict(a=[1, "b", None, True], c=(np.arange(3, dtype=np.uint32),)),
        "sparse": scipy.sparse.csc_matrix(np.eye(3)),
    }
    found = read_pickle(written(tmp_path / "a.pkl", content, protocol))
    np.testing.assert_array_equal(found["floats"], content["floats"])
    np.testing.assert_array_equal(as_array(found["sparse"]), np.eye(3))
    assert found["one"] == 2.5 and list(found["order"]) == ["a", "c"] and found["order"]["a"] == [1, "b", None, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_tensors_come_back_as_arrays_parts_of_tensors_too(tmp_path, dtype):
    whole = torch.arange(24).reshape(4, 6).to(dtype)
    content = {"whole": whole, "part": whole[1:3, ::2], "turned": whole.T, "none": whole[:0]}
    found = read_pickle(written(tmp_path / "a.pkl", content))
    for name, tensor in content.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ("touch {}",)),
        (eval, ("open('{}', 'w')",)),
        (pickle.loads, (b"",)),
        (np.load, ("{}",)),
        (torch.load, ("{}",)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_would_run_something_is_refused_and_not_run(tmp_path, function, arguments):
    mark = tmp_path / "it_ran"
    asked = tuple(text.format(mark) if isinstance(text, str) else text for text in arguments)
    with pytest.raises(ValueError, match="it asks for .*only arrays in plain containers are read"):
        read_pickle(written(tmp_path / "a.pkl", [Runs(function, *asked)]))
    assert not mark.exists()


def test_a_storage_that_would_run_something_is_refused_by_torch(tmp_path):
    mark = tmp_path / "it_ran"
    inner = tmp_path / "inner.pt"
    torch.save(Runs(os.system, f"touch {mark}"), inner)
    storage = Runs(torch.storage._load_from_bytes, inner.read_bytes())
    with pytest.raises(ValueError, match="cannot read"):
        read_pickle(written(tmp_path / "a.pkl", [storage]))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("size", "stride", "offset"), [((5,), (1,), 0), ((2,), (4,), 0), ((2,), (1,), 3), ((2,), (-1,), 3)]
)
def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(tmp_path, size, stride, offset):
    storage = torch.arange(4.0).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    tensor = Runs(torch._utils._rebuild_tensor_v2, typed, offset, size, stride, False, collections.OrderedDict())
    with pytest.raises(ValueError, match="reaches beyond its numbers"):
        read_pickle(written(tmp_path / "a.pkl", tensor))


def test_matrices_whose_places_lie_outside_and_made_up_sizes_are_refused(tmp_path):
    outside = scipy.sparse.csc_matrix(np.eye(3))
    outside.indices = np.array([0, 1, 2**30], np.int32)
    huge = scipy.sparse.csc_matrix((10**6, 10**6))
    few = torch.zeros(3)[:1].expand(3 * 10**8)
    for content in (outside, huge, few, Runs(np.ndarray, (1,), "O", b"A" * 8), Runs(np.dtype, "f8"), np.array([{}])):
        with pytest.raises(ValueError, match="cannot read"):
            read_pickle(written(tmp_path / "a.pkl", {"a": content}))


def test_places_and_lengths_beyond_the_file_are_refused_before_room_is_made(tmp_path):
    for content in (b"\x80\x02Nr\x00\x00\x00\x70.", b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"."):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(ValueError, match="cannot read"):
            read_pickle(tmp_path / "a.pkl")


def test_what_holds_itself_is_refused_and_what_is_named_often_is_one(tmp_path):
    circle: list = []
    circle.append(circle)
    with pytest.raises(ValueError, match="holds itself"):
        read_pickle(written(tmp_path / "a.pkl", circle))
    often: list = [1.0]
    for _ in range(60):
        often = [often, often]
    found = read_pickle(written(tmp_path / "a.pkl", often))
    assert found[0] is found[1]


def test_a_file_changes_nothing_for_the_next_one(tmp_path):
    """BUILD with a state of slots sets attributes, of classes too."""
    spoil = b"\x80\x02cnumpy\nndarray\nN}X\x04\x00\x00\x00nameX\x01\x00\x00\x00as\x86b."
    (tmp_path / "a.pkl").write_bytes(spoil)
    with pytest.raises(ValueError, match="cannot read"):
        read_pickle(tmp_path / "a.pkl")
    np.testing.assert_array_equal(read_pickle(written(tmp_path / "b.pkl", np.ones(3))), np.ones(3))


@settings(max_examples=300)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(tmp_path_factory, place, value):
    content = {"a": np.arange(4.0), "b": torch.arange(3.0), "c": scipy.sparse.csc_matrix(np.eye(2)), "d": [1, "x"]}
    changed = bytearray(pickle.dumps(content, 2))
    changed[place % len(changed)] = value
    path = tmp_path_factory.mktemp("changed") / "a.pkl"
    path.write_bytes(changed)
    with contextlib.suppress(ValueError):
        read_pickle(path)


def test_broken_and_too_large_files_are_refused(tmp_path, monkeypatch):
    whole = pickle.dumps({"a": np.arange(100)})
    for content in (b"", b"no pickle", whole[:-30], whole[:20]):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(ValueError, match="cannot read"):
            read_pickle(tmp_path / "a.pkl")
    monkeypatch.setattr(pickles, "MAX_BYTES", 10)
    (tmp_path / "a.pkl").write_bytes(whole)
    with pytest.raises(ValueError, match="more than the 10 that are read"):
        read_pickle(tmp_path / "a.pkl")
    with pytest.raises(FileNotFoundError):
        read_pickle(tmp_path / "b.pkl")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_arrays_of_chumpy_are_read_without_chumpy(tmp_path, monkeypatch, protocol):
    """Its plain array keeps its numbers as `x`; a selection keeps another array, places and a shape."""

    class Ch:
        def __init__(self, **state):
            self.__dict__.update(state)

    class Select(Ch):
        pass

    module = types.ModuleType("chumpy.ch")
    for kind in (Ch, Select):
        kind.__module__, kind.__qualname__ = "chumpy.ch", kind.__name__
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)
    numbers = np.arange(12.0)
    whole = Ch(x=numbers.reshape(3, 4), _dirty_vars={"x"}, _itr=None, _status="new")  # a set, as chumpy itself keeps
    selected = Select(a=whole, idxs=np.arange(0, 12, 2), preferred_shape=(2, 3), _dirty_vars=set())
    path = written(tmp_path / "a.pkl", {"plain": Ch(x=numbers), "selected": selected, "sum": Ch(b=1)}, protocol)
    for name in ("chumpy", "chumpy.ch"):
        monkeypatch.delitem(sys.modules, name)
    found = read_pickle(path)
    np.testing.assert_array_equal(as_array(found["plain"]), numbers)
    np.testing.assert_array_equal(as_array(found["selected"]), numbers[::2].reshape(2, 3))
    with pytest.raises(ValueError, match=r"keeps \['b'\] cannot be read"):
        as_array(found["sum"])
    with pytest.raises(ValueError, match="expected numbers"):
        as_array(np.array(["a"]))
