"""Every SDK, every thing asked of it, by the server and in process, on a target of either dialect.

The table is the whole of it: a row is an SDK, a column is a feature, a cell says how the answer is to come
out. `test_sdks` looks closer at what the official SDKs send and get; here each must only work, each alike.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fungible
from tests import sdks
from tests.answering import THOUGHT, alpha_reply, beta_reply
from tests.sdks import IMAGE, Person, Reach, Sdk
from tests.serving import Running
from tests.upstream import Upstream

YES = True
NO_PLACE = "the SDK says itself that it drops a chat completion's reasoning_content"

MATRIX: dict[type[Sdk], tuple[Any, ...]] = {
    #                          chat stream tools structured image thinking  errors
    sdks.OpenAI:              (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.OpenAIAsync:         (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.Anthropic:           (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.AnthropicAsync:      (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.Boto3:               (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.LangChainOpenAI:     (YES, YES,   YES,  YES,       YES,  NO_PLACE, YES),
    sdks.LangChainAnthropic:  (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.PydanticAIOpenAI:    (YES, YES,   YES,  YES,       YES,  YES,      YES),
    sdks.PydanticAIAnthropic: (YES, YES,   YES,  YES,       YES,  YES,      YES),
}  # fmt: skip
FEATURES = ("chat", "stream", "tools", "structured", "image", "thinking", "errors")

WAYS = ("server", "process")
TARGETS = ("alpha/one", "beta/two")  # openai.chat, anthropic.messages
CELLS = [(sdk, feature) for sdk in MATRIX for feature in FEATURES]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, dict[str, Upstream]]]:
    with Upstream(alpha_reply) as alpha, Upstream(beta_reply) as beta:
        running = Running(tmp_path_factory.mktemp("matrix"), alpha.base, beta.base)
        yield running, {"alpha/one": alpha, "beta/two": beta}
        running.close()


@pytest.fixture(scope="module", params=WAYS)
def reach(request: pytest.FixtureRequest, stage: tuple[Running, dict[str, Upstream]]) -> Iterator[Reach]:
    running, _ = stage
    if request.param == "server":
        yield Reach(running, None)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_KEY", "provider-secret")
        with fungible.Client(config=str(running.config)) as client:
            yield Reach(running, client)


def chat(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    assert sdk.chat(model) == f"Hello from {model.partition('/')[0]}"


def stream(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    pieces = sdk.stream(model)
    assert len(pieces) > 1 and "".join(pieces).replace(" ", "") == f"Hellofrom{model.partition('/')[0]}"
    assert upstream.seen[-1].json["stream"] is True


def tools(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    assert sdk.tools(model) == (["Paris", "Oslo"], f"Hello from {model.partition('/')[0]}")
    assert str(upstream.seen[-1].json["messages"]).count("sunny") == 2


def structured(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    assert sdk.structured(model) == Person(name="Ann", age=30)
    sent = upstream.seen[-1].json
    form = sent.get("response_format") or sent["output_config"]["format"]
    assert form["type"] == "json_schema" and "age" in str(form)


def image(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    assert sdk.image(model) == f"Hello from {model.partition('/')[0]}"
    assert IMAGE in upstream.seen[-1].body.decode()


def thinking(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    assert sdk.thinking(model) == (THOUGHT if cell is YES else None), cell


def errors(sdk: Sdk, model: str, upstream: Upstream, cell: Any) -> None:
    with pytest.raises(sdk.errors[429], match="Slow down"):
        sdk.chat(model, "limit me")
    with pytest.raises(sdk.errors[400], match="Bad thing"):
        sdk.chat(model, "refuse me")
    before = len(upstream.seen)
    with pytest.raises(sdk.errors[404], match=model):
        sdk.chat(f"x{model}")
    if sdk.reach.client is None:  # in process no key is asked for
        with pytest.raises(sdk.errors[401], match="fungible keys create"):
            type(sdk)(sdk.reach, key="fk-nobody").chat(model)
    assert len(upstream.seen) == before


ASKED: dict[str, Callable[[Sdk, str, Upstream, Any], None]] = {
    f.__name__: f for f in (chat, stream, tools, structured, image, thinking, errors)
}


@pytest.mark.parametrize("model", TARGETS)
@pytest.mark.parametrize(("kind", "feature"), CELLS, ids=[f"{k.__name__}-{f}" for k, f in CELLS])
def test_the_matrix(
    reach: Reach, stage: tuple[Running, dict[str, Upstream]], kind: type[Sdk], feature: str, model: str
) -> None:
    if reach.client is not None and not kind.in_process:
        pytest.skip("it takes no transport but its own")
    ASKED[feature](kind(reach), model, stage[1][model], MATRIX[kind][FEATURES.index(feature)])


def test_the_matrix_has_no_hole() -> None:
    assert tuple(ASKED) == FEATURES and len(MATRIX) == 9
    assert all(len(row) == len(FEATURES) for row in MATRIX.values())
