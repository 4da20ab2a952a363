"""Checks that the user gives: what the answer to a recording must be, a JSON object a line.

    {"id": "call-7", "exact": "Paris"}             the text is that, white space aside
    {"id": "call-8", "contains": "Paris"}          it is in the text
    {"id": "call-9", "regex": "^(yes|no)\\b"}      the expression (Python's `re`) is found in it
    {"id": "call-10", "numeric": 42, "within": 0.5}  the last number in the text is that, at most so far off
    {"id": "call-11", "schema": {...}}             the text is JSON that fits
    {"id": "call-12", "code": "assert add(1, 2) == 3"}  the code in the answer, followed by this, runs

`"id": "*"` is a check of every recording that has none of its own. Code is run only where the user allows it:
in a process of its own with an empty environment, in an empty folder, with limits of time and memory. That
keeps out accidents and not attacks; do it on a machine that you can spare.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from ..faults import Fault
from .reading import FENCE, unfenced
from .shapes import ABSENT, fits, flaw, read

ANY = "*"
NUMBER = re.compile(r"[-+]?\d(?:[\d,]*\d)?(?:\.\d+)?(?:[eE][-+]?\d+)?")
SECONDS_MAX = 10
MEMORY_BYTES_MAX = 512 * 1024 * 1024
RUNNER = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES_MAX}, {MEMORY_BYTES_MAX}))
resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS_MAX}, {SECONDS_MAX}))
exec(compile(sys.stdin.read(), "answer", "exec"), {{"__name__": "answer"}})
"""


def read_checks(lines: Iterable[str], *, run_code: bool = False) -> dict[str, dict[str, msgspec.Raw]]:
    """Recording's id -> check. Raises Fault that names the line."""
    found: dict[str, dict[str, msgspec.Raw]] = {}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            check = json.loads(text)
        except ValueError:
            check = None
        wrong = _wrong(check, run_code)
        if wrong is None and str(check["id"]) in found:
            wrong = f"id {check['id']!r} has a check already"
        if wrong is not None:
            raise Fault("bad_request", f"Checks, line {number}: {wrong}.", path="checks")
        found[str(check["id"])] = {
            name: msgspec.Raw(msgspec.json.encode(value)) for name, value in check.items() if name != "id"
        }
    return found


def _wrong(check: Any, run_code: bool) -> str | None:
    if not isinstance(check, dict) or not isinstance(check.get("id"), str | int):
        return 'it is no JSON object with an id, such as {"id": "call-7", "exact": "Paris"}'
    kinds = [name for name in check if name in KINDS]
    if len(kinds) != 1:
        return f"it needs exactly one of {', '.join(KINDS)}"
    kind, value = kinds[0], check[kinds[0]]
    if kind == "numeric" and (isinstance(value, bool) or not isinstance(value, int | float)):
        return "numeric is a number"
    beside = check.keys() - {"id", kind, "within" if kind == "numeric" else "id"}
    if beside:
        return f"it has {min(beside)!r}, which no check has beside {kind}"
    within = check.get("within", 0)
    if isinstance(within, bool) or not isinstance(within, int | float) or within < 0:
        return "within is a number, 0 or more"
    if kind == "schema":
        return flaw(value)
    if kind != "numeric" and not isinstance(value, str):
        return f"{kind} is a text"
    if kind == "regex":
        try:
            re.compile(value)
        except re.error as error:
            return f"regex cannot be read: {error}"
    if kind == "code" and not run_code:
        return "code is run only with --run-code; it runs what models wrote"
    return None


def check_of(checks: Mapping[str, Mapping[str, msgspec.Raw]], id: str) -> dict[str, Any] | None:
    """The check of a recording, None where there is none."""
    found = checks.get(id, checks.get(ANY))
    return None if found is None else {name: msgspec.json.decode(value) for name, value in found.items()}


def passes(check: Mapping[str, Any], said: str) -> bool:
    """Whether a text passes. Blocks while code runs."""
    kind = next(name for name in check if name in KINDS)
    return KINDS[kind](check, said)


def _exact(check: Mapping[str, Any], said: str) -> bool:
    return said.split() == str(check["exact"]).split()


def _contains(check: Mapping[str, Any], said: str) -> bool:
    return str(check["contains"]) in said


def _regex(check: Mapping[str, Any], said: str) -> bool:
    return re.search(check["regex"], said, re.M) is not None


def _numeric(check: Mapping[str, Any], said: str) -> bool:
    found = NUMBER.findall(said)
    return bool(found) and abs(float(found[-1].replace(",", "")) - check["numeric"]) <= check.get(
        "within", 1e-9
    )


def _schema(check: Mapping[str, Any], said: str) -> bool:
    value = read(unfenced(said))
    return value is not ABSENT and fits(value, check["schema"]) is True


def _code(check: Mapping[str, Any], said: str) -> bool:
    fenced = FENCE.findall(said)
    program = "\n".join(fenced) if fenced else said
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(  # noqa: S603 - allowed by the user
                [sys.executable, "-I", "-c", RUNNER],
                input=f"{program}\n{check['code']}\n".encode(),
                cwd=folder, env={}, capture_output=True, timeout=SECONDS_MAX, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


KINDS: Mapping[str, Callable[[Mapping[str, Any], str], bool]] = {
    "exact": _exact,
    "contains": _contains,
    "regex": _regex,
    "numeric": _numeric,
    "schema": _schema,
    "code": _code,
}
