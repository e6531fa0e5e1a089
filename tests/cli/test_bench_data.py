"""`syncmv4d bench data`: the figures of a data set whose content is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from syncmv4d_cli.main import main
from syncmv4d_model.data.sequence import Truths, write_sequence
from syncmv4d_model.evaluation.data_facts import millimetres_per_pixel, text_mean_ratio, thin_points
from tests.model.framed_scenes import FOCAL, SIZE, framed_scene
from tests.model.sliding_points import K, sliding_sequence

COUNT = 24


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for seed in range(COUNT):
        sequence = framed_scene(seed, knows_future=True, views=2 + seed % 2)
        sequence = replace(sequence, tags=("closed",) if seed % 3 else ("open", "mid_action"))
        futures = np.zeros((2, *sequence.positions.shape), np.float16)
        write_sequence(folder / "train" / sequence.name, sequence, Truths(futures_m=futures))
    return folder


def test_the_command_prints_and_writes_the_figures_of_a_split(data, tmp_path, capsys):
    asked = ["bench", "data", "--data", str(data), "--split", "train", "--json", str(tmp_path / "figures.json")]
    assert main(asked) == 0
    shown, figures = capsys.readouterr().out, json.loads((tmp_path / "figures.json").read_text())
    assert "leak" in shown and "text mean over static, world axes" in shown and "mid_action 8" in shown
    assert figures["by_tag"] == {"closed": 16, "mid_action": 8, "open": 8}
    assert figures["by_views"] == {"2": 12, "3": 12}
    assert [(leak["known"], leak["scenes"]) for leak in figures["leak"][:2]] == [
        ("tool_target", COUNT), ("tool_target_hand", COUNT),
    ]  # fmt: skip
    whole, windows = (
        next(leak for leak in figures["leak"] if leak["rays"] == rays) for rays in ("image_centres", "window_centres")
    )
    assert whole["r2_with_rays"] == pytest.approx(windows["r2_with_rays"], abs=1e-6)  # the windows are the whole images
    assert figures["text_mean_over_static"]["world"]["scenes"] == 16
    weight = sum(path.stat().st_size for path in (data / "train").rglob("*") if path.is_file())
    assert sum(figures["bytes_a_sequence"].values()) == pytest.approx(weight / COUNT, abs=5)
    assert {"first images", "videos", "futures", "tracks", "others"} == set(figures["bytes_a_sequence"])
    assert figures["mm_a_pixel"]["windows"] == pytest.approx(figures["mm_a_pixel"]["whole_images"])
    again = tmp_path / "again.json"
    assert main([*asked[:-1], str(again)]) == 0
    assert again.read_bytes() == (tmp_path / "figures.json").read_bytes()


def test_too_few_sequences_are_refused(data, capsys):
    assert main(["bench", "data", "--data", str(data), "--limit", "5"]) == 2
    assert "a regression needs at least 20 scenes with tool and target, got 5" in capsys.readouterr().err


def test_a_pixel_of_a_window_is_as_large_as_depth_and_focal_length_say():
    sequence = framed_scene(0, knows_future=False)
    depth = (sequence.positions[:, 0] @ np.swapaxes(sequence.camera_from_world[:, :3, :3], 1, 2))[..., 2]
    depth = np.median(depth + sequence.camera_from_world[:, 2:3, 3], axis=1)
    np.testing.assert_allclose(millimetres_per_pixel(sequence, sequence.intrinsics), 1e3 * depth / FOCAL, rtol=1e-5)
    assert sequence.video.shape[2:4] == (SIZE, SIZE)


def test_the_text_mean_of_a_sequence_is_made_of_the_others():
    made = [sliding_sequence(name, speed_m=speed) for name, speed in (("a", 0.02), ("b", 0.04))]
    ratio, scenes = text_mean_ratio(made, {"a": 0, "b": 1})
    still = (0.02 + 0.04) / (0.02 + 0.04)
    assert scenes == 2 and ratio == pytest.approx(still * (0.02 + 0.02) / 0.06, rel=0.05)
    thin = thin_points(made[0], 7)
    assert thin.label.shape == (2, 7) and thin_points(made[0], 1000).label.shape == (2, K)
