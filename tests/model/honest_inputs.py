"""What a predictor is given, bit by bit, so that two of them can be compared."""

import dataclasses

import numpy as np

from syncmv4d_model.data.sequence import Sequence, rig_of_sequence
from syncmv4d_model.data.window import FoundObjects


def bits(value: object) -> bytes:
    """Of arrays, texts, numbers, and dataclasses and tuples of them; shapes and types count too."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return b"".join(field.name.encode() + bits(getattr(value, field.name)) for field in dataclasses.fields(value))
    if isinstance(value, tuple | list):
        return b"(" + b",".join(map(bits, value)) + b")"
    return repr(value).encode()


def inputs_of(sequence: Sequence) -> dict[str, bytes]:
    """Whole first images, the rig, the windows, what is seen in them, the task, and the anchors
    that an evaluation asks for.
    """
    rig = rig_of_sequence(sequence)
    return {
        "images": bits(sequence.whole_images),
        "rig": bits(rig),
        "windows": bits(sequence.windows),
        "first frames": bits(sequence.video[:, 0]),
        "intrinsics": bits(sequence.intrinsics),
        "task": bits(sequence.task),
        "anchors": bits(sequence.anchors_px),
    }


def changed(one: dict[str, bytes], other: dict[str, bytes]) -> set[str]:
    """Names of what differs."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def find_bright(images, task: str) -> FoundObjects:
    """Nearly the whole picture, from an edge on that depends on its every pixel, and on no other."""
    boxes = []
    for image in images:
        height, width = image.shape[:2]
        edge = 8 * image.mean() / 255
        boxes.append(np.tile([edge, edge, width, height], (3, 1)))
    return FoundObjects(np.stack(boxes), np.ones((len(images), 3)))
