"""Measures of one answer, without another to compare it with: what live guards can read, too.

`alone(request, answer)` gives every measure of the kind `one` that `measures` has: 0..1, more is better,
None where it does not apply. All but `answered` apply to answers only: a failed call is counted once.

A refusal is told by the wire's own mark (a stop reason, a refusal part) or by how the text begins: see
`REFUSALS`. Those are few phrases of few languages, so a refusal in other words is missed; as both models are
measured alike, this weakens the evidence and does not bend it.

The language of a text is told by `py3langid`, an extra, and only where both texts are long enough and their
language is plain.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from ..faults import Fault
from ..ir import Choice, Refusal, Reply, Request, Tool, ToolCall
from .reading import calls_of, empty, prose, question, text_of, unfenced
from .shapes import ABSENT, EXTRA, can_validate, fits, read

IDENTIFIER = "py3langid"
LETTERS_MIN = 40  # below this a language is a guess
PLAIN_MIN = 0.95  # how sure the identifier must be
BEGINNING = 160  # characters in which a refusal in words begins

NOT_THE_MODELS = frozenset({"client_gone", "budget", "expired", "canceled"})
"""Faults that say nothing of the model; the last two are of batches."""

CUT_SHORT = frozenset({"length", "context", "content_filter", "pause"})
"""Stop reasons of an answer that did not end by itself."""

CANNOT = r"(?:can(?:'t|not| not)|won't|must decline to|(?:am|'m) (?:unable|not able) to)"
DOING = "(?:help|assist|provide|comply|fulfil|support|do that|answer|continue|create|write|share|discuss)"
REFUSALS: tuple[str, ...] = (
    rf"i(?:'m| am) (?:sorry|afraid)\b.{{0,20}}\bi(?: )?{CANNOT}\b",
    rf"i ?{CANNOT}\b.{{0,20}}\b{DOING}",
    rf"as an ai(?: language model)?,? i ?{CANNOT}\b",
    r"(?:es )?tut mir leid,? (?:aber )?(?:ich|dabei|das|damit) (?:kann|darf|muss)",
    r"(?:je suis désolée?|désolée?),? (?:mais )?je ne peux pas",
    r"lo siento,? (?:pero )?no puedo",
    r"mi dispiace,? (?:ma )?non posso",
    r"(?:desculpe|sinto muito|lamento),? (?:mas )?não posso",
)
"""How refusals begin, in lower case with plain apostrophes."""

REFUSED = re.compile("|".join(f"(?:{phrase})" for phrase in REFUSALS), re.S)


def alone(
    request: Request,
    answer: Reply | Fault,
    *,
    duration_ms: float | None = None,
    timely_ms: float | None = None,
    names: Collection[str] | None = None,
) -> dict[str, float | None]:
    """Every measure of one answer, or those of `names`; `timely_ms`: by when it has to be there, if the user
    says so."""
    if isinstance(answer, Fault):
        missing: dict[str, float | None] = dict.fromkeys(OF_ONE)
        return {**missing, "answered": None if answer.kind in NOT_THE_MODELS else 0.0, "timely": None}
    choices = answer.choices
    if not choices or all(map(empty, choices)):
        if any(choice.stop is not None and choice.stop.reason in REASONS_TO_REFUSE for choice in choices):
            return {**dict.fromkeys(OF_ONE), "answered": 1.0, "willing": 0.0, "timely": None}
        return {**dict.fromkeys(OF_ONE), "answered": 0.0, "timely": None}
    chosen = OF_ONE if names is None else {name: of for name, of in OF_ONE.items() if name in names}
    scores = {name: _mean([of(request, choice) for choice in choices]) for name, of in chosen.items()}
    timed = timely_ms is not None and duration_ms is not None
    scores["timely"] = float(duration_ms <= timely_ms) if timed else None  # type: ignore[operator]
    return scores


def unmeasured() -> dict[str, str]:
    """Measures that need a library which is not installed -> what is to be done."""
    mends: dict[str, str] = {}
    if not can_validate():
        mends |= dict.fromkeys(("schema", "calls"), EXTRA)
    if find_spec(IDENTIFIER) is None:
        mends["language"] = EXTRA
    return mends


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


# --- the measures --------------------------------------------------------------------------------

REASONS_TO_REFUSE = frozenset({"refusal", "content_filter"})


def _answered(_: Request, choice: Choice) -> float:
    return float(not empty(choice))


def _willing(_: Request, choice: Choice) -> float | None:
    if choice.stop is not None and choice.stop.reason in REASONS_TO_REFUSE:
        return 0.0
    if any(isinstance(part, Refusal) for part in choice.parts):
        return 0.0
    return 1.0 if calls_of(choice.parts) else float(not refused(text_of(choice.parts)))


def refused(said: str) -> bool:
    """Whether a text begins as refusals do."""
    plain = said.lstrip().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
    return REFUSED.search(plain[:BEGINNING]) is not None


def _finished(_: Request, choice: Choice) -> float | None:
    return None if choice.stop is None else float(choice.stop.reason not in CUT_SHORT)


def _schema(request: Request, choice: Choice) -> float | None:
    output = request.output
    if output is None or output.mode == "text" or calls_of(choice.parts) or _willing(request, choice) == 0.0:
        return None
    value = read(text_of(choice.parts).strip())
    if value is ABSENT:
        return 0.0
    if output.mode == "json_object":
        return float(isinstance(value, dict))
    fit = fits(value, output.schema)
    return None if fit is None else float(fit)


def _calls(request: Request, choice: Choice) -> float | None:
    """No call where one had to be made is an invalid one."""
    made = calls_of(choice.parts)
    tools = {tool.name: tool for tool in request.tools if isinstance(tool, Tool)}
    if not tools:
        return 0.0 if made and not request.tools else None
    chosen = request.tool_choice
    if not made:
        forced = chosen is not None and chosen.mode in ("required", "named")
        return 0.0 if forced and _willing(request, choice) else None
    if chosen is not None and chosen.mode == "named" and any(call.name != chosen.name for call in made):
        return 0.0
    scores = [_valid(call, tools) for call in made]
    return None if None in scores else float(all(scores))


def _valid(call: ToolCall, tools: Mapping[str, Tool]) -> bool | None:
    tool = tools.get(call.name)
    if tool is None:
        return False
    if call.custom:
        return True
    value = read(call.arguments or "{}")
    if not isinstance(value, dict):
        return False
    return True if tool.parameters is None else fits(value, tool.parameters)


def _language(request: Request, choice: Choice) -> float | None:
    if request.output is not None and request.output.mode != "text":
        return None
    asked, said = language(question(request)), language(text_of(choice.parts))
    return None if asked is None or said is None else float(asked == said)


def language(said: str) -> str | None:
    """The language of a text (ISO 639), None where it is not plain, or nothing is there to tell it."""
    plain = prose(unfenced(said))[:2000]
    if sum(map(str.isalpha, plain)) < LETTERS_MIN or find_spec(IDENTIFIER) is None:
        return None
    name, sure = identifier().classify(plain)
    return str(name) if sure >= PLAIN_MIN else None


@cache
def identifier() -> Any:
    """Loads its model, a second's work, once."""
    from py3langid.langid import (  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra
        MODEL_FILE,
        LanguageIdentifier,
    )

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


OF_ONE: dict[str, Callable[[Request, Choice], float | None]] = {
    "answered": _answered,
    "willing": _willing,
    "finished": _finished,
    "schema": _schema,
    "calls": _calls,
    "language": _language,
}
