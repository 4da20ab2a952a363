"""Rollouts on a real server of two workers: promoted by themselves, rolled back by themselves, and marked."""

import json
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from click.testing import CliRunner

from fungible.cli import program
from fungible.faults import Fault
from fungible.store import Store
from fungible.switch.pilot import Pilot
from tests.rollouts import ASKED, NEW, OLD, Callers, Rig, calling, failing, saying, taking, well
from tests.serving import CONFIG
from tests.test_switch_pilot import NOW, Journal

QUICK = ("--min-calls", "20", "--min-seconds", "0", "--window-seconds", "1")
EASY = ("--guard", "only", "--guard", "errors:margin=0.1")


def spent(rig: Rig) -> dict[str | None, int]:
    store = Store(rig.state)
    store.fold()
    try:
        return {row.who: row.attempts for row in store.spend("tag")}
    finally:
        store.close()


def candidates(invalid: float) -> dict[str, tuple[Any, tuple[str, ...], str]]:
    """Model -> (what it does, its guards, who rolls it back). `invalid`: of the answers that break the schema."""
    only = ("--guard", "only", "--guard")
    return {
        "good": (well, EASY, ""),
        "fails": (failing(0.03), (*only, "errors"), "errors"),
        "slow": (taking(0.16, 0.24), (*only, "latency"), "latency"),
        "down": (failing(1.0), EASY, "outage"),
        "schema": (
            saying(lambda chance: '{"town": "Oslo"}' if chance.random() < invalid else '{"city": "Oslo"}'),
            (*only, "schema"),
            "schema",
        ),
        "tools": (
            calling(lambda chance: "forecast" if chance.random() < 0.1 else "weather"),
            (*only, "calls"),
            "calls",
        ),
    }


OLD_PLAYS = {
    "slow": taking(0.08, 0.12),
    "schema": saying(lambda _: '{"city": "Oslo"}'),
    "tools": calling(lambda _: "weather"),
}
ROUTES = "".join(f'[route.{name}]\ntargets = ["alpha/for-{name}"]\n' for name in candidates(0))


@pytest.mark.parametrize("invalid", [0.1, pytest.param(0.02, marks=pytest.mark.long)])
def test_six_switches_at_once_each_takes_care_of_itself(tmp_path: Path, invalid: float) -> None:
    cast = candidates(invalid)
    plays = {name: play for name, (play, _, _) in cast.items()}
    plays |= {f"for-{name}": OLD_PLAYS.get(name, well) for name in cast}
    with Rig(tmp_path, more=ROUTES, **plays) as rig, ExitStack() as stack:
        callers = {name: stack.enter_context(Callers(rig, 2, name, more=ASKED.get(name))) for name in cast}
        for name, (_, guards, _) in cast.items():
            steps = ("--steps", "10,50,100", *QUICK) if name == "good" else (
                "--steps", "50,100", "--min-calls", "100000", "--window-seconds", "1")  # fmt: skip
            rig.start(*steps, *guards, route=name, to=f"beta/{name}")
        for name, (_, _, by) in cast.items():
            end = "rolled_back" if by else "done"
            rig.until(lambda told, end=end: told["state"] == end, 150, name)  # type: ignore[misc]
        time.sleep(3)
        settled = time.time()
        time.sleep(1.5)
        for each in callers.values():
            each.stopping.set()
    for name, (_, _, by) in cast.items():
        told, moves, seen = rig.told(name), rig.history(name), callers[name]
        answered = [(at, who) for dialogue in seen.dialogues for at, who in dialogue]
        assert not seen.failed, "who failed was followed by the incumbent, and no caller felt it"
        after = {who for at, who in answered if at > settled}
        touched = told["touched"]["candidate"]
        assert 0 < touched["users"] <= touched["units"] <= touched["calls"] <= len(answered)
        print(f"{name}: {touched}, {len(answered)} calls, {moves[-1]['why']}")
        if by:
            assert (moves[-1]["event"], moves[-1]["by"]) == ("breach", by) and moves[-1]["why"], name
            assert after == {f"alpha/for-{name}"}, name
            assert (f"beta/{name}" in {who for _, who in answered}) == (by != "outage"), name
        else:
            assert [(move["event"], move["after"]["stage"]) for move in moves] == [
                ("start", 0), ("enough", 1), ("enough", 2)]  # fmt: skip
            mixed = [d for d in seen.dialogues if len({who for _, who in d}) > 1]
            faults = [row for row in rig.running.rows() if row["model"] == name and row["fault"]]
            assert not mixed or faults, f"a dialogue changed models in mid-air: {mixed[:3]}"
            assert len(mixed) <= len(faults), f"{mixed[:3]} {faults[:3]}"
            fresh = {dialogue[0][1] for dialogue in seen.dialogues if dialogue and dialogue[0][0] > settled}
            assert fresh == {f"beta/{name}"}
    said = rig.running.said()
    assert "step -> done" in said and said.count("step -> rolled_back") == 5 and "Traceback" not in said


def test_official_clients_are_divided_and_the_ledger_tells_the_sides(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.start("--steps", "50,100", "--min-calls", "1000", *EASY)
        time.sleep(2.5)
        chat = openai.OpenAI(api_key=rig.running.key, base_url=f"{rig.running.url}/v1", max_retries=0)
        claude = anthropic.Anthropic(api_key=rig.running.key, base_url=rig.running.url, max_retries=0)
        targets = set()
        for n in range(24):
            said: Any = [{"role": "user", "content": f"Question {n}"}]
            turns = []
            for streamed in (False, True):
                made = chat.chat.completions.with_raw_response.create(
                    model="both", messages=said, stream=streamed
                )  # type: ignore[call-overload]
                if streamed:
                    assert (
                        "".join(c.choices[0].delta.content or "" for c in made.parse() if c.choices)
                        == "Hello there"
                    )
                turns.append(made.headers["x-fungible-target"])
                said = [
                    *said,
                    {"role": "assistant", "content": "Hello there"},
                    {"role": "user", "content": "More"},
                ]
            told = claude.messages.with_raw_response.create(model="both", max_tokens=9, messages=said)
            assert told.parse().content[0].text == "Hello there"  # type: ignore[union-attr]
            turns.append(told.headers["x-fungible-target"])
            assert len(set(turns)) == 1, "one dialogue, one model, whichever dialect it goes on in"
            targets.add(turns[0])
        assert targets == {OLD, NEW}
        sides = spent(rig)
        assert sides["switch=s1:c"] + sides["switch=s1:b"] == 72
        text = urllib.request.urlopen(f"{rig.running.url}/metrics").read().decode()
        assert 'fungible_switch_share{switch="s1",route="both"} 0.5' in text
        assert "# TYPE fungible_switch_share gauge" in text
        other = chat.chat.completions.with_raw_response.create(
            model="both",
            messages=[{"role": "user", "content": "x"}],
            extra_headers={"x-fungible-route-hint": "beta/two"},
        )
        assert other.headers["x-fungible-target"] == "beta/two"
        with pytest.raises(openai.BadRequestError, match="fungible's own"):
            chat.chat.completions.create(
                model="both",
                messages=[{"role": "user", "content": "x"}],
                extra_headers={"x-fungible-tags": "team=a,switch=s1:c:0:1:1:1"},
            )


def test_in_shadow_nobody_is_served_by_the_candidate_and_then_the_steps_come(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig, Callers(rig, 3) as callers:
        rig.start("--shadow", "40", "--steps", "50,100", "--min-calls", "20", "--min-seconds", "0",
                  "--window-seconds", "1", *EASY)  # fmt: skip
        rig.until(lambda told: told["state"] != "shadow")
        before = [(at, who) for dialogue in list(callers.dialogues) for at, who in dialogue]
        moved = rig.history()[1]
        assert moved["why"].endswith("no harm was shown.") and moved["before"]["state"] == "shadow"
        assert {who for at, who in before if at * 1000 < moved["at_ms"]} == {OLD}
        told = rig.until(lambda told: told["state"] == "done")
        callers.stopping.set()
    assert told["touched"]["shadow"]["calls"] >= 40
    assert told["cost_nanousd"]["shadow"] > 0, "the ledger has what the shadow cost, marked as such"
    assert spent(rig)["switch=s1:s"] >= 40
    assert any("shadow" in row["call"] for row in rig.running.rows())


def test_a_person_promotes_and_rolls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Rig(tmp_path, workers=1) as rig, Callers(rig, 2):
        rig.start("--steps", "20,100", *QUICK, *EASY, "--ask")
        told = rig.until(lambda told: told["state"] == "waiting")
        assert told["share"] == 0.2
        monkeypatch.chdir(tmp_path)
        told = invoked("promote", "both", "--why", "It looks well.")
        assert (told["state"], told["share"]) == ("done", 1.0)
        told = invoked("rollback", "s1")
        assert (told["state"], told["share"]) == ("rolled_back", 0.0)
        moves = invoked("history")
        assert [move["event"] for move in moves] == ["start", "ask", "promote", "rollback"]
        assert (
            moves[2]["why"] == "It looks well." and moves[2]["evidence"]["errors"]["candidate_outcomes"] > 0
        )
        assert "both: alpha/one -> beta/new  rolled back at 0 %" in invoked("status", "s1", plain=True)
        assert "promote by a person: done 100 %" in invoked("history", plain=True)
        assert invoked("status")[0]["switch"] == "s1"
        with pytest.raises(Fault, match="No switch 's1' is"):
            invoked("promote", "s1")


def invoked(*words: str, plain: bool = False) -> Any:
    """A command of `fungible switch`, in this process and folder."""
    said = CliRunner().invoke(
        program, ["switch", *words, *([] if plain else ["--json"])], env={"TEST_KEY": "k"}
    )
    if said.exception is not None:
        raise said.exception
    return said.output if plain else json.loads(said.output)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--route", "bith", "--to", "beta/new"), "Did you mean 'both'"),
        (("--route", "both", "--to", "alpha/one"), "answered by alpha/one already"),
        (("--route", "both", "--to", "reverse"), "is a route of several"),
        (("--route", "both", "--to", "beta/new", "--steps", "5,1"), "percentages that grow"),
        (("--route", "both", "--to", "beta/new", "--guard", "erors"), "Did you mean 'errors'"),
        (
            ("--route", "both", "--to", "beta/other", "--shadow", "9", "--shadow-budget-usd", "1"),
            "price of beta/other",
        ),
    ],
)
def test_what_cannot_begin(
    tmp_path: Path, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, monkeypatch)
    with pytest.raises(Fault) as fault:
        invoked("start", *words)
    assert told in fault.value.message
    assert not (tmp_path / "state" / "switch.db").exists()


def folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path)
    nowhere = "http://127.0.0.1:1"
    Path("fungible.toml").write_text(CONFIG.format(port=1, alpha=nowhere, beta=nowhere, server="", more=""))


def test_a_switch_that_is_done_and_not_in_the_configuration_stays_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, monkeypatch)
    assert invoked("start", "--route", "both", "--to", "beta/new", "--steps", "100")["share"] == 1.0
    with pytest.raises(Fault, match=r"put 'beta/new' first in \[route.both\] targets"):
        invoked("start", "--route", "both", "--to", "beta/other")
    config = Path("fungible.toml")
    config.write_text(config.read_text().replace('["alpha/one", "beta/two"]', '["beta/new", "alpha/one"]'))
    assert invoked("start", "--route", "both", "--to", "beta/other")["switch"] == "s2"
    with pytest.raises(Fault, match="under way already"):
        invoked("start", "--route", "both", "--to", "beta/two")


def test_scores_from_elsewhere_are_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, monkeypatch)
    invoked("start", "--route", "both", "--to", "beta/new", "--by", "call", "--guard", "judge")
    journal = Journal(tmp_path / "state")
    names = [(side, journal.attempt(side)[:-2]) for side in "cb" * 60]
    lines = [json.dumps({"call": name, "score": 0.2 if side == "c" else 0.9}) for side, name in names]
    Path("scores").write_text("\n".join([*lines, json.dumps({"call": "gone", "score": 1})]))
    assert invoked("score", "--scores", "scores") == {"taken": 120, "again": 0, "passed_over": 1}
    assert invoked("score", "--scores", "scores") == {"taken": 0, "again": 120, "passed_over": 1}
    Pilot(tmp_path / "state", lambda: NOW).tick()
    last = invoked("history")[-1]
    assert (last["event"], last["by"]) == ("breach", "judge")
    assert last["evidence"]["judge"]["candidate"] == pytest.approx(0.8)
    for line in ('{"call": "x"}', '{"call": "x", "score": 1.5}', "no"):
        Path("scores").write_text(line)
        with pytest.raises(Fault, match="Line 1 is no score"):
            invoked("score", "--scores", "scores")


def test_nothing_has_been_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, monkeypatch)
    assert invoked("status") == []
    with pytest.raises(Fault, match="no switch here yet"):
        invoked("rollback")
