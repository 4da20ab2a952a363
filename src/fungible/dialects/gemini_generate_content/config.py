"""`generationConfig`: how to answer. Read into the fields of a request, and written from them.

Sources: API reference, GenerationConfig and ThinkingConfig; guides, Thinking and Structured output. What
only this wire has (responseModalities, speechConfig, mediaResolution, imageConfig, ...) rides in the
request's extras under `generationConfig.` and its name.
"""

from ...ir import Json, Output, Reasoning, Request
from ...losses import Report
from ..base import Quirks
from ..checked import may, need, wrong
from .names import NAME, ours
from .schema import json_schema
from .shape import as_sent, inner, object_at

AT = "generationConfig"
_JSON = "application/json"
_TEXT = "text/plain"

_NUMBER, _WHOLE, _BOOL = ((int, float), "a number"), ((int,), "a whole number"), ((bool,), "true or false")
SCALARS: dict[str, tuple[str, tuple[tuple[type, ...], str]]] = {
    "maxOutputTokens": ("max_output_tokens", _WHOLE),
    "temperature": ("temperature", _NUMBER),
    "topP": ("top_p", _NUMBER),
    "topK": ("top_k", ((int, float), "a whole number")),
    "candidateCount": ("n", _WHOLE),
    "seed": ("seed", _WHOLE),
    "presencePenalty": ("presence_penalty", _NUMBER),
    "frequencyPenalty": ("frequency_penalty", _NUMBER),
    "responseLogprobs": ("logprobs", _BOOL),
    "logprobs": ("top_logprobs", _WHOLE),
}
"""A wire's field -> the canonical one; its types, and what to say to send."""

LEVELS: dict[str, str] = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}
NEAREST_LEVEL: dict[str, str] = {"none": "MINIMAL", "xhigh": "HIGH", "max": "HIGH"}
BUDGETS: dict[str, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 24576,
    "max": 24576,
}
"""Guide, OpenAI compatibility, Thinking: the budget that stands for an effort."""

STOPS_MAX = 5  # API reference, GenerationConfig.stopSequences
_LEVELS = {effort: level for level, effort in LEVELS.items()}
_KNOWN = frozenset(SCALARS) | {"stopSequences", "thinkingConfig"}
_FORM = frozenset({"responseMimeType", "responseSchema", "responseJsonSchema"})
_THINKING = frozenset({"thinkingBudget", "thinkingLevel", "includeThoughts"})


# --- read ----------------------------------------------------------------------------------------


def read_config(wire: dict[str, Json], asked: dict[str, Json], fields: dict[str, Json], at: str) -> None:
    """`asked` gets the fields of the request, `fields` what only this wire has."""
    sent = wire[AT]
    config = object_at(sent, at)
    for name, value in config.items():
        row = SCALARS.get(name)
        if row is not None:
            field, (kinds, expected) = row
            if type(value) not in kinds or (field == "top_k" and value != int(value)):
                raise wrong(f"{at}.{as_sent(sent, name)}", expected, value)
            asked[field] = int(value) if field == "top_k" else value
        elif name not in _KNOWN and name not in _FORM:
            fields[f"{AT}.{name}"] = value
    stops = config.get("stopSequences")
    if stops is not None:
        stops = stops if type(stops) is list else [stops]
        for i, stop in enumerate(stops):
            if type(stop) is not str:
                raise wrong(f"{at}.stopSequences[{i}]", "a string", stop)
        asked["stop"] = tuple(stops)
    if _FORM & config.keys():
        _read_form(sent, config, asked, fields, at)
    thinking = inner(config, "thinkingConfig", at)
    if thinking is not None:
        asked["reasoning"] = _read_thinking(thinking, f"{at}.{as_sent(sent, 'thinkingConfig')}")


def _read_form(
    sent: dict[str, Json], config: dict[str, Json], asked: dict[str, Json], fields: dict[str, Json], at: str
) -> None:
    kind = may(config, "responseMimeType", str, at)
    schemas = [name for name in ("responseJsonSchema", "responseSchema") if name in config]
    if len(schemas) == 1 and kind in (None, _JSON):
        name = schemas[0]
        schema = need(config, name, dict, at)
        asked["output"] = Output(
            mode="json_schema", schema=json_schema(schema), at=f"{at}.{as_sent(sent, name)}"
        )
    elif not schemas and kind in (_JSON, _TEXT):
        mode = "json_object" if kind == _JSON else "text"
        asked["output"] = Output(mode=mode, at=f"{at}.{as_sent(sent, 'responseMimeType')}")  # type: ignore[arg-type]
    else:
        fields |= {f"{AT}.{name}": value for name, value in config.items() if name in _FORM}


def _read_thinking(node: dict[str, Json], at: str) -> Reasoning:
    budget = may(node, "thinkingBudget", int, at)
    level = may(node, "thinkingLevel", str, at)
    shown = may(node, "includeThoughts", bool, at)
    own = {name: value for name, value in node.items() if name not in _THINKING}
    effort = LEVELS.get(level.upper()) if level is not None else None
    if level is not None and effort is None:
        own["thinkingLevel"] = level
    mode = None if budget is None else "disabled" if budget == 0 else "adaptive" if budget < 0 else "enabled"
    if budget is not None and budget < -1:
        own["thinkingBudget"] = budget
    return Reasoning(
        mode=mode,  # type: ignore[arg-type]
        effort=effort,  # type: ignore[arg-type]
        budget_tokens=budget if budget is not None and budget > 0 else None,
        display=None if shown is None else "summarized" if shown else "omitted",
        at=at,
        extras=ours(own),
    )


# --- write ---------------------------------------------------------------------------------------


def write_config(request: Request, report: Report, quirks: Quirks) -> dict[str, Json]:
    config: dict[str, Json] = {}
    for name, (field, _) in SCALARS.items():
        value = getattr(request, field)
        if value is not None:
            config[name] = value
    if request.stop:
        stops = [stop for stop in request.stop if stop]
        config["stopSequences"] = stops[:STOPS_MAX]
        if len(config["stopSequences"]) != len(request.stop):
            report.lose(request, "stop", "approximated", "stop_sequences")
    if request.output is not None:
        _write_output(request.output, config, report)
    if request.reasoning is not None:
        _write_thinking(request.reasoning, config, report, quirks)
    return config


def _write_output(output: Output, config: dict[str, Json], report: Report) -> None:
    for field in ("name", "description", "strict"):
        if getattr(output, field) is not None:
            report.lose(output, field, "dropped", "schema")
    if output.extras is not None:
        for name in output.extras.fields:
            report.lose_at(f"{output.at}.{name}", "dropped", "unknown_field")
    config["responseMimeType"] = _TEXT if output.mode == "text" else _JSON
    if output.mode != "json_schema":
        return
    if type(output.schema) is dict:
        config["responseJsonSchema"] = output.schema
    else:
        report.lose(output, None, "approximated", "schema")


def _write_thinking(reasoning: Reasoning, config: dict[str, Json], report: Report, quirks: Quirks) -> None:
    if "no_thinking" in quirks:
        report.lose(reasoning, None, "dropped", "reasoning")
        return
    thinking: dict[str, Json] = {}
    budget, mode = reasoning.budget_tokens, reasoning.mode
    if budget is not None:
        if mode != "enabled":
            report.lose(reasoning, "mode", "changed", "reasoning")
        if budget > 0:
            thinking["thinkingBudget"] = budget
        else:
            report.lose(reasoning, "budget_tokens", "dropped", "reasoning")
    elif mode == "disabled":
        _write_off(reasoning, thinking, report, quirks)
    elif mode is not None and reasoning.effort is None:
        thinking["thinkingBudget"] = -1
        if mode != "adaptive":
            report.lose(reasoning, "mode", "approximated", "reasoning")
    elif mode is not None:
        report.lose(reasoning, "mode", "dropped", "reasoning")
    if reasoning.effort is not None:
        _write_effort(reasoning, thinking, report, quirks)
    _write_display(reasoning, thinking, report)
    thinking.update(report.extras(reasoning, NAME))
    if thinking:
        config["thinkingConfig"] = thinking


def _write_off(reasoning: Reasoning, thinking: dict[str, Json], report: Report, quirks: Quirks) -> None:
    if "always_thinks" not in quirks:
        thinking["thinkingBudget"] = 0
        return
    if "no_thinking_level" in quirks:
        report.lose(reasoning, None, "approximated", "reasoning")
        thinking["thinkingBudget"] = 128  # guide, Thinking: the least of Gemini 2.5 Pro
    elif reasoning.effort is None:
        report.lose(reasoning, None, "approximated", "reasoning")
        thinking["thinkingLevel"] = "LOW"  # the one that all of them have
    else:
        report.lose(reasoning, "mode", "approximated", "reasoning")


def _write_effort(reasoning: Reasoning, thinking: dict[str, Json], report: Report, quirks: Quirks) -> None:
    effort = reasoning.effort or ""
    if thinking:  # the two exclude each other
        report.lose(reasoning, "effort", "dropped", "reasoning")
        return
    budget = BUDGETS[effort]
    if "no_thinking_level" in quirks or (effort == "none" and "always_thinks" not in quirks):
        if budget == 0 and "always_thinks" in quirks:
            budget = 128
        thinking["thinkingBudget"] = budget
        kind = "changed" if budget == 0 else "approximated"
        report.lose(reasoning, None, kind, "reasoning")  # type: ignore[arg-type]
        return
    if effort in _LEVELS:
        thinking["thinkingLevel"] = _LEVELS[effort]
        return
    thinking["thinkingLevel"] = NEAREST_LEVEL[effort]
    report.lose(reasoning, "effort", "approximated", "reasoning")


def _write_display(reasoning: Reasoning, thinking: dict[str, Json], report: Report) -> None:
    """Dialects in which thinking is asked for by mode show it unasked; this one has to be asked."""
    display = reasoning.display
    if display in ("summarized", "omitted"):
        thinking["includeThoughts"] = display == "summarized"
    elif display is not None:
        report.lose(reasoning, "display", "dropped", "reasoning")
    elif reasoning.mode in ("enabled", "adaptive"):
        report.lose(reasoning, "display", "changed", "reasoning")
        thinking["includeThoughts"] = True
