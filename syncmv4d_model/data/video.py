"""Videos on disk: H.264 in MP4, by PyAV."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from syncmv4d_model.data.atomic import write_bytes


def write_video(
    path: Path, frames: UInt8[np.ndarray, "T H W 3"], *, frame_period_s: float, lossless: bool = False
) -> None:
    """Write an MP4, whole or not at all.

    `lossless` keeps every bit (H.264 in RGB, which not every player shows); else yuv420p at visually lossless quality, for
    which ValueError unless height and width are even. OSError as atomic.atomic_file.
    """
    write_bytes(path, encode_video(frames, frame_period_s=frame_period_s, lossless=lossless))


def encode_video(
    frames: UInt8[np.ndarray, "T H W 3"], *, frame_period_s: float, lossless: bool = False, crf: int = 12
) -> bytes:
    """The bytes of `write_video`'s file. Encoded in memory, so that a full disk is met by one plain write.

    `crf` is x264's quality when lossy: 0 best, 12 beyond what eyes see, 51 worst.
    """
    import av

    count, height, width = frames.shape[:3]
    if not count:
        raise ValueError("a video needs at least one frame, got 0")
    if not lossless and (height % 2 or width % 2):
        raise ValueError(f"yuv420p needs even sizes, got {height} x {width}")
    if not frame_period_s > 0:
        raise ValueError(f"frame_period_s must be positive, got {frame_period_s}")
    rate = 1 / Fraction(frame_period_s).limit_denominator(100_000)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264rgb" if lossless else "libx264", rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        stream.options = {"qp": "0", "preset": "veryfast"} if lossless else {"crf": str(crf), "preset": "veryfast"}
        stream.codec_context.thread_count = 1  # the same bytes on every machine
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def read_video(path: Path, *, max_frames: int | None = None) -> UInt8[np.ndarray, "T H W 3"]:
    """All frames of a video, or the first `max_frames`. FileNotFoundError if it is missing, ValueError if it cannot be read or
    is damaged.
    """
    frames = [image for _, image in _decoded(path, last=None if max_frames is None else max_frames - 1)]
    if not frames:
        raise ValueError(f"{path} holds no frame")
    return np.stack(frames)


def picked_frames(path: Path, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames at these places, one after the other and never more than one in memory; places must not fall. FileNotFoundError;
    ValueError for a video that is shorter or damaged.
    """
    wanted = deque(indices)
    for index, image in _decoded(path, last=max(indices), picked=frozenset(indices)):
        while wanted and wanted[0] == index:
            wanted.popleft()
            yield image
    if wanted:
        raise ValueError(f"{path} has no frame {wanted[0]}")


def _decoded(
    path: Path, *, last: int | None, picked: frozenset[int] | None = None
) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
    """Frames with their places, to the last that is asked for; only the picked ones are given and made into pictures."""
    import av
    from av.error import FFmpegError
    from av.video.reformatter import VideoReformatter

    if not path.is_file():
        raise FileNotFoundError(f"no video {path}")
    to_rgb = VideoReformatter()  # a frame alone would make one for itself
    try:
        with av.open(str(path)) as container:
            codec = container.streams.video[0].codec_context
            codec.options = {"err_detect": "explode"}  # by default FFmpeg paints over what it cannot decode
            codec.thread_count = (
                1  # small pictures are decoded in less time than threads begin; many videos by many processes
            )
            for index, frame in enumerate(container.decode(video=0)):
                if picked is None or index in picked:
                    yield index, to_rgb.reformat(frame, format="rgb24").to_ndarray()
                if index == last:
                    break
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"{path} is truncated, damaged or not a video: {error}") from error
