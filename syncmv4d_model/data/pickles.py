"""Reads the pickles of data sets that ship nothing else: arrays in plain containers.

Nothing that a pickle names is called. What it would make is held as it is described, and arrays are made of that by code that checks it.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from syncmv4d_model.data.npz import check_size

MAX_BYTES = 256 << 20
"""MANO's own files have 4 MB, a recording's hands less than 1 MB."""
MAX_DENSE = 1 << 24
"""Numbers of a sparse matrix written out; MANO's largest has 12,448."""
_DTYPE = re.compile(r"[fiub][1248]")


class Chumpy:
    """What is left of an array of the library chumpy, which is not loaded: its state. `as_array` reads it."""

    def __init__(self, state: dict[Any, Any]) -> None:
        self.state = state


def read_pickle(path: Path) -> Any:
    """Its content; torch's tensors and sparse matrices as arrays, chumpy's arrays as `Chumpy`, sets as lists. FileNotFoundError;
    ValueError for a file that is broken, too large or holds anything but arrays, numbers, text and plain containers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    check_size(path, MAX_BYTES)
    content = path.read_bytes()
    try:
        _check_places(content)
        return _Plain().of(_Holder(io.BytesIO(content), encoding="latin1").load())
    except Exception as error:  # whatever a broken file brings up: nothing of it has been run
        raise ValueError(f"cannot read {path}: {error or type(error).__name__}") from error


def as_array(value: Any) -> np.ndarray:
    """An array of numbers from one, or from what chumpy's plain and selected arrays keep. ValueError."""
    for _ in range(8):  # selections of selections
        if not isinstance(value, Chumpy):
            break
        if "x" in value.state:
            value = value.state["x"]
        elif "a" in value.state and "idxs" in value.state:  # chumpy's Select: places of another array
            chosen = as_array(value.state["a"]).ravel()[as_array(value.state["idxs"]).astype(np.intp)]
            value = chosen.reshape(value.state.get("preferred_shape", chosen.shape))
        else:
            raise ValueError(f"an array of chumpy that keeps {sorted(map(str, value.state))} cannot be read")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected numbers, got {array.dtype}")
    return array


def _check_places(content: bytes) -> None:
    """ValueError unless every length is that of something in the file, and every place to remember things at one of as many as there are."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content), start=1):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > count:
            raise ValueError(f"it remembers something at place {argument}, and has {count} things so far")


class _Held:
    """What a pickle would make: with which arguments, state and items. Each file has its own kinds."""

    name = ""
    arguments: tuple[Any, ...]
    state: Any
    items: dict[Any, Any]

    def __new__(cls, *arguments: Any) -> _Held:
        held = super().__new__(cls)
        held.arguments, held.state, held.items = arguments, None, {}
        return held

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value


class _Holder(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Held]:
        whole = f"{module.replace('._core.', '.core.')}.{name}"
        if module.split(".")[0] == "chumpy":
            whole = "chumpy"
        if whole not in _MADE and whole not in _NAMED_ONLY:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays in plain containers are read")
        return type("_Named", (_Held,), {"name": whole})


class _Plain:
    """What is held, as arrays and plain containers; each thing once, however often it is named."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._doing: set[int] = set()

    def of(self, value: Any) -> Any:
        """ValueError for what is no number, text or array, and for a container in itself."""
        if value is None or isinstance(value, (bool, int, float, complex, str, bytes, bytearray)):
            return value
        place = id(value)
        if place in self._done:
            return self._done[place]
        if place in self._doing:
            raise ValueError("something holds itself")
        self._doing.add(place)
        made = self._made(value)
        self._doing.remove(place)
        self._done[place] = made
        return made

    def _made(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {_key(self.of(key)): self.of(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.of(one) for one in value)
        if isinstance(value, (set, frozenset)):
            return [self.of(one) for one in value]
        if isinstance(value, _Held) and value.name in _MADE:
            return _MADE[value.name](self, value)
        raise ValueError(f"it holds {getattr(value, 'name', '') or type(value).__name__}, which is no array")


def _key(key: Any) -> Any:
    if not isinstance(key, (str, int, float, bytes, tuple)):
        raise ValueError(f"a dictionary's key is {type(key).__name__}")
    return key


def _dtype(held: Any) -> np.dtype:
    """Of numpy's plain numbers."""
    if not isinstance(held, _Held) or held.name != "numpy.dtype" or not held.arguments:
        raise ValueError("an array without a type")
    name = held.arguments[0]
    order = held.state[1] if isinstance(held.state, tuple) and len(held.state) > 1 else "|"
    if not isinstance(name, str) or not _DTYPE.fullmatch(name) or order not in ("<", ">", "=", "|"):
        raise ValueError(f"an array of {name}, which is no number")
    return np.dtype(name).newbyteorder(order)


def _numbers(content: Any, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
    if isinstance(content, str):  # as Python 2 wrote bytes
        content = content.encode("latin1")
    if not isinstance(content, (bytes, bytearray)) or order not in ("C", "F"):
        raise ValueError("an array without its numbers")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"an array of shape {shape}")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} with {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order=order).astype(dtype.newbyteorder("="))


def _array(plain: _Plain, held: _Held) -> np.ndarray:
    """numpy's `_reconstruct` with (version, shape, type, in Fortran's order, numbers)."""
    _, shape, dtype, fortran, content = held.state
    return _numbers(plain.of(content), _dtype(dtype), shape, "F" if fortran else "C")


def _buffered(plain: _Plain, held: _Held) -> np.ndarray:
    content, dtype, shape, order = held.arguments
    return _numbers(plain.of(content), _dtype(dtype), shape, order)


def _scalar(plain: _Plain, held: _Held) -> Any:
    return _numbers(plain.of(held.arguments[1]), _dtype(held.arguments[0]), (), "C")[()]


def _encoded(_: _Plain, held: _Held) -> bytes:
    """Bytes that protocol 2 writes as text."""
    text, encoding = held.arguments
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


def _listed(plain: _Plain, held: _Held) -> list[Any]:
    return [plain.of(one) for one in (held.arguments[0] if held.arguments else ())]


def _ordered(plain: _Plain, held: _Held) -> dict[Any, Any]:
    pairs = [tuple(pair) for pair in held.arguments[0]] if held.arguments else []
    return plain._made(dict(pairs) | held.items)


def _rebuilt(plain: _Plain, held: _Held) -> Any:
    """An object as the first protocols write it: (its class, object, None), and its state."""
    kind, base, state = held.arguments
    if not (isinstance(kind, type) and issubclass(kind, _Held)) or state is not None or base.name not in _OBJECT:
        raise ValueError("an object that is none of an array")
    instance = kind()
    instance.state = held.state
    return plain._made(instance)


def _sparse(plain: _Plain, held: _Held) -> np.ndarray:
    """Dense, for it is small; scipy checks every index first."""
    state = plain.of(held.state)
    shape = tuple(state["_shape"] if "_shape" in state else state["shape"])
    if (
        len(shape) != 2
        or not all(isinstance(size, int) and size >= 0 for size in shape)
        or math.prod(shape) > MAX_DENSE
    ):
        raise ValueError(f"a sparse matrix of shape {shape}")
    parts = tuple(as_array(state[name]) for name in ("data", "indices", "indptr"))
    kind = scipy.sparse.csc_matrix if held.name.endswith("csc_matrix") else scipy.sparse.csr_matrix
    matrix = kind(parts, shape)
    matrix.check_format(full_check=True)
    return matrix.toarray()


def _tensor(plain: _Plain, held: _Held) -> np.ndarray:
    """torch's (storage, offset, size, stride, ...)."""
    numbers, offset, size, stride = plain.of(held.arguments[0]), *held.arguments[1:4]
    if not isinstance(numbers, np.ndarray):
        raise ValueError("a tensor without its numbers")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or math.prod(size) > len(numbers) or (0 not in size and last >= len(numbers)):
        raise ValueError("a tensor reaches beyond its numbers")
    steps = tuple(step * numbers.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(numbers[offset:], tuple(size), steps, writeable=False).copy()


def _storage(_: _Plain, held: _Held) -> np.ndarray:
    """The numbers of a torch storage, read by torch itself, which runs nothing."""
    import torch

    storage = torch.load(io.BytesIO(held.arguments[0]), map_location="cpu", weights_only=True)
    return torch.tensor([], dtype=storage.dtype).set_(storage).numpy()


_OBJECT = ("__builtin__.object", "builtins.object")
_NAMED_ONLY = frozenset({"numpy.ndarray", "numpy.dtype", *_OBJECT})
_MADE: dict[str, Callable[[_Plain, _Held], Any]] = {
    "numpy.core.multiarray._reconstruct": _array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _buffered,
    "_codecs.encode": _encoded,
    **dict.fromkeys(("copy_reg._reconstructor", "copyreg._reconstructor"), _rebuilt),
    **dict.fromkeys(
        (f"{module}.{name}" for module in ("__builtin__", "builtins") for name in ("set", "frozenset")), _listed
    ),
    "collections.OrderedDict": _ordered,
    **dict.fromkeys(
        (f"scipy.sparse.{module}.{module[-3:]}_matrix" for module in ("csc", "_csc", "csr", "_csr")), _sparse
    ),
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda plain, held: plain.of(held.arguments[0]),
    "torch.storage._load_from_bytes": _storage,
    "chumpy": lambda plain, held: Chumpy(plain.of(held.state) if isinstance(held.state, dict) else {}),
}
"""All that a pickle may name, and what is made of it."""
