"""What a folder of results belongs to, noted in it, so that it is not taken for another's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def differing_claim(path: Path, ours: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Write the note where there is none; else what an older one has otherwise: name -> (theirs, ours).

    ValueError for a file that is not JSON.
    """
    from syncmv4d_model.data.atomic import write_bytes

    text = json.dumps(ours, indent=1)
    if not path.exists():
        write_bytes(path, f"{text}\n".encode())
        return {}
    try:
        theirs = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    known = theirs if isinstance(theirs, dict) else {}
    return {name: (known.get(name), value) for name, value in json.loads(text).items() if known.get(name) != value}
