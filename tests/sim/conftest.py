"""What tests of TACO's layout share: one recording, filmed by all of TACO's cameras."""

from pathlib import Path

import pytest

from syncmv4d_sim.dataset import build
from syncmv4d_sim.sequences import BuildOptions

TACO_OPTIONS = BuildOptions(split="test_1", seed=4, width=160, layout="taco", shadows=False)


@pytest.fixture(scope="session")
def taco_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One recording, (hit, hammer, box)/20000101_000; not to be written to."""
    out = tmp_path_factory.mktemp("taco")
    build(out, TACO_OPTIONS, count=1, workers=1, show_progress=False)
    return out
