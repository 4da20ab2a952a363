"""What may differ between a recorded body and the same body read and written back: each row a function.

The rows, with their reasons, are those of `docs/normalisations/`; a test holds the two together. Each function
changes a body in place to the one of several spellings that says the same, and is applied to both sides.
"""

import copy
import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

Row = Callable[[str, dict[str, Any]], None]  # kind, body


def normalised(name: str, kind: str, body: Any, rows: Collection[str] | None = None) -> Any:
    changed = copy.deepcopy(body)
    for row, apply in NORMALISATIONS[name].items():
        if rows is None or row in rows:
            apply(kind, changed)
    return changed


JSON_OF_THE_CALLER = {"input", "input_schema", "schema", "parameters", "metadata", "args", "response"} | {
    "parametersJsonSchema", "parameters_json_schema", "responseSchema", "response_schema", "responseJsonSchema",
}  # fmt: skip
"""Fields whose value is not the wire's grammar but somebody's JSON, where a null is a value like any other."""


def null_is_absent(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in [n for n, value in node.items() if value is None]:
            del node[name]


def a_string_is_one_text(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in ("content", "system"):
            if isinstance(node.get(name), str) and (
                "role" in node or "tool_use_id" in node or name == "system"
            ):
                node[name] = [{"type": "text", "text": node[name]}]


def not_streaming_is_said_by_silence(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and body.get("stream") is False:
        del body["stream"]


def no_tools_are_none(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and body.get("tools") == []:
        del body["tools"]


def output_format_is_in_output_config(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and isinstance(body.get("output_format"), dict):
        body.setdefault("output_config", {}).setdefault("format", body.pop("output_format"))


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of the wire's own grammar."""
    if isinstance(value, dict):
        yield value
        for name, inner in list(value.items()):
            if name not in JSON_OF_THE_CALLER:
                yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


# --- openai.chat ---------------------------------------------------------------------------------


def empty_is_absent(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in ("tools", "stop", "content", "tool_calls", "annotations"):
            if node.get(name) == []:
                del node[name]
        for name in ("refusal", "finish_reason", "service_tier"):
            if node.get(name) == "":
                del node[name]
        if node.get("logprobs") == {}:
            del node["logprobs"]


def one_stop_sequence_is_a_list_of_one(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]


def max_tokens_is_max_completion_tokens(kind: str, body: dict[str, Any]) -> None:
    if kind == "request" and "max_tokens" in body:
        body.setdefault("max_completion_tokens", body.pop("max_tokens"))


def a_calls_index_is_its_place(kind: str, body: dict[str, Any]) -> None:
    for calls in tool_calls(body):
        for place, call in enumerate(calls):
            if call.get("index") == place:
                del call["index"]


def a_thoughts_index_is_its_place(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for place, item in enumerate(node.get("reasoning_details") or ()):
            if item.get("index") == place:
                del item["index"]


def a_call_without_an_id_is_given_one(kind: str, body: dict[str, Any]) -> None:
    waiting: list[str] = []
    made = 0
    for node in objects(body):
        for call in node.get("tool_calls") or ():
            call["id"] = call.get("id") or f"call_{made}"
            waiting.append(call["id"])
            made += 1
        if node.get("role") == "tool":
            node.setdefault("tool_call_id", waiting[0] if waiting else "call_0")
            waiting = [i for i in waiting if i != node["tool_call_id"]]


def no_arguments_are_an_empty_object(kind: str, body: dict[str, Any]) -> None:
    for calls in tool_calls(body):
        for call in calls:
            if isinstance(call.get("function"), dict):
                call["function"]["arguments"] = call["function"].get("arguments") or "{}"


def a_thought_is_told_once(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        if node.get("reasoning_details"):
            text = "".join(d.get("text") or d.get("summary") or "" for d in node["reasoning_details"])
            for name in ("reasoning", "reasoning_content"):
                if node.get(name) == text:
                    del node[name]
        elif isinstance(node.get("reasoning"), str) and "reasoning_content" not in node:
            node["reasoning_content"] = node.pop("reasoning")


def counts_stand_in_the_details(kind: str, body: dict[str, Any]) -> None:
    usage = body.get("usage") or {}
    for name, outer, inner in (
        ("cached_tokens", "prompt_tokens_details", "cached_tokens"),
        ("cache_read_input_tokens", "prompt_tokens_details", "cached_tokens"),
        ("reasoning_tokens", "completion_tokens_details", "reasoning_tokens"),
    ):
        if name in usage and inner not in usage.get(outer, {}):
            usage.setdefault(outer, {})[inner] = usage.pop(name)


def reasoning_is_part_of_the_completion(kind: str, body: dict[str, Any]) -> None:
    usage = body.get("usage") or {}
    thought = usage.get("completion_tokens_details", {}).get("reasoning_tokens")
    total = usage.get("total_tokens", 0)
    if thought and total == usage["prompt_tokens"] + usage["completion_tokens"] + thought:
        usage["completion_tokens"] += thought


def object_and_created_are_always_told(kind: str, body: dict[str, Any]) -> None:
    if kind == "response" and "choices" in body:
        body.setdefault("object", "chat.completion")
        body["created"] = int(body.get("created", 0))


# --- openai.responses ----------------------------------------------------------------------------


def items(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name in ("input", "output"):
        if isinstance(body.get(name), list):
            yield from body[name]


def null_is_absent_in_items(kind: str, body: dict[str, Any]) -> None:
    null_is_absent(kind, body)
    for item in items(body):
        null_is_absent(kind, item)


def a_call_is_given_an_id(kind: str, body: dict[str, Any]) -> None:
    for item in items(body):
        if str(item.get("id", "")).startswith("fc_fungible_"):
            del item["id"]


def a_string_input_is_one_message(kind: str, body: dict[str, Any]) -> None:
    if isinstance(body.get("input"), str):
        body["input"] = [{"role": "user", "content": body["input"]}]


def string_content_is_one_text(kind: str, body: dict[str, Any]) -> None:
    for item in items(body):
        for name in ("content", "output"):
            if isinstance(item.get(name), str):
                spoken = item.get("role") == "assistant"
                item[name] = [{"type": "output_text" if spoken else "input_text", "text": item[name]}]


def a_message_says_its_type_by_its_role(kind: str, body: dict[str, Any]) -> None:
    for item in items(body):
        if item.get("type") == "message":
            del item["type"]


def completed_is_said_by_silence(kind: str, body: dict[str, Any]) -> None:
    for item in items(body):
        if item.get("status") == "completed" and item.get("type") not in WHOLE:
            del item["status"]


WHOLE = {"web_search_call", "file_search_call", "code_interpreter_call", "mcp_call", "image_generation_call"}


def nothing_is_said_by_silence(kind: str, body: dict[str, Any]) -> None:
    for node in [body, *items(body)]:
        inner = node.get("content") if isinstance(node.get("content"), list) else []
        for held in [node, *inner]:
            for name in ("annotations", "logprobs", "content", "tools"):
                if held.get(name) == []:
                    del held[name]


def the_settings_are_always_told(kind: str, body: dict[str, Any]) -> None:
    if kind == "response" and "output" in body:
        body.setdefault("parallel_tool_calls", True)
        body.setdefault("tool_choice", "auto")


def tool_calls(body: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    for node in objects(body):
        if isinstance(node.get("tool_calls"), list):
            yield node["tool_calls"]


# --- gemini.generate_content ---------------------------------------------------------------------


def a_name_is_in_camel_case(kind: str, body: dict[str, Any]) -> None:
    for node in list(objects(body)):
        for name in [n for n in node if "_" in n]:
            node[re.sub("_([a-z])", lambda found: found[1].upper(), name)] = node.pop(name)


def one_is_a_list_of_one(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        if isinstance(node.get("parts"), dict):
            node["parts"] = [node["parts"]]


def a_system_instruction_has_no_role(kind: str, body: dict[str, Any]) -> None:
    if isinstance(body.get("systemInstruction"), dict):
        body["systemInstruction"].pop("role", None)


def what_says_nothing_is_absent(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        if node.get("thought") is False:
            del node["thought"]
        if "functionCall" in node and node["functionCall"].get("args") == {}:
            del node["functionCall"]["args"]
        if isinstance(node.get("parts"), list):
            node["parts"] = [p for p in node["parts"] if p != {"text": ""}]
    for holder in (body, *body.get("candidates", ())):
        for name in ("systemInstruction", "generationConfig", "content"):
            if not isinstance(holder.get(name), dict):
                continue
            said = {n: value for n, value in holder[name].items() if n != "role" and value != []}
            if not said:
                del holder[name]


def an_enum_is_its_word(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in ("mode", "thinkingLevel"):
            if isinstance(node.get(name), str):
                node[name] = node[name].upper()
        if isinstance(node.get("finishReason"), int):
            node["finishReason"] = ["", "STOP", "MAX_TOKENS"][node["finishReason"]]


def a_schema_is_a_json_schema(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for older, newer in (
            ("parameters", "parametersJsonSchema"),
            ("responseSchema", "responseJsonSchema"),
        ):
            if older in node:
                node[newer] = json_schema(node.pop(older))


def json_schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [json_schema(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {}
    for spelled, value in schema.items():
        name = re.sub("_([a-z])", lambda found: found[1].upper(), spelled)
        if name == "properties":
            made[name] = {key: json_schema(one) for key, one in value.items()}
        else:
            made[name] = json_schema(value)
    if isinstance(made.get("type"), str):
        made["type"] = made["type"].lower()
    elif type(made.get("type")) is int:
        made["type"] = ("", "string", "number", "integer", "boolean", "array", "object")[made["type"]]
    if made.get("nullable") is True:
        del made["nullable"]
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], None]
    return made


def a_function_call_is_given_an_id(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in ("functionCall", "functionResponse"):
            if name in node and re.fullmatch(r"call_(\d|[0-9a-f]{8})", node[name].get("id", "call_0")):
                node[name]["id"] = "made"


def a_candidates_index_is_its_place(kind: str, body: dict[str, Any]) -> None:
    for place, candidate in enumerate(body.get("candidates", ())):
        if candidate.get("index") == place:
            del candidate["index"]


def times_are_to_the_second(kind: str, body: dict[str, Any]) -> None:
    if "createTime" in body:
        body["createTime"] = re.sub(r"\.\d+", "", body["createTime"])


def the_total_is_told(kind: str, body: dict[str, Any]) -> None:
    usage = body.get("usageMetadata")
    if usage:
        counts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
        usage.setdefault("totalTokenCount", sum(usage.get(name, 0) for name in counts))


# --- ollama.chat ---------------------------------------------------------------------------------


def nothing_said_is_absent(kind: str, body: dict[str, Any]) -> None:
    for name, empty in (("tools", []), ("options", {}), ("format", "")):
        if kind == "request" and body.get(name) == empty:
            del body[name]
    for node in objects(body):
        if node.get("tool_calls") == []:
            del node["tool_calls"]


def a_calls_type_is_function(kind: str, body: dict[str, Any]) -> None:
    for calls in tool_calls(body):
        for call in calls:
            if call.get("type") == "function":
                del call["type"]


def a_result_names_its_tool(kind: str, body: dict[str, Any]) -> None:
    names = [call["function"]["name"] for calls in tool_calls(body) for call in calls]
    for node in objects(body):
        if node.get("role") == "tool" and names:
            node.setdefault("tool_name", names[0])


# --- cohere.chat ---------------------------------------------------------------------------------


def nothing_held_is_absent(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        for name in ("citations", "tool_calls", "content"):
            if node.get(name) == []:
                del node[name]


# --- bedrock.converse ----------------------------------------------------------------------------


def nothing_configured_is_absent(kind: str, body: dict[str, Any]) -> None:
    if kind == "request":
        config = body.get("inferenceConfig", {})
        if config.get("stopSequences") == []:
            del config["stopSequences"]
        for name in ("system", "inferenceConfig"):
            if body.get(name) in ([], {}):
                del body[name]


def a_schema_is_the_json_in_its_string(kind: str, body: dict[str, Any]) -> None:
    for node in objects(body):
        if isinstance(node.get("schema"), str):
            node["schema"] = json.loads(node["schema"])


def reasoning_config_is_thinking(kind: str, body: dict[str, Any]) -> None:
    more = body.get("additionalModelRequestFields", {})
    if "reasoning_config" in more:
        more["thinking"] = more.pop("reasoning_config")


def a_count_told_twice_is_told_once(kind: str, body: dict[str, Any]) -> None:
    usage = body.get("usage", {})
    for name in ("cacheReadInputToken", "cacheWriteInputToken"):
        if usage.get(f"{name}Count") == usage.get(f"{name}s"):
            usage.pop(f"{name}Count", None)


def no_server_tools_used_is_absent(kind: str, body: dict[str, Any]) -> None:
    if body.get("usage", {}).get("serverToolUsage") == {}:
        del body["usage"]["serverToolUsage"]


NORMALISATIONS: dict[str, dict[str, Row]] = {
    "openai.chat": {
        "null is absent": null_is_absent,
        "string content is one text part": a_string_is_one_text,
        "stream: false is absent": not_streaming_is_said_by_silence,
        "empty is absent": empty_is_absent,
        "one stop sequence is a list of one": one_stop_sequence_is_a_list_of_one,
        "max_tokens is max_completion_tokens": max_tokens_is_max_completion_tokens,
        "a call's index is its place": a_calls_index_is_its_place,
        "a thought's index is its place": a_thoughts_index_is_its_place,
        "a call without an id is given one": a_call_without_an_id_is_given_one,
        "no arguments are {}": no_arguments_are_an_empty_object,
        "a thought is told once": a_thought_is_told_once,
        "counts stand in the details": counts_stand_in_the_details,
        "reasoning is part of the completion": reasoning_is_part_of_the_completion,
        "object and created are always told": object_and_created_are_always_told,
    },
    "ollama.chat": {
        "null is absent": null_is_absent,
        "empty is absent": nothing_said_is_absent,
        "a call's type is function": a_calls_type_is_function,
        "a result names its tool": a_result_names_its_tool,
    },
    "cohere.chat": {
        "null is absent": null_is_absent,
        "string content is one text part": a_string_is_one_text,
        "stream: false is absent": not_streaming_is_said_by_silence,
        "empty is absent": nothing_held_is_absent,
    },
    "openai.responses": {
        "null is absent": null_is_absent_in_items,
        "a string input is one message": a_string_input_is_one_message,
        "string content is one text": string_content_is_one_text,
        "a message says its type by its role": a_message_says_its_type_by_its_role,
        "completed is said by silence": completed_is_said_by_silence,
        "nothing is said by silence": nothing_is_said_by_silence,
        "stream: false is absent": not_streaming_is_said_by_silence,
        "the settings are always told": the_settings_are_always_told,
        "a call is given an id": a_call_is_given_an_id,
    },
    "anthropic.messages": {
        "null is absent": null_is_absent,
        "string content is one text part": a_string_is_one_text,
        "stream: false is absent": not_streaming_is_said_by_silence,
        "tools: [] is absent": no_tools_are_none,
        "output_format is output_config.format": output_format_is_in_output_config,
    },
    "gemini.generate_content": {
        "null is absent": null_is_absent,
        "a name is in camelCase": a_name_is_in_camel_case,
        "one is a list of one": one_is_a_list_of_one,
        "a system instruction has no role": a_system_instruction_has_no_role,
        "what says nothing is absent": what_says_nothing_is_absent,
        "an enum is its word": an_enum_is_its_word,
        "a schema is a JSON Schema": a_schema_is_a_json_schema,
        "a call is given an id": a_function_call_is_given_an_id,
        "a candidate's index is its place": a_candidates_index_is_its_place,
        "times are to the second": times_are_to_the_second,
        "the total is told": the_total_is_told,
    },
    "bedrock.converse": {
        "nothing configured is absent": nothing_configured_is_absent,
        "a schema is the JSON in its string": a_schema_is_the_json_in_its_string,
        "reasoning_config is thinking": reasoning_config_is_thinking,
        "a count told twice is told once": a_count_told_twice_is_told_once,
        "serverToolUsage: {} is absent": no_server_tools_used_is_absent,
    },
}
