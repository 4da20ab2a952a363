"""Adapting a prompt: parts that do not meet, a proposal that mends what failed, and its rehearsal on the unseen."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from fungible.faults import Fault
from fungible.recording import Recording
from fungible.switch.adaptation import LEAST, mark, parted, proposed, seed, spoken_anew
from fungible.switch.findings import said
from fungible.switch.pairing import Pairing
from fungible.switch.reading import question
from fungible.switch.rehearsal import Rehearsal
from fungible.switch.runs import Answer, Run, Settings
from fungible.variants import system_of
from tests.rehearsing import Stage, begun, measure, never, recorded, said_by_candidate
from tests.test_switch_judges import Outside, answering
from tests.upstream import JSON, Seen, Upstream, answer

RULE = "Answer with bare JSON, and n as a number."


def told(recording: Recording, system: str) -> Recording:
    body = json.loads(bytes(recording.request))
    body["messages"].insert(0, {"role": "system", "content": system})
    return msgspec.structs.replace(recording, request=msgspec.Raw(json.dumps(body).encode()))


def says(target: str, recording: Recording) -> str:
    """The candidate keeps the schema only where its prompt says so; the reflecting model finds that out."""
    asked = question(recording.asked())
    if target == "wise/one":
        assert "Schema kept" in asked or "fits the JSON Schema" in asked
        return f"It should be told:\n```\nYou answer in JSON. {RULE}\n```"
    number = asked.rpartition("#")[2]
    return json.dumps({"n": int(number) if RULE in system_of(recording.asked()) else number})


SETTINGS = Settings(run="r", route="assistant", targets=("new/two",), begun_ms=1, until="all")


def test_the_parts_do_not_meet_and_keep_conversations_whole() -> None:
    parts = parted([recorded(n, "json", group=f"g{n // 3}") for n in range(300)], 0)
    groups = [{one.group for one in part} for part in parts]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert sum(map(len, parts)) == 300 and len(parts.unseen) > 100
    assert all(len(part) % 3 == 0 for part in parts)
    with pytest.raises(Fault, match="too few"):
        parted([recorded(n, "json") for n in range(LEAST)], 0)


def test_the_seed_is_what_all_are_told_or_a_place_for_it() -> None:
    one, other = told(recorded(1, "chat"), "Be kind."), told(recorded(2, "chat"), "Be brief.")
    assert seed([one, one]) == "Be kind." and seed([one, other]) == "{system}"
    assert seed([recorded(1, "chat")]) == "{system}"
    anew = spoken_anew(one, "{system} Please.")
    assert system_of(anew.asked()) == "Be kind. Please." and spoken_anew(one, "{system}") is one
    assert anew.asked().tools == one.asked().tools and anew.id == one.id


def test_a_mark_counts_what_the_candidate_fell_behind_by() -> None:
    settings = msgspec.structs.replace(SETTINGS, deciding={"answered": 0.01, "schema": 0.01})
    for text, expected in (('{"n": 1}', 1.0), ('{"n": "1"}', 0.5)):
        answer = Answer(n=0, by="new/two", recording=answering(recorded(1, "json"), text, "new/two"))
        assert mark(Pairing(0, recorded(1, "json"), answer), settings) == expected


def test_a_proposal_mends_what_failed_and_is_judged_on_the_unseen(tmp_path: Path) -> None:
    pytest.importorskip("gepa")
    recordings = [told(recorded(n, "json"), "You answer in JSON.") for n in range(120)]
    first = begun(tmp_path / "first", recordings, SETTINGS)
    settings = first.settings
    parts, outside = parted(list(first.recordings(120)), 0), Outside(says)
    proposal = asyncio.run(
        proposed(outside, settings, "new/two", parts, reflect="wise/one", calls=len(parts.choose) * 4)
    )
    assert RULE in proposal.prompt and proposal.before < proposal.mark == 1.0
    seen = {one.id for one in (*parts.learn, *parts.choose)}
    after = msgspec.structs.replace(settings, prompt=proposal.prompt)
    run = Run.of(tmp_path, after, parts.unseen)
    rehearsal = Rehearsal(run, outside)
    asyncio.run(rehearsal.go())
    run.close()
    document = said(rehearsal.standing)
    row = next(row for row in document["candidates"][0]["measures"] if row["measure"] == "schema")
    assert (row["incumbent"], row["candidate"], row["pairs"]) == (1.0, 1.0, len(parts.unseen))
    assert not seen & {one.id for one in run.recordings(120)}
    assert any("prompt variant" in remark for remark in document["judged"]["remarks"])


def test_without_gepa_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.switch.adaptation.find_spec", lambda name: None)
    parts = parted([recorded(n, "json") for n in range(100)], 0)
    with pytest.raises(Fault, match=r"fungible\[adapt\]"):
        asyncio.run(proposed(Outside(says), SETTINGS, "new/two", parts, reflect="wise/one", calls=10))


def test_the_command(tmp_path: Path) -> None:
    """A rehearsal that was not safe, a proposal, and the rehearsal of that on the unseen part."""
    pytest.importorskip("gepa")

    def wise(seen: Seen) -> list:
        said = json.loads(
            bytes(answering(recorded(1, "chat"), f"```\nBe exact. {RULE}\n```", "wise/w").reply or b"")
        )
        return answer(200, JSON, said)

    good, bad = said_by_candidate(never), said_by_candidate(lambda kind, n: "schema")
    with Stage(tmp_path) as stage, Upstream(wise) as reflecting:
        stage.new.respond = lambda seen: (good if RULE in json.dumps(seen.json.get("system", "")) else bad)(
            seen
        )
        wise_provider = f'\n[provider.wise]\ndialect = "openai.chat"\nbase_url = "{reflecting.base}/v1"\n'
        stage.config.write_text(stage.config.read_text() + wise_provider + 'key = "env:TEST_KEY"\n')
        stage.fill([recorded(n, "json") for n in range(100)])
        before = stage.rehearsed("--route", "assistant", "--to", "new/two", "--n", "100", "--run", "first")
        words = ("adapt", "first", "--reflect", "wise/w", "--calls", "90", "--out", "p.txt", "--json")
        found = json.loads(stage.program(*words).stdout)
    assert before["verdict"] == "not_safe"
    assert (tmp_path / "p.txt").read_text() == f"Be exact. {RULE}\n" == found["proposal"]["prompt"] + "\n"
    after = found["rehearsal"]["candidates"][0]
    assert after["recordings"] < 60 and measure(after, "schema")["candidate"] == 1.0
