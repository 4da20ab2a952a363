"""From a name to a route: what it leads to, and what is said when it leads nowhere."""

from collections.abc import Collection

import pytest

from fungible.dialects import DIALECTS
from fungible.faults import Fault
from fungible.models import (
    ABILITIES,
    NAME_CHARS_MAX,
    Catalogue,
    Enabled,
    Model,
    Off,
    Plan,
    nearest_name,
    resolve,
)
from fungible.providers.base import Provider
from fungible.providers.signers import Secret, aim
from tests.work import lines


class Data:
    """Price data of a few providers."""

    NAMES = {
        "big": ("gpt-5-mini", "gpt-5", "claude-haiku-4-5"),
        "router": ("openai/gpt-5", "meta-llama/llama-3.3-70b-instruct"),
        "away": ("sonnet-9", "shared"),
        "gone": ("shared",),
    }

    def names(self, prices: str) -> Collection[str]:
        return self.NAMES.get(prices, ())

    def serves(self, prices: str, model: str) -> bool:
        return model in self.names(prices)


def enabled(name: str, *, models: tuple[str, ...] = (), closed: bool = False, **more: object) -> Enabled:
    fields = {"dialect": "openai.chat", "base_url": f"http://{name}.example/v1", **more}
    provider = Provider(name=name, **fields)  # type: ignore[arg-type]
    dialect = DIALECTS[provider.dialect]
    return Enabled(
        provider=provider,
        dialect=dialect,
        aim=aim(provider, dialect, Secret(f"key-of-{name}"), {}),
        key_name=f"env:{name.upper()}_KEY",
        models=models,
        closed=closed,
    )


def catalogue() -> Catalogue:
    providers = {
        "big": enabled("big", quirks=frozenset({"max_tokens"}), on_abandon="drain"),
        "house": enabled("house", models=("llama-70b", "gpt-5"), prices=""),
        "router": enabled("router"),
        "here": enabled(
            "here", models=("llama", "mine"), closed=True, base_url="local:", signer="none", local=True
        ),
    }
    plans = {
        "assistant": Plan(
            name="assistant",
            targets=(("big", "gpt-5-mini"), ("here", "llama")),
            weights=(3.0, 1.0),
            strategy="weighted",
        ),
        "claude-haiku-4-5": Plan(
            name="claude-haiku-4-5", targets=(("house", "llama-70b"),), weights=(1.0,), strategy="failover"
        ),
    }
    models = {"house/own-7b": Model(name="house/own-7b", context_tokens=8_000)}
    off = {
        "away": Off(Provider(name="away", dialect="openai.chat", base_url="http://a"), "Set AWAY_KEY."),
        "gone": Off(Provider(name="gone", dialect="openai.chat", base_url="http://g"), "Set GONE_KEY."),
    }
    return Catalogue(providers, plans, models, off).knowing(Data())


FOUND = {
    "assistant": ("big/gpt-5-mini", "here/llama"),  # a route
    "claude-haiku-4-5": ("house/llama-70b",),  # a route goes before a model of that name
    "big/gpt-5-mini": ("big/gpt-5-mini",),
    "big/claude-haiku-4-5": ("big/claude-haiku-4-5",),
    "big/anything-new": ("big/anything-new",),  # a provider answers for itself
    "router/openai/gpt-5": ("router/openai/gpt-5",),  # only the first slash counts
    "meta-llama/llama-3.3-70b-instruct": ("router/meta-llama/llama-3.3-70b-instruct",),
    "openai/gpt-5": ("router/openai/gpt-5",),
    "gpt-5-mini": ("big/gpt-5-mini",),  # by price data
    "llama-70b": ("house/llama-70b",),  # by the provider's models
    "own-7b": ("house/own-7b",),  # by a model's table
    "mine": ("here/mine",),
    "here/llama": ("here/llama",),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_a_name_leads_to(name: str) -> None:
    route = catalogue().route(name)
    assert route.name == name
    assert tuple(target.name for target in route.targets) == FOUND[name]


MORE = (
    " `fungible models` lists what can be asked for; a provider is added by its key in the environment or a "
    "[provider.NAME] table in fungible.toml."
)
SHAPE = "A model's name is 1 to 256 printable ASCII characters."

NOT_FOUND = {
    "gpt-5-mni": "No model 'gpt-5-mni'. Did you mean 'big/gpt-5-mini', 'big/gpt-5' or 'house/gpt-5'?" + MORE,
    "asistant": "No model 'asistant'. Did you mean 'assistant'?" + MORE,
    "xyzzy": "No model 'xyzzy'." + MORE,
    "x": "No model 'x'." + MORE,
    "here/lama": "No model 'here/lama'. Did you mean 'here/llama' or 'house/llama-70b'?" + MORE,
    "gpt-5": "More than one provider serves 'gpt-5'. Ask for one of 'big/gpt-5', 'house/gpt-5', or make a route.",
    "away/sonnet-9": "The provider 'away' is not on. Set AWAY_KEY.",
    "sonnet-9": "No model 'sonnet-9'. away serves it and is not on. Set AWAY_KEY.",
    "big/": "No model 'big/'." + MORE,
    "/": "No model '/'." + MORE,
    "": SHAPE,
    "big/" + "x" * 300: SHAPE,
    "big/x\r\nx-evil: 1": SHAPE,
    "big/m\u00f6del": SHAPE,
}


@pytest.mark.parametrize("name", NOT_FOUND)
def test_a_name_that_leads_nowhere(name: str) -> None:
    with pytest.raises(Fault) as caught:
        catalogue().route(name)
    fault = caught.value
    assert (fault.kind, fault.path, fault.code, fault.status) == (
        "not_found",
        "model",
        "model_not_found",
        404,
    )
    assert fault.message == NOT_FOUND[name]


def test_a_model_that_several_absent_providers_serve_is_just_unknown() -> None:
    with pytest.raises(Fault, match=r"^No model 'shared'"):
        catalogue().route("shared")


def test_without_price_data_the_configuration_is_all_that_is_known() -> None:
    bare = Catalogue(catalogue().providers, {}, {}, {})
    assert bare.route("llama-70b").targets[0].name == "house/llama-70b"
    assert bare.names() == ("house/gpt-5", "house/llama-70b", "here/llama", "here/mine")
    with pytest.raises(Fault, match=r"^No model 'gpt-5-mini'"):
        bare.route("gpt-5-mini")


def test_what_can_be_asked_for() -> None:
    names = catalogue().names()
    assert names[:2] == ("assistant", "claude-haiku-4-5")
    assert "house/own-7b" in names
    assert "router/meta-llama/llama-3.3-70b-instruct" in names
    assert len(set(names)) == len(names)


def test_a_target_is_all_that_a_call_needs() -> None:
    known = catalogue()
    target = known.route("big/gpt-5-mini").targets[0]
    assert (target.provider, target.model, target.dialect) == ("big", "gpt-5-mini", "openai.chat")
    assert (target.origin.host, target.path) == ("big.example", "/v1/chat/completions")
    assert target.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: big.example\r\n")
    assert target.head.endswith(b"authorization: Bearer key-of-big\r\n")
    assert target.quirks == {"max_tokens"}
    assert target.breaker == ("big", "gpt-5-mini", "env:BIG_KEY")
    assert (target.on_abandon, target.local, target.embedded, target.prices) == ("drain", False, False, "big")
    assert known.facts(known.route("house/own-7b").targets[0]) == known.models["house/own-7b"]
    assert known.facts(target) is None


def test_a_target_is_one_object_whatever_route_leads_to_it() -> None:
    known = catalogue()
    assert known.route("assistant").targets[0] is known.route("gpt-5-mini").targets[0]
    assert known.route("assistant") is known.route("assistant")


def test_a_head_for_another_path() -> None:
    provider = enabled(
        "mirror", dialect="anthropic.messages", base_url="http://m.example/base", signer="x-api-key"
    )
    target = Catalogue({"mirror": provider}, {}, {}, {}).target("mirror", "claude")
    assert target.path == "/base/v1/messages"
    counting = target.head_for("/v1/messages/count_tokens")
    assert counting.startswith(b"POST /base/v1/messages/count_tokens HTTP/1.1\r\n")
    assert counting.split(b"\r\n")[1:] == target.head.split(b"\r\n")[1:]
    assert target.path_for("/v1/messages/count_tokens") == "/base/v1/messages/count_tokens"


def test_the_engine_in_this_process() -> None:
    target = catalogue().route("here/llama").targets[0]
    assert (target.embedded, target.local, target.prices) == (True, True, "")
    assert b"key" not in target.head


def test_resolving_is_pure_and_remembered_names_are_few() -> None:
    known = catalogue()
    assert resolve("gpt-5-mini", known).targets == known.route("gpt-5-mini").targets
    for number in range(5_000):
        known.route(f"big/model-{number}")
    assert len(known._resolved) <= 4_096
    assert len(known._targets) <= 4_096
    for number in range(300):
        for _ in range(2):  # the second time from memory, with the same words
            with pytest.raises(Fault, match=r"^The provider 'away' is not on") as caught:
                known.route(f"away/model-{number}")
            assert caught.value.path == "model"
    assert len(known._refused) <= 256


def test_a_name_that_was_asked_for_before_is_found_at_once() -> None:
    known = catalogue()
    known.route("assistant")
    assert lines(lambda: known.route("assistant")) <= 5


def test_suggesting_names_is_no_way_to_keep_a_server_busy() -> None:
    """The longest name that is looked for, among thousands like it: only the likest are compared closely."""
    worst = ("vendor-1/model-77-instruct-" * 10)[:NAME_CHARS_MAX]
    cost = []
    for many in (2_000, 4_000):

        class Much(Data):
            NAMES = {"big": tuple(f"vendor-{i % 40}/model-{i}-{i * 7919 % 1000}b" for i in range(many))}

        known = Catalogue(catalogue().providers, {}, {}, {}, Much())
        known.nearest("a")
        cost.append(lines(lambda known=known: known.nearest(worst)))
    assert cost[0] < 150_000
    assert cost[1] - cost[0] < 10 * 2_000  # a name more is a few lines more


def test_the_nearest_of_a_short_list() -> None:
    assert nearest_name("base-url", ("base_url", "key")) == " Did you mean 'base_url'?"
    assert nearest_name("zzz", ("base_url", "key")) == ""


def test_abilities_say_what_they_are() -> None:
    assert all(says and not says.endswith(".") for says in ABILITIES.values())
