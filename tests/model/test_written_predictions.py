"""Predictions read from a folder: a perfect method errs nowhere, what is not written is null, what is wrong is named."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncmv4d_model import geometry
from syncmv4d_model.data.sequence import Sequence
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.case import in_cameras
from syncmv4d_model.evaluation.harness import evaluate, evaluate_method
from syncmv4d_model.evaluation.kept_rows import KeptRows
from syncmv4d_model.evaluation.methods import Written
from syncmv4d_model.evaluation.scores import NEED_NO_IDENTITIES, SCORES
from syncmv4d_model.evaluation.written import METHODS, PAIRING_PX, WrittenPredictions
from tests.model.known_error import KnownError, shifted


def write(folder: Path, sequences: list[Sequence], *, method: str = "tracks", video: bool = True, **changes) -> Written:
    """What a method that knows the truth writes; `changes` replace arrays of tracks.npz, None leaves one out."""
    for sequence in sequences:
        (folder / sequence.name).mkdir(parents=True, exist_ok=True)
        arrays = {
            "positions": sequence.positions,
            "anchors_px": sequence.anchors_px,
            "visible": sequence.visible,
            "label": sequence.label,
            "depth_scale": sequence.depth_scale,
            "stddev": np.full(sequence.visible.shape, 0.01, np.float32),
        }
        arrays |= {name: change(arrays[name]) if callable(change) else change for name, change in changes.items()}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        if METHODS[method].geometry == "tracks":
            np.savez_compressed(folder / sequence.name / "tracks.npz", **arrays)
        if video:
            for name, frames in zip(sequence.view_names, sequence.video, strict=True):
                (folder / sequence.name / f"{name}.mp4").write_bytes(
                    encode_video(frames, frame_period_s=sequence.frame_period_s, lossless=True)
                )
    return Written(WrittenPredictions(folder, METHODS[method]), seed=0)


def scored(data, predictions: Written, **options):
    return evaluate_method(predictions, data[0], "test_1", **options)


def test_a_perfect_method_errs_nowhere(data, tmp_path):
    values = scored(data, write(tmp_path, data[1])).metrics
    for name in ("end_point_error_cm", "displacement_error_cm", "chamfer_cm", "rpe", "depth_scale_error_cm"):
        assert values[name] == pytest.approx(0, abs=1e-5), name
    for name in ("pi", "path_length_ratio", "visibility_f1_occluded", "label_recall", "decoded_share"):
        assert values[name] == pytest.approx(1), name
    assert values["video_mse"] == 0
    assert values["codec_psnr"] is None and values["seconds_per_sequence"] is None


def test_the_points_may_come_in_any_order_and_a_little_beside_the_anchors(data, tmp_path):
    order = np.random.default_rng(0).permutation(data[1][0].label.shape[1])
    changes = {name: lambda array: array[:, :, order] for name in ("positions", "visible", "stddev")}
    changes |= {"label": lambda array: array[:, order], "anchors_px": lambda array: array[:, order] + 0.01}
    values = scored(data, write(tmp_path, data[1], **changes)).metrics
    assert values["end_point_error_cm"] == pytest.approx(0, abs=1e-5)
    assert values["label_recall"] == 1 and values["visibility_f1_occluded"] == 1


def test_it_is_scored_as_a_predictor_with_the_same_answers_at_the_same_anchors_is(data, tmp_path):
    directory, sequences = data
    whole = evaluate(KnownError(sequences, lambda truth, _: shifted(truth, 1)), directory, "test_1")
    predictions = write(tmp_path, sequences, positions=lambda array: array + np.float32([0, 0.02, 0]))
    values = scored(data, dataclasses.replace(predictions, points=24)).metrics
    for name, value in whole.metrics.items():
        if value is not None and values[name] is not None and "codec" not in name:
            assert values[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name
    lost = {name for name, value in values.items() if value is None and whole.metrics[name] is not None}
    assert {name for name in lost if "codec" not in name} == {
        "seconds_per_sequence",
        "foreground_iou",
        "tool_residual_ratio",
        "gradient_energy_ratio",
    }


def test_a_true_point_that_no_predicted_one_is_near_is_the_true_first_frame_held_still(data, tmp_path):
    first = data[1][0]
    half = first.label.shape[1] // 2
    changes = {name: (lambda array: array[:, :, half:]) for name in ("positions", "visible", "stddev")}
    changes |= {name: (lambda array: array[:, half:]) for name in ("anchors_px", "label")}
    values = scored(data, write(tmp_path, data[1], **changes)).metrics  # the tool's half moves and is not written
    near = values["decoded_share"]
    assert 0.5 <= near < 0.8  # some of the others lie within the pairing distance
    assert 0.5 < values["end_point_error_ratio"] <= 1.01


def test_of_a_point_that_is_not_written_neither_visibility_nor_deviation_is_made_up(data, tmp_path):
    """Written is the first half, with a deviation that is too small for all the errors of points which it does not answer for."""
    expected = []
    for sequence in data[1]:
        half = {name: getattr(sequence, name)[:, :, :30] for name in ("positions", "visible")}
        write(
            tmp_path,
            [sequence],
            **half,
            label=sequence.label[:, :30],
            anchors_px=sequence.anchors_px[:, :30],
            stddev=np.full(half["visible"].shape, 0.01),
        )
        seen, said = [], []
        for view, anchors in enumerate(sequence.anchors_px):
            distance = np.linalg.norm(anchors[:, None] - anchors[None, :30], axis=-1)
            answered, nearest = distance.min(1) <= PAIRING_PX, distance.argmin(1)
            seen.append(sequence.visible[view, 1:][:, answered].ravel())
            said.append(sequence.visible[view, 1:][:, nearest[answered]].ravel())
        expected.append(metrics.visibility_f1_occluded(np.concatenate(said), np.concatenate(seen)))
    report = scored(data, Written(WrittenPredictions(tmp_path, METHODS["tracks"]), seed=0))
    assert report.metrics["decoded_share"] < 0.9
    assert [row["visibility_f1_occluded"] for row in report.rows] == pytest.approx(expected)
    assert report.metrics["stddev_coverage_95"] > 0.9


def test_where_no_position_is_written_no_deviation_is_needed(data, tmp_path):
    gone = np.zeros((1, 5, 60), bool)
    gone[:, 3, :40] = True
    changes = {
        "positions": lambda a: np.where(gone[..., None], np.nan, a),
        "stddev": lambda a: np.where(gone, np.nan, a),
    }
    values = scored(data, write(tmp_path, data[1], **changes)).metrics
    assert values["stddev_coverage_68"] == 1 and values["stddev_spearman"] is None  # all errors are equal, none is NaN
    assert values["visibility_f1_occluded"] == 1


@pytest.mark.parametrize("name", ["visible", "stddev", "label", "depth_scale"])
def test_what_is_not_written_is_null_for_that_reason(data, tmp_path, name):
    report = scored(data, write(tmp_path, data[1], **{name: None}))
    needs = {
        "visible": "visibility_f1_occluded",
        "stddev": "stddev_coverage_68",
        "label": "label_recall",
        "depth_scale": "depth_scale_error_cm",
    }
    assert report.metrics[needs[name]] is None
    assert report.not_computed[needs[name]] == f"tracks.npz has no {name}"
    assert report.metrics["end_point_error_cm"] is not None
    assert all(report.metrics[other] is not None for key, other in needs.items() if key != name)


def test_videos_alone_are_scored_as_videos_alone(data, tmp_path):
    report = scored(data, write(tmp_path, data[1], method="wan2.2"))
    assert report.metrics["video_mse"] == 0
    assert report.metrics["end_point_error_cm"] is None
    assert report.not_computed["end_point_error_cm"] == "the method predicts no tracks"


def test_tracks_alone_are_scored_as_tracks_alone(data, tmp_path):
    report = scored(data, write(tmp_path, data[1], video=False))
    assert report.metrics["end_point_error_cm"] == pytest.approx(0, abs=1e-5)
    assert report.metrics["psnr"] is None and "left.mp4" in report.not_computed["psnr"]


def test_videos_of_another_size_are_resized(data, tmp_path):
    write(tmp_path, data[1])
    for sequence in data[1]:
        for name, frames in zip(sequence.view_names, sequence.video, strict=True):
            large = frames.repeat(2, axis=1).repeat(2, axis=2)
            content = encode_video(large, frame_period_s=0.125, lossless=True)
            (tmp_path / sequence.name / f"{name}.mp4").write_bytes(content)
    report = scored(data, Written(WrittenPredictions(tmp_path, METHODS["tracks"]), seed=0))
    assert 0 < report.metrics["video_mse"] < 0.2 * report.metrics["static_video_mse"]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scale=st.floats(0.2, 5.0))
def test_a_method_of_no_metric_scale_is_given_one_factor_about_each_camera(data, tmp_path, scale):
    def scaled(sequence: Sequence) -> np.ndarray:
        in_camera = scale * in_cameras(sequence, sequence.positions.astype(np.float64))
        return geometry.transform(geometry.inverse(sequence.camera_from_world)[:, None], in_camera).astype(np.float32)

    for sequence in data[1]:
        write(tmp_path, [sequence], positions=scaled(sequence))
    forgiven = Written(WrittenPredictions(tmp_path, METHODS["svimo"]), seed=0)
    assert scored(data, forgiven).metrics["end_point_error_cm"] == pytest.approx(0, abs=1e-3)
    strict = scored(data, Written(WrittenPredictions(tmp_path, METHODS["tracks"]), seed=0)).metrics
    assert strict["rpe"] == pytest.approx(abs(scale - 1), rel=1e-3, abs=1e-4)


def write_maps(folder: Path, sequences: list[Sequence], *, size: int = 64, scale: float = 1.0) -> Written:
    """Point maps of a plane z = 0, which is where all true points lie, as cameras see it, times a scale."""
    for sequence in sequences:
        (folder / sequence.name).mkdir(parents=True)
        frames, height, width = sequence.video.shape[1:4]
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1)
        pixels = (grid + 0.5) * np.array([width, height]) / size - 0.5
        for view, name in enumerate(sequence.view_names):
            rays = np.concatenate([pixels, np.ones((size, size, 1))], -1) @ np.linalg.inv(sequence.intrinsics[view]).T
            world_from_camera = geometry.inverse(sequence.camera_from_world[view])
            down, eye = (rays @ world_from_camera[:3, :3].T)[..., 2], world_from_camera[2, 3]
            points = rays * np.where(down < 0, -eye / np.minimum(down, -1e-9), np.nan)[..., None]
            maps = np.repeat(scale * points[None], frames, 0).astype(np.float32)
            np.savez(folder / sequence.name / f"{name}.npz", point_map=maps, mask=np.isfinite(maps).all(-1))
    return Written(WrittenPredictions(folder, METHODS["geometrycrafter"]), seed=0)


def test_point_maps_are_read_where_the_truth_is_and_say_nothing_of_motion(data, tmp_path):
    report = scored(data, write_maps(tmp_path, data[1], scale=3.0))
    assert report.metrics["rpe"] < 0.02 and report.metrics["pi"] == 1
    assert report.metrics["multi_view_rpe_b"] < 0.02
    for name in SCORES:
        if name not in NEED_NO_IDENTITIES:
            assert report.metrics[name] is None, name
    assert "was read where the truth is" in report.not_computed["end_point_error_cm"]
    assert report.metrics["static_end_point_error_cm"] is not None


def test_a_map_that_is_off_is_scored_as_off(data, tmp_path):
    write_maps(tmp_path, data[1])
    for path in tmp_path.glob("*/*.npz"):
        with np.load(path) as arrays:
            point_map, mask = arrays["point_map"], arrays["mask"]
        np.savez(path, point_map=point_map + np.float32([0.1, 0, 0]), mask=mask)
    predictions = Written(WrittenPredictions(tmp_path, METHODS["geometrycrafter"]), seed=0)
    assert scored(data, predictions).metrics["rpe"] > 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda maps, mask: (0 * maps, mask), "all .* points are the origin"),
        (lambda maps, mask: (-maps, mask), "behind their camera"),
        (lambda maps, mask: (maps, 0 * mask), "no predicted point"),
        (lambda maps, mask: (maps, np.full(mask.shape, np.nan)), "mask must hold nothing but 0 and 1"),
        (lambda maps, mask: (maps[:, :0, :0], mask[:, :0, :0]), "point_map must be"),
    ],
)
def test_maps_that_no_factor_makes_right_are_refused(data, tmp_path, change, message):
    write_maps(tmp_path, data[1])
    path = tmp_path / "b" / "right.npz"
    with np.load(path) as arrays:
        point_map, mask = change(np.nan_to_num(arrays["point_map"]), arrays["mask"])
    np.savez(path, point_map=point_map, mask=mask)
    with pytest.raises(ValueError, match=message) as raised:
        scored(data, Written(WrittenPredictions(tmp_path, METHODS["geometrycrafter"]), seed=0))
    assert str(tmp_path / "b") in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": lambda a: a[:, :-1]}, r"positions must be \[2 views, 5 frames"),
        ({"positions": lambda a: a[:, :, :0]}, "at least 1 point"),
        ({"anchors_px": lambda a: a[:, :-1]}, r"anchors_px must be \[2, 60, 2\]"),
        ({"visible": lambda a: a[:, :-1]}, "visible must be"),
        ({"anchors_px": lambda a: a * np.nan}, "anchors_px finite"),
        ({"anchors_px": lambda a: a + 500}, f"within {PAIRING_PX} px"),
        ({"positions": lambda a: a * np.nan}, f"within {PAIRING_PX} px"),
        ({"positions": None}, "it lacks positions"),
        ({"label": lambda a: a.astype(str)}, "which is not a number"),
        ({"label": lambda a: a.astype(int) + 256}, "label must hold whole numbers from 0 to 3"),
        ({"label": lambda a: a * np.nan}, "label must hold whole numbers"),
        ({"visible": lambda a: np.where(a, 1.0, np.nan)}, "visible must hold nothing but 0 and 1"),
        ({"stddev": lambda a: -a}, "stddev must be a positive number"),
        ({"stddev": lambda a: np.where(np.arange(60) == 7, np.nan, a)}, "stddev must be a positive number"),
        ({"depth_scale": lambda a: a * np.nan}, "depth_scale holds something that is not a finite number"),
        ({"seed": np.float64("nan")}, "seed holds something"),
        ({"positions": lambda a: a.astype(np.float64) * 1e160}, "positions are metres"),
    ],
)
def test_what_contradicts_the_truth_is_named(data, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        scored(data, write(tmp_path, data[1], video=False, **changes))


def test_what_is_missing_is_named(data, tmp_path):
    write(tmp_path, data[1][:2])
    with pytest.raises(FileNotFoundError, match="no prediction of sequence c"):
        scored(data, Written(WrittenPredictions(tmp_path, METHODS["tracks"]), seed=0))
    with pytest.raises(FileNotFoundError, match=r"left.npz"):
        scored(data, Written(WrittenPredictions(tmp_path, METHODS["geo4d"]), seed=0))
    (tmp_path / "a" / "right.mp4").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks right.mp4"):
        scored(data, Written(WrittenPredictions(tmp_path, METHODS["das"]), seed=0))


def test_of_videos_alone_the_methods_that_read_them_are_named(data, tmp_path):
    predictions = write(tmp_path, data[1])
    (tmp_path / "a" / "tracks.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"videos alone is read with --method wan2.2, das, sv4d2"):
        scored(data, predictions)


def test_pickles_are_never_loaded(data, tmp_path):
    predictions = write(tmp_path, data[1])
    np.savez(tmp_path / "a" / "tracks.npz", positions=np.array([{}], dtype=object), anchors_px=np.zeros(1))
    with pytest.raises(ValueError, match="Python objects, which are never loaded"):
        scored(data, predictions)


def test_several_processes_and_a_resumed_run_say_the_same_to_the_last_digit(data, tmp_path):
    predictions = write(tmp_path / "predictions", data[1], positions=lambda array: array * np.float32(1.01))
    whole = scored(data, predictions)
    spread = scored(data, predictions, workers=2)
    kept = KeptRows(tmp_path / "rows", {"seed": 0})
    scored(data, predictions, limit=2, kept=kept)
    again = KeptRows(tmp_path / "rows", {"seed": 0})
    assert sorted(again.scenes) == ["a", "b"]
    resumed = scored(data, predictions, kept=again)
    assert whole.metrics["other_scene_ratio"] is not None
    for report in (spread, resumed):
        assert (report.metrics, report.intervals, report.rows) == (whole.metrics, whole.intervals, whole.rows)
