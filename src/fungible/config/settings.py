"""Every setting there is: its name, what it takes, what it is without being set, and what it means.

The tables are the whole of it; `docs/configuration.md` is checked against them. A kind turns one TOML
value into the value used, or raises `WrongError` with the end of a sentence that begins with the setting's
name. A `WrongError` never quotes a value that could be a secret: it names the type instead.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from ..models import ABILITIES, nearest_name
from ..money import rate
from ..providers.signers import SIGNERS, TOKEN

Kind: TypeAlias = Callable[[Any], Any]

DAY_MS = 86_400_000
MIB = 1024 * 1024
USD_MAX = 1_000_000  # a dearer model is a slip of the pen
TYPES: dict[type, str] = {str: "text", bool: "true or false", int: "a number", Decimal: "a number"} | {
    list: "a list",
    dict: "a table",
}


class WrongError(ValueError):
    """What is wrong with a value, as the end of a sentence, and the mend."""


class Setting(msgspec.Struct, frozen=True):
    kind: Kind
    default: Any
    says: str


def kind_of(value: Any) -> str:
    return TYPES.get(type(value), "a date or time")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise WrongError(f"must be text in quotes, not {kind_of(value)}")
    if not value.strip():
        raise WrongError("is empty")
    return value


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongError(f"must be true or false, not {kind_of(value)}")
    return value


def whole(low: int, high: int) -> Kind:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise WrongError(f"must be a whole number from {low} to {high}, not {kind_of(value)}")
        if isinstance(value, Decimal) or not low <= value <= high:
            raise WrongError(f"must be a whole number from {low} to {high}, not {value}")
        return value

    return check


def choice(*names: str) -> Kind:
    def check(value: Any) -> str:
        word = text(value)
        if word not in names:
            shown = f", not {word!r}" if len(word) <= 40 else ""
            raise WrongError(f"must be {_either(names)}{shown}.{nearest_name(word, names)}".removesuffix("."))
        return word

    return check


def header(value: Any) -> str:
    name = text(value)
    if not TOKEN.fullmatch(name):
        raise WrongError("is no header name: letters, digits and hyphens")
    return name.lower()


def weight(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise WrongError(f"must be a number above 0, not {kind_of(value)}")
    if not Decimal(value).is_finite() or not 0 < value <= 1_000_000:
        raise WrongError(f"must be a number above 0 and at most 1000000, not {value}")
    return float(value)


def price(value: Any) -> int:
    """Femto-dollars per token, from USD per million tokens."""
    return _rate(value, 1, "USD per million tokens")


def request_price(value: Any) -> int:
    """Femto-dollars a call, from USD a call."""
    return _rate(value, 1_000_000, "USD a call")


def _rate(value: Any, millions: int, unit: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise WrongError(f"must be a number of {unit}, not {kind_of(value)}")
    try:
        if value > USD_MAX:
            raise ValueError
        return rate(Decimal(value) * millions)
    except (ValueError, ArithmeticError):
        finest = Decimal(1) / (1_000_000_000 * millions)
        raise WrongError(
            f"must be {unit}, from 0 to {USD_MAX} and no finer than {finest:e}, not {value}"
        ) from None


def share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise WrongError(f"must be a number above 0 and at most 1, not {kind_of(value)}")
    if not Decimal(value).is_finite() or not 0 < value <= 1:
        raise WrongError(f"must be a number above 0 and at most 1, not {value}")
    return float(value)


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise WrongError("must be a list of texts, as in ['one', 'two']")
    twice = [v for i, v in enumerate(value) if v in value[:i]]
    if twice:
        raise WrongError(f"has {twice[0]!r} twice; keep one")
    return tuple(value)


def fields(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise WrongError("must be a table of texts, as in { name = 'value' }")
    return value


def models(value: Any) -> tuple[str, ...] | dict[str, str]:
    return fields(value) if isinstance(value, dict) else texts(value)


def abilities(value: Any) -> frozenset[str]:
    names = texts(value)
    for name in names:
        if name not in ABILITIES:
            raise WrongError(
                f"has {name!r}; there are {', '.join(ABILITIES)}.{nearest_name(name, ABILITIES)}"
            )
    return frozenset(names)


def day(value: Any) -> str:
    """An ISO day, from a TOML date or its text."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    try:
        return date.fromisoformat(value if isinstance(value, str) else "").isoformat()
    except ValueError:
        raise WrongError(f"must be a day such as 2027-01-31, not {value!s:.40}") from None


def several(value: Any) -> tuple[str, ...] | bool:
    """`true`: all, `false`: none, or those named."""
    if isinstance(value, bool):
        return value
    try:
        return texts(value)
    except WrongError:
        raise WrongError("must be true, false or a list of names, as in ['one', 'two']") from None


def listed(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise WrongError("must be a list of targets, as in ['provider/model', ...]")
    return value


def _either(names: tuple[str, ...]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


PORT = whole(0, 65_535)
TIME = whole(1, DAY_MS)
COUNT = whole(1, 1_000_000_000)

SERVER: dict[str, Setting] = {
    "host": Setting(text, "127.0.0.1", "The address to listen on."),
    "port": Setting(PORT, 4000, "The data port. 0: any free one."),
    "admin_port": Setting(PORT, 4001, "The admin API, on 127.0.0.1. 0: none."),
    "workers": Setting(whole(1, 256), 1, "Server processes that share the port."),
    "auth": Setting(
        choice("keys", "open"), "keys", "`keys`, or `open`: no key is asked for, on a loopback host only."
    ),
    "state": Setting(text, None, "The folder of ledger and keys. Without it: `.fungible` here."),
    "durable": Setting(
        choice("process", "power"),
        "process",
        "What the ledger survives: `process`, its process being killed; `power`, a power cut too.",
    ),
    "attempt_header": Setting(header, None, "A header that tells the provider each attempt's id."),
    "body_bytes_max": Setting(whole(1024, 1024 * MIB), 32 * MIB, "The longest request body."),
    "connect_ms": Setting(TIME, 5_000, "How long connecting to a provider may take, TLS included."),
    "first_ms": Setting(TIME, 120_000, "How long a stream may take to its first content."),
    "idle_ms": Setting(TIME, 120_000, "How long a begun answer may stay silent."),
    "total_ms": Setting(TIME, 600_000, "How long a whole call may take, all attempts included."),
    "drain_ms": Setting(whole(0, DAY_MS), 30_000, "How long running calls may go on at a stop."),
    "attempts_max": Setting(whole(1, 10), 3, "Attempts a call, the first included."),
    "keep_days": Setting(
        whole(0, 3650), 30, "How long answers are kept that a later call may name. 0: none is."
    ),
    "retries_per_s": Setting(
        whole(0, 100_000),
        10,
        "Second attempts granted a second, beside a fifth of the calls; ten seconds' worth can be saved up.",
    ),
}

PROVIDER: dict[str, Setting] = {
    "enabled": Setting(flag, True, "`false` switches the provider off, whatever the environment holds."),
    "like": Setting(text, None, "A known provider that it is, at another place or with another key."),
    "dialect": Setting(text, None, "The API it speaks. Needed for a provider of your own."),
    "base_url": Setting(text, None, "What the provider's own SDK takes. Needed for a provider of your own."),
    "key": Setting(text, None, "Where its key is: `env:NAME`, `file:PATH` or `exec:COMMAND`."),
    "signer": Setting(choice(*SIGNERS), None, "How the key is sent."),
    "quirks": Setting(texts, None, "In what it differs from its dialect."),
    "headers": Setting(fields, None, "More headers for every request; secrets as in `key`."),
    "models": Setting(models, None, "Names of models it serves; for the embedded engine, name = file."),
    "prices": Setting(text, None, "The provider's id in the price data."),
    "on_abandon": Setting(
        choice("cancel", "drain"), None, "When the client leaves: `cancel`, or `drain` to learn the cost."
    ),
    "feeds": Setting(
        texts, None, "What retirement feeds call it, as shell patterns; else as its row or name."
    ),
    "cloud": Setting(text, None, "The cloud it runs in, for `fungible risk`; else as its address says."),
    "region": Setting(text, None, "The region, likewise."),
    "jurisdiction": Setting(text, None, "The country whose law it is under (`DE`); else as its terms say."),
    "own_machine": Setting(flag, None, "`true`: it runs on a machine of yours and costs nothing a token."),
}

MODEL: dict[str, Setting] = {
    "input_usd_per_mtok": Setting(price, None, "Price of input, USD per million tokens."),
    "output_usd_per_mtok": Setting(price, None, "Price of output. Input and output are given together."),
    "cache_read_usd_per_mtok": Setting(price, None, "Of input read from the cache. Without it: as input."),
    "cache_write_usd_per_mtok": Setting(price, None, "Of input written to the cache. Without it: as input."),
    "cache_write_1h_usd_per_mtok": Setting(price, None, "The same, kept for an hour. Without it: alike."),
    "input_audio_usd_per_mtok": Setting(price, None, "Price of input audio. Without it: as input."),
    "output_audio_usd_per_mtok": Setting(price, None, "Price of output audio. Without it: as output."),
    "request_usd": Setting(request_price, None, "Price of each call on top."),
    "context_tokens": Setting(COUNT, None, "How many tokens its context holds."),
    "max_output_tokens": Setting(COUNT, None, "How many tokens one answer can have."),
    "abilities": Setting(abilities, None, "What it can do; a list."),
    "retires": Setting(day, None, "The day it stops; comes before what feeds say."),
    "family": Setting(text, None, "Whose line of models it is of, where its name does not say."),
}

ROUTE: dict[str, Setting] = {
    "targets": Setting(listed, None, "`provider/model` each, or a table of the two below."),
    "strategy": Setting(text, "failover", "Which target is tried first."),
    "lossless": Setting(flag, False, "`true`: only targets that a request goes to whole are asked."),
}

TARGET: dict[str, Setting] = {
    "target": Setting(text, None, "`provider/model`."),
    "weight": Setting(weight, 1.0, 'Its share, with `strategy = "weighted"`.'),
    "prompt": Setting(text, None, "What it is told in the place of the caller's system text, `{system}`."),
}

RETIREMENT: dict[str, Setting] = {
    "feeds": Setting(texts, (), "URLs and files that tell when models retire."),
    "ask": Setting(texts, (), "Providers whose own list of models is asked for the same, with their key."),
    "refresh_hours": Setting(whole(1, 24 * 365), 24, "How old what was fetched may grow."),
    "warn_days": Setting(whole(1, 3650), 180, "How far ahead `doctor` and `risk` warn."),
    "rehearse_usd": Setting(weight, 1.0, "What one such rehearsal may cost at most."),
    "rehearse": Setting(several, False, "Routes whose rehearsal a forced move opens by itself; `true`: all."),
}

RECORD: dict[str, Setting] = {
    "share": Setting(share, 1.0, "Which part of the conversations: above 0, at most 1."),
    "only": Setting(
        choice("all", "answered", "failed"),
        "all",
        "`all` calls, those that were `answered`, or that `failed`.",
    ),
    "tags": Setting(fields, {}, "Only calls with all of these tags."),
    "keep_days": Setting(whole(1, 3650), 30, "How long a recording is kept at most."),
    "bytes_max": Setting(
        whole(MIB, 1024 * 1024 * MIB),
        1024 * MIB,
        "What a name's recordings may take on disk; the oldest go first.",
    ),
    "redact": Setting(texts, (), "What is replaced before anything is written."),
    "patterns": Setting(fields, {}, "More of that, of your own: name = regular expression."),
    "drop": Setting(texts, (), "Fields that are left out, by path."),
}

TABLES: dict[str, dict[str, Setting]] = {
    "server": SERVER,
    "provider": PROVIDER,
    "model": MODEL,
    "route": ROUTE,
    "retirement": RETIREMENT,
    "record": RECORD,
}
