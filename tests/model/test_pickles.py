"""Pickles of data sets: arrays come out, nothing is run."""

import collections
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch

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


def test_arrays_of_chumpy_are_read_without_chumpy(tmp_path, monkeypatch):
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
    selected = Select(a=Ch(x=numbers.reshape(3, 4)), idxs=np.arange(0, 12, 2), preferred_shape=(2, 3))
    path = written(tmp_path / "a.pkl", {"plain": Ch(x=numbers), "selected": selected, "sum": Ch(b=1)}, 2)
    for name in ("chumpy", "chumpy.ch"):
        monkeypatch.delitem(sys.modules, name)
    found = read_pickle(path)
    np.testing.assert_array_equal(as_array(found["plain"]), numbers)
    np.testing.assert_array_equal(as_array(found["selected"]), numbers[::2].reshape(2, 3))
    with pytest.raises(ValueError, match=r"keeps \['b'\] cannot be read"):
        as_array(found["sum"])
    with pytest.raises(ValueError, match="expected numbers"):
        as_array(np.array(["a"]))
