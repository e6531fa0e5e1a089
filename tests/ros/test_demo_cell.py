"""`syncmv4d demo --cell` end to end over DDS: what it leaves, and that it leaves no process, whatever goes wrong."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.ros.dds import ROOT, TIMEOUT_S, require_ros
from tests.ros.trivial_cell import FRAMES, NAMES, open_cell
from tests.ros.trivial_demo import SCENE

require_ros()
pytest.importorskip("rosbags", reason="rosbags is not installed here: pip install '.[eval]'")

from syncmv4d_model.data.video import read_video  # noqa: E402
from syncmv4d_model.results import read_tracks  # noqa: E402
from syncmv4d_ros.bag import Bag  # noqa: E402
from syncmv4d_ros.recording import Recording  # noqa: E402

WHOLE_RUN_S = 5 * TIMEOUT_S
CELL = open_cell(split="test_1", scene=SCENE, seed=1, height=48, width=64)


def demo(out, *changed):
    command = [sys.executable, "-m", "tests.ros.trivial_demo", str(out), *changed]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def nodes_of(out):
    """Process ids of the nodes that were started with files in a folder, by node."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        names = [word.partition(":=")[2] for word in words if word.startswith("__node:=")]
        if names and any(str(out) in word for word in words):
            found[names[0]] = int(path.parent.name)
    return found


def until(reached, process):
    """Wait for something while a process runs; its own end is a failure."""
    end = time.monotonic() + TIMEOUT_S
    while not (found := reached()):
        assert time.monotonic() < end, "it never happened"
        assert process.poll() is None, process.communicate()[1]
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, what was printed) of a run that went well."""
    out = tmp_path_factory.mktemp("demo") / "cell"
    (out / "bag").mkdir(parents=True)  # of an earlier run
    process = demo(out)
    printed, errors = process.communicate(timeout=WHOLE_RUN_S)
    logs = "\n".join(path.read_text() for path in sorted((out / "logs").glob("*.log")))
    assert process.returncode == 0, f"{printed}\n{errors}\n{logs}"
    assert nodes_of(out) == {}
    return out, printed


def test_it_leaves_the_videos_and_tracks_of_the_file_contract(run):
    tracks = read_tracks(run[0] / "tracks.npz")
    assert (tracks.task, tracks.seed, tracks.checkpoint) == (CELL.sequence.task, 1, "trivial")
    assert tracks.positions.shape == (2, 5, 8, 3) and tracks.frame_period_s == 0.125
    np.testing.assert_allclose(np.diff(tracks.positions[..., 2], axis=1), 0.01, atol=1e-6)
    np.testing.assert_allclose(tracks.camera_from_world, CELL.sequence.camera_from_world, atol=1e-9)
    assert tracks.intrinsics.shape == (2, 3, 3) and tracks.video_size.tolist() == [[64, 48]] * 2
    for view, name in enumerate(NAMES):
        video = read_video(run[0] / f"{name}.mp4").astype(int)
        assert video.shape == (5, 48, 64, 3)
        assert np.abs(video - CELL.sequence.video[view, 0]).mean() < 60, "the engine holds the camera's noise still"


def test_it_tells_what_came_of_the_plan_and_of_the_truth(run):
    told = json.loads((run[0] / "outcome.json").read_text())
    assert told["this_plan"]["reason"] == "the box went elsewhere"
    assert told["true_plan"]["success"] and told["true_plan"]["error_m"] < 1e-3
    assert "generated plan: not done, the box went elsewhere; the true plan in the same cell: done" in run[1]
    for folder in ("executed", "executed_truth"):
        assert read_video(run[0] / folder / "left.mp4").shape == (FRAMES, 48, 64, 3)


def test_its_page_needs_no_other_file_and_says_what_failed(run):
    page = (run[0] / "report.html").read_text()
    assert "src=" in page and page.count("src=") == page.count('src="data:')
    assert "not done, the box went elsewhere" in page and "what failed is the generated plan, not the cell" in page
    assert read_video(run[0] / "preview.mp4").shape[0] > 5
    assert (run[0] / "preview.png").read_bytes().startswith(b"\x89PNG")


def test_its_bag_is_one_task_with_synchronised_images_and_their_truth(run):
    with Recording(run[0] / "bag") as recording:
        (request,) = recording.requests
        images, _ = recording.images(request, count=5, period_s=0.125)
    assert request.task == CELL.sequence.task
    assert request.truth is not None, request.why_no_truth
    np.testing.assert_array_equal(request.truth.positions, CELL.sequence.positions)
    assert any(all(image is not None for image in row) for row in images[1:]), "the cameras went on"
    for frame, row in enumerate(images):
        for view, name in enumerate(recording.rig.view_names):
            if frame == 0 or row[view] is not None:  # a camera may be late where other work has the machine
                np.testing.assert_array_equal(row[view], CELL.sequence.video[NAMES.index(name), 0])
    with Bag(run[0] / "bag") as bag:
        assert all(
            bag.counts[f"/{topic}"] for topic in ("tracks", "trajectories", "videos", "outcome", "truth/outcome")
        )
        (plan,) = (message for _, _, message in bag.messages(["/tracks"]))
        assert plan.plan_id == json.loads((run[0] / "outcome.json").read_text())["this_plan"]["plan_id"]


def test_its_bag_is_evaluated_where_torch_is_and_else_the_page_says_how(run):
    page = (run[0] / "report.html").read_text()
    if importlib.util.find_spec("torch") is None:
        assert "Not evaluated: torch is not installed here; where it is: syncmv4d evaluate --bag" in page
        return
    scored = json.loads((run[0] / "evaluation.json").read_text())
    assert scored["bag"]["tasks"] == 1 and scored["rows"][0]["task"] == CELL.sequence.task
    assert scored["rows"][0]["why_no_truth"] is not None, "the trivial truth has another frame rate"
    assert "syncmv4d evaluate --bag bag asked the checkpoint again" in page


def test_a_generator_that_cannot_start_ends_the_demo_with_its_reason_and_no_process(tmp_path):
    process = demo(tmp_path, "generator_module=syncmv4d_ros.generator_node", "checkpoint=/nowhere")
    _, errors = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 2 and "Traceback" not in errors
    assert "syncmv4d ended with status 1. Its last lines" in errors and "cannot configure" in errors
    assert nodes_of(tmp_path) == {} and not (tmp_path / "bag").exists()


NEVER = "cell=tests.ros.trivial_cell:open_never"


def test_a_node_that_is_killed_ends_the_demo_with_its_name_and_no_process(tmp_path):
    process = demo(tmp_path, NEVER, "patience_s=600")
    os.kill(until(lambda: nodes_of(tmp_path).get("plan_follower"), process), signal.SIGKILL)
    _, errors = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 2 and "plan_follower was ended by signal 9" in errors
    assert nodes_of(tmp_path) == {}


def test_a_scene_that_never_comes_ends_the_demo_with_what_it_waited_for(tmp_path):
    process = demo(tmp_path, NEVER, "patience_s=5")
    _, errors = process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 2 and "waited 5 s in vain for the scene, of the node sim_camera" in errors
    assert nodes_of(tmp_path) == {}


def test_a_demo_that_is_ended_from_outside_ends_its_nodes(tmp_path):
    process = demo(tmp_path, NEVER, "patience_s=600")
    until(lambda: len(nodes_of(tmp_path)) == 3, process)
    process.terminate()
    process.communicate(timeout=WHOLE_RUN_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert nodes_of(tmp_path) == {} and not (tmp_path / "bag").exists()
