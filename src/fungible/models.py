"""Models by name: what can be asked for, and which targets a name leads to.

A name is, in this order, a route's name; `provider/model`; or a bare model name that exactly one enabled
provider serves. Only the first slash parts a provider from its model, for model names hold slashes too.
A provider is not asked whether it has a model: what it is spoken to with, it answers for itself. The
engine in this process is the exception, since its models are known for certain.

A `Catalogue` is made whole from one configuration and replaced whole by the next. What it remembers
(targets, resolved names) it could compute again at any time. It does no I/O: what price data knows of
providers' models is given to it as `Known`.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from .dialects.base import Dialect, addressed
from .faults import Fault
from .money import Price
from .providers.base import Provider
from .providers.signers import EMBEDDED, Aim, Sign
from .world import Origin

NAME_CHARS_MAX = 256
REMEMBERED_MAX = 4_096  # names; callers choose them, so there is a limit
REFUSED_MAX = 256
SUGGESTIONS = 3
ALIKE = 0.6  # of 1, as difflib counts; below it a suggestion is a guess

ABILITIES: dict[str, str] = {
    "tools": "calls functions",
    "images": "reads images",
    "documents": "reads documents such as PDF files",
    "audio": "hears or speaks",
    "thinking": "thinks before it answers, and shows it or can be told how much",
    "json_schema": "can be held to a JSON Schema",
}


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one model of one provider. None: not known, which is not none.

    `name` is `provider/model`; `price` the operator's own, which comes before any price data; `family`
    whose line of models it is of, where its name does not say; `retires` the operator's own word of the day.
    """

    name: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    abilities: frozenset[str] | None = None
    price: Price | None = None
    family: str | None = None
    retires: str | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One provider's model as it is called. There is one object for each, so they are compared by identity.

    path:       the request target of a call; `head` is what goes before content-length (`Outgoing.head`)
    stream_path, stream_head: the same for a call that streams
    counting:   that of a call for a count of tokens, before `aim`; "" where the provider does not count
    rewrites:   what a request of its dialect must not hold to be moved as it is
    tells_usage: whether it can be asked to tell the usage in a stream
    framed:     its streams have to be unwrapped
    sign:       signs each request by itself, where the provider wants that; takes the time in milliseconds
    also:       the same model in the other dialects that its provider speaks, by their names
    embeds:     the same model as it is asked for vectors, likewise; the first for clients of another dialect
    key_name:   where the provider's key came from (`env:NAME`), never the key
    breaker:    (provider, model, key_name)
    local:      on the user's own machines: costs nothing a token
    prices:     the provider's id in the price data, "" for none
    prompt:     what it is told in the place of the caller's system text (`variants`); None: just that
    told:       the header lines by which a client is told who answered, and until when it will
    """

    provider: str
    model: str
    name: str
    dialect: str
    origin: Origin
    path: str
    stream_path: str
    counting: str
    aim: Aim
    sealed: "Sealed"
    quirks: frozenset[str]
    rewrites: tuple[bytes, ...]
    tells_usage: bool
    key_name: str
    breaker: tuple[str, str, str]
    on_abandon: str
    local: bool
    prices: str
    told: str
    sign: Sign | None = None
    framed: bool = False
    prompt: str | None = None
    also: dict[str, "Target"] = {}
    embeds: dict[str, "Target"] = {}

    def spoken(self, dialect: str) -> "Target":
        """The target as a client of `dialect` is best served: in it, where the provider speaks it."""
        return self.also.get(dialect, self) if self.also else self

    def counter(self, dialect: str) -> "Target":
        """The target as it best counts tokens for a client of `dialect`; where it cannot, as `spoken`."""
        first = self.spoken(dialect)
        ways = (first, self, *self.also.values())
        return next((way for way in ways if way.counting), first)

    def embedding(self, dialect: str) -> "Target":
        """The target as a client of `dialect` is best served with vectors; itself, where it makes none."""
        first = next(iter(self.embeds.values()), self)
        return self.embeds.get(dialect, first)

    @property
    def head(self) -> bytes:
        return self.sealed.head

    @property
    def stream_head(self) -> bytes:
        return self.sealed.stream_head

    @property
    def embedded(self) -> bool:
        """Whether the engine in this process answers, so that there is no address to connect to."""
        return self.origin.scheme == EMBEDDED

    def takes(self, body: bytes) -> bool:
        """Whether a request of the target's own dialect can be moved to it as it is."""
        return not self.rewrites or not any(mark in body for mark in self.rewrites)

    def head_for(self, path: str) -> bytes:
        """The head for another path of the same provider; `path` as in `Dialect.path`."""
        return self.aim.head(path)

    def path_for(self, path: str) -> str:
        return self.aim.path(path)


class Sealed:
    """Prepared heads. They hold a key, so it shows nothing."""

    __slots__ = ("head", "stream_head")

    def __init__(self, head: bytes, stream_head: bytes) -> None:
        self.head = head
        self.stream_head = stream_head

    def __repr__(self) -> str:
        return "Sealed(...)"


class Split(msgspec.Struct, frozen=True, eq=False):
    """A switch of a route as its calls see it: a snapshot, replaced whole when the switch moves.

    candidate:  `provider/model` that a part of the calls goes to
    by:         who stays with one model: conversation, user or call
    share:      of those, how many the candidate answers, 0..1
    shadow:     of those, how many the candidate is asked for as well, unserved, 0..1
    anew:       of those, how many the incumbent is asked for anew, unserved, to compare with, 0..1
    stage:      where on its road the switch stands
    held:       conversations that began with the other model, and stay with it
    ahead:      the route's targets with the candidate first; () while it cannot be asked
    """

    id: str
    salt: bytes
    candidate: tuple[str, str]
    by: str = "conversation"
    share: float = 0.0
    shadow: float = 0.0
    stage: int = 0
    held: frozenset[int] = frozenset()
    ahead: tuple[Target, ...] = ()
    anew: float = 0.0

    def __repr__(self) -> str:
        return f"Split({self.id!r}, {self.share:g})"  # the salt is a secret


class Route(msgspec.Struct, frozen=True, eq=False):
    """A name that can be asked for. `weights` are as many as `targets`; one strategy looks at them.

    `lossless`: only a target that a request goes to whole may be asked. `split`: a switch that is under way.
    """

    name: str
    targets: tuple[Target, ...]
    weights: tuple[float, ...] = ()
    strategy: str = "failover"
    lossless: bool = False
    split: Split | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A route as configured: its targets are still names, each (provider, model)."""

    name: str
    targets: tuple[tuple[str, str], ...]
    weights: tuple[float, ...]
    strategy: str
    lossless: bool = False
    prompts: Mapping[tuple[str, str], str] = {}  # target -> its prompt variant


class Enabled(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that can be called.

    `also`: the other dialects it speaks, each with what its requests carry; `embeds`: those of vectors.
    `models`: names it is known to serve. `closed`: it serves no others.
    """

    provider: Provider
    dialect: Dialect
    aim: Aim
    key_name: str
    also: tuple[tuple[Dialect, Aim], ...] = ()
    embeds: tuple[tuple[Dialect, Aim], ...] = ()
    models: tuple[str, ...] = ()
    closed: bool = False


class Off(msgspec.Struct, frozen=True):
    """A provider that cannot be called yet, and a sentence on how to change that."""

    provider: Provider
    mend: str


class Known(Protocol):
    """What price data knows of a provider, by the provider's id in it."""

    def names(self, prices: str) -> Collection[str]: ...

    def serves(self, prices: str, model: str) -> bool: ...


Notes: TypeAlias = Callable[[Provider, str], str]
"""(provider, model) -> header lines that clients are told with its answers, each ended by CRLF."""


def _no_note(_provider: Provider, _model: str) -> str:
    return ""


class NothingKnown:
    """Without price data, only what the configuration says is known."""

    def names(self, prices: str) -> Collection[str]:
        return ()

    def serves(self, prices: str, model: str) -> bool:
        return False


NO_SPLITS: Mapping[str, Split] = {}


class Catalogue:
    """All that can be asked for. `providers`, `off`, `models` and `plans` are by name and do not change."""

    __slots__ = (
        "_refused",
        "_resolved",
        "_shapes",
        "_targets",
        "known",
        "models",
        "notes",
        "off",
        "plans",
        "providers",
        "splits",
    )

    def __init__(
        self,
        providers: Mapping[str, Enabled],
        plans: Mapping[str, Plan],
        models: Mapping[str, Model],
        off: Mapping[str, Off],
        known: Known | None = None,
        splits: Mapping[str, Split] = NO_SPLITS,
        notes: Notes | None = None,
    ) -> None:
        self.providers = providers
        self.plans = plans
        self.models = models
        self.off = off
        self.known: Known = known if known is not None else NothingKnown()
        self.splits = splits  # by the name that is asked for
        self.notes: Notes = notes if notes is not None else _no_note
        self._targets: dict[tuple[str, str], Target] = {}
        self._resolved: dict[str, Route] = {}
        self._refused: dict[str, str] = {}  # name -> message: looking for the nearest takes milliseconds
        self._shapes: dict[str, frozenset[str]] | None = None

    def knowing(self, known: Known, notes: Notes | None = None) -> "Catalogue":
        """The same catalogue with price data behind it, and with notes for clients."""
        return self._with(known, self.splits, notes or self.notes)

    def splitting(self, splits: Mapping[str, Split]) -> "Catalogue":
        """The same catalogue while these switches are under way."""
        return self._with(self.known, splits, self.notes)

    def _with(self, known: Known, splits: Mapping[str, Split], notes: Notes) -> "Catalogue":
        return Catalogue(self.providers, self.plans, self.models, self.off, known, splits, notes)

    def route(self, name: str) -> Route:
        """Raises `Fault` (not_found): no such model, more than one, or its provider is not on."""
        found = self._resolved.get(name)
        return found if found is not None else self._look(name)

    def _look(self, name: str) -> Route:
        message = self._refused.get(name)
        if message is not None:
            raise _not_found(message)
        try:
            found = self._split(resolve(name, self))
        except Fault as fault:
            if len(name) <= NAME_CHARS_MAX:
                _make_room(self._refused, REFUSED_MAX)
                self._refused[name] = fault.message
            raise
        _make_room(self._resolved, REMEMBERED_MAX)
        self._resolved[name] = found
        return found

    def _split(self, route: Route) -> Route:
        """With the switch that is under way. A candidate whose provider is not on cannot be asked."""
        split = self.splits.get(route.name)
        if split is None or split.candidate[0] not in self.providers:
            return route
        listed = (t for t in route.targets if (t.provider, t.model) == split.candidate)
        candidate = next(listed, None) or self.target(*split.candidate)  # the route's own has its prompt
        ahead = (candidate, *(t for t in route.targets if t is not candidate))
        return msgspec.structs.replace(route, split=msgspec.structs.replace(split, ahead=ahead))

    def target(self, provider: str, model: str) -> Target:
        """The one `Target` of a model of an enabled provider."""
        found = self._targets.get((provider, model))
        if found is None:
            row = self.providers[provider]
            found = _target(row, model, self.notes(row.provider, model))
            _make_room(self._targets, REMEMBERED_MAX)
            self._targets[provider, model] = found
        return found

    def facts(self, target: Target) -> Model | None:
        """What the configuration says of a target's model."""
        return self.models.get(target.name)

    def of(self, provider: str) -> tuple[str, ...]:
        """The model names an enabled provider is known to serve, sorted, without the provider's name."""
        row = self.providers[provider]
        said = {name[len(provider) + 1 :] for name in self.models if name.startswith(provider + "/")}
        data = () if row.closed else self.known.names(prices_id(row.provider))
        return tuple(sorted({*row.models, *said, *data}))

    def names(self) -> tuple[str, ...]:
        """Everything known that can be asked for: routes, then `provider/model`."""
        return (*self.plans, *(f"{p}/{m}" for p in self.providers for m in self.of(p)))

    def nearest(self, name: str) -> list[str]:
        """Up to three names like `name`, the likest first. Only few are compared closely: strangers ask."""
        if self._shapes is None:
            self._shapes = {known: _shape(known) for known in self.names()}
        shape = _shape(name)
        if not shape:
            return []
        likeness = {
            k: 2 * len(shape & s) / (len(shape) + len(s)) for k, s in self._shapes.items() if shape & s
        }
        few = sorted(likeness, key=lambda k: -likeness[k])[:12]
        scored = {k: (_ratio(name.rpartition("/")[2], k.rpartition("/")[2]), _ratio(name, k)) for k in few}
        ranked = sorted(few, key=lambda k: scored[k], reverse=True)
        return [k for k in ranked if scored[k][0] >= ALIKE][:SUGGESTIONS]


def resolve(name: str, catalogue: Catalogue) -> Route:
    """The route a name stands for. Raises `Fault` (not_found), path `model`, with the mend."""
    plan = catalogue.plans.get(name)
    if plan is not None:
        targets = tuple(_varied(catalogue.target(*pair), plan.prompts.get(pair)) for pair in plan.targets)
        return Route(name, targets, plan.weights, plan.strategy, plan.lossless)
    if not name or len(name) > NAME_CHARS_MAX or not name.isascii() or not name.isprintable():
        raise _not_found(f"A model's name is 1 to {NAME_CHARS_MAX} printable ASCII characters.")
    first, slash, rest = name.partition("/")
    row = catalogue.providers.get(first) if slash and rest else None
    if row is not None:
        if row.closed and rest not in row.models:
            raise _unknown(name, catalogue)
        return _alone(name, catalogue.target(first, rest))
    off = catalogue.off.get(first) if slash else None
    if off is not None:
        raise _not_found(f"The provider {first!r} is not on. {off.mend}")
    serving = [p for p in catalogue.providers if _serves(p, name, catalogue)]
    if len(serving) == 1:
        return _alone(name, catalogue.target(serving[0], name))
    if serving:
        choice = ", ".join(f"'{p}/{name}'" for p in serving)
        raise _not_found(f"More than one provider serves {name!r}. Ask for one of {choice}, or make a route.")
    raise _unknown(name, catalogue)


def prices_id(provider: Provider) -> str:
    """The provider's id in the price data; "" where it has none."""
    return provider.name if provider.prices is None else provider.prices


def nearest_name(wrong: str, names: Collection[str]) -> str:
    """` Did you mean 'x'?` for a word that is nearly one of a short list, else nothing."""
    near = difflib.get_close_matches(wrong, names, 1, ALIKE)
    return f" Did you mean {near[0]!r}?" if near else ""


def _serves(provider: str, model: str, catalogue: Catalogue) -> bool:
    row = catalogue.providers[provider]
    if model in row.models:
        return True
    if row.closed:
        return False
    return f"{provider}/{model}" in catalogue.models or catalogue.known.serves(prices_id(row.provider), model)


def _varied(target: Target, prompt: str | None) -> Target:
    """The target with a prompt variant. No request is moved to it as it is: each holds the empty mark."""
    if prompt is None:
        return target
    also = {name: _varied(other, prompt) for name, other in target.also.items()}
    return msgspec.structs.replace(target, prompt=prompt, rewrites=(b"",), also=also)


def _alone(name: str, target: Target) -> Route:
    return Route(name, (target,), (1.0,))


def _target(row: Enabled, model: str, note: str) -> Target:
    also = {dialect.name: _spoken_to(row, model, note, dialect, aim, {}, {}) for dialect, aim in row.also}
    embeds = {dialect.name: _spoken_to(row, model, note, dialect, aim, {}, {}) for dialect, aim in row.embeds}
    return _spoken_to(row, model, note, row.dialect, row.aim, also, embeds)


def _spoken_to(
    row: Enabled,
    model: str,
    note: str,
    dialect: Dialect,
    aim: Aim,
    also: dict[str, Target],
    embeds: dict[str, Target],
) -> Target:
    provider = row.provider
    here = provider.paths.get(dialect.name)
    if here is None:
        path, stream_path = dialect.address(model), dialect.address(model, stream=True)
        counting = dialect.address(model, "count") if dialect.counting is not None else ""
    else:
        path, stream_path = addressed(here.path, model), addressed(here.stream or here.path, model)
        counting = addressed(here.counting, model)
    quirks = provider.quirks.intersection(dialect.quirks)
    return Target(
        provider=provider.name,
        model=model,
        name=f"{provider.name}/{model}",
        dialect=dialect.name,
        origin=aim.origin,
        path=aim.path(path),
        stream_path=aim.path(stream_path),
        counting=counting,
        aim=aim,
        sealed=Sealed(aim.head(path), aim.head(stream_path)),
        quirks=quirks,
        rewrites=(*dialect.wary, *(dialect.rewrites[q] for q in sorted(quirks) if q in dialect.rewrites)),
        tells_usage=dialect.silent not in quirks,
        key_name=row.key_name,
        breaker=(provider.name, model, row.key_name),
        on_abandon=provider.on_abandon,
        local=provider.local,
        prices="" if provider.local else prices_id(provider),
        told=f"x-fungible-target: {provider.name}/{model}\r\n{note}",
        sign=aim.sign,
        framed=provider.framed,
        also=also,
        embeds=embeds,
    )


def _unknown(name: str, catalogue: Catalogue) -> Fault:
    waiting = [o for o in catalogue.off.values() if catalogue.known.serves(prices_id(o.provider), name)]
    if len(waiting) == 1:
        provider = waiting[0].provider.name
        return _not_found(f"No model {name!r}. {provider} serves it and is not on. {waiting[0].mend}")
    near = catalogue.nearest(name)
    meant = f" Did you mean {_either(near)}?" if near else ""
    return _not_found(
        f"No model {name!r}.{meant} `fungible models` lists what can be asked for; a provider is added by "
        "its key in the environment or a [provider.NAME] table in fungible.toml."
    )


def _either(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _not_found(message: str) -> Fault:
    return Fault("not_found", message, path="model", code="model_not_found")


def _make_room(memory: dict[Any, Any], limit: int) -> None:
    if len(memory) >= limit:
        memory.clear()


def _ratio(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()


def _shape(name: str) -> frozenset[str]:
    """The pairs of neighbouring letters: names that share few of them are not alike."""
    lower = name.lower()
    return frozenset(lower[i : i + 2] for i in range(len(lower) - 1))
