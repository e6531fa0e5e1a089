"""How many threads the libraries of a process would compute in, for a function that other processes can be given."""

import os

from threadpoolctl import threadpool_info


def threads_here(item: int) -> tuple[int, str | None, dict[str, int]]:
    """The item, what libraries that are loaded later will read, and the threads of those that compute metrics."""
    import numpy  # noqa: F401
    import pykdtree.kdtree  # noqa: F401

    found = {library["filepath"]: library["num_threads"] for library in threadpool_info()}
    return item, os.environ.get("OMP_NUM_THREADS"), found
