"""`syncmv4d train curves`: what is drawn is what was logged, and a damaged log is said to be one."""

import json

import pytest
from PIL import Image

from syncmv4d_cli.main import main
from syncmv4d_cli.train_curves import Series, by_stage, draw, read_log


def losses(stage, step, **terms):
    return {"stage": stage, "step": step, **terms, "gradient_norm": 1.0, "seconds_per_step": 0.1}


LOG = [
    losses("motion_prior", 20, motion=0.5, depth_scale=0.1),
    {"stage": "motion_prior", "step": 40, "validation_motion_t1": 0.7, "validation_video_t0.8": 0.9},
    losses("motion_prior", 40, motion=0.4, depth_scale=0.2),
    losses("rollouts", 20, velocity=0.3),
    losses("rollouts", 20, velocity=0.25),  # a killed run does its last steps again
    {"stage": "rollouts", "step": 30, "validation_motion_t1": 0.6, "displacement_ratio": 0.45, "end_point_ratio": None},
]


def write_log(folder, lines, *, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + end)
    return folder


def test_stages_follow_each_other_and_a_step_done_twice_counts_as_the_last_time():
    prior, rollouts = by_stage(LOG)
    assert [(stage.name, stage.first, stage.last) for stage in (prior, rollouts)] == [
        ("motion_prior", 0, 40),
        ("rollouts", 40, 70),
    ]
    assert prior.losses == ["motion", "depth_scale"] and rollouts.losses == ["velocity"]
    assert prior.series("motion") == Series([20, 40], [0.5, 0.4])
    assert rollouts.series("velocity") == Series([60], [0.25])
    assert rollouts.series("validation_motion_t1") == Series([70], [0.6])
    assert rollouts.series("end_point_ratio") is None  # null: it was no number


def test_the_picture_has_every_series_in_its_stages_column_with_titles_and_legends():
    figure = draw(by_stage(LOG), title="a run")
    panels = figure.get_axes()
    assert [panel.get_title() for panel in panels[:2]] == ["1  motion_prior\n40 steps", "2  rollouts\n30 steps"]
    drawn = [
        {
            line.get_label(): list(zip(*line.get_data(), strict=True))
            for line in panel.lines
            if line.get_label()[0] != "_"
        }
        for panel in panels
    ]
    assert drawn == [
        {"motion, t = 1": [(40, 0.7)], "video, t = 0.8": [(40, 0.9)]},
        {"motion, t = 1": [(70, 0.6)]},
        {},
        {"displacement error": [(70, 0.45)]},
        {"motion": [(20, 0.5), (40, 0.4)], "depth scale": [(20, 0.1), (40, 0.2)]},
        {"velocity": [(60, 0.25)]},
    ]
    assert all(panel.get_ylabel() for panel in panels[::2])
    assert {text.get_text() for text in panels[1].get_legend().get_texts()} == {"motion, t = 1", "video, t = 0.8"}
    assert "step" in figure.get_supxlabel()


def test_without_sampled_tracks_there_is_no_row_for_them():
    assert len(draw(by_stage(LOG[:3]), title="a run").get_axes()) == 2


def test_the_command_writes_a_picture_beside_the_log_or_where_it_is_told(tmp_path, capsys):
    run = write_log(tmp_path / "run", LOG)
    assert main(["train", "curves", str(run)]) == 0
    assert main(["train", "curves", str(run), "--out", str(tmp_path / "deep" / "mine.png")]) == 0
    for path in (run / "curves.png", tmp_path / "deep" / "mine.png"):
        assert f"curves: {path}" in capsys.readouterr().out.replace("\n", "") or path.is_file()
        with Image.open(path) as picture:
            assert picture.format == "PNG" and min(picture.size) > 300


def test_a_line_that_a_killed_run_left_damaged_is_left_out_and_named(tmp_path, capsys):
    run = write_log(tmp_path / "run", LOG, end='{"stage": "rollouts", "st')
    assert read_log(run / "log.jsonl") == (LOG, [7])
    with (run / "log.jsonl").open("a") as file:  # the next slice writes on behind it
        file.write('{"stage": "heads", "step": 20}\n{"stage": "heads", "step": 40, "label": 0.2}\n')
    lines, damaged = read_log(run / "log.jsonl")
    assert (len(lines), damaged) == (7, [7])
    assert main(["train", "curves", str(run)]) == 0
    assert "left out: damaged line 7 of" in capsys.readouterr().out


NOTHING = {
    "empty": (b"", "holds no line of a run (0 damaged)"),
    "no log": (b"\x89PNG\r\n\x00\xff", "holds no line of a run (2 damaged)"),
    "other JSON": (b'[1]\n{"a": 1}\n{"stage": 1, "step": 2}\n', "holds no line of a run (3 damaged)"),
}


@pytest.mark.parametrize(("content", "message"), NOTHING.values(), ids=NOTHING.keys())
def test_a_log_of_nothing_is_refused(tmp_path, capsys, content, message):
    (tmp_path / "log.jsonl").write_bytes(content)
    assert main(["train", "curves", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_folder_without_a_log_and_a_picture_that_is_none_are_refused(tmp_path, capsys):
    assert main(["train", "curves", str(tmp_path)]) == 2
    assert f"no {tmp_path / 'log.jsonl'}: not a run folder" in capsys.readouterr().err
    assert main(["train", "curves", str(write_log(tmp_path, LOG)), "--out", "curves.jpg"]) == 2
    assert "--out must end in .png, got curves.jpg" in capsys.readouterr().err
