"""Which exchanges are recorded, by the name that was asked for, and for how long."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Literal

import msgspec

from .redaction import Redaction

REMEMBERED_MAX = 4_096  # names; callers choose them, so there is a limit
WILD = "*?["

Only = Literal["all", "answered", "failed"]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One `[record.NAME]`.

    share:      of the conversations; each is recorded whole or not at all
    only:       whether all, or those that were answered, or those that failed
    tags:       what the caller must have said of the call, all of it
    keep_ms:    how long at most
    bytes_max:  of a route's segments together; the oldest go first
    """

    share: float = 1.0
    only: Only = "all"
    tags: Mapping[str, str] = {}
    keep_ms: int = 30 * 86_400_000
    bytes_max: int = 1024 * 1024 * 1024
    redaction: Redaction = Redaction()

    @property
    def plain(self) -> bool:
        """Whether everything is recorded as it is."""
        return self.only == "all" and not self.tags and self.share >= 1 and not self.redaction

    def wants(self, failed: bool, tags: Mapping[str, str]) -> bool:
        if self.only != "all" and failed != (self.only == "failed"):
            return False
        return all(tags.get(name) == value for name, value in self.tags.items())

    def chooses(self, group: str) -> bool:
        """Whether a conversation is of the share: the same for each of its calls, in every process."""
        drawn = int.from_bytes(sha256(b"record\0" + group.encode()).digest()[:8], "big")
        return drawn < self.share * 2**64


class Rules:
    """Name -> rule. An exact name goes before a pattern, a longer pattern before a shorter."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._exact = {name: rule for name, rule in rules.items() if not set(WILD) & set(name)}
        self._wild = sorted(rules.keys() - self._exact.keys(), key=lambda name: (-len(name), name))
        self._rules = rules
        self.found: dict[str, Rule | None] = dict(self._exact)  # what `of` has found so far

    def __bool__(self) -> bool:
        return bool(self._rules)

    def of(self, route: str) -> Rule | None:
        if route in self.found:
            return self.found[route]
        name = next((name for name in self._wild if fnmatchcase(route, name)), None)
        rule = self._rules[name] if name is not None else None
        if len(self.found) >= REMEMBERED_MAX:
            self.found = dict(self._exact)
        self.found[route] = rule
        return rule
