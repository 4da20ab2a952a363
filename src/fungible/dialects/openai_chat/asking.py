"""A request written, for the provider that its quirks describe.

An assistant's message has fields and no order, so a part that stands elsewhere in the conversation is moved
to its field and reported. A tool's result is text: images and files follow as a user's message, after the
last result of the run, for every call must be answered before anything else is said.
"""

from ...ir import (
    Audio,
    Document,
    Image,
    Json,
    Message,
    Native,
    Output,
    Part,
    Reasoning,
    Refusal,
    Reply,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from ...losses import Report
from ..base import Quirks
from ..checked import Wire, encode, merge
from ..freetext import NONE, Names, as_function, as_function_call, names_of
from . import thoughts
from .blocks import Blocks, as_ttl
from .names import EFFORT_OF_BUDGET, NAME, SERVICE_TIERS, UNNAMED_SCHEMA, is_ours
from .parts import MEDIA
from .request import allowed_tools, kind_of

_SCALARS = (
    "parallel_tool_calls", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "n",
    "logprobs", "top_logprobs", "user", "metadata",
)  # fmt: skip
_INNER = frozenset({"stream_options"})

_RANK: dict[type, int] = {Thinking: 0, Text: 1, Refusal: 1, Native: 1, Audio: 2, ToolCall: 3}
"""The order in which an assistant's fields are read."""


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    body: Wire = {"model": request.model} if request.model else {}
    if "model_in_address" in quirks:
        body = {"model": ""}
    body["messages"] = _Messages(report, quirks).all(request.messages)
    tools = [tool for t in request.tools if (tool := _tool(t, report, quirks)) is not None]
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        customs = NONE if "no_custom_tools" in quirks else names_of(request.tools)
        body["tool_choice"] = _tool_choice(request.tool_choice, customs, report)
    for name in _SCALARS:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.parallel_tool_calls is not None and "no_parallel_tool_calls" in quirks:
        del body["parallel_tool_calls"]
        report.lose(request, "parallel_tool_calls", "dropped", "tool_choice")
    if request.seed is not None and "random_seed" in quirks:
        body["random_seed"] = body.pop("seed")
    if request.output is not None:
        body["response_format"] = _output(request.output, request, report, quirks)
    if request.reasoning is not None:
        body |= _reasoning(request.reasoning, request, report, quirks)
    if request.max_output_tokens is not None:
        spelling = "max_tokens" if "max_tokens" in quirks else "max_completion_tokens"
        body[spelling] = request.max_output_tokens
    if request.stop:
        body["stop"] = request.stop
    if request.top_k is not None:
        if "top_k" in quirks or is_ours(request):
            body["top_k"] = request.top_k
        else:
            report.lose(request, "top_k", "dropped", "sampling")
    if request.service_tier is not None:
        body["service_tier"] = service_tier(request, request.service_tier, report)
    if request.cache is not None:
        report.lose(request, "cache", "dropped", "cache_mark")
    if request.stream:
        body["stream"] = True
    if request.stream_usage is not None:
        if "no_stream_options" in quirks:
            report.lose(request, "stream_usage", "dropped", "stream_usage")
        else:
            body["stream_options"] = {"include_usage": request.stream_usage}
    if request.extras is not None:
        _unknown(body, report.extras(request, NAME))
    return encode(body)


def service_tier(node: Request | Reply, tier: str, report: Report) -> str:
    nearest = SERVICE_TIERS.get(tier)
    if nearest is None or is_ours(node):
        return tier
    report.lose(node, "service_tier", "approximated", "service_tier")
    return nearest


def _unknown(body: Wire, fields: Wire) -> None:
    """Unknown fields beside a tool's function are kept by their whole path."""
    rest = {}
    tools = body.get("tools") or []
    for name, value in fields.items():
        at, dot, field = name.partition(".")
        if dot and at.startswith("tools[") and at.endswith("]") and at[6:-1].isdecimal():
            if int(at[6:-1]) < len(tools):
                tools[int(at[6:-1])].setdefault(field, value)
        elif dot and at == "response_format" and type(body.get(at)) is dict:
            body[at].setdefault(field, value)
        else:
            rest[name] = value
    merge(body, rest, _INNER)


# --- messages ------------------------------------------------------------------------------------


class _Messages(Blocks):
    __slots__ = ("media",)

    def all(self, messages: tuple[Message, ...]) -> list[Wire]:
        out: list[Wire] = []
        self.media: list[Wire] = []
        for message in messages:
            if self.media and message.role != "tool":
                self._flush(out)
            if message.role == "assistant":
                out.append(self._assistant(message))
            elif message.role == "tool":
                self._results(message, out)
            else:
                out.append(self._said(message))
        self._flush(out)
        return out

    def _flush(self, out: list[Wire]) -> None:
        if self.media:
            out.append({"role": "user", "content": self.media})
            self.media = []

    def _message(self, message: Message, role: str, node: Wire) -> Wire:
        made: Wire = {"role": role, **node}
        if message.name is not None:
            made["name"] = message.name
        if message.extras is not None:
            merge(made, self.report.extras(message, NAME))
        return made

    def _said(self, message: Message) -> Wire:
        """A user's message, or a system's, which holds text alone."""
        parts = list(message.parts)
        if (
            len(parts) == 1
            and type(parts[0]) is Native
            and parts[0].dialect == NAME
            and "role" in parts[0].body
        ):
            return parts[0].body  # type: ignore[no-any-return]
        role: str = message.role
        if role != "user":
            for part in parts:
                if type(part) in MEDIA:
                    self.lost(part, _why(part))
            parts = [part for part in parts if type(part) not in MEDIA]
            if role == "developer" and "no_developer_role" in self.quirks:
                self.report.lose(message, "role", "approximated", "role")
                role = "system"
        kept: list[Part] = []
        for part in parts:
            if type(part) is Thinking and not is_ours(part):
                self.lost(part, "thinking")
            else:
                kept.append(part)
        return self._message(message, role, {"content": self.content(kept)})

    def _assistant(self, message: Message) -> Wire:
        parts = message.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            return self._message(message, "assistant", {"content": self.content(list(parts))})
        groups: dict[int, list[Part]] = {0: [], 1: [], 2: [], 3: []}
        highest = 0
        for part in parts:
            if not self._has_place(part, groups[2]):
                continue
            rank = self._rank(part)
            if rank < highest and not self._moved(part):
                continue
            highest = max(highest, rank)
            groups[rank].append(part)
        node: Wire = thoughts.asked(groups[0], self.report, self.quirks)
        node |= self._content(groups[1])
        node |= self._audible(groups[2])
        if groups[3]:
            node["tool_calls"] = [self.call(p) for p in groups[3] if type(p) is ToolCall]
        return self._message(message, "assistant", node)

    def _has_place(self, part: Part, audible: list[Part]) -> bool:
        """Whether an assistant's message has a field for it; sound only for one that its provider keeps."""
        match part:
            case Thinking():
                if thoughts.is_taken(part, self.quirks):
                    return True
                self.lost(part, "thinking")
            case Native():
                if part.dialect == NAME:
                    return True
                self.lost(part, "native_block")
            case Audio():
                if part.id is not None and not audible:
                    return True
                self.lost(part, "audio")
            case Image() | Document():
                self.lost(part, _why(part))
            case ToolResult():
                self.lost(part, "role")
            case _:
                return True
        return False

    def _rank(self, part: Part) -> int:
        if type(part) is Thinking and part.redacted is None and "thinking_parts" in self.quirks:
            return 1
        return 0 if thoughts.is_item(part) else _RANK[type(part)]

    def _moved(self, part: Part) -> bool:
        """A part that stands behind one it must come before. Whether anything is left of it to move."""
        if type(part) is Text and not part.text:
            self.lost(part, "empty_text")
            return False
        if type(part) is Thinking and not part.text and thoughts.is_plain(part):
            self.lost(part, "thinking")
            return False
        self.report.lose(part, None, "changed", "part_order")
        return True

    def _content(self, said: list[Part]) -> Wire:
        """Text and refusals. The last refusal has a field of its own; an earlier one is a part."""
        refusal = said.pop() if said and type(said[-1]) is Refusal and not is_ours(said[-1]) else None
        node: Wire = {"content": self.content(said) if said else None}
        if type(refusal) is Refusal:
            node["refusal"] = refusal.text
            self.report.extras(refusal, NAME)
        return node

    def _audible(self, parts: list[Part]) -> Wire:
        """An earlier answer's sound, by the id that its provider knows it by."""
        node: Wire = {}
        for part in parts:
            assert type(part) is Audio
            for field in ("source", "format", "transcript", "expires_at"):
                if getattr(part, field) is not None:
                    self.report.lose(part, field, "dropped", "audio")
            node["audio"] = self.finished(part, {"id": part.id}, None)
        return node

    def call(self, part: ToolCall) -> Wire:
        if part.cache is not None:
            self.report.lose(part, "cache", "dropped", "cache_mark")
        if part.custom and "no_custom_tools" in self.quirks:
            part = as_function_call(part, self.report)
        return as_call(part, self.report)

    # --- tool results

    def _results(self, message: Message, out: list[Wire]) -> None:
        for part in message.parts:
            if type(part) is not ToolResult:
                self.lost(part, "role")
                continue
            node = {"tool_call_id": part.call_id, "content": self._result(part)}
            out.append(self._message(message, "tool", node))

    def _result(self, result: ToolResult) -> Json:
        if result.is_error:
            self.report.lose(result, None, "approximated", "tool_result_error")
        elif result.is_error is not None:
            self.report.lose(result, "is_error", "dropped", "tool_result_error")
        if result.cache is not None:
            self.report.lose(result, "cache", "dropped", "cache_mark")
        self.report.homeless(result)
        content = self._result_content(result)
        return self._prefixed(content) if result.is_error else content

    def _prefixed(self, content: Json) -> Json:
        if type(content) is str:
            return f"Error: {content}" if content else "Error"
        return [{"type": "text", "text": "Error:"}, *content]

    def _result_content(self, result: ToolResult) -> Json:
        """Text; a list where there is more than one, or where the empty one stands. No part is `""`."""
        said: list[Part] = []
        for part in result.parts:
            if (
                type(part) not in MEDIA
                or "tool_result_media" in self.quirks
                or is_ours(result)
                or (type(part) is Document and part.source.text is not None)
            ):
                said.append(part)
            else:
                self._follow(result, part)
        if not said:
            return ""
        content = self.content(said)
        if content == "":
            return [{"type": "text", "text": ""}]
        return content or ""

    def _follow(self, result: ToolResult, part: Part) -> None:
        block = self.one(part)
        if block is None:
            return
        self.report.lose(part, None, "changed", "tool_result_media")
        intro = f"From the result of tool call {result.call_id}: {_label(part)}"
        self.media += [{"type": "text", "text": intro}, block]


def _why(part: Part) -> str:
    return "image" if type(part) is Image else "document" if type(part) is Document else "audio"


def _label(part: Part) -> str:
    """What names the medium best."""
    source = getattr(part, "source", None)
    name = part.name if type(part) is Document else None
    kind = part.format if type(part) is Audio else None
    return name or (source and (source.url or source.file_id or source.media_type)) or kind or _why(part)


def as_call(part: ToolCall, report: Report) -> Wire:
    if part.custom:
        call: Wire = {"id": part.id, "type": "custom", "custom": {"name": part.name, "input": part.arguments}}
    else:
        function = {"name": part.name, "arguments": part.arguments}
        call = {"id": part.id, "type": "function", "function": function}
    if part.extras is not None:
        fields = report.extras(part, NAME)
        if "type" in fields:
            del call["type"]
        merge(call, fields)
    return call


# --- tools, output, reasoning --------------------------------------------------------------------


def _tool(tool: Tool | Native, report: Report, quirks: Quirks) -> Json:
    if type(tool) is Native:
        if tool.dialect == NAME:
            return tool.body
        report.lose(tool, None, "dropped", "native_block")
        return None
    assert type(tool) is Tool
    if tool.custom and "no_custom_tools" in quirks:
        tool = as_function(tool, report)
    function: Wire = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.custom:
        return _marked(tool, {"type": "custom", "custom": _custom(tool, function, report)}, report, quirks)
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        if "no_strict" in quirks:
            report.lose(tool, "strict", "dropped", "tool_strict")
        else:
            function["strict"] = tool.strict
    merge(function, report.extras(tool, NAME))
    return _marked(tool, {"type": "function", "function": function}, report, quirks)


def _custom(tool: Tool, custom: Wire, report: Report) -> Wire:
    grammar = tool.grammar
    if grammar is not None and grammar.syntax is not None:
        held = {"syntax": grammar.syntax, "definition": grammar.definition} | report.extras(grammar, NAME)
        custom["format"] = {"type": "grammar", "grammar": held}
    elif grammar is not None:
        custom["format"] = {"type": "text"} | report.extras(grammar, NAME)
    return merge(custom, report.extras(tool, NAME), frozenset({"format"}))


def _marked(tool: Tool, made: Wire, report: Report, quirks: Quirks) -> Wire:
    if tool.cache is not None:
        if is_ours(tool.cache) and "no_cache_marks" not in quirks:
            mark = {"type": "ephemeral"}
            if tool.cache.ttl_seconds is not None:
                mark["ttl"] = as_ttl(tool.cache.ttl_seconds)
            made["cache_control"] = mark | report.extras(tool.cache, NAME)
        elif "cache_control" in quirks and "no_cache_marks" not in quirks:
            made |= Blocks(report, quirks).mark(tool.cache, tool)
        else:
            report.lose(tool, "cache", "dropped", "cache_mark")
    return made


def _tool_choice(choice: ToolChoice, customs: Names, report: Report) -> Json:
    fields = report.extras(choice, NAME)
    if choice.mode == "named":
        if choice.allowed is not None:
            report.lose(choice, "allowed", "dropped", "tool_choice")
        if fields.get("name") == choice.name and "type" in fields and "function" not in fields:
            return fields  # read in the flat spelling of another API
        said = fields.get("type") or kind_of(choice.name or "", customs)
        made: Wire = {"custom" if said == "custom" else "function": {"name": choice.name or ""}}
        if fields or not is_ours(choice):  # Hugging Face's clients leave the type out
            made["type"] = said
        return merge(made, fields)
    if choice.allowed is not None and choice.mode in ("auto", "required"):
        tools = allowed_tools(choice.allowed, customs)
        made = {"type": "allowed_tools"}
        if "allowed_tools" not in fields:
            made["allowed_tools"] = {"mode": choice.mode, "tools": tools}
        return merge(made, fields)
    if choice.allowed is not None:
        report.lose(choice, "allowed", "dropped", "tool_choice")
    for field in fields:
        report.lose(choice, field, "dropped", "unknown_field")
    return "any" if choice.mode == "required" and is_ours(choice) and not fields else choice.mode


def _output(output: Output, request: Request, report: Report, quirks: Quirks) -> Json:
    if output.mode != "json_schema":
        for field in ("name", "description", "schema", "strict"):
            if getattr(output, field) is not None:
                report.lose(output, field, "dropped", "schema")
        return merge({"type": output.mode}, report.extras(output, NAME))
    if "no_json_schema" in quirks:
        report.lose(request, "output", "approximated", "schema")
        return {"type": "json_object"}
    schema: Wire = {}
    if output.name is not None:
        schema["name"] = output.name
    elif not is_ours(output):
        schema["name"] = UNNAMED_SCHEMA
    for field in ("description", "schema", "strict"):
        value = getattr(output, field)
        if value is not None:
            schema[field] = value
    return {"type": "json_schema", "json_schema": merge(schema, report.extras(output, NAME))}


def _reasoning(asked: Reasoning, request: Request, report: Report, quirks: Quirks) -> Wire:
    own = is_ours(asked)
    if "thinking_object" in quirks or (own and asked.mode is not None):
        return _thinking(asked, report)
    object_ = "reasoning_object" in quirks or own
    if asked.effort is None and not (object_ and asked.budget_tokens is not None):
        if own:
            return {"reasoning": dict(report.extras(asked, NAME))}
        return _nearest_effort(asked, request, report, object_)
    beside = ("mode", "display") if object_ else ("mode", "display", "budget_tokens")
    for field in beside:
        if getattr(asked, field) is not None:
            report.lose(asked, field, "dropped", "reasoning")
    fields = report.extras(asked, NAME)
    if not object_:
        return {"reasoning_effort": asked.effort}
    made = {"effort": asked.effort, "max_tokens": asked.budget_tokens}
    return {"reasoning": merge({name: v for name, v in made.items() if v is not None}, fields)}


def _nearest_effort(asked: Reasoning, request: Request, report: Report, object_: bool) -> Wire:
    """Where all that was said cannot be, the whole is reported."""
    budget = asked.budget_tokens
    if asked.mode != "enabled" and budget is None and not (object_ and asked.mode == "disabled"):
        # Left to the model: most refuse `none`, and a model that does not think refuses the field.
        report.lose(request, "reasoning", "dropped", "reasoning")
        return {}
    report.lose(request, "reasoning", "approximated", "reasoning")
    effort = "none" if asked.mode == "disabled" else "medium"
    if budget is not None:
        effort = next((e for most, e in EFFORT_OF_BUDGET if budget <= most), "high")
    return {"reasoning": {"effort": effort}} if object_ else {"reasoning_effort": effort}


def _thinking(asked: Reasoning, report: Report) -> Wire:
    thinking: Wire = {}
    if asked.mode is not None:
        thinking["type"] = asked.mode
    elif asked.budget_tokens is not None:
        thinking["type"] = "enabled"
        report.lose(asked, "mode", "approximated", "reasoning")
    if asked.budget_tokens is not None:
        thinking["budget_tokens"] = asked.budget_tokens
    if asked.display is not None:
        report.lose(asked, "display", "dropped", "reasoning")
    merge(thinking, report.extras(asked, NAME))
    made: Wire = {"thinking": thinking} if thinking else {}
    if asked.effort is not None:
        made["reasoning_effort"] = asked.effort
    return made
