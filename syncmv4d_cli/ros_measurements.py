"""The parts of `syncmv4d bench ros`: what is started, what is asked of it, and which figures come of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from syncmv4d_cli.ros_figures import Figure, Ros

CAMERAS = ("left", "centre", "right")
IMAGE_SIZE = (640, 480)
WARM_UP = 15  # sets of images before counting: publishers and subscribers have found each other then
REPLACE_EVERY = 10
CANCEL_STEPS, CANCEL_STEP_S = 200, 0.05
PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
PATIENCE_S = 60.0
POLL_S = 0.1
WORK_ROUNDS = 100
MAX_CORE, MAX_WORK_MS, MAX_PUBLISH_MS, MAX_STEPS_AFTER_CANCEL, MAX_GROWTH_PERCENT = 0.5, 1.0, 50.0, 1, 2.0


@dataclass
class Bench:
    """What the parts share: options, where to show progress, files, and the figures so far."""

    options: Ros
    progress: Progress
    folder: Path  # for this run's own files
    profile: Path  # of Fast DDS, through shared memory
    figures: list[Figure] = field(default_factory=list)
    namespace: str = field(default_factory=lambda: f"/bench_{os.getpid()}")

    def add(self, part: str, name: str, unit: str, values: Any, **asked: Any) -> None:
        """A figure of one or many values."""
        median, p95 = (float(q) for q in np.quantile(np.atleast_1d(np.asarray(values, dtype=float)), [0.5, 0.95]))
        self.figures.append(Figure(part, name, unit, median, p95, **asked))

    def environment(self, *, with_profile: bool = True) -> dict[str, str | None]:
        """Of every process that takes part: this machine only."""
        profile = str(self.profile) if with_profile else None
        return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", PROFILE_VARIABLE: profile}

    @property
    def sets(self) -> int:
        """Sets of images that are sent for one row."""
        return max(round(self.options.seconds * self.options.rate), 1)

    @property
    def period_ms(self) -> float:
        return 1e3 / self.options.rate


def transport(bench: Bench) -> None:
    """Images to a bare subscriber, by profile and quality of service."""
    from syncmv4d_ros.probes import Subscriber
    from syncmv4d_ros.remote import Remote

    rows = [(profile, reliable) for profile in (True, False) for reliable in (True, False)]
    task = bench.progress.add_task("images to a bare subscriber", total=len(rows) * bench.sets)
    for profile, reliable in rows:
        environment = bench.environment(with_profile=profile)
        name = f"{'shared memory' if profile else 'default'}, {'reliable' if reliable else 'best effort'}"
        with (
            Remote(Subscriber, bench.namespace, CAMERAS, reliable, environment=environment) as subscriber,
            cameras(bench, environment, reliable=reliable) as sender,
        ):
            before = settled(partial(subscriber.call, "counts"))
            sender.call("send", bench.sets, bench.options.rate)
            after = settled(partial(subscriber.call, "counts"))
            delays = subscriber.call("delays")
        bench.progress.update(task, advance=bench.sets)
        lost = [bench.sets - (after[camera] - before[camera]) for camera in CAMERAS]
        late = [each for camera in CAMERAS for each in delays[camera][before[camera] :]]
        loss_and_latency(bench, "transport", name, lost, late, asked=profile)


def node_part(bench: Bench) -> None:
    """Images to the generator node that nobody asks anything; its own diagnostics count them."""
    task = bench.progress.add_task("images to the node", total=2)
    for profile in (True, False):
        environment = bench.environment(with_profile=profile)
        with generator(bench, environment) as (pid, client), cameras(bench, environment, reliable=True) as sender:
            before = settled(partial(received, client))
            cpu, started = cpu_seconds(pid), time.monotonic()
            sender.call("send", bench.sets, bench.options.rate)
            share = (cpu_seconds(pid) - cpu) / (time.monotonic() - started)
            after = settled(partial(received, client))
            told = client.call("diagnostics")
        name = f"{'shared memory' if profile else 'default'}, reliable to best effort"
        lost = [bench.sets - (after[camera] - before[camera]) for camera in CAMERAS]
        bench.add(
            "node",
            f"images lost per camera: {name}",
            f"of {bench.sets}",
            lost,
            asked=0 if profile else None,
            judged="p95",
        )
        values = [told[f"camera {camera}"] for camera in CAMERAS]
        median, p95 = (max(float(each[f"delay_{q}_ms"]) for each in values) for q in ("p50", "p95"))
        bench.figures.append(
            Figure(
                "node",
                f"arrival latency, worst camera: {name}",
                "ms",
                median,
                p95,
                "p95",
                bench.period_ms if profile else None,
            )
        )
        bench.add("node", f"idle: {name}", "cores", share, asked=MAX_CORE if profile else None)
        bench.progress.update(task, advance=1)


def work(bench: Bench) -> None:
    """The node's own code per image."""
    from syncmv4d_ros.probes import NodesWork
    from syncmv4d_ros.remote import Remote

    rig_file = str(bench.folder / "rig.yaml")
    with Remote(
        NodesWork, bench.namespace, CAMERAS, IMAGE_SIZE, rig_file, environment=bench.environment()
    ) as nodes_work:
        spent = nodes_work.call("seconds", WORK_ROUNDS)
    both = np.add(spent["store"], spent["convert"])
    bench.add("work", "store, every image", "ms", 1e3 * np.array(spent["store"]))
    bench.add("work", "store and convert, an image that is used", "ms", 1e3 * both, asked=MAX_WORK_MS)
    bench.add("work", "convert, calibrate, check", "ms", 1e3 * np.array(spent["prepare"]))


def publish(bench: Bench) -> None:
    """Full-size results, by the node's own account of their stages."""
    options = bench.options
    full = {
        "num_frames": options.frames,
        "num_points": options.points,
        "width": options.size[0],
        "height": options.size[1],
    }
    stages: dict[str, list[float]] = {}
    task = bench.progress.add_task("full-size results", total=options.results)
    environment = bench.environment()
    with generator(bench, environment, **full) as (_, client), cameras(bench, environment, reliable=True) as sender:
        sender.call("keep_sending", options.rate)
        for count in range(options.results + 1):
            must_succeed(client.call("result"))
            told = client.call("diagnostics")["engine"]
            if count:  # the first is a warm-up
                for name in ("tracks_out", "fit", "encode", "publish", "all_out"):
                    stages.setdefault(name, []).append(1e3 * float(told[f"last_{name}_s"]))
                bench.progress.update(task, advance=1)
    bench.add("publish", "prediction ready -> tracks published", "ms", stages["tracks_out"], asked=MAX_PUBLISH_MS)
    bench.add("publish", "fill messages and hand them to DDS", "ms", stages["publish"], asked=MAX_PUBLISH_MS)
    bench.add("publish", "before it: fit poses", "ms", stages["fit"])
    bench.add("publish", "before it: wait for encoded videos", "ms", stages["encode"])
    bench.add("publish", "prediction ready -> everything published", "ms", stages["all_out"])


def cancel(bench: Bench) -> None:
    """Denoising steps that were taken after a cancel."""
    task = bench.progress.add_task("cancels", total=bench.options.results)
    environment, found = bench.environment(), []
    with (
        generator(bench, environment, step_s=CANCEL_STEP_S) as (_, client),
        cameras(bench, environment, reliable=True) as sender,
    ):
        sender.call("keep_sending", bench.options.rate)
        for _ in range(bench.options.results):
            found.append(client.call("cancelled", CANCEL_STEPS))
            bench.progress.update(task, advance=1)
    steps, milliseconds = zip(*found, strict=True)
    bench.add("cancel", "denoising steps after a cancel", "steps", steps, asked=MAX_STEPS_AFTER_CANCEL, judged="p95")
    bench.add("cancel", f"cancel -> answered, steps of {1e3 * CANCEL_STEP_S:g} ms", "ms", milliseconds)


def memory(bench: Bench) -> None:
    """The node's memory over many requests."""
    total = bench.options.requests
    task = bench.progress.add_task("requests", total=total)
    environment, samples = bench.environment(), []
    with generator(bench, environment) as (pid, client), cameras(bench, environment, reliable=True) as sender:
        sender.call("keep_sending", bench.options.rate)
        started, count = time.monotonic(), 0
        while count < total:
            replaced = count % REPLACE_EVERY == REPLACE_EVERY - 2
            must_succeed(client.call("result", replaced=replaced))
            count += 2 if replaced else 1
            bench.progress.update(task, completed=count)
            samples.append((count, memory_mib(pid)))
        seconds = time.monotonic() - started
        counted = client.call("diagnostics")["engine"]
    span = f"requests {total // 10}-{total // 5} to {total - total // 10}-{total}"
    for kind, name in (("VmRSS", "growth"), ("RssAnon", "growth without shared memory and files")):
        grown = growth_percent([(count, mib[kind]) for count, mib in samples])
        bench.add("memory", f"{name}, {span}", "%", grown, asked=MAX_GROWTH_PERCENT)
    bench.add("memory", f"after request {total}", "MiB", samples[-1][1]["VmRSS"])
    bench.add("memory", "replaced by a newer request", "requests", float(counted["requests replaced"]))
    bench.add("memory", "time per request", "ms", 1e3 * seconds / total)


def growth_percent(samples: Sequence[tuple[int, float]]) -> float:
    """From the second tenth of all requests to the last, by their medians; of (requests so far, memory).

    A single sample has in it what is just on its way: it says a few percent more or less than the next one.
    """
    total = samples[-1][0]
    start = [value for count, value in samples if 0.1 * total <= count <= 0.2 * total]
    end = [value for count, value in samples if count >= 0.9 * total]
    return float(100 * (np.median(end) / np.median(start) - 1))


def loss_and_latency(bench: Bench, part: str, name: str, lost: list[int], late: list[float], *, asked: bool) -> None:
    """The two rows of a way for images."""
    bench.add(
        part, f"images lost per camera: {name}", f"of {bench.sets}", lost, asked=0 if asked else None, judged="p95"
    )
    bench.add(
        part, f"arrival latency: {name}", "ms", late or [np.nan], asked=bench.period_ms if asked else None, judged="p95"
    )


@contextlib.contextmanager
def cameras(bench: Bench, environment: dict[str, str | None], *, reliable: bool) -> Iterator[Any]:
    """Three cameras in a process of their own, once somebody hears them; a few images have been sent."""
    from syncmv4d_ros.probes import Cameras
    from syncmv4d_ros.remote import Remote

    with Remote(Cameras, bench.namespace, CAMERAS, IMAGE_SIZE, reliable, environment=environment) as sender:
        sender.call("heard")
        sender.call("send", WARM_UP, bench.options.rate)
        yield sender


@contextlib.contextmanager
def generator(bench: Bench, environment: dict[str, str | None], **engine: Any) -> Iterator[tuple[int, Any]]:
    """(process id, client) of the real node around the stand-in engine. ValueError, with its last line, if it ends by itself."""
    from syncmv4d_ros.probes import Client
    from syncmv4d_ros.remote import Remote

    told = {
        "cameras": f"[{', '.join(CAMERAS)}]", "rig_files": f"[{bench.folder / 'rig.yaml'}]", "diagnostics_period_s": "0.5",
    }  # fmt: skip
    words = [f"{name}={value}" for name, value in engine.items()]
    words += ["--ros-args", "-r", f"__ns:={bench.namespace}", "-r", "/diagnostics:=diagnostics"]
    words += [word for name, value in told.items() for word in ("-p", f"{name}:={value}")]
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    log = bench.folder / "node.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "syncmv4d_ros.stand_in", *words], env=variables, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        with Remote(Client, bench.namespace, environment=environment) as client:
            yield process.pid, client
    except Exception as error:
        if process.poll() is None:
            raise
        last = (log.read_text().strip().splitlines() or ["nothing"])[-1]
        raise ValueError(f"the node ended with {process.returncode}: {last}") from error
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def received(client: Any) -> dict[str, int]:
    """Images that the node has counted, by camera."""
    told = client.call("diagnostics")
    return {camera: int(told.get(f"camera {camera}", {}).get("received", 0)) for camera in CAMERAS}


def settled(counts: Any) -> dict[str, int]:
    """Counts, once two looks at them agree."""
    last = counts()
    while True:
        time.sleep(POLL_S)
        now = counts()
        if now == last:
            return now
        last = now


def must_succeed(why_not: str) -> None:
    """ValueError with why a request had no result."""
    if why_not:
        raise ValueError(f"a request failed: {why_not}")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory of a process: all of it (VmRSS), and what it has allocated for itself (RssAnon)."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0][:-1]: int(words[1]) / 1024 for words in lines if words[0] in ("VmRSS:", "RssAnon:")}
