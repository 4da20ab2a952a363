"""The admin listener: what an operator asks a running server, and what the console will.

    GET    /healthz /readyz /metrics      as on the data port
    GET    /api/keys                      all keys, revoked ones included
    POST   /api/keys                      make one, of the fields of `NewKey`
    DELETE /api/keys/NAME_OR_ID           revoke one
    GET    /api/spend?by=provider&since=7d
    GET    /api/losses?by=route&since=7d
    GET    /api/calls?limit=20            the latest calls
    GET    /api/calls/CALL_ID             one, with its attempts
    GET    /api/drill                     the last drill, with what its users felt
    POST   /api/drill                     make a provider fail, of the fields of `drill.plan.Order`
    DELETE /api/drill/ID                  end it before its time
    GET    /api/config                    what is in force, and why a changed file is not
    POST   /api/config/reload             read the file again

It may do what the commands of whoever owns the state folder may do, so it asks for a token that lies in that
folder, readable by its owner alone. It listens on loopback only; a page in a browser that resolves its own
name to 127.0.0.1 (DNS rebinding) is refused by its Host, and no CORS header lets another page read an answer.

Whatever touches the store is done in a thread beside the loop: no call waits for it. Not here: HTML.
"""

import asyncio
import hmac
import os
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

from . import keys, statement
from .app import App
from .drill import plan
from .drill.report import BEFORE_MS, reported
from .faults import Fault
from .gateway import FINISHED, Finished, credential
from .http.responder import Call, Request, Responder
from .ir import Json
from .models import Catalogue, nearest_name
from .money import Price
from .store import Store

HOST = "127.0.0.1"
TOKEN = "admin.token"  # noqa: S105 - the name of the file
HOSTS = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
HEAD = b"content-type: application/json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
CALLS_MAX = 1_000


class Asked(NamedTuple):
    """`name`: the last segment of the path, where the route has one."""

    name: str
    query: dict[str, str]
    body: bytes
    price_of: statement.PriceOf
    catalogue: Catalogue


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    budget_usd: str | int | None = None
    window: str = "month"
    rpm: int | None = None
    tpm: int | None = None
    models: tuple[str, ...] = ()
    team: str | None = None


def list_keys(store: Store, asked: Asked) -> Json:
    return {"keys": [statement.key(row) for row, _ in store.keys()]}  # noqa: SIM118 - a store is no dict


def make_key(store: Store, asked: Asked) -> Json:
    try:
        new = msgspec.json.decode(asked.body, type=NewKey)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault("bad_request", f"No key can be made of the body: {error}.") from None
    budget = None if new.budget_usd is None else str(new.budget_usd)
    row, secret = keys.create(
        store,
        new.name,
        now_ms=time.time_ns() // 1_000_000,
        budget_usd=budget,
        window=new.window,
        rpm=new.rpm,
        tpm=new.tpm,
        models=new.models,
        team=new.team,
    )
    return {"key": secret, **statement.key(row)}


def revoke_key(store: Store, asked: Asked) -> Json:
    return statement.key(store.revoke_key(asked.name, time.time_ns() // 1_000_000))


def spending(store: Store, asked: Asked) -> Json:
    since = asked.query.get("since")
    since_ms = 0 if since is None else statement.moment_ms(since, time.time())
    return statement.spending(store, asked.query.get("by", "provider"), since_ms)


def losing(store: Store, asked: Asked) -> Json:
    since, now_ms = asked.query.get("since"), time.time_ns() // 1_000_000
    since_ms = 0 if since is None else statement.moment_ms(since, time.time())
    return statement.losing(store, asked.query.get("by", "route"), since_ms, now_ms, asked.price_of)


def calls(store: Store, asked: Asked) -> Json:
    limit = asked.query.get("limit", "20")
    if not limit.isdecimal() or not 0 < int(limit) <= CALLS_MAX:
        raise Fault("bad_request", f"limit is a number from 1 to {CALLS_MAX}, not {limit!r}.", path="limit")
    return {"calls": store.calls(int(limit))}


def call(store: Store, asked: Asked) -> Json:
    found = store.call(asked.name)
    if found is None:
        raise Fault("not_found", f"The ledger has no call {asked.name!r}. /api/calls lists the latest.")
    return found


def start_drill(store: Store, asked: Asked) -> Json:
    try:
        order = msgspec.json.decode(asked.body, type=plan.Order).checked()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault("bad_request", f"No drill can be made of the body: {error}.") from None
    providers, routes = asked.catalogue.providers, asked.catalogue.plans
    if order.provider not in providers:
        near = nearest_name(order.provider, providers)
        raise Fault("not_found", f"No provider {order.provider!r} is on here.{near}", path="provider")
    if order.route:
        asked.catalogue.route(order.route)
    plan.undisturbed(store.state, order.provider, order.route)
    now_ms = time.time_ns() // 1_000_000
    ordered = order.drill(now_ms)
    plan.start(store.state, ordered, now_ms)
    alone = [
        name
        for name, row in routes.items()
        if order.route in ("", name) and {pair[0] for pair in row.targets} == {order.provider}
    ]
    return {"drill": msgspec.to_builtins(ordered), "routes_alone": alone}


def show_drill(store: Store, asked: Asked) -> Json:
    last = plan.load(store.state)
    if last is None:
        raise Fault("not_found", "There was no drill yet. POST /api/drill starts one.")
    rows = store.tried(last.started_ms - BEFORE_MS, last.until_ms)
    built: Json = msgspec.to_builtins(reported(last, rows, time.time_ns() // 1_000_000))
    return built


def stop_drill(store: Store, asked: Asked) -> Json:
    ended = plan.stop(store.state, asked.name, time.time_ns() // 1_000_000, "an operator ended it")
    if ended is None:
        raise Fault("not_found", f"No drill {asked.name!r} is running.")
    return {"drill": msgspec.to_builtins(ended)}


class Way(NamedTuple):
    work: Callable[[Store, Asked], Json]
    status: int = 200
    query: frozenset[str] = frozenset()


WAYS: Mapping[tuple[bytes, str], Way] = {
    # (method, path); a path that ends in a slash is followed by one name
    (b"GET", "/api/keys"): Way(list_keys),
    (b"POST", "/api/keys"): Way(make_key, 201),
    (b"DELETE", "/api/keys/"): Way(revoke_key),
    (b"GET", "/api/spend"): Way(spending, query=frozenset({"by", "since"})),
    (b"GET", "/api/losses"): Way(losing, query=frozenset({"by", "since"})),
    (b"GET", "/api/drill"): Way(show_drill),
    (b"POST", "/api/drill"): Way(start_drill, 201),
    (b"DELETE", "/api/drill/"): Way(stop_drill),
    (b"GET", "/api/calls"): Way(calls, query=frozenset({"limit"})),
    (b"GET", "/api/calls/"): Way(call),
}
CONFIG, RELOAD = (b"GET", "/api/config"), (b"POST", "/api/config/reload")
Route: TypeAlias = tuple[bytes, str]


class Admin:
    """Implements `http.responder.Handler`. Make it in the loop that runs `app`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._state = app.config.server.state
        self._token = token_of(Path(self._state))
        self._loop = asyncio.get_running_loop()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="fungible-admin")

    def on_request(self, request: Request, client: Responder) -> Call:
        try:
            return self._answer(request, client)
        except Fault as fault:
            client.reply(*told(fault))
            return FINISHED

    def refuse(self, status: int, message: str, path: str) -> bytes:
        return msgspec.json.encode({"error": {"message": message, "path": None}})

    def close(self) -> None:
        self._beside.shutdown(wait=False, cancel_futures=True)

    def _answer(self, request: Request, client: Responder) -> Call | Finished:
        name, _, port = request.headers.get(b"host", b"").lower().rpartition(b":")
        if (name if port.isdigit() else request.headers.get(b"host", b"").lower()) not in HOSTS:
            raise Fault("permission", "Ask for this listener by its own address: http://127.0.0.1:PORT.")
        if request.path in OPEN:
            return self._app.front.on_request(request, client)
        secret = credential(request.headers) or b""
        if not hmac.compare_digest(secret, self._token):
            where = Path(self._state) / TOKEN
            raise Fault("authentication", f"Send the token of {where} as `Authorization: Bearer TOKEN`.")
        folder, slash, last = request.path.rpartition("/")
        route = self._route(request, folder + slash)
        if route == CONFIG:
            client.reply(200, HEAD, msgspec.json.encode(self._config()))
        elif route == RELOAD:
            self._app.reload()
            client.reply(202, HEAD, msgspec.json.encode({"reload": "begun"}))
        else:
            way = WAYS[route]
            query = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
            strange = sorted(query.keys() - way.query)
            if strange:
                takes = ", ".join(sorted(way.query)) or "none"
                raise Fault("bad_request", f"There is no parameter {strange[0]!r} here; there is: {takes}.")
            catalogue = self._app.local.catalogue
            asked = Asked(unquote(last), query, request.body, self._price_of, catalogue)
            self._beside.submit(self._work, way, asked, client)
        return FINISHED

    def _route(self, request: Request, folder: str) -> Route:
        every = (*WAYS, CONFIG, RELOAD)
        for path in (request.path, folder):
            if (request.method, path) in every and path != "/api/":
                return request.method, path
        methods = [m.decode() for m, path in every if path in (request.path, folder)]
        if methods:
            raise Fault("method", f"{request.path[:200]} takes {' or '.join(methods)}.")
        paths = ", ".join(f"{m.decode()} {path}" for m, path in every)
        raise Fault("not_found", f"There is nothing at {request.path[:200]}. There is: {paths}.")

    def _price_of(self, provider: str, model: str) -> Price | None:
        local = self._app.local
        if provider not in local.catalogue.providers:
            return None
        return local.price(local.catalogue.target(provider, model), time.time_ns() // 1_000_000)

    def _config(self) -> Json:
        app = self._app
        return {
            "path": app.config.path,
            "taken_up_ms": app.taken_up_ms,
            "loading": app.loading,
            "refused": app.refused,
            "providers": sorted(app.config.catalogue.providers),
            "models": list(app.config.catalogue.names()),
        }

    def _work(self, way: Way, asked: Asked, client: Responder) -> None:
        """In the thread beside the loop, on a connection of its own, with everything folded."""
        try:
            store = Store(self._state)
            try:
                store.fold()
                answer = way.status, HEAD, msgspec.json.encode(way.work(store, asked))
            finally:
                store.close()
        except Fault as fault:
            answer = told(fault)
        except Exception as error:
            self._app.said.append(f"The admin API failed: {error!r}")
            answer = told(Fault("internal", "This went wrong here; the server's log says how."))
        with suppress(RuntimeError):  # the loop has ended, and with it the client
            self._loop.call_soon_threadsafe(client.reply, *answer)


def told(fault: Fault) -> tuple[int, bytes, bytes]:
    error = {"kind": fault.kind, "message": fault.message, "path": fault.path}
    return fault.status, HEAD, msgspec.json.encode({"error": error})


def token_of(state: Path) -> bytes:
    """The token in the state folder, made if there is none. Raises Fault `internal`."""
    path = state / TOKEN
    try:
        with suppress(FileExistsError):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(secrets.token_urlsafe(32).encode())
        token = path.read_bytes().strip()
    except OSError as error:
        raise Fault("internal", f"{path} cannot be read or made ({error.strerror}).") from error
    if len(token) < 32:
        raise Fault("internal", f"{path} holds no token; remove it, and the next start makes another.")
    return token
