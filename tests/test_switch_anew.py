"""Rollouts that ask the incumbent anew: a candidate whose answers look well by themselves, and are not."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fungible.account import Opened, Settled
from fungible.cli import program
from fungible.faults import Fault
from fungible.ledger import Ledger
from tests.rollouts import TWO_TOOLS, Callers, Play, Rig, calling
from tests.test_switch_serving import folder, spent

NOW_MS = time.time_ns() // 1_000_000
NOISE = 0.02  # the incumbent itself does not always call the same
WRONG = 0.1
LONG = ("--min-calls", "100000", "--window-seconds", "1", "--anew", "100")
GUARDS = ("--guard", "only", "--guard", "calls:margin=0.5", "--guard", "tools:margin=0.15")
ROADS = {
    "wrong": ("--steps", "50,100", *LONG),
    "unseen": ("--shadow", "100000", "--shadow-share", "80", *LONG),
    "equal": ("--steps", "20,50,100", *LONG, "--min-calls", "20", "--min-seconds", "0"),
}


def other_tool(share: float) -> Play:
    return calling(lambda chance: "forecast" if chance.random() < share else "weather")


def test_a_valid_call_of_a_wrong_tool_rolls_back_and_an_equal_candidate_goes_over(tmp_path: Path) -> None:
    """Both tools are offered and every call fits its schema: the guard `calls` has nothing to say."""
    plays = {name: other_tool(NOISE) for name in (*(f"for-{road}" for road in ROADS), "equal")}
    plays |= {name: other_tool(NOISE + WRONG) for name in ("wrong", "unseen")}
    routes = "".join(f'[route.{name}]\ntargets = ["alpha/for-{name}"]\n' for name in ROADS)
    with Rig(tmp_path, more=routes, **plays) as rig, ExitStack() as stack:
        for name, words in ROADS.items():
            stack.enter_context(Callers(rig, 2, name, more=TWO_TOOLS))
            rig.start(*words, *GUARDS, route=name, to=f"beta/{name}")
        ended = {
            name: rig.until(lambda told: told["state"] in ("rolled_back", "done"), 150, name)
            for name in ROADS
        }
    for name in ("wrong", "unseen"):
        last, touched = rig.history(name)[-1], ended[name]["touched"].get("candidate")
        print(f"{name}: {touched}, {last['why']}")
        assert (last["event"], last["by"]) == ("breach", "tools"), last
        seen = last["evidence"]["tools"]
        assert seen["candidate"] > 0.08 > seen["incumbent"] > 0.005, "the incumbent differs from itself, too"
        assert last["evidence"]["calls"]["candidate"] == 0.0
        if name == "wrong":
            assert 0 < touched["users"] <= touched["units"] <= touched["calls"]
        else:
            assert touched is None, "in shadow nobody is served by it"
    assert ended["equal"]["state"] == "done", rig.history("equal")[-1]
    assert rig.history("equal")[-1]["evidence"]["tools"]["pass"] == 1.0
    sides = spent(rig)
    assert all(sides[f"switch=s{n}:a"] for n in (1, 2, 3)) and "Traceback" not in rig.running.said()


def begun(*words: str) -> Any:
    start = ["switch", "start", "--route", "both", "--to", "beta/new", "--steps", "5,50,100", *words]
    said = CliRunner().invoke(program, start, env={"TEST_KEY": "k"})
    if said.exception is not None:
        raise said.exception
    return said


def test_what_it_costs_is_said_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, monkeypatch)
    ledger = Ledger(tmp_path / "state")
    for n in range(700):
        name = f"{ledger.boot}-{n}.1"
        opened = Opened(name, name[:-2], 1, NOW_MS, "alpha", "one", "d", False, None, "both", "")
        ledger.open(opened)
        ledger.settle(Settled(name, "settled", NOW_MS, 1, 1, cost_nanousd=10_000_000))
    ledger.close()
    told = begun("--anew", "50", "--anew-budget-usd", "25").stderr
    assert "at most $25.0 in all" in told
    assert (
        "step 5 %: 5 % more calls (some $0.05 a day); step 50 %: 50 % more calls (some $0.50 a day)" in told
    )
    assert "anew" not in begun("--route", "reverse").stderr


def test_without_calls_the_cost_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, monkeypatch)
    told = begun("--anew", "50").stderr
    assert "no budget" in told and "step 5 %: 5 % more calls; step" in told and "not known" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--guard", "tools"), "such as --anew 20"),
        (("--route", "reverse", "--anew", "9", "--anew-budget-usd", "1", "--to", "beta/dear"), "price of"),
    ],
)
def test_what_cannot_be(
    tmp_path: Path, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, monkeypatch)
    config = Path("fungible.toml")
    config.write_text(config.read_text().replace('["beta/two"', '["beta/unpriced"'))
    with pytest.raises(Fault, match=told):
        begun(*words)
