"""What several files of tests start from."""

import pytest

from syncmv4d_model.data.loader import build_cache
from syncmv4d_model.data.sequence import list_sequences, read_sequence
from tests.model.tiny_model import tiny_checkpoint


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """(folder of an untrained checkpoint, latents of its training sequences); to be read only."""
    folder = tmp_path_factory.mktemp("tiny")
    data, checkpoint, components = tiny_checkpoint(folder)
    return checkpoint, build_cache(list_sequences(data, "train"), read_sequence, components, folder / "latents")
