"""What `fungible switch rehearse --batch` has to settle before anything is asked."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ...asker import Asker
from ...batching.journal import Journal
from ...batching.passes import Passes
from ...faults import Fault
from ...switch.runs import FOLDER, Run, Settings, runs

ALWAYS, AUTO = "always", "auto"
NAMES = frozenset({"name"})  # what a run is called is no part of what it is asked to do


def digest(*words: Any) -> str:
    """Of a command's options, so that the same command is known again."""
    said = [
        {k: v for k, v in word.items() if k not in NAMES} if isinstance(word, Mapping) else word
        for word in words
    ]
    return sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def same_under_way(state: str, command: str, name: str | None) -> str | None:
    """The newest run, or the one of this name, that the same command began and whose batches are not over."""
    for settings in reversed(runs(state)):
        if name not in (None, settings.run):
            continue
        journal = Journal(Path(state) / FOLDER / settings.run)
        if settings.batched and journal.asked() == command and journal.under_way():
            return settings.run
    return None


def no_batches_with(
    batch: str | None, cancel: bool, resume: str | None, engine: str, wanted: Mapping[str, Any]
) -> None:
    """Raises Fault for options that make no sense together."""
    if cancel and resume is None:
        raise Fault(
            "bad_request", "--cancel stops the batches of a run: name it, --resume RUN.", path="cancel"
        )
    if batch is None:
        return
    if engine != "here":
        raise Fault(
            "bad_request",
            f"A batch is made by one process: leave out --engine {engine}, or --batch.",
            path="batch",
        )
    if wanted.get("timely_ms") is not None:
        raise Fault(
            "bad_request",
            "A batch tells nothing of how long an answer takes: leave out --timely-ms, or --batch.",
            path="batch",
        )


def no_other_way(run: Run, batch: str | None, cancel: bool, engine: str) -> None:
    """A run goes on the way it was begun. Raises Fault."""
    if cancel and not run.settings.batched:
        raise Fault(
            "bad_request",
            f"The run {run.settings.run!r} has no batches to stop: it was begun without --batch.",
            path="cancel",
        )
    if batch is not None and not run.settings.batched:
        raise Fault(
            "bad_request",
            f"The run {run.settings.run!r} was begun without --batch. Go on without it, or begin another.",
            path="batch",
        )
    if run.settings.batched and engine != "here":
        raise Fault(
            "bad_request",
            f"The run {run.settings.run!r} is by the batch: go on without --engine.",
            path="engine",
        )


def settled(run: Run) -> None:
    """Raises Fault where batches are under way: their answers would be paid, and nobody know for what."""
    if Journal(run.folder).under_way():
        raise Fault(
            "conflict",
            f"Batches of {run.settings.run!r} are under way. Stop them first: fungible switch rehearse "
            f"--resume {run.settings.run} --cancel.",
        )


async def batched(settings: Settings, batch: str, config_path: str | None) -> Settings:
    """The settings with who is asked by the batch. Raises Fault: a candidate takes none, and has to."""
    asker = Asker(config_path)
    try:
        passes = Passes(asker.app(), asker)
        again = set(settings.incumbents) if settings.anew else set()
        taking = [name for name in settings.targets if passes.api(name) is not None]
        without = [name for name in settings.targets if name not in taking]
        if without and batch != AUTO:
            raise Fault(
                "bad_request",
                f"{', '.join(without)} has no batch API that is known here. --batch=auto asks what has none "
                "one by one; without --batch all are.",
                path="batch",
            )
        for name in sorted(again - {*taking, *without, ""}):
            try:
                if passes.api(name) is not None:
                    taking.append(name)
            except Fault:
                continue  # it is told when it is asked
        return msgspec.structs.replace(settings, batched=tuple(taking))
    finally:
        await asker.close()
