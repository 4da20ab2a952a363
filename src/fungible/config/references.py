"""Where a secret is: `env:NAME`, `file:PATH` or `exec:COMMAND`. The file names the place, never the secret.

A command is run without a shell, with the configuration's folder as its own, and has ten seconds; what
it prints on standard output is the secret. Nothing here repeats what stood where a reference should
stand, or what a command said: either may be the secret.
"""

import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..providers.signers import Secret
from .settings import WrongError

COMMAND_S = 10
BYTES_MAX = 64 * 1024
FORM = "Write env:NAME, file:PATH or exec:COMMAND"
REFERENCE = re.compile(r"(env|file|exec):\s*(\S.*)")


def is_reference(said: str) -> bool:
    return REFERENCE.fullmatch(said) is not None


def key_name(said: str) -> str:
    """A name for the secret that may be shown: the reference, of a command only its first word."""
    form, _, rest = said.partition(":")
    return f"exec:{rest.split()[0]}" if form == "exec" and rest.split() else f"{form}:{rest.strip()}"


def fetch(said: str, environ: Mapping[str, str], folder: Path) -> tuple[Secret, str | None]:
    """The secret, and the file it was in. Raises `WrongError`: no reference, or nothing is where it says."""
    reference = REFERENCE.fullmatch(said)
    if reference is None:
        name = said.strip("${}")
        if name in environ:
            raise WrongError(f"must say where the secret is. Did you mean 'env:{name}'?")
        raise WrongError(f"holds the secret itself, which is refused and not shown. {FORM}")
    form, rest = reference[1], reference[2].strip()
    file: Path | None = None
    if form == "env":
        value = _variable(rest, environ)
    elif form == "file":
        file = folder / Path(rest).expanduser()
        value = _contents(file)
    else:
        value = _printed(rest, environ, folder)
    return Secret(value), str(file) if file is not None else None


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise WrongError(
            "names no environment variable. Write env:NAME, where NAME is letters, digits and '_'"
        )
    if name not in environ:
        raise WrongError(f"needs the environment variable {name}, which is not set")
    value = environ[name].strip()
    if not value:
        raise WrongError(f"needs the environment variable {name}, which is empty")
    return value


def _contents(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise WrongError(f"needs the file {path}, which cannot be read: {error.strerror}") from None
    return _one(raw, f"the file {path}")


def _printed(command: str, environ: Mapping[str, str], folder: Path) -> str:
    try:
        words = shlex.split(command)
    except ValueError:
        raise WrongError("has a command with an open quote") from None
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command, from the operator's own file
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_S,
            cwd=folder,
            env=dict(environ),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WrongError(f"has a command {words[0]!r} that took longer than {COMMAND_S} s") from None
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "a zero byte in it"
        raise WrongError(f"has a command {words[0]!r} that cannot be run: {said}") from None
    if done.returncode != 0:
        raise WrongError(f"has a command {words[0]!r} that ended with status {done.returncode}")
    return _one(done.stdout, f"the command {words[0]!r}")


def _one(raw: bytes, source: str) -> str:
    try:
        value = raw.decode().strip()
    except UnicodeDecodeError:
        value = ""
    if not value or len(raw) > BYTES_MAX:
        raise WrongError(f"gets no text from {source}, or more than {BYTES_MAX} bytes")
    return value
