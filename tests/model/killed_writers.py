"""A process that dies, without any clean-up, at a chosen touch of the file system."""

import os
import signal
import sys
from collections.abc import Callable

_TOUCHES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def survives(write: Callable[[], object], touches: int) -> bool:
    """Run `write` in a forked child that is killed at its `touches`-th touch; whether it ended before that."""
    child = os.fork()
    if not child:
        sys.addaudithook(_killer(touches))
        write()
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _killer(touches: int) -> Callable[[str, tuple], None]:
    left = touches

    def hook(event: str, _: tuple) -> None:
        nonlocal left
        if event in _TOUCHES:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook
