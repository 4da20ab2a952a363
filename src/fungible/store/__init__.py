"""The store: the only SQL. What the journals say, folded into SQLite; virtual keys; budgets.

How it thinks. `ledger.db` (`attempts`) is where rows rest: they come from the journals (`ledger`), in
transactions that also move the journal's offset, so that folding twice, or from several processes at once,
or dying in the middle, counts nothing twice. `budget.db` (`budgets`) is apart because it is on the path of
a call. `answers.db` (`answers`) holds what may be named later, `switch.db` (`switches`) what is under way
from one model to another, `drill.db` (`drills`) what a drill's calls have felt. `database` opens each.

Every statement is a literal with bound values. Not here: prices, secrets, policy, any clock.
"""

from .answers import Answer, Answers
from .attempts import SPEND_BY, Folded, Store
from .budgets import Budgets
from .drills import Drills
from .switches import Switches, has_switches

__all__ = [
    "SPEND_BY",
    "Answer",
    "Answers",
    "Budgets",
    "Drills",
    "Folded",
    "Store",
    "Switches",
    "has_switches",
]
