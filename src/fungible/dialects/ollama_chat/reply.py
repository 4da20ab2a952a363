"""An answer, read and written.

The wire gives answers no id, so one is made up of the model's name and the time: the same answer has the same
id. A time is told to the nanosecond; what the canonical form has no room for rides in `created_at`.

`stop` beside tool calls means that the model waits for their results: the wire has no word for it.
"""

from collections.abc import Sequence

from ...faults import Fault
from ...ir import Choice, Extras, Json, Part, Reply, Stop, StopReason, Usage
from ...losses import Report
from ..base import is_plain
from ..checked import Wire, a_list, an_object, encode, may, merge, others, parse_answer
from ..times import rfc_3339, unix_seconds
from .blocks import Fields, as_call
from .errors import fault_inside
from .names import FINISH, NAME, NEAREST_FINISH, OURS, is_ours, ours
from .parts import keep_arguments, made_of, shown, tool_call
from .usage import FIELDS, read_usage, write_usage

TOP = FIELDS | {"model", "created_at", "message", "done", "done_reason", "logprobs"}
MESSAGE = frozenset({"role", "content", "thinking", "images", "tool_calls"})
_MADE_ID = "ollama-"
_LAST_SECOND = "9999-12-31T23:59:59Z"  # that this wire can tell


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    wire = answered(body)
    if b'"arguments"' in body:
        keep_arguments(body, wire)
    try:
        node = an_object(wire.get("message"), "message")
        stamp = may(wire, "created_at", str, "")
        parts = shown(node, "message", asked=False)
        called = node.get("tool_calls")
        if called is not None:
            for i, call in enumerate(a_list(called, "message.tool_calls")):
                parts.append(tool_call(call, f"message.tool_calls[{i}]", i, call_id(stamp, i)))
        created, extras = read_time(stamp)
        unknown = others(wire, TOP) | extras
        return Reply(
            id=reply_id(wire, stamp),
            model=may(wire, "model", str, "") or "",
            created=created,
            choices=(
                Choice(
                    parts=tuple(parts),
                    stop=read_stop(wire, bool(called)),
                    logprobs=read_logprobs(wire),
                    extras=late(node),
                ),
            ),
            usage=read_usage(wire),
            extras=ours(unknown),
        )
    except Fault as fault:
        raise unlike(fault) from None


def answered(body: bytes) -> Wire:
    """The answer's object. Raises `Fault` where it is an error."""
    wire = parse_answer(body)
    fault = fault_inside(wire)
    if fault is not None:
        raise fault
    return wire


def read_plain_usage(body: bytes) -> Usage | None:
    """The usage alone. Raises as `read_reply` does."""
    wire = answered(body)
    try:
        an_object(wire.get("message"), "message")
        return read_usage(wire)
    except Fault as fault:
        raise unlike(fault) from None


def unlike(fault: Fault) -> Fault:
    """A reader's complaint about what a provider sent, which is no fault of the caller."""
    return Fault("provider_answer", f"The provider's answer is none: {fault.message}", path=fault.path)


def reply_id(wire: Wire, stamp: str | None) -> str:
    return f"{_MADE_ID}{made_of(wire.get('model'), stamp)}"


def call_id(stamp: str | None, n: int) -> str:
    """For the n-th call of an answer of a server that gives calls no ids."""
    return f"call_{made_of(stamp, n)}"


def read_time(stamp: str | None) -> tuple[int | None, Wire]:
    """(Unix seconds, the fields that hold what they do not say). The zero time of Go is none."""
    if stamp is None:
        return None, {}
    seconds = unix_seconds(stamp)
    if seconds is None or seconds < 0:
        return None, {"created_at": stamp}
    return seconds, {} if rfc_3339(seconds) == stamp else {"created_at": stamp}


def read_logprobs(wire: Wire) -> Json:
    """The wire's list is the canonical form's `content`."""
    told = wire.get("logprobs")
    return {"content": told, "refusal": None} if type(told) is list and told else None


def write_logprobs(told: Json, node: Choice, report: Report) -> Json:
    """None for probabilities of other tokens than the text's."""
    content = told.get("content") if type(told) is dict else None
    if not content:
        report.lose(node, "logprobs", "dropped", "logprobs")
        return None
    at = report.path(node, "logprobs")
    for name in told:
        if name != "content" and told[name]:
            report.lose_at(f"{at}.{name}", "dropped", "logprobs")
    return content


def late(message: Wire) -> Extras | None:
    """A message's unknown fields, as `message.x`; its role among them where it is no assistant's."""
    fields = others(message, MESSAGE, "message.")
    if message.get("role") not in (None, "assistant"):
        fields["message.role"] = message["role"]
    return ours(fields)


def own_fields(choice: Choice, report: Report) -> Wire:
    """The fields that `late` has read, for a message; any other has no place."""
    fields = {k[8:]: v for k, v in report.extras(choice, NAME).items() if k.startswith("message.")}
    if is_ours(choice):
        report.homeless(choice, {f"message.{name}" for name in fields})
    return fields


def read_stop(wire: Wire, called: bool) -> Stop | None:
    word = may(wire, "done_reason", str, "")
    if not word:
        return None
    reason = meaning(word, called)
    if reason == "other":
        return Stop(reason="other", raw=word, extras=OURS, at="done_reason")
    return Stop(reason=reason, at="done_reason")


def meaning(word: str, called: bool) -> StopReason:
    return "tool" if word == "stop" and called else FINISH.get(word, "other")


def write_stop(stop: Stop | None, called: bool, report: Report) -> str | None:
    if stop is None:
        return None
    if stop.sequence is not None:
        report.lose(stop, "sequence", "dropped", "stop")
    if stop.extras is not None and not (is_ours(stop) and not stop.extras.fields):
        report.homeless(stop)
    if stop.reason == "other" and stop.raw is not None and is_ours(stop):
        return stop.raw
    word = NEAREST_FINISH[stop.reason]
    if meaning(word, called) != stop.reason:
        report.lose(stop, "reason", "approximated", "stop")
    if stop.raw is not None:
        report.lose(stop, "raw", "dropped", "stop")
    return word


# --- written -------------------------------------------------------------------------------------


def write_reply(reply: Reply, report: Report) -> bytes:
    """One answer. Never raises; what it cannot carry is told to `report`."""
    choice = reply.choices[0] if reply.choices else Choice()
    for other in reply.choices[1:]:
        report.lose(other, None, "dropped", "choices")
    body = head(reply, report)
    body["message"] = write_message(choice.parts, report)
    if choice.extras is not None:
        body["message"] |= own_fields(choice, report)
    body["done"] = True
    word = write_stop(choice.stop, "tool_calls" in body["message"], report)
    if word is not None:
        body["done_reason"] = word
    if choice.logprobs is not None and (told := write_logprobs(choice.logprobs, choice, report)):
        body["logprobs"] = told
    if reply.usage is not None:
        body |= write_usage(reply.usage, report)
    if reply.extras is not None and is_ours(reply):
        merge(body, {k: v for k, v in reply.extras.fields.items() if k != "created_at"})
    return encode(body)


def head(reply: Reply, report: Report) -> Wire:
    """What every line of an answer begins with. An id has no place."""
    body: Wire = {"model": reply.model}
    fields = report.extras(reply, NAME)
    if "created_at" in fields:
        body["created_at"] = fields["created_at"]
    elif reply.created is not None:
        body["created_at"] = rfc_3339(reply.created) or _LAST_SECOND
    if not is_own_id(reply, body.get("created_at")):
        report.lose(reply, "id", "dropped", "unknown_field")
    if reply.service_tier is not None:
        report.lose(reply, "service_tier", "dropped", "service_tier")
    return body


def is_own_id(reply: Reply, stamp: str | None) -> bool:
    """Whether a reader makes up this very id."""
    return reply.id.startswith(_MADE_ID) and reply.id == reply_id({"model": reply.model}, stamp)


def write_message(parts: Sequence[Part], report: Report) -> Wire:
    """`content` always stands: clients add it up."""
    if len(parts) == 1 and is_plain(parts[0]) and parts[0].text:
        return {"role": "assistant", "content": parts[0].text}
    fields = Fields(report, False, "")
    fields.take(parts, True)
    message: Wire = {"role": "assistant", "content": fields.content() or ""}
    if fields.thoughts:
        message["thinking"] = "".join(fields.thoughts)
    if fields.images:
        message["images"] = fields.images
    if fields.calls:
        message["tool_calls"] = [as_call(call, report, i) for i, call in enumerate(fields.calls)]
    return message
