"""What `syncmv4d evaluate` refuses before it begins."""

from __future__ import annotations

from syncmv4d_cli.device import CPU, check_device
from syncmv4d_cli.evaluate_options import Options
from syncmv4d_cli.evaluate_written import check_written
from syncmv4d_cli.least import check_least
from syncmv4d_ros.recording import BagOptions


def check_options(options: Options) -> None:
    """Before any work: ValueError for numbers that make no sense, no source or two of them, and a split that is not there;
    OSError for a report that could not be written.
    """
    from syncmv4d_model.data.atomic import check_writable
    from syncmv4d_model.data.sequence import list_sequences, list_splits
    from syncmv4d_model.evaluation.image_networks import parse_networks

    for path in (options.json, options.html, options.markdown, options.sheet):
        if path is not None:
            check_writable(path)
    least = {"limit": 1, "steps": 1, "samples": 1, "seed": 0, "sheet_scenes": 1, "html_videos": 0, "workers": 1}
    check_least(options, least)
    check_sheet(options)
    check_html_videos(options)
    parse_networks(options.networks)
    check_processes(options)
    of_model = {name: getattr(options, name) for name in ("bag", "baselines_only", "without", "steps")}
    on_device = options.device != CPU
    check_written(options.written, others=of_model | {"samples": options.samples != 1, "device": on_device})
    check_device(options.device)
    if options.bag is not None:
        refused = ("data", "split", "baselines_only", "without", "sheet", "workers", "cluster")
        refused = [name for name in refused if getattr(options, name)]
        if refused:
            raise ValueError(f"--{refused[0].replace('_', '-')} is of a data set, not of --bag {options.bag}")
        return
    if options.baselines_only and (options.steps is not None or options.samples != 1 or options.without or on_device):
        raise ValueError("--steps, --samples, --without and --device are of a model, and --baselines-only runs none")
    if options.data is not None and options.split is None:
        splits = list_splits(options.data)
        raise ValueError(f"give --split beside --data; {options.data} has {', '.join(splits) or 'none'}")
    if options.data is None or options.split is None:
        raise ValueError("give a data set with --data and --split, or a recording with --bag")
    given = [field for field, value in vars(options.reading).items() if value != getattr(BagOptions(), field)]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is of a bag, and there is no --bag")
    list_sequences(options.data, options.split)


def check_processes(options: Options) -> None:
    """ValueError for processes that have nothing to do, or cannot do it."""
    if options.networks and (options.cluster or (options.workers or 1) > 1):
        raise ValueError("--networks are asked in one process: leave --workers and --cluster out")
    if options.cluster and (options.workers or options.baselines_only):
        raise ValueError("--cluster has workers of its own, and --baselines-only needs none: give one of them")


def check_sheet(options: Options) -> None:
    """ValueError for a picture that could not be drawn, or numbers of one that is not asked for."""
    if options.sheet is None and options.sheet_scenes != Options.sheet_scenes:
        raise ValueError("--sheet-scenes is of --sheet, which is not asked for")
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise ValueError(f"--sheet must end in .png, got {options.sheet}")
    if options.sheet is not None and options.baselines_only:
        raise ValueError("--sheet shows what a model predicts, and --baselines-only runs none")


def check_html_videos(options: Options) -> None:
    """ValueError for a number of videos where there is no page for them, or nothing to show."""
    if options.html_videos == Options.html_videos:
        return
    if options.html is None:
        raise ValueError("--html-videos is of --html, which is not asked for")
    if options.bag is not None:
        raise ValueError(f"--html-videos is of a data set, not of --bag {options.bag}")
    if options.baselines_only:
        raise ValueError("--html-videos shows what a model predicts, and --baselines-only runs none")
