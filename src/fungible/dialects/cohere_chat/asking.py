"""A request written."""

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
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from ...losses import Report
from ..base import Quirks, is_plain
from ..checked import Wire, encode, merge
from ..freetext import as_function
from .blocks import ASKED, RETURNED, SPOKEN, Blocks, is_plan
from .names import NAME, NOT_HERE, SCALARS, is_ours

_MEDIA = frozenset({Image, Document, Audio})


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises; everything the body cannot carry is told to `report`."""
    body: Wire = {"model": request.model, "messages": Talk(report, quirks).all(request.messages)}
    tools = _tools(request, body, report)
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        _choice(request.tool_choice, request, body, report)
    if request.output is not None:
        _output(request.output, body, report)
    if request.reasoning is not None:
        _reasoning(request.reasoning, request, body, report, quirks)
    for name, (field, _) in SCALARS.items():
        value = getattr(request, field)
        if value is not None and name != "stream":
            body[name] = value
    if request.stream:
        body["stream"] = True
    if request.stop:
        body["stop_sequences"] = request.stop
    NOT_HERE.tell(request, report)
    if request.cache is not None:
        report.lose(request.cache, None, "dropped", "cache_mark")
    return encode(_unknown(body, report.extras(request, NAME)))


def _unknown(body: Wire, fields: Wire) -> Wire:
    """A field beside a tool's function is kept by its whole path."""
    rest, tools = {}, body.get("tools") or []
    for name, value in fields.items():
        at, _, field = name.partition(".")
        if at.startswith("tools[") and at[6:-1].isdecimal():
            if int(at[6:-1]) < len(tools):
                tools[int(at[6:-1])].setdefault(field, value)
        else:
            rest[name] = value
    return merge(body, rest)


# --- messages ------------------------------------------------------------------------------------


class Talk(Blocks):
    """Writes the messages of one request. `media`: of tools' results, for the user's message after them."""

    __slots__ = ("_media", "_quirks")

    def __init__(self, report: Report, quirks: Quirks) -> None:
        super().__init__(report)
        self._quirks = quirks
        self._media: list[Wire] = []

    def all(self, messages: tuple[Message, ...]) -> list[Wire]:  # type: ignore[override]
        out: list[Wire] = []
        for message in messages:
            if message.role != "tool":
                self._flush(out)
            if message.role == "assistant":
                out.append(self._message(message, "assistant", self._spoken(message.parts)))
            elif message.role == "tool":
                for part in message.parts:
                    if type(part) is ToolResult:
                        out.append(self._message(message, "tool", self._result(part)))
                    else:
                        self.lost(part, "role")
            else:
                out.append(self._asked(message))
        self._flush(out)
        return out

    def _flush(self, out: list[Wire]) -> None:
        if self._media:
            out.append({"role": "user", "content": self._media})
            self._media = []

    def _message(self, message: Message, role: str, node: Wire) -> Wire:
        if message.name is not None:
            self.report.lose(message, "name", "dropped", "name")
        return merge({"role": role, **node}, self.report.extras(message, NAME))

    def _asked(self, message: Message) -> Wire:
        role = "user" if message.role == "user" else "system"
        if message.role == "developer":
            self.report.lose(message, "role", "approximated", "role")
        return self._message(message, role, {"content": self._content(message.parts, ASKED)})

    def _content(self, parts: tuple[Part, ...], kinds: frozenset[type]) -> Json:
        if len(parts) == 1 and is_plain(parts[0]) and type(parts[0]) is Text:
            return parts[0].text
        return [made for part in parts if (made := self.one(part, kinds)) is not None]

    def _spoken(self, parts: tuple[Part, ...]) -> Wire:
        if "no_thinking" in self._quirks:
            for part in parts:
                if type(part) is Thinking:
                    self.lost(part, "thinking")
            parts = tuple(p for p in parts if type(p) is not Thinking)
        return spoken(parts, self)

    # --- tool results

    def _result(self, result: ToolResult) -> Wire:
        if result.is_error is not None:
            kind: Json = "approximated" if result.is_error else "dropped"
            self.report.lose(result, None if result.is_error else "is_error", kind, "tool_result_error")
        if result.cache is not None:
            self.report.lose(result.cache, None, "dropped", "cache_mark")
        self.report.homeless(result)
        said: list[Part] = []
        for part in result.parts:
            if type(part) in _MEDIA and not (type(part) is Document and part.source.text is not None):
                self._follow(result, part)
            else:
                said.append(part)
        content: Json = ""
        if len(said) == 1 and is_plain(said[0]) and type(said[0]) is Text and said[0].text:
            content = said[0].text
        elif said:
            content = [made for part in said if (made := self.one(part, RETURNED)) is not None] or ""
        if result.is_error:
            if type(content) is str:
                content = f"Error: {content}" if content else "Error"
            else:
                content = [{"type": "text", "text": "Error:"}, *content]
        return {"tool_call_id": result.call_id, "content": content}

    def _follow(self, result: ToolResult, part: Part) -> None:
        """A result is text; images follow as a user's, after the last result of the run."""
        if type(part) is not Image or part.source.file_id is not None:
            self.lost(
                part, "audio" if type(part) is Audio else "document" if type(part) is Document else "image"
            )
            return
        made = self.one(part, ASKED)
        if made is not None:
            self.report.lose(part, None, "changed", "tool_result_media")
            label = part.source.url or part.source.media_type or "image"
            intro = {"type": "text", "text": f"From the result of tool call {result.call_id}: {label}"}
            self._media += [intro, made]


def spoken(parts: tuple[Part, ...], blocks: Blocks) -> Wire:
    """An assistant's message: blocks, then the plan, then calls. What stands elsewhere is moved there."""
    if len(parts) == 1 and is_plain(parts[0]):
        return {"content": parts[0].text}
    report = blocks.report
    last = max((i for i, p in enumerate(parts) if type(p) in SPOKEN and not is_plan(p)), default=-1)
    said: list[Part] = []
    calls: list[Wire] = []
    plan: str | None = None
    moved = False
    for i, part in enumerate(parts):
        if type(part) is ToolCall:
            calls.append(blocks.call(part))
            moved = moved or not (part.custom and part.arguments)
        elif (
            is_plan(part) and type(part) is Thinking and plan is None and part.text and i > last and not calls
        ):
            plan = part.text
            blocks.finished(part, {})
        else:
            own = type(part) in (Text, Thinking) or (type(part) is Native and part.dialect == NAME)
            if moved and own:
                report.lose(part, None, "changed", "part_order")
            said.append(part)
    made: Wire = {}
    if len(said) == 1 and is_plain(said[0]) and type(said[0]) is Text:
        made["content"] = said[0].text
    elif said:
        made["content"] = [b for part in said if (b := blocks.one(part, SPOKEN)) is not None]
    if plan is not None:
        made["tool_plan"] = plan
    if calls:
        made["tool_calls"] = calls
    cited = [c for part in said if type(part) is Text for c in part.citations]
    kept = [c.body for c in cited if c.dialect == NAME]
    for other in cited:
        if other.dialect != NAME:
            report.lose(other, None, "dropped", "citations")
    if kept:
        made["citations"] = kept
    return made


# --- tools, output, reasoning --------------------------------------------------------------------


def _tools(request: Request, body: Wire, report: Report) -> list[Json]:
    """One that must be called is the only one that is sent. `strict_tools` is said of all together."""
    choice = request.tool_choice
    wanted: set[str] | None = None
    if choice is not None and (choice.allowed is not None or choice.mode == "named"):
        wanted = set(choice.allowed or (choice.name or "",))
        if not any(type(tool) is Tool and tool.name in wanted for tool in request.tools):
            wanted = None
    tools: list[Json] = []
    kept: list[Tool] = []
    for tool in request.tools:
        if type(tool) is Native and tool.dialect != NAME:
            report.lose(tool, None, "dropped", "native_block")
        elif wanted is not None and (type(tool) is not Tool or tool.name not in wanted):
            report.lose(tool, None, "dropped", "tool_choice")
        elif type(tool) is Native:
            tools.append(tool.body)
        elif type(tool) is Tool:
            kept.append(tool)
            tools.append(_tool(tool, report))
    strict = {tool.strict for tool in kept}
    if len(strict) == 1 and len(kept) == len(tools) and None not in strict:
        body["strict_tools"] = kept[0].strict
    else:
        for tool in kept:
            if tool.strict is not None:
                report.lose(tool, "strict", "dropped", "tool_strict")
    return tools


def _tool(tool: Tool, report: Report) -> Wire:
    if tool.custom:
        tool = as_function(tool, report)
    function: Wire = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    schema = tool.parameters
    if type(schema) is not dict:
        report.lose(tool, "parameters", "changed", "tool_schema")
        schema = {"type": "object", "properties": {}}
    function["parameters"] = schema
    if tool.cache is not None:
        report.lose(tool.cache, None, "dropped", "cache_mark")
    return {"type": "function", "function": merge(function, report.extras(tool, NAME))}


def _choice(choice: ToolChoice, request: Request, body: Wire, report: Report) -> None:
    """Left to the model is what the wire does unasked."""
    own = choice.extras.fields if is_ours(choice) and choice.extras is not None else {}
    report.homeless(choice, {"type"} if is_ours(choice) else ())
    if choice.mode == "auto":
        report.lose(request, "tool_choice", "approximated" if choice.allowed else "dropped", "tool_choice")
        return
    if choice.mode == "named" or choice.allowed is not None or choice.name is not None:
        report.lose(request, "tool_choice", "approximated", "tool_choice")
    body["tool_choice"] = own.get("type", "NONE" if choice.mode == "none" else "REQUIRED")


def _output(output: Output, body: Wire, report: Report) -> None:
    for field in ("name", "description", "strict"):
        if getattr(output, field) is not None:
            report.lose(output, field, "dropped", "schema")
    form: Wire = {"type": "text" if output.mode == "text" else "json_object"}
    if type(output.schema) is dict:
        form["json_schema"] = output.schema
    elif output.mode == "json_schema" or output.schema is not None:
        report.lose(output, None, "approximated", "schema")
    body["response_format"] = merge(form, report.extras(output, NAME))


def _reasoning(asked: Reasoning, request: Request, body: Wire, report: Report, quirks: Quirks) -> None:
    """On with a budget, or off. An effort says which of the two."""
    if "no_thinking" in quirks:
        report.lose(request, "reasoning", "dropped", "reasoning")
        return
    thinking: Wire = {}
    mode: str | None = asked.mode
    if asked.effort not in (None, "none") and mode is not None:
        report.lose(asked, "effort", "dropped", "reasoning")
        if mode == "adaptive":
            report.lose(asked, "mode", "approximated", "reasoning")
    elif asked.effort is not None:
        report.lose(asked, None, "approximated", "reasoning")
        report.lose(asked, "effort", "approximated", "reasoning")  # which may stand elsewhere
        mode = "disabled" if asked.effort == "none" else mode or "enabled"
    elif mode == "adaptive":
        report.lose(asked, "mode", "approximated", "reasoning")
    elif mode is None and asked.budget_tokens is not None and not is_ours(asked):
        report.lose(asked, "mode", "changed", "reasoning")
        mode = "enabled"
    if mode is not None:
        thinking["type"] = "enabled" if mode == "adaptive" else mode
    if asked.budget_tokens is not None:
        thinking["token_budget"] = asked.budget_tokens
    if asked.display is not None:
        report.lose(asked, "display", "dropped", "reasoning")
    merge(thinking, report.extras(asked, NAME))
    if thinking:
        body["thinking"] = thinking
