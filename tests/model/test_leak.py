"""The measure of what cameras know of the future, on scenes whose cameras do and do not."""

from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_model.evaluation.leak import LEAST_SCENES, Scene, measure_leak, read_scene
from tests.model.framed_scenes import SIZE, framed_scene


def scenes(count: int, *, knows_future: bool, views: int = 3) -> list[Scene]:
    found = [read(framed_scene(seed, knows_future=knows_future, views=views)) for seed in range(count)]
    return [scene for scene in found if scene is not None]


def read(sequence) -> Scene | None:
    return read_scene(sequence, [(SIZE, SIZE)] * len(sequence.view_names), sequence.intrinsics)


@pytest.mark.parametrize("known", ["tool_target", "tool_target_hand", "shapes"])
def test_cameras_that_are_framed_on_the_future_are_found_and_honest_ones_are_not(known):
    told = measure_leak(scenes(150, knows_future=True), known, "image_centres")
    assert told.leak > 0.4 and told.interval[0] > 0.3
    assert told.r2_with_rays > told.r2_known and told.scenes == 150
    honest = measure_leak(scenes(150, knows_future=False), known, "image_centres")
    assert honest.leak < 0.03 and honest.interval[0] < 0.03
    assert honest.r2_known == pytest.approx(told.r2_known, abs=0.02)  # the scenes are the same


def test_one_view_has_a_ray_too():
    told = measure_leak(scenes(150, knows_future=True, views=1), "tool_target", "image_centres")
    assert 0.15 < told.leak < 0.7


def test_the_share_is_the_one_that_frame_0_leaves():
    leak = measure_leak(scenes(60, knows_future=True), "tool_target", "image_centres", seed=3)
    assert leak.leak == pytest.approx((leak.r2_with_rays - leak.r2_known) / (1 - leak.r2_known))
    assert leak.interval[0] < leak.leak < leak.interval[1]
    assert leak == measure_leak(scenes(60, knows_future=True), "tool_target", "image_centres", seed=3)
    assert leak != measure_leak(scenes(60, knows_future=True), "tool_target", "image_centres", seed=4)


def test_windows_have_their_own_rays():
    """Honest cameras whose windows lie about all that will ever be seen."""

    def about_all_frames(seed: int) -> Scene | None:
        sequence = framed_scene(seed, knows_future=False)
        camera = sequence.camera_from_world[:, None]
        inside = np.einsum("vtij,vtkj->vtki", np.broadcast_to(camera[..., :3, :3], (3, 4, 3, 3)), sequence.positions)
        inside = (inside + camera[:, :, None, :3, 3]) @ sequence.intrinsics[0].T
        pixels = inside[..., :2] / inside[..., 2:] + 0.5
        low, high = pixels.min((1, 2)), pixels.max((1, 2))
        return read(replace(sequence, windows_px=np.concatenate([low, high - low], axis=1)))

    made = [scene for scene in map(about_all_frames, range(150)) if scene is not None]
    assert measure_leak(made, "shapes", "window_centres").leak > 0.2
    assert measure_leak(made, "shapes", "image_centres").leak < 0.03


def test_rays_meet_where_they_were_aimed():
    sequence = framed_scene(1, knows_future=False)
    scene = read(sequence)
    assert scene is not None
    axes = sequence.camera_from_world[0, :3, :3]
    tool = sequence.positions[0, 0][sequence.label[0] == 2].mean(0)
    meeting = axes.T @ scene.meeting_m["image_centres"] + tool
    for k, pose in zip(sequence.intrinsics, sequence.camera_from_world, strict=True):
        inside = k @ (pose[:3, :3] @ meeting + pose[:3, 3])
        np.testing.assert_allclose(inside[:2] / inside[2], (SIZE - 1) / 2, atol=0.05)


def test_scenes_without_a_part_are_left_out_and_too_few_are_refused():
    sequence = framed_scene(0, knows_future=False)
    assert read(replace(sequence, label=np.full_like(sequence.label, 1))) is None
    handless = read(replace(sequence, label=np.where(sequence.label == 1, 3, sequence.label).astype(np.uint8)))
    assert handless is not None and "hand" not in handless.places_m
    made = [*scenes(LEAST_SCENES, knows_future=False), handless]
    assert measure_leak(made, "tool_target", "image_centres").scenes == LEAST_SCENES + 1
    assert measure_leak(made, "shapes", "image_centres").scenes == LEAST_SCENES
    with pytest.raises(ValueError, match=f"at least {LEAST_SCENES} scenes with tool and target, got 3"):
        measure_leak(made[:3], "tool_target", "image_centres")
    still = [replace(scene, motion_m=np.zeros(3)) for scene in made]
    with pytest.raises(ValueError, match="move alike, or not at all"):
        measure_leak(still, "tool_target", "image_centres")
