"""`syncmv4d evaluate --sheet`: the scenes that are shown are the best and the worst, as they were scored."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from syncmv4d_cli.contact_sheet import wrapped
from syncmv4d_cli.main import main
from syncmv4d_cli.scene_sheet import draw_scenes, draw_sheet, rank_scenes
from syncmv4d_model.data.sequence import write_sequence
from syncmv4d_model.evaluation.case import Case
from tests.model.known_error import scored_split
from tests.model.scene_folders import perfect_prediction, small_sequence
from tests.model.tiny_model import tiny_checkpoint, tiny_sequence


def rows(*errors):
    return [
        {"task": f"task {index}", "end_point_error_cm": error, "static_end_point_error_cm": still}
        for index, (error, still) in enumerate(errors)
    ]


RANKED = rows((3, 10), (1, 10), (9, 10), (None, None), (2, 1), (5, 10))


@pytest.mark.parametrize(
    ("count", "indices", "best"),
    [(10, [1, 0, 5, 2, 4], 3), (5, [1, 0, 5, 2, 4], 3), (4, [1, 0, 2, 4], 2), (3, [1, 0, 4], 2), (1, [1], 1)],
)
def test_scenes_are_ranked_by_their_error_over_statics(count, indices, best):
    scenes = rank_scenes(RANKED, count)
    assert [scene.index for scene in scenes] == indices
    assert [scene.best for scene in scenes] == [True] * best + [False] * (len(indices) - best)
    assert [scene.ratio for scene in scenes] == sorted(scene.ratio for scene in scenes)
    assert {scene.of for scene in scenes} == {5} and scenes[0].place == 1


def test_without_any_error_there_is_nothing_to_rank():
    with pytest.raises(ValueError, match="no scene has an end-point error"):
        rank_scenes(rows((None, None), (1, None)), 10)


def test_a_perfect_prediction_is_drawn_as_the_truth_and_a_wrong_one_is_not():
    truth = small_sequence()
    scenes = rank_scenes(rows((1, 10)), 1)

    def tiles(prediction):
        page = np.asarray(draw_scenes(scenes, [Case(truth, samples=(prediction,))], title="t", subtitle="s"))
        width = (page.shape[1] - 2 * 18 - 30 + 8) // 5
        row = page[-18 - 192 : -18, 18 + 30 :]
        return [row[:, column * width : column * width + 192] for column in range(5)]

    _, true_paths, paths, true_end, end = tiles(perfect_prediction(truth))
    assert np.array_equal(true_paths, paths) and np.array_equal(true_end, end)
    assert true_paths.any() and not np.array_equal(true_paths, true_end)


def test_what_is_drawn_is_predicted_from_the_noise_that_was_scored(tmp_path):
    report, predictor, method, folders, scored = scored_split(tmp_path, seed=3)
    report.settings["checkpoint"] = "known error"
    draw_sheet(tmp_path / "sheet.png", report, method, folders, count=3)
    assert predictor.seeds == [scored[scene.index] for scene in rank_scenes(report.rows, 3)]


def test_a_caption_is_wrapped_at_its_room_and_keeps_its_words():
    draw, font = ImageDraw.Draw(Image.new("RGB", (10, 10))), ImageFont.load_default(14)
    text = "use a spoon to stir in a pan, please, and do not spill"
    lines = wrapped(draw, text, font, 120)
    assert len(lines) > 1 and " ".join(lines) == text
    assert all(draw.textlength(line, font=font) <= 120 for line in lines)
    assert draw.textlength(wrapped(draw, "x" * 300, font, 120)[0], font=font) <= 120


def test_the_command_writes_a_sheet_of_what_it_scored(tmp_path, capsys):
    data, checkpoint, _ = tiny_checkpoint(tmp_path)
    asked = ["evaluate", "--data", str(data), "--split", "train", "--limit", "3", "--checkpoint", str(checkpoint)]
    assert main([*asked, "--sheet", str(tmp_path / "sheet.png"), "--sheet-scenes", "2"]) == 0
    assert "sheet: " in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 2 * 192 and sheet.width > 5 * 192


def test_scores_without_a_scene_to_rank_are_written_all_the_same(tmp_path, capsys):
    data, checkpoint, _ = tiny_checkpoint(tmp_path)
    moving = tiny_sequence(0)
    still = replace(moving, positions=np.repeat(moving.positions[:, :1], moving.positions.shape[1], 1))
    write_sequence(data / "still" / "a", still)
    asked = ["evaluate", "--data", str(data), "--split", "still", "--checkpoint", str(checkpoint)]
    written = ["--sheet", str(tmp_path / "sheet.png"), "--json", str(tmp_path / "report.json")]
    assert main([*asked, *written]) == 0
    assert "no sheet: no scene has an end-point error to rank it by" in capsys.readouterr().out
    assert (tmp_path / "report.json").is_file() and not (tmp_path / "sheet.png").exists()


MISASKED = {
    "not a picture": (("--sheet", "x.jpg"), "--sheet must end in .png, got x.jpg"),
    "no model": (("--sheet", "x.png", "--baselines-only"), "--sheet shows what a model predicts"),
    "no sheet": (("--sheet-scenes", "3"), "--sheet-scenes is of --sheet, which is not asked for"),
    "no scenes": (("--sheet", "x.png", "--sheet-scenes", "0"), "--sheet-scenes must be at least 1, got 0"),
}


@pytest.mark.parametrize(("words", "message"), MISASKED.values(), ids=MISASKED.keys())
def test_a_sheet_that_cannot_be_drawn_is_refused_before_any_work(tmp_path, capsys, words, message):
    assert main(["evaluate", "--data", str(tmp_path), "--split", "test_1", *words]) == 2
    assert message in capsys.readouterr().err
