"""Our metrics against the answers of the reference implementations (tests/data/oracles/README.md)."""

from pathlib import Path

import numpy as np
import pytest

from syncmv4d_model.evaluation import metrics

ORACLES = Path(__file__).parents[1] / "data" / "oracles"
FLOAT32 = 1e-4
FLOAT64 = 1e-6


def oracle(name: str) -> dict[str, np.ndarray]:
    with np.load(ORACLES / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def cases(name: str, suffix: str) -> list[int]:
    keys = oracle(name)
    return [i for i in range(10) if f"case{i}_{suffix}" in keys]


@pytest.mark.parametrize("i", cases("geometrycrafter", "pred"))
@pytest.mark.parametrize("form", ["u", "w", "noalign"])
def test_point_error_inliers_and_scale_are_geometrycrafters(i, form):
    keys = oracle("geometrycrafter")
    predicted, target, mask = (keys[f"case{i}_{name}"] for name in ("pred", "gt", "mask"))
    scale, answer = 1.0, keys.get(f"case{i}_noalign_rpe_pi")
    if form != "noalign":
        weight = 1 / np.where(mask, target[..., 2], 1) if form == "w" else None
        scale = metrics.least_squares_scale(predicted, target, mask, weight)
        answer = keys[f"case{i}_{form}_eval_single"]
        assert scale == pytest.approx(float(keys[f"case{i}_{form}_scale"]), rel=FLOAT32)
    scaled = predicted.astype(np.float64) * scale
    assert metrics.relative_point_error(scaled, target.astype(np.float64), mask) == pytest.approx(
        answer[0], rel=FLOAT32
    )
    assert metrics.percentage_of_inliers(scaled, target.astype(np.float64), mask) == pytest.approx(
        answer[1], rel=FLOAT32
    )


def test_a_frame_without_a_valid_point_is_refused_where_the_reference_gives_nan():
    keys = oracle("geometrycrafter")
    predicted, target, mask = keys["case0_pred"], keys["case0_gt"], keys["nan_case_mask"]
    assert np.isnan(keys["nan_case_rpe"])
    for metric in (metrics.relative_point_error, metrics.percentage_of_inliers):
        with pytest.raises(ValueError, match="frame 3 has no point"):
            metric(predicted, target, mask)


@pytest.mark.parametrize("i", cases("multiview_rpe", "E"))
@pytest.mark.parametrize("reading", ["a", "b"])
def test_multi_view_error_is_geometrycrafters_error_after_reprojection(i, reading):
    keys = oracle("multiview_rpe")
    answer = keys[f"case{i}_{'A_reproj_vs_gt' if reading == 'a' else 'B_reproj_vs_pred'}"]
    arrays = [keys[f"case{i}_{name}"] for name in ("pred_cam", "gt_cam", "vis", "E")]
    pairs = ~np.eye(len(answer), dtype=bool)
    error = metrics.multi_view_relative_point_error(*arrays, reading=reading)
    inliers = metrics.multi_view_percentage_of_inliers(*arrays, reading=reading)
    assert error == pytest.approx(answer[pairs][:, 0].mean(), rel=FLOAT64, abs=1e-12)
    assert inliers == pytest.approx(answer[pairs][:, 1].mean(), rel=FLOAT64)


@pytest.mark.parametrize("i", cases("multiview_rpe", "single_view"))
def test_point_error_of_each_view_alone_is_geometrycrafters(i):
    keys = oracle("multiview_rpe")
    views = zip(*(keys[f"case{i}_{name}"] for name in ("pred_cam", "gt_cam", "vis")), strict=True)
    ours = [(metrics.relative_point_error(*view), metrics.percentage_of_inliers(*view)) for view in views]
    assert ours == [pytest.approx(answer, rel=FLOAT64, abs=1e-12) for answer in keys[f"case{i}_single_view"].tolist()]


@pytest.mark.parametrize("i", cases("motion", "pred"))
def test_chamfer_is_pytorch3ds_when_squared_and_scipys_when_not(i):
    keys = oracle("motion")
    frames = list(zip(keys[f"case{i}_pred"], keys[f"case{i}_gt"], strict=True))
    squared = [metrics.chamfer_distance(p, g, squared=True) for p, g in frames]
    plain = [metrics.chamfer_distance(p, g) for p, g in frames]
    assert squared == pytest.approx(keys[f"case{i}_cd_p3d_sqL2_sum_per_frame"], rel=FLOAT64)
    assert np.mean(squared) == pytest.approx(float(keys[f"case{i}_cd_p3d_sqL2_sum_mean"]), rel=FLOAT64)
    assert np.mean(plain) == pytest.approx(float(keys[f"case{i}_cd_L2_sum_mean"]), rel=FLOAT64)


@pytest.mark.parametrize("i", cases("motion", "pred"))
def test_chamfer_by_pytorch3d_itself_is_the_same(i):
    pytest.importorskip("pytorch3d", reason="pytorch3d is not installed: it has no wheel for this platform")
    keys = oracle("motion")
    for p, g in zip(keys[f"case{i}_pred"], keys[f"case{i}_gt"], strict=True):
        for squared in (True, False):
            ours = metrics.chamfer_distance(p, g, squared=squared)
            assert metrics.chamfer_distance(p, g, squared=squared, backend="pytorch3d") == pytest.approx(
                ours, rel=FLOAT32
            )


@pytest.mark.parametrize("i", cases("motion", "pred"))
def test_smoothness_is_vibes_acceleration(i):
    keys = oracle("motion")
    for name in ("pred", "gt"):
        answer = float(keys[f"case{i}_accel_{name}"])
        assert metrics.motion_smoothness(keys[f"case{i}_{name}"]) == pytest.approx(answer, rel=FLOAT64)


@pytest.mark.parametrize("i", cases("subject_consistency", "feat0"))
def test_subject_consistency_is_vbenchs(i):
    keys = oracle("subject_consistency")
    videos = [keys[name] for name in sorted(keys) if name.startswith(f"case{i}_feat")]
    assert metrics.subject_consistency(videos) == pytest.approx(float(keys[f"case{i}_overall"]), rel=FLOAT32)
    alone = [metrics.subject_consistency([video]) for video in videos]
    assert alone == pytest.approx(keys[f"case{i}_per_video"], rel=FLOAT32)


@pytest.mark.parametrize("i", cases("clipv", "feat"))
def test_clip_views_is_the_pair_average(i):
    keys = oracle("clipv")
    assert metrics.clip_views(keys[f"case{i}_feat"]) == pytest.approx(float(keys[f"case{i}_clipv_x100"]), rel=FLOAT32)


@pytest.mark.parametrize("i", cases("dynamic_degree", "flow"))
def test_flow_scores_and_the_decision_are_vbenchs(i):
    keys = oracle("dynamic_degree")
    flow, scores = keys[f"case{i}_flow"].astype(np.float64), keys[f"case{i}_scores"]
    height, width = keys[f"case{i}_hw"].tolist()
    frames = len(scores) + 1
    ours = np.array([metrics.flow_score(f) for f in flow])
    assert ours == pytest.approx(scores[: len(flow)], rel=FLOAT32)
    assert (
        metrics.is_dynamic_from_scores(scores, height=height, width=width, num_frames=frames)
        == keys[f"case{i}_decision"]
    )
    if len(flow) == len(scores):
        assert metrics.is_dynamic(flow, height=height, width=width, num_frames=frames) == keys[f"case{i}_decision"]


def test_dynamic_thresholds_are_vbenchs_for_every_shape():
    for height, width, frames, pixels, count in oracle("dynamic_degree")["param_table"]:
        ours = metrics.dynamic_degree_thresholds(int(height), int(width), int(frames))
        assert ours == (pytest.approx(pixels, rel=FLOAT64), int(count))


def test_frames_for_flow_are_sampled_as_vbench_samples_them():
    keys = oracle("dynamic_degree")
    for fps, given, interval, left in keys["fps_table"]:
        frames = metrics.sampled_frames(int(given), float(fps))
        assert len(frames) == left
        assert frames[1] == interval
    assert metrics.sampled_frames(49, 24.0) == keys["fps_idx_24"].tolist()
    assert metrics.sampled_frames(49, 30.0) == keys["fps_idx_30"].tolist()


@pytest.mark.parametrize("i", range(4))
def test_a_flow_scores_the_mean_of_its_fastest_pixels(i):
    keys = oracle("dynamic_degree")
    answer = float(keys[f"top{i}_score"])
    if np.isnan(answer):
        with pytest.raises(ValueError, match="fastest 5 %"):
            metrics.flow_score(keys[f"top{i}_flow"])
    else:
        assert metrics.flow_score(keys[f"top{i}_flow"]) == pytest.approx(answer, rel=FLOAT32)


@pytest.mark.parametrize("i", [0, 2])
def test_mutual_matches_are_lightglues(i):
    keys = oracle("matching")
    matches, scores = metrics.mutual_matches(keys[f"lg{i}_scores"][0], float(keys[f"lg{i}_th"]))
    assert matches.tolist() == keys[f"lg{i}_m0"][0].tolist()
    assert scores == pytest.approx(keys[f"lg{i}_mscores0"][0], rel=FLOAT32)
    assert metrics.matching_pixels([scores[matches >= 0]], 0.0) == keys[f"lg{i}_count"]


@pytest.mark.parametrize("i", [0, 2])
def test_dense_matches_above_a_threshold_are_counted_as_gim_counts_them(i):
    keys = oracle("matching")
    confidence = keys[f"dk{i}_mconf"]
    ours = [metrics.matching_pixels([confidence], float(threshold)) for threshold in keys[f"dk{i}_thr"]]
    assert ours == keys[f"dk{i}_count_gt_thr"].tolist()


def test_matching_pixels_average_over_pairs_and_frames():
    keys = oracle("matching")
    confidences = [np.ones(count) for count in keys["agg_counts_pair_frame"].ravel()]
    assert metrics.matching_pixels(confidences) == pytest.approx(float(keys["agg_mean_per_pair_frame"]), rel=FLOAT64)
    assert metrics.matching_pixels_total(confidences) == pytest.approx(float(keys["agg_sum_K"]), rel=FLOAT64)
