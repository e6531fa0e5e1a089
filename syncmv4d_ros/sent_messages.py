"""Standard messages that we send: headers, images, and the calibration of their pixels. Their classes are imported when one is made."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_ros.conversions import byte_field


def header_message(frame_id: str, stamp: Any = None) -> Any:
    """A std_msgs/Header; `stamp` is a builtin_interfaces/Time, zero if there is none."""
    from std_msgs.msg import Header

    header = Header(frame_id=frame_id)
    if stamp is not None:
        header.stamp = stamp
    return header


def image_message(image: UInt8[np.ndarray, "H W 3"], header: Any) -> Any:
    """An rgb8 sensor_msgs/Image with a given std_msgs/Header."""
    from sensor_msgs.msg import Image

    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = byte_field(image)
    return message


def camera_info_message(
    intrinsics: Float[np.ndarray, "3 3"],
    header: Any,
    *,
    width: int,
    height: int,
    rectification: Float[np.ndarray, "3 3"] | None = None,
) -> Any:
    """CameraInfo of an image that we send: K and P are of its own pixels, no distortion, roi and binning zero.

    `header` is a std_msgs/Header whose frame_id is the camera's optical frame; `rectification` is a Calibration's, for a camera
    whose images arrived rectified.
    """
    from sensor_msgs.msg import CameraInfo

    info = CameraInfo(header=header, width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = np.asarray(intrinsics, np.float64).ravel()
    info.r = (np.eye(3) if rectification is None else np.asarray(rectification, np.float64)).ravel()
    info.p = np.hstack([intrinsics, np.zeros((3, 1))]).astype(np.float64).ravel()
    return info
