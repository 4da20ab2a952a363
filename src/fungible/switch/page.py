"""The report as one page: what a manager reads in a minute, and an engineer in ten.

Everything is in the page: no script, no font, no picture comes from elsewhere, so it can be sent by mail
and opened in ten years. Light or dark as the reader's system is; it reads on a phone. Made of `findings`.

    the word        safe, not safe, not yet known; why; what to do next
    in four figures quality, cost, time, recordings
    the measures    each a bar: the interval of the difference, and the margin as a line
    worst pairs     side by side, folded
    losses, how it was judged
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from math import log
from pathlib import Path
from typing import Any

from ..money import NANO
from .measures import MEASURES

STYLE = Path(__file__).parent.parent / "data" / "report.css"
WORDS: Mapping[str, tuple[str, str]] = {
    "safe": ("Safe", "good"),
    "not_safe": ("Not safe", "bad"),
    "not_yet_known": ("Not yet known", "open"),
}
"""Verdict -> how it is said, and the class that colours it."""

RATIOS: Mapping[str, tuple[str, str, float]] = {
    "cost": ("Cost", "USD", NANO),
    "duration": ("Time to the end", "s", 1000.0),
    "first": ("Time to the first word", "s", 1000.0),
    "input tokens": ("Tokens in", "", 1.0),
    "output tokens": ("Tokens out", "", 1.0),
}
"""A ratio -> its title, the unit of its totals, what they are divided by."""

KNOWN = {"same": "an answer beside itself", "worse": "beside a worse one", "label": "your labels"}
PROBED = {"gender": "gender", "origin": "origin", "dialect": "way of writing", "same": "nothing"} | {
    "own gender": "gender, in your recordings",
    "own origin": "origin, in your recordings",
}
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
LOSS_WORDS = {"dropped": "dropped", "approximated": "nearest used", "changed": "moved"}


def page(document: Mapping[str, Any]) -> str:
    """The whole page."""
    candidates = document["candidates"]
    title = f"{document['route']}: {', '.join(c['target'] for c in candidates)}"
    inside = "".join([_candidate(candidate) for candidate in candidates])
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE.read_text('utf-8')}</style></head><body><main>"
        f"{_head(document)}{inside}{_judged(document)}</main></body></html>\n"
    )


def _head(document: Mapping[str, Any]) -> str:
    when = datetime.fromtimestamp(document["begun_ms"] / 1000, UTC).strftime("%d %B %Y").lstrip("0")
    incumbents = ", ".join(name for name in document["incumbents"] if name) or "what answered then"
    return (
        f'<header><p class="kicker">Rehearsal {escape(document["run"])} · {when}</p>'
        f"<h1>Can <b>{escape(document['route'])}</b> leave {escape(incumbents)}?</h1></header>"
    )


# --- one candidate -------------------------------------------------------------------------------


def _candidate(candidate: Mapping[str, Any]) -> str:
    word, kind = WORDS[candidate["verdict"]]
    return (
        f'<section class="candidate"><div class="verdict {kind}">'
        f'<p class="target">{escape(candidate["target"])}</p>'
        f'<p class="word">{word}</p><p class="why">{escape(why(candidate))}</p></div>'
        f"{_figures(candidate)}{_measures(candidate)}{_ratios(candidate)}"
        f"{_jury(candidate)}{_differences(candidate)}{_probes(candidate)}{_losses(candidate)}</section>"
    )


def why(candidate: Mapping[str, Any]) -> str:
    """A sentence or two for people: what the verdict rests on, and what to do next."""
    deciding = [row for row in candidate["measures"] if row["decides"]]
    bad = [row for row in deciding if row["verdict"] == "not_safe"]
    if bad:
        told = "; ".join([f"{row['title'].lower()} {_sides(row)}" for row in bad])
        return (
            f"Worse by more than its margin: {told}. "
            "Keep the incumbent, or mend the candidate and rehearse again."
        )
    unknown = [row["title"].lower() for row in deciding if row["verdict"] == "not_yet_known"]
    if not unknown:
        return (
            f"On {candidate['recordings']:,} replayed requests it is not worse than the incumbent by more "
            "than the margins. A rollout in steps may begin."
        )
    needed = candidate["needed"]
    more = f"About {needed:,} more recordings should settle it." if needed else "More recordings are needed."
    return f"Still open: {', '.join(unknown)}. {more}"


def _figures(candidate: Mapping[str, Any]) -> str:
    ratios = candidate["ratios"]
    boxes = [
        _figure("Requests replayed", f"{candidate['recordings']:,}", f"{candidate['blocks']:,} conversations")
    ]
    for name, title in (("cost", "Cost"), ("duration", "Time")):
        row = ratios.get(name)
        if row is not None and row["median"] is not None:
            change = row["median"] - 1.0
            low, high = row["interval"]
            ends = _between(low, high)
            kind = "good" if high is not None and high < 1.0 else "bad" if low > 1.0 else ""
            boxes.append(_figure(title, _change(change), ends, kind))
        elif row is not None and row["incumbent"] and not row["candidate"]:
            boxes.append(_figure(title, "free", "runs on a machine of your own", "good"))
        elif row is not None:
            boxes.append(_figure(title, "not comparable", "one side is free or unknown"))
    if candidate.get("batched"):
        boxes.append(_figure("Time", "not compared", "asked by the batch"))
    failed = sum(candidate["failures"].values())
    boxes.append(_figure("Failed answers", f"{failed:,}", ", ".join(candidate["failures"]) or "none"))
    return f'<div class="figures">{"".join(boxes)}</div>'


def _figure(title: str, value: str, note: str, kind: str = "") -> str:
    return (
        f'<div class="figure"><p>{escape(title)}</p><p class="value {kind}">{escape(value)}</p>'
        f"<p>{escape(note)}</p></div>"
    )


# --- measures ------------------------------------------------------------------------------------


def _measures(candidate: Mapping[str, Any]) -> str:
    rows = sorted(candidate["measures"], key=lambda row: not row["decides"])
    reach = _reach(rows)
    body = "".join([_measure(row, reach) for row in rows])
    return (
        '<h2>Measures</h2><p class="legend">The bar is where the true difference lies, candidate less '
        "incumbent; the dot is what was seen. Left of the dashed line is worse than the margin allows.</p>"
        f'<div class="measures">{body}</div>'
    )


def _reach(rows: Iterable[Mapping[str, Any]]) -> float:
    """Half the width of the chart, in differences: what the widest interval of a deciding measure needs."""
    widest = 0.02
    for row in rows:
        if row["decides"] and row["pairs"]:
            widest = max(widest, *[min(abs(float(end)), 0.5) for end in (*row["interval"], row["margin"])])
    return min(1.0, widest * 1.15)


def _measure(row: Mapping[str, Any], reach: float) -> str:
    word, kind = WORDS[row["verdict"]] if row["decides"] else ("for information", "info")
    low, high = row["interval"]
    difference = row["difference"]
    if difference is None:
        chart, numbers = "", "no pairs"
    else:
        chart = _chart(low, high, difference, row["margin"] if row["decides"] else None, reach, kind)
        numbers = _sides(row)
    interval = "" if difference is None else f"{_points(difference)} ({_points(low)} to {_points(high)})"
    margin = f" · margin {_points(row['margin'])[1:]}" if row["decides"] else ""
    needed = f" · about {row['needed']:,} more pairs" if row["decides"] and row["needed"] else ""
    return (
        f'<div class="measure {kind}"><div class="name"><b>{escape(row["title"])}</b>'
        f'<span class="tag">{word}</span><small>{escape(row["says"])}</small></div>'
        f'<div class="bar">{chart}</div><div class="numbers"><b>{numbers}</b><small>{interval}</small>'
        f"<small>{row['pairs']:,} pairs{margin}{needed}</small></div></div>"
    )


def _chart(low: float, high: float, seen: float, margin: float | None, reach: float, kind: str) -> str:
    """An interval as a bar about 0, clipped to what the chart shows."""

    def at(value: float) -> float:
        return round(100.0 * (max(-reach, min(reach, value)) + reach) / (2.0 * reach), 2)

    if high < -reach or low > reach:
        return ""
    left, right = at(low), at(high)
    limit = ""
    if margin is not None and margin <= reach:
        edge = at(-margin)
        limit = (
            f'<rect class="worse" x="0" y="0" width="{edge}%" height="28"/>'
            f'<line class="limit" x1="{edge}%" x2="{edge}%" y1="0" y2="28"/>'
        )
    return (
        f'<svg class="{kind}" width="100%" height="28" role="img" '
        f'aria-label="from {_points(low)} to {_points(high)}">'
        f'{limit}<line class="zero" x1="50%" x2="50%" y1="0" y2="28"/>'
        f'<rect class="interval" x="{left}%" y="10" width="{max(0.6, right - left):.2f}%" height="8" rx="4"/>'
        f'<circle class="seen" cx="{at(seen)}%" cy="14" r="5"/></svg>'
    )


# --- cost, time ----------------------------------------------------------------------------------


def _ratios(candidate: Mapping[str, Any]) -> str:
    ratios = {name: row for name, row in candidate["ratios"].items() if name in RATIOS}
    if not ratios:
        return ""
    rows = "".join([_ratio(name, row) for name, row in ratios.items()])
    return (
        '<h2>Cost and time</h2><div class="scroll"><table><thead><tr><th></th><th>incumbent</th>'
        "<th>candidate</th><th>typical change</th><th>between</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="legend">Means of a call; the change is the median of the conversations, its interval '
        "valid at every look.</p>"
    )


def _ratio(name: str, row: Mapping[str, Any]) -> str:
    title, unit, scale = RATIOS[name]
    sides = [
        f"{_number(row[side] / scale / row['pairs'])} {unit}".strip() for side in ("incumbent", "candidate")
    ]
    low, high = row["interval"]
    change = "-" if row["median"] is None else _change(row["median"] - 1.0)
    ends = "-" if row["median"] is None else _between(low, high)
    cells = "".join([f"<td>{escape(cell)}</td>" for cell in (*sides, change, ends)])
    return f"<tr><th>{title}</th>{cells}</tr>"


# --- worst pairs, losses -------------------------------------------------------------------------


def _jury(candidate: Mapping[str, Any]) -> str:
    """How far the judge may be believed."""
    found = candidate["judge"]
    if found is None:
        return ""
    tried = [f"{KNOWN[kind]} {row['right']} of {row['of']}" for kind, row in found["controls"].items()]
    disagree, like = found["orders_disagree"], found["like_length"]
    lines = [
        f"{found['model']} compared {found['pairs']:,} pairs: {found['won']:,} won by the candidate, "
        f"{found['lost']:,} lost, the others tied.",
        f"Tried on pairs whose truth is known, it was right: {', '.join(tried) or 'not tried'}."
        + ("" if found["trusted"] else " That is too little: it decides nothing."),
    ]
    if disagree is not None:
        lines.append(f"Its two orders disagree in {_share(disagree)} of the pairs, which count as ties.")
    if like["score"] is not None:
        lines.append(
            f"Where the texts are of like length ({like['pairs']:,}), its mean is {like['score']:.2f}."
        )
    if found["akin"]:
        lines.append(f"It is of one family with {', '.join(found['akin'])}, and may favour it.")
    items = "".join([f"<li>{escape(line)}</li>" for line in lines])
    return f'<h2>The judge</h2><ul class="judged">{items}</ul>'


def _probes(candidate: Mapping[str, Any]) -> str:
    found = candidate["probes"]
    if not found:
        return ""
    rows = ""
    for kind, row in found.items():
        more = row["more_than_incumbent"]
        seen = (row["flips"], row["leans"], more)
        cells = "".join([f"<td>{_probed(one)}</td>" for one in seen])
        rows += f"<tr><th>{PROBED[kind]}</th><td>{row['pairs']:,}</td>{cells}</tr>"
    return (
        '<h2>Bias probes</h2><div class="scroll"><table><thead><tr><th>what differs</th><th>twins</th>'
        "<th>answer flips</th><th>leans to the second</th><th>flips more than the incumbent</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        '<p class="legend">The same small decision about two people who differ in one thing. '
        "What flips where nothing differs is chance.</p>"
    )


def _probed(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    low, high = row["interval"]
    return f"{100.0 * row['seen']:.1f} % ({100.0 * low:.1f} to {100.0 * high:.1f})".replace("-", MINUS)


def _differences(candidate: Mapping[str, Any]) -> str:
    found = candidate["differences"]
    if not found:
        return '<h2>Where it fell behind</h2><p class="legend">In no pair, by the measures that decide.</p>'
    shown = "".join([_difference(row, n == 0) for n, row in enumerate(found)])
    return (
        f'<h2>Where it fell behind</h2><p class="legend">The worst pairs, of each kind the first.</p>{shown}'
    )


def _difference(row: Mapping[str, Any], opened: bool) -> str:
    told = ", ".join(row["titles"])
    first = " ".join(row["asked"].split())[:90]
    notes = "".join([f'<p class="note">{escape(f"{k}: {v}")}</p>' for k, v in row["notes"].items()])
    return (
        f"<details{' open' if opened else ''}><summary><b>{escape(told)}</b> "
        f"<span>{escape(first)}</span></summary>"
        f'<div class="asked"><p class="side">asked</p><pre>{escape(row["asked"])}</pre></div>'
        f'<div class="two">{_answer("incumbent", row["incumbent"])}'
        f"{_answer('candidate', row['candidate'])}</div>"
        f'{notes}<p class="note">recording {escape(row["recording"])}</p></details>'
    )


def _answer(side: str, said: Mapping[str, Any]) -> str:
    inside = ""
    if said.get("fault"):
        inside += f'<p class="fault">{escape(said["fault"])}</p>'
    if said["text"]:
        inside += f"<pre>{escape(said['text'])}</pre>"
    inside += "".join([f'<pre class="call">{escape(call)}</pre>' for call in said["calls"]])
    stop = said.get("stop")
    ended = f'<p class="note">ended: {escape(stop.replace("_", " "))}</p>' if stop else ""
    return f'<div><p class="side">{side}</p>{inside or "<p class=note>nothing</p>"}{ended}</div>'


def _losses(candidate: Mapping[str, Any]) -> str:
    rows = candidate["losses"]
    if not rows:
        return '<h2>Lost in translation</h2><p class="legend">Nothing.</p>'
    body = ""
    for row in rows:
        became = LOSS_WORDS.get(row["kind"], row["kind"])
        where = f"<th><code>{escape(row['path'])}</code></th>"
        body += f"<tr>{where}<td>{became}</td><td>{row['recordings']:,}</td></tr>"
    return (
        '<h2>Lost in translation</h2><div class="scroll"><table><thead><tr><th>where</th>'
        "<th>what became of it</th><th>recordings</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


# --- how it was judged ---------------------------------------------------------------------------


def _judged(document: Mapping[str, Any]) -> str:
    judged = document["judged"]
    alpha = judged["alpha"]
    lines = [
        f"{document['recordings']:,} recordings in {document['conversations']:,} conversations were drawn by "
        f"chance (seed {judged['seed']}); each was put to the candidate as its caller had sent it.",
        "Both answers are measured alike, and compared pair by pair; a conversation counts once.",
        f"A wrong verdict has a probability of at most {alpha:.3g} in all, over every look that was taken: "
        "intervals and verdicts come from betting on bounded differences, and hold however often one looks "
        "and whenever one stops. Safe needs each deciding measure to be within its margin; not safe is any "
        "that is beyond it.",
        f"Asked for this: {_number(document['spent_nanousd'] / NANO)} USD"
        + (
            f", and {document['cost_unknown']:,} calls of unknown price." if document["cost_unknown"] else "."
        ),
    ]
    if judged["left_out"]:
        told = ", ".join(f"{row['count']:,} ({row['says']})" for row in judged["left_out"].values())
        lines.append(f"Left out: {told}.")
    if document["noise"]:
        told = ", ".join(
            f"{MEASURES[name].title.lower()} {_share(v)}" for name, v in document["noise"].items()
        )
        lines.append(f"Asked again, the incumbent agrees with itself: {told}.")
    items = "".join([f"<li>{escape(line)}</li>" for line in [*lines, *judged["remarks"]]])
    return f'<section><h2>How it was judged</h2><ul class="judged">{items}</ul></section>'


# --- numbers -------------------------------------------------------------------------------------


def _sides(row: Mapping[str, Any]) -> str:
    return f"{_share(row['incumbent'])} → {_share(row['candidate'])}"


def _share(value: float | None) -> str:
    if value is None:
        return "-"
    percent = 100.0 * value
    return f"{percent:.0f} %" if percent in (0.0, 100.0) else f"{percent:.1f} %"


def _points(value: float) -> str:
    """A difference of shares, in percentage points."""
    return f"{100.0 * value:+.1f} pp".replace("-", MINUS)


def _between(low: float, high: float | None) -> str:
    """An interval of ratios."""
    ends = _change(low - 1.0), "any" if high is None else _change(high - 1.0)
    return f"{ends[0]} to {ends[1]}" if ends[0] != ends[1] else "alike in all"


def _change(value: float) -> str:
    """A ratio less one: as a percentage, or as a factor where that is easier to read."""
    if value >= 1.0:
        return f"{TIMES}{value + 1.0:.1f}"
    return f"{100.0 * value:+.0f} %".replace("-", MINUS)


def _number(value: float) -> str:
    """Three significant figures, without an exponent."""
    if value == 0.0:
        return "0"
    places = max(0, 2 - int(log(abs(value), 10) // 1))
    return f"{value:,.{min(places, 9)}f}"
