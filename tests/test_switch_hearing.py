"""A judging model of live answers: tried first, asked about the candidate's only, paid for by the switch."""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.ir import Choice, Reply, Text
from fungible.policies.share import Mark
from fungible.recording import Recording
from fungible.switch.anew import Answered, Pair
from fungible.switch.hearing import Hearing
from fungible.switch.jury import CONTROLS, Judge
from fungible.switch.world import Replayed
from tests.faulty import CHAT, Wire
from tests.rollouts import Callers, Play, Rig
from tests.test_switch_anew import LONG, begun
from tests.test_switch_judges import PRICE, answering
from tests.test_switch_serving import folder, spent
from tests.upstream import JSON, Seen, Step, answer

SPOKEN = DIALECTS["openai.chat"]
SORRY = "sorry"  # what the bad answers say


def good(text: str, question: str) -> int:
    """2 for an answer to the question, 1 for a sorry one, 0 for one to another."""
    return 0 if f"about {question}." not in text else 1 if SORRY in text else 2


def better(said: dict[str, str]) -> str:
    found = re.search(r"Question \d+", said["request"])
    assert found is not None
    first, second = good(said["first"], found[0]), good(said["second"], found[0])
    return "tie" if first == second else "first" if first > second else "second"


def pair(n: int, side: str, text: str = "", anew: str = "") -> Pair:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"Question {n}"}]}).encode()
    request = SPOKEN.read_request(body)

    def one(side: str, said: str) -> Answered:
        reply = Reply(
            id="r", model="m", choices=(Choice(parts=(Text(text=said or f"All about Question {n}."),)),)
        )
        return Answered(f"c-{n}.1", Mark("s1", side, 1, n, n, n), request, reply, 9)  # type: ignore[arg-type]

    return Pair(one(side, text), one("a", anew), 1_000 + n)


class Court:
    """Implements `world.Asker` for a judge that says `better`."""

    def __init__(self, better: Callable[[dict[str, str]], str]) -> None:
        self.better = better
        self.asked: list[str] = []
        self.fault: Fault | None = None

    async def replay(self, recording: Recording, target: str, tags: str) -> Replayed:
        await asyncio.sleep(0)
        self.asked.append(tags)
        if self.fault is not None:
            status, body = SPOKEN.write_error(self.fault, "c-1")
            return Replayed(msgspec.structs.replace(recording, status=status, reply=msgspec.Raw(body)))
        said = json.loads(json.loads(bytes(recording.request))["messages"][1]["content"])
        return Replayed(answering(recording, json.dumps({"why": "", "better": self.better(said)}), target))

    async def embed(self, model: str, texts: Sequence[str], tags: str) -> Any:
        raise AssertionError("a hearing asks for no vectors")

    def price(self, target: str) -> Any:
        return PRICE

    async def pause(self, seconds: float) -> None: ...

    def now_s(self) -> float:
        return 0.0


def heard(court: Court, pairs: Sequence[Pair], hearing: Hearing | None = None) -> tuple[Hearing, list[Any]]:
    made = hearing or Hearing(Judge(court, "judge/big", "mark"))

    async def all_of() -> list[Any]:
        return [row for each in await asyncio.gather(*map(made.hear, pairs)) for row in each]

    return made, asyncio.run(all_of())


def test_it_is_tried_first_and_then_heard_of_all_that_waited() -> None:
    court = Court(better)
    bad = f"I am {SORRY} about Question "
    pairs = [pair(n, "cb"[n % 2], f"{bad}{n}." if n % 3 == 0 else "") for n in range(CONTROLS + 8)]
    hearing, rows = heard(court, pairs)
    assert hearing.state == "believed" and len(hearing.controls) == 2 * CONTROLS
    assert {(name, at, scores["judge"]) for name, _, at, scores in rows} == {
        (f"c-{n}.1", 1_000 + n, 1.0 if n % 3 == 0 and n % 2 == 0 else 0.5) for n in range(CONTROLS + 8)
    }
    differ = sum(n % 6 == 0 for n in range(CONTROLS + 8))
    assert len(court.asked) == 2 * (2 * CONTROLS + differ), (
        "of the incumbent's, and of like texts, nobody asks"
    )
    assert {*court.asked} == {"mark"}
    _, rows = heard(court, [pair(99, "s", "Much better about Question 99.", f"{bad}99.")], hearing)
    assert rows == [("c-99.1", Mark("s1", "s", 1, 99, 99, 99).tag(), 1_099, {"judge": 0.0})]


@pytest.mark.parametrize(
    ("says", "why"),
    [(lambda _: "tie", "wrong in 12 of 24"), (lambda _: "first", "wrong in 12 of 24")],
    ids=["always a tie", "the first place"],
)  # fmt: skip
def test_one_that_is_not_to_be_believed_says_nothing_and_is_asked_no_more(
    says: Callable[[dict[str, str]], str], why: str
) -> None:
    court = Court(says)
    hearing, rows = heard(court, [pair(n, "c") for n in range(CONTROLS)])
    assert hearing.state == "not believed" and not rows and why in hearing.why
    asked = len(court.asked)
    assert heard(court, [pair(50, "c"), pair(51, "b")], hearing)[1] == [] and len(court.asked) == asked


def test_the_other_answer_is_of_another_conversation() -> None:
    """Two turns of one dialogue follow each other, and what was said in one may do in the other."""
    pairs = [pair(n // 2, "c", anew=f"More about Question {n // 2}. Turn {n}.") for n in range(CONTROLS)]
    assert heard(Court(better), pairs)[0].state == "believed"


def test_where_all_answers_are_alike_nobody_can_be_tried() -> None:
    hearing, rows = heard(Court(better), [pair(n, "c", anew="Yes.") for n in range(CONTROLS)])
    assert hearing.state == "not believed" and not rows and "cannot be tried" in hearing.why


def test_one_that_says_nothing_may_be_down_and_has_three_tries() -> None:
    hearing = Hearing(Judge(Court(lambda _: "?"), "judge/big", "mark"))
    for _ in range(2):
        with pytest.raises(Fault, match="no judgement of 24 pairs"):
            heard(Court(better), [pair(n, "c") for n in range(CONTROLS)], hearing)
    heard(Court(better), [pair(n, "c") for n in range(CONTROLS)], hearing)
    assert hearing.state == "not believed" and "wrong in 24 of 24" in hearing.why


def test_one_that_cannot_be_asked_is_tried_later() -> None:
    court = Court(better)
    court.fault = Fault("not_found", "No such model.")
    hearing = Hearing(Judge(court, "judge/big", "mark"))
    with pytest.raises(Fault, match="judge/big cannot be asked"):
        heard(court, [pair(n, "c") for n in range(CONTROLS)], hearing)
    court.fault = None
    assert hearing.state == "gathering"
    assert len(heard(court, [pair(90, "c")], hearing)[1]) == CONTROLS + 1


# --- a real server


def answering_badly(share: float) -> Play:
    """An answer that repeats the dialogue's question, and is a sorry one now and then."""

    def play(wire: Wire, seen: Seen, chance: random.Random) -> Sequence[Step]:
        said = seen.json["messages"][0]["content"]
        question = said if isinstance(said, str) else said[0]["text"]
        text = f"{SORRY if chance.random() < share else 'Much'} about {question}. {chance.random()}"
        reply = json.loads(json.dumps(wire.reply))
        if wire is CHAT:
            reply["choices"][0]["message"]["content"] = text
        else:
            reply["content"][0]["text"] = text
        return answer(200, JSON, reply)

    return play


def judging(wire: Wire, seen: Seen, _chance: random.Random) -> Sequence[Step]:
    said = json.loads(seen.json["messages"][-1]["content"])
    reply = json.loads(json.dumps(wire.reply))
    reply["choices"][0]["message"]["content"] = json.dumps({"why": "", "better": better(said)})
    return answer(200, JSON, reply)


PRICED = '[model."alpha/judge"]\ninput_usd_per_mtok = 1.0\noutput_usd_per_mtok = 1.0\n'


def test_a_candidate_that_the_judge_likes_less_is_rolled_back_and_an_equal_one_goes_over(
    tmp_path: Path,
) -> None:
    names = ("worse", "equal", "dear")
    plays = {f"for-{name}": answering_badly(0.1) for name in names} | {"judge": judging}
    plays |= {"worse": answering_badly(0.5), "equal": answering_badly(0.1), "dear": answering_badly(0.1)}
    routes = "".join(f'[route.{name}]\ntargets = ["alpha/for-{name}"]\n' for name in names)
    prices = "".join(PRICED.replace("judge", f"for-{name}") for name in names)
    judged = ("--guard", "only", "--guard", "judge:margin=0.2", "--judge", "alpha/judge")
    roads = {
        "worse": ("--steps", "50,100", *LONG),
        "equal": ("--steps", "50,100", *LONG, "--min-calls", "20", "--min-seconds", "0"),
        "dear": ("--steps", "50,100", *LONG, "--anew-budget-usd", "0.003"),
    }
    with Rig(tmp_path, more=PRICED + prices + routes, **plays) as rig, ExitStack() as stack:
        for name, words in roads.items():
            stack.enter_context(Callers(rig, 2, name))
            rig.start(*words, *judged, route=name, to=f"beta/{name}")
        worse = rig.until(lambda told: told["state"] == "rolled_back", 150, "worse")
        rig.until(lambda told: told["state"] == "done", 150, "equal")
        last = time.monotonic() + 60
        while "budget of --anew is spent" not in rig.running.said() and time.monotonic() < last:
            time.sleep(0.3)
        time.sleep(3)
        before = rig.told("dear")["cost_nanousd"]
        time.sleep(2)
        dear = rig.told("dear")
    history = rig.history("worse")[-1]
    touched = worse["touched"]["candidate"]
    print(f"worse: {touched}, {history['why']}")
    assert (history["event"], history["by"]) == ("breach", "judge") and touched["users"] > 0
    assert history["evidence"]["judge"]["incumbent"] == 0.5 < history["evidence"]["judge"]["candidate"]
    assert rig.history("equal")[-1]["evidence"]["judge"]["pass"] == 1.0
    assert spent(rig)["switch=s1:j"] > 4 * CONTROLS
    costs, parts = dear["cost_nanousd"], ("incumbent_anew", "judge")
    assert {name: costs[name] for name in parts} == {name: before[name] for name in parts}, "it was the last"
    assert costs["judge"] > 0 and sum(costs[name] for name in parts) >= 3_000_000
    assert dear["state"] == "step" and "Traceback" not in rig.running.said()


def test_what_a_judge_costs_and_whose_kin_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, monkeypatch)
    told = begun("--anew", "50", "--judge", "beta/two", "--judge-share", "20").stderr
    assert "step 5 %: 5 % more calls, 0.5 % judged; step 50 %: 50 % more calls, 5 % judged" in told
    assert "The judge beta/two is of one family with beta/new" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--judge", "alpha/one"), "such as --anew 20"),
        (("--judge", "reverse", "--anew", "9"), "is a route of several"),
        (("--judge", "alpha/unpriced", "--anew", "9", "--anew-budget-usd", "1", "--route", "reverse"), "price of"),
    ],
)  # fmt: skip
def test_no_judge(tmp_path: Path, words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, monkeypatch)
    with pytest.raises(Fault, match=told):
        begun(*words)
