"""Files and folders that appear whole or not at all, whatever kills the writer."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yields a hidden name beside `path` to write to; renames it to `path` when the block ends without an error.

    Readers see the old file or the whole new one. OSError (disk full, no permission) names `path`.
    """
    partial = _fresh_partial(path)
    try:
        yield partial
        flush(partial)
        os.replace(partial, path)
        flush(path.parent)
    except OSError as error:
        raise _could_not_write(path, error) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a hidden, empty folder beside `path`; renames it to `path` (replacing an older one) when the block ends.

    A folder cannot be replaced in one step: a writer killed between the two leaves the old one as `.NAME.previous`, which
    `restore` puts back; so does the next writer.
    """
    partial = _fresh_partial(path)
    try:
        restore(path)
        partial.mkdir()
        yield partial
        for file in sorted(partial.rglob("*")):
            flush(file)
        flush(partial)
        _replace(path, partial)
    except OSError as error:
        raise _could_not_write(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def restore(path: Path) -> None:
    """Put back the folder that a writer killed in the midst of replacing it had moved aside."""
    previous = _previous(path)
    if previous.is_dir() and not path.exists():
        previous.rename(path)


def _replace(path: Path, partial: Path) -> None:
    previous = _previous(path)
    shutil.rmtree(previous, ignore_errors=True)
    if path.exists():
        path.rename(previous)
    try:
        partial.rename(path)
    except OSError:
        restore(path)
        raise
    flush(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def check_writable(path: Path, *, directory: bool = False) -> None:
    """See, without leaving a trace, that a file (or a `directory` of files) could be written: before work whose result goes there.

    OSError naming the path and why not: it is a folder (or, as a `directory`, a file), lies below a file, or its folder
    takes no file.
    """
    if path.exists() and path.is_dir() != directory:
        raise OSError(errno.EEXIST, f"cannot write to {path}: it is a {'file' if directory else 'folder'}")
    place = path if directory else path.parent
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OSError(error.errno, f"cannot write to {path}: {place}: {error.strerror}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; errors as atomic_file."""
    with atomic_file(path) as partial:
        partial.write_bytes(content)


def _fresh_partial(path: Path) -> Path:
    """The hidden name for this process, after removing what killed writers left."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    except OSError as error:
        raise _could_not_write(path, error) from error
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _could_not_write(path: Path, error: OSError) -> OSError:
    if str(error).startswith("could not write"):  # already said of an inner file
        return error
    return OSError(error.errno, f"could not write {path}: {error.strerror or error}; no part of it was kept")


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
