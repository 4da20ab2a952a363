"""An answer, read and written.

The wire tells neither the model nor the time. Probabilities have a form of their own (a text with the ids of
its tokens), so they ride in the extras of the one choice, beside the message's unknown fields.
"""

from ...faults import Fault
from ...ir import Choice, Json, Reply, Stop, Usage
from ...losses import Report
from ..checked import Wire, an_object, encode, may, merge, others, parse_answer
from .asking import spoken
from .blocks import Blocks
from .errors import fault_of
from .names import FINISH, NEAREST_FINISH, OURS, is_ours, ours
from .parts import assistant
from .usage import read_usage, write_usage

_REPLY = frozenset({"id", "finish_reason", "message", "usage", "logprobs"})
_WORDS = {reason: word for word, reason in FINISH.items()} | NEAREST_FINISH


def read_reply(body: bytes) -> Reply:
    """Raises `Fault`: not JSON, no answer (`provider_answer`), or the error that it holds."""
    wire = answered(body)
    try:
        message = wire["message"]
        parts, fields = assistant(message, "message")
        fields = {f"message.{name}": value for name, value in fields.items()}
        if message.get("role") not in (None, "assistant"):
            fields["message.role"] = message["role"]
        if wire.get("logprobs") is not None:
            fields["logprobs"] = wire["logprobs"]
        choice = Choice(parts=tuple(parts), stop=read_stop(wire.get("finish_reason")), extras=ours(fields))
        usage = may(wire, "usage", dict, "")
        return Reply(
            id=may(wire, "id", str, "") or "",
            model="",
            choices=(choice,),
            usage=read_usage(usage) if usage is not None else None,
            extras=ours(others(wire, _REPLY)),
        )
    except Fault as fault:
        raise unlike(fault) from None


def answered(body: bytes) -> Wire:
    """The answer's object. Raises `Fault` where it is an error: its message is words."""
    wire = parse_answer(body)
    if type(wire.get("message")) is not dict:
        if wire.get("message") or wire.get("error"):
            raise fault_of(wire, None)
        raise Fault("provider_answer", "The provider's answer has no message.", path="message")
    return wire


def read_plain_usage(body: bytes) -> Usage | None:
    """The usage alone. Raises as `read_reply` does."""
    usage = answered(body).get("usage")
    try:
        return read_usage(an_object(usage, "usage")) if usage is not None else None
    except Fault as fault:
        raise unlike(fault) from None


def unlike(fault: Fault) -> Fault:
    """A reader's complaint about what a provider sent, which is no fault of the caller."""
    return Fault("provider_answer", f"The provider's answer is none: {fault.message}", path=fault.path)


def read_stop(word: Json) -> Stop | None:
    if type(word) is not str or not word:
        return None
    reason = FINISH.get(word, "other")
    if reason == "other":
        return Stop(reason="other", raw=word, extras=OURS, at="finish_reason")
    return Stop(reason=reason, at="finish_reason")


def write_stop(stop: Stop | None, choice: Choice, report: Report) -> str:
    """Clients need a word."""
    if stop is None:
        report.lose(choice, "stop", "changed", "stop")
        return "COMPLETE"
    if stop.sequence is not None:
        report.lose(stop, "sequence", "dropped", "stop")
    if stop.reason == "other" and stop.raw is not None and is_ours(stop):
        return stop.raw
    if stop.reason in NEAREST_FINISH:
        report.lose(stop, "reason", "approximated", "stop")
    if stop.raw is not None:
        report.lose(stop, "raw", "dropped", "stop")
    return _WORDS[stop.reason]


# --- written -------------------------------------------------------------------------------------


def write_reply(reply: Reply, report: Report) -> bytes:
    """One answer. Never raises; what it cannot carry is told to `report`."""
    choice = reply.choices[0] if reply.choices else Choice()
    for other in reply.choices[1:]:
        report.lose(other, None, "dropped", "choices")
    blocks = Blocks(report)
    made = spoken(choice.parts, blocks)
    if type(made.get("content")) is str:
        made["content"] = [{"type": "text", "text": made["content"]}]
    body: Wire = {"id": reply.id, "finish_reason": write_stop(choice.stop, choice, report)}
    body["message"] = {"role": "assistant", **made}
    if choice.extras is not None:
        for name, value in own_fields(choice, report).items():
            if name == "logprobs":
                body["logprobs"] = value
            else:
                body["message"][name[8:]] = value
    if choice.logprobs is not None:
        report.lose(choice, "logprobs", "dropped", "logprobs")
    if reply.usage is not None:
        body["usage"] = write_usage(reply.usage, report)
    unsaid(reply, report)
    if reply.extras is not None and is_ours(reply):
        merge(body, reply.extras.fields)
    return encode(body)


def unsaid(reply: Reply, report: Report) -> None:
    """What answers say elsewhere, and this wire does not."""
    if reply.model:
        report.lose(reply, "model", "dropped", "unknown_field")
    if reply.created is not None:
        report.lose(reply, "created", "dropped", "unknown_field")
    if reply.service_tier is not None:
        report.lose(reply, "service_tier", "dropped", "service_tier")
    if reply.extras is not None and not is_ours(reply):
        report.homeless(reply)


def own_fields(choice: Choice, report: Report) -> Wire:
    """The fields that `read_reply` puts into a choice; any other has no place."""
    fields = choice.extras.fields if is_ours(choice) and choice.extras is not None else {}
    kept = {k: v for k, v in fields.items() if k == "logprobs" or k.startswith("message.")}
    report.homeless(choice, kept)
    return kept
