"""Redaction: what is taken out of an exchange before anything of it is written.

Every text of a body is looked through, at any depth, also the JSON inside a tool's arguments. What is found
is replaced by its kind and a number, `[email-1]`; the same value has the same number in the request and in
its answer, so that a replay still says who is who. Fields can be left out altogether, by path.

In most bodies there is nothing to be found, and their JSON as it stands tells so (`Redactor._clean`): they
are not taken apart. It errs to one side only: what is taken apart needlessly means the same afterwards.

Patterns are wide on purpose: a number too many is hidden rather than one too few kept. They know the usual
forms and no more; a name or an address in prose has no form. Pure: no files, no clock.

What comes from elsewhere (`imported`) goes the same way. Whom an exchange belongs to is told before anything
is taken out, for that may be what tells it.
"""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from ..recording import Recording, grouped

Json: TypeAlias = Any


class Pattern(msgspec.Struct, frozen=True):
    """`marks`, `gate`: what a text must hold to be looked through, for most hold none and looking is slow.

    `certain`: whether a match is one.
    """

    says: str
    regex: "re.Pattern[str]"
    marks: tuple[str, ...] = ()
    gate: "re.Pattern[str] | None" = None
    certain: Callable[[str], bool] | None = None


def _digits(text: str) -> str:
    return "".join(c for c in text if c.isdecimal())


def _is_card(text: str) -> bool:
    """ISO/IEC 7812-1, annex B: the last digit checks the others (Luhn)."""
    numbers = [int(c) for c in reversed(_digits(text))]
    doubled = [sum(divmod(2 * n, 10)) for n in numbers[1::2]]
    return 13 <= len(numbers) <= 19 and (sum(numbers[::2]) + sum(doubled)) % 10 == 0


DATE = re.compile(r"(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])\b")
ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}")


def _is_phone(text: str) -> bool:
    """ITU-T E.164: at most 15 digits; fewer than 8 are as likely anything else."""
    return 8 <= len(_digits(text)) <= 15 and not DATE.match(text) and not ADDRESS.fullmatch(text)


DIGITS_MIN = 8
MANY_DIGITS = re.compile(r"\d(?:[^\d\w]{0,3}\d){7}")
NO_DIGITS = bytes(sorted({*range(256)} - {*b"0123456789"}))
NUMBER = re.compile(r'":(?<=\w":)\s?-?\d[\d.]*(?=[,}\]])')
"""A number that is an object's, and no text: a quote behind a letter ends a text, which here is a name."""
ESCAPE = re.compile(r'\\["\\/bfnrt]')  # of JSON, for one character that is neither letter nor digit
SHORT_CHARS_MAX = 5  # no text of so few characters holds any of these

PATTERNS: dict[str, Pattern] = {
    "keys": Pattern(
        "API keys, tokens and private keys, as the usual makers write them",
        re.compile(
            r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_-]{30,}"
            r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[a-z]-[A-Za-z0-9-]{10,}"
            r"|hf_[A-Za-z0-9]{20,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
            r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
            r"|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*",
            re.S,
        ),
        ("sk-", "sk_", "pk_", "pk-", "rk_", "rk-", "AKIA", "ASIA", "AIza", "ghp_", "gho_",
         "ghu_", "ghs_", "ghr_", "github_pat_", "xox", "hf_", "eyJ", "PRIVATE KEY", "earer "),
    ),
    "emails": Pattern(
        "e-mail addresses", re.compile(r"[\w.%+-]{1,64}@[\w-]+(?:\.[\w-]+)+"), ("@",)
    ),
    "cards": Pattern(
        "numbers of payment cards",
        re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"),
        (),
        MANY_DIGITS,
        _is_card,
    ),
    "phones": Pattern(
        "telephone numbers",
        re.compile(
            r"(?<![\w.-])(?:\+\d{8,15}|(?:\+\d{1,3}[ ./-]?)?(?:\(\d{1,5}\)|\d{2,5})"
            r"(?:[ ./-]{1,2}\d{2,8}){1,5})(?![\w-])"
        ),
        (),
        MANY_DIGITS,
        _is_phone,
    ),
}  # fmt: skip
"""What `redact` may name, in the order they are looked for: a card's number is no telephone's."""

PATH = re.compile(r"[A-Za-z_][\w-]*(?:\[\])?(?:\.[A-Za-z_*][\w-]*(?:\[\])?)*")
"""`metadata`, `messages[].name`, `*.user`: names, each perhaps of a list's every element."""


class Redaction(msgspec.Struct, frozen=True):
    """`kinds` are of `PATTERNS`; `own`: the operator's, name -> regex; `drop`: paths to leave out."""

    kinds: tuple[str, ...] = ()
    own: tuple[tuple[str, "re.Pattern[str]"], ...] = ()
    drop: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.kinds or self.own or self.drop)

    def patterns(self) -> list[tuple[str, Pattern]]:
        """By what stands in the place of a match."""
        own = [(name, Pattern("", regex)) for name, regex in self.own]
        return own + [(kind.removesuffix("s"), PATTERNS[kind]) for kind in PATTERNS if kind in self.kinds]


class Redactor:
    """Of one exchange: numbers what it finds. Bodies in the order they were said."""

    def __init__(self, redaction: Redaction) -> None:
        self._patterns = redaction.patterns()
        self._own = bool(redaction.own)
        self._drop = [path.replace("[]", ".[]").split(".") for path in redaction.drop]
        self._found: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def body(self, body: bytes) -> bytes:
        """A JSON body without what is to be left out, the very same where there is nothing of that in it.

        Raises `msgspec.DecodeError` for what is no JSON, where it has to be read.
        """
        if self._clean(body):
            return body
        value = msgspec.json.decode(body)
        for path in self._drop:
            _drop(value, path)
        return msgspec.json.encode(self._value(value) if self._patterns else value)

    def text(self, text: str) -> str:
        if len(text) <= SHORT_CHARS_MAX and not self._own:
            return text
        numbers = _may_hold_numbers(text)
        for name, pattern in self._patterns:
            if pattern.gate is not None and (not numbers or pattern.gate.search(text) is None):
                continue
            for mark in pattern.marks:
                if mark in text:
                    break
            else:
                if pattern.marks:
                    continue
            text = pattern.regex.sub(lambda match, name=name, p=pattern: self._put(match[0], name, p), text)  # type: ignore[misc]
        return text

    def _clean(self, body: bytes) -> bool:
        """Whether nothing can be found in it, as its JSON stands: most bodies need not be taken apart.

        What is written `\\u0040` may be anything: a body that has such is taken apart.
        """
        if self._own:
            return False
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return False
        if "\\u" in text or any(_named(path, text) for path in self._drop):
            return False
        gates = set()
        for _, pattern in self._patterns:
            for mark in pattern.marks:
                if mark in text:
                    return False
            if pattern.gate is not None:
                gates.add(pattern.gate)
            elif not pattern.marks:
                return False
        if not gates or not _may_hold_numbers(text):
            return True
        numbers = NUMBER.sub('":', ESCAPE.sub(" ", text) if "\\" in text else text)
        return all(gate.search(numbers) is None for gate in gates)

    def _value(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(name): self._value(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        return value

    def _put(self, match: str, name: str, pattern: Pattern) -> str:
        if not match or (pattern.certain is not None and not pattern.certain(match)):
            return match
        put = self._found.get((name, match))
        if put is None:
            self._counts[name] = number = self._counts.get(name, 0) + 1
            put = self._found[name, match] = f"[{name}-{number}]"
        return put


def _may_hold_numbers(text: str) -> bool:
    """Whether it has digits enough; of others than ASCII's the gates know."""
    return not text.isascii() or len(text.encode().translate(None, NO_DIGITS)) >= DIGITS_MIN


def _named(path: list[str], text: str) -> bool:
    """Whether a body may have what a path leads to: the names of it, each with a colon behind."""
    names = [name for name in path if name not in ("*", "[]")]
    return all(f'"{name}"' in text and re.search(f'"{name}"\\s*:', text) for name in names)


def imported(recording: Recording, redaction: Redaction) -> Recording:
    """A recording from elsewhere, redacted. Raises Fault for a request that cannot be read."""
    redactor = Redactor(redaction)
    group = recording.group or grouped(recording.asked(), recording.tags)
    request = msgspec.Raw(redactor.body(bytes(recording.request)))
    reply = recording.reply
    return msgspec.structs.replace(
        recording,
        group=group,
        request=request,
        reply=msgspec.Raw(redactor.body(bytes(reply))) if reply is not None else None,
        tags={redactor.text(name): redactor.text(value) for name, value in recording.tags.items()},
    )


def _drop(value: Json, path: list[str]) -> None:
    first, rest = path[0], path[1:]
    if first == "[]":
        for inner in value if isinstance(value, list) else ():
            _drop(inner, rest)
    elif isinstance(value, dict):
        for name in list(value) if first == "*" else [first] if first in value else []:
            if rest and rest != ["[]"]:
                _drop(value[name], rest)
            else:
                del value[name]
