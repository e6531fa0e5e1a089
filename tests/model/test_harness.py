"""The harness on small sequences: a perfect predictor errs nowhere, a static one by exactly the static row."""

import dataclasses

import numpy as np
import pytest

from syncmv4d_model import geometry
from syncmv4d_model.data.sequence import Sequence, read_sequence, write_sequence
from syncmv4d_model.evaluation import metrics
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.evaluation.case import at_anchors, in_cameras
from syncmv4d_model.evaluation.harness import evaluate
from syncmv4d_model.evaluation.scores import SCORES
from tests.model.known_error import CONFIG, KnownError, frozen, same, shifted
from tests.model.sliding_points import T, V, sliding_sequence


def test_a_perfect_predictor_errs_nowhere(data):
    directory, sequences = data
    values = evaluate(KnownError(sequences, same), directory, "test_1").metrics
    for name in (
        "end_point_error_cm",
        "displacement_error_cm",
        "frame0_error_cm",
        "chamfer_cm",
        "rpe",
        "depth_scale_error_cm",
    ):
        assert values[name] == pytest.approx(0, abs=1e-5), name
    for name in (
        "pi",
        "path_length_ratio",
        "visibility_f1_occluded",
        "label_recall",
        "decoded_share",
        "multi_view_pi_a",
    ):
        assert values[name] == pytest.approx(1), name
    assert values["multi_view_rpe_a"] == pytest.approx(0, abs=1e-5)
    assert values["multi_view_point_pairs"] >= 12
    assert values["codec_error_cm"] == pytest.approx(1.0, rel=1e-4)
    assert values["video_mse_ratio"] == 0


def test_relative_errors_are_relative_to_the_distance_from_the_camera(data):
    directory, sequences = data

    def farther(truth: Sequence, seed: int) -> dict:
        in_camera = 1.1 * in_cameras(truth, truth.positions.astype(np.float64))
        world_from_camera = geometry.inverse(truth.camera_from_world)
        return {"tracks": geometry.transform(world_from_camera[:, None], in_camera).astype(np.float32)}

    values = evaluate(KnownError(sequences, farther), directory, "test_1").metrics
    assert values["rpe"] == pytest.approx(0.1, rel=1e-4)
    assert values["multi_view_rpe_a"] == pytest.approx(0.1, rel=0.05)


def test_visibility_is_judged_after_the_first_frame_where_every_anchor_is_seen(data):
    directory, sequences = data

    def blind_at_first(truth: Sequence, seed: int) -> dict:
        return {"visible": truth.visible & (np.arange(T) > 0)[None, :, None]}

    values = evaluate(KnownError(sequences, blind_at_first), directory, "test_1").metrics
    assert values["visibility_f1_occluded"] == values["visibility_balanced_accuracy"] == 1


def test_a_static_predictor_has_ratio_one(data):
    directory, sequences = data
    report = evaluate(KnownError(sequences, frozen), directory, "test_1")
    for name in ("end_point_error_ratio", "displacement_error_ratio", "chamfer_ratio", "video_mse_ratio"):
        assert report.metrics[name] == pytest.approx(1), name
        assert report.intervals[name] == pytest.approx([1, 1]), name
    assert report.metrics["path_length_ratio"] == 0
    assert report.metrics["psnr"] == report.metrics["static_psnr"]


def test_moving_what_stays_still_is_seen_though_the_moving_points_are_right(data):
    directory, sequences = data

    def stirred(truth: Sequence, seed: int) -> dict:
        still = np.linalg.norm(truth.positions[:, -1] - truth.positions[:, 0], axis=-1) < 0.02
        slide = 0.01 * np.arange(T)[:, None, None] * np.array([0, 1.0, 0])
        return {"tracks": (truth.positions + still[:, None, :, None] * slide).astype(np.float32)}

    values = evaluate(KnownError(sequences, stirred), directory, "test_1").metrics
    assert values["end_point_error_cm"] == pytest.approx(0, abs=1e-5)
    assert 2 < values["still_point_drift_cm"] < 3  # 1 to 4 cm
    assert values["still_point_error_cm"] == pytest.approx(values["still_point_drift_cm"], rel=1e-4)
    assert values["still_point_path_cm"] == pytest.approx(4, rel=1e-4)
    assert values["static_still_point_drift_cm"] == 0


def test_the_motion_of_another_scene_of_the_triplet_is_scored_beside_the_scenes_own(data):
    directory, sequences = data

    def halved_in_b(truth: Sequence, seed: int) -> dict:
        share = 0.5 if truth.name == "b" else 1.0
        return {"tracks": truth.positions[:, :1] + share * (truth.positions - truth.positions[:, :1])}

    report = evaluate(KnownError(sequences, halved_in_b), directory, "test_1")
    own, other = ([row[name] for row in report.rows] for name in ("own_motion_error_cm", "other_scene_motion_error_cm"))
    assert own[0] is None and other[0] is None  # no scene came before
    assert own[1] > other[1] and own[2] < other[2]  # b is answered badly, and c would be by b's answer
    assert report.metrics["other_scene_ratio"] == pytest.approx((other[1] + other[2]) / (own[1] + own[2]))


def test_the_scene_before_is_the_last_one_of_the_same_triplet_and_labels(tmp_path):
    unlike = sliding_sequence("d")
    unlike = dataclasses.replace(unlike, label=np.where(unlike.label == 3, 1, unlike.label).astype(np.uint8))
    made = [sliding_sequence(name, triplet=f"(push, brush, {thing})") for name, thing in ("ax", "by", "cx", "ex")]
    for sequence in (*made, dataclasses.replace(unlike, triplet="(push, brush, y)")):
        write_sequence(tmp_path / "test_1" / sequence.name, sequence)
    sequences = [read_sequence(tmp_path / "test_1" / name) for name in "abcde"]
    shares = {"a": 1.0, "b": 0.8, "c": 0.6, "d": 0.4, "e": 0.2}

    def slowed(truth: Sequence, seed: int) -> dict:
        start = truth.positions[:, :1]
        return {"tracks": start + np.float32(shares[truth.name]) * (truth.positions - start)}

    report = evaluate(KnownError(sequences, slowed), tmp_path, "test_1")
    rows = {row["sequence"]: row for row in report.rows}
    moved = rows["c"]["static_end_point_error_cm"], rows["e"]["static_end_point_error_cm"]
    assert rows["c"]["other_scene_motion_error_cm"] == pytest.approx(0, abs=0.01)  # a's, right; not b's
    assert rows["c"]["own_motion_error_cm"] == pytest.approx(0.4 * moved[0], rel=0.01)
    assert rows["e"]["other_scene_motion_error_cm"] == pytest.approx(0.4 * moved[1], rel=0.01)  # c's; not a's
    for name in ("own_motion_error_cm", "other_scene_motion_error_cm"):  # none before, or one that lacks a label
        assert [rows[sequence][name] is None for sequence in "abcde"] == [True, True, False, True, False]


def test_what_is_left_of_the_tool_as_one_body_is_told_beside_the_codecs(data):
    directory, sequences = data

    def bent(truth: Sequence, seed: int) -> dict:
        tracks = truth.positions.copy()
        tracks[:, 1:, ::2] += np.float32([0, 0, 0.02])
        tracks[:, 1:] += np.where(truth.label == 2, 0, 0.1 * np.arange(truth.label.shape[1]))[:, None, :, None]
        return {"tracks": tracks.astype(np.float32)}

    class BendingCodec(KnownError):
        def codec_round_trip(self, cameras, points_world, anchors_px, chosen):
            positions, found = super().codec_round_trip(cameras, points_world, anchors_px, chosen)
            positions[:, 1:, ::2] += np.float32([0, 0, 0.01])
            return positions, found

    values = evaluate(BendingCodec(sequences, bent), directory, "test_1").metrics
    assert values["tool_residual_cm"] == pytest.approx(1, rel=0.3)  # every other point 2 cm off: 1 cm from their mean
    assert values["tool_residual_ratio"] == pytest.approx(2, rel=0.1)


def test_sharpness_is_told_beside_the_codecs(data):
    directory, sequences = data
    values = evaluate(KnownError(sequences, frozen), directory, "test_1").metrics
    assert values["gradient_energy_ratio"] == pytest.approx(4, rel=0.05)  # a quarter is left where values are halved
    lost = np.mean([metrics.psnr(sequence.video // 2, sequence.video) for sequence in sequences])
    assert values["codec_psnr"] == pytest.approx(lost)


def test_the_same_seed_gives_the_same_report(data):
    directory, sequences = data
    reports = [evaluate(KnownError(sequences, shifted), directory, "test_1", seed=3) for _ in range(2)]
    first, second = ({**r.metrics, "seconds_per_sequence": 0} for r in reports)
    assert first == second
    low, high = reports[0].intervals["end_point_error_ratio"]
    assert low <= reports[0].metrics["end_point_error_ratio"] <= high


def test_samples_are_averaged_and_the_best_is_named(data):
    directory, sequences = data
    predictor = KnownError(sequences, shifted)
    report = evaluate(predictor, directory, "test_1", samples=6)
    assert report.metrics["end_point_error_cm"] == pytest.approx(2, rel=1e-4)
    assert report.metrics["sample_best_error_cm"] == pytest.approx(2, rel=1e-4)
    assert report.metrics["sample_mean_error_cm"] < 2
    assert len(set(predictor.seeds)) == 18


def test_undecoded_coarse_tracks_are_filled_and_counted_when_there_is_no_aligner(data):
    directory, sequences = data
    config = dataclasses.replace(CONFIG, switches=dataclasses.replace(CONFIG.switches, aligner=False))

    def lost(truth: Sequence, seed: int) -> dict:
        return {"tracks": np.full_like(truth.positions, 99), "visible": np.zeros_like(truth.visible)}

    report = evaluate(KnownError(sequences, lost, config=config), directory, "test_1")
    assert report.metrics["decoded_share"] == 0
    assert report.metrics["end_point_error_ratio"] == pytest.approx(1)
    for name in ("label_recall", "label_recall_hand", "label_recall_tool", "label_recall_target"):
        assert report.metrics[name] is None and "no aligner" in report.not_computed[name]


def test_a_method_without_tracks_is_scored_on_its_video_alone(data):
    directory, sequences = data

    def video_only(truth: Sequence, seed: int) -> dict:
        empty = {name: getattr(at_anchors(truth, np.zeros((V, 0), int)), name) for name in ("visible", "label")}
        none = np.zeros((V, T, 0, 3), np.float32)
        empty["anchors_px"] = np.zeros((V, 0, 2), np.float32)
        return frozen(truth, seed) | empty | {"tracks": none, "coarse_tracks": none, "stddev": none[..., 0]}

    report = evaluate(KnownError(sequences, video_only), directory, "test_1")
    assert report.metrics["video_mse_ratio"] == pytest.approx(1)
    assert report.metrics["static_end_point_error_cm"] > 0
    for name in ("end_point_error_cm", "end_point_error_ratio", "foreground_iou", "label_recall", "codec_error_cm"):
        assert report.metrics[name] is None
    assert report.metrics["gradient_energy_ratio"] > 0


def test_a_mean_of_some_sequences_alone_says_of_how_many(data):
    directory, sequences = data
    report = evaluate(KnownError(sequences, same), directory, "test_1")
    have = {name: sum(row[name] is not None for row in report.rows) for name in SCORES}
    assert report.partial == {name: count for name, count in have.items() if count in (1, 2)}
    assert "other_scene_motion_error_cm" in report.partial  # the first of a triplet has none before it


def test_a_sequence_of_another_size_is_refused_with_both_sizes(data):
    directory, sequences = data
    small = dataclasses.replace(CONFIG, num_frames=9)
    with pytest.raises(ValueError, match="5 x 32 x 32, the model makes 9 x 32 x 32"):
        evaluate(KnownError(sequences, same, config=small), directory, "test_1")


def test_a_missing_split_and_no_samples_are_refused(data):
    directory, _ = data
    with pytest.raises(ValueError, match="test_9"):
        evaluate(None, directory, "test_9")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        evaluate(None, directory, "test_1", samples=0)


def test_baselines_alone_need_no_model(data):
    directory, sequences = data
    mean = TextMean.fit(read_sequence(directory / "train" / name, with_video=False) for name in "de")
    report = evaluate(None, directory, "test_1", text_mean=mean)
    assert report.metrics["text_mean_ratio"] == pytest.approx(0, abs=1e-5)
    assert report.metrics["end_point_error_cm"] is None
    assert report.not_computed["other_scene_ratio"] == "other_scene_motion_error_cm: the method predicts no tracks"
    assert (
        report.metrics["static_psnr"]
        == evaluate(KnownError(sequences, same), directory, "test_1").metrics["static_psnr"]
    )
    assert report.metrics["static_video_mse"] > 0
    assert report.not_computed.keys() == {name for name, value in report.metrics.items() if value is None}
    assert report.sequences == 3
