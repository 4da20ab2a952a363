"""Evidence that may be looked at after every pair: guards of a rollout, and the verdict on a rehearsal.

The question is always the same: a candidate and an incumbent answered like requests, each answer has an
outcome in 0..1, and D is the difference, counted so that more is worse for the candidate. Is the mean of D
above what is tolerated (roll back), or below the margin (let pass)?

    capital    the theory, and the one process that everything here reads: a bettor's capital
    guards     HarmGuard, PassGuard: one candidate request at a time, against its concurrent block
    interval   a confidence sequence of the mean; `needed`, how many more pairs a verdict needs
    verdict    Trial, judge: safe, not safe or not yet known; several measures; conversations
    ratio      a confidence sequence of a median, for cost and latency
    pairs      scores that come from elsewhere, a JSON line each

What is here is pure: no clock, no chance, no files. Every state is a dict of plain values that JSON carries.
"""

from .guards import HarmGuard, PassGuard
from .pairs import read_pairs
from .ratio import Ratios
from .verdict import Pair, Trial, Verdict, combined, judge

__all__ = ["HarmGuard", "Pair", "PassGuard", "Ratios", "Trial", "Verdict", "combined", "judge", "read_pairs"]
