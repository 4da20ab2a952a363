"""Providers' batch endpoints, played: OpenAI's and Mistral's files and jobs, Anthropic's, Gemini's.

    server = BatchServer(respond)      # `respond` answers one request of the batch, as a provider would live
    Upstream(server.respond)           # everything else goes to `respond`, too

A batch has its answers at once, and is told to be running for `looks` looks. `gone` says of a request's body
why it is not answered (`expired`, `canceled`); `refuses` says with what a batch is refused as a whole. Shapes
are the official SDKs' (their clients read them in `test_batch_server.py`) and those of recorded traffic.
"""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.upstream import JSON, RESET, Seen, Step, answer

Respond = Callable[[Seen], Sequence[Step]]
DAY_S = 86_400
CODES = {"expired": "batch_expired", "canceled": "batch_cancelled"}


class BatchServer:
    def __init__(self, respond: Respond) -> None:
        self.live = respond
        self.looks = 1
        self.gone: Callable[[dict[str, Any]], str] = lambda _: ""
        self.refuses: Callable[[list[dict[str, Any]]], str] = lambda _: ""
        self.deaf = 0  # so many creations are taken, and not told
        self.turned_away = 0  # so many are not taken, with a 429
        self.files: dict[str, bytes] = {}
        self.deleted: list[str] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered = 0  # requests of batches
        self.bytes_max = 0  # of one body that came
        self.canceled: set[str] = set()
        self._number = 0

    # --- requests

    def respond(self, seen: Seen) -> Sequence[Step]:
        path, _, _ = seen.path.partition("?")
        self.bytes_max = max(self.bytes_max, len(seen.body))
        if seen.method == "POST" and self._creates(path):
            return self._created(seen, path)
        for kind, place in (("openai", "/v1/batches"), ("mistral", "/v1/batch/jobs")):
            if path.startswith(place):
                return self._jobs(seen, path.removeprefix(place).strip("/"), kind)
        if path.startswith("/v1/files"):
            return self._files(seen, path.removeprefix("/v1/files").strip("/"))
        if path.startswith("/v1/messages/batches"):
            return self._messages(seen, path.removeprefix("/v1/messages/batches").strip("/"))
        if path.startswith("/v1beta/batches"):
            return self._operations(seen, path.removeprefix("/v1beta/").strip("/"))
        return self.live(seen)

    def _creates(self, path: str) -> bool:
        places = ("/v1/batches", "/v1/batch/jobs", "/v1/messages/batches")
        return path in places or path.endswith(":batchGenerateContent")

    def _created(self, seen: Seen, path: str) -> Sequence[Step]:
        if self.turned_away:
            self.turned_away -= 1
            return answer(429, JSON, {"error": {"type": "rate_limit_error", "message": "Wait"}})
        body = seen.json
        if path == "/v1/messages/batches":
            made = self._messages_made(body)
        elif path.endswith(":batchGenerateContent"):
            made = self._operations_made(path, body)
        else:
            made = self._jobs_made(path, body)
        if self.deaf:
            self.deaf -= 1
            return [RESET]
        return answer(200, JSON, made)

    def _one(self, url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.answered += 1
        steps = self.live(Seen("POST", url, {}, json.dumps(body).encode()))
        wire = b"".join(step for step in steps if isinstance(step, bytes))
        head, _, said = wire.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), json.loads(said)

    def _new(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number}"

    def _running(self, batch: dict[str, Any]) -> bool:
        """Whether it is, this time; each look counts."""
        batch["left"] -= 1
        return batch["left"] >= 0 and batch["id"] not in self.canceled

    # --- files and jobs

    def _files(self, seen: Seen, rest: str) -> Sequence[Step]:
        id, _, what = rest.partition("/")
        if seen.method == "POST":
            edge = seen.headers["content-type"].partition("boundary=")[2].strip('"').encode()
            parts = seen.body.split(b"--" + edge)
            fields = {}
            for part in parts[1:-1]:
                head, _, data = part.strip(b"\r\n").partition(b"\r\n\r\n")
                fields[head.partition(b'name="')[2].partition(b'"')[0]] = data
            assert fields[b"purpose"] == b"batch", fields
            made = self._new("file-")
            self.files[made] = fields[b"file"]
            return answer(200, JSON, self._file(made))
        if id not in self.files:
            return answer(
                404, JSON, {"error": {"message": "No such File object", "type": "invalid_request_error"}}
            )
        if seen.method == "DELETE":
            del self.files[id]
            self.deleted.append(id)
            return answer(200, JSON, {"id": id, "object": "file", "deleted": True})
        if what == "content":
            return answer(200, "application/octet-stream", self.files[id])
        return answer(200, JSON, self._file(id))

    def _file(self, id: str) -> dict[str, Any]:
        return {
            "id": id, "object": "file", "bytes": len(self.files[id]), "created_at": int(time.time()),
            "filename": "x.jsonl", "purpose": "batch", "status": "processed", "sample_type": "batch_request",
            "source": "upload",
        }  # fmt: skip

    def _jobs_made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        kind = "openai" if path == "/v1/batches" else "mistral"
        given = body["input_file_id"] if kind == "openai" else body["input_files"][0]
        lines = [json.loads(line) for line in self.files[given].splitlines() if line]
        assert all(line["body"].get("stream") is not True for line in lines)
        if kind == "openai":
            assert {line["url"] for line in lines} == {body["endpoint"]} and body[
                "completion_window"
            ] == "24h"
        good, bad = [], []
        refused = self.refuses(lines)
        for line in lines if not refused else ():
            asked = line["body"] if kind == "openai" else {**line["body"], "model": body["model"]}
            gone = self.gone(asked)
            row: dict[str, Any] = {"id": self._new("batch_req_"), "custom_id": line["custom_id"]}
            if gone:
                error = {"code": CODES[gone], "message": "This request was not executed."}
                bad.append({**row, "response": None, "error": error})
                continue
            status, said = self._one(body["endpoint"], asked)
            row |= {
                "response": {"status_code": status, "request_id": f"req_{row['id']}", "body": said},
                "error": None,
            }
            (good if status == 200 else bad).append(row)
        id = self._new("batch_")
        batch = {
            "id": id, "kind": kind, "given": given, "endpoint": body["endpoint"], "left": self.looks,
            "metadata": body.get("metadata"), "total": len(lines), "good": good, "bad": bad, "model": body.get("model"),
            "created_at": int(time.time()), "refused": refused, "files": {},
        }  # fmt: skip
        self.batches[id] = batch
        return self._job(batch, "running" if not refused else "failed")

    def _jobs(self, seen: Seen, rest: str, kind: str) -> Sequence[Step]:
        id, _, what = rest.partition("/")
        if not id:
            jobs = [self._job(b, "running") for b in reversed(self.batches.values()) if b["kind"] == kind]
            more: dict[str, Any] = {"has_more": False} if kind == "openai" else {"total": len(jobs)}
            return answer(200, JSON, {"object": "list", "data": jobs, **more})
        batch = self.batches.get(id)
        if batch is None:
            error = {"type": "not_found_error", "code": 404, "message": "No such batch."}
            return answer(404, JSON, {"type": "error", "error": error})
        if what == "cancel":
            self.canceled.add(id)
            return answer(200, JSON, self._job(batch, "canceling"))
        if batch["refused"]:
            return answer(200, JSON, self._job(batch, "failed"))
        return answer(200, JSON, self._job(batch, "running" if self._running(batch) else "ended"))

    def _job(self, batch: dict[str, Any], state: str) -> dict[str, Any]:
        ended = state == "ended"
        good, bad = batch["good"], batch["bad"]
        if ended and batch["id"] in self.canceled:
            good = good[: len(good) // 2]  # the rest was never put to the model, and stands in no file
        files = batch["files"]
        if ended and not files:
            for name, rows in (("output", good), ("error", bad)):
                if rows:
                    files[name] = self._new("file-")
                    self.files[files[name]] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        done = len(batch["good"]) + len(batch["bad"])
        if batch["kind"] == "openai":
            words = {
                "running": "in_progress",
                "canceling": "cancelling",
                "failed": "failed",
                "ended": "completed",
            }
            errors = {"object": "list", "data": [{"code": "invalid", "line": 1, "message": batch["refused"]}]}
            return {
                "id": batch["id"], "object": "batch", "endpoint": batch["endpoint"], "model": None,
                "errors": errors if batch["refused"] else None, "input_file_id": batch["given"],
                "completion_window": "24h",
                "status": "cancelled" if ended and batch["id"] in self.canceled else words[state],
                "output_file_id": files.get("output"), "error_file_id": files.get("error"),
                "created_at": batch["created_at"], "expires_at": batch["created_at"] + DAY_S,
                "in_progress_at": None, "finalizing_at": None, "completed_at": None, "failed_at": None,
                "expired_at": None, "cancelling_at": None, "cancelled_at": None,
                "request_counts": {"total": batch["total"], "completed": done if ended else 0, "failed": 0},
                "metadata": batch["metadata"],
            }  # fmt: skip
        words = {
            "running": "RUNNING",
            "canceling": "CANCELLATION_REQUESTED",
            "failed": "FAILED",
            "ended": "SUCCESS",
        }
        return {
            "id": batch["id"], "object": "batch", "input_files": [batch["given"]], "endpoint": batch["endpoint"],
            "errors": [{"message": batch["refused"], "count": 1}] if batch["refused"] else [],
            "status": "CANCELLED" if ended and batch["id"] in self.canceled else words[state],
            "created_at": batch["created_at"], "total_requests": batch["total"],
            "completed_requests": done if ended else 0, "succeeded_requests": len(good) if ended else 0,
            "failed_requests": len(bad) if ended else 0, "metadata": batch["metadata"], "model": batch["model"],
            "output_file": files.get("output"), "error_file": files.get("error"),
        }  # fmt: skip

    # --- messages

    def _messages_made(self, body: dict[str, Any]) -> dict[str, Any]:
        rows = []
        for request in body["requests"]:
            assert set(request) == {"custom_id", "params"} and "stream" not in request["params"]
            gone = self.gone(request["params"])
            if gone:
                rows.append({"custom_id": request["custom_id"], "result": {"type": gone}})
                continue
            status, said = self._one("/v1/messages", request["params"])
            if status == 200:
                result = {"type": "succeeded", "message": said}
            else:
                result = {"type": "errored", "error": {**said, "request_id": "req_1"}}
            rows.append({"custom_id": request["custom_id"], "result": result})
        id = self._new("msgbatch_")
        self.batches[id] = {
            "id": id, "kind": "messages", "left": self.looks, "rows": rows, "created_at": time.time(),
        }  # fmt: skip
        return self._message_batch(self.batches[id], False)

    def _messages(self, seen: Seen, rest: str) -> Sequence[Step]:
        id, _, what = rest.partition("/")
        if not id:
            every = [b for b in reversed(self.batches.values()) if b["kind"] == "messages"]
            data = [self._message_batch(batch, batch["left"] < 0) for batch in every]
            ids = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
            return answer(200, JSON, {"data": data, "has_more": False, **ids})
        batch = self.batches.get(id)
        if batch is None:
            error = {"type": "not_found_error", "code": 404, "message": "No such batch."}
            return answer(404, JSON, {"type": "error", "error": error})
        if what == "cancel":
            self.canceled.add(id)
            half = len(batch["rows"]) // 2
            for row in batch["rows"][half:]:
                row["result"] = {"type": "canceled"}
            return answer(200, JSON, {**self._message_batch(batch, False), "processing_status": "canceling"})
        if what == "results":
            lines = [json.dumps(row) for row in reversed(batch["rows"])]
            return answer(200, "application/binary", "\n".join(lines))
        return answer(200, JSON, self._message_batch(batch, not self._running(batch)))

    def _message_batch(self, batch: dict[str, Any], ended: bool) -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        for row in batch["rows"]:
            counts[row["result"]["type"] if ended else "processing"] += 1
        url = f"https://api.anthropic.com/v1/messages/batches/{batch['id']}/results"
        return {
            "id": batch["id"], "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts, "ended_at": _rfc3339(time.time()) if ended else None,
            "created_at": _rfc3339(batch["created_at"]), "expires_at": _rfc3339(batch["created_at"] + DAY_S),
            "archived_at": None, "cancel_initiated_at": None, "results_url": url if ended else None,
        }  # fmt: skip

    # --- operations

    def _operations_made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        model = path.removeprefix("/v1beta/").removesuffix(":batchGenerateContent")
        rows = []
        for given in body["batch"]["inputConfig"]["requests"]["requests"]:
            row: dict[str, Any] = {"metadata": given.get("metadata", {})}
            gone = self.gone(given["request"])
            if gone:
                row["error"] = {"code": 1 if gone == "canceled" else 4, "message": gone}
            else:
                status, said = self._one(f"/v1beta/{model}:generateContent", given["request"])
                row |= {"response": said} if status == 200 else {"error": {"code": 3, "message": "Invalid"}}
            rows.append(row)
        id = self._new("batches/b")
        self.batches[id] = {
            "id": id, "kind": "operations", "left": self.looks, "rows": rows, "created_at": time.time(),
            "model": model, "name": body["batch"]["displayName"],
        }  # fmt: skip
        return self._operation(self.batches[id], False)

    def _operations(self, seen: Seen, rest: str) -> Sequence[Step]:
        id, _, what = rest.partition(":")
        if id == "batches":
            every = [b for b in reversed(self.batches.values()) if b["kind"] == "operations"]
            return answer(200, JSON, {"operations": [self._operation(batch, False) for batch in every]})
        batch = self.batches.get(id)
        if batch is None:
            error = {"type": "not_found_error", "code": 404, "message": "No such batch."}
            return answer(404, JSON, {"type": "error", "error": error})
        if what == "cancel":
            self.canceled.add(id)
            return answer(200, JSON, {})
        return answer(200, JSON, self._operation(batch, not self._running(batch)))

    def _operation(self, batch: dict[str, Any], ended: bool) -> dict[str, Any]:
        total = str(len(batch["rows"]))
        state = "BATCH_STATE_CANCELLED" if batch["id"] in self.canceled else "BATCH_STATE_SUCCEEDED"
        metadata: dict[str, Any] = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": batch["model"], "displayName": batch["name"], "createTime": _rfc3339(batch["created_at"]),
            "updateTime": _rfc3339(batch["created_at"]), "state": state if ended else "BATCH_STATE_RUNNING",
            "batchStats": {"requestCount": total, **({} if ended else {"pendingRequestCount": total})},
            "name": batch["id"],
        }  # fmt: skip
        if ended and batch["id"] not in self.canceled:
            metadata["output"] = {"inlinedResponses": {"inlinedResponses": batch["rows"]}}
        return {"name": batch["id"], "metadata": metadata, **({"done": True} if ended else {})}


def _rfc3339(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1_000_000):06d}Z"
