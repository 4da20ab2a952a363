"""Batches whose requests are a file of JSON lines: uploaded, named by a job, answered in two more files.

Two APIs think so and differ in words, so each is a row of them.

    FILES   OpenAI's, and whoever speaks it: https://platform.openai.com/docs/api-reference/batch; words from
            the SDK (openai 3: `types/batch.py`, `types/batch_create_params.py`) and recorded answers
    JOBS    Mistral's: https://docs.mistral.ai/capabilities/batch; words from the SDK (mistralai 3:
            `models/batchjob.py`, `models/createbatchjobrequest.py`)

A line of an answer is {"custom_id", "response": {"status_code", "request_id", "body"}, "error"}. A request
that was never put to the model has an `error` with the codes below and no response, and is not charged
(https://help.openai.com/en/articles/9197833-batch-api-faq).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ...faults import Fault
from .base import (
    ERROR_CHARS_MAX,
    MARK,
    Errand,
    Gone,
    Job,
    Result,
    State,
    count_of,
    identity,
    is_identity,
    one_line,
    seconds_of,
    unread,
)

PURPOSE = "batch"
WINDOW_H = 24
PAGE = 100  # jobs
GONE: Mapping[str, Gone] = {
    "batch_expired": "expired",
    "batch_cancelled": "canceled",
}
"""A line's error code -> why it was not answered."""

REST: Mapping[str, Gone] = {"expired": "expired", "timeout_exceeded": "expired", "cancelled": "canceled"}
"""A job's status -> what became of requests that are in none of its files."""


class _Response(msgspec.Struct):
    status_code: int = 0
    request_id: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | str | None = None


_LINE = msgspec.json.Decoder(_Line)
_FIELDS = msgspec.json.Decoder(dict[str, Any])


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """A row.

    place:     where jobs are; `states`: a job's status -> what it means to us
    outputs:   the fields of a job that name its files of answers; `inputs`: the files it was made of
    counts:    the field that holds the counts, "" where the job itself does; `done`, `total`: in it
    addressed: whether a line names its method and path; else the job names the path and the model
    paged:     whether a page is asked for by its number; else by the last id of the one before
    """

    place: str
    requests_max: int
    bytes_max: int
    states: Mapping[str, State]
    outputs: tuple[str, str]
    inputs: str
    counts: str
    done: tuple[str, ...]
    total: str
    addressed: bool
    paged: bool

    def line(self, id: str, url: str, body: bytes) -> bytes:
        if self.addressed:
            parts: dict[str, Any] = {"custom_id": id, "method": "POST", "url": url}
            return msgspec.json.encode({**parts, "body": msgspec.Raw(one_line(body))})
        fields = msgspec.json.decode(one_line(body), type=dict[str, msgspec.Raw])
        fields.pop("model", None)
        return msgspec.json.encode({"custom_id": id, "body": fields})

    def upload(self, mark: str, lines: bytes) -> Errand:
        """As multipart/form-data (RFC 7578). Our mark is the boundary: no JSON holds two dashes before it."""
        edge = f"--{mark}".encode()
        name = f"{mark}.jsonl".encode()
        body = b"\r\n".join(
            (
                edge,
                b'content-disposition: form-data; name="purpose"',
                b"",
                PURPOSE.encode(),
                edge,
                b'content-disposition: form-data; name="file"; filename="%b"' % name,
                b"content-type: application/jsonl",
                b"",
                lines,
                edge + b"--",
                b"",
            )
        )
        return Errand("POST", "/files", body, f"multipart/form-data; boundary={mark}")

    def uploaded(self, answer: bytes) -> str:
        what = "answer to an upload"
        return identity(_read(answer, what), "id", what)

    def create(self, mark: str, model: str, url: str, given: bytes) -> Errand:
        metadata = {MARK: mark}
        file = given.decode()
        said: dict[str, Any]
        if self.addressed:
            said = {"input_file_id": file, "endpoint": url, "completion_window": f"{WINDOW_H}h"}
        else:
            said = {"input_files": [file], "endpoint": url, "model": model, "timeout_hours": WINDOW_H}
        return Errand("POST", self.place, msgspec.json.encode({**said, "metadata": metadata}))

    def look(self, id: str) -> Errand:
        return Errand("GET", f"{self.place}/{id}")

    def cancel(self, id: str) -> Errand:
        return Errand("POST", f"{self.place}/{id}/cancel", b"{}")

    def page(self, number: int, after: str) -> Errand:
        if self.paged:
            return Errand("GET", f"{self.place}?page_size={PAGE}&page={number}")
        return Errand("GET", f"{self.place}?limit={PAGE}" + (f"&after={after}" if after else ""))

    def job(self, answer: bytes) -> Job:
        return self._job(_read(answer, "batch"))

    def jobs(self, answer: bytes) -> tuple[list[Job], str]:
        said = _read(answer, "list of batches")
        rows = said.get("data") or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise unread("list of batches")
        found = [self._job(row) for row in rows]
        more = len(found) == PAGE if self.paged else bool(said.get("has_more"))
        return found, found[-1].id if more and found else ""

    def _job(self, said: dict[str, Any]) -> Job:
        id = identity(said, "id", "batch")
        status = str(said.get("status", "")).lower()
        state = self.states.get(status)
        if state is None:
            raise Fault("provider_answer", f"The provider's batch {id} is {status!r}, which is not known.")
        counted = said.get(self.counts) if self.counts else said
        counts: dict[str, Any] = counted if isinstance(counted, dict) else {}
        files = [name for field in self.outputs if _is_file(name := said.get(field))]
        given = said.get(self.inputs)
        inputs = given if isinstance(given, list) else [given]
        mark = (said.get("metadata") or {}).get(MARK) if isinstance(said.get("metadata"), dict) else None
        return Job(
            id=id,
            state="ended" if state == "failed" and files else state,
            done=sum(count_of(counts.get(field)) for field in self.done),
            total=count_of(counts.get(self.total)),
            outputs=tuple(f"/files/{name}/content" for name in files),
            leavings=tuple(
                Errand("DELETE", f"/files/{name}") for name in (*inputs, *files) if _is_file(name)
            ),
            mark=str(mark or ""),
            created_s=seconds_of(said.get("created_at")),
            why=_why(said.get("errors")),
            rest=REST.get(status, ""),
        )

    def results(self, lines: Iterable[bytes]) -> Iterator[Result]:
        for data in lines:
            if not data.strip():
                continue
            try:
                line = _LINE.decode(data)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue
            if line.response is not None and line.response.status_code:
                response = line.response
                yield Result(
                    line.custom_id,
                    response.status_code,
                    bytes(response.body),
                    request_id=response.request_id or "",
                )
                continue
            code = line.error.code if isinstance(line.error, _Error) else None
            gone = GONE.get(code or "")
            if gone is not None:
                yield Result(line.custom_id, gone=gone)
            else:
                yield Result(line.custom_id, 500, msgspec.json.encode({"error": line.error}))


def _read(answer: bytes, what: str) -> dict[str, Any]:
    try:
        return _FIELDS.decode(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise unread(what, error) from None


def _is_file(name: Any) -> bool:
    return isinstance(name, str) and is_identity(name)


def _why(errors: Any) -> str:
    """Of OpenAI {"data": [{"message", "line"}]}, of Mistral [{"message"}]: the first few, as one sentence."""
    rows = errors.get("data") if isinstance(errors, dict) else errors
    told = rows if isinstance(rows, list) else []
    said = [str(row.get("message", "")) for row in told if isinstance(row, dict)]
    return " ".join(dict.fromkeys(said))[:ERROR_CHARS_MAX]


FILES = Files(
    place="/batches",
    requests_max=50_000,
    bytes_max=200_000_000,
    states={
        "validating": "running",
        "in_progress": "running",
        "finalizing": "running",
        "cancelling": "running",
        "completed": "ended",
        "expired": "ended",
        "cancelled": "ended",
        "failed": "failed",
    },
    outputs=("output_file_id", "error_file_id"),
    inputs="input_file_id",
    counts="request_counts",
    done=("completed", "failed"),
    total="total",
    addressed=True,
    paged=False,
)

JOBS = Files(
    place="/batch/jobs",
    requests_max=1_000_000,
    bytes_max=512_000_000,
    states={
        "queued": "running",
        "running": "running",
        "cancellation_requested": "running",
        "success": "ended",
        "timeout_exceeded": "ended",
        "cancelled": "ended",
        "failed": "failed",
    },
    outputs=("output_file", "error_file"),
    inputs="input_files",
    counts="",
    done=("completed_requests",),
    total="total_requests",
    addressed=False,
    paged=True,
)
