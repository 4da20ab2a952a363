"""What the data port serves: calls go to the gateway, a few small pages are answered here.

    GET /v1/models      what can be asked for, in the caller's dialect; other dialects list it elsewhere
    GET /healthz        200 while the process lives
    GET /readyz         200 while it takes calls, 503 while it drains
    GET /metrics        Prometheus' text format

Whatever goes wrong is told in the caller's dialect, also by the edge itself before there is a call.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from .answer import Client
from .dialects import DIALECTS
from .dialects.base import MODELS
from .exchange import Exchange
from .faults import KINDS, Fault
from .gateway import FINISHED, Finished, Gateway, Request, credential_of, refuse
from .policies.auth import MISSING

TEXT = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"
JSON = b"content-type: application/json\r\n"

KIND_OF_STATUS: Mapping[int, str] = {
    400: "bad_request",
    405: "method",
    408: "timeout_client",
    413: "too_large",
    431: "headers_too_large",
    503: "unavailable",
}
"""What the edge refuses with -> the kind of fault it is."""


class Gauges(Protocol):
    def __call__(self) -> Mapping[str, tuple[str, float]]: ...


class Front:
    """The server's handler. `gauges`: what /metrics tells of this process besides its counts."""

    def __init__(self, gateway: Gateway, gauges: Gauges) -> None:
        self.gateway = gateway
        self._gauges = gauges
        self._pages: Mapping[str, Callable[[Request, Client], None]] = {
            **{dialect.models_path: self._models for dialect in DIALECTS.values()},
            "/healthz": self._health,
            "/readyz": self._ready,
            "/metrics": self._metrics,
        }

    def on_request(self, request: Request, client: Client) -> Exchange | Finished:
        page = self._pages.get(request.path)
        try:
            if page is None:
                return self.gateway.on_request(request, client)
            if request.method not in (b"GET", b"HEAD"):
                raise Fault("method", f"{request.path} takes GET, not {request.method.decode('latin-1')}.")
            page(request, client)
        except Fault as fault:
            refuse(client, self.gateway.spoken(request.path, request.headers), fault, "none")
        return FINISHED

    def refuse(self, status: int, message: str, path: str) -> bytes:
        """The body of a refusal by the edge, before a request could be read."""
        kind = KIND_OF_STATUS.get(status) or ("bad_request" if status < 500 else "internal")
        fault = Fault(kind, message, status=status if status in STATUSES else None)
        return self.gateway.spoken(path, {}).write_error(fault, "none")[1]

    def _models(self, request: Request, client: Client) -> None:
        local, path = self.gateway.local, request.path
        own = [d for d in DIALECTS.values() if d.models_path == path and path != MODELS]
        dialect = own[0] if own else self.gateway.spoken("", request.headers)
        if not local.settings.open:
            secret = credential_of(request, dialect)
            if not secret:
                raise Fault("authentication", MISSING)
            local.keys.check(secret)
        names = local.catalogue.names()
        client.reply(200, JSON, dialect.write_models(names))

    def _health(self, _request: Request, client: Client) -> None:
        client.reply(200, JSON, b'{"status":"ok"}')

    def _ready(self, _request: Request, client: Client) -> None:
        if self.gateway.draining:
            client.reply(503, JSON, b'{"status":"draining"}')
        else:
            client.reply(200, JSON, msgspec.json.encode({"status": "ready"}))

    def _metrics(self, _request: Request, client: Client) -> None:
        client.reply(200, TEXT, self.gateway.metrics.text(self._gauges()))


STATUSES = frozenset(kind.status for kind in KINDS.values())
