"""Models and routes as configured: facts about single models, and the names that applications ask for.

What they refer to must be there. A reference to a provider that is known but not on is a mistake too:
a route that silently lost its second target would fail on the day it is needed.
"""

import zlib
from collections.abc import Mapping
from typing import Any

from ..models import Model, Plan, nearest_name
from ..money import Price
from ..policies.route import STRATEGIES
from .document import Document, meant, title
from .places import Place
from .providers import Providers
from .settings import MODEL, ROUTE, TARGET, kind_of

RATES = ("input", "output", "cache_read", "cache_write", "cache_write_1h", "input_audio", "output_audio")


def read_models(doc: Document, providers: Providers) -> dict[str, Model]:
    out = {}
    for name, raw in doc.named("model").items():
        where = ("model", name)
        values = doc.table(where, raw, MODEL)
        provider, _, model = name.partition("/")
        if not model:
            doc.wrong(where, f'{title(where)} must be named [model."provider/model"]')
        elif provider not in providers.names() and provider not in providers.broken:
            near = nearest_name(provider, providers.names())
            doc.wrong(where, f"{title(where)}: there is no provider {provider!r}.{near}")
        out[name] = Model(
            name=name,
            context_tokens=values["context_tokens"],
            max_output_tokens=values["max_output_tokens"],
            abilities=values["abilities"],
            family=values["family"],
            retires=values["retires"],
            price=_price(doc, where, raw, values),
        )
    return out


def _price(doc: Document, where: Place, raw: Any, values: Mapping[str, Any]) -> Price | None:
    rates = {name: values[f"{name}_usd_per_mtok"] for name in RATES}
    raw = raw if isinstance(raw, dict) else {}
    if values["request_usd"] is None and not any(f"{name}_usd_per_mtok" in raw for name in RATES):
        return None
    for name in ("input", "output"):
        if f"{name}_usd_per_mtok" not in raw:
            doc.wrong(where, f"{title(where)} has a price, so it needs {name}_usd_per_mtok too; 0 is a price")
    request = values["request_usd"] or 0
    version = zlib.crc32(repr((request, *rates.values())).encode())
    return Price(id=f"config:{where[1]}:{version:08x}", source=doc.path or "", request=request, **rates)


def read_routes(doc: Document, providers: Providers) -> dict[str, Plan]:
    out = {}
    for name, raw in doc.named("route").items():
        where = ("route", name)
        values = doc.table(where, raw, ROUTE)
        strategy = values["strategy"]
        if strategy not in STRATEGIES:
            what = (
                f"{title(where)} strategy {strategy!r} is none of this version.{meant(strategy, STRATEGIES)}"
            )
            doc.wrong((*where, "strategy"), what)
        if values["targets"] is not None:
            pairs, weights = _targets(doc, where, values["targets"], strategy, providers)
            prompts = _prompts(doc, where, values["targets"], lossless=values["lossless"])
            out[name] = Plan(
                name=name,
                targets=pairs,
                weights=weights,
                strategy=strategy,
                lossless=values["lossless"],
                prompts=prompts,
            )
        elif isinstance(raw, dict) and raw.keys() <= ROUTE.keys() - {"targets"}:
            doc.wrong(where, f"{title(where)} needs targets, as in targets = ['provider/model']")
    return out


def _targets(
    doc: Document, route: Place, listed: list[Any], strategy: str, providers: Providers
) -> tuple[tuple[tuple[str, str], ...], tuple[float, ...]]:
    weights: dict[tuple[str, str], float] = {}
    for number, item in enumerate(listed):
        where, what = (*route, "targets", number), f"{title(route)} targets"
        target, weight = item, 1.0
        if isinstance(item, dict):
            values = doc.table(where, item, TARGET)
            target, weight = values["target"], values["weight"]
            if "target" not in item:
                doc.wrong(where, f"{what}: a table needs target = 'provider/model'")
            if "weight" in item and strategy in STRATEGIES and strategy != "weighted":
                doc.wrong(where, f"{what}: a weight means something only with strategy = 'weighted'")
        elif not isinstance(item, str):
            doc.wrong(where, f"{what} must be texts or tables, not {kind_of(item)}")
        if not isinstance(target, str):
            continue
        trouble = _no_target(target, providers)
        provider, _, model = target.partition("/")
        if (provider, model) in weights:
            trouble = f"{target!r} stands twice; keep one"
        if trouble:
            doc.wrong(where, f"{what}: {trouble}")
        weights[provider, model] = weight
    return tuple(weights), tuple(weights.values())


def _prompts(doc: Document, route: Place, listed: list[Any], *, lossless: bool) -> dict[tuple[str, str], str]:
    """Target -> its prompt variant. What is wrong with the tables themselves has been told."""
    found = {}
    for number, item in enumerate(listed):
        if not isinstance(item, dict) or not isinstance(item.get("prompt"), str):
            continue
        if lossless:
            what = f"{title(route)} targets: a prompt changes what was said, so it cannot be lossless too"
            doc.wrong((*route, "targets", number), what)
        provider, _, model = str(item.get("target")).partition("/")
        found[provider, model] = item["prompt"]
    return found


def _no_target(target: str, providers: Providers) -> str | None:
    provider, _, model = target.partition("/")
    if not provider or not model:
        return f"{target!r} must be 'provider/model'"
    if provider in providers.off:
        return f"{target!r}: its provider is not on. {providers.off[provider].mend}"
    row = providers.enabled.get(provider)
    if row is None:
        if provider in providers.broken:
            return None
        return f"{target!r}: there is no provider {provider!r}.{nearest_name(provider, providers.names())}"
    if row.closed and model not in row.models:
        return f"{target!r}: {provider} has no model {model!r}.{meant(model, row.models)}"
    return None
