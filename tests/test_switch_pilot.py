"""Evidence in the store: counted once, whoever folds and dies when; moves that are kept, or not made."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from fungible.account import Opened, Settled
from fungible.cli import program
from fungible.faults import Fault
from fungible.ledger import Ledger
from fungible.policies.share import Mark
from fungible.store import Store, Switches
from fungible.switch.pilot import JUDGED, LEDGER, Flight, Pilot, outcome_of, row_of
from fungible.switch.plan import Guard, Plan, guards_of
from fungible.switch.rollout import LIVE, Move, Standing, moved, start
from fungible.switch.tally import Tally
from fungible.switch.units import Units

NOW = 1_700_000_000_000


def plan(**more: Any) -> Plan:
    more = {"guards": (Guard("errors"),), "calls_min": 10, "stage_s": 0, "by": "call"} | more
    return Plan(route="both", candidate="b/new", incumbents=("a/one", "b/two"), **more)


def begun(state: Path, wanted: Plan, at: Standing | None = None) -> str:
    switches = Switches(state)
    at = at or start(wanted, NOW)
    move = Move(at, at, "start", "ann", "", {})
    name = switches.begin(wanted.route, msgspec.json.encode(wanted), b"salt", row_of(move), LIVE)
    switches.close()
    return name


class Journal:
    """Attempts, written as a worker does."""

    def __init__(self, state: Path, seed: int = 1) -> None:
        self.ledger = Ledger(state)
        self.rng = random.Random(seed)
        self.count = 0
        self.boot = self.ledger.boot

    def attempt(
        self, side: str, *, stage: int = 0, switch: str = "s1", bad: bool = False, **more: Any
    ) -> str:
        self.count += 1
        unit = more.pop("unit", 0) or self.rng.getrandbits(60)
        talk = 0 if more.pop("by", "call") == "call" else unit
        name, started = f"{self.boot}-{self.count}.1", NOW + self.count // 7 * 700  # some at the same moment
        provider, model = more.pop("target", "b/new" if side in "cs" else "a/one").split("/")
        tags = Mark(switch, side, stage, unit, unit % 50, talk).tag() + ",team=x"
        row = Opened(
            name, name[:-2], more.pop("n", 1), started, provider, model, "d", False, None, "both", tags
        )
        self.ledger.open(row)
        if more.pop("open", False):
            return name
        fault = "provider_error" if bad else None
        state = "void" if bad else "settled"
        ending = Settled(name, state, started + 700, 1, 1, cost_nanousd=7, fault=more.pop("fault", fault))
        self.ledger.settle(ending)
        return name

    def traffic(self, count: int, share: float = 0.3, rate: float = 0.0, **more: Any) -> None:
        for _ in range(count):
            candidate = self.rng.random() < share
            self.attempt("c" if candidate else "b", bad=candidate and self.rng.random() < rate, **more)


def flown(pilot: Pilot, ticks: int = 1) -> Pilot:
    for _ in range(ticks):
        pilot.tick()
    return pilot


def evidence(state: Path, source: str = LEDGER, switch: str = "s1") -> Any:
    switches = Switches(state)
    try:
        return switches.evidence(switch, source)
    finally:
        switches.close()


def anew(state: Path, wanted: Plan) -> Any:
    """The evidence computed again, from the ledger alone."""
    store = Store(state)
    store.fold()
    tally, units = Tally(wanted, wanted.guards), Units()
    for row in store.switched(0, 1_000_000):
        outcome = outcome_of(row, wanted)
        if outcome is not None:
            tally.take(outcome, units)
        tally.upto = row["seq"]
    store.close()
    return tally.state()


def standing(state: Path, switch: str = "s1") -> tuple[str, int]:
    switches = Switches(state)
    try:
        return next((row.state, row.stage) for row in switches.all() if row.id == switch)
    finally:
        switches.close()


def test_without_a_switch_there_is_no_file_and_nothing_to_do(tmp_path: Path) -> None:
    assert Pilot(tmp_path, lambda: NOW).tick() is None and not (tmp_path / "switch.db").exists()


def test_the_evidence_is_that_of_the_ledger_however_it_was_folded(tmp_path: Path) -> None:
    wanted = plan(calls_min=10_000)
    begun(tmp_path, wanted)
    journal, pilot = Journal(tmp_path), Pilot(tmp_path, lambda: NOW)
    for count in (1, 40, 3, 160, 77):
        journal.traffic(count, rate=0.1)
        flown(pilot, 2)
    assert evidence(tmp_path) == anew(tmp_path, wanted)
    assert evidence(tmp_path)["watches"]["errors"]["seen"]["c"][1] > 50


@pytest.mark.parametrize("by", ["conversation", "user"])
def test_units_come_back_from_the_table(tmp_path: Path, by: str) -> None:
    """Every tick by another pilot, so that all memory is the store's."""
    wanted = plan(calls_min=10_000, by=by, window_s=3)
    begun(tmp_path, wanted)
    journal = Journal(tmp_path)
    for _ in range(25):
        for _ in range(15):
            unit = journal.rng.randrange(1, 60)
            journal.attempt("c" if unit % 3 == 0 else "b", unit=unit, by=by, bad=journal.rng.random() < 0.1)
        pilot = flown(Pilot(tmp_path, lambda: NOW))
        pilot.close()
    assert evidence(tmp_path) == anew(tmp_path, wanted)
    assert evidence(tmp_path)["watches"]["errors"]["harm"]["whole"]["blocks"] > 5


def test_what_a_row_says(tmp_path: Path) -> None:
    wanted = plan()
    begun(tmp_path, wanted)
    journal = Journal(tmp_path)
    cases: dict[str, tuple[dict[str, Any], float | None]] = {
        "well": ({"side": "c"}, 0.0),
        "failed": ({"side": "c", "bad": True}, 1.0),
        "refused by the provider": ({"side": "c", "fault": "bad_request"}, 1.0),
        "the candidate was not asked": ({"side": "c", "target": "a/one"}, None),
        "the first of the incumbents was not asked": ({"side": "b", "target": "b/two"}, None),
        "the client left": ({"side": "b", "fault": "client_gone"}, None),
        "cut off by a crash": ({"side": "b", "open": True}, None),
    }
    names = {what: journal.attempt(**row) for what, (row, _) in cases.items()}
    second = journal.attempt("c", n=2, target="a/one")
    journal.ledger.close()
    store = Store(tmp_path)
    store.fold()
    rows = {row["attempt"]: row for row in store.switched(0, 100)}
    store.close()
    assert outcome_of(rows[second], wanted) is None, (
        "a second attempt is not what the side's first choice did"
    )
    for what, (_, expected) in cases.items():
        outcome = outcome_of(rows[names[what]], wanted)
        assert outcome is not None and outcome.scores.get("errors") == expected, what
        assert outcome.passed_over == ("not asked" in what)


def test_of_what_is_asked_for_comparison_every_attempt_is_paid_for(tmp_path: Path) -> None:
    begun(tmp_path, plan(anew=1.0, calls_min=10_000))
    journal = Journal(tmp_path)
    for n in (1, 2):
        journal.attempt("a", n=n, target="b/two" if n == 2 else "a/one")
    flown(Pilot(tmp_path, lambda: NOW))
    assert evidence(tmp_path)["cost_nanousd"] == {"a": 14} and evidence(tmp_path)["calls"] == {"0": {"a": 2}}


def test_a_spent_budget_ends_the_new_answers_in_every_worker_and_after_a_restart(tmp_path: Path) -> None:
    begun(tmp_path, plan(anew=0.5, anew_nanousd=20, calls_min=10_000))
    journal, clock = Journal(tmp_path), [NOW]
    first, second = (Pilot(tmp_path, lambda: clock[0]) for _ in range(2))
    for pilot in (first, second):
        splits = pilot.tick()
        assert splits is not None and splits["both"].anew == 0.5
    clock[0] += 60_000
    for _ in range(2):
        journal.attempt("a")
    assert first.tick() is None and not first.said
    journal.attempt("a")
    for splits in (first.tick(), second.tick(), Pilot(tmp_path, lambda: clock[0]).look()):
        assert splits is not None and splits["both"].anew == 0.0 and splits["both"].share > 0
    assert "budget of --anew is spent" in first.said[0]
    assert standing(tmp_path) == ("step", 0), "a budget that is spent moves nothing"
    journal.attempt("a")
    assert flown(first).said == first.said[:1], "it is said once"


def test_a_good_candidate_is_promoted_step_by_step_and_the_history_says_why(tmp_path: Path) -> None:
    begun(tmp_path, plan(steps=(0.3, 0.6, 1.0)))
    journal, pilot = Journal(tmp_path), Pilot(tmp_path, lambda: NOW + journal.count * 100)
    seen = []
    for _ in range(12):
        state, stage = standing(tmp_path)
        if state == "done":
            break
        journal.traffic(150, share=(0.3, 0.6)[stage], stage=stage)
        splits = flown(pilot).tick() or {}
        seen.append((state, stage))
    assert standing(tmp_path) == ("done", 2)
    assert seen[0] == ("step", 0) and ("step", 1) in seen
    splits = Pilot(tmp_path, lambda: NOW).tick()
    assert splits is not None and splits["both"].share == 1.0 and splits["both"].candidate == ("b", "new")
    switches = Switches(tmp_path)
    events = [(row.event, row.who, row.state) for row in switches.history("s1")]
    assert events == [
        ("start", "ann", "step"),
        ("enough", "evidence", "step"),
        ("enough", "evidence", "done"),
    ]
    assert switches.touched("s1", LEDGER)["c"]["users"] > 10


def test_a_bad_one_is_rolled_back_and_other_workers_are_told(tmp_path: Path) -> None:
    begun(tmp_path, plan(calls_min=10_000))
    one, other = Pilot(tmp_path, lambda: NOW), Pilot(tmp_path, lambda: NOW)
    for pilot in (one, other):
        splits = pilot.tick()
        assert splits is not None and splits["both"].share == 0.01
    assert one.evaluating and not other.evaluating
    Journal(tmp_path).traffic(400, share=0.5, rate=0.2)
    assert one.tick() == {} and other.tick() == {}
    assert standing(tmp_path) == ("rolled_back", 0)
    assert "errors: " in one.said[-1] and not other.said


def test_when_the_one_that_evaluates_dies_the_other_goes_on(tmp_path: Path) -> None:
    wanted = plan(calls_min=10_000)
    begun(tmp_path, wanted)
    one, other, journal = Pilot(tmp_path, lambda: NOW), Pilot(tmp_path, lambda: NOW), Journal(tmp_path)
    journal.traffic(50)
    flown(one), flown(other)
    one.close()
    journal.traffic(50)
    flown(other)
    assert other.evaluating and evidence(tmp_path) == anew(tmp_path, wanted)


@pytest.mark.parametrize("state", ["shadow", "step", "waiting", "holdback"])
def test_a_person_and_the_evidence_at_once_one_of_them_is_refused(tmp_path: Path, state: str) -> None:
    wanted = plan(shadow=100, holdback=0.01)
    stage = {"shadow": 0, "holdback": 5}.get(state, 1)
    begun(tmp_path, wanted, Standing(state, stage, NOW))
    switches = Switches(tmp_path)
    at = Standing(state, stage, NOW)
    promote = row_of(moved(wanted, at, "promote", NOW + 1, "ann", "", {}))
    breach = row_of(moved(wanted, at, "breach", NOW + 2, "errors", "", {}))
    assert switches.move("s1", promote)
    assert not switches.commit("s1", {}, [], breach), "it was decided on a standing that is no more"
    assert [row.event for row in switches.history("s1")] == ["start", "promote"]


def test_one_switch_a_route(tmp_path: Path) -> None:
    begun(tmp_path, plan())
    with pytest.raises(Fault, match="under way already"):
        begun(tmp_path, plan())
    switches = Switches(tmp_path)
    switches.move("s1", row_of(moved(plan(), start(plan(), NOW), "rollback", NOW, "ann", "", {})))
    assert begun(tmp_path, plan()) == "s2"


def test_two_switches_fold_the_same_rows_each_its_own(tmp_path: Path) -> None:
    begun(tmp_path, plan(calls_min=10_000))
    other = msgspec.structs.replace(plan(calls_min=10_000), route="other")
    assert begun(tmp_path, other) == "s2"
    journal = Journal(tmp_path)
    for _ in range(30):
        for switch in ("s1", "s2", "s2"):
            journal.attempt("c", switch=switch)
            journal.attempt("b", switch=switch)
    flown(Pilot(tmp_path, lambda: NOW))
    for switch, count in (("s1", 30), ("s2", 60)):
        assert evidence(tmp_path, switch=switch)["watches"]["errors"]["seen"]["c"][1] == count


def test_what_was_judged_is_evidence_of_its_own(tmp_path: Path) -> None:
    begun(tmp_path, plan(guards=guards_of(()), calls_min=10_000))
    switches, journal = Switches(tmp_path), Journal(tmp_path)
    rows = []
    for n in range(80):
        side = "cb"[n % 2]
        name = journal.attempt(side)
        rows.append((name, Mark("s1", side, 0, n + 1, n, 0).tag(), NOW + n, {"schema": float(side == "c")}))
    switches.judge(rows)
    switches.judge(rows)
    flown(Pilot(tmp_path, lambda: NOW))
    assert evidence(tmp_path, JUDGED)["watches"]["schema"]["seen"] == {"c": [40.0, 40], "b": [0.0, 40]}
    assert standing(tmp_path) == ("rolled_back", 0)
    assert switches.history("s1")[-1].who == "schema"


def test_a_dialogue_under_way_is_told_to_the_workers(tmp_path: Path) -> None:
    wanted = plan(by="conversation", calls_min=1)
    begun(tmp_path, wanted)
    journal, pilot = Journal(tmp_path), Pilot(tmp_path, lambda: NOW + 60_000)
    for unit in (11, 12, 13):
        journal.attempt("b", unit=unit, by="conversation")
    journal.attempt("c", unit=99, by="conversation")
    splits = flown(pilot).tick()
    assert standing(tmp_path) == ("step", 1)
    assert splits is not None and splits["both"].held == {11, 12, 13}
    journal.attempt("b", unit=14, by="conversation")  # another worker had not heard of the move yet
    splits = pilot.tick()
    assert splits is not None and splits["both"].held == {11, 12, 13, 14}


def test_a_rollback_that_cannot_be_written_is_in_force_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(tmp_path, plan(calls_min=10_000))
    pilot = flown(Pilot(tmp_path, lambda: NOW))
    Journal(tmp_path).traffic(400, share=0.5, rate=0.2)
    full = Fault("unavailable", "The disk of the state folder is full.")
    with monkeypatch.context() as patched:
        patched.setattr(Switches, "commit", lambda *_: (_ for _ in ()).throw(full))
        assert pilot.tick() == {}
        assert standing(tmp_path) == ("step", 0) and "disk" in pilot.said[-1]
        assert len(flown(pilot, 3).said) == 1, "said once"
    flown(pilot)
    assert standing(tmp_path) == ("rolled_back", 0) and not pilot.grounded
    assert evidence(tmp_path) == anew(tmp_path, plan(calls_min=10_000))


KILLED = """
import sys, time
from pathlib import Path
from fungible.switch.pilot import Pilot
pilot = Pilot(Path(sys.argv[1]), lambda: 1_700_000_000_000)
print("up", flush=True)
while True:
    pilot.tick()
"""


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.long)])
def test_sigkill_while_folding_counts_nothing_twice_and_loses_nothing(tmp_path: Path, kills: int) -> None:
    wanted = plan(calls_min=10**6, by="conversation", window_s=1)
    begun(tmp_path, wanted)
    journal, chance = Journal(tmp_path), random.Random(kills)
    for _ in range(kills):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline() == b"up\n"
            last = time.monotonic() + chance.uniform(0.02, 0.25)
            while time.monotonic() < last:
                for _ in range(5):
                    unit = journal.rng.randrange(1, 400)
                    journal.attempt("c" if unit % 4 == 0 else "b", unit=unit, by="conversation")
            os.kill(child.pid, signal.SIGKILL)
    pilot, before = flown(Pilot(tmp_path, lambda: NOW)), -1
    while evidence(tmp_path)["upto"] > before:  # a fast machine writes more than one flight folds
        before = evidence(tmp_path)["upto"]
        flown(pilot)
    assert evidence(tmp_path) == anew(tmp_path, wanted)
    assert evidence(tmp_path)["upto"] == journal.count > 100


def test_a_ledger_of_before_there_were_switches_is_taken_up(tmp_path: Path) -> None:
    Store(tmp_path).close()
    db = sqlite3.connect(tmp_path / "ledger.db")
    for name in ("switched_at_once", "switched_later"):
        db.execute(f"DROP TRIGGER {name}")
    db.execute("DROP TABLE switched")
    db.execute("PRAGMA user_version = 2")
    db.close()
    journal = Journal(tmp_path)
    journal.traffic(50)
    store = Store(tmp_path)
    assert store.fold().refused == 0 and len(store.switched(0, 100)) == 50 and store.check() == []
    store.close()


def test_spending_by_tag_tells_the_sides_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.traffic(40, share=0.5)
    store = Store(tmp_path)
    store.fold()
    by_tag = {row.who: row.attempts for row in store.spend("tag")}
    assert by_tag["team=x"] == 40 and by_tag["switch=s1:c"] + by_tag["switch=s1:b"] == 40
    assert len(by_tag) == 3
    store.close()


def test_a_call_tells_its_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "state")
    name = journal.attempt("s", stage=2)
    monkeypatch.chdir(tmp_path)
    Path("fungible.toml").write_text('[server]\nstate = "state"\n')
    said = CliRunner().invoke(program, ["calls", name[:-2]]).output
    assert "Switch s1, stage 2: the candidate's, asked for comparison and not served." in said


def test_a_flight_is_what_was_kept(tmp_path: Path) -> None:
    wanted = plan(calls_min=10_000, by="conversation")
    begun(tmp_path, wanted)
    journal = Journal(tmp_path)
    journal.traffic(30, by="conversation")
    flown(Pilot(tmp_path, lambda: NOW))
    switches = Switches(tmp_path)
    flight = Flight(switches, switches.all()[0])
    assert json.loads(json.dumps(flight.tallies[LEDGER].state())) == evidence(tmp_path)
    assert sum(unit.side != "t" for unit in flight.units[LEDGER].all()) == 30
