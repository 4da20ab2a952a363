"""Batches whose requests stand in the very call that makes the job.

MESSAGES     Anthropic's: https://platform.claude.com/docs/en/build-with-claude/batch-processing; words from
             the SDK (anthropic 2: `types/messages/message_batch*.py`) and recorded answers. It has no place
             for a mark. What failed, was canceled or expired is not charged (the same page).
OPERATIONS   Gemini's: https://ai.google.dev/gemini-api/docs/batch-api; words from the SDK (google-genai 3:
             `batches.py`) and recorded answers. Inline requests may have 20 MB; the answers stand in the
             job itself, and there are none where it was canceled or expired: what such a job has cost is
             not told. The mark is its display name.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from ...faults import Fault
from .base import (
    ERROR_CHARS_MAX,
    Errand,
    Gone,
    Job,
    Result,
    State,
    count_of,
    identity,
    one_line,
    seconds_of,
    unread,
)

PAGE = 100  # jobs

STATUS_OF: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""An error's type -> the status it has by itself (https://platform.claude.com/docs/en/api/errors)."""

GONE: Mapping[str, Gone] = {"expired": "expired", "canceled": "canceled"}


class _Named(msgspec.Struct):
    type: str = ""


class _Errored(msgspec.Struct):
    error: _Named = msgspec.field(default_factory=_Named)
    request_id: str | None = None


class _Result(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"")
    error: msgspec.Raw = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    custom_id: str
    result: _Result


_LINE = msgspec.json.Decoder(_Line)
_ERRORED = msgspec.json.Decoder(_Errored)


class Messages:
    """`MESSAGES`."""

    requests_max = 100_000
    bytes_max = 256_000_000
    place = "/v1/messages/batches"

    def line(self, id: str, url: str, body: bytes) -> bytes:
        return msgspec.json.encode({"custom_id": id, "params": msgspec.Raw(one_line(body))})

    def upload(self, mark: str, lines: bytes) -> None:
        return None

    def uploaded(self, answer: bytes) -> str:
        raise AssertionError("nothing is uploaded")

    def create(self, mark: str, model: str, url: str, given: bytes) -> Errand:
        return Errand("POST", self.place, b'{"requests":[%b]}' % given.strip().replace(b"\n", b","))

    def look(self, id: str) -> Errand:
        return Errand("GET", f"{self.place}/{id}")

    def cancel(self, id: str) -> Errand:
        return Errand("POST", f"{self.place}/{id}/cancel", b"{}")

    def page(self, number: int, after: str) -> Errand:
        return Errand("GET", f"{self.place}?limit={PAGE}" + (f"&after_id={after}" if after else ""))

    def job(self, answer: bytes) -> Job:
        return self._job(_read(answer, "batch"))

    def jobs(self, answer: bytes) -> tuple[list[Job], str]:
        said = _read(answer, "list of batches")
        found = [self._job(row) for row in _rows(said.get("data"), "list of batches")]
        return found, found[-1].id if found and said.get("has_more") else ""

    def _job(self, said: dict[str, Any]) -> Job:
        id = identity(said, "id", "batch")
        status = said.get("processing_status")
        counts = said.get("request_counts")
        numbers = {k: count_of(v) for k, v in counts.items()} if isinstance(counts, dict) else {}
        total = sum(numbers.values())
        ended = status == "ended"
        return Job(
            id=id,
            state="ended" if ended else "running",
            done=total - numbers.get("processing", 0),
            total=total,
            outputs=(f"{self.place}/{id}/results",) if ended else (),
            mark=None,
            created_s=seconds_of(said.get("created_at")),
        )

    def results(self, lines: Iterable[bytes]) -> Iterator[Result]:
        for data in lines:
            if not data.strip():
                continue
            try:
                line = _LINE.decode(data)
                result = line.result
                if result.type == "succeeded":
                    yield Result(line.custom_id, 200, bytes(result.message))
                elif result.type in GONE:
                    yield Result(line.custom_id, gone=GONE[result.type])
                else:
                    body = bytes(result.error)
                    error = _ERRORED.decode(body)
                    status = STATUS_OF.get(error.error.type, 500)
                    yield Result(line.custom_id, status, body, request_id=error.request_id or "")
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue


STATES: Mapping[str, State] = {
    "PENDING": "running",
    "QUEUED": "running",
    "RUNNING": "running",
    "UNSPECIFIED": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "ended",
    "PARTIALLY_SUCCEEDED": "ended",
    "CANCELLED": "ended",
    "EXPIRED": "ended",
    "FAILED": "failed",
}
"""What follows BATCH_STATE_ or, in other answers, JOB_STATE_ -> what it means to us."""

REST: Mapping[str, Gone] = {"EXPIRED": "expired", "CANCELLED": "canceled"}

KEY = "custom_id"
RPC_STATUS: Mapping[int, int] = {
    1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 11: 400, 13: 500, 14: 503, 16: 401,
}  # fmt: skip
"""google.rpc.Code -> the HTTP status it is told with (google/rpc/code.proto)."""


class _Inlined(msgspec.Struct):
    metadata: dict[str, str] = {}
    response: msgspec.Raw = msgspec.Raw(b"")
    error: dict[str, Any] | None = None


class _Responses(msgspec.Struct):
    inlined: list[_Inlined] = msgspec.field(default_factory=list, name="inlinedResponses")


class _Output(msgspec.Struct):
    responses: _Responses = msgspec.field(default_factory=_Responses, name="inlinedResponses")


class _Metadata(msgspec.Struct):
    output: _Output = msgspec.field(default_factory=_Output)


class _Operation(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_OPERATION = msgspec.json.Decoder(_Operation)


class Operations:
    """`OPERATIONS`. A job's id is its name, `batches/...`."""

    requests_max = 10_000
    bytes_max = 19_000_000
    place = "/v1beta"

    def line(self, id: str, url: str, body: bytes) -> bytes:
        return msgspec.json.encode({"request": msgspec.Raw(one_line(body)), "metadata": {KEY: id}})

    def upload(self, mark: str, lines: bytes) -> None:
        return None

    def uploaded(self, answer: bytes) -> str:
        raise AssertionError("nothing is uploaded")

    def create(self, mark: str, model: str, url: str, given: bytes) -> Errand:
        requests = msgspec.Raw(b"[%b]" % given.strip().replace(b"\n", b","))
        batch = {"displayName": mark, "inputConfig": {"requests": {"requests": requests}}}
        path = f"{self.place}/models/{model.removeprefix('models/')}:batchGenerateContent"
        return Errand("POST", path, msgspec.json.encode({"batch": batch}))

    def look(self, id: str) -> Errand:
        return Errand("GET", f"{self.place}/{id}")

    def cancel(self, id: str) -> Errand:
        return Errand("POST", f"{self.place}/{id}:cancel", b"{}")

    def page(self, number: int, after: str) -> Errand:
        token = f"&pageToken={quote(after, safe='')}" if after else ""
        return Errand("GET", f"{self.place}/batches?pageSize={PAGE}{token}")

    def job(self, answer: bytes) -> Job:
        return self._job(_read(answer, "batch"))

    def jobs(self, answer: bytes) -> tuple[list[Job], str]:
        said = _read(answer, "list of batches")
        found = [self._job(row) for row in _rows(said.get("operations"), "list of batches")]
        return found, str(said.get("nextPageToken") or "")

    def _job(self, said: dict[str, Any]) -> Job:
        id = identity(said, "name", "batch")
        metadata = said.get("metadata")
        told: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
        word = str(told.get("state", "")).partition("_STATE_")[2]
        state = STATES.get(word)
        if state is None:
            raise Fault(
                "provider_answer", f"The provider's batch {id} is {told.get('state')!r}, which is not known."
            )
        stats = told.get("batchStats")
        counts: dict[str, Any] = stats if isinstance(stats, dict) else {}
        total = count_of(counts.get("requestCount"))
        over = state == "ended"
        return Job(
            id=id,
            state=state,
            done=total - count_of(counts.get("pendingRequestCount")),
            total=total,
            outputs=(f"{self.place}/{id}",) if over else (),
            mark=str(told.get("displayName") or ""),
            created_s=seconds_of(told.get("createTime")),
            why=_why(said.get("error")),
            rest=REST.get(word, ""),
            unsure=word in REST,
        )

    def results(self, lines: Iterable[bytes]) -> Iterator[Result]:
        try:
            operation = _OPERATION.decode(b"".join(lines))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise unread("results", error) from None
        for answer in operation.metadata.output.responses.inlined:
            id = answer.metadata.get(KEY, "")
            if answer.error is None:
                yield Result(id, 200, bytes(answer.response))
                continue
            code = answer.error.get("code")
            status = RPC_STATUS.get(code, 500) if isinstance(code, int) else 500
            if status == 499:
                yield Result(id, gone="canceled")
                continue
            said = {"code": status, "message": str(answer.error.get("message", ""))}
            yield Result(id, status, msgspec.json.encode({"error": said}))


def _read(answer: bytes, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise unread(what, error) from None


def _rows(said: Any, what: str) -> list[dict[str, Any]]:
    rows = said if said is not None else []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unread(what)
    return rows


def _why(error: Any) -> str:
    return str(error.get("message", ""))[:ERROR_CHARS_MAX] if isinstance(error, dict) else ""


MESSAGES = Messages()
OPERATIONS = Operations()
