"""Pictures, cameras and tracks of a clip, by a recording whose pictures are known to a fraction of a pixel."""

import json
from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_model.data import taco
from syncmv4d_model.data.surface_tracks import Surface
from syncmv4d_model.data.taco_bodies import _near, _sample
from syncmv4d_model.data.taco_import import ClipOptions, import_clip
from syncmv4d_model.data.video import encode_video, picked_frames
from syncmv4d_model.geometry import look_at, project, transform

FRAMES, SIZE = 20, (320, 240)
SERIALS = ("1", "2", "3")
OPTIONS = ClipOptions(height=48, width=64, num_points=50, num_frames=5, cameras=SERIALS, hands=False, windows="truth")
SQUARE = "v -5 -5 0\nv 5 -5 0\nv 5 5 0\nv -5 5 0\nf 1 2 3 4\n"
FOCAL_PX = np.array([400.0, 410.0])


def intrinsics(scale: float = 1.0) -> np.ndarray:
    """Of pictures `scale` times as large as the calibration says; pixel centres are whole numbers."""
    centre = (np.array([151.0, 131.0]) + 0.5) * scale - 0.5
    return np.array([[FOCAL_PX[0] * scale, 0, centre[0]], [0, FOCAL_PX[1] * scale, centre[1]], [0, 0, 1]])


def centre_of_tool(frame: int) -> np.ndarray:
    return np.array([0.03 * np.sin(0.4 * frame), -0.04 + 0.004 * frame, 0.05])


def blobs(pose: np.ndarray, *, level: int) -> np.ndarray:
    """Pictures twice as large as the calibration's, a round light where the tool's centre is."""
    rows, columns = np.mgrid[: 2 * SIZE[1], : 2 * SIZE[0]]
    frames = []
    for frame in range(FRAMES):
        u, v = project(intrinsics(2.0), transform(pose, centre_of_tool(frame)[None]))[0]
        frames.append(level * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 9.0**2)))
    return np.repeat(np.rint(frames).astype(np.uint8)[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> taco.Recording:
    """A square tool that moves over a square target, and three cameras."""
    root = tmp_path_factory.mktemp("taco")
    found = taco.Recording(root, "(stir, spatula, pan)", "20231013_002")
    for part in (taco.VIDEOS, taco.OBJECT_POSES, taco.CAMERAS):
        found.folder(part).mkdir(parents=True)
    (root / taco.OBJECT_MODELS).mkdir()
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    np.save(found.folder(taco.OBJECT_POSES) / "target_2.npy", poses)
    poses[:, :3, 3] = [centre_of_tool(frame) for frame in range(FRAMES)]
    np.save(found.folder(taco.OBJECT_POSES) / "tool_1.npy", poses)
    for identity in "12":
        (root / taco.OBJECT_MODELS / f"{identity}_cm.obj").write_text(SQUARE)
    cameras = {}
    for serial, x in zip(SERIALS, (-0.5, 0.0, 0.4), strict=True):
        pose = look_at(np.array([x, -0.6, 0.9]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
        cameras[serial] = {
            "K": intrinsics().ravel().tolist(),
            "R": pose[:3, :3].ravel().tolist(),
            "T": pose[:3, 3].tolist(),
            "imgSize": SIZE,
        }
        video = encode_video(blobs(pose, level=200), frame_period_s=1 / 30, lossless=True)
        (found.folder(taco.VIDEOS) / f"{serial}.mp4").write_bytes(video)
    (found.folder(taco.CAMERAS) / taco.CALIBRATION).write_text(json.dumps(cameras))
    return found


def centroids(video: np.ndarray) -> np.ndarray:
    """[V T 2], of the light."""
    weight = video[..., 0].astype(float)
    weight[weight < 8] = 0
    rows, columns = np.mgrid[: video.shape[2], : video.shape[3]]
    return np.stack([(weight * axis).sum((2, 3)) / weight.sum((2, 3)) for axis in (columns, rows)], axis=-1)


@pytest.mark.parametrize("start", [0.0, 0.1])
def test_what_is_seen_is_where_the_cameras_say(recording, start):
    options = replace(OPTIONS, start_s=start, windows="largest", height=240, width=320)  # the light stays in that one
    sequence = import_clip(recording, options, {}).sequence
    frames = options.source_frames.tolist()
    assert frames == ([0, 4, 8, 11, 15] if not start else [3, 7, 10, 14, 18])
    points = np.stack([centre_of_tool(frame) for frame in frames])
    expected = project(sequence.intrinsics, transform(sequence.camera_from_world, points[None]))
    assert np.abs(centroids(sequence.video) - expected).max() < 0.1
    pixels = project(sequence.intrinsics, transform(sequence.camera_from_world, sequence.positions[:, 0].astype(float)))
    np.testing.assert_allclose(pixels, sequence.anchors_px, atol=1e-3)


def test_videos_without_markers_are_taken_where_they_are(recording):
    folder = recording.folder(taco.MARKERLESS_VIDEOS)
    folder.mkdir(parents=True)
    try:
        with pytest.raises(FileNotFoundError, match="Marker_Removed"):
            import_clip(recording, OPTIONS, {})
        for serial, camera in taco.read_cameras(recording).items():
            video = encode_video(blobs(camera.camera_from_world, level=100), frame_period_s=1 / 30, lossless=True)
            (folder / f"{serial}.mp4").write_bytes(video)
        assert 80 < import_clip(recording, OPTIONS, {}).sequence.video.max() <= 100
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert import_clip(recording, OPTIONS, {}).sequence.video.max() > 160


def test_frames_are_picked_in_order_and_may_be_asked_for_twice(recording):
    path = recording.folder(taco.VIDEOS) / "1.mp4"
    whole = list(picked_frames(path, range(FRAMES)))
    assert len(whole) == FRAMES
    for found, place in zip(picked_frames(path, [2, 2, 7, 19]), (2, 2, 7, 19), strict=True):
        np.testing.assert_array_equal(found, whole[place])
    with pytest.raises(ValueError, match="has no frame 20"):
        list(picked_frames(path, [3, 20]))


def test_cameras_stand_in_the_same_clusters_however_the_world_is_turned():
    cameras = {}
    for number, azimuth in enumerate((-52, -41, -20, -5, 10, 20, 33, 55)):
        for turn in (0, 20, -30, 170):
            angle = np.radians(azimuth + turn)
            pose = look_at(2 * np.array([np.cos(angle), np.sin(angle), 0.7]), np.zeros(3), np.array([0.0, 0.0, 1.0]))
            cameras.setdefault(turn, {})[str(number)] = taco.Camera(np.diag([900.0, 900, 1]), pose, (512, 376))
        wide = look_at(np.array([0.0, 0.5, 2.0]), np.zeros(3), np.array([0.0, 1.0, 0.0]))
        cameras[turn]["wide"] = taco.Camera(np.diag([300.0, 300, 1]), wide, (512, 376))
    for rig in cameras.values():
        assert taco.clusters_of(rig) == {"left": ["0", "1", "2"], "centre": ["3", "4", "5"], "right": ["6", "7"]}


@pytest.mark.parametrize(("gap_m", "touching"), [(0.004, True), (0.008, False)])
def test_parts_touch_where_their_surfaces_are_within_five_millimetres(gap_m, touching):
    square = 0.05 * np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    apart = [square, square + [0.03, 0.02, gap_m], square + [0, 0, 0.5]]  # no corner is near another
    vertices = np.stack([np.concatenate(apart), np.concatenate([apart[0], apart[1] + [0, 0, 0.1], apart[2]])])
    faces = np.concatenate([[[0, 1, 2], [0, 2, 3]] + np.array(4 * part) for part in range(3)])
    surface = Surface(vertices, faces, np.repeat([1, 2, 3], 2).astype(np.uint8), np.arange(12))
    hand, tool, target = (_sample(surface, label) for label in (1, 2, 3))
    assert _near(hand, tool).tolist() == [touching, False]
    assert not _near(tool, target).any() and not _near(hand, _sample(surface, 0)).any()
