"""`syncmv4d build-dataset taco`: TACO's recordings as sequences of ours."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from syncmv4d_cli.dataset_finder import load_finder
from syncmv4d_cli.least import check_least

if TYPE_CHECKING:
    from syncmv4d_model.data.mano import HandModel
    from syncmv4d_model.data.taco import Recording
    from syncmv4d_model.data.taco_import import ClipOptions
    from syncmv4d_model.data.window import ObjectFinder

LEAST = {
    "points": 1,
    "frames": 2,
    "rate": 0.1,
    "start": 0,
    "seed": 0,
    "max_offset": 0,
    "workers": 1,
    "limit": 1,
    "width": 32,
}
LEAST_SIDE_PX, GREATEST_SIDE_PX = 32, 4096
ALL, TRAIN = "all", "train"


@dataclass(frozen=True)
class Taco:
    """Take recordings of the TACO data set into DIR/<split>/; run it again to go on where it stopped.

    Each becomes a clip of three views, left, centre and right, with the tracks of hands, tool and target. What the networks see of them, the
    window, is chosen from the first images alone: by the checkpoint's finder, or as --windows says. Recordings whose
    poses do not fit their pictures are left out: moving surfaces must project to where the pictures change. What became of every
    recording stands in DIR/recordings_<split>.jsonl.

    Hands are MANO's, whose model you must fetch yourself, under its own licence (mano.is.tue.mpg.de).

    Example: syncmv4d build-dataset taco --root TACO --hand-models mano_v1_2/models --out data/taco --split test_1
    """

    root: Path
    """TACO's folder, which holds Allocentric_RGB_Videos, Object_Poses, ... Videos without markers are preferred where they exist."""
    out: Path
    """Data-set folder."""
    split: str = "train"
    """Which split to take (train, test_1, test_2, test_3 or test_4 of TACO's own); all: every recording there is."""
    split_file: Path | None = None
    """Lines `recording,split`; TACO's official file when not given."""
    hand_models: Path | None = None
    """Folder with MANO_LEFT.pkl and MANO_RIGHT.pkl."""
    without_hands: bool = False
    """Track tool and target only."""
    size: tuple[int, int] = (96, 96)
    """Height and width of the windows, pixels."""
    windows: Literal["finder", "truth", "largest"] = "finder"
    """What chooses the windows: the checkpoint's finder; the true boxes of the first images (to train a finder with, never to score
    one); or the largest centred window."""
    checkpoint: Path | None = None
    """Whose finder; the bundled checkpoint's when not given."""
    width: int = 640
    """Width of the whole first images at most, pixels."""
    frames: int = 17
    """Frames of a clip."""
    rate: float = 8.0
    """Frames a second; TACO has 30."""
    start: float = 0.0
    """When in the recording the clip begins, seconds."""
    points: int = 1024
    """Truth anchors per view."""
    cameras: tuple[str, ...] = ()
    """Serial numbers of the cameras; when not given, one telephoto camera of each cluster, drawn by seed."""
    max_offset: float = 0.04
    """Recordings are left out where the projected motion lies farther beside what moves in a view; share of the sides of
    the part of the picture that holds the action."""
    limit: int | None = None
    """Only the first N recordings of the split."""
    seed: int = 0
    """Decides cameras and anchors, recording by recording."""
    workers: int = 2
    """Processes that work side by side; their number changes nothing in the data."""


def build_taco(options: Taco) -> None:
    """Build, then say what was left out and why. ValueError for options that do not fit; errors as taco.list_recordings."""
    from syncmv4d_model.data.build_options import check_same_options
    from syncmv4d_model.data.taco_import import ClipOptions

    _check(options)
    recordings = recordings_of(options)
    height, width = options.size
    clip = ClipOptions(
        height=height,
        width=width,
        windows=options.windows,
        image_width=options.width,
        keeps_whole_frames=options.split != TRAIN,
        num_points=options.points,
        num_frames=options.frames,
        frame_rate_hz=options.rate,
        start_s=options.start,
        cameras=options.cameras,
        hands=not options.without_hands,
        seed=options.seed,
    )
    models = _hand_models(options, recordings)
    finder, identity = load_finder(options.windows, options.checkpoint)
    folder, log = options.out / options.split, options.out / f"recordings_{options.split}.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    with _alone(options.out / f".{options.split}.lock"):
        check_same_options(options.out / f"options_{options.split}.json", asdict(clip) | _whence(options, identity))
        told = _lines(log)
        missing = [one for one in recordings if one.name not in told or not (folder / one.name).is_dir()]
        _write(log, told)  # without what a killed process has cut off
        work = functools.partial(take, folder, clip=clip, models=models, max_offset=options.max_offset, finder=finder)
        with log.open("a", encoding="utf-8") as file:
            for line in _told(missing, work, options, total=len(recordings)):
                told[line["recording"]] = line
                file.write(_text(line))
                file.flush()
        _write(log, told)
    left_out = [told[recording.name]["left_out"] for recording in recordings if told[recording.name]["left_out"]]
    console = Console()
    console.print(
        f"{len(recordings) - len(left_out)} sequences of {options.split} in {options.out}; {len(left_out)} left out ({log})"
    )
    for reason, number in Counter(left_out).most_common(5):
        console.print(f"  {number:4d}  {reason}")


def recordings_of(options: Taco) -> list[Recording]:
    """Those of the split that is asked for, by name. ValueError where there is none."""
    from syncmv4d_model.data import taco

    found = taco.list_recordings(options.root)
    if (path := _split_file(options)) is not None:
        split = taco.read_split(path)
        unlisted = sum(recording.name not in split for recording in found)
        found = [recording for recording in found if options.split in (ALL, split.get(recording.name))]
        if not found:
            raise ValueError(
                f"no recording in {options.root} is of split {options.split!r} by {path} ({unlisted} are not in it);"
                f" it has {', '.join(sorted(set(split.values())))}; --split {ALL} takes every recording"
            )
    return found[: options.limit]


def _check(options: Taco) -> None:
    check_least(options, LEAST)
    if min(options.size) < LEAST_SIDE_PX:
        raise ValueError(f"--size must be at least {LEAST_SIDE_PX} px, got {options.size[0]} x {options.size[1]}")
    if not all(map(math.isfinite, (options.rate, options.start, options.max_offset))):
        raise ValueError("--rate, --start and --max-offset must be finite")
    if max(options.size) > GREATEST_SIDE_PX:
        raise ValueError(f"--size must be at most {GREATEST_SIDE_PX} px, got {options.size[0]} x {options.size[1]}")
    if options.split != Path(options.split).name or options.split.startswith("."):
        raise ValueError(f"--split names a folder, got {options.split!r}")
    if len(set(options.cameras)) != len(options.cameras):
        raise ValueError(f"--cameras names one twice: {' '.join(options.cameras)}")


def _hand_models(options: Taco, recordings: Iterable[Recording]) -> dict[str, HandModel]:
    """Those of both sides; none where none is needed. ValueError where they are needed and not given."""
    from syncmv4d_model.data import taco
    from syncmv4d_model.data.mano import SIDES, read_hand_model

    if options.without_hands:
        return {}
    if options.hand_models is not None:
        return {side: read_hand_model(options.hand_models / f"MANO_{side.upper()}.pkl") for side in SIDES}
    if any(not recording.folder(taco.HAND_MESHES).is_dir() for recording in recordings):
        raise ValueError(
            "TACO's hands are poses of MANO: --hand-models DIR says where MANO_LEFT.pkl and MANO_RIGHT.pkl are,"
            " --without-hands tracks tool and target only"
        )
    return {}


def _told(
    recordings: list[Recording],
    work: Callable[[Recording], dict[str, Any]],
    options: Taco,
    *,
    total: int,
) -> Iterator[dict[str, Any]]:
    """What became of each recording, as it is done."""
    from syncmv4d_model.evaluation.parallel import mapped

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(options.split, total=total, completed=total - len(recordings))
        for line in mapped(work, recordings, workers=options.workers):
            bar.advance(task)
            yield line


def take(
    folder: Path,
    recording: Recording,
    *,
    clip: ClipOptions,
    models: Mapping[str, HandModel],
    max_offset: float,
    finder: ObjectFinder | None = None,
) -> dict[str, Any]:
    """Write the sequence of one recording, or say why it was left out. OSError where it cannot be written."""
    from syncmv4d_model.data.rig import check_rig
    from syncmv4d_model.data.sequence import rig_of_sequence, write_sequence
    from syncmv4d_model.data.taco_import import import_clip

    line: dict[str, Any] = {"recording": recording.name, "triplet": recording.triplet, "left_out": ""}
    try:
        taken = import_clip(recording, clip, dict(models), finder)
        check_rig(rig_of_sequence(taken.sequence))
    except (ValueError, FileNotFoundError) as error:
        return line | {"left_out": str(error)}
    except Exception as error:  # one broken recording must not end the work on the others
        return line | {"left_out": f"{type(error).__name__}: {error}"}
    names = taken.sequence.view_names
    line["offset"] = dict(zip(names, [[round(x, 4) for x in offset] for offset in taken.offsets.tolist()], strict=True))
    line["likeness"] = dict(zip(names, [round(x, 3) for x in taken.likeness.tolist()], strict=True))
    if taken.worst_offset > max_offset:
        return line | {"left_out": "the projected motion does not lie where the pictures change"}
    write_sequence(folder / recording.name, taken.sequence, taken.truths)
    return line


def _split_file(options: Taco) -> Path | None:
    """Which list says what is of the split; None where none does."""
    from syncmv4d_model.data import taco

    return options.split_file or (None if options.split == ALL else taco.OFFICIAL_SPLIT)


def _whence(options: Taco, finder: str) -> dict[str, Any]:
    """What else must stay the same in a split's folder."""
    listed = _split_file(options)
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()[:12] if listed is not None else None
    return {
        "root": str(options.root.resolve()),
        "split_file": digest,
        "max_offset": options.max_offset,
        "finder": finder,
    }


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """ValueError where another process builds the same split; what it holds goes with it, whatever ends it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"another process builds this split ({path})") from error
        yield


def _text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _write(path: Path, told: Mapping[str, Mapping[str, Any]]) -> None:
    from syncmv4d_model.data.atomic import write_bytes

    write_bytes(path, "".join(_text(line) for _, line in sorted(told.items())).encode())


def _lines(path: Path) -> dict[str, dict[str, Any]]:
    """By recording, the last line of each; one that was cut off is none."""
    found: dict[str, dict[str, Any]] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        with suppress(ValueError):
            line = json.loads(text)
            found[line["recording"]] = line
    return found
