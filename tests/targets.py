"""A catalogue of two made-up providers, one a dialect, and a route over both."""

from fungible.dialects import DIALECTS
from fungible.models import Catalogue, Enabled, Plan
from fungible.providers.base import Provider
from fungible.providers.signers import Secret, aim


def enabled(name: str, dialect: str, base_url: str, **more: object) -> Enabled:
    provider = Provider(name=name, dialect=dialect, base_url=base_url, prices="", **more)  # type: ignore[arg-type]
    return Enabled(
        provider=provider,
        dialect=DIALECTS[dialect],
        aim=aim(provider, DIALECTS[dialect], Secret("provider-key"), {}),
        key_name="env:TEST_KEY",
    )


def catalogue(a: str = "http://127.0.0.1:1/v1", b: str = "http://127.0.0.1:2") -> Catalogue:
    """Providers `a` (openai.chat) and `b` (anthropic.messages); routes `both` and `reverse`."""
    providers = {"a": enabled("a", "openai.chat", a), "b": enabled("b", "anthropic.messages", b)}
    pairs = (("a", "one"), ("b", "two"))
    plans = {
        "both": Plan(name="both", targets=pairs, weights=(1.0, 1.0), strategy="failover"),
        "reverse": Plan(name="reverse", targets=pairs[::-1], weights=(1.0, 1.0), strategy="failover"),
        "spread": Plan(name="spread", targets=pairs, weights=(3.0, 1.0), strategy="weighted"),
    }
    return Catalogue(providers, plans, {}, {})
