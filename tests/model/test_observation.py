"""From a folder to the model's images and back to input pixels."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from syncmv4d_model.data.lens import distorted, undistorted
from syncmv4d_model.data.observation import load_anchors, observe, read_image, read_observation, rig_warnings
from syncmv4d_model.data.rig import Distortion
from syncmv4d_model.data.sequence import write_sequence
from syncmv4d_model.geometry import project, transform
from tests.model.scene_folders import small_rig, small_sequence, write_scene

SIZE = {"height": 32, "width": 32, "max_views": 4}
LENS = Distortion("plumb_bob", (-0.21, 0.05, 0.002, -0.001, 0.01))
LENSES = (
    LENS,
    Distortion("rational_polynomial", (0.35, -2.6, 0.0008, -0.0004, 1.5, 0.24, -2.4, 1.45)),
    Distortion("equidistant", (-0.03, 0.01, -0.004, 0.001)),
    Distortion("equidistant", (0.0, 0.0, 0.0, 0.0)),
)


def test_an_observation_has_the_models_size_and_the_rigs_names(tmp_path):
    write_scene(tmp_path, small_rig())
    observation, fit = read_observation(tmp_path, "push", **SIZE)
    assert observation.images.shape == (3, 32, 32, 3)
    assert observation.view_names == fit.view_names == ("left", "centre", "right")
    assert observation.task == "push"


def test_images_of_the_models_size_are_untouched(tmp_path):
    rig = small_rig(width=32, height=32)
    images = write_scene(tmp_path, rig)
    observation, _ = read_observation(tmp_path, "push", **SIZE)
    assert np.array_equal(observation.images, np.stack(images))
    assert np.allclose(observation.intrinsics, rig.intrinsics)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (97, 131), (32, 32), (20, 15), (1024, 33)])
def test_points_project_where_fitted_pixels_lie(width, height):
    rig = small_rig(width=width, height=height)
    images = [np.zeros((height, width, 3), np.uint8)] * 3
    observation, fit = observe(rig, images, "push", **SIZE)
    points = np.random.default_rng(0).uniform(-0.05, 0.05, (3, 7, 3))
    in_camera = transform(rig.camera_from_world, points)
    before, after = project(rig.intrinsics, in_camera), project(observation.intrinsics, in_camera)
    assert np.allclose(fit.to_model(before), after, atol=1e-3)
    assert np.allclose(fit.to_input(after), before, atol=1e-2)


@pytest.mark.parametrize(("width", "height"), [(100, 75), (150, 333), (24, 24)])
def test_a_spots_centroid_moves_as_the_fit_says(width, height):
    rig = small_rig(1, width=width, height=height)
    v, u = np.mgrid[0:height, 0:width]
    centre = np.array([width * 0.55, height * 0.47])
    spot = 255 * np.exp(-((u - centre[0]) ** 2 + (v - centre[1]) ** 2) / (2 * (0.06 * min(width, height)) ** 2))
    image = np.repeat(np.rint(spot)[..., None], 3, axis=-1).astype(np.uint8)
    observation, fit = observe(rig, [image], "push", **SIZE)
    light = observation.images[0, :, :, 0].astype(float)
    v, u = np.mgrid[0:32, 0:32]
    found = np.array([(u * light).sum(), (v * light).sum()]) / light.sum()
    assert np.abs(found - fit.to_model(centre[None, None])[0, 0]).max() < 0.05


def test_shrinking_keeps_the_mean_brightness():
    rig = small_rig(1, width=128, height=128)
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    observation, _ = observe(rig, [image], "push", **SIZE)
    expected = image.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(observation.images[0] - expected).max() <= 0.51


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
    seen = distorted(straight, rig.intrinsics[0], lens)
    assert np.abs(seen - straight).max() > 0.5
    v, u = np.mgrid[0:256, 0:256]
    spots = sum(np.exp(-((u - x) ** 2 + (v - y) ** 2) / 50) for x, y in seen)
    image = np.repeat(np.rint(255 * spots)[..., None], 3, axis=-1).astype(np.uint8)
    observation, fit = observe(rig, [image], "push", height=256, width=256, max_views=4)
    for x, y in straight:
        window = np.s_[int(y) - 12 : int(y) + 13, int(x) - 12 : int(x) + 13]
        light = observation.images[0, :, :, 0].astype(float)[window]
        found = np.array([(u[window] * light).sum(), (v[window] * light).sum()]) / light.sum()
        assert np.abs(found - [x, y]).max() < 0.15
    assert np.allclose(fit.to_model(seen[None]), straight, atol=0.06)
    assert np.allclose(fit.to_input(straight[None]), seen, atol=0.01)


def test_a_lens_that_folds_over_is_refused():
    intrinsics = small_rig(1, width=640, height=480).intrinsics[0]
    with pytest.raises(ValueError, match="cannot be undone"):
        undistorted(np.array([[0.0, 0.0]]), intrinsics, Distortion("plumb_bob", (-3.0, 0.0, 0.0, 0.0)))


def test_a_sequence_folder_gives_its_first_frames(tmp_path):
    sequence = small_sequence()
    write_sequence(tmp_path / "000000", sequence)
    observation, fit = read_observation(tmp_path / "000000", sequence.task, **SIZE)
    assert np.array_equal(observation.images, sequence.video[:, 0])
    assert np.allclose(fit.to_model(sequence.anchors_px), sequence.anchors_px, atol=1e-4)


def test_more_views_than_the_checkpoint_takes_are_refused(tmp_path):
    write_scene(tmp_path, small_rig(4))
    with pytest.raises(ValueError, match="the rig has 4 views, the checkpoint takes at most 3"):
        read_observation(tmp_path, "push", height=32, width=32, max_views=3)


def test_an_image_of_another_size_than_the_rig_says_is_refused(tmp_path):
    write_scene(tmp_path, small_rig())
    Image.new("RGB", (128, 96)).save(tmp_path / "centre.png")
    with pytest.raises(ValueError, match="'centre': the image is 128 x 96 px, the rig file says 64 x 48"):
        read_observation(tmp_path, "push", **SIZE)


def test_missing_images_are_counted_and_named(tmp_path):
    write_scene(tmp_path, small_rig())
    (tmp_path / "right.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of the 3 images of .*rig.yaml are missing: right.png"):
        read_observation(tmp_path, "push", **SIZE)


def test_a_view_without_image_is_named(tmp_path):
    write_scene(tmp_path, small_rig(image_files=("left.png", None, "right.png")))
    with pytest.raises(FileNotFoundError, match="missing: centre.mp4; rig.yaml names no `image` for centre"):
        read_observation(tmp_path, "push", **SIZE)


def test_fewer_images_than_views_are_refused():
    with pytest.raises(ValueError, match="the rig has 3 views, got 2 images"):
        observe(small_rig(), [np.zeros((48, 64, 3), np.uint8)] * 2, "push", **SIZE)


@pytest.mark.parametrize("content", [b"", b"not a picture", None], ids=["empty", "foreign", "truncated"])
def test_an_unreadable_image_is_named(tmp_path, content):
    write_scene(tmp_path, small_rig())
    path = tmp_path / "left.png"
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    with pytest.raises(ValueError, match=r"cannot read image .*left.png"):
        read_observation(tmp_path, "push", **SIZE)


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


@pytest.mark.parametrize("views", [1, 3])
def test_cameras_around_a_scene_are_not_warned_about(views):
    assert rig_warnings(observed(small_rig(views))) == []


def test_cameras_side_by_side_are_not_warned_about():
    rig = small_rig(2)
    poses = np.stack([rig.camera_from_world[0]] * 2)
    poses[1, 0, 3] += 0.1
    assert rig_warnings(observed(replace(rig, camera_from_world=poses))) == []


def test_inverted_poses_are_warned_about():
    rig = small_rig()
    (warning,) = rig_warnings(observed(replace(rig, camera_from_world=np.linalg.inv(rig.camera_from_world))))
    assert "is camera_from_world inverted" in warning


def with_intrinsics(rig, view, row, column, value):
    intrinsics = rig.intrinsics.copy()
    intrinsics[view, row, column] = value
    return replace(rig, intrinsics=intrinsics)


def test_a_principal_point_outside_the_image_is_warned_about_in_input_pixels_and_no_pose_is_blamed():
    rig = with_intrinsics(small_rig(), 1, 0, 2, 900)
    images = [np.zeros((48, 64, 3), np.uint8)] * 3
    (warning,) = rig_warnings(*observe(rig, images, "push", **SIZE))
    assert "view 'centre': the principal point (900, 23.5) lies outside the 64 x 48 image" in warning
    (warning,) = rig_warnings(observed(rig))
    assert "lies outside the 32 x 32 image" in warning


def test_focal_lengths_that_differ_by_more_than_a_tenth_are_warned_about():
    rig = small_rig(width=64)
    assert rig_warnings(observed(with_intrinsics(rig, 2, 1, 1, 1.09 * 1.1 * 64))) == []
    (warning,) = rig_warnings(observed(with_intrinsics(rig, 2, 1, 1, 1.12 * 1.1 * 64)))
    assert "view 'right': the focal lengths" in warning and "differ by more than 10%" in warning


def test_the_part_of_the_input_that_is_used_is_told():
    rig = small_rig(2, width=640, height=480)
    _, fit = observe(rig, [np.zeros((480, 640, 3), np.uint8)] * 2, "push", **SIZE)
    assert fit.used_px() == {"left": [80, 0, 480, 480], "centre": [80, 0, 480, 480]}


def observed(rig):
    return observe(rig, [np.zeros((48, 64, 3), np.uint8)] * len(rig.view_names), "push", **SIZE)[0]


def test_no_folder_is_said_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match="no input folder"):
        read_observation(tmp_path / "nothing", "push", **SIZE)


def anchors_file(path, pixels):
    np.savez(path, anchors_px=pixels)
    return path


def test_anchors_from_a_file_arrive_at_the_models_pixels(tmp_path):
    _, fit = observe(small_rig(), [np.zeros((48, 64, 3), np.uint8)] * 3, "push", **SIZE)
    pixels = np.random.default_rng(0).uniform([9, 1], [54, 46], (3, 20, 2)).astype(np.float32)
    anchors = load_anchors(anchors_file(tmp_path / "a.npz", pixels), fit)
    assert np.allclose(anchors, fit.to_model(pixels))
    assert np.allclose(fit.to_input(anchors), pixels, atol=1e-3)


BAD_ANCHORS = {
    "views": (np.zeros((2, 5, 2)), r"must be \[3 K 2\], got \[2, 5, 2\]"),
    "none": (np.zeros((3, 0, 2)), r"must be \[3 K 2\], got \[3, 0, 2\]"),
    "NaN": (np.full((3, 5, 2), np.nan), "not a finite number"),
    "words": (np.full((3, 5, 2), "x"), "not a finite number"),
    "outside": (np.tile([2.0, 20.0], (3, 5, 1)), "5 of 5 anchors of view 'left' lie outside"),
}


@pytest.mark.parametrize(("pixels", "message"), BAD_ANCHORS.values(), ids=BAD_ANCHORS.keys())
def test_anchors_that_cannot_be_tracked_are_refused(tmp_path, pixels, message):
    _, fit = observe(small_rig(), [np.zeros((48, 64, 3), np.uint8)] * 3, "push", **SIZE)
    with pytest.raises(ValueError, match=message):
        load_anchors(anchors_file(tmp_path / "a.npz", pixels), fit)


def test_a_file_without_anchors_is_refused(tmp_path):
    _, fit = observe(small_rig(), [np.zeros((48, 64, 3), np.uint8)] * 3, "push", **SIZE)
    np.savez(tmp_path / "a.npz", pixels=np.zeros((3, 5, 2)))
    with pytest.raises(ValueError, match="it lacks anchors_px"):
        load_anchors(tmp_path / "a.npz", fit)


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
    _, fit = observe(small_rig(), [np.zeros((48, 64, 3), np.uint8)] * 3, "push", **SIZE)
    write(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=message) as refused:
        load_anchors(tmp_path / "a.npz", fit)
    assert "unsafe" not in str(refused.value) and "allow_pickle" not in str(refused.value)
