"""Which calls are recorded, what is taken out of them, and what a wrong setting is told."""

import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fungible import config
from fungible.account import Settled
from fungible.answer import Nobody
from fungible.call import Asking, Call
from fungible.dialects import DIALECTS
from fungible.dialects.base import Peek
from fungible.faults import Fault
from fungible.models import Route
from fungible.policies import share
from fungible.recording import grouped
from fungible.recordings import Recordings
from fungible.recordings.recorder import Recorder, prepared
from fungible.recordings.redaction import PATTERNS, Redaction, Redactor
from fungible.recordings.rules import Rule, Rules
from fungible.recordings.segments import Kept, opened

CHAT = DIALECTS["openai.chat"]
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"Write to ann@example.org"},"finish_reason":"stop"}]}'
)


class Clock:
    """Both clocks of a recorder, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.now * 1000)


def recorder(state: Path, rules: dict[str, Rule], clock: Clock | None = None) -> Recorder:
    clock = clock or Clock()
    return Recorder(state, Rules(rules), clock.wall_ms, clock.monotonic)


def said(text: str, model: str = "main", **more: object) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more}).encode()


def ask(
    keeping: Recorder, n: int, body: bytes, *, answer: bytes = ANSWER, tags: str = "", status: int = 200
) -> None:
    """One call from its beginning to its end."""
    model = json.loads(body)["model"]
    call = Call(f"c{n}", Asking(CHAT, tags=tags), CHAT, body, Peek(model), 1_000.0)
    client = keeping.tap(call, Nobody())
    call.route = Route(model, ())
    client.reply(status, b"", answer)
    keeping.over(call)


def texts(state: Path) -> list[str]:
    return [json.loads(bytes(r.request))["messages"][0]["content"] for r in Recordings(state).read()]


# --- rules ---------------------------------------------------------------------------------------


def test_the_longest_pattern_goes_before_and_an_exact_name_before_all() -> None:
    one, two, three = Rule(keep_ms=1), Rule(keep_ms=2), Rule(keep_ms=3)
    rules = Rules({"*": one, "support-*": two, "support-eu": three})
    assert rules.of("support-eu") is three and rules.of("support-us") is two and rules.of("x/y") is one
    assert Rules({"a": one}).of("b") is None and not Rules({})


def test_a_share_is_of_conversations_and_the_same_for_everyone(tmp_path: Path) -> None:
    rule = Rule(share=0.3)
    for process in "ab":
        keeping = recorder(tmp_path / process, {"main": rule})
        for n in range(400):
            for turn in range(2):
                ask(keeping, 2 * n + turn, said(f"question {n}", temperature=turn / 10))
        keeping.close()
    one, other = texts(tmp_path / "a"), texts(tmp_path / "b")
    assert one == other and 160 < len(one) < 320  # of 800, both turns of some 120 conversations
    assert all(one.count(text) == 2 for text in one)


def test_only_and_tags(tmp_path: Path) -> None:
    keeping = recorder(tmp_path, {"main": Rule(only="failed", tags={"team": "a"})})
    ask(keeping, 1, said("good"), tags="team=a")
    ask(keeping, 2, said("other team"), status=500, tags="team=b")
    ask(keeping, 3, said("untagged"), status=500)
    ask(keeping, 4, said("kept"), status=500, tags="x=1,team=a")
    ask(keeping, 5, said("kept", model="else"), status=500, tags="team=a")
    keeping.close()
    assert texts(tmp_path) == ["kept"]


def test_what_a_switch_asks_itself_is_not_recorded(tmp_path: Path) -> None:
    keeping = recorder(tmp_path, {"*": Rule()})
    ask(keeping, 1, said("replayed"), tags="rehearsal=r1,x=1")
    ask(keeping, 2, said("shadow"), tags=f"{share.TAG}=s1")
    ask(keeping, 3, said("a person's"), tags="x=1")
    keeping.close()
    assert texts(tmp_path) == ["a person's"]


def test_a_full_queue_drops_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fungible.recordings.recorder.QUEUE_BYTES_MAX", 2_000)
    monkeypatch.setattr("fungible.recordings.recorder.EXCHANGE_BYTES_MAX", 5_000)
    keeping = recorder(tmp_path, {"main": Rule()})
    ask(keeping, 0, said("long" * 2_000))
    for n in range(20):
        ask(keeping, n, said("x" * 300))
    keeping.drain()
    ask(keeping, 99, said("there is room again"))
    keeping.close()
    written = keeping.counts["written"]
    assert 1 < written < 10 and keeping.counts["queue"] == 21 - written and keeping.counts["long"] == 1
    assert Recordings(tmp_path).dropped() == {"queue": 21 - written, "long": 1}
    assert texts(tmp_path)[-1] == "there is room again"


def test_a_disk_that_takes_nothing_is_told_once_and_calls_go_on(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("in the way")
    keeping = recorder(tmp_path, {"main": Rule()})
    ask(keeping, 1, said("lost"))
    keeping.drain()
    assert keeping.counts["disk"] == 1 and keeping.counts["written"] == 0
    (told,) = keeping.said()
    assert "could not be written" in told and keeping.said() == []
    (tmp_path / "recordings").unlink()
    ask(keeping, 2, said("kept"))
    keeping.close()
    assert texts(tmp_path) == ["kept"] and Recordings(tmp_path).dropped() == {"disk": 1}


def test_retention_by_age_and_by_size(tmp_path: Path) -> None:
    clock, day = Clock(), 86_400
    keeping = recorder(tmp_path, {"main": Rule(keep_ms=10 * day * 1000)}, clock)
    for n in range(20):
        ask(keeping, n, said(f"day {n}"))
        keeping.drain()
        clock.now += day
    keeping.drain()
    assert texts(tmp_path) == [f"day {n}" for n in range(10, 20)]  # begun at most ten days ago
    again = recorder(tmp_path, {"ma*": Rule(keep_ms=5 * day * 1000)}, clock)  # of a name nobody asks for now
    again.drain()
    assert texts(tmp_path) == [f"day {n}" for n in range(15, 20)]
    one = Recordings(tmp_path).segments()[0].stat().st_size
    keeping.rules = Rules({"main": Rule(bytes_max=3 * one)})
    ask(keeping, 20, said("day 20"))
    clock.now += day
    keeping.drain()
    assert 1 <= len(texts(tmp_path)) <= 3 and texts(tmp_path)[-1] == "day 20"


# --- groups --------------------------------------------------------------------------------------


def test_a_dialogue_is_one_group_however_its_cache_marks_move() -> None:
    first = {
        "role": "user",
        "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
    }
    later = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "x"},
    ]
    read = DIALECTS["anthropic.messages"].read_request
    body = {"model": "m", "max_tokens": 9, "system": "be kind"}
    one = grouped(read(json.dumps({**body, "messages": [first]}).encode()), {})
    assert one == grouped(read(json.dumps({**body, "messages": later}).encode()), {})
    assert one != grouped(read(json.dumps({**body, "system": "be rude", "messages": [first]}).encode()), {})
    assert one != grouped(read(json.dumps({**body, "messages": [first]}).encode()), {"conversation": "c1"})
    by_user = CHAT.read_request(said("a", user="ann"))
    assert grouped(by_user, {}) == grouped(CHAT.read_request(said("b", user="ann")), {})
    assert "ann" not in grouped(by_user, {})


# --- redaction -----------------------------------------------------------------------------------

FOUND = {
    "keys": [
        "sk-proj-abcdefghijklmnop1234", "AKIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "xoxb-123456789012-abcdef", "hf_abcdefghijklmnopqrstuv", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----", "AIza" + "x" * 35,
    ],
    "emails": ["ann@example.org", "first.last+tag@mail.example.co.uk", "ünser@bücher.example"],
    "cards": ["4111 1111 1111 1111", "4111-1111-1111-1111", "378282246310005"],
    "phones": ["+49 30 901820", "(030) 123-4567", "+14155552671", "0171 123 45 67", "030/9018 2000"],
}  # fmt: skip
NOT_FOUND = {
    "keys": ["sketch", "ask-me-anything", "eyJ", "hf_", "task-42"],
    "emails": ["a@b", "@decorator", "x @ y.z"],
    "cards": ["4111 1111 1111 1112", "12345678901234567890123", "1764080000000123-x"],
    "phones": ["2026-11-25", "192.168.100.200", "3.14159265", "12345", "v1.2.3", "in 10 20 steps"],
}


@pytest.mark.parametrize("kind", list(PATTERNS))
def test_what_is_found_and_what_is_let_alone(kind: str) -> None:
    for text in FOUND[kind]:
        assert Redactor(Redaction((kind,))).text(f"see {text}, please") == f"see [{kind[:-1]}-1], please"
    for text in NOT_FOUND[kind]:
        assert Redactor(Redaction((kind,))).text(f"see {text}, please") == f"see {text}, please"


def test_one_value_has_one_number_through_request_and_answer(tmp_path: Path) -> None:
    rule = Rule(
        redaction=Redaction(("emails",), (("ticket", re.compile(r"ACME-\d+")),), ("user", "messages[].name"))
    )
    keeping = recorder(tmp_path, {"main": rule})
    body = said("bob@example.org, then ann@example.org about ACME-77", user="ann@example.org")
    ask(keeping, 1, body, tags="conversation=ann@example.org")
    keeping.close()
    (found,) = Recordings(tmp_path).read()
    request = json.loads(bytes(found.request))
    assert request["messages"][0]["content"] == "[email-1], then [email-2] about [ticket-1]"
    assert "user" not in request and found.reply is not None and found.tags == {"conversation": "[email-2]"}
    assert json.loads(bytes(found.reply))["choices"][0]["message"]["content"] == "Write to [email-2]"
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "recordings").rglob("*.seg"))
    assert b"example.org" not in on_disk and b"ACME" not in on_disk


def test_what_two_events_of_a_stream_cut_in_two_is_found(tmp_path: Path) -> None:
    keeping = recorder(tmp_path, {"main": Rule(redaction=Redaction(("emails",)))})
    call = Call("c1", Asking(CHAT), CHAT, said("hi", stream=True), Peek("main", True), 1_000.0)
    client = keeping.tap(call, Nobody())
    call.route = Route("main", ())
    client.start(200, b"")
    for piece in ("Write to ann@exa", "mple.org now"):
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        delta = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
        client.write(b"data: " + json.dumps({**chunk, "choices": [delta]}).encode() + b"\n\n")
    end = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": {}, "finish_reason": "stop"}]}  # fmt: skip
    client.write(b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n")
    client.end()
    keeping.over(call)
    keeping.close()
    (found,) = Recordings(tmp_path).read()
    assert found.reply is not None
    assert json.loads(bytes(found.reply))["choices"][0]["message"]["content"] == "Write to [email-1] now"


def test_what_cannot_be_read_is_not_written(tmp_path: Path) -> None:
    keeping = recorder(tmp_path, {"main": Rule(redaction=Redaction(("emails",)))})
    ask(keeping, 1, said("ann@example.org"), answer=b"no JSON ann@example.org")
    keeping.close()
    assert keeping.counts["unread"] == 1 and texts(tmp_path) == []


def test_fields_are_left_out_at_any_depth() -> None:
    body = {"user": "u", "metadata": {"a": 1}, "messages": [{"name": "n", "content": "c"}, {"content": "d"}],
            "x": {"user": 1, "keep": 2}}  # fmt: skip
    redactor = Redactor(Redaction(drop=("user", "metadata", "messages[].name", "*.user", "absent.one")))
    left = msgspec.json.decode(redactor.body(json.dumps(body).encode()))
    assert left == {"messages": [{"content": "c"}, {"content": "d"}], "x": {"keep": 2}}


# --- the configuration ---------------------------------------------------------------------------


def loaded(folder: Path, text: str) -> config.Config:
    path = folder / "fungible.toml"
    path.write_text(text)
    return config.load(str(path), {"OPENAI_API_KEY": "k"})


ROUTE = '[route.main]\ntargets = ["openai/gpt-5.4-mini"]\n'


def test_a_record_table_becomes_a_rule(tmp_path: Path) -> None:
    text = ROUTE + (
        '[record.main]\nshare = 0.25\nonly = "answered"\ntags = { team = "a" }\nkeep_days = 2\nredact = ["keys"]\n'
        "patterns = { ticket = 'T-\\d+' }\ndrop = ['user']\n[record.'openai/*']\n"
    )
    rules = loaded(tmp_path, text).records
    rule = rules.of("main")
    assert rule is not None and (rule.share, rule.only, rule.tags) == (0.25, "answered", {"team": "a"})
    assert rule.keep_ms == 2 * 86_400_000 and rule.redaction.kinds == ("keys",) and not rule.plain
    other = rules.of("openai/gpt-x")
    assert other is not None and other.plain and rules.of("else") is None
    assert not loaded(tmp_path, ROUTE).records


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("share = 0", "share must be a number above 0 and at most 1, not 0"),
        ("share = 1.5", "share must be a number above 0 and at most 1, not 1.5"),
        ("only = 'ok'", "only must be 'all', 'answered' or 'failed', not 'ok'"),
        ("redact = ['email']", "redact has 'email'. Did you mean 'emails'?"),
        ("keep_days = 0", "keep_days must be a whole number from 1 to 3650, not 0"),
        ("patterns = { x = '(' }", "'x' is no regular expression"),
        ("patterns = { x = 'a*' }", "'x' matches the empty text"),
        ("patterns = { 'X y' = 'a' }", "'X y' is no name for a pattern"),
        ("drop = ['a..b']", "drop has 'a..b', which is no path"),
        ("keepdays = 3", "has no setting 'keepdays'. Did you mean 'keep_days'?"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(Fault) as caught:
        loaded(tmp_path, f"{ROUTE}[record.main]\n{line}\n")
    assert ":4: [record.main]" in caught.value.message and told in caught.value.message


def test_a_name_that_is_nearly_a_route_s(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"there is no route 'mian'. Did you mean 'main'"):
        loaded(tmp_path, f"{ROUTE}[record.mian]\n")


def test_the_row_of_the_attempt_is_kept(tmp_path: Path) -> None:
    keeping = recorder(tmp_path, {"main": Rule()})
    call = Call("c1", Asking(CHAT), CHAT, said("hi"), Peek("main"), 1_000.0)
    client = keeping.tap(call, Nobody())
    call.route = Route("main", ())
    row = Settled("c1.1", "settled", 1, 3, 4, cost_nanousd=5, losses=2)
    keeping.settled("c1", row, None)  # type: ignore[arg-type]  # no target is looked at
    client.reply(200, b"", ANSWER)
    keeping.over(call)
    keeping.close()
    (found,) = Recordings(tmp_path).read()
    assert (found.input_tokens, found.output_tokens, found.cost_nanousd, found.losses) == (3, 4, 5, 2)


# --- most bodies need not be taken apart

SECRETS = (
    "ann@example.org", "sk-abcdefghijklmnop1234", "4111 1111 1111 1111", "+49 30 1234567", "(030)/1234/5678",
    ":+15551234567,", 'x": +15551234567}', "+4930\uff11\uff12\uff13\uff14\uff15\uff16\uff17", "Bearer abcdefghijklmnop123456",
    "hf_abcdefghijklmnopqrstuv",
)  # fmt: skip
PLAIN = (
    "Hello", "", "a_b", "1 2 3", "20 % of 12,5", "ends in \\", "sk-no", "über", ":", 'n"', "555\n123\n4567",
    ":5551234567,", 'x": 5551234567}',
)  # fmt: skip
KEYS = ("content", "created", "user", "max_tokens", "note 12", 'a"b')


def body_of(chance: random.Random, depth: int = 0) -> Any:
    """JSON by chance, with something to be found in one of three."""
    kind = chance.random()
    if depth < 3 and kind < 0.3:
        return {chance.choice(KEYS): body_of(chance, depth + 1) for _ in range(chance.randrange(1, 4))}
    if depth < 3 and kind < 0.45:
        return [body_of(chance, depth + 1) for _ in range(chance.randrange(1, 4))]
    if kind < 0.6:
        return chance.choice((1_732_550_000, 17.25, -12345678901, None, True, 7))
    said = chance.choice(SECRETS) if chance.random() < 0.3 else chance.choice(PLAIN)
    return chance.choice(PLAIN) + chance.choice(("", " ", ", ")) + said


def test_a_body_that_is_not_taken_apart_has_nothing_to_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    redaction = Redaction(tuple(PATTERNS), drop=("user", "*.note"))
    untouched = 0
    for _ in range(20_000):
        value = {"messages": body_of(chance)}
        wire = json.dumps(
            value,
            ensure_ascii=chance.random() < 0.3,
            separators=chance.choice(((",", ":"), (", ", ": "))),
        ).encode()
        wire = wire.replace(b"/", b"\\/") if chance.random() < 0.3 else wire
        told = Redactor(redaction).body(wire)
        untouched += told is wire
        with monkeypatch.context() as patched:
            patched.setattr(Redactor, "_clean", lambda *_: False)
            assert json.loads(told) == json.loads(Redactor(redaction).body(wire)), wire
    assert untouched > 4_000, "the test has both kinds"


@pytest.mark.parametrize("secret", SECRETS)
def test_everything_of_that_test_is_found_by_itself(secret: str) -> None:
    wire = json.dumps({"content": secret}, ensure_ascii=False).encode()
    assert json.loads(Redactor(Redaction(tuple(PATTERNS))).body(wire)) != {"content": secret}


def test_whom_it_belongs_to_is_told_before_that_is_taken_out_and_else_by_who_reads_it(tmp_path: Path) -> None:
    rule = Rule(redaction=Redaction(("emails",), drop=("user",)))
    for text, kept_apart in (("Hello", False), ("I am ann@example.org", True)):
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
        row = Kept(
            "c", 0.0, "m", CHAT.name, False, "", body, [ANSWER], 200, False, True, None, 1.0, "p", "m", None
        )
        found = prepared(row, rule)
        assert found is not None and bool(found.group) == kept_apart
        assert b"ann@" not in found.request + found.answer
        assert (found.group or opened(found).group or grouped(CHAT.read_request(body), {})) == grouped(
            CHAT.read_request(body), {}
        )
