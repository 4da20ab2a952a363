"""SQLite as the store uses it: a file of the state folder, its schema brought up to date, its errors as ours.

The steps are files in `data/`: each leads to the schema version of its place, from 1. A released one never
changes. Raises Fault `internal` for a folder that cannot be written, a file that is no database or is from a
newer fungible, and `unavailable` where another process holds the file for more than BUSY_SECONDS.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import ledger
from ..faults import Fault

BUSY_SECONDS = 5.0
DATA = Path(__file__).parent.parent / "data"


def connect(state: Path, name: str, steps: tuple[str, ...], synchronous: str) -> sqlite3.Connection:
    path = state / name
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():  # closing a descriptor drops every lock that this process has on the file
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Fault("internal", ledger.unwritable(state, error)) from error
    with mapped(state):
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(_SYNCHRONOUS[synchronous])
            db.execute("PRAGMA foreign_keys = ON")
            _migrate(db, state, steps)
        except BaseException:
            db.close()
            raise
    return db


_SYNCHRONOUS = {"FULL": "PRAGMA synchronous = FULL", "NORMAL": "PRAGMA synchronous = NORMAL"}


def _migrate(db: sqlite3.Connection, state: Path, steps: tuple[str, ...]) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise Fault(
            "internal",
            f"The state folder {state} was written by a newer fungible (schema {version}; this one knows"
            f" {len(steps)}): upgrade fungible, or point [server] state elsewhere.",
        )
    if version == len(steps):
        return
    with transaction(db):
        (version,) = db.execute("PRAGMA user_version").fetchone()  # another process may have been first
        for step in steps[version:]:
            for statement in _statements((DATA / step).read_text()):
                db.execute(statement)


def _statements(text: str) -> Iterator[str]:
    """One at a time: a trigger has semicolons inside."""
    whole = ""
    for part in text.split(";"):
        whole += part + ";"
        if sqlite3.complete_statement(whole):
            yield whole
            whole = ""


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


@contextmanager
def mapped(state: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            text = (
                f"The store in {state} has been held by another process for {BUSY_SECONDS:.0f} s: try again."
            )
            raise Fault("unavailable", text, retry_after_ms=1_000) from error
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            text = (
                f"The disk of the state folder {state} is full: free space, or set [server] state elsewhere."
            )
            raise Fault("unavailable", text, retry_after_ms=5_000) from error
        raise Fault("internal", f"The store in {state} cannot be used ({error}).") from error
    except sqlite3.DatabaseError as error:
        raise Fault(
            "internal",
            f"The store in {state} is damaged or no fungible store ({error}): restore the folder from a"
            " backup, or move it away and start with a fresh one.",
        ) from error
