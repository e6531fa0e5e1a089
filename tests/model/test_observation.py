"""From a folder to whole images without lenses, their windows, and back to input pixels."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from syncmv4d_model.data.lens import distorted, undistorted
from syncmv4d_model.data.observation import (
    cut_windows,
    lenses_of,
    load_anchors,
    observe,
    read_image,
    read_observation,
)
from syncmv4d_model.data.rig import Distortion, write_rig
from syncmv4d_model.data.sequence import write_sequence
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.data.window import from_window, largest_windows, to_window
from syncmv4d_model.geometry import project, transform
from tests.model.scene_folders import small_rig, small_sequence, write_scene

SIZE = {"height": 32, "width": 32}
LENS = Distortion("plumb_bob", (-0.21, 0.05, 0.002, -0.001, 0.01))
LENSES = (
    LENS,
    Distortion("rational_polynomial", (0.35, -2.6, 0.0008, -0.0004, 1.5, 0.24, -2.4, 1.45)),
    Distortion("equidistant", (-0.03, 0.01, -0.004, 0.001)),
    Distortion("equidistant", (0.0, 0.0, 0.0, 0.0)),
)


def seen(observation):
    """Its largest centred windows at 32 x 32 px."""
    sizes = [(image.shape[1], image.shape[0]) for image in observation.images]
    return cut_windows(observation, largest_windows(sizes), **SIZE)


def test_an_observation_has_whole_images_each_of_its_size_and_the_rigs_names(tmp_path):
    rig = replace(small_rig(), sizes=((64, 48), (40, 50), (96, 32)))
    images = write_scene(tmp_path, rig)
    observation, lenses = read_observation(tmp_path, "push", max_views=4)
    assert len(observation.images) == 3
    assert all(np.array_equal(*each) for each in zip(observation.images, images, strict=True))
    assert observation.view_names == lenses.view_names == ("left", "centre", "right")
    assert observation.task == "push"
    assert np.array_equal(observation.intrinsics, rig.intrinsics)


def test_images_of_the_models_size_are_seen_untouched(tmp_path):
    rig = small_rig(width=32, height=32)
    images = write_scene(tmp_path, rig)
    observation, _ = read_observation(tmp_path, "push")
    assert np.array_equal(seen(observation).images, np.stack(images))
    assert np.allclose(seen(observation).intrinsics, rig.intrinsics)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (97, 131), (32, 32), (20, 15), (1024, 33)])
def test_points_project_where_the_windows_pixels_lie(width, height):
    rig = small_rig(width=width, height=height)
    observation, _ = observe(rig, [np.zeros((height, width, 3), np.uint8)] * 3, "push")
    view = seen(observation)
    points = np.random.default_rng(0).uniform(-0.05, 0.05, (3, 7, 3))
    in_camera = transform(rig.camera_from_world, points)
    before, after = project(rig.intrinsics, in_camera), project(view.intrinsics, in_camera)
    assert np.allclose(to_window(before, view.windows_px, **SIZE), after, atol=1e-3)
    assert np.allclose(from_window(after, view.windows_px, **SIZE), before, atol=1e-2)


@pytest.mark.parametrize(("width", "height"), [(100, 75), (150, 333), (24, 24)])
def test_a_spots_centroid_moves_as_the_window_says(width, height):
    rig = small_rig(1, width=width, height=height)
    v, u = np.mgrid[0:height, 0:width]
    centre = np.array([width * 0.55, height * 0.47])
    spot = 255 * np.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / (2 * (0.06 * min(width, height)) ** 2))
    image = np.repeat(np.rint(spot)[..., None], 3, axis=-1).astype(np.uint8)
    view = seen(observe(rig, [image], "push")[0])
    light = view.images[0, :, :, 0].astype(float)
    v, u = np.mgrid[0:32, 0:32]
    found = np.array([(u * light).sum(), (v * light).sum()]) / light.sum()
    assert np.abs(found - to_window(centre[None, None], view.windows_px, **SIZE)[0, 0]).max() < 0.05


def test_shrinking_keeps_the_mean_brightness():
    rig = small_rig(1, width=128, height=128)
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    expected = image.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(seen(observe(rig, [image], "push")[0]).images[0] - expected).max() <= 0.51


OPENCV_PIXELS = (
    [[470.15827, 131.39988], [107.18306, 384.91442], [329.9987, 245.09997]],
    [[476.73849, 126.57959], [90.67896, 396.01787], [330.00045, 245.10048]],
    [[467.55946, 133.18599], [115.15179, 379.29679], [329.99818, 245.09907]],
)
"""cv2.projectPoints and cv2.fisheye.projectPoints (OpenCV 5.0) of three rays, for the first three LENSES."""


@pytest.mark.parametrize(("lens", "pixels"), list(zip(LENSES[:3], OPENCV_PIXELS, strict=True)))
def test_a_lens_bends_rays_as_opencv_does(lens, pixels):
    intrinsics = np.array([[500.0, 0, 320], [0, 510.0, 240], [0, 0, 1]])
    rays = np.array([[0.31, -0.22, 1], [-0.45, 0.3, 1], [0.02, 0.01, 1]])
    assert np.allclose(distorted((rays @ intrinsics.T)[:, :2], intrinsics, lens), pixels, atol=1e-4)


@pytest.mark.parametrize("lens", LENSES)
def test_undistorting_then_distorting_returns_the_pixel(lens):
    intrinsics = small_rig(1, width=640, height=480).intrinsics[0]
    pixels = np.random.default_rng(0).uniform([0, 0], [639, 479], (50, 2))
    assert np.allclose(distorted(undistorted(pixels, intrinsics, lens), intrinsics, lens), pixels, atol=0.06)


@pytest.mark.parametrize("lens", LENSES)
def test_a_lens_is_taken_out_of_images_and_put_back_on_anchors(lens):
    rig = replace(small_rig(1, width=256, height=256), distortion=(lens,))
    straight = np.array([[60.0, 80.0], [128.0, 128.0], [200.0, 170.0]])
    taken = distorted(straight, rig.intrinsics[0], lens)
    assert np.abs(taken - straight).max() > 0.5
    v, u = np.mgrid[0:256, 0:256]
    spots = sum(np.exp(-((u - x) ** 2 + (v - y) ** 2) / 50) for x, y in taken)
    image = np.repeat(np.rint(255 * spots)[..., None], 3, axis=-1).astype(np.uint8)
    observation, lenses = observe(rig, [image], "push")
    for x, y in straight:
        window = np.s_[int(y) - 12 : int(y) + 13, int(x) - 12 : int(x) + 13]
        light = observation.images[0][:, :, 0].astype(float)[window]
        found = np.array([(u[window] * light).sum(), (v[window] * light).sum()]) / light.sum()
        assert np.abs(found - [x, y]).max() < 0.15
    assert np.allclose(lenses.take_out(taken[None]), straight, atol=0.06)
    assert np.allclose(lenses.put_back(straight[None]), taken, atol=0.01)


def test_a_lens_that_folds_over_is_refused():
    intrinsics = small_rig(1, width=640, height=480).intrinsics[0]
    with pytest.raises(ValueError, match="cannot be undone"):
        undistorted(np.array([[0.0, 0.0]]), intrinsics, Distortion("plumb_bob", (-3.0, 0.0, 0.0, 0.0)))


def test_a_sequence_folder_gives_its_first_frames(tmp_path):
    sequence = small_sequence()
    write_sequence(tmp_path / "000000", sequence)
    observation, _ = read_observation(tmp_path / "000000", sequence.task)
    assert np.array_equal(observation.images, sequence.video[:, 0])


def test_a_folder_without_pictures_gives_the_first_frames_of_its_videos(tmp_path):
    rig, video = small_rig(1, image_files=(None,)), np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8)
    write_rig(tmp_path / "rig.yaml", rig)
    (tmp_path / "left.mp4").write_bytes(encode_video(video, frame_period_s=0.1, lossless=True))
    assert np.array_equal(read_observation(tmp_path, "push")[0].images[0], video[0])


def test_more_views_than_the_checkpoint_takes_are_refused(tmp_path):
    write_scene(tmp_path, small_rig(4))
    with pytest.raises(ValueError, match="the rig has 4 views, the checkpoint takes at most 3"):
        read_observation(tmp_path, "push", max_views=3)


def test_an_image_of_another_size_than_the_rig_says_is_refused(tmp_path):
    write_scene(tmp_path, small_rig())
    Image.new("RGB", (128, 96)).save(tmp_path / "centre.png")
    with pytest.raises(ValueError, match="'centre': the image is 128 x 96 px, the rig file says 64 x 48"):
        read_observation(tmp_path, "push")


def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    rig = replace(small_rig(1), sizes=((20_000, 20_000),))
    write_rig(tmp_path / "rig.yaml", rig)
    with pytest.raises(ValueError, match="'left': an image of 20000 x 20000 px is more than the 100,000,000 px"):
        read_observation(tmp_path, "push")


def test_missing_images_are_counted_and_named(tmp_path):
    write_scene(tmp_path, small_rig())
    (tmp_path / "right.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of the 3 images of .*rig.yaml are missing: right.png"):
        read_observation(tmp_path, "push")


def test_a_view_without_image_is_named(tmp_path):
    write_scene(tmp_path, small_rig(image_files=("left.png", None, "right.png")))
    with pytest.raises(FileNotFoundError, match="missing: centre.mp4; rig.yaml names no `image` for centre"):
        read_observation(tmp_path, "push")


def test_fewer_images_than_views_are_refused():
    with pytest.raises(ValueError, match="the rig has 3 views, got 2 images"):
        observe(small_rig(), [np.zeros((48, 64, 3), np.uint8)] * 2, "push")


@pytest.mark.parametrize("content", [b"", b"not a picture", None], ids=["empty", "foreign", "truncated"])
def test_an_unreadable_image_is_named(tmp_path, content):
    write_scene(tmp_path, small_rig())
    path = tmp_path / "left.png"
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(ValueError, match=r"cannot read image .*left.png"):
        read_observation(tmp_path, "push")


def test_a_sixteen_bit_image_is_refused_rather_than_clipped(tmp_path):
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="I;16 is not 8 bits per channel"):
        read_image(tmp_path / "deep.png")


def test_grey_and_transparent_images_are_read_as_colour(tmp_path):
    for mode in ("L", "RGBA", "P"):
        Image.new(mode, (5, 4)).save(tmp_path / "image.png")
        assert read_image(tmp_path / "image.png").shape == (4, 5, 3)


def test_an_image_that_asks_to_be_turned_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 8)).save(tmp_path / "phone.jpg", exif=exif)
    with pytest.raises(ValueError, match=r"cannot read image .*phone.jpg: its EXIF orientation 6"):
        read_image(tmp_path / "phone.jpg")


def test_no_folder_is_said_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match="no input folder"):
        read_observation(tmp_path / "nothing", "push")


def anchors_file(path, pixels):
    np.savez(path, anchors_px=pixels)
    return path


def test_anchors_from_a_file_arrive_at_the_observations_pixels(tmp_path):
    lenses = lenses_of(replace(small_rig(), distortion=(None, None, LENS)))
    pixels = np.random.default_rng(0).uniform([9, 4], [54, 44], (3, 20, 2)).astype(np.float32)
    anchors = load_anchors(anchors_file(tmp_path / "a.npz", pixels), lenses)
    assert np.array_equal(anchors[:2], pixels[:2])
    assert 0.2 < np.abs(anchors[2] - pixels[2]).max() < 3
    assert np.allclose(lenses.put_back(anchors), pixels, atol=0.06)


def test_an_anchor_that_only_the_lens_has_in_the_image_is_refused(tmp_path):
    """A lens that bends rays inwards shows more than a straight one: its corners lie outside."""
    lenses = lenses_of(replace(small_rig(1), distortion=(LENS,)))
    with pytest.raises(ValueError, match="1 of 1 anchors of view 'left' lie outside the 64 x 48 image, its lens taken"):
        load_anchors(anchors_file(tmp_path / "a.npz", np.zeros((1, 1, 2))), lenses)


BAD_ANCHORS = {
    "views": (np.zeros((2, 5, 2)), r"must be \[3 K 2\], got \[2, 5, 2\]"),
    "none": (np.zeros((3, 0, 2)), r"must be \[3 K 2\], got \[3, 0, 2\]"),
    "NaN": (np.full((3, 5, 2), np.nan), "not a finite number"),
    "words": (np.full((3, 5, 2), "x"), "not a finite number"),
    "outside": (np.tile([63.6, 20.0], (3, 5, 1)), "5 of 5 anchors of view 'left' lie outside the 64 x 48 image, for"),
}


@pytest.mark.parametrize(("pixels", "message"), BAD_ANCHORS.values(), ids=BAD_ANCHORS.keys())
def test_anchors_that_cannot_be_tracked_are_refused(tmp_path, pixels, message):
    with pytest.raises(ValueError, match=message):
        load_anchors(anchors_file(tmp_path / "a.npz", pixels), lenses_of(small_rig()))


def test_a_file_without_anchors_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", pixels=np.zeros((3, 5, 2)))
    with pytest.raises(ValueError, match="it lacks anchors_px"):
        load_anchors(tmp_path / "a.npz", lenses_of(small_rig()))


def a_single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 5, 2)))


UNREADABLE = {
    "single array": (a_single_array, "it is not an .npz archive but a single array"),
    "junk": (lambda path: path.write_bytes(b"junk" * 99), "it is not an .npz archive but something else"),
    "nothing": (lambda path: path.write_bytes(b""), "or empty"),
    "zip of junk": (lambda path: path.write_bytes(b"PK\x03\x04" + b"junk" * 99), "cannot read .*a.npz"),
    "objects": (lambda path: np.savez(path, anchors_px=np.array([{}], object)), "it holds Python objects"),
}


@pytest.mark.parametrize(("write", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_is_no_archive_of_arrays_is_refused_and_nobody_is_told_to_load_it_unsafely(
    tmp_path, write, message
):
    write(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=message) as refused:
        load_anchors(tmp_path / "a.npz", lenses_of(small_rig()))
    assert "unsafe" not in str(refused.value) and "allow_pickle" not in str(refused.value)
