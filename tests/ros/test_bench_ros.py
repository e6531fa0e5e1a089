"""`syncmv4d bench ros`: it runs whole over real DDS, and its stand-in for the model is an engine like any other."""

import json
import subprocess
import sys

import numpy as np
import pytest

from syncmv4d_cli.main import main
from syncmv4d_cli.ros_figures import Figure
from syncmv4d_cli.ros_measurements import growth_percent
from syncmv4d_ros.engine import Cancelled, Engine
from syncmv4d_ros.hand_planning import hand_trajectory
from syncmv4d_ros.planning import body_trajectories, flattened
from syncmv4d_ros.stand_in import StandIn, told_stand_in
from tests.ros.dds import ROOT, require_ros
from tests.ros.trivial_engine import TrivialEngine, observation_for

TINY = [
    "--seconds", "0.5", "--rate", "20", "--requests", "20", "--results", "2", "--frames", "4", "--points", "40", "--size", "64", "48",
]  # fmt: skip


def test_every_part_is_measured_over_dds(ros_domain, tmp_path):
    require_ros()
    out = tmp_path / "made" / "ros.json"
    command = [sys.executable, "-m", "syncmv4d_cli.main", "bench", "ros", *TINY, "--save-json", str(out)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    written = json.loads(out.read_text())
    figures = {(each["part"], each["name"]): each for each in written["figures"]}
    assert {part for part, _ in figures} == {"transport", "node", "work", "publish", "cancel", "memory"}
    assert figures["cancel", "denoising steps after a cancel"]["met"]
    assert figures["memory", "replaced by a newer request"]["median"] <= 2
    stages = [each["median"] for (part, _), each in figures.items() if part == "publish"]
    assert all(np.isfinite(stages)) and stages[0] < stages[-1]  # tracks are out before everything is
    assert written["options"]["rate"] == 20 and "asked" in run.stdout


def test_a_field_that_the_stand_in_does_not_have_is_named():
    assert told_stand_in(["height=48", "step_s=0.5", "name=other"]) == StandIn(height=48, step_s=0.5, name="other")
    with pytest.raises(ValueError, match="'colour' is none of height, width"):
        told_stand_in(["colour=red"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--requests", "3"], "--requests must be at least 20, got 3"),
        (["--seconds", "nan"], "--seconds must be at least 0.1, got nan"),
        (["--size", "64", "47"], "--size must be even numbers of pixels, got 64 47"),
    ],
)
def test_options_that_make_no_figure_are_refused(capsys, options, message):
    assert main(["bench", "ros", *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("judged", "asked", "met"), [("median", 2.0, True), ("p95", 2.0, False), ("p95", None, None)])
def test_a_figure_is_met_by_the_value_that_is_judged(judged, asked, met):
    assert Figure("part", "name", "ms", median=1.0, p95=3.0, judged=judged, asked=asked).met is met


def test_growth_sees_a_leak_and_not_what_is_just_on_its_way():
    def growth(memory):
        return growth_percent([(count, memory(count)) for count in range(1, 1001)])

    assert growth(lambda count: 200 + 10 * (count % 3 == 0)) == 0
    assert growth(lambda count: 200 + 10 * (count == 100) - 10 * (count == 1000)) == 0
    assert growth(lambda count: 200 + 0.005 * count) == pytest.approx(2.0, abs=0.05)
    assert growth(lambda count: min(count, 100)) == 0 and growth(lambda count: min(count, 500)) > 100


def generate(engine, *, cancelled=lambda: False, steps=None):
    observation = observation_for(TrivialEngine(height=engine.height, width=engine.width))
    reported = []
    prediction = engine.generate(
        observation, seed=3, steps=steps, progress=lambda *at: reported.append(at), cancelled=cancelled
    )
    return prediction, reported


def test_the_stand_in_moves_a_hand_and_a_tool_that_planners_can_follow():
    engine = StandIn(num_frames=6, num_points=800)
    assert isinstance(engine, Engine)
    prediction, reported = generate(engine, steps=3)
    assert reported == [(1, 3), (2, 3), (3, 3)] and prediction.video.shape == (3, 6, 112, 112, 3)
    points = flattened(
        prediction.tracks,
        prediction.visible,
        prediction.stddev,
        prediction.label,
        frame_period_s=prediction.frame_period_s,
    )
    tool, target = body_trajectories(points)
    assert tool.rotation_valid.all() and target.valid.all()
    assert np.linalg.norm(tool.poses[-1, :3, 3] - tool.poses[0, :3, 3]) > 0.1
    assert np.linalg.norm(target.poses[-1, :3, 3] - target.poses[0, :3, 3]) < 0.005
    hand = hand_trajectory(points)
    assert hand.wrist is not None and hand.fingertips
    assert np.array_equal(generate(engine)[0].tracks, prediction.tracks)


def test_the_stand_in_heeds_a_cancel_and_refuses_what_an_engine_refuses():
    asked = iter([False, False, True])
    with pytest.raises(Cancelled, match="before step 3 of 4"):
        generate(StandIn(), cancelled=lambda: next(asked))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        generate(StandIn(), steps=0)
    with pytest.raises(ValueError, match="stand-in takes 1 to 2 views, got 3"):
        generate(StandIn(max_views=2))
