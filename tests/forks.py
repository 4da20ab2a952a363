"""Children that end without the test runner's clean-up: forked, and left by `os._exit` or a signal."""

import os
import traceback
from collections.abc import Callable


def child(body: Callable[[], None]) -> int:
    """Run `body` in a forked process; its pid. Exit status 0 when it returned, 1 with a traceback otherwise."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        body()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def join(*pids: int) -> list[int]:
    """The exit codes; negative for a signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
