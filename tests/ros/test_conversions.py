"""Image messages <-> arrays: pixels keep their colours, and what is no image is refused with the number, never otherwise."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from syncmv4d_ros.conversions import (
    ENCODINGS,
    MAX_SIDE_PX,
    byte_field,
    float_field,
    read_compressed_image,
    read_image,
)
from syncmv4d_ros.sent_messages import header_message, image_message

CHANNELS = {"rgb8": [0, 1, 2], "bgr8": [2, 1, 0], "rgba8": [0, 1, 2, 3], "bgra8": [2, 1, 0, 3], "mono8": [0]}
"""Which channel of (red, green, blue, alpha) each byte of a pixel holds."""


def message_class(name):
    """A real sensor_msgs class."""
    return getattr(pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed: the ros extra"), name)


def small_image(height=4, width=6):
    """Every channel of every pixel differs."""
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image, encoding, *, padding=0, **changes):
    """A duck-typed Image with the given step padding; `changes` overrule its fields."""
    height, width = image.shape[:2]
    full = np.concatenate([image, np.full((height, width, 1), 77, np.uint8)], axis=2)[..., CHANNELS[encoding]]
    rows = np.full((height, full.shape[2] * width + padding), 99, np.uint8)
    rows[:, : full.shape[2] * width] = full.reshape(height, -1)
    fields = {"height": height, "width": width, "encoding": encoding, "step": rows.shape[1], "data": rows.tobytes()}
    return SimpleNamespace(**(fields | {"is_bigendian": 0} | changes))


def file_of(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, format=kind, **options)
    return buffer.getvalue()


def compressed(data, kind="jpeg"):
    return SimpleNamespace(format=kind, data=data)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "mono8"])
@pytest.mark.parametrize("padding", [0, 1, 64])
def test_colours_arrive_as_red_green_blue(encoding, padding):
    assert np.array_equal(read_image(encoded(small_image(), encoding, padding=padding)), small_image())


@pytest.mark.parametrize("padding", [0, 5])
def test_grey_arrives_in_all_three_channels(padding):
    image = read_image(encoded(small_image(), "mono8", padding=padding))
    assert np.array_equal(image, small_image()[..., :1].repeat(3, axis=2))


def test_the_array_outlives_the_message():
    buffer = bytearray(encoded(small_image(), "rgb8").data)
    image = read_image(encoded(small_image(), "rgb8", data=buffer))
    buffer[:] = bytes(len(buffer))
    assert np.array_equal(image, small_image())


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(sorted(ENCODINGS)),
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
)
def test_every_size_keeps_its_pixels(height, width, encoding, padding, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = pixels[..., :1].repeat(3, axis=2) if encoding == "mono8" else pixels
    assert np.array_equal(read_image(encoded(pixels, encoding, padding=padding)), expected)


REFUSED = {
    "unknown encoding": ({"encoding": "bayer_rggb8"}, "encoding 'bayer_rggb8' is not one of rgb8"),
    "depth": ({"encoding": "16UC1"}, "encoding '16UC1'"),
    "no encoding": ({"encoding": ""}, "encoding ''"),
    "enormous encoding": ({"encoding": "x" * 10**6}, "encoding 'xxx"),
    "short step": ({"step": 17}, "step is 17 bytes, a row of 6 rgb8 pixels has 18"),
    "no step": ({"step": 0}, "step is 0 bytes"),
    "long step": ({"step": 19}, "data has 72 bytes, 4 rows of 19 have 76"),
    "truncated data": ({"data": bytes(71)}, "data has 71 bytes, 4 rows of 18 have 72"),
    "data of another image": ({"data": bytes(73)}, "data has 73 bytes"),
    "no data": ({"data": b""}, "data has 0 bytes"),
    "no height": ({"height": 0, "data": b""}, "no pixels: 6 x 0"),
    "no width": ({"width": 0}, "no pixels: 0 x 4"),
    "absurd width": ({"width": 2**32 - 1, "step": 2**32 - 1}, "claims 4294967295 x 4 px; at most 16384 a side"),
    "absurd area": ({"width": 16384, "height": 16384}, "claims 16384 x 16384 px"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(changes, message):
    with pytest.raises(ValueError, match=message) as raised:
        read_image(SimpleNamespace(**vars(encoded(small_image(), "rgb8")) | changes))
    assert len(str(raised.value)) < 300


U32 = st.one_of(st.integers(0, 20), st.integers(0, 2**32 - 1))


@given(U32, U32, U32, st.one_of(st.sampled_from(sorted(ENCODINGS)), st.text(max_size=12)), st.binary(max_size=1500))
@settings(max_examples=400)
def test_any_message_gives_an_image_of_its_size_or_a_value_error(height, width, step, encoding, data):
    message = SimpleNamespace(height=height, width=width, step=step, encoding=encoding, data=data, is_bigendian=0)
    try:
        image = read_image(message)
    except ValueError:
        return
    assert image.shape == (height, width, 3) and image.dtype == np.uint8


@given(
    st.integers(1, 12), st.integers(1, 12), st.sampled_from(sorted(ENCODINGS)), st.integers(-3, 3), st.integers(-3, 3)
)
@settings(max_examples=200)
def test_only_a_message_whose_numbers_agree_is_read(height, width, encoding, step_off, size_off):
    row = width * ENCODINGS[encoding]
    step = max(row + step_off, 0)
    data = bytes(max(height * step + size_off, 0))
    message = SimpleNamespace(height=height, width=width, step=step, encoding=encoding, data=data, is_bigendian=0)
    if step_off >= 0 and size_off == 0:
        assert read_image(message).shape == (height, width, 3)
    else:
        with pytest.raises(ValueError, match="bytes"):
            read_image(message)


@pytest.mark.parametrize("kind", ["png", "bgr8; png compressed bgr8"])
def test_a_png_arrives_bit_by_bit(kind):
    assert np.array_equal(read_compressed_image(compressed(file_of(small_image(), "PNG"), kind)), small_image())


@pytest.mark.parametrize("kind", ["jpeg", "jpg", "rgb8; jpeg compressed bgr8"])
def test_a_jpeg_arrives_with_its_colours(kind):
    image = np.zeros((16, 16, 3), np.uint8) + np.array([200, 100, 30], np.uint8)
    read = read_compressed_image(compressed(file_of(image, "JPEG", quality=95), kind))
    assert np.abs(read.astype(int) - image).max() <= 4


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_pixel_formats_of_8_bits_become_colour(mode):
    image = Image.fromarray(small_image()).convert(mode)
    assert np.array_equal(read_compressed_image(compressed(file_of(image, "PNG"))), np.asarray(image.convert("RGB")))


def exif(orientation):
    content = Image.Exif()
    content[0x0112] = orientation
    return content


NOT_READ = {
    "another format": (file_of(small_image(), "BMP"), "begin neither as JPEG nor as PNG"),
    "no data": (b"", "0 bytes that begin neither"),
    "16 bits": (file_of(Image.fromarray(np.zeros((4, 4), np.uint16)), "PNG"), "I;16 is not 8 bits"),
    "truncated png": (file_of(noise(64, 64), "PNG")[:700], "cannot read a PNG of 700 bytes"),
    "truncated jpeg": (file_of(noise(64, 64), "JPEG")[:700], "cannot read a JPEG of 700 bytes"),
    "a rotation": (file_of(Image.fromarray(small_image()), "JPEG", exif=exif(6)), "EXIF orientation 6"),
    "too wide": (file_of(np.zeros((1, MAX_SIDE_PX + 1, 3), np.uint8), "PNG"), "claims 16385 x 1 px"),
    "a bomb": (file_of(Image.new("1", (12000, 12000)), "PNG"), "claims 12000 x 12000|exceeds limit"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("data", "message"), NOT_READ.values(), ids=NOT_READ)
def test_a_compressed_image_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        read_compressed_image(compressed(data))


WHOLE_FILES = [file_of(small_image(24, 24), "PNG"), file_of(small_image(24, 24), "JPEG"), file_of(small_image(), "PNG")]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@given(
    st.sampled_from(WHOLE_FILES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    st.integers(0, 10**6),
    st.binary(max_size=20),
)
@settings(max_examples=400)
def test_a_damaged_file_gives_an_image_or_a_value_error(data, changes, cut, tail):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        image = read_compressed_image(compressed(bytes(damaged[: cut % (2 * len(damaged))]) + tail))
    except ValueError:
        return
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8


@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]), st.binary(max_size=200), st.text(max_size=20))
@settings(max_examples=200)
def test_any_bytes_give_an_image_or_a_value_error(start, data, kind):
    with pytest.raises(ValueError, match="begin neither|cannot read"):
        read_compressed_image(compressed(start + data, kind))


def test_fields_hold_the_same_numbers():
    assert byte_field(np.array([[1, 2], [3, 255]])).tolist() == [1, 2, 3, 255]
    assert byte_field(np.array([True, False])).tolist() == [1, 0]
    assert byte_field(b"\x00\xff").tolist() == [0, 255]
    assert float_field(np.array([[0.5, 2.0], [np.inf, -1.0]])).tolist() == [0.5, 2.0, np.inf, -1.0]
    assert (byte_field(b"").typecode, float_field(np.zeros(0)).typecode) == ("B", "f")


def test_an_image_goes_into_a_real_message_and_comes_back():
    message_class("Image")
    message = image_message(small_image(), header_message("left_optical_frame"))
    assert (message.encoding, message.step, message.header.frame_id) == ("rgb8", 18, "left_optical_frame")
    assert np.array_equal(read_image(message), small_image())


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_real_messages_are_read(encoding):
    duck = encoded(small_image(), encoding, padding=3)
    message = message_class("Image")(
        height=duck.height, width=duck.width, encoding=encoding, step=duck.step, data=byte_field(duck.data)
    )
    assert np.array_equal(read_image(message), read_image(duck))


def test_real_compressed_messages_are_read():
    message = message_class("CompressedImage")(format="png", data=byte_field(file_of(small_image(), "PNG")))
    assert np.array_equal(read_compressed_image(message), small_image())
