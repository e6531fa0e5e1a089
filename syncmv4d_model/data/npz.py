"""Arrays in .npz files, read without unpickling anything."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

MOST_UNPACKED = 4 * 2**30


def check_size(path: Path, most: int) -> None:
    """ValueError for a file of more than `most` bytes."""
    if path.stat().st_size > most:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes, more than the {most:,} that are read")


def read_npz(path: Path, keys: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Arrays of an .npz file, of the optional ones those that are there. FileNotFoundError if it is missing; ValueError if it is
    broken, pickled or lacks a key.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    content = path.read_bytes()
    if content[:2] != b"PK":  # what every zip archive starts with
        kind = "a single array (.npy)" if content.startswith(b"\x93NUMPY") else "something else, or empty"
        raise ValueError(f"cannot read {path}: it is not an .npz archive but {kind}; numpy.savez writes one")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            missing = [key for key in keys if key not in archive]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            unpacked = sum(member.file_size for member in archive.zip.infolist())
            if unpacked > MOST_UNPACKED:  # before anything of that size is allocated
                raise ValueError(f"it unpacks to {unpacked:,} bytes, more than the {MOST_UNPACKED:,} that are read")
            return {key: archive[key] for key in (*keys, *(key for key in optional if key in archive))}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        reason = "it holds Python objects, which are never loaded" if "allow_pickle" in str(error) else error
        raise ValueError(f"cannot read {path}: {reason}") from error
