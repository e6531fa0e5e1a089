"""`syncmv4d compare`: reports side by side."""

import json
from pathlib import Path

import pytest

from syncmv4d_cli.main import main


@pytest.fixture
def reports(tmp_path):
    """Two reports of one split, the second without the cycle."""
    paths = []
    for index, without in enumerate(([], ["cycle"])):
        report = {
            "split": "test_1",
            "metrics": {"psnr": 19.1234 + index, "rpe": None if index else 0.0661, "pi": None},
            "intervals": {"psnr": [18.5, 19.5], "rpe": None},
            "settings": {"without": without},
        }
        paths.append(tmp_path / f"{index}.json")
        paths[-1].write_text(json.dumps(report))
    return [str(path) for path in paths]


def test_a_column_for_each_report_and_a_row_for_each_metric_that_any_has(reports, capsys):
    assert main(["compare", *reports]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| metric | test_1 | test_1 without cycle |",
        "| --- | --- | --- |",
        "| psnr | 19.1 [18.5, 19.5] | 20.1 [18.5, 19.5] |",
        "| rpe | 0.0661 | not computed |",
    ]


def test_a_table_in_a_document_keeps_its_rows_and_everything_around_it(reports, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        "above\n<!-- table a -->\n| metric | old |\n| --- | --- |\n| rpe | 9 |\n<!-- end of table a -->\nbelow\n"
    )
    assert main(["compare", reports[0], "--names", "new", "--into", str(page), "--table", "a"]) == 0
    assert page.read_text() == (
        "above\n<!-- table a -->\n| metric | new |\n| --- | --- |\n| rpe | 0.0661 |\n<!-- end of table a -->\nbelow\n"
    )
    assert "table a, 1 metrics of new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ([], "at least one report"),
        (["--into", "x.md", "0"], "belong together"),
        (["--names", "one", "--metrics", "psnr", "--", "0", "1"], "2 reports need as many --names, got 1"),
        (["0", "--metrics", "speed"], "no report has a metric 'speed'"),
        (["0", "--into", "page", "--table", "b"], "needs one line '<!-- table b -->'"),
        (["0", "--into", "no_page", "--table", "b"], "no document no_page: a table goes between its lines"),
    ],
)
def test_what_cannot_be_compared_is_said_and_nothing_is_written(reports, tmp_path, capsys, asked, complaint):
    page = tmp_path / "page.md"
    page.write_text("<!-- table a -->\n<!-- end of table a -->\n")
    names = {"0": reports[0], "1": reports[1], "page": str(page)}
    assert main(["compare", *(names.get(word, word) for word in asked)]) == 2
    assert complaint in capsys.readouterr().err
    assert page.read_text() == "<!-- table a -->\n<!-- end of table a -->\n"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        '{"metrics": 3, "intervals": {}}',
        '{"metrics": {"psnr": "x"}, "intervals": {}}',
        '{"metrics": {"psnr": NaN}, "intervals": {}}',
        '{"metrics": {"psnr": 1}, "intervals": {"psnr": [null, 1]}}',
        '{"metrics": {"psnr": 1}, "intervals": {}, "settings": null}',
        '{"metrics": {}, "intervals": {}, "rows": [{"sequence": [1]}]}',
        '{"metrics": {}, "intervals": {}, "rows": [{"sequence": "a"}, {"sequence": "a"}]}',
        '{"metrics": {"psnr": 1}, "intervals": {}, "rows": [{"sequence": "a", "psnr": "x"}]}',
    ],
)
def test_a_file_that_is_no_report_is_named(tmp_path, capsys, content):
    path = tmp_path / "wrong.json"
    path.write_text(content)
    assert main(["compare", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_scores_over_those_of_another_report_are_paired_by_sequence(reports, tmp_path, capsys):
    for index, path in enumerate(reports):
        report = json.loads(Path(path).read_text())
        rows = [{"sequence": name, "psnr": value * (2 - index)} for name, value in (("a", 1.0), ("b", 9.0))]
        (tmp_path / f"{index}.json").write_text(json.dumps(report | {"rows": rows, "metrics": {"psnr": 1, "pi": None}}))
    assert main(["compare", reports[0], "--over", reports[1]]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "| metric | test_1 over test_1 without cycle |"
    assert said[2:] == ["| psnr | 5 [1, 9] |"]  # a difference, as decibels are compared
    assert main(["compare", reports[0], "--over", reports[1], "--metrics", "video_mse_ratio"]) == 2
    assert "only scores of single sequences are there, no ratios" in capsys.readouterr().err
    report = json.loads(Path(reports[1]).read_text())
    (tmp_path / "1.json").write_text(json.dumps(report | {"rows": [{"sequence": "c", "psnr": 1.0}]}))
    assert main(["compare", reports[0], "--over", reports[1]]) == 2
    assert "no sequence in common" in capsys.readouterr().err
    (tmp_path / "1.json").write_text(json.dumps(report | {"split": "test_3"}))
    assert main(["compare", reports[0], "--over", reports[1]]) == 2
    assert "the reports are of split test_1 and test_3" in capsys.readouterr().err
    for index, anchors in enumerate(("96@0123456789ab", "60@0123456789ab")):
        rows = [{"sequence": name, "psnr": 1.0, "anchors": anchors} for name in ("a", "b")]
        (tmp_path / f"{index}.json").write_text(json.dumps(report | {"split": f"test_{index + 1}", "rows": rows}))
    assert main(["compare", reports[0], "--over", reports[1]]) == 2
    assert "the reports are of split test_1 and test_2" in capsys.readouterr().err
    (tmp_path / "1.json").write_text(json.dumps(report | {"split": "test_1", "rows": rows}))
    assert main(["compare", reports[0], "--over", reports[1]]) == 2
    assert "sequence a was scored at other points (96@0123456789ab and 60@0123456789ab)" in capsys.readouterr().err
    (tmp_path / "1.json").write_text(json.dumps(report | {"rows": [{"psnr": 1.0}]}))
    assert main(["compare", reports[0], "--over", reports[1]]) == 2
    assert "its rows must each name a sequence" in capsys.readouterr().err
