"""Evidence: what the guards promise, exactly where it can be computed, and beside an independent library."""

import json
import math
import random
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from fungible.evidence import HarmGuard, Pair, PassGuard, Ratios, Trial, Verdict, combined, judge
from fungible.evidence.capital import STAKES, Capital
from fungible.evidence.interval import Differences
from fungible.faults import Fault
from tests.work import lines

ALPHA = 0.05


def coin(chance: random.Random, p: float) -> float:
    return float(chance.random() < p)


def first_true(
    guard: HarmGuard | PassGuard, blocks: int, block: Callable[[], tuple[float, list[float]]]
) -> int | None:
    for _ in range(blocks):
        candidate, baseline = block()
        if guard.update(candidate=candidate, baseline=baseline):
            return guard.blocks
    return None


# --- the capital ---------------------------------------------------------------------------------


def test_the_capital_is_the_product_of_its_bets() -> None:
    chance = random.Random(1)
    payoffs = [Fraction(chance.randrange(65), 64) for _ in range(60)]
    fair = Fraction(33, 64)
    exact = Fraction(0)
    for stake in map(Fraction, STAKES):
        capital = Fraction(1, len(STAKES))
        for payoff in payoffs:
            capital *= (1 - stake) + stake * payoff / fair
        exact += capital
    ours = Capital(float(fair), ALPHA)
    for payoff in payoffs:
        ours.take(float(payoff))
    assert math.exp(ours.log_value) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("limit", [0.0, 0.02, 0.2])
def test_a_bettor_expects_nothing_where_the_hypothesis_is_just_true(limit: float) -> None:
    """The mean capital over every course of six blocks is 1, if the mean of D is just the limit."""
    outcomes = {1.0: (0.25 + limit) / 1.0, 0.0: 0.5 - limit, -1.0: 0.25}
    for make in (HarmGuard, PassGuard):
        expected = 0.0
        for course in product(outcomes, repeat=6):
            guard = make(ALPHA, limit)
            for difference in course:
                guard.take(difference)
            expected += math.prod(outcomes[d] for d in course) * math.exp(guard.log_e)
        assert expected == pytest.approx(1.0, abs=1e-12)


def test_false_alarms_are_few_exactly() -> None:
    """Equal models, a look after every pair: the exact probability over 400 pairs that disagree.

    The capital depends on how many went either way alone, so the walk is followed through its states.
    """

    def alarmed(up: int, down: int) -> bool:
        logs = [up * math.log1p(s) + down * math.log1p(-s) for s in STAKES]
        return sum(map(math.exp, logs)) / len(STAKES) >= 1 / ALPHA

    reached, alarm = {0: 1.0}, 0.0  # ups -> probability, of those not alarmed
    for pairs in range(1, 401):
        ahead: dict[int, float] = {}
        for ups, p in reached.items():
            for now in (ups, ups + 1):
                ahead[now] = ahead.get(now, 0.0) + p / 2
        over = [ups for ups in ahead if alarmed(ups, pairs - ups)]
        alarm += sum(ahead.pop(ups) for ups in over)
        reached = ahead
    assert 0.01 < alarm <= ALPHA


# --- the guards ----------------------------------------------------------------------------------


def test_as_the_contract_writes_it() -> None:
    harm = HarmGuard(alpha=0.05, tolerance=0.0)
    assert harm.update(candidate=1.0, baseline=[0.0, 0.0, 1.0]) is False
    ok = PassGuard(alpha=0.05, margin=0.01)
    assert ok.update(candidate=0.0, baseline=[0.0]) is False
    answers = [harm.update(candidate=1.0, baseline=[0.0]) for _ in range(30)]
    assert answers == sorted(answers) and answers[-1] and harm.decided_at == answers.index(True) + 2


def test_rolling_back_stays_decided() -> None:
    guard = HarmGuard()
    while not guard.update(candidate=1, baseline=[0]):
        pass
    decided_at = guard.decided_at
    assert all(guard.update(candidate=0, baseline=[1]) for _ in range(200))
    assert guard.log_e < 0 and guard.decided_at == decided_at


@pytest.mark.parametrize(
    ("base", "worse", "share", "pairs_mean"),
    [(0.02, 0.04, 1, 1400), (0.02, 0.12, 1, 130), (0.02, 0.04, 9, 900)],
)
def test_harm_is_found(base: float, worse: float, share: int, pairs_mean: int) -> None:
    chance = random.Random(7)
    found = []
    for _ in range(60):
        at = first_true(
            HarmGuard(),
            20_000,
            lambda: (coin(chance, worse), [coin(chance, base) for _ in range(share)]),
        )
        assert at is not None
        found.append(at)
    assert sum(found) / len(found) <= pairs_mean


def test_equal_models_and_drifts_that_hit_both_are_left_alone() -> None:
    chance = random.Random(3)
    alarms = 0
    for _ in range(100):
        guard = HarmGuard()
        for n in range(1500):
            rate = 0.03 if n > 500 else 0.01
            guard.update(candidate=coin(chance, rate), baseline=[coin(chance, rate)])
        alarms += guard.decided
    assert alarms <= 9  # 5 % and twice its standard error


def test_passing_wants_the_margin_shown() -> None:
    chance = random.Random(5)
    good = [
        first_true(PassGuard(margin=0.02), 8000, lambda: (coin(chance, 0.02), [coin(chance, 0.02)]))
        for _ in range(20)
    ]
    assert all(good) and sum(at or 0 for at in good) / 20 < 1000
    bad = [
        first_true(PassGuard(margin=0.02), 2000, lambda: (coin(chance, 0.05), [coin(chance, 0.02)]))
        for _ in range(100)
    ]
    assert sum(at is not None for at in bad) <= 5


@pytest.mark.parametrize(
    ("candidate", "baseline", "path"),
    [
        (1.5, [0.0], "candidate"), (-0.1, [0.0], "candidate"), (math.nan, [0.0], "candidate"), ("1", [0.0], "candidate"),
        (None, [0.0], "candidate"), (0.0, [], "baseline"), (0.0, [0.0, 2.0], "baseline"), (0.0, [0.5, math.nan], "baseline"),
        (0.0, [-1.0, 1.0], "baseline"), (0.0, None, "baseline"), (0.0, [math.inf], "baseline"),
    ],
)  # fmt: skip
def test_a_block_that_is_none_changes_nothing(candidate: Any, baseline: Any, path: str) -> None:
    guard = HarmGuard()
    guard.update(candidate=1.0, baseline=[0.0])
    before = guard.state()
    with pytest.raises(Fault, match="number from 0 to 1") as told:
        guard.update(candidate=candidate, baseline=baseline)
    assert told.value.path == path and guard.state() == before


@pytest.mark.parametrize("make", [HarmGuard, PassGuard])
@pytest.mark.parametrize(
    ("alpha", "limit"), [(0.0, 0.0), (1.0, 0.0), (math.nan, 0.0), ("a", 0.0), (0.05, 1.0), (0.05, True)]
)
def test_what_makes_no_guard(make: Any, alpha: Any, limit: Any) -> None:
    with pytest.raises(Fault, match="must lie between"):
        make(alpha, limit)


@pytest.mark.parametrize("make", [HarmGuard, PassGuard])
def test_a_guard_goes_through_json_and_on(make: Any) -> None:
    chance = random.Random(11)
    blocks = [(chance.random(), [chance.random() for _ in range(chance.randrange(1, 5))]) for _ in range(400)]
    through, straight = make(0.05, 0.03), make(0.05, 0.03)
    for n, (candidate, baseline) in enumerate(blocks):
        if n % 50 == 0:
            through = make.restore(json.loads(json.dumps(through.state())))
        assert through.update(candidate=candidate, baseline=baseline) == straight.update(
            candidate=candidate, baseline=baseline
        )
    assert through.state() == straight.state()


def test_what_is_no_state() -> None:
    good = HarmGuard().state()
    for bad in (
        {},
        {**good, "version": 9},
        {**good, "logs": [1.0]},
        {**good, "alpha": 7},
        {**good, "logs": None},
        {**good, "stakes": [2.0] * 12},
    ):
        with pytest.raises(Fault):
            HarmGuard.restore(bad)
    with pytest.raises(Fault, match="no state of a pass guard"):
        PassGuard.restore(good)


def test_workers_add_up_to_one_guard() -> None:
    chance = random.Random(13)
    blocks = [(coin(chance, 0.3), [coin(chance, 0.1)]) for _ in range(90)]
    whole, parts = HarmGuard(), [HarmGuard() for _ in range(3)]
    for n, (candidate, baseline) in enumerate(blocks):
        whole.update(candidate=candidate, baseline=baseline)
        parts[n % 3].update(candidate=candidate, baseline=baseline)
    one = HarmGuard.joined([part.state() for part in parts])
    assert one.log_e == pytest.approx(whole.log_e, abs=1e-9) and one.blocks == 90
    assert one.decided and not any(part.log_e > one.log_e for part in parts)
    with pytest.raises(Fault, match="Only states of one guard join"):
        HarmGuard.joined([HarmGuard().state(), HarmGuard(0.01).state()])
    with pytest.raises(Fault, match="no states"):
        HarmGuard.joined([])


def test_an_update_is_little_work_and_no_more_after_thousands() -> None:
    guard = HarmGuard()

    def update() -> None:
        guard.update(candidate=0.0, baseline=[0.0, 1.0, 0.0])

    first = max(lines(update) for _ in range(20))
    for _ in range(5_000):
        update()
    assert max(lines(update) for _ in range(20)) <= first < 120


# --- the interval and the verdict ----------------------------------------------------------------


def pairs_of(chance: random.Random, n: int, incumbent: float, candidate: float) -> list[Pair]:
    return [Pair(coin(chance, incumbent), coin(chance, candidate)) for _ in range(n)]


def test_the_interval_is_what_the_guards_have_not_decided_against() -> None:
    chance = random.Random(17)
    seen = Differences()
    values = [coin(chance, 0.3) - coin(chance, 0.2) for _ in range(300)]
    for value in values:
        seen.take(value)
    low, high = seen.low(0.025), seen.high(0.025)
    assert low < seen.mean < high  # type: ignore[operator]
    for limit, passes, harms in (
        (high + 1e-6, True, False),
        (high - 1e-6, False, False),
        (low - 1e-6, False, True),
        (low + 1e-6, False, False),
    ):
        ok, harm = Capital((1 - limit) / 2, 0.025), Capital((1 + limit) / 2, 0.025)
        for value in values:
            ok.take((1 - value) / 2)
            harm.take((1 + value) / 2)
        assert (ok.enough, harm.enough) == (passes, harms)


def test_the_interval_holds_the_truth_at_all_looks() -> None:
    chance = random.Random(19)
    missed = 0
    for _ in range(100):
        seen, inside = Differences(), True
        for n in range(1, 401):
            seen.take(chance.choice((-1.0, -0.25, 0.0, 0.15, 0.5)))
            if n % 50 == 0:
                inside &= seen.low(0.025) <= -0.12 <= seen.high(0.025)
        missed += not inside
    assert missed <= 9


def test_rounding_widens_by_a_thousandth_at_most() -> None:
    fine, coarse = Differences(), Differences()
    for n in range(200):
        fine.take(round(0.3 * math.sin(n), 3))
        coarse.take(round(0.3 * math.sin(n), 3) + (0.0004 if n % 2 else -0.0004))
    assert coarse.low(0.05) <= fine.low(0.05) <= coarse.low(0.05) + 0.0021
    assert coarse.high(0.05) >= fine.high(0.05) >= coarse.high(0.05) - 0.0021


def test_three_answers_only() -> None:
    chance = random.Random(23)
    safe = judge(pairs_of(chance, 4000, 0.9, 0.9), 0.05)
    unsafe = judge(pairs_of(chance, 4000, 0.9, 0.7), 0.05)
    unknown = judge(pairs_of(chance, 100, 0.9, 0.9), 0.02)
    assert safe.verdict == "safe" and safe.interval[0] > -0.05 and safe.needed is None
    assert unsafe.verdict == "not_safe" and unsafe.interval[1] < -0.05 and (unsafe.difference or 0) < -0.15
    assert (
        unknown.verdict == "not_yet_known"
        and unknown.decided_at is None
        and 100 < (unknown.needed or 0) < 20_000
    )
    assert safe.decided_at and unsafe.decided_at and unsafe.decided_at < safe.decided_at <= 4000


def test_stopped_at_the_verdict_the_interval_agrees() -> None:
    chance = random.Random(29)
    pairs = pairs_of(chance, 4000, 0.9, 0.9)
    at = judge(pairs, 0.05).decided_at
    stopped = judge(pairs[:at], 0.05)
    assert stopped.verdict == "safe" and stopped.interval[0] >= -0.05 and stopped.decided_at == at
    assert judge(pairs[: (at or 0) - 1], 0.05).verdict == "not_yet_known"


def test_either_sense_of_scores() -> None:
    chance = random.Random(31)
    pairs = pairs_of(chance, 2000, 0.9, 0.7)
    turned = [Pair(1 - p.incumbent, 1 - p.candidate) for p in pairs]
    better, worse = judge(pairs, 0.05), judge(turned, 0.05, higher_is="worse")
    assert (
        (better.verdict, better.decided_at)
        == (worse.verdict, worse.decided_at)
        == ("not_safe", worse.decided_at)
    )
    assert better.difference == pytest.approx(-(worse.difference or 0))
    assert better.interval == pytest.approx((-worse.interval[1], -worse.interval[0]))


def test_a_conversation_is_one_piece_of_news() -> None:
    """Ten turns that all fall alike say no more than one: the same verdict as the conversations alone."""
    chance = random.Random(37)
    conversations = pairs_of(chance, 300, 0.9, 0.9)
    turns = [
        Pair(p.incumbent, p.candidate, group=f"g{n}") for n, p in enumerate(conversations) for _ in range(10)
    ]
    chance.shuffle(turns)
    alone, grouped, blind = judge(conversations), judge(turns), judge([p._replace(group=None) for p in turns])
    assert grouped.groups == 300 and grouped.pairs == 3000
    assert grouped.interval == pytest.approx(alone.interval) and grouped.verdict == alone.verdict
    assert grouped.needed == pytest.approx(10 * (alone.needed or 0), abs=5)
    assert blind.interval[1] - blind.interval[0] < 0.5 * (grouped.interval[1] - grouped.interval[0])


def test_false_verdicts_of_conversations_are_few() -> None:
    """Turns that fall alike, at the margin: bets on single turns would be wrong far too often."""
    chance = random.Random(41)
    wrong = {True: 0, False: 0}
    for _ in range(100):
        turns = []
        for n in range(80):
            candidate, incumbent = coin(chance, 0.7), coin(chance, 0.8)
            turns += [Pair(incumbent, candidate, group=f"g{n}")] * 10
        for grouped in wrong:
            pairs = turns if grouped else [p._replace(group=None) for p in turns]
            wrong[grouped] += judge(pairs, 0.1).verdict != "not_yet_known"
    assert wrong[True] <= 9 < 20 < wrong[False]


def test_how_many_more_is_about_right() -> None:
    chance = random.Random(43)
    ratios = []
    for _ in range(30):
        trial = Trial(0.05)
        for pair in pairs_of(chance, 300, 0.9, 0.9):
            trial.take([pair])
        needed = trial.verdict().needed
        while trial.pairs < 8000 and trial.answer == "not_yet_known":
            trial.take(pairs_of(chance, 1, 0.9, 0.9))
        if needed is not None and trial.decided_at is not None:
            ratios.append((300 + needed) / trial.decided_at)
    assert len(ratios) > 20 and 0.5 < sorted(ratios)[len(ratios) // 2] < 2


def test_no_forecast_at_the_margin() -> None:
    pairs = [Pair(1.0, 0.0)] + [Pair(1.0, 1.0)] * 9
    assert judge(pairs * 50, 0.1).needed is None
    assert judge([]).said() == {
        "verdict": "not_yet_known", "pairs": 0, "decided_at": None, "difference": None, "interval": [-1.0, 1.0],
        "needed": None, "groups": 0, "margin": 0.02, "alpha": 0.05, "higher_is": "better",
    }  # fmt: skip


def test_a_trial_goes_through_json() -> None:
    chance = random.Random(47)
    pairs = [Pair(chance.random(), chance.random()) for _ in range(300)]
    through, straight = Trial(0.1), Trial(0.1)
    for n, pair in enumerate(pairs):
        if n % 60 == 0:
            through = Trial.restore(json.loads(json.dumps(through.state())))
        through.take([pair])
        straight.take([pair])
    assert through.verdict() == straight.verdict()
    with pytest.raises(Fault, match="no state of a trial"):
        Trial.restore({})
    with pytest.raises(Fault, match="no state of a trial"):
        Trial.restore({**straight.state(), "differences": {"blocks": 1, "total": 0, "counts": {}}})


def test_several_measures() -> None:
    def said(answer: Any) -> Verdict:
        return judge([])._replace(verdict=answer)

    assert combined([said("safe"), said("safe")]) == "safe"
    assert combined([said("safe"), said("not_safe"), said("not_yet_known")]) == "not_safe"
    assert combined([said("safe"), said("not_yet_known")]) == combined([]) == "not_yet_known"
    chance = random.Random(53)
    pairs = pairs_of(chance, 3000, 0.9, 0.75)
    one, of_many = judge(pairs, 0.05), judge(pairs, 0.05, measures=20)
    assert (one.decided_at or 0) < (of_many.decided_at or 0)
    good = pairs_of(chance, 3000, 0.9, 0.9)
    assert judge(good, 0.05).decided_at == judge(good, 0.05, measures=20).decided_at


@pytest.mark.parametrize(
    "wrong",
    [{"margin": -0.1}, {"margin": 1}, {"margin": "x"}, {"alpha": 0}, {"alpha": 1}, {"higher_is": "up"}, {"measures": 0}, {"measures": True}],
)  # fmt: skip
def test_what_makes_no_trial(wrong: Any) -> None:
    with pytest.raises(Fault) as told:
        Trial(**wrong)
    assert told.value.path in wrong


def test_scores_out_of_range_are_refused() -> None:
    for pair in (Pair(2, 0), Pair(0, -1), Pair(math.nan, 0), Pair("1", 0)):  # type: ignore[arg-type]
        with pytest.raises(Fault, match="number from 0 to 1"):
            judge([pair])
    with pytest.raises(Fault, match="at least one pair"):
        Trial().take([])


# --- beside an independent library ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "worse", "n"), [(0.02, 0.02, 4000), (0.2, 0.2, 2000), (0.02, 0.06, 2000), (0.2, 0.3, 1500)]
)
def test_the_interval_beside_ville(base: float, worse: float, n: int) -> None:
    """`ville.BettingCS` bets adaptively, so ends differ; both hold the truth, and ours is about as narrow."""
    ville = pytest.importorskip("ville")
    chance = random.Random(59)
    values = [coin(chance, worse) - coin(chance, base) for _ in range(n)]
    theirs_low, theirs_high = ville.BettingCS(bounds=(-1, 1), alpha=ALPHA, grid=4001).fit(values).interval()
    seen = Differences()
    for value in values:
        seen.take(value)
    low, high = seen.low(ALPHA / 2), seen.high(ALPHA / 2)
    assert low <= worse - base <= high and theirs_low <= worse - base <= theirs_high
    assert max(low, theirs_low) < min(high, theirs_high)
    assert 0.5 < (high - low) / (theirs_high - theirs_low) < 1.25


@pytest.mark.parametrize(("p", "n"), [(0.5, 400), (0.6, 600), (0.7, 300), (0.9, 60)])
def test_the_evidence_beside_ville(p: float, n: int) -> None:
    """The pairs that disagree as coins: its betting test of `p <= 1/2` and ours say about the same."""
    ville = pytest.importorskip("ville")
    chance = random.Random(61)
    ours, theirs = [], []
    for _ in range(40):
        tosses = [coin(chance, p) for _ in range(n)]
        guard = HarmGuard()
        for toss in tosses:
            guard.take(2 * toss - 1)
        ours.append(guard.decided_at or n + 1)
        theirs.append(
            ville.BettingTest(m0=0.5, alternative="greater", alpha=ALPHA).fit(tosses).stopping_time() or n + 1
        )
    if p == 0.5:
        assert sum(at <= n for at in ours) <= 5 and sum(at <= n for at in theirs) <= 5
    else:
        assert 0.5 < sum(ours) / sum(theirs) < 1.2


# --- ratios --------------------------------------------------------------------------------------


def test_the_median_ratio_lies_in_its_interval_at_all_looks() -> None:
    chance = random.Random(67)
    missed = 0
    for _ in range(100):
        seen, inside = Ratios(), True
        for n in range(1, 301):
            seen.take(candidate=2.0 * chance.lognormvariate(0, 0.5), incumbent=chance.lognormvariate(0, 1.0))
            if n % 15 == 0:
                low, high = seen.interval()
                inside &= low <= 2.0 <= high
        missed += not inside
    assert missed <= 9
    assert low < (seen.quantile() or 0) < high and high / low < 2


def test_ratios_say_no_more_than_they_know() -> None:
    seen = Ratios()
    assert seen.interval() == (0.0, math.inf) and seen.quantile() is None
    seen.take(candidate=1, incumbent=2)
    assert seen.interval() == (0.0, math.inf) and seen.quantile() == pytest.approx(0.5, rel=1e-3)
    for _ in range(60):
        seen.take(candidate=1, incumbent=2)
    low, high = seen.interval()
    assert 0.4990 < low <= 0.5 <= high < 0.5010
    again = Ratios.restore(json.loads(json.dumps(seen.state())))
    assert again.interval() == (low, high) and again.interval(share=0.99)[1] == math.inf


@pytest.mark.parametrize(
    ("candidate", "incumbent"), [(0, 1), (1, -1), (math.nan, 1), (math.inf, 1), ("1", 1)]
)
def test_what_has_no_ratio(candidate: Any, incumbent: Any) -> None:
    with pytest.raises(Fault, match="numbers above 0"):
        Ratios().take(candidate=candidate, incumbent=incumbent)
    for state in ({}, {"pairs": 3, "counts": {}}, {"pairs": 1, "counts": {"x": 1}}):
        with pytest.raises(Fault, match="no state of ratios"):
            Ratios.restore(state)
    with pytest.raises(Fault, match="between 0 and 1"):
        Ratios().interval(alpha=0)
