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
    frames = list(_decoded(path, max_frames))
    if not frames:
        raise ValueError(f"{path} holds no frame")
    return np.stack(frames)


def picked_frames(path: Path, indices: Sequence[int]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames at these places, one after the other and never more than one in memory; places must not fall. FileNotFoundError;
    ValueError for a video that is shorter or damaged.
    """
    wanted, count = deque(indices), 0
    for count, image in enumerate(_decoded(path, max(indices) + 1), start=1):
        while wanted and wanted[0] == count - 1:
            wanted.popleft()
            yield image
    if wanted:
        raise ValueError(f"{path} has {count} frames, frame {wanted[0]} was asked for")


def _decoded(path: Path, max_frames: int | None) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
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
            codec.thread_count = 1  # small pictures are decoded in less time than threads begin
            for index, frame in enumerate(container.decode(video=0)):
                yield to_rgb.reformat(frame, format="rgb24").to_ndarray()
                if index + 1 == max_frames:
                    break
    except (FFmpegError, IndexError) as error:
        raise ValueError(f"{path} is truncated, damaged or not a video: {error}") from error
