"""`syncmv4d tables`: the paper's tables with our numbers, from reports of the real command's form."""

import json

import pytest

from syncmv4d_cli.main import main
from syncmv4d_cli.paper_numbers import (
    ABLATION_COLUMNS,
    ABLATION_ROWS,
    CLAIMS,
    MOTION_COLUMNS,
    MOTION_ROWS,
    VIDEO_COLUMNS,
    VIDEO_ROWS,
)
from syncmv4d_cli.tables import NO_NUMBER, claims_table, tables_of
from syncmv4d_model.evaluation.scores import SCORES
from syncmv4d_model.training.ablation import VARIANTS


def report(scale: float = 1.0, *, none: tuple[str, ...] = (), noise: float = 0.0):
    """Three sequences; every score is 1, 2 and 4 times `scale`, every true one 7."""
    values = {name: 7.0 if name.startswith("true_") else scale for name in SCORES}
    rows = [
        {"sequence": f"{index:06d}"}
        | {name: None if name in none else value * 2**index + noise * (-1) ** index for name, value in values.items()}
        for index in range(3)
    ]
    metrics = {name: None if name in none else value for name, value in values.items()}
    return {
        "split": "test_1",
        "metrics": metrics,
        "intervals": {name: None if value is None else [value / 2, value * 2] for name, value in metrics.items()},
        "rows": rows,
    }


def write(folder, split: str, **reports):
    for name, content in reports.items():
        path = folder / split / f"{name.replace('__', '-')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def lines(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_every_column_is_a_score_of_the_evaluation():
    for column in (*VIDEO_COLUMNS, *MOTION_COLUMNS, *ABLATION_COLUMNS):
        assert column.metric in SCORES


def test_the_papers_numbers_are_as_printed_there():
    assert [*VIDEO_ROWS.values()] == [
        (0.9562, 0.4521, 33.8, 76.78),
        (0.9285, 0.9601, 137.5, 82.88),
        (0.8828, 0.9962, 182.3, 83.34),
        (0.7988, 0.8628, 108.7, 79.31),
        (0.9351, 0.9877, 529.4, 83.67),
    ]
    printed = [
        (21.7, 71.5, 0.0134, 0.0228, 81.1, 1.56),
        (17.0, 87.3, 0.0115, 0.0222, 67.3, 4.16),
        (15.2, 98.2, 0.0103, 0.0152, 32.7, 39.1),
    ]
    assert [*MOTION_ROWS.values()] == [(*row[:5], row[4], row[5], row[5]) for row in printed]
    assert ABLATION_ROWS == {
        "one_by_one": (122.7, 75.3),
        "video_only": (462.6, None),
        "tracking_video": (483.8, None),
        "no_prior": (None, None),
        "no_aligner": (501.3, 46.3),
        "no_cycle": (498.2, 33.5),
        "full": (529.4, 32.7),
    }
    assert set(ABLATION_ROWS) == set(VARIANTS)


def test_columns_have_the_papers_units_and_directions():
    percent = {"rpe", "pi", "multi_view_rpe_a", "multi_view_rpe_b", "multi_view_pi_a", "multi_view_pi_b"}
    metres = {"chamfer_cm", "smoothness_cm"}
    up = {"subject_consistency", "dynamic_degree", "matching_pixels_total_k", "clip_v", "psnr", "ssim"}
    up |= {name for name in percent if "pi" in name.split("_")}
    for column in (*VIDEO_COLUMNS, *MOTION_COLUMNS, *ABLATION_COLUMNS):
        scale = {"%": 100, "m": 0.01}.get(column.title.rpartition(", ")[2], 1)
        assert column.scale == scale and (scale == 100) == (column.metric in percent)
        assert (scale == 0.01) == (column.metric in metres)
        assert column.better == ("up" if column.metric in up else "down")


def test_claims_say_which_variant_should_be_better():
    assert [(claim.ours.name, claim.against and claim.against.name) for claim in CLAIMS] == [
        ("full", "one_by_one"),
        ("no_prior", "video_only"),
        ("no_aligner", "tracking_video"),
        ("no_cycle", "no_aligner"),
        ("full", "no_cycle"),
        ("full", None),
    ]


def test_our_rows_stand_below_the_papers_with_their_intervals(tmp_path, capsys):
    unknown = tuple(column.metric for column in VIDEO_COLUMNS[:4])
    write(tmp_path, "test_1", nano=report(2.0, none=unknown), static=report(1.0, none=unknown))
    write(tmp_path, "unseen_action", nano=report(3.0, none=unknown) | {"split": "unseen_action"})
    assert main(["tables", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "| TACO | SyncMV4D (paper) | 0.9351 | 0.9877 | 529.4 | 83.67 | – | – | – |" in said
    assert "| test_1 | ours, nano | not computed | not computed | not computed | not computed | 2 [1, 4] |" in said
    assert "| unseen_action | ours, nano | 300 [150, 600] |" in said  # RPE in %
    assert "| test_1 | the truth itself | 7 | 7 | 7 | 7 | – | – | 7 |" in said and "claim" not in said
    assert "| test_1 | the truth itself | – | – | – | 0.07 |" in said  # smoothness in m


def test_a_table_is_not_made_of_the_truth_alone():
    assert set(tables_of({"test_1": {"video_only-0": report()}})) == {"ablation"}


def test_of_ablations_a_row_is_the_mean_of_its_trainings(tmp_path):
    reports = {"test_1": {"full-0": report(1.0), "full-1": report(3.0), "video_only-0": report(2.0)}}
    table = lines(tables_of(reports)["ablation"])
    assert [row[1:3] for row in table[2:]] == [["video only", "1"], ["all", "2"]]
    psnr = [column.metric for column in ABLATION_COLUMNS].index("psnr")
    assert table[3][3 + psnr].startswith("4.67 [")  # (1 + 2 + 4) / 3 * 2
    assert table[3][-2:] == ["529.4", "32.7"] and table[2][-1] == NO_NUMBER


def verdicts(**reports) -> dict[tuple[str, str], str]:
    trainings: dict = {}
    for name, content in reports.items():
        variant, seed = name.rsplit("__", 1)
        trainings.setdefault(variant, {})[int(seed)] = content
    return {(row[0], row[2]): row[3] for row in lines(claims_table({"test_1": trainings}, seed=0))[2:]}


def test_a_claim_holds_where_the_whole_interval_of_several_trainings_says_so():
    trained = {"full": (0.5, 0.51, 0.49), "no_cycle": (1.0, 1.0, 1.0), "no_aligner": (0.7, 1.1, 1.3)}
    said = verdicts(
        **{f"{name}__{seed}": report(scale) for name, scales in trained.items() for seed, scale in enumerate(scales)}
    )
    cycle, aligner = CLAIMS[4].words, CLAIMS[3].words
    assert said[cycle, "end point, cm"] == "**yes**: 0.5 [0.476, 0.525], 3 trainings each"
    assert said[cycle, "PSNR, dB"].startswith("**no**: -1.17 [")  # (0.5 - 1) * (1 + 2 + 4) / 3
    assert said[cycle, "colours across views"].startswith("**yes**: ")
    assert said[aligner, "end point, cm"].startswith("not shown: 0.968 [")


def test_one_training_each_bears_nothing_out():
    said = verdicts(full__0=report(0.5), no_cycle__0=report(1.0))
    assert said[CLAIMS[4].words, "end point, cm"] == "0.5 [0.5, 0.5], one training each"


def test_one_sequence_bears_nothing_out_either():
    alone = [report(scale) | {"rows": report(scale)["rows"][:1]} for scale in (0.5, 1.0)]
    said = verdicts(full__0=alone[0], full__1=alone[0], no_cycle__0=alone[1], no_cycle__1=alone[1])
    assert said[CLAIMS[4].words, "end point, cm"] == "0.5, one sequence"


def test_a_claim_is_judged_on_the_seeds_that_both_variants_have():
    said = verdicts(
        full__0=report(0.5), full__1=report(9.0), full__2=report(1.5), no_cycle__0=report(1.0), no_cycle__2=report(3.0)
    )
    assert said[CLAIMS[4].words, "end point, cm"] == "**yes**: 0.5 [0.5, 0.5], 2 trainings each"


def test_a_score_that_a_variant_has_not_is_no_verdict():
    tracks = tuple(column.metric for column in CLAIMS[0].columns[:5])
    said = verdicts(full__0=report(0.5), one_by_one__0=report(1.0, none=tracks))
    assert (CLAIMS[0].words, "end point, cm") not in said and (CLAIMS[0].words, "PSNR, dB") in said


def test_tables_are_put_between_their_marks_and_nothing_else_changes(tmp_path, capsys):
    write(tmp_path / "a", "test_1", nano=report())
    write(tmp_path / "b", "test_1", full__0=report(), no_cycle__0=report(2.0))
    page = tmp_path / "page.md"
    names = ("video", "motion", "ablation", "claims")
    page.write_text(
        "above\n" + "".join(f"<!-- table {n} -->\nold {n}\n<!-- end of table {n} -->\n" for n in names) + "below\n"
    )
    assert main(["tables", str(tmp_path / "a"), str(tmp_path / "b"), "--into", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("above\n<!-- table video -->\n| data |") and text.endswith(
        "<!-- end of table claims -->\nbelow\n"
    )
    assert "old" not in text and "tables video, motion, ablation, claims of test_1" in " ".join(
        capsys.readouterr().out.split()
    )
    page.write_text(text.replace("<!-- end of table claims -->", ""))
    before = page.read_text()
    assert main(["tables", str(tmp_path / "b"), "--into", str(page)]) == 2
    assert page.read_text() == before


def test_what_is_no_folder_of_reports_is_refused(tmp_path, capsys):
    assert main(["tables", str(tmp_path / "nowhere")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert main(["tables", str(tmp_path)]) == 2
    assert "no report of Tab. 1 to 4" in capsys.readouterr().err
    assert main(["tables"]) == 2
    assert "give at least one folder of reports" in capsys.readouterr().err
    write(tmp_path / "a", "test_1", nano=report())
    write(tmp_path / "b", "test_1", nano=report())
    assert main(["tables", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "two reports nano of test_1" in capsys.readouterr().err
    write(tmp_path / "c", "test_3", nano=report())
    assert main(["tables", str(tmp_path / "c")]) == 2
    assert "is a report of test_1" in capsys.readouterr().err
    (tmp_path / "a" / "test_1" / "nano.json").write_text("[]")
    assert main(["tables", str(tmp_path / "a")]) == 2
    assert "is no report" in capsys.readouterr().err


def test_standing_still_is_judged_by_the_reports_own_rows_of_it():
    full = report(0.5)
    for row in full["rows"]:
        row |= {"static_end_point_error_cm": 2.0, "static_psnr": row["psnr"] - 3.0, "static_chamfer_cm": None}
    said = verdicts(full__0=full, full__1=full)
    words = CLAIMS[-1].words
    mean = (1 + 2 + 4) * 0.5 / 3
    for score in ("end point, cm", "displacement, cm"):  # both start from the true frame 0
        assert said[words, score].startswith(f"not shown: {mean / 2:.3g} [")
    assert said[words, "PSNR, dB"] == "**yes**: +3 [+3, +3], 2 trainings each"
    assert (words, "Chamfer, m") not in said


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.against], ids=lambda claim: claim.words)
def test_a_claim_compares_variants_that_differ_in_what_it_is_about(claim):
    ours, other = vars(claim.ours.switches), vars(claim.against.switches)
    assert ours != other and all(column in ABLATION_COLUMNS for column in claim.columns)
