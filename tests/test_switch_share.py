"""Who answers a call of a switched route: sticky, shared out by hash, seen at once, and marked in the ledger."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from fungible.admission import admit
from fungible.call import Asking, Call, Local
from fungible.dialects import DIALECTS, SPOKEN
from fungible.models import Catalogue, Split
from fungible.policies.share import BITS, DIALOGUES_MAX, read_mark, twin
from tests.targets import catalogue
from tests.test_policies import SECRET, key, local

SALT = b"0123456789abcdef"


def split(share: float, **more: Any) -> Split:
    return Split("s1", SALT, ("b", "new"), share=share, **more)


def switched(here: Local, **splits: Split) -> Local:
    here.catalogue = here.catalogue.splitting(splits)
    return here


def asked(
    text: str,
    *turns: str,
    tags: str = "",
    model: str = "both",
    name: str = "c-1",
    dialect: str = "openai.chat",
    asking: Asking | None = None,
    **more: Any,
) -> Call:
    """A call of a conversation that began with `text`; `turns` are what was said since, by turns."""
    messages = [{"role": "user", "content": text}]
    messages += [{"role": ("assistant", "user")[n % 2], "content": turn} for n, turn in enumerate(turns)]
    body = json.dumps({"model": model, "max_tokens": 9, "messages": messages, **more}).encode()
    spoken = DIALECTS[dialect]
    asking = asking or Asking(spoken, secret=SECRET.encode(), tags=tags)
    return Call(name, asking, spoken, body, spoken.peek(body), 0.0)


def side(here: Local, call: Call) -> str:
    assert admit(call, here, 0.0) is None
    assert call.route is not None
    mark = read_mark(call.asking.tags)
    assert mark is not None
    first = call.route.targets[0].name
    assert first == ("b/new" if mark.side == "c" else "a/one"), "the mark says who was asked"
    return mark.side


def test_a_share_of_conversations_goes_to_the_candidate_and_stays_there() -> None:
    here = switched(local(key()), both=split(0.25))
    sides = {}
    for n in range(400):
        sides[n] = side(here, asked(f"Question {n}"))
        for turns in (["Yes?", "More"], ["Yes?", "More", "Fine", "And more"]):
            assert side(here, asked(f"Question {n}", *turns)) == sides[n]
    assert 60 <= sum(one == "c" for one in sides.values()) <= 140


def test_a_growing_share_keeps_whom_it_had() -> None:
    before, kept = set(), 0
    for share in (0.01, 0.05, 0.25, 0.5, 1.0):
        here = switched(local(key()), both=split(share))
        has = {n for n in range(300) if side(here, asked(f"Question {n}")) == "c"}
        assert before <= has
        kept += len(before)
        before = has
    assert len(before) == 300 and kept


def test_another_salt_draws_anew() -> None:
    one, other = (
        [side(switched(local(key()), both=Split("s1", salt, ("b", "new"), share=0.5)), asked(f"Q{n}")) for n in range(100)]
        for salt in (SALT, b"another")
    )  # fmt: skip
    assert one != other


def test_a_dialogue_that_began_elsewhere_is_held() -> None:
    here = switched(local(key()), both=split(1.0))
    call = asked("Hello")
    assert side(here, call) == "c"
    mark = read_mark(call.asking.tags)
    assert mark is not None
    held = switched(local(key()), both=split(1.0, held=frozenset({mark.talk})))
    assert side(held, asked("Hello", "Yes?", "More")) == "h" and side(held, asked("Another")) == "c"


def test_a_dialogue_of_the_last_seconds_is_held_before_the_store_has_told_of_it() -> None:
    here = switched(local(key()), both=split(0.0))
    assert side(here, asked("Hello")) == "b"
    switched(here, both=split(1.0, stage=1))
    assert side(here, asked("Hello", "Yes?", "More")) == "h" and side(here, asked("Another")) == "c"
    later = asked("Hello", "Yes?", "More", "Well?", "And more")
    assert admit(later, here, 60.0) is None and read_mark(later.asking.tags).side == "c"  # type: ignore[union-attr]


def test_what_is_remembered_of_dialogues_has_an_end() -> None:
    here = switched(local(key()), both=split(0.0))
    here.dialogues = dict.fromkeys(range(DIALOGUES_MAX), 0.0)
    assert side(here, asked("Hello")) == "b" and len(here.dialogues) == 1
    here.dialogues = dict.fromkeys(range(DIALOGUES_MAX), -60.0) | {7: 0.0}
    assert side(here, asked("Hello")) == "b" and len(here.dialogues) == 2


def test_the_mark_of_a_cache_moves_and_the_conversation_stays() -> None:
    here = switched(local(key()), both=split(0.5))
    block = {"type": "text", "text": "Hello"}
    for n in range(20):
        plain = [{"role": "user", "content": [{**block, "text": f"Hello {n}"}]}]
        cached = [
            {
                "role": "user",
                "content": [{**block, "text": f"Hello {n}", "cache_control": {"type": "ephemeral"}}],
            }
        ]
        sides = {
            side(here, asked("", dialect="anthropic.messages", messages=messages, system=system))
            for messages, system in ((plain, "One"), (cached, "One, at 10:01"))
        }
        assert len(sides) == 1


def test_by_user_all_of_a_users_conversations_go_together() -> None:
    here = switched(local(key()), both=split(0.5, by="user"))
    for n in range(20):
        sides = {side(here, asked(f"Question {q}", user=f"u{n}")) for q in range(5)}
        sides |= {side(here, asked(f"Question {q}", tags=f"user=u{n}")) for q in range(5)}
        assert len(sides) == 1
    assert len({side(here, asked("Hello", user=f"u{n}")) for n in range(30)}) == 2


def test_by_call_nothing_sticks() -> None:
    here = switched(local(key()), both=split(0.5, by="call"))
    assert len({side(here, asked("Hello", name=f"c-{n}")) for n in range(30)}) == 2


def test_a_conversation_may_be_named() -> None:
    here = switched(local(key()), both=split(0.5))
    for n in range(20):
        assert len({side(here, asked(f"Text {t}", tags=f"conversation=k{n}")) for t in range(4)}) == 1


def test_a_change_is_seen_by_a_head_that_is_remembered() -> None:
    """`admission` remembers who asked for what; a switch begins, moves and ends in between."""
    here = local(key())
    first = asked("Hello")
    assert admit(first, here, 0.0) is None and first.asking.passed
    for n, (share, name) in enumerate(((1.0, "b/new"), (0.0, "a/one"), (1.0, "b/new"))):
        switched(here, both=split(share))
        for text in (f"Hello {n}", f"Other {n}"):
            call = asked(text, asking=first.asking)
            assert admit(call, here, 0.0) is None
            assert call.route is not None and call.route.targets[0].name == name
    here.catalogue = here.catalogue.splitting({})
    call = asked("Hello", asking=first.asking)
    assert admit(call, here, 0.0) is None and call.route is not None
    assert [t.name for t in call.route.targets] == ["a/one", "b/two"] and call.asking.tags == ""


def test_the_candidate_fails_over_to_the_incumbents_and_not_the_other_way() -> None:
    here = switched(local(key()), both=split(1.0))
    call = asked("Hello")
    assert admit(call, here, 0.0) is None and call.route is not None
    assert [t.name for t in call.route.targets] == ["b/new", "a/one", "b/two"]
    there = switched(local(key()), both=split(0.0))
    call = asked("Hello")
    assert admit(call, there, 0.0) is None and call.route is not None
    assert [t.name for t in call.route.targets] == ["a/one", "b/two"]


def test_a_target_of_the_route_comes_to_the_front() -> None:
    here = switched(local(key()), both=Split("s1", SALT, ("b", "two"), share=1.0))
    call = asked("Hello")
    assert admit(call, here, 0.0) is None and call.route is not None
    assert [t.name for t in call.route.targets] == ["b/two", "a/one"]


def test_tags_of_the_caller_stay_behind_the_mark() -> None:
    here = switched(local(key()), both=split(1.0))
    call = asked("Hello", tags="team=x,tier=2")
    assert admit(call, here, 0.0) is None
    assert call.asking.tags.startswith("switch=s1:c:0:") and call.asking.tags.endswith(",team=x,tier=2")


@pytest.mark.parametrize("kind", ["another route", "a hint", "vectors", "a broken body"])
def test_what_is_no_part_of_the_switch(kind: str) -> None:
    here = switched(local(key()), both=split(1.0))
    call = asked("Hello", model="reverse" if kind == "another route" else "both")
    if kind == "a hint":
        call = asked("Hello", asking=Asking(call.dialect, secret=SECRET.encode(), hint="a"))
    elif kind == "vectors":
        spoken = SPOKEN["openai.embeddings"]
        body = json.dumps({"model": "both", "input": "Hello"}).encode()
        call = Call("c-1", Asking(spoken, secret=SECRET.encode()), spoken, body, spoken.peek(body), 0.0)
    elif kind == "a broken body":
        call = asked("Hello", messages=7)
    assert admit(call, here, 0.0) is None and call.route is not None
    assert call.route.targets[0].name == ("b/two" if kind == "another route" else "a/one")
    assert read_mark(call.asking.tags) is None


def test_a_candidate_whose_provider_is_off_is_not_asked() -> None:
    here = switched(local(key()), both=Split("s1", SALT, ("gone", "new"), share=1.0))
    call = asked("Hello")
    assert admit(call, here, 0.0) is None and call.route is not None
    assert [t.name for t in call.route.targets] == ["a/one", "b/two"] and not call.asking.tags


def test_in_shadow_the_incumbent_answers_and_a_twin_is_asked() -> None:
    here = switched(local(key()), both=split(0.0, shadow=0.5))
    calls = [asked(f"Question {n}") for n in range(100)]
    sides = [side(here, call) for call in calls]
    assert {*sides} == {"p", "b"} and [call.twins == "s" for call in calls] == [one == "p" for one in sides]


def test_of_a_sample_the_incumbent_is_asked_anew_and_of_its_own_answers_as_often() -> None:
    here = switched(local(key()), both=split(0.2, anew=0.5))
    calls = [asked(f"Question {n}") for n in range(4000)]
    sides = [side(here, call) for call in calls]
    anew = Counter(one for one, call in zip(sides, calls, strict=True) if call.twins)
    assert 0.4 < anew["c"] / sides.count("c") < 0.6 and {*anew} == {"b", "c"}
    assert 0.8 < anew["b"] / anew["c"] < 1.25, "as many of the incumbent's as of the candidate's"
    again = [asked(f"Question {n}", "Yes", "Go on") for n in range(100)]
    assert [side(here, call) for call in again] == sides[:100]
    assert [call.twins for call in again] == [call.twins for call in calls[:100]], "whole conversations"
    more = switched(local(key()), both=split(0.2, anew=0.9))
    for old in calls[:500]:
        new = asked("", asking=old.asking)
        new.body, new.peek = old.body, old.peek
        new.asking = msgspec.structs.replace(old.asking, tags="")
        side(more, new)
        assert new.twins >= old.twins, "whoever is in the sample stays in a larger one"


@pytest.mark.parametrize(("share", "kind"), [(1.0, "c"), (0.0, "b")])
def test_without_two_sides_or_a_sample_nobody_is_asked_anew(share: float, kind: str) -> None:
    for anew in (0.0, 1.0):
        here = switched(local(key()), both=split(share, anew=anew))
        calls = [asked(f"Question {n}") for n in range(50)]
        assert {side(here, call) for call in calls} == {kind}
        assert {call.twins for call in calls} == {"a" if kind == "c" and anew else ""}


def test_a_twin_of_the_incumbents_goes_to_the_route_as_it_is_without_a_switch() -> None:
    here = switched(local(key()), both=split(1.0, anew=1.0))
    call = asked("Question", tags="team=x")
    assert side(here, call) == "c" and call.twins == "a"
    other = twin(call, "a", here)
    assert admit(other, here, 0.0) is None and other.route is not None and other.key is None
    assert [t.name for t in other.route.targets] == ["a/one", "b/two"]
    mark = read_mark(other.asking.tags)
    assert mark is not None and mark.side == "a" and other.asking.tags.endswith(",team=x")
    assert (other.body, other.id) == (call.body, "c-1-anew")


def test_in_shadow_the_very_pair_has_a_new_answer_beside_it() -> None:
    here = switched(local(key()), both=split(0.0, shadow=0.5, anew=0.5))
    calls = [asked(f"Question {n}") for n in range(400)]
    sides = [side(here, call) for call in calls]
    told = Counter(zip(sides, [call.twins for call in calls], strict=True))
    assert {*told} == {("b", ""), ("p", "s"), ("p", "sa")} and 60 < told["p", "sa"] < 140


def test_who_is_in_the_shadow_says_nothing_of_who_will_be_in_the_share() -> None:
    shadowed = switched(local(key()), both=split(0.0, shadow=0.5))
    shared = switched(local(key()), both=split(0.5))
    both = sum(
        side(shadowed, asked(f"Q{n}")) == "p" and side(shared, asked(f"Q{n}")) == "c" for n in range(1000)
    )
    assert 190 <= both <= 310


def test_price_data_and_a_new_configuration_leave_a_switch_alone() -> None:
    splits: Mapping[str, Split] = {"both": split(1.0)}
    known: Catalogue = catalogue().splitting(splits).knowing(catalogue().known)
    assert known.splits is splits and known.route("both").split is not None


@pytest.mark.parametrize(
    "tags", ["", "team=x", "switch=", "switch=s1:c:0:1:2", "switch=s1:x:0:1:2:3", "switch=s1:c:0:z:2:3", "x=1,switch=s1:c:0:1:2:3"]
)  # fmt: skip
def test_what_is_no_mark(tags: str) -> None:
    assert read_mark(tags) is None


def test_a_mark_comes_back() -> None:
    here = switched(local(key()), both=split(1.0, stage=3))
    call = asked("Hello")
    side(here, call)
    mark = read_mark(call.asking.tags + ",a=b")
    assert mark is not None and mark.stage == 3 and 0 < mark.unit < 2**BITS and mark.tag() == call.asking.tags
