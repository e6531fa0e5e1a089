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


@cache
def typestore() -> Typestore:
    """ROS 2 Jazzy's message types, and ours. FileNotFoundError as message_text. Shared: register nothing else in it."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(message_text(POINT_TRACKS.rpartition("/")[2]), POINT_TRACKS))
    return store


def reading_types() -> Typestore:
    """What a bag without definitions of its own is read by: `typestore`, or Jazzy's types alone where our files are missing."""
    from rosbags.typesys import Stores, get_typestore

    try:
        return typestore()
    except FileNotFoundError:
        return get_typestore(Stores.ROS2_JAZZY)


def message_text(name: str) -> str:
    """The text of NAME.msg: of the checkout, of the installed distribution, or of a sourced workspace, in this order.

    FileNotFoundError, naming the file and the places, when none has it.
    """
    for path in _places(f"{name}.msg"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(
        f"{name}.msg is neither beside the code, nor among the installed files of {PACKAGE}, nor under AMENT_PREFIX_PATH"
    )


def _places(file_name: str) -> Iterator[Path]:
    yield Path(__file__).parents[1] / "msg" / file_name
    try:
        installed = files(PACKAGE) or []
    except PackageNotFoundError:
        installed = []
    yield from (Path(str(file.locate())) for file in installed if file.name == file_name)
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        yield Path(prefix) / "share" / PACKAGE / "msg" / file_name
