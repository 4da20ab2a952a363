"""`fungible drill`: a provider fails by order, in every way, and what its users felt is told, honestly."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from fungible.account import Tried
from fungible.drill import plan
from fungible.drill.plan import HOW, Drill, Order
from fungible.drill.report import reported
from fungible.drill.stage import WAYS
from fungible.drill.stage import Stage as Play
from fungible.evidence import HarmGuard
from fungible.faults import Fault
from fungible.recording import Recording
from fungible.recordings import Recordings
from tests.faulty import CHAT, MESSAGES, TEXT, Faulty
from tests.serving import Running, free_port
from tests.upstream import Upstream

MORE = """
[route.safe]
targets = ["alpha/good.safe", "beta/good.safe"]
[route.alone]
targets = ["alpha/good.alone"]
[route.limits]
targets = ["alpha/good.limits"]
[route.calm]
targets = ["alpha/good.calm", "beta/good.calm"]
[model."alpha/good.safe"]
input_usd_per_mtok = 2.50
output_usd_per_mtok = 10.00
[model."beta/good.safe"]
input_usd_per_mtok = 5.00
output_usd_per_mtok = 20.00
"""
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


class Stage:
    """A server of two workers, its providers, and the admin listener that starts and ends drills."""

    def __init__(self, folder: Path, alpha: Upstream, beta: Upstream, workers: int = 2) -> None:
        self.alpha, self.beta = alpha, beta
        self.running = Running(
            folder, alpha.base, beta.base, server=f"workers = {workers}", more=MORE, admin_port=free_port()
        )
        self.state = folder / "state"
        self.client = openai.OpenAI(
            api_key=self.running.key, base_url=f"{self.running.url}/v1", max_retries=0, timeout=20
        )

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        token = (self.state / "admin.token").read_text()
        url = f"http://127.0.0.1:{self.running.admin_port}{path}"
        data = json.dumps(body).encode() if body is not None else None
        asked = urllib.request.Request(url, data, {"authorization": f"Bearer {token}"}, method=method)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def drill(self, how: str, route: str, **more: Any) -> str:
        """Begun, and taken up by every worker: its id."""
        order = {"provider": "alpha", "how": how, "route": route, "share": 1, "minutes": 5} | more
        identity: str = self.admin("POST", "/api/drill", order)["drill"]["id"]
        self.until(running=True)
        return identity

    def until(self, *, running: bool) -> None:
        """Every worker has seen it: they look once a second, and are met by turns."""
        sign, met, last = f"fungible_drill_running {running:d}", 0, time.monotonic() + 20
        while met < 12:
            assert time.monotonic() < last
            with urllib.request.urlopen(f"{self.running.url}/metrics", timeout=10) as answer:
                met = met + 1 if sign in answer.read().decode() else 0
            time.sleep(0.02)

    def end(self, identity: str) -> dict[str, Any]:
        self.admin("DELETE", f"/api/drill/{identity}")
        self.until(running=False)
        return self.report()

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.admin("GET", "/api/drill")
        return report

    def ask(self, model: str, **more: Any) -> Any:
        """Each on a connection of its own, so that both workers are met."""
        with openai.OpenAI(
            api_key=self.running.key, base_url=f"{self.running.url}/v1", max_retries=0, timeout=20
        ) as client:
            return client.chat.completions.with_raw_response.create(model=model, **ASK, **more)

    def rows(self, identity: str) -> list[dict[str, Any]]:
        return [
            r for r in self.running.rows() if (r["provider_request_id"] or "").startswith(f"drill:{identity}")
        ]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Upstream(Faulty(CHAT)) as alpha, Upstream(Faulty(MESSAGES)) as beta:
        here = Stage(tmp_path_factory.mktemp("drill"), alpha, beta)
        try:
            yield here
        finally:
            here.running.close()


@pytest.mark.parametrize(
    ("how", "fault", "status"),
    [("refused", "unreachable", None), ("429", "rate_limited", 429), ("5xx", "unavailable", 503)],
)
def test_what_is_not_sent_is_not_owed_and_the_fallback_answers(
    stage: Stage, how: str, fault: str, status: int | None
) -> None:
    for _ in range(3):
        assert stage.ask("safe").headers["x-fungible-target"] == "alpha/good.safe"
    seen = len(stage.alpha.seen)
    identity = stage.drill(how, "safe")
    for _ in range(12):
        told = stage.ask("safe")
        assert told.headers["x-fungible-target"] == "beta/good.safe"
        assert told.parse().choices[0].message.content == TEXT
    assert stage.ask("calm").headers["x-fungible-target"] == "alpha/good.calm", "another route is left alone"
    assert len(stage.alpha.seen) == seen + 1
    report = stage.end(identity)
    rows = stage.rows(identity)
    assert rows, "some were drilled before the breakers opened"
    for row in rows:
        assert (row["state"], row["cost_nanousd"], row["fault"], row["status"]) == ("void", 0, fault, status)
        assert (row["provider"], row["input_tokens"], row["provider_request_id"]) == (
            "alpha",
            None,
            f"drill:{identity}",
        )
    assert (report["state"], report["success"], report["lost_count"]) == ("stopped", 1.0, 0)
    (route,) = report["routes"]
    assert route["by"] == {"beta/good.safe": len(rows)} and route["drilled"]["calls"] == len(rows)
    assert route["added_cost_nanousd"] == 11 * 2_500 + 7 * 10_000, "beta's price is twice alpha's"
    assert stage.ask("safe").headers["x-fungible-target"] == "alpha/good.safe", "its breakers went with it"
    assert stage.running.program("doctor", "--offline")["findings"]


def test_a_route_without_a_way_out_is_named_and_the_drill_stops_itself(stage: Stage) -> None:
    identity = stage.drill("5xx", "alone", hurt_max=2, tolerance=0.9)
    failed = []
    for _ in range(30):
        try:
            stage.ask("alone")
        except openai.APIStatusError as error:
            failed.append(error)
    assert 0 < len(failed) <= 12, "two, what their retries and breakers make of it, and no more"
    assert "drill" in str(failed[0].body).lower()
    stage.until(running=False)
    report = stage.report()
    assert (
        report["state"] == "stopped" and "the most that this drill may hurt" in report["drill"]["stopped_why"]
    )
    assert report["drill"]["id"] == identity and report["lost_count"] >= 2
    lost = report["lost"][0]
    assert (lost["route"], lost["alone"], lost["fault"]) == ("alone", True, "unavailable")
    assert set(lost["tried"]) == {"alpha/good.alone"} and lost["key"]
    assert stage.ask("alone").headers["x-fungible-target"] == "alpha/good.alone"


def test_its_limits_hold_over_all_workers(stage: Stage) -> None:
    """One call after another, at either worker by chance: none is under way when the last one is counted."""
    most, last = 6, time.monotonic() + 90
    identity = stage.drill("5xx", "limits", hurt_max=most, tolerance=0.9, share=0.3)
    while (drill := plan.load(stage.state)) is not None and drill.running(int(time.time() * 1000)):
        assert time.monotonic() < last
        with suppress(openai.APIStatusError):  # of the drill, or of a breaker that it opened
            stage.ask("limits")
    with suppress(openai.APIStatusError):
        stage.ask("limits")
    stage.until(running=False)
    assert stage.report()["drill"]["stopped_why"].startswith(f"{most} calls had failed, the most")
    drilled = {row["call"] for row in stage.rows(identity)}  # who has no way out fails when it is drilled
    assert most <= len(drilled) <= most + 1, "the other may drill one more before it hears of the last"


def test_the_guard_is_one_over_all_workers_and_after_a_restart(tmp_path: Path) -> None:
    ordered = Order(provider="alpha", share=1.0, hurt_max=1_000, tolerance=0.05).drill(0)
    whys: list[str] = []
    gateways = [Bare() for _ in range(3)]

    async def go() -> None:
        made = [Play(gateway, ordered, tmp_path, whys.append) for gateway in gateways]  # type: ignore[arg-type]
        count = 0
        while not whys:
            made[count % 2]._judge(float(count % 3 == 0))  # a third fails, at either by turns
            count += 1
        assert count > made[0].hurt >= 3
        late = made[2]
        late.reckon()
        assert len(whys) == 2 and whys[0] == whys[1], "one that begins anew finds the same"
        assert late.hurt == max(made[0].hurt, made[1].hurt)
        alone = HarmGuard(0.05, 0.05)
        assert (
            next(n for n in range(count) if alone.update(candidate=float(n % 3 == 0), baseline=[0.0])) < count
        )
        for each in made:
            assert each.end()

    asyncio.run(go())


def test_a_drill_whose_limits_cannot_be_kept_ends(tmp_path: Path) -> None:
    state = tmp_path / "no folder"
    state.write_text("")
    whys: list[str] = []

    async def go() -> None:
        ordered = Order(provider="alpha", share=1.0).drill(0)
        Play(Bare(), ordered, state, whys.append)._judge(1.0)  # type: ignore[arg-type]

    asyncio.run(go())
    assert len(whys) == 1 and whys[0].startswith("its limits cannot be kept:")


class Bare:
    """As much of a gateway as a stage takes the place of."""

    def __init__(self) -> None:
        self.local = SimpleNamespace(breakers={})

    def opened(self, *_: Any) -> None: ...

    send = settled = post = over = opened


def test_slow_is_the_provider_s_own_answer_later(stage: Stage) -> None:
    stage.ask("calm")
    identity = stage.drill("slow", "calm", slow_ms=700)
    began = time.monotonic()
    told = stage.ask("calm")
    assert time.monotonic() - began > 0.7 and told.headers["x-fungible-target"] == "alpha/good.calm"
    report = stage.end(identity)
    (row,) = stage.rows(identity)
    assert (row["state"], row["input_tokens"], row["fault"]) == ("settled", 11, None)
    assert report["routes"][0]["drilled"]["median_ms"] >= 700 and report["routes"][0]["added_median_ms"] > 400


def test_who_leaves_while_nothing_was_sent_owes_nothing(stage: Stage) -> None:
    identity = stage.drill("slow", "safe", slow_ms=60_000)
    seen = len(stage.alpha.seen)
    with pytest.raises(openai.APITimeoutError):
        stage.client.with_options(timeout=0.5).chat.completions.create(model="safe", **ASK)
    time.sleep(0.5)
    report = stage.end(identity)
    (row,) = stage.rows(identity)
    assert (row["state"], row["cost_nanousd"], row["fault"]) == ("void", 0, "client_gone")
    assert len(stage.alpha.seen) == seen
    assert (report["drilled"]["left"], report["drilled"]["failed"]) == (1, 0)


def test_a_stream_is_cut_after_its_first_content_and_ends_with_an_error(stage: Stage) -> None:
    identity = stage.drill("cut", "safe")
    got = ""
    with pytest.raises(openai.APIError, match="drill"):
        for chunk in stage.client.chat.completions.create(model="safe", stream=True, **ASK):
            got += chunk.choices[0].delta.content or "" if chunk.choices else ""
    plain = stage.ask("safe")
    assert plain.headers["x-fungible-target"] == "beta/good.safe", "a plain answer can be had elsewhere"
    report = stage.end(identity)
    rows = stage.rows(identity)
    assert {row["state"] for row in rows} == {"estimated"} and all(row["cost_nanousd"] for row in rows)
    assert (report["drilled"]["answered"], report["drilled"]["failed"]) == (1, 1)


def test_a_client_of_another_dialect_feels_it_in_its_own(stage: Stage) -> None:
    identity = stage.drill("429", "alone", hurt_max=1000, tolerance=0.99)
    client = anthropic.Anthropic(api_key=stage.running.key, base_url=stage.running.url, max_retries=0)
    with pytest.raises(anthropic.RateLimitError, match="A drill: alpha was not asked"):
        client.messages.create(model="alone", max_tokens=9, **ASK)
    stage.end(identity)


def test_it_ends_by_itself_though_its_commander_was_killed(stage: Stage) -> None:
    command = [
        sys.executable, "-m", "fungible", "drill", "alpha", "--route", "safe", "--share", "1", "--minutes", "0.2",
        "--config", str(stage.running.config), "--admin-port", str(stage.running.admin_port),
    ]  # fmt: skip
    commander = subprocess.Popen(
        command, env=stage.running.env, cwd=stage.running.folder, stderr=subprocess.PIPE
    )
    last = time.monotonic() + 20
    while (drill := plan.load(stage.state)) is None or not drill.running(int(time.time() * 1000)):
        assert time.monotonic() < last
        time.sleep(0.1)
    commander.kill()
    commander.wait()
    stage.until(running=True)
    assert stage.ask("safe").headers["x-fungible-target"] == "beta/good.safe"
    time.sleep(max(0.0, drill.until_ms / 1000 - time.time()) + 0.1)
    assert stage.ask("safe").headers["x-fungible-target"] in ("alpha/good.safe", "beta/good.safe")
    stage.until(running=False)
    assert stage.ask("safe").headers["x-fungible-target"] == "alpha/good.safe"
    assert stage.report()["state"] == "ended"


def test_the_command_tells_what_users_felt(stage: Stage) -> None:
    command = [
        sys.executable, "-m", "fungible", "drill", "alpha", "--route", "safe", "--share", "1", "--minutes", "0.2", "--json",
        "--config", str(stage.running.config), "--admin-port", str(stage.running.admin_port),
    ]  # fmt: skip
    commander = subprocess.Popen(
        command,
        env=stage.running.env,
        cwd=stage.running.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stage.until(running=True)
    stage.ask("safe")
    out, err = commander.communicate(timeout=30)
    assert commander.returncode == 0, err
    report = json.loads(out)
    assert report["state"] == "ended" and report["drill"]["how"] == "refused"
    shown = stage.running.program("drill", "--report", json_option=False)
    assert "alpha refused, ended" in shown


def test_orders_that_make_no_sense(stage: Stage) -> None:
    def refused(order: dict[str, Any]) -> str:
        with pytest.raises(urllib.request.HTTPError) as told:  # type: ignore[attr-defined]
            stage.admin("POST", "/api/drill", {"provider": "alpha"} | order)
        message: str = json.load(told.value)["error"]["message"]
        return message

    assert "No provider 'alhpa' is on here. Did you mean 'alpha'?" in refused({"provider": "alhpa"})
    assert "how is one of refused" in refused({"how": "softly"})
    assert "share is from" in refused({"share": 0})
    assert "minutes is from" in refused({"minutes": 10_000})
    assert "No model 'nowhere'" in refused({"route": "nowhere"})
    assert "unknown field" in refused({"shar": 1})
    assert stage.running.program("switch", "start", "--route", "calm", "--to", "beta/good.calm")
    assert "'calm' is being switched" in refused({})
    assert "'calm' is being switched" in refused({"provider": "beta", "route": "calm"})
    assert stage.running.program("switch", "rollback")
    identity = stage.drill("refused", "safe")
    assert "A drill of alpha is running" in refused({})
    stage.end(identity)


# --- without a server --------------------------------------------------------------------------------


def order(**more: Any) -> Drill:
    said = {"provider": "alpha", "share": 0.2} | more
    return Order(**said).checked().drill(1_000)


def test_every_way_is_listed_and_made() -> None:
    assert set(HOW) == set(WAYS)


def test_a_share_is_of_calls_and_the_same_for_all_their_attempts() -> None:
    drill = order()
    taken = [drill.takes("alpha", "r", f"call-{n}") for n in range(10_000)]
    assert 1_800 < sum(taken) < 2_200
    assert taken == [drill.takes("alpha", "other", f"call-{n}") for n in range(10_000)]
    assert not any(drill.takes("beta", "r", f"call-{n}") for n in range(100))
    assert all(order(share=1.0).takes("alpha", "r", f"call-{n}") for n in range(1_000))
    assert not order(route="x", share=1.0).takes("alpha", "r", "call-1")


def test_the_file_says_when_it_is_over(tmp_path: Path) -> None:
    drill = order(minutes=1)
    plan.start(tmp_path, drill, 1_000)
    assert plan.load(tmp_path) == drill and drill.running(1_000) and not drill.running(61_000)
    with pytest.raises(Fault, match="is running for another 59 s"):
        plan.start(tmp_path, order(), 2_000)
    assert plan.stop(tmp_path, "another", 3_000, "why") is None
    ended = plan.stop(tmp_path, drill.id, 3_000, "why")
    assert ended is not None and not ended.running(3_000) and plan.load(tmp_path) == ended
    assert plan.stop(tmp_path, drill.id, 4_000, "again") is None
    plan.start(tmp_path, order(), 5_000)
    (tmp_path / plan.NAME).write_text("{")
    assert plan.load(tmp_path) is None


def tried(call: str, n: int, provider: str, took: int, mark: str | None = None, **more: Any) -> Tried:
    said: dict[str, Any] = {
        "call": call, "n": n, "route": "r", "provider": provider, "model": "m", "key": "k", "state": "settled",
        "started_ms": 2_000, "ended_ms": 2_000 + took, "cost_nanousd": 10, "fault": None, "losses": 0,
        "provider_request_id": mark,
    }  # fmt: skip
    return Tried(**(said | more))


def test_the_report_compares_with_the_calls_beside() -> None:
    drill = order(share=1.0)
    void: dict[str, Any] = {"state": "void", "fault": "unreachable", "cost_nanousd": 0}
    rows = [
        tried("a", 1, "alpha", 1, drill.mark, **void),
        tried("a", 2, "beta", 150, cost_nanousd=30, losses=2),
        tried("b", 1, "alpha", 40, f"{drill.mark}/req_1"),
        tried("c", 1, "alpha", 1, drill.mark, **void),
        tried("d", 1, "alpha", 5, drill.mark, state="void", fault="bad_request"),
        tried("e", 1, "alpha", 5, drill.mark, state="void", fault="client_gone"),
        *(tried(f"n{n}", 1, "alpha", 50) for n in range(20)),
        *(tried(f"p{n}", 1, "alpha", 1, started_ms=0, ended_ms=900) for n in range(9)),
    ]
    report = reported(drill, rows, 10**12)
    (route,) = report.routes
    felt = report.drilled
    assert (felt.calls, felt.answered, felt.failed, felt.left) == (4, 2, 1, 1), (
        "a caller's mistake is no harm"
    )
    assert report.success == 2 / 3 and route.beside == "now" and route.others.calls == 20
    assert (felt.median_ms, felt.p95_ms, route.added_median_ms, route.added_p95_ms) == (40, 150, -10, 100)
    assert (route.added_cost_nanousd, route.added_losses) == (10.0, 1.0)
    assert route.by == {"beta/m": 1, "alpha/m": 1}
    assert [(one.call, one.alone, one.tried) for one in report.lost] == [("c", True, ("alpha/m",))]
    assert report.state == "ended" and reported(drill, rows, 2_000).state == "running"
    few = [row for row in rows if not row.call.startswith("n")]
    assert reported(drill, few, 2_000).routes[0].beside == "before"


def test_recorded_calls_are_drilled_without_a_server(tmp_path: Path) -> None:
    def recording(n: int, route: str) -> Recording:
        body = {"model": route, "messages": [{"role": "user", "content": f"hi {n}"}]}
        return Recording(
            id=f"r{n}", at_ms=1_000 + n, route=route, dialect="openai.chat", request=msgspec.Raw(json.dumps(body).encode()),
            provider="alpha", model="good.safe", reply=msgspec.Raw(json.dumps(CHAT.reply).encode()), duration_ms=5.0,
            cost_nanousd=97_500,
        )  # fmt: skip

    with Upstream(Faulty(CHAT)) as alpha, Upstream(Faulty(MESSAGES)) as beta:
        running = Running(tmp_path, alpha.base, beta.base, more=MORE)
        running.close()
        Recordings(tmp_path / "state").append([recording(n, "safe" if n % 2 else "alone") for n in range(10)])
        command = [
            sys.executable,
            "-m",
            "fungible",
            "drill",
            "alpha",
            "--replay",
            "--hurt-max",
            "100",
            "--tolerance",
            "0.99",
        ]
        done = subprocess.run(
            [*command, "--config", str(running.config), "--json"],
            env=running.env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, "some calls were answered by nobody: " + done.stderr
        report = json.loads(done.stdout)
        assert not alpha.seen and len(beta.seen) == 5
        routes = {one["route"]: one for one in report["routes"]}
        assert routes["safe"]["drilled"]["answered"] == 5 and routes["safe"]["beside"] == "recorded"
        assert routes["safe"]["added_cost_nanousd"] == 97_500
        assert routes["alone"]["drilled"]["failed"] == report["lost_count"] == 5
        tags = {row["tags"] for row in running.rows()}
        assert tags == {f"drill={report['drill']['id']}"}


def test_a_gateway_is_as_it_was_when_the_drill_is_over(tmp_path: Path) -> None:
    from fungible import AsyncClient

    async def go(base: str) -> None:
        path = tmp_path / "fungible.toml"
        path.write_text(
            f'[server]\nstate = "state"\n[provider.alpha]\ndialect = "openai.chat"\nbase_url = "{base}/v1"\nkey = "file:key"\n'
        )
        (tmp_path / "key").write_text("secret-key")
        client = AsyncClient(str(path))
        app = client.app()
        before = dict(app.gateway.__dict__)
        now_ms = int(time.time() * 1000)
        app.director.begin(Order(provider="alpha", share=1.0).drill(now_ms))
        with pytest.raises(Fault, match="A drill: alpha was not asked"):
            await client.chat("alpha/good", "hi")
        assert "send" in app.gateway.__dict__
        app.director.end("enough")
        assert {
            k: v
            for k, v in app.gateway.__dict__.items()
            if k in ("opened", "send", "settled", "post", "over")
        } == {k: v for k, v in before.items() if k in ("opened", "send", "settled", "post", "over")}
        assert (await client.chat("alpha/good", "hi")).text == TEXT
        await client.close()

    with Upstream(Faulty(CHAT)) as alpha:
        asyncio.run(go(alpha.base))
