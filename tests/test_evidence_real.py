"""Rehearsals on real outcomes: nine open models and two pairs of vendors' models on the same prompts.

What the full set of prompts says of two models is the truth here: whether the candidate's mean score is worse by more than
the margin. A rehearsal draws prompts from it with replacement until the verdict is reached, at most `PAIRS_MAX`
times. Needs outcomes per prompt beside the repository; skipped without them.
"""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest
from benchmarks.evidence.twin import decided_at

from fungible.evidence import Pair, judge
from tests.recordings import ROOT

ROUTING = ROOT.parent / "shared" / "routing"
REHEARSALS = 200
PAIRS_EARLY = 2500
PAIRS_MAX = 20_000
ALPHA = 0.05

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not ROUTING.is_dir(), reason="no outcomes per prompt beside the repository"),
]


class Contrast(NamedTuple):
    name: str
    incumbent: np.ndarray
    candidate: np.ndarray

    @property
    def worse(self) -> float:
        return float(np.mean(self.incumbent - self.candidate))


def rows(name: str) -> Iterator[dict[str, object]]:
    with gzip.open(ROUTING / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


@cache
def contrasts() -> tuple[Contrast, ...]:
    scored = [row["scores"] for row in rows("llmrouter")]
    models = sorted(set.intersection(*(set(s) for s in scored)))  # type: ignore[arg-type]
    columns = {model: np.array([float(s[model]) for s in scored]) for model in models}  # type: ignore[index]
    found = [Contrast(f"{a} -> {b}", columns[a], columns[b]) for a, b in permutations(models, 2)]
    for name in ("routellm_mmlu", "routellm_gsm8k"):
        outcomes = list(rows(name))
        weak, strong = (
            np.array([float(bool(r[key])) for r in outcomes]) for key in ("weak_correct", "strong_correct")
        )
        found += [
            Contrast(f"{name} strong -> weak", strong, weak),
            Contrast(f"{name} weak -> strong", weak, strong),
        ]
    return tuple(found)


class Tally(NamedTuple):
    contrast: Contrast
    agree: int
    unknown: int
    false_safe: int
    pairs: float


def verdicts(drawn: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """(pair at which it is safe, pair at which it is not safe) of each row, 0 for never; the first guard decides."""
    passes, harms = (decided_at(kind, drawn, margin, ALPHA / 2) for kind in ("pass", "harm"))
    first_pass = (passes > 0) & ((harms == 0) | (passes < harms))
    first_harm = (harms > 0) & ~first_pass
    return np.where(first_pass, passes, 0), np.where(first_harm, harms, 0)


def rehearse(contrast: Contrast, margin: float, seed: int) -> Tally:
    """The verdicts of `REHEARSALS` rehearsals; those not decided early go on with the same pairs."""
    chance = np.random.default_rng(seed)
    worse = contrast.incumbent - contrast.candidate
    drawn = worse[chance.integers(worse.size, size=(REHEARSALS, PAIRS_EARLY))]
    safe, unsafe = verdicts(drawn, margin)
    on = (safe == 0) & (unsafe == 0)
    if on.any():
        more = worse[chance.integers(worse.size, size=(int(on.sum()), PAIRS_MAX - PAIRS_EARLY))]
        safe[on], unsafe[on] = verdicts(np.concatenate([drawn[on], more], axis=1), margin)
    bad = contrast.worse > margin
    return Tally(
        contrast,
        agree=int(np.sum((unsafe if bad else safe) > 0)),
        unknown=int(np.sum((safe == 0) & (unsafe == 0))),
        false_safe=int(np.sum(safe > 0)) if bad else 0,
        pairs=float(np.mean(np.where(safe + unsafe > 0, safe + unsafe, PAIRS_MAX))),
    )


@pytest.mark.parametrize("margin", [0.02, 0.05])
def test_rehearsals_give_the_verdict_of_the_full_set(margin: float) -> None:
    tallies = [rehearse(contrast, margin, n) for n, contrast in enumerate(contrasts())]
    everything = REHEARSALS * len(tallies)
    agree = sum(t.agree for t in tallies) / everything
    print(f"\nmargin {margin}: {len(tallies)} contrasts, {agree:.1%} agree, ", end="")
    print(
        f"{sum(t.unknown for t in tallies) / everything:.1%} not yet known after {PAIRS_MAX:,} pairs, ",
        end="",
    )
    wrong = everything - sum(t.agree + t.unknown for t in tallies)
    print(
        f"{wrong / everything:.2%} wrong, median of mean pairs {np.median([t.pairs for t in tallies]):,.0f}"
    )
    for t in sorted(tallies, key=lambda t: t.agree)[:6]:
        print(
            f"  {t.contrast.name}: worse by {t.contrast.worse:+.4f}, {t.agree} agree, {t.unknown} unknown, {t.false_safe} false safe"
        )
    assert agree >= 0.95
    assert max(t.false_safe for t in tallies) <= 0.05 * REHEARSALS
    assert wrong <= 0.025 * everything


def test_the_command_s_verdict_is_the_same() -> None:
    """`judge` itself, pair by pair, on a few of them."""
    for contrast in contrasts()[::15]:
        chance = np.random.default_rng(5)
        at = chance.integers(contrast.incumbent.size, size=4000)
        said = judge([Pair(float(contrast.incumbent[i]), float(contrast.candidate[i])) for i in at], 0.02)
        worse = (contrast.incumbent - contrast.candidate)[at][None, :]
        passes, harms = (int(decided_at(kind, worse, 0.02, ALPHA / 2)[0]) for kind in ("pass", "harm"))
        first = min((n for n in (passes, harms) if n), default=None)
        assert said.decided_at == first


@pytest.mark.parametrize("name", ["routellm_gsm8k strong -> weak", "routellm_mmlu strong -> weak"])
def test_a_much_weaker_model_is_found_soon(name: str) -> None:
    """In nine of ten orders of the set: by 110 problems of GSM8K (worse by a fifth), by 250 questions of MMLU."""
    contrast = next(c for c in contrasts() if c.name == name)
    chance = np.random.default_rng(9)
    orders = np.stack([chance.permutation(contrast.incumbent - contrast.candidate)[:900] for _ in range(300)])
    at = decided_at("harm", orders, 0.0, ALPHA)
    print(
        f"\n{name}: nine in ten by {np.quantile(np.where(at == 0, 901, at), 0.9):.0f}, mean {at[at > 0].mean():.0f}"
    )
    assert np.mean((at > 0) & (at <= (110 if "gsm8k" in name else 250))) >= 0.9
