"""Cameras for tests: real publishers of images and calibration, whose faults a test chooses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NAMES = ("left", "right")
WIDTH, HEIGHT = 80, 60
K = np.array([[75.0, 0, (WIDTH - 1) / 2], [0, 75.0, (HEIGHT - 1) / 2], [0, 0, 1]])


def write_rig(path: Path) -> Path:
    """rig.yaml of two cameras 0.2 m apart that look at one point 0.8 m in front."""
    from syncmv4d_model.data import rig

    poses = []
    for x in (-0.1, 0.1):
        eye, target = np.array([x, 0, 0]), np.array([0, 0, 0.8])
        forward = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, -rotation @ eye
        poses.append(pose)
    cameras = rig.Rig(
        NAMES, (None,) * 2, ((WIDTH, HEIGHT),) * 2, np.stack([K] * 2), np.stack(poses), (None,) * 2
    )  # fmt: skip
    rig.write_rig(path, cameras)
    return path


class Cameras:
    """Publishes one set of images at each `shoot`: noise, or as its subclass would have it."""

    def __init__(self, node):
        from sensor_msgs.msg import CameraInfo

        self.node = node
        self.images = {name: self.publisher(name) for name in NAMES}
        self.infos = {name: node.create_publisher(CameraInfo, f"{name}/camera_info", 5) for name in NAMES}
        self.random = np.random.default_rng(0)

    def publisher(self, name):
        from sensor_msgs.msg import Image

        return self.node.create_publisher(Image, f"{name}/image", 5)

    def image(self, name, header):
        from syncmv4d_ros.sent_messages import image_message

        return image_message(self.random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), header)

    def shoot(self, *, only=NAMES, stamp=None, change=lambda name, image, info: None, calibrated=True):
        """One image and, where `calibrated`, CameraInfo of each camera in `only`; `change(name, image, info)` may spoil them."""
        from syncmv4d_ros.sent_messages import camera_info_message, header_message

        stamp = stamp or self.node.get_clock().now().to_msg()
        for name in only:
            header = header_message(f"{name}_optical", stamp)
            image = self.image(name, header)
            info = camera_info_message(K, header, width=WIDTH, height=HEIGHT)
            change(name, image, info)
            if calibrated:
                self.infos[name].publish(info)
            self.images[name].publish(image)
