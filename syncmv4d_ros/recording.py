"""What a bag holds for evaluation: calibrated cameras, tasks, each task's synchronised images, and the images after them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from syncmv4d_model.data.lens import is_straight
from syncmv4d_model.data.rig import Rig
from syncmv4d_ros.bag import CAMERA_INFO, COMPRESSED, Bag, CameraTopics, guess_cameras, mapped_cameras, require_topic
from syncmv4d_ros.camera_info import Calibration, read_camera_info, require_own_frame, rig_of, same_calibration
from syncmv4d_ros.conversions import read_compressed_image, read_image
from syncmv4d_ros.definitions import POINT_TRACKS
from syncmv4d_ros.image_sets import following, nearest, smallest_spread, synchronised
from syncmv4d_ros.rig import read_rig_files
from syncmv4d_ros.stamps import NS, nanoseconds
from syncmv4d_ros.static_transforms import camera_from_world, static_tree
from syncmv4d_ros.track_messages import ViewTracks, read_point_tracks

STRING = "std_msgs/msg/String"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
NO_TRUTH = "the bag has no tracks_truth for this task"


@dataclass(frozen=True)
class BagOptions:
    """How to read a bag. What is not given is guessed from the topics' types and names."""

    cameras: tuple[str, ...] = ()
    """Cameras of a bag as NAME=IMAGE_TOPIC or NAME=IMAGE_TOPIC,CAMERA_INFO_TOPIC; guessed from its camera_info topics when not given."""
    rectified: tuple[str, ...] = ()
    """Names of the bag's cameras whose images are rectified already: P instead of K, no distortion, extrinsics turned by R. Those on
    topics called image_rect* are without saying."""
    rig: tuple[Path, ...] = ()
    """Files with the bag's extrinsics (and, where there is no camera_info, its intrinsics): rig.yaml, kalibr camchain, or camera_info
    files with camera_from_world, one per camera; /tf_static when not given."""
    world_frame: str = "world"
    """The bag's world frame: tf's root for the extrinsics, and the frame that ground-truth tracks must be in."""
    task: str | None = None
    """The task, for a bag without a task topic: asked of its first synchronised images."""
    task_topic: str | None = None
    """The bag's task topic (std_msgs/String); any topic called `task` when not given."""
    truth_topic: str | None = None
    """The bag's ground-truth tracks (PointTracks); any topic called `tracks_truth` when not given."""
    slop_s: float = (
        0.05  # half a period of 10 Hz, more than the node's: where all stamps are known, the nearest are taken
    )
    """How far apart the stamps of images that belong together may be, seconds."""


@dataclass(frozen=True)
class CameraImages:
    """One camera's images in the bag, sorted by stamp, still on the disk."""

    topic: str
    frame_id: str
    stamps_ns: np.ndarray  # [n] capture times
    received_ns: np.ndarray  # [n] when the recorder got them


@dataclass(frozen=True)
class Request:
    """One task, and the synchronised images that it is asked of."""

    task: str
    stamp_ns: int  # mean capture time of the images
    chosen: tuple[int, ...]  # per camera, index into its images
    truth: ViewTracks | None  # views in the order of the cameras
    why_no_truth: str = NO_TRUTH
    age_s: float = field(
        default=0.0, compare=False
    )  # of the images when the task came; negative where they came after it


class Recording:
    """A bag, understood. Close it, or use it in a `with` block.

    ValueError, saying which, for a bag that is truncated, a topic that is missing, a camera without calibration or with a
    changing one, images without stamps, cameras that are never synchronised, and a bag without a task.
    """

    def __init__(self, path: Path, options: BagOptions = BagOptions()) -> None:
        if not options.slop_s > 0:
            raise ValueError(f"slop must be positive, got {options.slop_s} s")
        self.path, self.options = path, options
        self.slop_ns = round(options.slop_s * NS)
        self.bag = Bag(path).__enter__()
        try:
            self._understand()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the bag's files."""
        self.bag.__exit__(None, None, None)

    def images(
        self, request: Request, *, count: int, period_s: float
    ) -> tuple[list[list[UInt8[np.ndarray, "_ _ 3"] | None]], Float[np.ndarray, "V T"]]:
        """[T][V] images at the request's stamp + n periods, None where there is none within the slop or half a period, and
        how late each is (s). Frame 0 is the request's own set. ValueError for an image that cannot be decoded.
        """
        period_ns = round(period_s * NS)
        stamps = [camera.stamps_ns for camera in self.cameras.values()]
        indices, found = following(
            stamps, request.stamp_ns, count=count, period_ns=period_ns, tolerance_ns=min(self.slop_ns, period_ns // 2)
        )
        indices[:, 0], found[:, 0] = request.chosen, True
        times = request.stamp_ns + period_ns * np.arange(count)
        late_s = np.stack([row[index] - times for row, index in zip(stamps, indices, strict=True)]) / NS
        frames = [
            [self._image(name, int(indices[v, n])) if found[v, n] else None for v, name in enumerate(self.cameras)]
            for n in range(count)
        ]
        return frames, np.where(found, late_s, np.nan)

    def describe(self) -> dict[str, Any]:
        """The `bag` section of a report: which topics were read as what."""
        return {
            "path": str(self.path),
            "cameras": {
                name: {
                    "images": camera.topic,
                    "camera_info": self.topics[name].info,
                    "count": len(camera.stamps_ns),
                    "size_px": list(self.rig.sizes[view]),
                    "rectified": self._rectified(name),
                }
                for view, (name, camera) in enumerate(self.cameras.items())
            },
            "extrinsics": ", ".join(map(str, self.options.rig))
            if self.options.rig
            else f"/tf_static from {self.options.world_frame}",
            "task": self.task_topic or "given",
            "tracks_truth": self.truth_topic,
            "slop_s": self.options.slop_s,
            "synchronised_sets": len(self.sets),
        }

    def _understand(self) -> None:
        options, bag = self.options, self.bag
        file = read_rig_files(options.rig) if options.rig else None
        if options.cameras:
            self.topics = mapped_cameras(bag, options.cameras)
        else:
            self.topics = guess_cameras(bag, file.view_names if file else None)
        if unknown := set(options.rectified) - set(self.topics):
            raise ValueError(f"rectified names {', '.join(sorted(unknown))}; the cameras are {', '.join(self.topics)}")
        self.task_topic = None if options.task is not None else self._named("task", options.task_topic, STRING)
        self.truth_topic = self._named("tracks_truth", options.truth_topic, POINT_TRACKS)
        if options.task is None and self.task_topic is None:
            raise ValueError(f"{self.path}: no task: it has no topic called task ({STRING}), and none was given")
        self.cameras, infos = self._index()
        try:
            self.rig = self._rig(infos, file)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        self.sets = self._synchronised()
        self.requests = self._requests()

    def _named(self, name: str, given: str | None, kind: str) -> str | None:
        if given is not None:
            require_topic(self.bag, given, (kind,))
            return given
        found = [
            topic
            for topic, other in self.bag.topics.items()
            if other == kind and topic.rpartition("/")[2] == name and self.bag.counts[topic]
        ]
        if len(found) > 1:
            raise ValueError(f"{self.path}: several topics are called {name}: {', '.join(sorted(found))}; name one")
        return found[0] if found else None

    def _index(self) -> tuple[dict[str, CameraImages], dict[str, list[Any]]]:
        """One pass over the bag: stamps of all images, and every different camera_info."""
        seen: dict[str, list[tuple[int, int]]] = {topics.image: [] for topics in self.topics.values()}
        infos: dict[str, list[Any]] = {topics.info: [] for topics in self.topics.values() if topics.info}
        frames: dict[str, str] = {}
        for topic, received_ns, message in self.bag.messages([*seen, *infos]):
            if topic in infos:
                if not infos[topic] or not same_calibration(infos[topic][-1], message):
                    infos[topic].append(message)
            else:
                seen[topic].append((nanoseconds(message.header.stamp), received_ns))
                frames.setdefault(topic, message.header.frame_id)
        cameras = {}
        for name, topics in self.topics.items():
            if not seen[topics.image]:
                raise ValueError(f"{self.path}: no message on {topics.image}, the images of camera {name!r}")
            stamps, received = np.array(sorted(seen[topics.image]), dtype=np.int64).T
            if len(stamps) > 1 and stamps[0] == stamps[-1] or not stamps[-1]:
                raise ValueError(f"{self.path}: the {len(stamps)} images on {topics.image} carry no capture times")
            cameras[name] = CameraImages(topics.image, frames[topics.image], stamps, received)
        return cameras, {name: infos.get(topics.info or "", []) for name, topics in self.topics.items()}

    def _rig(self, infos: dict[str, list[Any]], file: Rig | None) -> Rig:
        calibrations = [self._calibration(name, topics, infos[name], file) for name, topics in self.topics.items()]
        return rig_of(tuple(self.topics), calibrations, np.stack(self._extrinsics(infos, file)))

    def _calibration(self, name: str, topics: CameraTopics, infos: list[Any], file: Rig | None) -> Calibration:
        if len(infos) > 1:
            raise ValueError(
                f"the calibration on {topics.info} changes within the bag: K {infos[0].k} then {infos[1].k}"
            )
        if infos:
            try:
                if file is None and self._rectified(name):
                    require_own_frame(infos[0])
                return read_camera_info(infos[0], rectified=self._rectified(name))
            except ValueError as error:
                raise ValueError(f"camera {name!r}: {error}") from error
        if file is None or name not in file.view_names:
            where = f"no message on {topics.info}" if topics.info else f"no {CAMERA_INFO} beside {topics.image}"
            raise ValueError(f"no calibration of camera {name!r}: {where}, and no rig file that has it")
        view = file.view_names.index(name)
        if self._rectified(name) and not is_straight(file.distortion[view]):
            raise ValueError(
                f"no calibration of camera {name!r}: its images are rectified, and the rig file's is that of the distorted ones"
            )
        return Calibration(file.sizes[view], file.intrinsics[view], file.distortion[view], np.eye(3))

    def _rectified(self, name: str) -> bool:
        parts = self.topics[name].image.split("/")
        return name in self.options.rectified or any(part.startswith("image_rect") for part in parts)

    def _extrinsics(self, infos: dict[str, list[Any]], file: Rig | None) -> list[np.ndarray]:
        if file is not None:
            missing = [name for name in self.topics if name not in file.view_names]
            if missing:
                raise ValueError(f"no calibration: the rig file has no view called {', '.join(missing)}")
            return [file.camera_from_world[file.view_names.index(name)] for name in self.topics]
        topics = [t for t, kind in self.bag.topics.items() if kind == TF_MESSAGE and t.endswith("tf_static")]
        tree = static_tree(message for _, _, message in self.bag.messages(topics))
        poses = []
        for name, camera in self.cameras.items():
            frame = camera.frame_id or next((info.header.frame_id for info in infos[name]), "")
            try:
                poses.append(camera_from_world(tree, frame, self.options.world_frame))
            except ValueError as error:
                raise ValueError(f"no calibration: no pose of camera {name!r}: {error}") from error
        return poses

    def _synchronised(self) -> np.ndarray:
        stamps = [camera.stamps_ns for camera in self.cameras.values()]
        sets = synchronised(stamps, self.slop_ns)
        if not len(sets):
            raise ValueError(
                f"{self.path}: the cameras {', '.join(self.cameras)} are not synchronised: their images are never less than"
                f" {smallest_spread(stamps) / NS:.3f} s apart, and the slop is {self.options.slop_s} s"
            )
        return sets

    def _stamps(self) -> np.ndarray:
        """[S] mean capture time of each synchronised set, ns."""
        columns = zip(self.cameras.values(), self.sets.T, strict=True)
        times = np.stack([camera.stamps_ns[column] for camera, column in columns])
        return times[0] + np.rint((times - times[0]).mean(0)).astype(np.int64)

    def _requests(self) -> tuple[Request, ...]:
        """Each task with the newest set that a node would have had when it came, else the first one after."""
        times, columns = self._stamps(), zip(self.cameras.values(), self.sets.T, strict=True)
        complete_ns = np.stack([camera.received_ns[column] for camera, column in columns]).max(0)
        if self.task_topic is None:
            asked = [(int(complete_ns.min()), (self.options.task or "").strip())]
        else:
            asked = [(time, message.data.strip()) for _, time, message in self.bag.messages([self.task_topic])]
        requests: list[Request] = []
        for time_ns, task in asked:
            had = np.flatnonzero(complete_ns <= time_ns)
            place = int(had[-1]) if len(had) else int(np.argmin(complete_ns))
            age_s = (time_ns - int(complete_ns[place])) / NS
            request = Request(task, int(times[place]), tuple(int(i) for i in self.sets[place]), None, age_s=age_s)
            if task and (not requests or request != requests[-1]):
                requests.append(request)
        if not requests:
            raise ValueError(
                f"{self.path}: no task: {len(asked)} on {self.task_topic or 'the command line'}, all empty"
            )
        return tuple(self._with_truth(requests, times))

    def _with_truth(self, requests: list[Request], times: np.ndarray) -> list[Request]:
        """Each truth goes to the last request of its task whose images are no later than it, else to the first of that task;
        the request's images are then those of the truth's stamp.
        """
        topics = [self.truth_topic] if self.truth_topic else []
        requests = list(requests)
        for _, _, message in self.bag.messages(topics):
            task, stamp_ns = message.task.strip(), nanoseconds(message.header.stamp)
            same = [i for i, request in enumerate(requests) if request.task == task]
            earlier = [i for i in same if requests[i].stamp_ns <= stamp_ns + self.slop_ns]
            if not same or requests[index := earlier[-1] if earlier else same[0]].truth is not None:
                continue
            requests[index] = self._matched(requests[index], message, times, stamp_ns)
        return requests

    def _matched(self, request: Request, message: Any, times: np.ndarray, stamp_ns: int) -> Request:
        """The request with this truth, or with the reason why it cannot be used."""
        place = int(nearest(times, np.array([stamp_ns]))[0])
        off_s = abs(int(times[place]) - stamp_ns) / NS
        if off_s > self.options.slop_s:
            return replace(
                request, why_no_truth=f"no synchronised images within the slop of tracks_truth: {off_s:.3f} s off"
            )
        chosen = tuple(int(i) for i in self.sets[place])
        age_s = request.age_s - (int(times[place]) - request.stamp_ns) / NS
        moved = replace(request, stamp_ns=int(times[place]), chosen=chosen, age_s=age_s)
        try:
            tracks = read_point_tracks(message)
            if not len(tracks.source_view):
                raise ValueError("it holds no point")
            world = self.options.world_frame.lstrip("/")
            if tracks.frame_id.lstrip("/") != world:
                raise ValueError(f"it is in frame {tracks.frame_id!r}, the world is {world!r}")
            return replace(moved, truth=tracks.by_view(tuple(self.cameras)))
        except ValueError as error:
            return replace(moved, why_no_truth=f"tracks_truth cannot be used: {error}")

    def _image(self, name: str, index: int) -> np.ndarray:
        camera = self.cameras[name]
        read = read_compressed_image if self.bag.topics[camera.topic] == COMPRESSED else read_image
        wanted, time_ns = int(camera.stamps_ns[index]), int(camera.received_ns[index])
        for _, _, message in self.bag.messages([camera.topic], start_ns=time_ns, stop_ns=time_ns + 1):
            if nanoseconds(message.header.stamp) == wanted:
                try:
                    return read(message)
                except ValueError as error:
                    raise ValueError(f"{self.path}: {camera.topic} at {wanted / NS:.3f} s: {error}") from error
        raise ValueError(f"{self.path}: {camera.topic} has lost its image at {wanted / NS:.3f} s")
