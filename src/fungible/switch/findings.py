"""Findings: all that a run can tell, as plain values: what `--json` prints and every report is made of.

verdict       of each candidate, its measures with intervals, cost and time
differences   the pairs in which a candidate fared worst beside the incumbent, to be read by people
losses        what translation lost on the way to each candidate, by path
judged        how: settings, levels, remarks on what was not measured and why
"""

from collections.abc import Iterator
from typing import Any

from ..evidence.verdict import Answer as Word
from ..faults import Fault
from ..ir import Reply, Request, ToolCall
from .gathered import DIFFERENCES_MAX, Behind
from .hand import pairing_of
from .jury import akin, reliability
from .measures import MEASURES
from .probes import told
from .reading import calls, question, text
from .runs import Run
from .sample import LEFT_OUT
from .standing import Standing

TEXT_CHARS_MAX = 4000
LOSSES_MAX = 20


def findings(run: Run) -> dict[str, Any]:
    """As JSON has it. Raises Fault for a run that cannot be read."""
    return said(Standing(run))


def said(standing: Standing) -> dict[str, Any]:
    settings = standing.settings
    incumbents = sorted(settings.incumbents.items(), key=lambda row: -row[1])
    return {
        "run": settings.run,
        "route": settings.route,
        "begun_ms": settings.begun_ms,
        "verdict": overall([balance.word for balance in standing.balances.values()]),
        "incumbents": {name: count for name, count in incumbents if count},
        "recordings": settings.recordings,
        "conversations": settings.conversations,
        "spent_nanousd": standing.spent,
        "cost_unknown": standing.unpriced,
        "candidates": [_candidate(standing, target) for target in settings.targets],
        "noise": _noise(standing),
        "judged": _judged(standing),
    }


def overall(words: list[Word]) -> Word:
    """Of several candidates: safe where at least one is, not safe where none is."""
    if "safe" in words:
        return "safe"
    return "not_safe" if words and all(word == "not_safe" for word in words) else "not_yet_known"


def _candidate(standing: Standing, target: str) -> dict[str, Any]:
    return {
        **standing.balances[target].said(),
        "differences": differences(standing, target),
        "losses": _losses(standing, target),
        "failures": _failures(standing, target),
        "batched": target in standing.settings.batched,
        "judge": _jury(standing, target),
        "probes": told(standing.probes, target, standing.incumbent, standing.balances[target].level),
    }


# --- pairs worth reading -------------------------------------------------------------------------


def differences(standing: Standing, target: str, most: int = DIFFERENCES_MAX) -> list[dict[str, Any]]:
    """The worst first: by how much the candidate fell behind, over the measures that decide."""
    return [_shown(standing, behind) for behind in standing.gathered[target].worst(most)]


def _shown(standing: Standing, behind: Behind) -> dict[str, Any]:
    measured, run = behind.measured, standing.run
    row = run.asked.packed(measured.n)
    assert row is not None, "it was asked"
    pairing = pairing_of(measured.n, row, run.written(measured.at))
    return {
        "recording": measured.id,
        "group": pairing.recording.group or None,
        "behind": {name: round(gap, 4) for name, gap in behind.by.items()},
        "titles": [MEASURES[name].title for name in behind.by if name in standing.settings.deciding],
        "asked": _cut(_question(pairing.request)),
        "incumbent": _answer(pairing.recorded),
        "candidate": _answer(pairing.answered),
        "notes": {name: note for name, note in measured.notes.items() if name in behind.by},
    }


def _question(request: Request) -> str:
    """What the model had before it last: a tool's result, or what the user said."""
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == "tool":
        results = [text_of_result for part in last.parts if (text_of_result := _result(part))]
        return f"{question(request)}\n\n[the tool said] " + " ".join(results)
    return question(request)


def _result(part: Any) -> str:
    return "".join([inner.text for inner in getattr(part, "parts", ()) if hasattr(inner, "text")])


def _answer(said: Reply | Fault) -> dict[str, Any]:
    if isinstance(said, Fault):
        return {"fault": said.kind, "text": _cut(said.message), "calls": []}
    stop = said.choices[0].stop if said.choices else None
    return {
        "text": _cut(text(said)),
        "calls": [_call(call) for call in calls(said)],
        "stop": stop.reason if stop is not None else None,
    }


def _call(call: ToolCall) -> str:
    return _cut(f"{call.name}({call.arguments})")


def _cut(said: str) -> str:
    return said if len(said) <= TEXT_CHARS_MAX else said[:TEXT_CHARS_MAX] + " ..."


# --- the rest ------------------------------------------------------------------------------------


def _losses(standing: Standing, target: str) -> list[dict[str, Any]]:
    """The commonest; `messages[3]` and `messages[7]` are one place."""
    count = standing.gathered[target].losses
    return [
        {"path": path, "kind": kind, "recordings": n} for (path, kind), n in count.most_common(LOSSES_MAX)
    ]


def _failures(standing: Standing, target: str) -> dict[str, int]:
    """Fault -> how many answers were that."""
    return dict(standing.gathered[target].failures.most_common())


def _jury(standing: Standing, target: str) -> dict[str, Any] | None:
    judge = standing.settings.judge
    if judge is None:
        return None
    kin = akin(judge, [target, standing.incumbent])
    return {"model": judge, "akin": kin, **reliability(standing.judged(), standing.gathered[target].heard)}


def _noise(standing: Standing) -> dict[str, float]:
    """How often the incumbent, asked again, agrees with itself, by measure."""
    if not standing.settings.anew:
        return {}
    first = next(iter(standing.balances.values()))
    names = [name for name, row in MEASURES.items() if row.kind == "two"]
    means = {name: first.means[name] for name in names if name in first.means}
    return {name: mean.incumbent / mean.blocks for name, mean in means.items() if mean.blocks}


def _judged(standing: Standing) -> dict[str, Any]:
    settings = standing.settings
    return {
        "alpha": settings.alpha,
        "seed": settings.seed,
        "until": settings.until,
        "anew": settings.anew,
        "deciding": settings.deciding,
        "judge": settings.judge,
        "scorer": settings.scorer,
        "embedder": settings.embedder,
        "prompt": settings.prompt,
        "batched": list(settings.batched),
        "left_out": {why: {"count": n, "says": LEFT_OUT[why]} for why, n in settings.left_out.items()},
        "remarks": list(_remarks(standing)),
    }


def _remarks(standing: Standing) -> Iterator[str]:
    settings = standing.settings
    for mend in sorted(set(settings.unmeasured.values())):
        names = [MEASURES[name].title for name, how in settings.unmeasured.items() if how == mend]
        yield f"Not measured: {', '.join(names)}. To measure it: {mend}."
    for balance in standing.balances.values():
        for name in sorted(balance.withheld):
            yield f"{MEASURES[name].title} is withheld: it was wrong on pairs whose truth is known."
        break
    if settings.prompt is not None:
        yield f"The candidate was told other words than the callers' (a prompt variant): {settings.prompt}"
    if settings.judge is not None:
        for name in dict.fromkeys(akin(settings.judge, [*settings.targets, standing.incumbent])):
            yield f"The judge {settings.judge} is of one family with {name}, and may favour it."
    for name, count in settings.rare.items():
        yield (
            f"{MEASURES[name].title} applies to only {count:,} of {settings.looked:,} recordings: "
            f"shown, and decides nothing. --margin {name}=0.01 lets it decide."
        )
    if "tools" in settings.deciding and not settings.anew:
        yield (
            "Same tools is counted against the recorded answer as if the incumbent always called the same. "
            "--anew 1 asks it again and takes its own variation into account."
        )
    for name in settings.batched:
        yield f"Times of {name} are not told: it was asked by the batch, and answers when it has room."
    if not settings.anew and not set(settings.targets) <= set(settings.batched):
        yield "Times are of another hour than the incumbent's recorded ones; --anew compares the same hour."
    if len(settings.targets) > 1:
        yield f"The level is divided by the {len(settings.targets)} candidates."
