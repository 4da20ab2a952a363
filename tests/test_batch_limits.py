"""Batches stay within their API's limits, of requests and of bytes, and what is held back goes into another."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from fungible.batching import batcher
from fungible.providers.batches.inline import Messages
from fungible.switch import batched
from tests.test_batch_crashes import Fuse, begun, fused, gone, in_here
from tests.test_switch_batch import BatchStage
from tests.upstream import JSON, Seen, Step, answer

__all__ = ["in_here"]
TARGET = "anthropic/two"


def _rehearsed(
    folder: Path, patch: pytest.MonkeyPatch, count: int, stage: BatchStage
) -> list[dict[str, Any]]:
    patch.chdir(folder)
    begun(stage, TARGET, count)
    fused(patch, Fuse(0))
    asyncio.run(gone(stage))
    rows = stage.rows()
    assert [row["state"] for row in rows].count("settled") == count
    return rows


def test_by_requests(tmp_path: Path, in_here: pytest.MonkeyPatch) -> None:
    in_here.setattr(Messages, "requests_max", 3)
    with BatchStage(tmp_path) as stage:
        _rehearsed(tmp_path, in_here, 8, stage)
        assert sorted(len(batch["rows"]) for batch in stage.server.batches.values()) == [2, 3, 3]


def test_by_bytes(tmp_path: Path, in_here: pytest.MonkeyPatch) -> None:
    in_here.setattr(batcher, "PILE_BYTES_MAX", 600)
    with BatchStage(tmp_path) as stage:
        _rehearsed(tmp_path, in_here, 8, stage)
        assert 2 <= stage.creations() <= 8 and stage.server.bytes_max < 600 + len('{"requests":[]}')


def test_rounds_of_all(tmp_path: Path, in_here: pytest.MonkeyPatch) -> None:
    in_here.setattr(batched, "MOST", 3)
    with BatchStage(tmp_path) as stage:
        _rehearsed(tmp_path, in_here, 8, stage)
        assert [len(batch["rows"]) for batch in stage.server.batches.values()] == [3, 3, 2]


def test_a_provider_that_cannot_be_asked_for_a_while_is_waited_for(
    tmp_path: Path, in_here: pytest.MonkeyPatch
) -> None:
    with BatchStage(tmp_path) as stage:
        looks = 0

        def respond(seen: Seen) -> Sequence[Step]:
            nonlocal looks
            looks += seen.method == "GET"
            down = seen.method == "GET" and looks < 3 * batcher.TRIES_MAX
            return answer(503, JSON, {"type": "error"}) if down else stage.server.respond(seen)

        stage.new.respond = respond
        _rehearsed(tmp_path, in_here, 2, stage)
        assert stage.creations() == 1 and looks > 3 * batcher.TRIES_MAX


def test_what_is_held_back_goes_into_another_batch_and_is_told_at_last(
    tmp_path: Path, in_here: pytest.MonkeyPatch
) -> None:
    limited = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}
    with BatchStage(tmp_path) as stage:
        plain = stage.server._one
        stage.server._one = lambda url, body: (  # type: ignore[method-assign]
            (429, limited) if "#1" in json.dumps(body) else plain(url, body)
        )
        in_here.chdir(tmp_path)
        begun(stage, TARGET, 2)
        fused(in_here, Fuse(0))
        asyncio.run(gone(stage))
        assert [len(batch["rows"]) for batch in stage.server.batches.values()] == [2, 1, 1]
        rows = stage.rows()
    assert sorted(row["state"] for row in rows) == ["settled", "void", "void", "void"]
    assert {row["fault"] for row in rows if row["state"] == "void"} == {"rate_limited"}
