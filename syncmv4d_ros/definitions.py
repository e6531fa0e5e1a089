"""Our messages' definitions for programs without ROS: the same .msg files that the ROS package generates its types from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

PACKAGE = "syncmv4d"
POINT_TRACKS = f"{PACKAGE}/msg/PointTracks"
_KNOWN = "PointTracks.msg"


@cache
def typestore() -> Typestore:
    """ROS 2 Jazzy's message types, and all of ours. FileNotFoundError as message_folder. Shared: register nothing in it."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    ours = {}
    for path in sorted(message_folder().glob("*.msg")):
        ours |= get_types_from_msg(path.read_text(encoding="utf-8"), f"{PACKAGE}/msg/{path.stem}")
    store.register(ours)
    return store


def reading_types() -> Typestore:
    """What a bag without definitions of its own is read by: `typestore`, or Jazzy's types alone where our files are missing."""
    from rosbags.typesys import Stores, get_typestore

    try:
        return typestore()
    except FileNotFoundError:
        return get_typestore(Stores.ROS2_JAZZY)


def message_folder() -> Path:
    """The folder of our .msg files: of the checkout, of the installed distribution, or of a sourced workspace, in this order.

    FileNotFoundError when none has PointTracks.msg.
    """
    for folder in _places():
        if (folder / _KNOWN).is_file():
            return folder
    raise FileNotFoundError(
        f"{_KNOWN} is neither beside the code, nor among the installed files of {PACKAGE}, nor under AMENT_PREFIX_PATH"
    )


def _places() -> Iterator[Path]:
    yield Path(__file__).parents[1] / "msg"
    try:
        installed = files(PACKAGE) or []
    except PackageNotFoundError:
        installed = []
    yield from (Path(str(file.locate())).parent for file in installed if file.name == _KNOWN)
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        yield Path(prefix) / "share" / PACKAGE / "msg"
