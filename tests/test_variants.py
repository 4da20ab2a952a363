"""Prompt variants of a route's targets: what the model is told, and that the change is said."""

import json
from pathlib import Path
from typing import Any

import pytest

import fungible
from fungible.ir import Cache, Message, Request, Role, Text
from fungible.losses import Loss
from fungible.variants import system_of, varied
from tests.rehearsing import CONFIG, said_by_candidate, said_by_incumbent
from tests.upstream import Upstream

PROMPT = "{system} Answer in one sentence."


def asked(*said: tuple[Role, str]) -> Request:
    messages = [
        Message(role=role, parts=(Text(text=text),), at=f"messages[{n}]")
        for n, (role, text) in enumerate(said)
    ]
    return Request(model="m", messages=tuple(messages))


def told(request: Request) -> list[tuple[str, str]]:
    return [(m.role, "".join(p.text for p in m.parts if isinstance(p, Text))) for m in request.messages]


@pytest.mark.parametrize(
    ("before", "template", "after", "path"),
    [
        ([("system", "Be kind."), ("user", "Hi")], PROMPT,
         [("system", "Be kind. Answer in one sentence."), ("user", "Hi")], "messages[0]"),
        ([("system", "Be kind."), ("user", "Hi")], "Be brief.", [("system", "Be brief."), ("user", "Hi")],
         "messages[0]"),
        ([("developer", "A"), ("system", "B"), ("user", "Hi"), ("system", "C")], "{system}!",
         [("developer", "A\n\nB!"), ("user", "Hi"), ("system", "C")], "messages[0]"),
        ([("user", "Hi")], "Be brief.", [("system", "Be brief."), ("user", "Hi")], "messages[0]"),
        ([("system", "Be kind."), ("user", "Hi")], " ", [("user", "Hi")], "messages[0]"),
    ],
)  # fmt: skip
def test_what_is_told(before: Any, template: str, after: Any, path: str) -> None:
    request, losses = varied(asked(*before), template)
    assert told(request) == after
    assert losses == (Loss(path, "changed", "prompt_variant"),)


def test_a_variant_that_changes_nothing_is_no_loss() -> None:
    request = asked(("system", "Be kind."), ("user", "Hi"))
    assert varied(request, "{system}") == (request, ())
    assert system_of(request) == "Be kind."


def test_a_cache_mark_stays() -> None:
    marked = Message(role="system", parts=(Text(text="Long.", cache=Cache()), Text(text="Short.")))
    request, _ = varied(Request(model="m", messages=(marked,)), PROMPT)
    part = request.messages[0].parts[0]
    assert isinstance(part, Text) and part.cache == Cache()


def test_each_target_of_a_route_is_told_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "k")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    route = f"""
[route.alike]
targets = [{{ target = "old/one", prompt = "{PROMPT}" }}]
[route.other]
targets = [{{ target = "new/two", prompt = "{PROMPT}" }}]
[route.plain]
targets = ["old/one"]
"""
    with Upstream(said_by_incumbent) as old, Upstream(said_by_candidate(lambda kind, n: None)) as new:
        (tmp_path / "fungible.toml").write_text(CONFIG.format(old=old.base, new=new.base) + route)
        with fungible.Client(str(tmp_path / "fungible.toml")) as client:
            answers = {
                name: client.chat(name, "chat, please. #1", system="Be kind.", max_output_tokens=9)
                for name in ("alike", "other", "plain")
            }
            http = client.http()
            body = {"model": "alike", "messages": [{"role": "user", "content": "chat, please. #1"}]}
            strict = http.post(
                "http://fungible/v1/chat/completions", json=body, headers={"x-fungible-strict": "1"}
            )
            dry = http.post(
                "http://fungible/v1/chat/completions", json=body, headers={"x-fungible-dry-run": "1"}
            )
        said = [message["content"] for seen in old.seen for message in seen.json["messages"][:1]]
        assert said == ["Be kind. Answer in one sentence.", "Be kind."]
        assert "Be kind. Answer in one sentence." in json.dumps(new.seen[0].json["system"])
    assert answers["alike"].losses == "1, messages[0];changed"
    assert answers["other"].losses.startswith("1, messages[0];changed")
    assert answers["plain"].losses == "0"
    assert strict.status_code == 422 and "prompt_variant" in strict.text
    foreseen = dry.json()["targets"][0]
    assert not foreseen["whole"] and foreseen["losses"][0]["why"] == "prompt_variant"
