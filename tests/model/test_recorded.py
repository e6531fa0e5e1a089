"""Scores of recordings: with truth those of a data set, without it agreement that knows a good motion from a bad one."""

from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_model.config import ModelConfig
from syncmv4d_model.data.rig import Rig
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.pages.report import html_page
from syncmv4d_model.evaluation.recorded import Scene, consistency, evaluate_scenes, make_scene, with_truth
from syncmv4d_model.evaluation.scores import SCORES
from syncmv4d_model.geometry import inverse, unproject
from syncmv4d_model.types import Prediction
from tests.model.scene_folders import perfect_prediction
from tests.model.sliding_points import SIZE, K, T, V, sliding_sequence

CONFIG = replace(ModelConfig(), num_frames=T, height=SIZE, width=SIZE, num_points=24)


SPEED_M = 0.02


def coloured_sequence():
    """A table of smooth colours that slides along x, its points with it: every pixel is what its camera would see."""
    still = sliding_sequence("coloured", speed_m=0)
    positions = still.positions + SPEED_M * np.arange(T, dtype=np.float32)[:, None, None] * np.float32([1, 0, 0])
    pixels = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).reshape(-1, 2).astype(np.float64)
    video = np.zeros_like(still.video)
    for v in range(V):
        world_from_camera = inverse(still.camera_from_world[v])
        rays = unproject(still.intrinsics[v], pixels, np.ones(len(pixels))) @ world_from_camera[:3, :3].T
        centre = world_from_camera[:3, 3]
        on_table = centre - rays * (centre[2] / rays[:, 2:])
        for n in range(T):
            x, y = on_table[:, 0] - SPEED_M * n, on_table[:, 1]
            colour = np.sin(np.stack([25 * x, 18 * (x + y), 22 * (x - y)], axis=-1))
            video[v, n] = np.rint(127.5 * (1 + colour)).reshape(SIZE, SIZE, 3)
    return replace(still, positions=positions, video=video, visible=np.ones_like(still.visible))


SEQUENCE = coloured_sequence()


def rig_of(sequence, **changes):
    views = len(sequence.view_names)
    return Rig(
        view_names=sequence.view_names,
        image_files=(None,) * views,
        sizes=((SIZE, SIZE),) * views,
        intrinsics=sequence.intrinsics,
        camera_from_world=sequence.camera_from_world,
        distortion=(None,) * views,
        **changes,
    )


def scene_of(sequence, *, lost=(), truth=False) -> Scene:
    """The sequence as if recorded, without the images (view, frame) of `lost`."""
    images = [[None if (v, n) in lost else sequence.video[v, n] for v in range(V)] for n in range(T)]
    scene = make_scene(rig_of(sequence), images, sequence.task, name=sequence.name, config=CONFIG, stamp_s=1.0)
    return told(scene, sequence) if truth else scene


def told(scene, sequence, **changes):
    given = {"visible": sequence.visible, "label": sequence.label, "frame_period_s": 0.125, "config": CONFIG}
    return with_truth(scene, changes.pop("positions", sequence.positions), **(given | changes))


def answer(sequence, tracks=None, **changes) -> Prediction:
    """The truth, or other tracks of its points, as a prediction."""
    changed = changes if tracks is None else {"tracks": tracks.astype(np.float32), **changes}
    return replace(perfect_prediction(sequence), **changed)


class Answers:
    """A predictor that always answers the same."""

    def __init__(self, prediction):
        self.prediction, self.config = prediction, CONFIG

    def find_windows(self, observation):
        return SEQUENCE.windows, []

    def predict(self, observation, *, steps, seed, anchors_px):
        if anchors_px is None:
            return self.prediction
        chosen = [
            [np.abs(row - px).sum(1).argmin() for px in view]
            for row, view in zip(SEQUENCE.anchors_px, anchors_px, strict=True)
        ]
        rows = np.arange(V)[:, None]
        picked = {
            name: np.moveaxis(getattr(self.prediction, name)[rows, :, chosen], 1, 2)
            for name in ("tracks", "coarse_tracks", "visible", "stddev")
        }
        label = self.prediction.label[rows, chosen]
        return replace(self.prediction, anchors_px=anchors_px, label=label, **picked)


def test_true_motion_agrees_with_the_later_images_and_a_frozen_one_as_little_as_static():
    scene = scene_of(SEQUENCE)
    true, _, lines = consistency(answer(SEQUENCE), scene)
    frozen, _, _ = consistency(answer(SEQUENCE, np.repeat(SEQUENCE.positions[:, :1], T, axis=1)), scene)
    assert true["consistency_colour_difference"] < 0.5 * true["consistency_static_colour_difference"]
    assert frozen["consistency_colour_difference"] == pytest.approx(
        frozen["consistency_static_colour_difference"], rel=1e-3
    )
    assert true["consistency_anchor_px"] == pytest.approx(0, abs=1e-4)
    assert (frozen["consistency_displacement_cm"], frozen["consistency_view_disagreement_cm"]) == (0, 0)
    assert true["consistency_displacement_cm"] == pytest.approx(100 * SPEED_M * 2.5, rel=1e-3)
    assert len(lines["predicted"]) == T - 1 and all(
        p < s for p, s in zip(lines["predicted"], lines["static"], strict=True)
    )


def test_the_further_a_motion_is_from_the_truth_the_less_it_agrees():
    ramp = np.arange(T)[:, None, None] / (T - 1)
    found = [
        consistency(answer(SEQUENCE, SEQUENCE.positions + ramp * [0, off, 0]), scene_of(SEQUENCE))[0]
        for off in (0, 0.02, 0.06)
    ]
    differences = [values["consistency_colour_difference"] for values in found]
    assert differences == sorted(differences) and differences[0] < 0.8 * differences[2]


def test_views_that_move_the_same_surface_differently_disagree_by_the_difference():
    tracks = SEQUENCE.positions.copy()
    tracks[1, 1:, :, 1] += 0.01
    values, _, _ = consistency(answer(SEQUENCE, tracks), scene_of(SEQUENCE))
    assert values["consistency_view_disagreement_cm"] == pytest.approx(1.0, rel=1e-3)


def test_lost_images_are_left_out_and_do_not_count_as_black():
    whole, _, _ = consistency(answer(SEQUENCE), scene_of(SEQUENCE))
    lost = {(v, n) for v in range(V) for n in (1, 2)}
    some, _, lines = consistency(answer(SEQUENCE), scene_of(SEQUENCE, lost=lost))
    assert lines["predicted"][:2] == [None, None]
    assert some["consistency_colour_difference"] == pytest.approx(np.mean(lines["predicted"][2:]), rel=1e-6)
    assert some["consistency_colour_difference"] == pytest.approx(whole["consistency_colour_difference"], abs=1)


def test_without_later_images_agreement_with_them_is_null_and_says_so():
    later = {(v, n) for v in range(V) for n in range(1, T)}
    report = evaluate_scenes(Answers(answer(SEQUENCE)), [scene_of(SEQUENCE, lost=later)], name="bag")
    for name in ("consistency_colour_difference", "consistency_static_colour_difference"):
        assert report.metrics[name] is None
        assert "no image at the times" in report.not_computed[name]
    assert "no image at the times" in report.not_computed["consistency_colour_ratio"]
    assert "8 of 10 images" in report.not_computed["psnr"]
    assert report.metrics["consistency_displacement_cm"] > 0


@pytest.mark.parametrize("truth", [True, False])
def test_what_the_codec_makes_of_missing_images_is_no_score(truth):
    class Coder(Answers):
        def codec_round_trip(self, cameras, points_world, anchors_px, chosen):
            rows = np.arange(V)[:, None]
            tracks = np.moveaxis(points_world[rows, :, chosen], 1, 2)
            return tracks, np.ones(tracks.shape[:-1], bool)

        def codec_video(self, video):
            return video // 2

    coder = Coder(answer(SEQUENCE))
    lost = evaluate_scenes(coder, [scene_of(SEQUENCE, lost={(0, 1)}, truth=truth)], name="bag")
    for name in ("codec_psnr", "codec_gradient_energy"):
        assert lost.metrics[name] is None and "1 of 10 images" in lost.not_computed[name]
    whole = evaluate_scenes(coder, [scene_of(SEQUENCE, truth=truth)], name="bag").metrics
    assert whole["gradient_energy_ratio"] == pytest.approx(4, rel=0.1) and whole["codec_psnr"] > 0


def test_without_truth_no_error_is_invented_and_every_null_has_its_reason():
    report = evaluate_scenes(Answers(answer(SEQUENCE)), [scene_of(SEQUENCE)], name="bag")
    missing = {name for name, value in report.metrics.items() if value is None}
    assert missing == set(report.not_computed)
    assert report.not_computed["end_point_error_cm"] == "the recording has no ground-truth tracks"
    computed = {name for name in SCORES if report.metrics[name] is not None}
    assert computed <= {
        "psnr",
        "static_psnr",
        "ssim",
        "static_ssim",
        "video_mse",
        "static_video_mse",
        "gradient_energy",
        "seconds_per_sequence",
    }
    assert report.not_computed["codec_psnr"] == "the method has no codec"
    assert report.metrics["consistency_colour_ratio"] < 0.5
    assert report.metrics["video_mse_ratio"] == 0
    assert set(SCORES) | set(report.to_json()["bag"]["rules"]) >= set(report.rows[0]) & set(report.metrics)


def test_with_truth_a_perfect_predictor_errs_nowhere_and_a_shifted_one_by_its_shift():
    scene = scene_of(SEQUENCE, truth=True)
    perfect = evaluate_scenes(Answers(answer(SEQUENCE)), [scene], name="bag").metrics
    shifted = evaluate_scenes(Answers(answer(SEQUENCE, SEQUENCE.positions + [0, 0.02, 0])), [scene], name="bag").metrics
    assert perfect["end_point_error_cm"] == pytest.approx(0, abs=1e-4)
    assert shifted["end_point_error_cm"] == pytest.approx(2, rel=1e-3)
    assert shifted["displacement_error_cm"] == pytest.approx(0, abs=1e-4)
    assert perfect["consistency_colour_ratio"] < shifted["consistency_colour_ratio"]


def test_a_recording_has_no_other_scene_of_a_triplet_and_says_so():
    report = evaluate_scenes(Answers(answer(SEQUENCE)), [scene_of(SEQUENCE, truth=True)] * 2, name="bag")
    assert report.metrics["other_scene_ratio"] is None
    assert "a recording names no triplet" in report.not_computed["other_scene_ratio"]


def test_scenes_with_and_without_truth_go_into_one_report():
    scenes = [scene_of(SEQUENCE), scene_of(SEQUENCE, truth=True)]
    report = evaluate_scenes(
        Answers(answer(SEQUENCE)), scenes, name="bag", recording={"path": "x", "cameras": {"left": 1}}
    )
    assert [row["end_point_error_cm"] is None for row in report.rows] == [True, False]
    assert report.metrics["end_point_error_cm"] == pytest.approx(0, abs=1e-4)
    assert "end_point_error_cm" not in report.not_computed
    page = html_page(report)
    assert page.count("<figure>") == 5
    assert "no score of this name is an error" in page and "camera left" in page


def test_points_that_frame_0_does_not_show_cannot_be_anchors():
    visible = SEQUENCE.visible.copy()
    visible[0, 0, :7] = False
    positions = SEQUENCE.positions.copy()
    positions[1, :, 50] += 9
    truth = told(scene_of(SEQUENCE), SEQUENCE, visible=visible, positions=positions).truth
    assert truth.positions.shape == (V, T, K - 7, 3)
    assert truth.visible[:, 0].all()
    assert truth.anchors_px[0] == pytest.approx(SEQUENCE.anchors_px[0, 7:], abs=1e-4)
    assert truth.depth_scale[0] == pytest.approx(SEQUENCE.depth_scale[0], rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"frame_period_s": 0.2}, "5 frames 0.2 s apart, the model makes 5 0.125 s apart"),
        ({"positions": SEQUENCE.positions[:, :4], "visible": SEQUENCE.visible[:, :4]}, "the truth has 4 frames"),
        ({"visible": np.zeros_like(SEQUENCE.visible)}, "a view shows no true point in frame 0"),
        ({"positions": SEQUENCE.positions + np.float32(9)}, "a view shows no true point in frame 0"),
    ],
)
def test_a_truth_that_does_not_fit_is_left_out_with_its_reason(changes, why):
    scene = told(scene_of(SEQUENCE), SEQUENCE, **changes)
    assert scene.truth is None
    assert why in scene.why_no_truth


def test_without_an_aligner_a_point_not_decoded_in_frame_0_does_not_count():
    visible = SEQUENCE.visible.copy()
    visible[:, 0, :30] = False
    tracks = np.where(visible[..., None], SEQUENCE.positions, 77)
    values, _, _ = consistency(answer(SEQUENCE, tracks, visible=visible), scene_of(SEQUENCE), aligner=False)
    assert values["consistency_displacement_cm"] == pytest.approx(100 * SPEED_M * 2.5, rel=1e-3)


def test_colours_between_pixels_are_interpolated_and_pixels_outside_are_told():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 1], image[1, 1] = 100, 200
    pixels = np.array([[1, 0], [0.5, 0], [1, 0.25], [1, 9], [np.nan, 0]])
    sampled = metrics.self_consistency.bilinear(image, pixels)[:, 0]
    assert sampled.tolist() == [100, 50, 125, 200, 0]
    assert metrics.inside(pixels, height=2, width=3).tolist() == [True, True, True, False, False]


def test_consistency_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1 points"):
        metrics.mean_where(np.zeros(3), np.zeros(3, bool), what="points")
    with pytest.raises(ValueError, match="at least 2 views, got 1"):
        metrics.view_disagreement(SEQUENCE.positions[:1], SEQUENCE.visible[:1], SEQUENCE.label[:1])
    with pytest.raises(ValueError, match="no two views share 4"):
        apart = SEQUENCE.positions + np.arange(V)[:, None, None, None]
        metrics.view_disagreement(apart.astype(np.float32), SEQUENCE.visible, SEQUENCE.label)
