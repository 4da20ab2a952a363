"""Canonical values made by chance: any that the docstrings of `fungible.ir` allow.

`requests`, `replies` and `streams` give them with `at` set to the value's own path in the canonical tree
(`messages[2].parts[0].cache`), so that a writer with an empty table of names reports paths of that tree.
"""

import json
import random
from typing import Any

import msgspec
from hypothesis import strategies as st

from fungible import events as ev
from fungible import ir

from .judge import located

# --- small values --------------------------------------------------------------------------------

DIALECT_NAMES = (
    "openai.chat", "openai.responses", "anthropic.messages", "gemini.generate_content",
    "bedrock.converse",     "ollama.chat", "cohere.chat",
)  # fmt: skip

words = st.sampled_from(["a", "hello there", "naïve 🌊", "line\nbreak", 'quo"te \\', "\u2028", "0", "null"])
texts = st.one_of(words, st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12))
some_texts = texts.filter(bool)
visible = texts.filter(lambda t: bool(t.strip()))
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,11}", fullmatch=True)
ids = st.one_of(
    st.from_regex(r"call_[a-zA-Z0-9]{1,8}", fullmatch=True),
    st.from_regex(r"toolu_[a-zA-Z0-9]{1,8}", fullmatch=True),
    st.sampled_from(["chatcmpl-tool-1", "functions.get:0", "a b"]),
)
counts = st.integers(0, 5000)
pngs = st.sampled_from(["iVBORw0KGgo=", "iVBORw0KGgoAAAANSUhEUg=="])
pdfs = st.sampled_from(["JVBERi0xLjQ=", "JVBERi0xLjcK"])
sounds = st.sampled_from(["UklGRg==", "SUQz"])
urls = st.sampled_from(["https://example.com/a.png", "https://example.com/b?x=1&y=2"])


def maybe(strategy: st.SearchStrategy[Any], absent: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(absent), strategy)


def rarely(strategy: st.SearchStrategy[Any], absent: Any = None) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(absent), st.just(absent), st.just(absent), strategy)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), words, st.sampled_from([0.5, 1e300, -2.25])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["k", "l"]), inner, max_size=2)
    ),
    max_leaves=4,
)
extras = rarely(
    st.builds(
        ir.Extras,
        dialect=st.sampled_from(DIALECT_NAMES),
        # A null field says what absence says, so a reader need not keep it.
        fields=st.dictionaries(
            st.sampled_from(["x_one", "x_two"]),
            json_values.filter(lambda value: value is not None),
            min_size=1,
            max_size=2,
        ),
    )
)
objects = st.dictionaries(st.sampled_from(["city", "n", "deep"]), json_values, max_size=3)
arguments = st.one_of(
    objects.map(json.dumps),
    objects.map(lambda o: json.dumps(o, separators=(",", ":"))),
    st.just("{}"),
    st.sampled_from(['{"city": "Par', "[1]", '"text"']),
)
schemas = st.sampled_from(
    [
        {"type": "object", "properties": {}},
        {
            "type": "object",
            "properties": {
                "a": {"$ref": "#/$defs/A"},
                "b": {"type": ["string", "null"], "enum": ["x", None]},
            },
            "$defs": {"A": {"type": "integer", "minimum": 0}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        {"type": "object", "properties": {"list": {"type": "array", "items": {"type": "string"}}}},
    ]
)

# --- parts ---------------------------------------------------------------------------------------

caches = rarely(st.builds(ir.Cache, ttl_seconds=st.sampled_from([None, 300, 3600, 1800]), extras=st.none()))


def sources(media: list[str], data: st.SearchStrategy[str], text: bool = False) -> st.SearchStrategy[Any]:
    kinds = [
        st.builds(ir.Source, media_type=st.sampled_from(media), data=data),
        st.builds(ir.Source, url=urls),
        st.builds(ir.Source, file_id=st.sampled_from(["file-abc", "file_1"])),
    ]
    if text:
        kinds.append(st.builds(ir.Source, media_type=st.just("text/plain"), text=visible))
    return st.one_of(*kinds)


said = st.builds(ir.Text, text=texts, cache=caches, extras=extras)
images = st.builds(
    ir.Image,
    source=sources(["image/png"], pngs),
    detail=rarely(st.sampled_from(["low", "high", "auto"])),
    cache=caches,
    extras=extras,
)
documents = st.builds(
    ir.Document,
    source=sources(["application/pdf"], pdfs, text=True),
    name=maybe(names.map(lambda n: n + ".pdf")),
    context=rarely(visible),
    citations=rarely(st.booleans()),
    cache=caches,
    extras=extras,
)
heard = st.builds(
    ir.Audio, source=st.builds(ir.Source, data=sounds), format=st.sampled_from(["wav", "mp3"]), extras=extras
)
thoughts = st.one_of(
    st.builds(ir.Thinking, text=texts, signature=maybe(some_texts), extras=extras),
    st.builds(ir.Thinking, text=texts, signature=some_texts, signer=st.sampled_from(DIALECT_NAMES)),
    st.builds(ir.Thinking, redacted=some_texts, extras=extras),
)
calls = st.one_of(
    st.builds(ir.ToolCall, id=ids, name=names, arguments=arguments, cache=caches, extras=extras),
    st.builds(ir.ToolCall, id=ids, name=names, arguments=arguments, extras=extras),
    st.builds(ir.ToolCall, id=ids, name=names, arguments=texts, custom=st.just(True), extras=extras),
)
refusals = st.builds(ir.Refusal, text=some_texts, extras=extras)

NATIVE_BLOCKS: dict[str, list[dict[str, Any]]] = {
    "openai.chat": [{"type": "x_hologram", "x_hologram": {"z": [1, 2]}}],
    "openai.responses": [
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"type": "search", "query": "tides"},
        },
        {"type": "x_hologram", "depth": 3},
    ],
    "anthropic.messages": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tides"}},
        {"type": "x_hologram", "depth": 3},
    ],
    "gemini.generate_content": [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}, "thoughtSignature": "c2ln"},
        {"xHologram": {"depth": 3}},
    ],
    "cohere.chat": [{"type": "x_hologram", "hologram": "h"}],
    "bedrock.converse": [
        {"toolUse": {"toolUseId": "t1", "name": "grounding", "input": {"q": 1}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "t1", "content": [{"text": "found"}], "type": "grounding_result"}},
        {"xHologram": {"depth": 3}},
    ],
}
"""A dialect whose messages have no blocks has none of its own."""
NATIVE_TOOLS: dict[str, list[dict[str, Any]]] = {
    "openai.chat": [{"type": "x_tool", "x_tool": {"a": 1}}],
    "openai.responses": [{"type": "web_search", "search_context_size": "low"}],
    "anthropic.messages": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    "gemini.generate_content": [{"googleSearch": {}}, {"codeExecution": {}}],
    "ollama.chat": [{"type": "x_tool", "x": 1}],
    "cohere.chat": [{"type": "x_tool", "y": [2]}],
    "bedrock.converse": [{"systemTool": {"name": "nova_grounding"}}],
}
natives = st.one_of(
    *[
        st.builds(ir.Native, dialect=st.just(name), body=st.sampled_from(NATIVE_BLOCKS[name]))
        for name in NATIVE_BLOCKS
    ]
)
native_tools = st.one_of(
    *[
        st.builds(ir.Native, dialect=st.just(name), body=st.sampled_from(NATIVE_TOOLS[name]))
        for name in NATIVE_TOOLS
    ]
)
results = st.builds(
    ir.ToolResult,
    call_id=ids,
    parts=st.lists(st.one_of(said, said, images, documents), max_size=3).map(tuple),
    is_error=rarely(st.booleans()),
    cache=caches,
    extras=extras,
)
spoken = st.builds(
    ir.Audio, id=st.sampled_from(["audio_1"]), source=st.none(), format=st.none(), extras=extras
)

# Names that a writer may know, for some fields only some models take, and names that nobody knows.
models = st.one_of(
    st.sampled_from([
        "gpt-5.4-mini", "o3", "gpt-4o", "gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "claude-haiku-4-5", "claude-opus-4-8", "claude-sonnet-4-6", "claude-opus-5",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-2-lite-v1:0", "meta.llama3-8b-instruct-v1:0",
    ]),
    some_texts,
)  # fmt: skip

# --- requests ------------------------------------------------------------------------------------


def message(
    role: str, *parts: st.SearchStrategy[Any], least: int = 0, most: int = 3
) -> st.SearchStrategy[Any]:
    return st.builds(
        ir.Message,
        role=st.just(role),
        parts=st.lists(st.one_of(*parts), min_size=least, max_size=most).map(tuple),
        name=st.none() if role == "tool" else rarely(names),
        extras=extras,
    )


messages = st.one_of(
    message("system", said),
    message("developer", said),
    message("user", said, said, images, documents, heard, natives),
    message("user", said, images),
    message("assistant", said, calls, calls, thoughts, refusals, natives, spoken),
    message("assistant", said, calls),
    message("tool", results, least=1, most=1),
)
grammars = st.one_of(
    st.builds(ir.Grammar, extras=extras),
    st.builds(ir.Grammar, syntax=st.sampled_from(["lark", "regex"]), definition=some_texts, extras=extras),
)
tools = st.one_of(
    st.builds(
        ir.Tool,
        name=names,
        description=maybe(texts),
        parameters=maybe(schemas),
        strict=rarely(st.booleans()),
        cache=caches,
        extras=extras,
    ),
    st.builds(
        ir.Tool,
        name=names,
        description=maybe(texts),
        custom=st.just(True),
        grammar=maybe(grammars),
        cache=caches,
        extras=extras,
    ),
)
choices_of_tool = st.one_of(
    st.builds(ir.ToolChoice, mode=st.sampled_from(["auto", "none", "required"]), extras=extras),
    st.builds(ir.ToolChoice, mode=st.just("named"), name=names),
    st.builds(
        ir.ToolChoice,
        mode=st.sampled_from(["auto", "required"]),
        allowed=st.lists(names, min_size=1, max_size=2, unique=True).map(tuple),
    ),
)
outputs = st.one_of(
    st.builds(ir.Output, mode=st.sampled_from(["text", "json_object"]), extras=extras),
    st.builds(
        ir.Output,
        mode=st.just("json_schema"),
        name=maybe(names),
        description=rarely(visible),
        schema=schemas,
        strict=maybe(st.booleans()),
        extras=extras,
    ),
)
reasonings = st.one_of(
    st.builds(
        ir.Reasoning, effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])
    ),
    st.builds(
        ir.Reasoning,
        mode=st.just("enabled"),
        budget_tokens=st.sampled_from([1024, 4096, 30000]),
        display=rarely(st.sampled_from(["summarized", "omitted"])),
        extras=extras,
    ),
    st.builds(ir.Reasoning, mode=st.just("disabled")),
    st.builds(ir.Reasoning, mode=st.just("adaptive"), effort=maybe(st.sampled_from(["low", "high", "max"]))),
)
fractions = st.sampled_from([0.0, 0.25, 0.5, 1.0])


def _knobs(asked: ir.Request, knobs: dict[str, Any]) -> ir.Request:
    return msgspec.structs.replace(asked, **knobs)


_knob = {
    "tool_choice": choices_of_tool,
    "parallel_tool_calls": st.booleans(),
    "output": outputs,
    "reasoning": reasonings,
    "max_output_tokens": st.sampled_from([1, 100, 64000]),
    "temperature": st.sampled_from([0.0, 0.25, 1.0, 1.5, 2.0]),
    "top_p": fractions,
    "top_k": st.sampled_from([1, 40]),
    "frequency_penalty": st.sampled_from([-1.0, 0.0, 0.5]),
    "presence_penalty": st.sampled_from([0.0, 0.5]),
    "seed": st.integers(-3, 10**12),
    "stop": st.lists(visible, min_size=1, max_size=5).map(tuple),
    "n": st.sampled_from([1, 2]),
    "logprobs": st.booleans(),
    "top_logprobs": st.sampled_from([0, 3]),
    "service_tier": st.sampled_from(["auto", "default", "flex", "priority", "standard_only"]),
    "user": some_texts,
    "metadata": st.dictionaries(st.sampled_from(["team", "job"]), texts, max_size=2),
    "cache": st.builds(ir.Cache, ttl_seconds=st.sampled_from([None, 300, 3600])),
    "stream": st.booleans(),
    "stream_usage": st.booleans(),
}

requests = (
    st.builds(
        _knobs,
        st.builds(
            ir.Request,
            model=models,
            messages=st.lists(messages, min_size=1, max_size=4).map(tuple),
            tools=st.lists(st.one_of(tools, tools, native_tools), max_size=2).map(tuple),
            extras=extras,
        ),
        st.lists(st.sampled_from(sorted(_knob)), max_size=5, unique=True).flatmap(
            lambda chosen: st.fixed_dictionaries({name: _knob[name] for name in chosen})
        ),
    )
    # Usage in the stream is asked for only of a stream.
    .map(lambda r: r if r.stream else msgspec.structs.replace(r, stream_usage=None))
    .map(located)
)

# --- replies -------------------------------------------------------------------------------------


@st.composite
def usages(draw: st.DrawFn) -> ir.Usage:
    """Parts never larger than their totals, and no part without its total."""
    part = maybe(st.integers(0, 500))
    read, write, hours, thought, heard_, spoken_ = (draw(part) for _ in range(6))
    if write is None:
        hours = None
    elif hours is not None:
        hours = min(hours, write)
    parts_in = (read or 0) + (write or 0) + (heard_ or 0)
    parts_out = (thought or 0) + (spoken_ or 0)
    return ir.Usage(
        input_tokens=parts_in + draw(counts),
        output_tokens=parts_out + draw(counts),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=hours,
        reasoning_tokens=thought,
        input_audio_tokens=heard_,
        output_audio_tokens=spoken_,
        extras=draw(extras),
    )


REASONS = ["end", "length", "context", "tool", "refusal", "content_filter", "pause"]
stops = st.one_of(
    st.builds(ir.Stop, reason=st.sampled_from(REASONS)),
    st.builds(ir.Stop, reason=st.just("stop_sequence"), sequence=maybe(some_texts)),
    st.builds(ir.Stop, reason=st.just("other"), raw=st.sampled_from(["x_weird", "eos"])),
)
logprobs = rarely(
    st.just(
        {
            "content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}],
            "refusal": None,
        }
    )
)
answer_parts = st.one_of(said, said, calls, thoughts, refusals, natives)
answers = st.builds(
    ir.Choice,
    parts=st.one_of(
        st.lists(answer_parts, max_size=4),
        st.tuples(said),
        st.tuples(thoughts, said, calls, calls),
    ).map(tuple),
    stop=stops,
    logprobs=logprobs,
    extras=extras,
)
replies = st.builds(
    ir.Reply,
    id=some_texts,
    model=some_texts,
    choices=st.one_of(st.tuples(answers), st.lists(answers, min_size=2, max_size=2).map(tuple)),
    usage=maybe(usages()),
    created=maybe(st.integers(1, 2**33)),
    service_tier=rarely(st.sampled_from(["default", "standard", "priority"])),
    extras=extras,
).map(located)


def streamable(reply: ir.Reply) -> ir.Reply:
    """Token probabilities ride on text, so in a stream a choice without text has none."""
    choices = tuple(
        choice
        if any(isinstance(p, ir.Text | ir.Refusal) for p in choice.parts)
        else msgspec.structs.replace(choice, logprobs=None)
        for choice in reply.choices
    )
    return located(msgspec.structs.replace(reply, choices=choices))


@st.composite
def streams(draw: st.DrawFn) -> tuple[ir.Reply, list[ev.StreamEvent]]:
    """A reply, and events that assemble to it: deltas cut anywhere, choices interleaved."""
    reply = draw(replies)
    chance = random.Random(draw(st.integers(0, 2**32)))
    reply = streamable(reply)
    events = ev.disassemble(reply)
    first, last = events[0], [e for e in events if isinstance(e, ev.UsageSeen | ev.Done)]
    queues: dict[int, list[ev.StreamEvent]] = {}
    for event in events[1 : len(events) - len(last)]:
        queues.setdefault(event.choice, []).extend(cut(event, chance))  # type: ignore[union-attr]
    told = [first]
    while queues:
        number = chance.choice(sorted(queues))
        told.append(queues[number].pop(0))
        if not queues[number]:
            del queues[number]
    return reply, told + last


def cut(event: ev.StreamEvent, chance: random.Random) -> list[ev.StreamEvent]:
    if not isinstance(event, ev.TextDelta | ev.ThinkingDelta | ev.ArgumentsDelta) or len(event.text) < 2:
        return [event]
    place = chance.randrange(len(event.text) + 1)
    if place in (0, len(event.text)):
        return [event]
    rest = {"logprobs": None} if isinstance(event, ev.TextDelta) else {}
    replace = msgspec.structs.replace
    return [replace(event, text=event.text[:place]), replace(event, text=event.text[place:], **rest)]
