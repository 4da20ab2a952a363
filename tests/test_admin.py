"""The admin listener: what it answers, whom it refuses, and that it is nobody else's way in."""

import http.client
import json
import os
import stat
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.answering import alpha_reply, beta_reply
from tests.asking import Asker
from tests.serving import Running, free_port
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        server = Running(tmp_path_factory.mktemp("admin"), alpha.base, beta.base, admin_port=free_port())
        yield server
        server.close()
        assert "Traceback" not in server.said()


def token(running: Running) -> str:
    return (running.folder / "state" / "admin.token").read_text()


def ask(
    running: Running, method: str, path: str, body: Any = None, *, bearer: str | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", running.admin_port, timeout=20)
    sent = {"authorization": f"Bearer {token(running) if bearer is None else bearer}", **headers}
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    reply = connection.getresponse()
    data = reply.read()
    told = {name.lower(): value for name, value in reply.getheaders()}
    connection.close()
    return reply.status, json.loads(data) if "json" in told["content-type"] else data.decode(), told


def test_health_and_metrics_are_open_and_the_rest_is_not(running: Running) -> None:
    assert ask(running, "GET", "/healthz", bearer="")[:2] == (200, {"status": "ok"})
    assert ask(running, "GET", "/readyz", bearer="")[:2] == (200, {"status": "ready"})
    status, text, _ = ask(running, "GET", "/metrics", bearer="")
    assert status == 200 and "fungible_calls_total" in text
    for bearer in ("", "x", running.key, token(running) + "x", token(running)[:-1]):
        for method, path in (("GET", "/api/keys"), ("POST", "/api/keys"), ("GET", "/api/nothing")):
            status, said, _ = ask(running, method, path, bearer=bearer)
            assert status == 401 and "admin.token" in said["error"]["message"]


def test_the_token_is_its_owners_alone_and_in_no_log(running: Running) -> None:
    assert stat.S_IMODE(os.stat(running.folder / "state" / "admin.token").st_mode) == 0o600
    assert len(token(running)) >= 32 and token(running) not in running.said()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4001", "127.0.0.1.evil.example", "10.0.0.1:4001"]
)
def test_a_page_that_calls_itself_by_another_name_is_refused(running: Running, host: str) -> None:
    for path in ("/api/keys", "/metrics"):
        status, said, headers = ask(running, "GET", path, host=host)
        assert status == 403 and "127.0.0.1" in said["error"]["message"]
        assert not any(name.startswith("access-control") for name in headers)


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:4001"])
def test_its_own_names_are_taken(running: Running, host: str) -> None:
    status, _, headers = ask(running, "GET", "/api/keys", host=host, origin="http://evil.example")
    assert status == 200 and not any(name.startswith("access-control") for name in headers)


def test_a_key_is_made_used_and_revoked(running: Running) -> None:
    fields = {
        "name": "made",
        "models": ["alpha/*"],
        "budget_usd": "2.5",
        "window": "day",
        "rpm": 60,
        "team": "t",
    }
    status, made, headers = ask(running, "POST", "/api/keys", fields)
    assert status == 201 and headers["cache-control"] == "no-store"
    assert {name: made[name] for name in fields} == fields and made["key"].startswith("fk-")
    listed = ask(running, "GET", "/api/keys")[1]["keys"]
    (row,) = [k for k in listed if k["name"] == "made"]
    assert row == {name: value for name, value in made.items() if name != "key"}
    assert listed == running.program("keys", "list")["keys"]
    use = Asker(running.url, made["key"])
    wait(lambda: use("openai", "alpha/one").text == "Hello from alpha")
    status, revoked, _ = ask(running, "DELETE", "/api/keys/made")
    assert status == 200 and revoked["id"] == made["id"] and revoked["revoked_ms"] is not None
    wait(lambda: use("openai", "alpha/one").status == 401)


def test_spending_and_calls_are_those_of_the_commands(running: Running) -> None:
    outcome = Asker(running.url, running.key)("anthropic", "beta/two")
    assert outcome.text == "Hello from beta"
    for by in ("provider", "model", "key"):
        assert ask(running, "GET", f"/api/spend?by={by}")[1] == running.program("spend", "--by", by)
    assert ask(running, "GET", "/api/spend?since=1w")[1]["total_nanousd"] > 0
    latest = ask(running, "GET", "/api/calls?limit=1")[1]["calls"]
    assert [c["call"] for c in latest] == [outcome.call] and latest[0][
        "cost_nanousd"
    ] == 11 * 3_000 + 7 * 15_000
    assert ask(running, "GET", f"/api/calls/{outcome.call}")[1] == latest[0]


def test_the_configuration_in_force_and_the_one_refused(running: Running) -> None:
    text = running.config.read_text()
    before = ask(running, "GET", "/api/config")[1]
    assert before["path"] == str(running.config) and before["refused"] is None
    assert (
        "alpha" in before["providers"] and "both" in before["models"] and "provider-secret" not in str(before)
    )
    running.config.write_text(text + "\n[route.fresh]\ntargest = []\n")
    assert ask(running, "POST", "/api/config/reload")[0] == 202
    refused = wait(lambda: (c := ask(running, "GET", "/api/config")[1])["refused"] and c)
    assert "targest" in refused["refused"] and refused["taken_up_ms"] == before["taken_up_ms"]
    running.config.write_text(text + '\n[route.fresh]\ntargets = ["alpha/one"]\n')
    taken = wait(lambda: "fresh" in (c := ask(running, "GET", "/api/config")[1])["models"] and c)
    assert taken["refused"] is None and taken["taken_up_ms"] > before["taken_up_ms"]


def wait(found: Any) -> Any:
    last = time.monotonic() + 30  # on a busy machine a worker starts late
    while not (value := found()):
        assert time.monotonic() < last, "not in time"
        time.sleep(0.1)
    return value


WRONG: dict[str, tuple[str, str, Any, int, str]] = {
    "no such page": ("GET", "/api/nothing", None, 404, "GET /api/keys"),
    "the root": ("GET", "/", None, 404, "GET /api/keys"),
    "calls are not served here": ("POST", "/v1/chat/completions", {}, 404, "GET /api/keys"),
    "another method": ("PUT", "/api/keys", {}, 405, "GET or POST"),
    "a method that names nothing": ("DELETE", "/api/keys", None, 405, "GET or POST"),
    "a key of no fields": ("POST", "/api/keys", {}, 400, "name"),
    "a key with a slip": ("POST", "/api/keys", {"name": "x", "budget": 3}, 400, "budget"),
    "a key with a wrong type": ("POST", "/api/keys", {"name": "x", "rpm": "many"}, 400, "rpm"),
    "a budget that is none": ("POST", "/api/keys", {"name": "x", "budget_usd": "-1"}, 400, "budget"),
    "a window that is none": ("POST", "/api/keys", {"name": "x", "window": "year"}, 400, "month"),
    "a body that is no object": ("POST", "/api/keys", [1], 400, "object"),
    "a name in force": ("POST", "/api/keys", {"name": "test"}, 409, "test"),
    "no such key": ("DELETE", "/api/keys/nobody", None, 404, "nobody"),
    "no such call": ("GET", "/api/calls/nothing", None, 404, "nothing"),
    "spending by nothing": ("GET", "/api/spend?by=colour", None, 400, "colour"),
    "an age that is none": ("GET", "/api/spend?since=lately", None, 400, "lately"),
    "a limit that is none": ("GET", "/api/calls?limit=-1", None, 400, "limit"),
    "a parameter that is none": ("GET", "/api/spend?until=7d", None, 400, "until"),
    "a body too long": ("POST", "/api/keys", {"name": "x" * 100_000}, 413, "over 65536 bytes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused_says_what_and_the_mend(running: Running, case: str) -> None:
    method, path, body, status, word = WRONG[case]
    got, said, _ = ask(running, method, path, body)
    assert got == status and word in said["error"]["message"], said


def test_where_the_port_is_taken_calls_are_served_all_the_same(running: Running) -> None:
    with Upstream(alpha_reply) as alpha:
        (running.folder / "second").mkdir()
        second = Running(running.folder / "second", alpha.base, alpha.base, admin_port=running.admin_port)
        assert Asker(second.url, second.key)("openai", "alpha/one").text == "Hello from alpha"
        second.close()
        assert "Without an admin listener" in second.said() and "--admin-port" in second.said()


def test_one_of_several_workers_has_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with Upstream(alpha_reply) as alpha:
        server = Running(
            tmp_path_factory.mktemp("two"),
            alpha.base,
            alpha.base,
            server="workers = 2",
            admin_port=free_port(),
        )
        try:
            assert wait(lambda: "Its admin listener" in server.said())
            for _ in range(4):
                assert ask(server, "GET", "/api/keys")[0] == 200
            assert server.said().count("Its admin listener") == 1
        finally:
            server.close()
