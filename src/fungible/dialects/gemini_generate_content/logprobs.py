"""Token probabilities: `logprobsResult` (API reference), in the one form that dialects share, and back."""

from ...ir import Choice, Json
from ...losses import Report
from ..checked import may
from .shape import object_at

_LIST = frozenset({"chosenCandidates", "topCandidates"})
_TOKEN = frozenset({"token", "tokenId", "logProbability"})


def read_logprobs(value: Json, at: str) -> Json:
    """None where it tells something else than tokens and their probabilities: then it rides whole."""
    result = object_at(value, at)
    chosen, top = may(result, "chosenCandidates", list, at), may(result, "topCandidates", list, at) or []
    if not chosen or not result.keys() <= _LIST or len(top) not in (0, len(chosen)):
        return None
    content = []
    for i, one in enumerate(chosen):
        token = _token(one)
        others = [_token(o) for o in _candidates(top[i])] if top else []
        if token is None or None in others:
            return None
        content.append({**token, "top_logprobs": others})
    return {"content": content, "refusal": None}


def _candidates(value: Json) -> list[Json]:
    found = value.get("candidates") if type(value) is dict else None
    return found if type(found) is list else []


def _token(one: Json) -> dict[str, Json] | None:
    if type(one) is not dict or not one.keys() <= _TOKEN or type(one.get("token")) is not str:
        return None
    told = {
        "token": one["token"],
        "logprob": one.get("logProbability", 0),
        "bytes": list(one["token"].encode()),
    }
    return {**told, "token_id": one["tokenId"]} if "tokenId" in one else told


def write_logprobs(choice: Choice, value: Json, report: Report) -> dict[str, Json] | None:
    content = value.get("content") if type(value) is dict else None
    if type(content) is not list or not content or not all(_is_told(one) for one in content):
        report.lose(choice, "logprobs", "dropped", "logprobs")
        return None
    written: dict[str, Json] = {"chosenCandidates": [_written(one) for one in content]}
    top = [{"candidates": [_written(o) for o in one.get("top_logprobs") or ()]} for one in content]
    if any(one["candidates"] for one in top):
        written["topCandidates"] = top
    if read_logprobs(written, "") != value:
        report.lose(choice, "logprobs", "approximated", "logprobs")
    return written


def _is_told(one: Json) -> bool:
    """Whether it has the shape of a token's; a provider's own readers do not look inside."""
    if type(one) is not dict:
        return False
    others = one.get("top_logprobs") or ()
    return isinstance(others, list | tuple) and all(type(other) is dict for other in others)


def _written(one: dict[str, Json]) -> dict[str, Json]:
    told = {"token": one.get("token", ""), "logProbability": one.get("logprob", 0)}
    return {**told, "tokenId": one["token_id"]} if "token_id" in one else told
