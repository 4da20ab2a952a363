"""A request written, for the provider that its quirks describe.

The first system text, where it is one plain text, is `instructions`; every other message is an item, or for
an assistant's as many as it has parts. Two messages of the assistant's in a row are one turn here, as the
items of both stand side by side. Earlier thinking goes only to where it came from: its provider knows its own
by id and seal, and refuses any other.
"""

from ...ir import (
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
from ..base import Quirks, Unplaced
from ..checked import Wire, encode, merge
from ..freetext import Names, names_of
from .blocks import Blocks, Items
from .names import (
    EFFORT_OF_BUDGET,
    LOGPROBS,
    NAME,
    OWN_TIERS,
    RESULTS,
    SEALS,
    SERVICE_TIERS,
    SHOWN,
    UNNAMED_SCHEMA,
    is_ours,
)
from .request import allowed_tools, kind_of

_SCALARS = (
    "parallel_tool_calls", "max_output_tokens", "temperature", "top_p", "top_logprobs", "user", "metadata",
)  # fmt: skip

NOT_HERE = Unplaced(
    {
        "top_k": "sampling",
        "frequency_penalty": "sampling",
        "presence_penalty": "sampling",
        "seed": "sampling",
        "n": "choices",
        "cache": "cache_mark",
    }
)
"""Canonical fields that this wire has no place for -> the reason they are lost."""

_INNER = frozenset({"text"})


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises; everything the body cannot carry is told to `report`."""
    body: Wire = {"model": request.model} if request.model else {}
    messages = request.messages
    if messages and _is_instructions(messages[0]):
        first = messages[0].parts[0]
        assert type(first) is Text
        Blocks(report, quirks).uncited(first)
        body["instructions"] = first.text
        if messages[0].name is not None:
            report.lose(messages[0], "name", "dropped", "name")
        if messages[0].extras is not None:
            report.extras(messages[0], NAME)
        messages = messages[1:]
    if messages:
        body["input"] = _Input(report, quirks).all(messages)
    tools = [tool for t in request.tools if (tool := _tool(t, report)) is not None]
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice, names_of(request.tools), report)
    for name in _SCALARS:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.stop:
        report.lose(request, "stop", "dropped", "stop_sequences")
    if request.output is not None:
        body["text"] = {"format": _output(request.output, report)}
    if request.reasoning is not None:
        body |= _reasoning(request.reasoning, report)
    if request.service_tier is not None:
        tier = service_tier(request, request.service_tier, report)
        body |= {"service_tier": tier} if tier is not None else {}
    if request.stream:
        body["stream"] = True
    NOT_HERE.tell(request, report)
    merge(body, report.extras(request, NAME), _INNER)
    _include(request, body, report)
    return encode(body)


def _is_instructions(message: Message) -> bool:
    if message.role != "system" or is_ours(message) or len(message.parts) != 1:
        return False
    part = message.parts[0]
    return type(part) is Text and part.cache is None and part.extras is None


def _include(request: Request, body: Wire, report: Report) -> None:
    if request.sealed:
        words = body.get("include")
        body["include"] = [SEALS, *(words if type(words) is list else ())]
    if request.logprobs:
        words = body.get("include")
        body["include"] = [*(words if type(words) is list else ()), LOGPROBS]
    elif request.logprobs is not None:
        report.lose(request, "logprobs", "dropped", "logprobs")


def service_tier(node: Request | Reply, tier: str, report: Report) -> str | None:
    if tier in OWN_TIERS or is_ours(node):
        return tier
    nearest = SERVICE_TIERS.get(tier)
    report.lose(node, "service_tier", "dropped" if nearest is None else "approximated", "service_tier")
    return nearest


# --- the conversation ----------------------------------------------------------------------------


class _Input(Blocks):
    __slots__ = ("_custom", "_wire")

    def all(self, messages: tuple[Message, ...]) -> list[Wire]:
        self._wire: list[Wire] = []
        self._custom: dict[str, bool] = {}  # call id -> whether its tool is a custom one
        answering = False
        for message in messages:
            if message.role == "assistant":
                answering = self._assistant(message, answering) or answering
                continue
            if message.role == "tool":
                self._results(message)
            else:
                self._said(message)
            answering = False
        return self._wire

    def _named(self, message: Message) -> None:
        if message.name is not None:
            self.report.lose(message, "name", "dropped", "name")

    def _said(self, message: Message) -> None:
        self._named(message)
        role: str = message.role
        if role == "developer" and "no_developer_role" in self.quirks:
            self.report.lose(message, "role", "approximated", "role")
            role = "system"
        item: Wire = {"role": role, "content": self.content(message.parts)}
        self._wire.append(merge(item, self.report.extras(message, NAME)))

    def _assistant(self, message: Message, answering: bool) -> bool:
        """Whether anything is written. `answering`: the item before is the assistant's too."""
        report, mark = self.report, len(self.report.losses)
        self._named(message)
        report.homeless(message)  # it is no item of its own
        kept: list[Part] = []
        for part in message.parts:
            if type(part) is Thinking and (part.redacted is not None or not is_ours(part)):
                self.lost(part, "thinking")
            elif answering and type(part) is Text and not part.text:
                self.lost(part, "empty_text")
            elif type(part) is Refusal and not is_ours(part):
                self.report.lose(part, None, "changed", "refusal")
                kept.append(Text(text=part.text, at=part.at))
            else:
                kept.append(self._uncited(part) if type(part) is Text else part)
        for part in kept:
            if type(part) is ToolCall:
                self._custom[part.id] = part.custom
        items = [_eased(item) for item in Items(self.report).all(tuple(kept))]
        if not items:  # that is one loss, not many
            why = report.losses[-1].why if message.parts else "empty_text"
            del report.losses[mark:]
            report.lose(message, None, "dropped", why)
            return False
        if answering:
            self.report.lose(message, None, "changed", "message_order")
        self._wire += items
        return True

    def _uncited(self, part: Text) -> Text:
        """Grounds of another dialect's answer are not sent back: there is no answer they are part of."""
        foreign = [c for c in part.citations if c.dialect != NAME]
        for cited in foreign:
            self.report.lose(cited, None, "dropped", "citations")
        if not foreign:
            return part
        kept = tuple(c for c in part.citations if c.dialect == NAME)
        return Text(text=part.text, citations=kept, cache=part.cache, extras=part.extras, at=part.at)

    def _results(self, message: Message) -> None:
        self._named(message)
        self.report.homeless(message)
        for part in message.parts:
            if type(part) is not ToolResult:
                self.lost(part, "role")
                continue
            kind = "custom_tool_call" if self._custom.get(part.call_id) else "function_call"
            item: Wire = {"type": RESULTS[kind], "call_id": part.call_id, "output": self._output(part)}
            if part.cache is not None:
                self.report.lose(part.cache, None, "dropped", "cache_mark")
            self._wire.append(item | self.report.extras(part, NAME))

    def _output(self, result: ToolResult) -> Json:
        """There is no mark for a failure, so the text says it. No part is `""`."""
        if result.is_error:
            self.report.lose(result, None, "approximated", "tool_result_error")
            outer, self.report = self.report, Report()
            content = self._content(result)
            self.report = outer
            if type(content) is str:
                return f"Error: {content}" if content else "Error"
            return [{"type": "input_text", "text": "Error:"}, *content]
        if result.is_error is not None:
            self.report.lose(result, "is_error", "dropped", "tool_result_error")
        return self._content(result)

    def _content(self, result: ToolResult) -> Json:
        if not result.parts:
            return ""
        content = self.content(result.parts)
        return [{"type": "input_text", "text": ""}] if content == "" else content or ""


def _eased(item: Wire) -> Wire:
    """A message without an id of its own is written as short as the API takes it."""
    if item.get("type") != "message" or item.get("role") != "assistant":
        return item
    said = item["content"]
    if item.get("id") is not None:
        return {"status": "completed", **item}
    if (
        len(said) == 1
        and said[0].get("annotations") == []
        and said[0]["logprobs"] == []
        and len(said[0]) == 4
    ):
        said = said[0]["text"]
    rest = {k: v for k, v in item.items() if k not in ("type", "role", "content")}
    eased: Wire = {"role": "assistant", "content": said, **rest}
    return eased if type(said) is str else {"type": "message", **eased}


# --- tools, output, reasoning --------------------------------------------------------------------


def _tool(tool: Tool | Native, report: Report) -> Wire | None:
    if type(tool) is Native:
        if tool.dialect == NAME:
            return tool.body  # type: ignore[no-any-return]
        report.lose(tool, None, "dropped", "native_block")
        return None
    assert type(tool) is Tool
    made: Wire = {"type": "custom" if tool.custom else "function", "name": tool.name}
    if tool.description is not None:
        made["description"] = tool.description
    if tool.cache is not None:
        report.lose(tool.cache, None, "dropped", "cache_mark")
    if tool.custom:
        return _custom(tool, made, report)
    made["parameters"] = tool.parameters
    fields = report.extras(tool, NAME)
    if tool.strict is False:
        report.lose(tool, "strict", "changed", "tool_strict")  # said here, and silence elsewhere
    if tool.strict is not None or not is_ours(tool):
        made["strict"] = bool(tool.strict)
    return made | fields


def _custom(tool: Tool, made: Wire, report: Report) -> Wire:
    grammar = tool.grammar
    if grammar is not None:
        form: Wire = {"type": "text"}
        if grammar.syntax is not None:
            form = {"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}
        made["format"] = form | report.extras(grammar, NAME)
    return made | report.extras(tool, NAME)


def _tool_choice(choice: ToolChoice, customs: Names, report: Report) -> object:
    fields = report.extras(choice, NAME)
    if choice.mode == "named":
        if choice.allowed is not None:
            report.lose(choice, "allowed", "dropped", "tool_choice")
        return {"type": kind_of(choice.name or "", customs), "name": choice.name or ""} | fields
    if choice.allowed is not None and choice.mode in ("auto", "required"):
        tools = allowed_tools(choice.allowed, customs)
        return {"type": "allowed_tools", "mode": choice.mode, "tools": tools} | fields
    if choice.allowed is not None:
        report.lose(choice, "allowed", "dropped", "tool_choice")
    for field in fields:
        report.lose(choice, field, "dropped", "unknown_field")
    return choice.mode


def _output(output: Output, report: Report) -> Wire:
    if output.mode != "json_schema":
        for field in ("name", "description", "schema", "strict"):
            if getattr(output, field) is not None:
                report.lose(output, field, "dropped", "schema")
        return {"type": output.mode} | report.extras(output, NAME)
    form: Wire = {"type": "json_schema"}
    if output.name is not None:
        form["name"] = output.name
    elif not is_ours(output):
        form["name"] = UNNAMED_SCHEMA
    for field in ("description", "schema", "strict"):
        value = getattr(output, field)
        if value is not None:
            form[field] = value
    return form | report.extras(output, NAME)


def _reasoning(asked: Reasoning, report: Report) -> Wire:
    """By effort, or the nearest to what was asked for; and whether a summary is shown."""
    fields = report.extras(asked, NAME)
    made: Wire = {}
    if asked.effort is not None:
        made["effort"] = asked.effort
        for field in ("mode", "budget_tokens"):
            if getattr(asked, field) is not None:
                report.lose(asked, field, "dropped", "reasoning")
    elif asked.mode is not None or asked.budget_tokens is not None:
        effort = _nearest_effort(asked)
        kind = "dropped" if effort is None else "approximated"
        report.lose(asked, None, kind, "reasoning")  # type: ignore[arg-type]
        if effort is not None:
            made["effort"] = effort
    if asked.display == "summarized":
        made["summary"] = SHOWN
    elif asked.display is not None:
        report.lose(asked, "display", "dropped", "reasoning")
    made |= fields
    return {"reasoning": made} if made or is_ours(asked) else {}


def _nearest_effort(asked: Reasoning) -> str | None:
    """None: left to the model, for most refuse `none`, and one that does not think refuses the field."""
    if asked.budget_tokens is not None:
        return next((e for most, e in EFFORT_OF_BUDGET if asked.budget_tokens <= most), "high")
    return "medium" if asked.mode == "enabled" else None
