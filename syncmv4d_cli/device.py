"""Where a command computes: every command's option `--device`."""

from __future__ import annotations

CPU = "cpu"


def check_device(device: str) -> None:
    """ValueError for a device that torch does not know or this machine does not have; the CPU is not asked for, nor torch loaded."""
    if device == CPU:
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device} cannot be used: {str(error).splitlines()[0]}") from error
