"""Cameras that publish CompressedImage, over real DDS: a JPEG and a PNG reach the engine, and a broken one costs its own set only."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.ros.dds import require_ros

require_ros()

from sensor_msgs.msg import CompressedImage  # noqa: E402

from syncmv4d_model.data.observation import observe  # noqa: E402
from syncmv4d_model.data.rig import read_rig  # noqa: E402
from syncmv4d_ros.conversions import byte_field  # noqa: E402
from tests.ros.camera_rig import HEIGHT, WIDTH, Cameras  # noqa: E402
from tests.ros.planner_client import ABORTED, generator  # noqa: E402
from tests.ros.trivial_engine import TrivialEngine  # noqa: E402

KINDS = {"left": "jpeg", "right": "png"}
JPEG_LEVELS = 3
"""How far a smooth picture may be from itself after a JPEG of quality 95, of 255."""


def picture(name):
    """Smooth, and of another colour in every corner and camera."""
    x, y = np.meshgrid(np.linspace(0, 200, WIDTH), np.linspace(0, 200, HEIGHT))
    planes = [x, y, np.full_like(x, 60)] if name == "left" else [255 - y, np.full_like(x, 20), x]
    return np.stack(planes, -1).astype(np.uint8)


class CompressedCameras(Cameras):
    """What image_transport's plugin sends beside a raw image."""

    def publisher(self, name):
        return self.node.create_publisher(CompressedImage, f"{name}/image/compressed", 5)

    def image(self, name, header):
        file = io.BytesIO()
        Image.fromarray(picture(name)).save(file, KINDS[name].upper(), **({"quality": 95} if name == "left" else {}))
        kind = f"rgb8; {KINDS[name]} compressed bgr8"
        return CompressedImage(header=header, format=kind, data=byte_field(file.getvalue()))


@pytest.fixture
def client(ros_node, parameters):
    told = parameters | {"compressed": "[left, right]"}
    with generator(ros_node, told, cameras=CompressedCameras) as made:
        made.ready()
        yield made


def replayed(client, name):
    """Generated frames of a camera, which the trivial engine copies from the images it was given."""
    return [
        np.frombuffer(bytes(message.data), np.uint8).reshape(message.height, message.width, 3)
        for message in client.heard[f"{name}/generated/image"]
    ]


def test_a_jpeg_and_a_png_reach_the_engine_as_the_pictures_that_were_taken(client, tmp_path):
    client.works()
    client.until(lambda: all(replayed(client, name) for name in KINDS), "replayed frames of both")
    observation, _ = observe(read_rig(tmp_path / "rig.yaml"), [picture(name) for name in KINDS], "push")
    expected = TrivialEngine().look(observation)
    jpeg, png = (replayed(client, name)[-1].astype(int) - expected.images[v] for v, name in enumerate(KINDS))
    assert abs(jpeg).max() <= JPEG_LEVELS and not png.any()


def truncated(image):
    image.data = image.data[: len(image.data) // 2]


def of_unknown_format(image):
    image.format, image.data = "rgb8; webp", byte_field(b"RIFF\x24\0\0\0WEBPVP8 ")


def empty(image):
    image.format, image.data = "", byte_field(b"")


BROKEN = {
    truncated: {"left": "cannot read a JPEG of", "right": "cannot read a PNG of"},
    of_unknown_format: dict.fromkeys(KINDS, "format 'rgb8; webp': 16 bytes that begin neither as JPEG nor as PNG"),
    empty: dict.fromkeys(KINDS, "format '': 0 bytes that begin neither as JPEG nor as PNG"),
}


def unusable(client):
    """How many images /diagnostics has counted as of no use."""
    return sum(int(count) for count in client.values("dropped: unusable")[-len(KINDS) :])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", KINDS)
def test_a_broken_compressed_image_is_counted_with_its_reason_and_the_next_good_one_works(client, name):
    for spoil, reasons in BROKEN.items():
        client.recovers()
        before = unusable(client)
        client.change = lambda camera, image, info, spoil=spoil: spoil(image) if camera == name else None

        def refused(reason=f"camera {name}: {reasons[name]}"):
            status, result = client.answer()
            return status == ABORTED and reason in result.message

        client.until(refused, reasons[name])
        client.says(reasons[name])
        client.until(lambda before=before: unusable(client) > before, "count")
        client.change = lambda camera, image, info: None
    client.recovers()
