"""Reads the pickles of data sets that ship nothing else: arrays in plain containers. Whatever else one asks for is refused before it runs."""

from __future__ import annotations

import codecs
import collections
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.lib import stride_tricks

MAX_BYTES = 256 << 20
"""MANO's own files have 4 MB, a recording's hands less than 1 MB."""


class Chumpy:
    """What is left of an array of the library chumpy, which is not loaded: its state. `as_array` reads it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


def read_pickle(path: Path) -> Any:
    """Its content; torch's tensors as arrays, chumpy's as `Chumpy`. FileNotFoundError; ValueError for a file that is broken, too
    large or holds anything but arrays, numbers, text and plain containers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    try:
        return _OnlyArrays(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise ValueError(f"cannot read {path}: {error or type(error).__name__}") from error
    except (ImportError, RuntimeError, OverflowError, MemoryError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def as_array(value: Any) -> np.ndarray:
    """A dense array of numbers from an array, a sparse matrix or what chumpy's plain and selected arrays keep. ValueError."""
    if isinstance(value, Chumpy):
        state = value.state
        if "x" in state:
            return as_array(state["x"])
        if "a" in state and "idxs" in state:  # chumpy's Select: places of another array
            chosen = as_array(state["a"]).ravel()[as_array(state["idxs"]).astype(np.intp)]
            return chosen.reshape(state.get("preferred_shape", chosen.shape))
        raise ValueError(f"an array of chumpy that keeps {sorted(state)} cannot be read")
    if scipy.sparse.issparse(value):
        value = value.toarray()
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers, got {array.dtype}")
    return array


class _OnlyArrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy":
            return Chumpy
        if (found := _ALLOWED.get((module, name))) is not None:
            return found
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays in plain containers are read")


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes that protocol 2 writes as text."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return codecs.encode(text, "latin1")


def _rebuilt(kind: type, base: type, state: object) -> object:
    """An object as the first protocols write it."""
    if base is not object or kind not in (Chumpy, scipy.sparse.csc_matrix, scipy.sparse.csr_matrix):
        raise pickle.UnpicklingError(f"it asks for an object of {kind.__name__}")
    return kind.__new__(kind)


def _storage(content: bytes) -> np.ndarray:
    """The numbers of a torch storage, read by torch itself, which executes nothing."""
    import torch

    storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return torch.tensor([], dtype=storage.dtype).set_(storage).numpy()


def _tensor(storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (0 not in size and last >= len(storage)):
        raise pickle.UnpicklingError("a tensor reaches beyond its numbers")
    steps = tuple(step * storage.itemsize for step in stride)
    return stride_tricks.as_strided(storage[offset:], size, steps, writeable=False).copy()


_ARRAY = np.zeros(1)
_BY_NUMPY = {  # by the names that older and newer releases write
    "multiarray._reconstruct": _ARRAY.__reduce_ex__(2)[0],
    "multiarray.scalar": _ARRAY[0].__reduce__()[0],
    "numeric._frombuffer": _ARRAY.__reduce_ex__(5)[0],
}
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.{name.split('.')[0]}", name.split(".")[1]): function
        for name, function in _BY_NUMPY.items()
        for core in ("core", "_core")
    },
    ("_codecs", "encode"): _encoded,
    **dict.fromkeys([("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")], _rebuilt),
    **dict.fromkeys([("__builtin__", "object"), ("builtins", "object")], object),
    ("collections", "OrderedDict"): collections.OrderedDict,
    **{(f"scipy.sparse.{module}", "csc_matrix"): scipy.sparse.csc_matrix for module in ("csc", "_csc")},
    **{(f"scipy.sparse.{module}", "csr_matrix"): scipy.sparse.csr_matrix for module in ("csr", "_csr")},
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch.storage", "_load_from_bytes"): _storage,
}
"""All that a pickle may name. None of it does more than hold numbers."""
