"""What a report holds and how it reads."""

import html
import json
import re

import pytest

from syncmv4d_model.evaluation.harness import Report, evaluate
from syncmv4d_model.evaluation.pages.meanings import BETTER, HEADLINES
from syncmv4d_model.evaluation.pages.plots import mean_over_time
from syncmv4d_model.evaluation.pages.report import html_page, markdown_table, terminal_table
from syncmv4d_model.evaluation.recorded import CONSISTENCY_RATIOS, CONSISTENCY_RULES
from syncmv4d_model.evaluation.scores import RATIOS, SCORES
from syncmv4d_model.evaluation.statistics import summarise
from tests.model.known_error import KnownError, frozen, same, shifted

REQUIRED = [
    "end_point_error_cm",
    "static_end_point_error_cm",
    "end_point_error_ratio",
    "displacement_error_cm",
    "displacement_error_ratio",
    "text_mean_error_cm",
    "frame0_error_cm",
    "codec_error_cm",
    "chamfer_cm",
    "static_chamfer_cm",
    "rpe",
    "pi",
    "multi_view_rpe_a",
    "multi_view_rpe_b",
    "depth_scale_error_cm",
    "psnr",
    "static_psnr",
    "video_mse_ratio",
    "text_mean_ratio",
    "path_length_ratio",
    "foreground_iou",
    "stddev_spearman",
    "stddev_coverage_68",
    "visibility_f1_occluded",
    "label_recall",
    "seconds_per_sequence",
]


def test_every_promised_key_is_there_and_what_was_not_computed_is_null_with_its_reason(data, tmp_path):
    directory, sequences = data
    report = evaluate(KnownError(sequences, same), directory, "test_1", limit=2)
    report.write_json(tmp_path / "deep" / "report.json")
    written = json.loads((tmp_path / "deep" / "report.json").read_text())
    assert written["split"] == "test_1"
    assert written["sequences"] == len(written["rows"]) == 2
    assert set(REQUIRED) <= set(written["metrics"]) == set(written["intervals"])
    assert written["switches"]["cycle"] is True
    assert written["metrics"]["psnr"] is None
    assert "identical" in written["not_computed"]["psnr"]
    assert written["metrics"]["text_mean_error_cm"] is None
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["report.json"]


def test_reports_show_what_was_computed_and_name_what_was_not(data):
    directory, sequences = data
    report: Report = evaluate(KnownError(sequences, frozen), directory, "test_1")
    assert "| end_point_error_ratio | 1 |" in markdown_table(report)
    assert "| text_mean_ratio | not computed |" in markdown_table(report)
    caption = str(terminal_table(report).caption)
    missing = sum(value is None for value in report.metrics.values())
    assert caption.endswith(
        f"{missing} not computed: their names and the reasons are in the JSON (--json) and on the page (--html)"
    )
    assert "end_point_error_ratio: mean distance from the truth" in caption and "text_mean_ratio:" not in caption
    page = html_page(report)
    tables = (report.metrics, report.not_computed, report.settings)
    assert page.count("<tr>") == 2 + sum(1 + len(lines) for lines in tables)
    assert page.count('<tr id="row-') == len(report.rows) == 3
    for name, reason in report.not_computed.items():
        assert f"<td>{name}</td><td>{html.escape(reason)}</td>" in page
    for chart in ("error over time", "error by task", "error against static", "reliability of stddev", "coverage"):
        assert f'<svg class="chart" role="img" aria-label="{chart}"' in page
    assert '<h3>video_mse_ratio</h3><div class="value ">1<' in page and "<p>squared error of the gen" in page
    assert not re.search(r"https?://", page)
    assert mean_over_time(report, "predicted") == pytest.approx(mean_over_time(report, "static"))


TITLES = {
    "test_1, 2 sequences": {},
    "test_1, 2 sequences, nano@0123": {"checkpoint": "nano@0123", "without": []},
    "test_1, 2 sequences, nano@0123 without aligner and cycle": {
        "checkpoint": "nano@0123",
        "without": ["aligner", "cycle"],
    },
}


@pytest.mark.parametrize(("title", "settings"), TITLES.items(), ids=["unknown", "whole", "in part"])
def test_a_report_names_the_checkpoint_and_what_was_left_out_of_it(data, title, settings):
    directory, sequences = data
    report = evaluate(KnownError(sequences, shifted), directory, "test_1", limit=2)
    report.settings.update(settings, versions={"torch": "2.13"})
    assert f"<title>SyncMV4D: {title}</title>" in html_page(report) and f"<h1>{title}</h1>" in html_page(report)
    assert "<td>versions</td><td>torch 2.13</td>" in html_page(report)
    assert f"**{title}**" in markdown_table(report) and terminal_table(report).title == title


def test_baselines_alone_are_called_so(data):
    report = evaluate(None, data[0], "test_1", limit=1)
    assert terminal_table(report).title == "test_1, 1 sequence, baselines alone"
    report.settings["checkpoint"] = "nano@0123"
    assert terminal_table(report).title == "test_1, 1 sequence, baselines alone, text mean of nano@0123"


def test_a_score_that_one_of_two_rows_has_gets_no_interval():
    means, intervals = summarise([{"a": 1.0, "b": 2.0}, {"a": None, "b": 4.0}], {"c": ("a", "b")}, seed=0)
    assert means == {"a": 1, "b": 3, "c": 0.5}
    assert intervals == {"a": None, "b": [2, 4], "c": None}


def test_one_sequence_has_no_interval_to_show_and_two_have(data):
    directory, sequences = data
    one, two = (evaluate(KnownError(sequences, shifted), directory, "test_1", limit=limit) for limit in (1, 2))
    assert "| end_point_error_cm | 2 |  | lower |" in markdown_table(one)
    assert one.intervals["end_point_error_cm"] is None
    assert "| end_point_error_cm | 2 | 2 .. 2 | lower |" in markdown_table(two)


def test_every_meaning_is_of_a_score_that_exists():
    known = {*SCORES, *RATIOS, *CONSISTENCY_RATIOS, *CONSISTENCY_RULES}
    assert set(BETTER) | set(HEADLINES) <= known
    references = {name for name in {*SCORES, *RATIOS} - set(BETTER) if not name.startswith("floor_")}
    assert references == {
        "static_end_point_error_cm", "text_mean_error_cm", "static_still_point_drift_cm", "static_chamfer_cm",
        "multi_view_point_pairs", "static_psnr", "static_video_mse", "smoothness_cm", "true_smoothness_cm",
        "stddev_spearman_trivial", "text_mean_ratio", "codec_tool_residual_cm", "codec_psnr", "gradient_energy",
        "codec_gradient_energy", "other_scene_motion_error_cm", "static_ssim", "true_cross_view_colour_error",
        "static_tool_rotation_error_deg", "static_tool_translation_error_cm",
        "true_subject_consistency", "true_dynamic_degree",
        "true_clip_v", "true_matching_pixels", "true_matching_pixels_total_k",
    }  # fmt: skip
