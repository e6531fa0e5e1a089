"""What the node says about itself on /diagnostics: why there is no result, before anybody has to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import ReliabilityPolicy

from syncmv4d_ros.camera_streams import CameraState, CameraStreams
from syncmv4d_ros.synchronizer import StreamCounts
from syncmv4d_ros.worker import Worker


def status(name: str, problem: str, values: Mapping[str, object], *, fatal: bool = False) -> DiagnosticStatus:
    """One status: OK without a problem, else WARN, or ERROR where it is fatal."""
    level = DiagnosticStatus.OK
    if problem:
        level = DiagnosticStatus.ERROR if fatal else DiagnosticStatus.WARN
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=problem or "ok", hardware_id="syncmv4d", values=pairs)


def camera_statuses(node: Any, streams: CameraStreams) -> Iterable[DiagnosticStatus]:
    """Per camera: rate, age, who publishes with which QoS, and what became of its images, by reason."""
    counts = streams.counts()
    for name, state in streams.states.items():
        topic = streams.topics[name]
        publishers = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name} {_reliability(info)}"
            for info in node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
        ]
        values = {
            "topic": node.resolve_topic_name(topic),
            "publishers": ", ".join(publishers) or "none",
            "rate_hz": f"{state.rate_hz:.1f}",
            "age_s": f"{state.age_s:.2f}",
            "delay_p50_ms": f"{1e3 * state.delay_s(0.5):.1f}",
            "delay_p95_ms": f"{1e3 * state.delay_s(0.95):.1f}",
            "calibrated": state.info is not None,
            "last_error": state.last_error,
            **_drops(counts[name]),
        }
        yield status(f"syncmv4d: camera {name}", _camera_problem(state, streams, publishers), values)


def worker_status(
    worker: Worker | None, *, engine: str, started: str, last_error: str, stages: Mapping[str, float]
) -> DiagnosticStatus:
    """The engine: since when the node has run, how requests ended, what failed last, how long the last result's stages took."""
    values: dict[str, object] = {"engine": engine, "started": started}
    if worker is None:
        return status("syncmv4d: engine", "not loaded", values | {"last_error": last_error}, fatal=True)
    values |= {"busy": worker.busy, "abandoned_engines": worker.abandoned}
    values |= {f"requests {outcome.name.lower()}": count for outcome, count in worker.counts.items()}
    values |= {f"last_{name}_s": f"{seconds:.3f}" for name, seconds in stages.items()}
    values |= {"last_error": last_error or worker.last_error, **device_memory()}
    fatal = worker.abandoned > worker.max_abandoned
    return status("syncmv4d: engine", "hangs" if fatal else last_error, values, fatal=fatal)


def device_memory() -> dict[str, str]:
    """GPU memory that torch holds, where torch runs on one in this process."""
    import sys

    torch = sys.modules.get("torch")  # an engine that needs it has imported it; nobody else may have it
    if torch is None or not torch.cuda.is_available():
        return {}
    return {"device_memory_mib": f"{torch.cuda.memory_allocated() / 2**20:.0f}"}


def array(stamp: Any, statuses: Iterable[DiagnosticStatus]) -> DiagnosticArray:
    """A DiagnosticArray of this moment."""
    message = DiagnosticArray(status=list(statuses))
    message.header.stamp = stamp
    return message


def _drops(counts: StreamCounts) -> dict[str, object]:
    dropped = {f"dropped: {reason.value}": count for reason, count in counts.dropped.items()}
    return {"received": counts.received, "used": counts.used, **dropped}


def _camera_problem(state: CameraState, streams: CameraStreams, publishers: list[str]) -> str:
    if not publishers:
        return "nobody publishes its images"
    if not state.arrivals:
        reliable = streams.parameters.reliable_images
        return "no image has arrived" + (": are its publishers best effort?" if reliable else "")
    if state.age_s > streams.parameters.max_age_s:
        return f"no image for {state.age_s:.1f} s"
    if state.info is None:
        return "no CameraInfo has arrived"
    return state.last_error


def _reliability(info: Any) -> str:
    return "reliable" if info.qos_profile.reliability == ReliabilityPolicy.RELIABLE else "best effort"
