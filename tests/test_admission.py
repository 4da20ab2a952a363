"""What is remembered of an admission, and what undoes it: a head that comes again is not let in by habit."""

import msgspec
import pytest

from fungible.admission import MODELS_MAX, admit
from fungible.call import Call, Local
from fungible.keys import KeyRing, digest
from tests.targets import catalogue
from tests.test_policies import SECRET, call, key, local


def again(first: Call, model: str = "both") -> Call:
    """Another call with the very head of the first."""
    second = call(model)
    return Call("c-2", first.asking, first.dialect, second.body, second.peek, 0.0)


def admitted(here: Local) -> Call:
    first = call()
    assert admit(first, here, 0.0) is None and first.asking.passed.keys() == {"both"}
    return first


def test_the_same_head_and_model_ask_no_policy_again(monkeypatch: pytest.MonkeyPatch) -> None:
    here = local(key())
    first = admitted(here)
    monkeypatch.setattr("fungible.admission.ADMISSION", (lambda *_: pytest.fail("a policy was asked"),))
    second = again(first)
    assert admit(second, here, 1.0) is None
    assert (second.key, second.route) == (first.key, first.route)


def test_a_key_that_is_revoked_is_refused_though_its_head_is_known() -> None:
    here = local(key())
    first = admitted(here)
    here.keys = KeyRing({})
    fault = admit(again(first), here, 1.0)
    assert fault is not None and fault.kind == "authentication"


def test_a_key_that_loses_a_model_is_refused_it() -> None:
    here = local(key())
    first = admitted(here)
    here.keys = KeyRing({digest(SECRET): key(models=("other",))})
    fault = admit(again(first), here, 1.0)
    assert fault is not None and fault.kind == "permission"


def test_a_new_catalogue_is_looked_into() -> None:
    here = local(key())
    first = admitted(here)
    here.catalogue = catalogue()
    second = again(first)
    assert admit(second, here, 1.0) is None and second.route is not first.route


def test_a_gateway_that_is_closed_asks_for_keys_again() -> None:
    here = local(open=True)
    first = call(secret=None)
    assert admit(first, here, 0.0) is None
    here.settings = msgspec.structs.replace(here.settings, open=False)
    fault = admit(again(first), here, 1.0)
    assert fault is not None and fault.kind == "authentication"


def test_a_key_with_limits_is_counted_every_time() -> None:
    here = local(key(rpm=2))
    first = call()
    faults = [admit(asked, here, 0.0) for asked in (first, again(first), again(first))]
    assert faults[:2] == [None, None] and faults[2] is not None and faults[2].kind == "rate_limited"


def test_what_is_kept_has_an_end() -> None:
    here = local(key())
    first = call()
    for n in range(3 * MODELS_MAX):
        assert admit(again(first, f"a/m{n}"), here, 0.0) is None
        assert 0 < len(first.asking.passed) <= MODELS_MAX
