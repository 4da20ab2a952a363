"""Files that the commands of `fungible switch` are given, line by line."""

import sys
from pathlib import Path

from ...faults import Fault


def lines_of(path: str) -> list[str]:
    """All lines; `-` is standard input. Raises Fault: not there, no UTF-8."""
    name = "standard input" if path == "-" else path
    try:
        return list(sys.stdin) if path == "-" else Path(path).read_text("utf-8").splitlines(keepends=True)
    except OSError as error:
        raise Fault("not_found", f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise Fault("bad_request", f"{name} is no UTF-8 text: {error.reason}. Save it as UTF-8.") from None
