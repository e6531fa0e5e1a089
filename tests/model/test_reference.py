"""Reference rows as methods: the same numbers as beside every model, and all the others."""

import pytest

from syncmv4d_model.data.sequence import read_sequence
from syncmv4d_model.evaluation.baselines import TextMean
from syncmv4d_model.evaluation.harness import evaluate_method
from syncmv4d_model.evaluation.methods import Written
from syncmv4d_model.evaluation.reference import REFERENCES
from tests.model.tiny_model import tiny_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("reference"))


def scored(data, name):
    sequences = [read_sequence(path) for path in sorted((data / "train").iterdir())]
    method = Written(REFERENCES[name], 0, None, TextMean.fit(sequences))
    return evaluate_method(method, data, "val")


def test_the_static_method_has_the_scores_of_the_static_row(data):
    metrics = scored(data, "static").metrics
    assert metrics["end_point_error_cm"] == pytest.approx(metrics["static_end_point_error_cm"]) != 0
    assert metrics["psnr"] == pytest.approx(metrics["static_psnr"])
    assert metrics["ssim"] == pytest.approx(metrics["static_ssim"])
    assert metrics["chamfer_cm"] == pytest.approx(metrics["static_chamfer_cm"], rel=1e-5)
    assert metrics["end_point_error_ratio"] == pytest.approx(1)
    assert metrics["frame0_error_cm"] == metrics["smoothness_cm"] == 0
    assert metrics["rpe"] > 0 and metrics["multi_view_rpe_a"] > 0 and metrics["cross_view_colour_error"] > 0


def test_the_text_mean_has_the_error_of_its_row_and_no_video(data):
    report = scored(data, "text_mean")
    assert report.metrics["end_point_error_cm"] == pytest.approx(report.metrics["text_mean_error_cm"], rel=1e-5)
    assert report.metrics["frame0_error_cm"] == 0
    assert (
        report.metrics["psnr"] is None
        and report.not_computed["psnr"] == "the text mean moves points and draws no video"
    )


@pytest.mark.parametrize("name", ["static", "text_mean"])
def test_what_a_reference_does_not_say_is_not_made_up(data, name):
    report = scored(data, name)
    for score in ("stddev_coverage_68", "visibility_balanced_accuracy", "label_recall", "depth_scale_error_cm"):
        assert report.metrics[score] is None
        assert report.not_computed[score] == "a reference row says nothing of it"


def test_the_text_mean_without_one_is_refused(data):
    with pytest.raises(ValueError, match="needs a text mean"):
        evaluate_method(Written(REFERENCES["text_mean"]), data, "val")
