"""What this robot is: a node's parameters, declared with ranges and descriptions, read once into one dataclass."""

from __future__ import annotations

import dataclasses
import math
import typing
from dataclasses import dataclass
from typing import Any

LARGEST = 2**31 - 1
MAX_STEPS = 1000
Told = typing.TypeVar("Told")


def parameter(default: Any, description: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A field with what `ros2 param describe` shows; numbers lie in [low, high]."""
    metadata = {"description": description, "low": low, "high": high}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class GeneratorParameters:
    """Everything that the generator node can be told. Lists are of strings; an empty string or list means: none."""

    cameras: list[str] = parameter(
        ["left", "centre", "right"], "Camera names; images come on <name>/image, calibration on <name>/camera_info."
    )
    compressed: list[str] = parameter([""], "Cameras whose images come as CompressedImage on <name>/image/compressed.")
    rectified: list[str] = parameter([""], "Cameras whose images are rectified already: P and R count, not K and D.")
    rig_files: list[str] = parameter(
        [""], "Where the cameras stand: rig.yaml, kalibr camchain or camera_info files. Empty: TF."
    )
    world_frame: str = parameter(
        "world", "Frame of the tracks; with TF, the frame that camera poses are looked up from."
    )
    engine: str = parameter("eager", "What computes: eager or compile.")
    checkpoint: str = parameter("", "Checkpoint folder. Empty: the bundled nano checkpoint.")
    steps: int = parameter(0, "Denoising steps. 0: the checkpoint's own.", low=0, high=MAX_STEPS)
    seed: int = parameter(0, "Seed of requests by topic.", low=0, high=LARGEST)
    # Less than a frame period of 30 Hz: an image's neighbour in time, which may be there before its partner, is no partner.
    slop_s: float = parameter(0.03, "Images of one set are taken within this time, seconds.", low=0.0, high=10.0)
    max_age_s: float = parameter(1.0, "Older images are not used, seconds.", low=0.01, high=3600.0)
    image_wait_s: float = parameter(2.0, "A request waits this long for a set of images, seconds.", low=0.0, high=60.0)
    queue_size: int = parameter(8, "Images kept per camera until partners arrive.", low=2, high=100)
    reliable_images: bool = parameter(False, "Subscribe to images reliably; best effort hears every publisher.")
    deadline_s: float = parameter(
        60.0, "A request by topic is given up after this time, seconds.", low=0.1, high=86400.0
    )
    grace_s: float = parameter(
        10.0, "An engine that ignores its cancel for so long is replaced, seconds.", low=0.1, high=600.0
    )
    publish_videos: bool = parameter(True, "Publish the generated videos as MP4 (costs encoding).")
    publish_viewer: bool = parameter(True, "Publish PointCloud2, markers and pose arrays for viewers.")
    replay: bool = parameter(
        True, "Replay generated frames on <name>/generated/image at their own rate, once per result."
    )
    diagnostics_period_s: float = parameter(
        1.0, "Seconds from one /diagnostics message to the next.", low=0.1, high=60.0
    )
    autostart: bool = parameter(True, "Configure and activate at start; false: a lifecycle manager does.")

    def __post_init__(self) -> None:
        """ValueError naming the parameter."""
        names = [name for name in self.cameras if name]
        if not names:
            raise ValueError("parameter cameras names no camera")
        if len(set(names)) != len(names):
            raise ValueError(f"parameter cameras names one twice: {names}")
        for name in ("compressed", "rectified"):
            unknown = [camera for camera in getattr(self, name) if camera and camera not in names]
            if unknown:
                raise ValueError(f"parameter {name} names {unknown[0]!r}, which is not among cameras: {names}")
        if not self.world_frame:
            raise ValueError("parameter world_frame is empty")
        check_ranges(self)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Cameras in order, without the empty string that stands for an empty list."""
        return tuple(name for name in self.cameras if name)

    @property
    def rig_paths(self) -> tuple[str, ...]:
        return tuple(path for path in self.rig_files if path)


def check_ranges(told: Any) -> None:
    """ValueError naming the first parameter of a dataclass that is outside the range of its field."""
    for field in dataclasses.fields(told):
        low, value = field.metadata["low"], getattr(told, field.name)
        if low is not None and not (math.isfinite(value) and low <= value <= field.metadata["high"]):
            raise ValueError(f"parameter {field.name} must lie in [{low}, {field.metadata['high']}], got {value}")


def declare(node: Any, kind: type = GeneratorParameters) -> None:
    """Declare every parameter of a dataclass on a node, with its default, description and range."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    for field in dataclasses.fields(kind):
        has_default = field.default is not dataclasses.MISSING
        default = field.default if has_default else typing.cast(Any, field.default_factory)()
        descriptor = ParameterDescriptor(description=field.metadata["description"], read_only=False)
        low, high = field.metadata["low"], field.metadata["high"]
        if isinstance(default, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif low is not None:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        node.declare_parameter(field.name, default, descriptor)


def read(node: Any, kind: type[Told] = GeneratorParameters) -> Told:
    """All declared parameters at once. ValueError naming the one that is wrong."""
    values = {field.name: node.get_parameter(field.name).value for field in dataclasses.fields(typing.cast(Any, kind))}
    values = {name: list(value) if isinstance(value, (list, tuple)) else value for name, value in values.items()}
    return kind(**values)
