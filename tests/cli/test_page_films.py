"""The videos of an evaluation's page: what they show, how large they are, and where there are none."""

import io
import json

import av
import numpy as np
import pytest

from syncmv4d_cli.main import main
from syncmv4d_cli.page_films import GAP_PX, QUALITIES, TILE_PX, draw_panels, encode_within, films_of, panels_of
from syncmv4d_cli.preview import HOLD_FRAMES
from syncmv4d_cli.scene_sheet import rank_scenes
from syncmv4d_model.data.video import encode_video
from syncmv4d_model.evaluation.case import Case
from syncmv4d_model.evaluation.pages.report import html_page
from tests.model.known_error import scored_split
from tests.model.scene_folders import perfect_prediction, small_sequence
from tests.model.tiny_model import tiny_checkpoint

STEP = TILE_PX + GAP_PX


def columns(frames):
    return [frames[:, :, x : x + TILE_PX] for x in range(0, frames.shape[2], STEP)]


def test_a_perfect_prediction_looks_as_the_truth_and_the_guess_stays_still():
    truth = small_sequence()
    panels = panels_of(Case(truth, samples=(perfect_prediction(truth),)))
    assert [name for name, *_ in panels] == ["truth", "generated", "nothing moves"]
    frames = draw_panels(panels, ["", "", ""])
    assert frames.shape == (5 + HOLD_FRAMES, 3 * STEP - GAP_PX, 3 * STEP - GAP_PX, 3)
    true, generated, still = columns(frames)
    assert np.array_equal(true, generated) and not np.array_equal(true[0], true[4])
    assert np.array_equal(true[0], still[0])
    difference = np.abs(still[0].astype(int) - still[4]).mean()
    assert difference < 3  # only points that are hidden for a while change their look
    assert (frames[5:] == frames[4]).all()


def test_the_text_mean_is_shown_instead_of_standing_still_where_there_is_one():
    truth = small_sequence()
    panels = panels_of(Case(truth, samples=(perfect_prediction(truth),), text_mean_tracks=truth.positions))
    assert [name for name, *_ in panels] == ["truth", "generated", "text mean"]
    assert np.array_equal(panels[2][2][0].pixels, panels[0][2][0].pixels)


def test_films_are_of_the_scored_noise_best_first_and_named_in_the_page(tmp_path):
    report, predictor, method, folders, scored = scored_split(tmp_path, seed=3)
    films = films_of(report, method, folders, count=1)
    ranked = rank_scenes(report.rows, 2)
    assert predictor.seeds == [scored[scene.index] for scene in ranked]
    assert [(film.index, film.best) for film in films] == [(scene.index, scene.best) for scene in ranked]
    page = html_page(report, films)
    assert page.count("data:video/mp4;base64,") == 2
    for film in films:
        name = report.rows[film.index]["sequence"]
        assert f'id="film-{name}"' in page and f'<a href="#film-{name}"' in page


def test_a_video_is_made_as_coarse_as_its_room_demands_and_is_h264():
    frames = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
    sizes = [len(encode_video(frames, frame_period_s=0.1, crf=crf)) for crf in QUALITIES]
    assert sizes == sorted(sizes, reverse=True)
    for most, expected in ((10**9, sizes[0]), (sizes[1], sizes[1]), (10, sizes[-1])):
        assert len(encode_within(frames, frame_period_s=0.1, most_bytes=most)) == expected
    with av.open(io.BytesIO(encode_within(frames, frame_period_s=0.1, most_bytes=10**9))) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_the_command_shows_all_there_are_of_three_and_three_and_none_where_none_is_asked_for(tmp_path):
    data, checkpoint, _ = tiny_checkpoint(tmp_path)
    page = tmp_path / "page.html"
    asked = ["evaluate", "--data", str(data), "--split", "train", "--limit", "3", "--checkpoint", str(checkpoint)]
    for given, there in (([], 3), (["--html-videos", "0"], 0)):
        assert main([*asked, "--html", str(page), "--json", str(tmp_path / "report.json"), *given]) == 0
        assert page.read_text().count("data:video/mp4;base64,") == there
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert len(rows) == 3 and len(rows[0]["reliability"]["count"]) == 13


MISASKED = {
    "no page": (("--html-videos", "2"), "--html-videos is of --html, which is not asked for"),
    "of a bag": (
        ("--bag", "x", "--html", "x.html", "--html-videos", "2"),
        "--html-videos is of a data set, not of --bag x",
    ),
    "no model": (
        ("--html", "x.html", "--html-videos", "2", "--baselines-only"),
        "--html-videos shows what a model predicts, and --baselines-only runs none",
    ),
    "less than none": (("--html", "x.html", "--html-videos", "-1"), "--html-videos must be at least 0, got -1"),
}


@pytest.mark.parametrize(("words", "message"), MISASKED.values(), ids=MISASKED.keys())
def test_videos_that_cannot_be_shown_are_refused_before_any_work(tmp_path, capsys, words, message):
    source = [] if "--bag" in words else ["--data", str(tmp_path), "--split", "test_1"]
    assert main(["evaluate", *source, *words]) == 2
    assert message in capsys.readouterr().err
