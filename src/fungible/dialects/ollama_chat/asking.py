"""A request written. The wire's `stream` is true where nothing is said, so it is always said."""

from ...ir import Json, Message, Native, Output, Reasoning, Request, Tool, ToolCall, ToolChoice, ToolResult
from ...losses import Report
from ..base import Quirks
from ..checked import Wire, encode, merge
from ..freetext import as_function
from .blocks import Fields, as_call
from .names import LEVELS, NAME, NEAREST_LEVEL, NOT_HERE, OPTIONS, is_ours
from .parts import Calls


def write_request(request: Request, report: Report, quirks: Quirks) -> bytes:
    """Never raises; everything the body cannot carry is told to `report`."""
    body: Wire = {"model": request.model, "messages": Talk(report).all(request.messages)}
    tools = _tools(request, report)
    if tools:
        body["tools"] = tools
    if request.tool_choice is not None:
        report.homeless(request.tool_choice)
        report.lose(request, "tool_choice", _kind(request.tool_choice), "tool_choice")
    body["stream"] = request.stream
    if request.output is not None:
        _output(request.output, body, report)
    if request.reasoning is not None:
        _reasoning(request.reasoning, body, report, quirks)
    for name in ("logprobs", "top_logprobs"):
        if getattr(request, name) is not None:
            body[name] = getattr(request, name)
    options = _options(request, report)
    NOT_HERE.tell(request, report)
    fields = report.extras(request, NAME)
    if options or any(name.startswith("options.") for name in fields):
        body["options"] = options
    return encode(_unknown(body, fields) if fields else body)


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


def _options(request: Request, report: Report) -> Wire:
    options: Wire = {}
    for name, (field, _) in OPTIONS.items():
        value = getattr(request, field)
        if value is not None:
            options[name] = value
    if options.get("num_predict", 1) < 1:
        del options["num_predict"]
        report.lose(request, "max_output_tokens", "dropped", "token_limit")
    if request.stop:
        options["stop"] = request.stop
    return options


# --- messages ------------------------------------------------------------------------------------


class Talk:
    """Writes the messages of one request. `calls`: as its reader will know them."""

    __slots__ = ("calls", "report")

    def __init__(self, report: Report) -> None:
        self.report = report
        self.calls = Calls()

    def all(self, messages: tuple[Message, ...]) -> list[Wire]:
        out: list[Wire] = []
        for message in messages:
            if message.role == "tool":
                out += [self._result(message, p) for p in message.parts if type(p) is ToolResult]
                for part in message.parts:
                    if type(part) is not ToolResult:
                        self.report.lose(part, None, "dropped", "role")
            else:
                out.append(self._said(message))
        return out

    def _message(self, message: Message, node: Wire) -> Wire:
        if message.name is not None:
            self.report.lose(message, "name", "dropped", "name")
        return node if message.extras is None else merge(node, self.report.extras(message, NAME))

    def _said(self, message: Message) -> Wire:
        role: str = message.role
        if role == "developer":
            self.report.lose(message, "role", "approximated", "role")
            role = "system"
        speaks = role == "assistant"
        fields = Fields(self.report, True, "" if speaks else "\n\n")
        fields.take(message.parts, speaks)
        node: Wire = {"role": role}
        content = fields.content()
        if content is not None:
            node["content"] = content
        if fields.thoughts:
            node["thinking"] = "".join(fields.thoughts)
        if fields.images:
            node["images"] = fields.images
        if fields.calls:
            node["tool_calls"] = [self._call(call) for call in fields.calls]
        return self._message(message, node)

    def _call(self, call: ToolCall) -> Wire:
        made = as_call(call, self.report, made_id=self.calls.next_id())
        self.calls.called(call.id, call.name)
        return made

    def _result(self, message: Message, result: ToolResult) -> Wire:
        if result.is_error is not None:
            field = None if result.is_error else "is_error"
            kind: Json = "approximated" if result.is_error else "dropped"
            self.report.lose(result, field, kind, "tool_result_error")
        if result.cache is not None:
            self.report.lose(result.cache, None, "dropped", "cache_mark")
        self.report.homeless(result)
        fields = Fields(self.report, True, "\n\n")
        fields.take(result.parts, False)
        content = fields.content()
        if result.is_error:
            content = f"Error: {content}" if content else "Error"
        node: Wire = {"role": "tool"}
        if content is not None:
            node["content"] = content
        if fields.images:
            node["images"] = fields.images
        own = message.extras.fields if is_ours(message) and message.extras is not None else {}
        name = own.get("tool_name", self.calls.name_of(result.call_id))
        if name is not None:
            node["tool_name"] = name
        if result.call_id != self.calls.waiting(name):
            node["tool_call_id"] = result.call_id
        self.calls.answered(result.call_id)
        return self._message(message, node)


# --- tools, output, reasoning --------------------------------------------------------------------


def _kind(choice: ToolChoice) -> Json:
    """Left to the model is what the wire does unasked; other choices are carried by the tools alone."""
    return "dropped" if choice.mode in ("auto", "required") and choice.allowed is None else "approximated"


def _tools(request: Request, report: Report) -> list[Json]:
    """A choice among them is made by sending no others."""
    choice = request.tool_choice
    wanted: set[str] | None = None
    if choice is not None:
        names = {"none": (), "named": (choice.name or "",)}.get(choice.mode, choice.allowed)
        wanted = None if names is None else set(names)
        if choice.mode != "none" and not any(
            type(tool) is Tool and tool.name in (wanted or ()) for tool in request.tools
        ):
            wanted = None
    tools: list[Json] = []
    for tool in request.tools:
        if type(tool) is Native:
            if tool.dialect != NAME:
                report.lose(tool, None, "dropped", "native_block")
            elif wanted is not None:
                report.lose(tool, None, "dropped", "tool_choice")
            else:
                tools.append(tool.body)
        elif type(tool) is Tool:
            if wanted is not None and tool.name not in wanted:
                report.lose(tool, None, "dropped", "tool_choice")
            else:
                tools.append(_tool(tool, report))
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
    if tool.strict is not None:
        report.lose(tool, "strict", "dropped", "tool_strict")
    if tool.cache is not None:
        report.lose(tool.cache, None, "dropped", "cache_mark")
    return {"type": "function", "function": merge(function, report.extras(tool, NAME))}


def _output(output: Output, body: Wire, report: Report) -> None:
    """Text is what the wire answers unasked."""
    if output.mode == "text" or (output.mode == "json_schema" and type(output.schema) is not dict):
        report.lose(output, None, "dropped", "schema")
        return
    for field in ("name", "description", "strict"):
        if getattr(output, field) is not None:
            report.lose(output, field, "dropped", "schema")
    report.homeless(output)
    if output.mode == "json_object" and output.schema is not None:
        report.lose(output, "schema", "dropped", "schema")
    body["format"] = output.schema if output.mode == "json_schema" else "json"


def _reasoning(asked: Reasoning, body: Wire, report: Report, quirks: Quirks) -> None:
    """On, off, or a level. A budget has no place; it says that there is thinking."""
    if asked.budget_tokens is not None:
        report.lose(asked, None, "approximated", "reasoning")
    if asked.display is not None:
        report.lose(asked, "display", "dropped", "reasoning")
    report.homeless(asked)
    effort = asked.effort
    if effort is None:
        if asked.mode is not None or asked.budget_tokens is not None:
            body["think"] = asked.mode != "disabled"
        if asked.mode == "adaptive":
            report.lose(asked, "mode", "approximated", "reasoning")
        return
    if asked.mode is not None:
        report.lose(asked, "mode", "dropped", "reasoning")
    if effort == "none" or "no_think_levels" in quirks:
        body["think"] = effort != "none"
        report.lose(asked, None, "changed", "reasoning")
        return
    level = NEAREST_LEVEL.get(effort, effort)
    if level not in LEVELS:
        report.lose(asked, "effort", "dropped", "reasoning")
        return
    if level != effort:
        report.lose(asked, "effort", "approximated", "reasoning")
    body["think"] = level
