"""What several files of tests start from."""

import pytest

from syncmv4d_model.data.loader import build_cache
from syncmv4d_model.data.sequence import list_sequences, read_sequence, write_sequence
from tests.model.sliding_points import sliding_sequence
from tests.model.tiny_model import tiny_checkpoint


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """(folder of an untrained checkpoint, latents of its training sequences); to be read only."""
    folder = tmp_path_factory.mktemp("tiny")
    data, checkpoint, components = tiny_checkpoint(folder)
    return checkpoint, build_cache(list_sequences(data, "train"), read_sequence, components, folder / "latents")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of three test sequences and two training ones, and the former as written."""
    directory = tmp_path_factory.mktemp("data")
    for split, names in {"test_1": ["a", "b", "c"], "train": ["d", "e"]}.items():
        for name in names:
            write_sequence(directory / split / name, sliding_sequence(name))
    return directory, [read_sequence(directory / "test_1" / name) for name in "abc"]
