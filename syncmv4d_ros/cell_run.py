"""One run of the simulated cell over DDS: cameras, generator and followers in processes of their own, asked once and recorded."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_model.data.rig import Rig, read_rig
from syncmv4d_ros.cell_client import OUTCOME, TRUTH, TRUTH_OUTCOME, CellClient, Progress
from syncmv4d_ros.conversions import read_image
from syncmv4d_ros.node_processes import NodeCommand, NodeProcesses
from syncmv4d_ros.private_domain import private_domain, shared_memory
from syncmv4d_ros.recorder import Recorder, record_rig
from syncmv4d_ros.track_messages import ReceivedTracks, read_point_tracks

RIG_FILE, BAG, LOGS, FILM, TRUTH_FILM = "rig.yaml", "bag", "logs", "executed", "executed_truth"
RATE_HZ = 8.0  # of the cameras: the frame rate of the simulator's sequences
TRUTH_PERIOD_S = 2.0
PATIENCE_S = 180.0
"""How long nothing may be heard."""
NUM_PROCESSES = 5


@dataclass(frozen=True)
class CellNodes:
    """The nodes of a run, as they are started. `cell` are parameters of syncmv4d_ros.cell.CellParameters."""

    cell: Mapping[str, object]
    engine: str = "eager"
    checkpoint: str = ""
    generator_module: str = "syncmv4d_ros.generator_node"
    follower_module: str = "syncmv4d_ros.plan_follower_node"

    def cameras(self, out: Path) -> NodeCommand:
        told = {"rate_hz": RATE_HZ, "truth_period_s": TRUTH_PERIOD_S, "rig_file": str(out / RIG_FILE)}
        return NodeCommand("sim_camera", "syncmv4d_ros.sim_camera_node", {**self.cell, **told})

    def followers(self, out: Path) -> tuple[NodeCommand, NodeCommand]:
        """Of the generated plan, and of the truth's."""
        generated = {**self.cell, "film_dir": str(out / FILM)}
        truth = {**self.cell, "film_dir": str(out / TRUTH_FILM), "follow": "tracks", "exit_after": 1}
        topics = {"tracks": TRUTH, OUTCOME: TRUTH_OUTCOME}
        return (
            NodeCommand("plan_follower", self.follower_module, generated),
            NodeCommand("truth_follower", self.follower_module, truth, topics, leaves=True),
        )

    def generator(self, out: Path, cameras: tuple[str, ...]) -> NodeCommand:
        patient = {"max_age_s": 5.0, "image_wait_s": 10.0}  # several processes start at once
        told = {"cameras": list(cameras), "rig_files": [str(out / RIG_FILE)], "engine": self.engine, **patient}
        return NodeCommand("syncmv4d", self.generator_module, {**told, "checkpoint": self.checkpoint})


@dataclass(frozen=True)
class CellRun:
    """What a run leaves, without ROS. Views in the order of `rig`."""

    task: str
    engine: str
    seed: int
    rig: Rig  # of the cell's cameras
    images: list[UInt8[np.ndarray, "_ _ 3"]]  # what they saw when the plan was there
    tracks: ReceivedTracks
    videos: list[bytes]  # MP4
    video_intrinsics: Float[np.ndarray, "V 3 3"]  # px of the videos
    video_sizes: tuple[tuple[int, int], ...]  # (width, height), px
    truth: ReceivedTracks
    outcome: dict[str, Any]
    truth_outcome: dict[str, Any]
    bag: Path
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def run_cell(
    nodes: CellNodes | None, out: Path, *, seed: int, steps: int, progress: Progress, patience_s: float = PATIENCE_S
) -> CellRun:
    """Start the nodes in a private domain (None: they run already in this one), ask for a plan, and wait for its outcome.

    Leaves rig.yaml, the bag, films and logs in `out`; what an earlier run left of them goes. Whatever happens, no process is left.
    ChildProcessError when a node dies, TimeoutError when nothing is heard for patience_s, ValueError when there is no plan;
    each with the node's last lines.
    """
    for folder in (BAG,) if nodes is None else (BAG, FILM, TRUTH_FILM):
        shutil.rmtree(out / folder, ignore_errors=True)
    with _domain(nodes) as (environment, warnings), Recorder(out / BAG, zstd=True) as recorder:
        processes = NodeProcesses(out / LOGS, environment)
        with processes, _client(recorder, processes, patience_s, progress) as client:
            return _asked(client, recorder, processes, nodes=nodes, out=out, seed=seed, steps=steps, warnings=warnings)


def _asked(
    client: CellClient,
    recorder: Recorder,
    processes: NodeProcesses,
    *,
    nodes: CellNodes | None,
    out: Path,
    seed: int,
    steps: int,
    warnings: tuple[str, ...],
) -> CellRun:
    started = time.monotonic()
    if nodes is not None:
        (out / RIG_FILE).unlink(missing_ok=True)
        for command in (nodes.cameras(out), *nodes.followers(out)):
            processes.start(command)
    client.until(lambda: client.newest(TRUTH) is not None, what="the scene", node="sim_camera")
    rig = read_rig(out / RIG_FILE)  # written before the truth was published
    client.hear_cameras(rig.view_names)
    if nodes is not None:
        processes.start(nodes.generator(out, rig.view_names))
    if not client.hear_transforms():  # the recorder's own message then, so that the bag tells where its cameras stand
        poses = dict(zip(rig.view_names, rig.camera_from_world, strict=True))
        record_rig(recorder, poses, client.now_ns())
    client.ready(rig.view_names)
    ready = time.monotonic()
    truth = read_point_tracks(client.newest(TRUTH))
    result = client.ask(truth.task, seed=seed, steps=steps)
    planned, images = time.monotonic(), [read_image(client.newest(f"{name}/image")) for name in rig.view_names]
    client.until(lambda: client.outcome(OUTCOME, result.plan_id), what="the outcome", node="plan_follower")
    client.until(lambda: client.outcome(TRUTH_OUTCOME), what="the truth's outcome", node="truth_follower")
    published = ("tracks", "trajectories", "videos")  # the bag is whole with them
    client.until(lambda: all(client.newest(topic) for topic in published), what="the plan's topics", node="syncmv4d")
    videos = {video.camera: video for video in result.videos.videos}
    return CellRun(
        task=truth.task,
        engine=client.engine(),
        seed=seed,
        rig=rig,
        images=images,
        tracks=read_point_tracks(result.tracks),
        videos=[bytes(videos[name].data) for name in rig.view_names],
        video_intrinsics=np.stack([np.asarray(videos[name].k, float).reshape(3, 3) for name in rig.view_names]),
        video_sizes=tuple((videos[name].width, videos[name].height) for name in rig.view_names),
        truth=truth,
        outcome=client.outcome(OUTCOME) or {},
        truth_outcome=client.outcome(TRUTH_OUTCOME) or {},
        bag=out / BAG,
        warnings=warnings,
        seconds={"start": ready - started, "plan": planned - ready, "execute": time.monotonic() - planned},
    )


@contextmanager
def _domain(nodes: CellNodes | None) -> Iterator[tuple[dict[str, str], tuple[str, ...]]]:
    """Environment of the nodes, which this process has too while the block runs, and what is worth knowing about it."""
    if nodes is None:
        yield {}, ()
        return
    with private_domain() as domain:
        profile, why_not = shared_memory(NUM_PROCESSES)
        before = {name: os.environ.get(name) for name in (*domain, *profile)}
        os.environ.update(domain | profile)
        try:
            yield domain | profile, (f"images go by UDP: {why_not}",) if why_not else ()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def _client(
    recorder: Recorder, processes: NodeProcesses, patience_s: float, progress: Progress
) -> Iterator[CellClient]:
    client = CellClient(recorder, processes, patience_s=patience_s, progress=progress)
    try:
        yield client
    finally:
        client.close()
