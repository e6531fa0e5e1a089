"""What a checkpoint folder says of itself: known without loading a network, or torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from syncmv4d_model.data.atomic import restore

FORMAT = 1
FINDER = "finder"
"""Folder of the finder in a checkpoint; it has a tokenizer of its own."""
BUNDLED_NANO = Path(__file__).parent / "checkpoints" / "nano"


def read_index(directory: Path) -> dict[str, Any]:
    """model_index.json of a checkpoint folder; FileNotFoundError where there is none, ValueError for one that is not ours."""
    restore(directory)
    path = directory / "model_index.json"
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {directory}: {path.name} is missing")
    try:
        index = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(index, dict) or not {"format", "config", "statistics"} <= set(index):
        raise ValueError(f"{path} is not a SyncMV4D checkpoint: it needs format, config and statistics")
    if index["format"] != FORMAT:
        raise ValueError(f"{path} has format {index['format']!r}, this version reads {FORMAT}")
    return index


def checkpoint_hash(directory: Path) -> str:
    """Short digest of a checkpoint's weights and configuration, for result files."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.suffix in {".safetensors", ".json"} and path.is_file():
            digest.update(path.relative_to(directory).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
