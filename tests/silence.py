"""The detector of silent losses: what a body says that neither its translation nor a loss speaks of.

It knows nothing of readers and writers. A leaf of the source body (a string, a number, a yes or no, an
empty object) is carried if the translation *depends* on it: with another value in its place, other words
come out. Only a leaf that can be given no other value, because the body would be refused, is tried by
leaving it out. A leaf on which nothing depends, and which no reported drop covers, was lost in silence:
what was reported as changed or approximated has to make a difference, too.

The exceptions are few and written down: `GRAMMAR`, `DERIVED` and `ALWAYS`.
"""

import base64
import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from fungible.faults import Fault
from fungible.losses import Loss
from fungible.translate import WORDS_OF_ERRORS, Translation, translate

Steps = tuple[str | int, ...]
GONE = object()

GRAMMAR = {
    "type": "says what the object around it is; the object's other leaves are checked",
    "object": "says what the object around it is; the object's other leaves are checked",
    "role": "says who speaks; a body with another word is refused, or reads otherwise",
    "index": "says which of several; that they stay apart is checked by their leaves",
    "done": "says whether more of the answer follows; a plain one is whole",
    "output_index": "says which of several, as the next four do",
    "content_index": "as above",
    "summary_index": "as above",
    "annotation_index": "as above",
    "sequence_number": "as above",
    "willContinue": "says that more of the same follows, which is checked by its leaves",
}
"""Names of leaves that are words of the grammar, where the object around them says more than that."""


def detailed(message: dict[str, Any]) -> list[Any]:
    said = [item.get("text") or item.get("summary") for item in message.get("reasoning_details") or []]
    return [*said, "".join(text for text in said if text)]


DERIVED: dict[str, Callable[[dict[str, Any]], bool]] = {
    "totalTokens": lambda u: (
        u["totalTokens"]
        == sum(u.get(f"{n}Tokens", 0) for n in ("input", "output", "cacheReadInput", "cacheWriteInput"))
    ),
    # the same count under its older name
    "cacheReadInputTokenCount": lambda u: u["cacheReadInputTokenCount"] == u.get("cacheReadInputTokens"),
    "cacheWriteInputTokenCount": lambda u: u["cacheWriteInputTokenCount"] == u.get("cacheWriteInputTokens"),
    "serverToolUsage": lambda u: not u["serverToolUsage"],  # none was used
    "total_tokens": lambda u: (
        u["total_tokens"]
        == u.get("prompt_tokens", u.get("input_tokens", 0))
        + u.get("completion_tokens", u.get("output_tokens", 0))
    ),
    # An item or an answer that is whole, and settings that an answer repeats: the default says nothing.
    "status": lambda i: i["status"] in ("completed", "in_progress"),
    "parallel_tool_calls": lambda r: "output" in r and r["parallel_tool_calls"] is True,
    "tool_choice": lambda r: "output" in r and r["tool_choice"] == "auto",
    "ephemeral_5m_input_tokens": lambda c: True,  # the rest of cache_creation_input_tokens
    "totalTokenCount": lambda u: (
        u["totalTokenCount"]
        == sum(
            u.get(name, 0)
            for name in (
                "promptTokenCount",
                "candidatesTokenCount",
                "thoughtsTokenCount",
                "toolUsePromptTokenCount",
            )
        )
    ),
    # A total smaller than its part is a miscount: it is told as changed, and the part holds.
    "prompt_tokens": lambda u: (
        u["prompt_tokens"] < ((u.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    ),
    # told in an unusual place; where it is lost, the loss names the usual one
    "reasoning_tokens": lambda u: "prompt_tokens" in u,
    # A mark has no other mode; that it is there says the rest of it.
    "mode": lambda mark: mark["mode"] == "explicit",
    # A result with an id has the name of the call it answers.
    "name": lambda r: "response" in r and "id" in r,
    # the same thought under two names
    "reasoning": lambda m: m["reasoning"] in (m.get("reasoning_content"), *detailed(m)),
}
"""Leaves that follow from those beside them, where they do."""

ALWAYS = {
    ("cohere.chat", "include_usage", "True"): "every stream of the target tells the usage",
    ("cohere.chat", "include_usage", "False"): "it does so all the same, which is reported as changed",
    ("ollama.chat", "strict", "False"): "the target never promises it",
    ("ollama.chat", "include_usage", "True"): "every stream of the target tells the usage",
    ("ollama.chat", "include_usage", "False"): "it does so all the same, which is reported as changed",
    ("anthropic.messages", "include_usage", "True"): "every stream of the target tells the usage",
    ("openai.responses", "include_usage", "True"): "every stream of the target tells the usage",
    ("openai.responses", "include_usage", "False"): "it does so all the same, which is reported as changed",
    ("anthropic.messages", "include_usage", "False"): "it does so all the same, which is reported as changed",
    ("gemini.generate_content", "include_usage", "True"): "every stream of the target tells the usage",
    ("gemini.generate_content", "include_usage", "False"): "it does so all the same, which is reported",
    ("gemini.generate_content", "media_type", "'text/plain'"): "a text of the target is plain text",
    ("gemini.generate_content", "format", "'txt'"): "a text of the target is plain text",
    ("gemini.generate_content", "format", "'md'"): "it is written as plain text, which is reported",
    ("gemini.generate_content", "strict", "False"): "a function of the target is held to nothing stricter",
    ("bedrock.converse", "include_usage", "True"): "every stream of the target tells the usage",
    ("bedrock.converse", "include_usage", "False"): "it does so all the same, which is reported as changed",
    ("anthropic.messages", "media_type", "'text/plain'"): "a text of the target is plain text",
    ("openai.chat", "media_type", "'text/plain'"): "a text of the target is plain text",
    ("cohere.chat", "media_type", "'text/plain'"): "a text of the target is plain text",
    ("cohere.chat", "strict", "False"): "a tool of the target is held to nothing stricter unless all are",
    ("ollama.chat", "media_type", "'text/plain'"): "a text of the target is plain text",
    **{
        ("ollama.chat", name, f"'{head}{kind}'"): "the image's own first bytes say it"
        for name, head in (("media_type", "image/"), ("mimeType", "image/"), ("format", ""))
        for kind in ("png", "jpeg", "webp", "gif")
    },
    ("bedrock.converse", "media_type", "'text/plain'"): "a text of the target is plain text",
    (
        "anthropic.messages",
        "mimeType",
        "'text/csv'",
    ): "it is written as plain text, which is reported as changed",
    ("anthropic.messages", "format", "'txt'"): "a text of the target is plain text",
    ("anthropic.messages", "format", "'md'"): "it is written as plain text, which is reported as changed",
}
"""What the target does unasked: (target, name, value)."""

UNASKED = {("include", "reasoning.encrypted_content")}
"""What every other dialect does unasked: (list, word)."""

ELSEWHERE = {
    "random_seed": "seed",
    "usage.cached_tokens": "usage.prompt_tokens_details.cached_tokens",
    "usage.prompt_cache_hit_tokens": "usage.prompt_tokens_details.cached_tokens",
    "usage.cache_read_input_tokens": "usage.prompt_tokens_details.cached_tokens",
    "usage.reasoning_tokens": "usage.completion_tokens_details.reasoning_tokens",
}
"""Fields under a name of a provider's own -> the path that losses name, as the normalisations say."""

PADDING = {"obfuscation", "p", "padding"}
"""Random text that evens out sizes; it says nothing."""

FAMILIES = (
    ("auto", "none", "any", "required"),
    ("low", "medium", "high"),
    ("max_output_tokens", "content_filter"),
    ("completed", "incomplete"),
    ("user", "assistant", "system", "developer"),
    ("stop", "length", "content_filter", "tool_calls"),
    ("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "pause_turn"),
    ("default", "flex", "priority", "auto", "standard_only"),
    ("enabled", "disabled", "adaptive"),
    ("5m", "1h"),
    ("COMPLETE", "MAX_TOKENS", "STOP_SEQUENCE", "TOOL_CALL"),
    ("REQUIRED", "NONE"),
    ("json_object", "text"),
    ("AUTO", "NONE", "ANY"),
    ("MINIMAL", "LOW", "MEDIUM", "HIGH"),
    ("STOP", "MAX_TOKENS", "SAFETY", "OTHER", "UNEXPECTED_TOOL_CALL", "FAKE_ENUM"),
    ("application/json", "text/plain"),
    ("user", "model"),
    ("png", "jpeg", "gif", "webp"),
    ("pdf", "csv", "txt", "md"),
    ("success", "error"),
    ("end_turn", "guardrail_intervened", "content_filtered", "max_tokens", "tool_use"),
)
"""Words that can stand in each other's place."""

EMPTIED = {"audio", "custom", "function_call"}
SCHEMAS = {"parameters", "input_schema", "schema", "parametersJsonSchema", "parameters_json_schema"} | {
    "responseSchema", "responseJsonSchema", "response_schema",
}  # fmt: skip
CALLERS_JSON = SCHEMAS | {"input", "arguments", "metadata", "args", "response"}


class Leaf(NamedTuple):
    steps: Steps
    value: Any
    inner: Steps = ()  # steps inside a string that is itself JSON

    @property
    def path(self) -> str:
        return path_of(self.steps)

    @property
    def pattern(self) -> str:
        """Where leaves of this kind stand, whichever of several: inside somebody's own JSON, only how deep."""
        steps: list[str | int] = []
        for i, step in enumerate((*self.steps, *self.inner)):
            if isinstance(step, str) and step in CALLERS_JSON:
                return path_of((*steps, step, f"{len(self.steps) + len(self.inner) - i} deep"))
            steps.append("*" if isinstance(step, int) else step)
        return path_of(tuple(steps))


def path_of(steps: Steps) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def leaves(value: Any, steps: Steps = ()) -> Iterator[Leaf]:
    """Every leaf that says something. Null and an empty list say what absence says."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*steps, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*steps, i))
    elif value is not None and not is_padding(value, steps) and not says_nothing(value, steps):
        held = json_inside(value)
        if held is not None:
            yield from (Leaf(steps, leaf.value, leaf.steps) for leaf in leaves(held))
        yield Leaf(steps, value)


def is_padding(value: Any, steps: Steps) -> bool:
    """A number of such a name is none (`p`, as in nucleus sampling)."""
    return bool(steps) and steps[-1] in PADDING and isinstance(value, str)


def says_nothing(value: Any, steps: Steps) -> bool:
    """A time of 0 is none, nor is an empty id a name; an object of empty values is how some providers write none (Snowflake)."""
    if (steps == ("options",) and value == {}) or (steps == ("format",) and value == ""):
        return True
    if (steps in (("created",), ("created_at",)) and value == 0) or (
        steps == ("service_tier",) and value == ""
    ):
        return True
    if value == "" and steps[-1:] in (("id",), ("finish_reason",)):
        return True
    if value == {} and steps[-1:] in (("generationConfig",), ("content",), ("inferenceConfig",)):
        return True
    return value in ("", 0) and not isinstance(value, bool) and bool(EMPTIED & set(steps))


def json_inside(value: Any) -> Any:
    if isinstance(value, str) and value[:1] == "{":
        try:
            held = json.loads(value)
        except ValueError:
            return None
        return held or None
    return None


def others(value: Any) -> list[list[Any]]:
    """Values that could stand in the place of `value`, in groups: the first that is accepted decides."""
    match value:
        case bool():
            return [[not value]]
        case int() | float():
            return [[value + 1, value / 2 if isinstance(value, float) else value // 2, value - 1]]
        case str():
            family = [word for words in FAMILIES if value in words for word in words if word != value]
            # A longer text comes first: where it makes no difference, the end of texts is cut.
            held = ['{"q": 1}'] if json_inside(value) is not None else []
            more = [value + "~q", value + "q"]
            if value.endswith("="):  # base64, perhaps
                more.append(value.rstrip("=") + "A" * (len(value) - len(value.rstrip("="))))
            return [held, family, more, [value[:-4] if len(value) >= 8 else "q"]]
        case _:
            return [[{"q": "q"}]]


def varied(body: Any, leaf: Leaf) -> Iterator[list[Any]]:
    """`body` with other values at `leaf`, in groups; the last is `body` without it."""
    for group in others(leaf.value):
        if leaf.inner:
            yield [replaced(body, leaf.steps, with_inner(body, leaf, other)) for other in group]
        else:
            yield [replaced(body, leaf.steps, other) for other in group]
    yield list(without(body, leaf))


def with_inner(body: Any, leaf: Leaf, other: Any) -> str:
    held = json_inside(at(body, leaf.steps))
    put(held, leaf.inner, other)
    return json.dumps(held, ensure_ascii=False)


def without(body: Any, leaf: Leaf) -> Iterator[Any]:
    """`body` without `leaf`, and without what would be empty then."""
    if not leaf.inner:
        yield replaced(body, leaf.steps, GONE)
        steps = leaf.steps
        while len(steps) > 1 and len(at(body, steps[:-1])) == 1:
            steps = steps[:-1]
            yield replaced(body, steps, GONE)


def at(body: Any, steps: Steps) -> Any:
    for step in steps:
        body = body[step]
    return body


def put(body: Any, steps: Steps, value: Any) -> None:
    holder = at(body, steps[:-1])
    if value is GONE:
        del holder[steps[-1]]
    else:
        holder[steps[-1]] = value


def replaced(body: Any, steps: Steps, value: Any) -> Any:
    """A copy that shares everything but the way to `steps`."""
    if not steps:
        return value
    copied = copy.copy(body)
    if len(steps) > 1:
        copied[steps[0]] = replaced(body[steps[0]], steps[1:], value)
    elif value is GONE:
        del copied[steps[0]]
    else:
        copied[steps[0]] = value
    return copied


def in_camel_case(path: str) -> str:
    """Where a name may be written in both ways, losses speak of it in this one."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), path)


def covered(path: str, losses: Iterable[Loss]) -> bool:
    """Whether it was said that the target never sees what stands at `path`, or only something near it."""
    losses = tuple(losses)
    camel = in_camel_case(path)
    if camel != path and covered(camel, losses):
        return True
    if path in ELSEWHERE and covered(ELSEWHERE[path], losses):
        return True
    return any(
        (path == loss.path and loss.kind == "dropped")
        or (
            loss.kind != "changed" and path.startswith(loss.path) and path[len(loss.path) :][:1] in (".", "[")
        )
        for loss in losses
    )


class Translator(Protocol):
    @property
    def target(self) -> str: ...

    @property
    def kind(self) -> str: ...

    def translate(self, body: Any) -> Translation | None: ...


class Words(NamedTuple):
    """From what to what, in the words of `fungible.translate`."""

    source: str
    target: str
    kind: str = "request"

    def translate(self, body: Any) -> Translation | None:
        """None: refused."""
        try:
            return translate(body, source=self.source, target=self.target, kind=self.kind)
        except Fault:
            return None


def silent(body: Any, words: Translator, wanted: Callable[[Leaf], bool] = lambda leaf: True) -> list[str]:
    """The leaves of `body` that are lost in silence, each with what it held."""
    done = words.translate(body)
    assert done is not None, "only what can be translated can be looked at"
    return [
        f"{leaf.path}{' > ' + path_of(leaf.inner) if leaf.inner else ''} = {leaf.value!r}"
        for leaf in leaves(body)
        if wanted(leaf)
        and not covered(leaf.path, done.losses)
        and not carried(body, leaf, words, done)
        and not excepted(body, leaf, words, done)
    ]


def carried(body: Any, leaf: Leaf, words: Translator, done: Translation) -> bool:
    if leaf.inner:  # another spacing of the JSON inside is no difference that counts
        again = json.dumps(json_inside(at(body, leaf.steps)), ensure_ascii=False)
        done = words.translate(replaced(body, leaf.steps, again)) or done
    presence = alone(body, leaf) or any(
        loss.path == leaf.path and loss.kind == "approximated" for loss in done.losses
    )
    for variants in varied(body, leaf):
        taken = [other for variant in variants if (other := words.translate(variant)) is not None]
        if any((other.body, other.path) != (done.body, done.path) for other in taken):
            return True
        if taken and not presence:
            return False
    return False


def alone(body: Any, leaf: Leaf) -> bool:
    """Such a leaf may say no more than that its object is there: `{"type": "ephemeral"}`."""
    says_little = leaf.steps[-1] in ("type", "mode") or leaf.value == {}
    return says_little and not leaf.inner and len(at(body, leaf.steps[:-1])) == 1


def excepted(body: Any, leaf: Leaf, words: Translator, done: Translation) -> bool:
    name = leaf.steps[-1]
    if "bytes" in leaf.steps and "logprobs" in leaf.steps:  # those of the token's text
        token = at(body, leaf.steps[: leaf.steps.index("bytes")])
        return bool(token["bytes"] == list(token["token"].encode()))
    if isinstance(name, int) and ("include", leaf.value) in UNASKED and words.kind == "request":
        return True
    if leaf.inner or not isinstance(name, str):
        return False
    if words.kind == "error" or (
        words.kind == "stream" and body.get("error")
    ):  # its words are put into the message, or its number is the status
        return (
            name in GRAMMAR
            or name == "status"  # its word for what went wrong is the kind, which the target has a word for
            or name in WORDS_OF_ERRORS
            or str(leaf.value) in said_in(done.body)
        )
    if (
        words.kind == "stream"
        and "message" in leaf.steps
        and "delta" in at(body, leaf.steps[: leaf.steps.index("message")])
    ):
        return True  # the answer so far, again, beside each new piece of it (Perplexity, Writer)
    around = at(body, leaf.steps[:-1])
    if name in DERIVED and DERIVED[name](around):
        return True
    if (words.target, name, repr(leaf.value)) in ALWAYS:
        return True
    if name == "role" and words.kind != "request":
        return True  # an answer has only one
    in_schema = SCHEMAS & set(leaf.steps[:-2])  # where `type` is a word of somebody's schema
    return name in GRAMMAR and len(around) > 1 and not in_schema


def said_in(body: Any) -> str:
    """A translation as text, also of a binary stream."""
    if isinstance(body, str) and "\n" not in body:
        return base64.b64decode(body).decode("utf-8", "replace")
    return json.dumps(body, ensure_ascii=False)
