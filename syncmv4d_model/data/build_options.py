"""One split folder of a data set holds sequences of one kind; the first build says which."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncmv4d_model.data.atomic import write_bytes


def check_same_options(path: Path, wanted: Mapping[str, Any], *, defaults: Mapping[str, Any] | None = None) -> None:
    """Write the options of the first build to `path`, in a folder that is there; ValueError where a later one asks for others.

    `defaults` are those of options that older builds did not write.
    """
    wanted = json.loads(json.dumps(wanted))  # as they are read back
    if not path.exists():
        write_bytes(path, json.dumps(wanted, indent=1).encode())
        return
    found = {**(defaults or {}), **json.loads(path.read_text(encoding="utf-8"))}
    if differing := [name for name in wanted if found.get(name) != wanted[name]]:
        name = differing[0]
        raise ValueError(
            f"{path} was built with {name} {found.get(name)}, asked for {wanted[name]}: choose another folder"
        )
